"""Faults that users met without any message: each, put into policy.json, makes the whole differ from LeRobot by more than the bound."""

import importlib
import os
import unittest

import torch
from tokenizers import Tokenizer

from export import checkpoint as checkpoints_of, cli, tiny
from export import dataset as datasets
from export.check import BOUND, Modules, observation
from export.interpreter import Interpreter
from export.tests.common import checkpoints


class Noticed(unittest.TestCase):
    """`differs` interprets a plan over the modules in PyTorch; the graphs themselves are compared elsewhere."""

    def plan(self, kind, **options):
        made = checkpoints()
        folders = dict.fromkeys(("vlm", "tokenizer", "action_tokenizer"))
        folders.update({option: made / folder for option, folder in tiny.FOLDERS.get(kind, {}).items()})
        module = importlib.import_module(f"export.{cli.KINDS[kind]}")
        self.recorded = datasets.read(made / "dataset")
        return module.plan(checkpoints_of.read(made / kind), self.recorded, cli.Options(joint_units="degrees", licence="MIT", **options), folders)

    def differs(self, plan, instruction="put the red cube into the box"):
        """The largest difference from LeRobot as a share of what is allowed."""
        policy = {"observations": plan.observations, "stages": [stage.part() for stage in plan.stages], "action": plan.action}
        observed = observation(policy, self.recorded.cameras(), instruction)
        tokenizer = plan.tokenizer and Tokenizer.from_str(plan.tokenizer)
        with torch.no_grad():
            reference = plan.reference(observed)
            whole = Interpreter(policy, Modules(plan.stages).run, tokenizer).run(observed)
        return ((reference - whole).abs().max() / (BOUND * max(1.0, reference.abs().max().item()))).item()

    def check(self, kind, *edits):
        plan = self.plan(kind)
        self.assertLess(self.differs(plan), 1)
        for edit in edits:
            plan = self.plan(kind)
            edit(plan)
            self.assertGreater(self.differs(plan), 1, edit.__name__)

    def test_what_actions_are_measured_from(self):
        for space, reference in (("joint_position", "absolute"), ("joint_delta", "relative")):
            self.assertEqual(self.plan("act", space=space).action["reference"], reference)

    def test_images(self):
        def stretched(plan):
            resize(plan).update(fit="stretch")

        def padded_right(plan):
            resize(plan)["pad"].update(horizontal="right", vertical="bottom")

        def padded_with_another_value(plan):
            resize(plan)["pad"].update(value=0.5)

        def smoothed(plan):
            resize(plan).update(antialias=True)

        def not_scaled(plan):
            plan.observations["cameras"][0]["normalisation"] = {"identity": {}}

        self.check("smolvla", stretched, padded_right, padded_with_another_value, smoothed, not_scaled)

    def test_padding_of_pi0(self):
        def padded_black(plan):
            resize(plan)["pad"].update(value=0.0)

        self.check("pi0", padded_black)

    def test_joints(self):
        def swapped_joints(plan):
            mean = plan.observations["states"][0]["normalisation"]["mean_std"]["mean"]
            mean[0], mean[1] = mean[1], mean[0]

        def radians(plan):
            given = plan.action["normalisation"]["mean_std"]
            for stat in ("mean", "std"):
                given[stat] = [value * torch.pi / 180 for value in given[stat]]

        def skipped_statistics(plan):
            plan.observations["states"][0]["normalisation"] = {"identity": {}}

        self.check("act", swapped_joints, radians, skipped_statistics)

    def test_cameras_history_crop_and_scheduler(self):
        # ACT would not do: it gives all cameras the same position codes, so that it cannot tell them apart.
        def swapped_cameras(plan):
            inputs = plan.stages[0].inputs
            inputs["image_front"], inputs["image_wrist"] = inputs["image_wrist"], inputs["image_front"]

        def shifted_crop(plan):
            steps = plan.observations["cameras"][0]["transform"]
            height, width = 41, 56
            steps[:] = [{"crop": {"left": 0.0, "top": 0.0, "width": width / 64, "height": height / 48}}]

        def one_step_late(plan):
            plan.action["first"] = 0

        def another_schedule(plan):
            plan.stages[1].loop["diffusion"]["betas"] = {"linear": {"start": 1e-4, "end": 0.02}}

        def another_sampler(plan):
            plan.stages[1].loop["diffusion"].update(sampler="ddim", set_alpha_to_one=True)

        self.check("diffusion", swapped_cameras, shifted_crop, one_step_late, another_schedule, another_sampler)

    def test_prompt_and_flow(self):
        def no_line_end(plan):
            plan.observations["text"]["template"] = "{instruction}"

        def fewer_steps(plan):
            plan.stages[2].loop["flow"]["steps"] -= 1

        def backwards(plan):
            plan.stages[2].loop["flow"].update({"from": 0.0, "to": 1.0})

        self.check("pi0", no_line_end, fewer_steps, backwards)

    def test_state_in_the_prompt(self):
        def other_bins(plan):
            plan.observations["text"]["state"]["bins"] = 255

        def unclean(plan):
            plan.observations["text"]["clean"] = []

        plan = self.plan("pi05")
        self.assertLess(self.differs(plan, "  put the_red cube\nin "), 1)
        for edit in (other_bins, unclean):
            plan = self.plan("pi05")
            edit(plan)
            self.assertGreater(self.differs(plan, "  put the_red cube\nin "), 1, edit.__name__)

    def test_a_line_end_is_not_doubled(self):
        for kind in ("smolvla", "pi0"):
            self.assertLess(self.differs(self.plan(kind), "put the red cube\n"), 1, kind)

    def test_nothing_is_fetched(self):
        checkpoints()
        self.assertEqual((os.environ["HF_HUB_OFFLINE"], os.environ["TRANSFORMERS_OFFLINE"]), ("1", "1"))


def resize(plan):
    return plan.observations["cameras"][0]["transform"][0]["resize"]


if __name__ == "__main__":
    unittest.main()
