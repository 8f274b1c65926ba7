"""What later versions of LeRobot write is read where it changes nothing, and refused by name where it does."""

import json

from export.refusal import Refusal
from export.tests.common import ExportTest, change


class Later(ExportTest):
    """`later` makes of a checkpoint what lerobot 0.6.1 writes."""

    def later(self, kind):
        checkpoint, dataset = self.copy(kind)
        fields = {"pretrained_revision": None}
        if kind == "diffusion":
            fields["gradient_checkpointing"] = False
        if kind == "pi05":
            fields.update(use_relative_actions=False, relative_exclude_joints=["gripper"], action_feature_names=None)
            step = {"registry_name": "relative_actions_processor", "config": {"enabled": False, "exclude_joints": ["gripper"], "action_names": None}}
            change(checkpoint / "policy_preprocessor.json", lambda content: content["steps"].insert(2, step))
            change(checkpoint / "policy_postprocessor.json", lambda content: content["steps"].insert(1, {"registry_name": "absolute_actions_processor", "config": {"enabled": False}}))
        change(checkpoint / "config.json", lambda config: config.update(fields))
        return checkpoint, dataset

    def test_read(self):
        self.export(*self.later("diffusion"))

    def test_pi05_does_not_pad_the_state_in_its_prompt(self):
        self.export(*self.later("pi05"))
        self.assertNotIn("pad_to", self.policy()["observations"]["states"][0])

    def test_the_version_that_trained_shows_in_its_configuration(self):
        checkpoint, dataset = self.copy("pi05")
        (checkpoint / "train_config.json").write_text(json.dumps({"cudnn_deterministic": False}))
        with self.assertRaisesRegex(Refusal, "--prompt-state padded.*0.5 or later"):
            self.export(checkpoint, dataset, prompt_state="padded")
        (checkpoint / "train_config.json").write_text("{}")
        with self.assertRaisesRegex(Refusal, "--prompt-state plain.*0.4"):
            self.export(checkpoint, dataset, prompt_state="plain")

    def test_relative_actions(self):
        checkpoint, dataset = self.later("pi05")
        change(checkpoint / "config.json", lambda config: config.update(use_relative_actions=True))
        with self.assertRaisesRegex(Refusal, "config.json: use_relative_actions"):
            self.export(checkpoint, dataset)

    def test_a_step_that_is_enabled(self):
        checkpoint, dataset = self.later("pi05")
        change(checkpoint / "policy_postprocessor.json", lambda content: content["steps"][1]["config"].update(enabled=True))
        with self.assertRaisesRegex(Refusal, "policy_postprocessor.json: the step absolute_actions_processor is enabled"):
            self.export(checkpoint, dataset)
