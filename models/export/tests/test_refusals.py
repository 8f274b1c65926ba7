"""What fails silently elsewhere is refused here, by name: statistics, joints, cameras, sizes, units, tokenizers, weights."""

import contextlib
import io
import shutil
import unittest

import torch
from safetensors.torch import load_file, save_file

from export import checkpoint as checkpoints_of, cli, text
from export import dataset as datasets
from export.act import ActGraph
from export.refusal import Refusal, TooFar
from export.tests.common import ExportTest, change, checkpoints, silent

FRONT, WRIST, STATE = "observation.images.front", "observation.images.wrist", "observation.state"


def tensors(path, edit):
    held = load_file(path)
    edit(held)
    save_file(held, path)


class Refused(ExportTest):
    """Each case spoils one thing; the message names it. Graphs are never made: the fault is found before."""

    def setUp(self):
        super().setUp()
        self.checkpoint, self.dataset = self.copy("act")

    def refused(self, *parts, **options):
        with self.assertRaises(Refusal) as caught:
            self.export(self.checkpoint, self.dataset, **options)
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        for part in parts:
            self.assertIn(part, message)

    def config(self, edit):
        change(self.checkpoint / "config.json", edit)

    def info(self, edit):
        change(self.dataset / "meta" / "info.json", edit)

    def normaliser(self, name="preprocessor"):
        (path,) = self.checkpoint.glob(f"policy_{name}_step_*.safetensors")
        return path

    def test_a_missing_statistic(self):
        tensors(self.normaliser(), lambda held: held.pop(f"{STATE}.std"))
        self.refused(STATE, "no std", self.normaliser().name)

    def test_a_feature_without_statistics(self):
        tensors(self.normaliser(), lambda held: [held.pop(key) for key in list(held) if key.startswith(FRONT)])
        self.refused(FRONT, "holds no statistics of")

    def test_statistics_under_another_name(self):
        """LeRobot would find nothing for observation.state and go on without normalisation."""
        tensors(self.normaliser(), lambda held: [held.update({key.replace(STATE, "observation_state"): held.pop(key)}) for key in list(held) if key.startswith(STATE)])
        self.refused(STATE, "holds no statistics of")

    def test_statistics_that_were_never_filled_in(self):
        tensors(self.normaliser("postprocessor"), lambda held: held.update({"action.mean": torch.full((6,), torch.inf)}))
        self.refused("action.mean", "not finite")

    def test_statistics_of_another_length(self):
        tensors(self.normaliser(), lambda held: held.update({f"{STATE}.mean": torch.zeros(7)}))
        self.refused(f"{STATE}.mean", "7 values instead of 6")

    def test_no_normalisation_mapping(self):
        self.config(lambda config: config["normalization_mapping"].pop("STATE"))
        self.refused("normalization_mapping", "STATE")

    def test_an_unknown_mode(self):
        self.config(lambda config: config["normalization_mapping"].update(STATE="WHITENED"))
        self.refused("WHITENED")

    def test_modes_of_the_processor(self):
        """LeRobot normalises by the processor's step, whatever config.json says."""
        self.config(lambda config: config["normalization_mapping"].update(STATE="MIN_MAX"))
        self.refused("policy_preprocessor.json", "norm_map has MEAN_STD for STATE", "MIN_MAX")

    def test_a_feature_that_the_processor_does_not_list(self):
        def edit(value):
            (step,) = (step for step in value["steps"] if step["registry_name"] == "normalizer_processor")
            step["config"]["features"].pop(STATE)

        change(self.checkpoint / "policy_preprocessor.json", edit)
        self.refused(STATE, "lists no feature", "skip")

    def test_a_second_state(self):
        self.config(lambda config: config["input_features"].update({"observation.effort": {"type": "STATE", "shape": [6]}}))
        self.refused("input_features", "observation.effort")

    def test_nothing_to_see(self):
        self.config(lambda config: [config["input_features"].pop(name) for name in (FRONT, WRIST)])
        self.refused("neither a camera nor", ignore={FRONT, WRIST})

    def test_an_unknown_step(self):
        change(self.checkpoint / "policy_preprocessor.json", lambda value: value["steps"].insert(1, {"registry_name": "delta_actions", "config": {}}))
        self.refused("policy_preprocessor.json", "delta_actions")

    def test_permuted_joints(self):
        names = datasets.read(self.dataset).names("action")
        self.config(lambda config: config.update(action_feature_names=[names[1], names[0], *names[2:]]))
        self.refused("action_feature_names", "another order", ignore_field={"action_feature_names"})

    def test_another_number_of_joints(self):
        self.info(lambda info: info["features"]["action"].update(names=["a.pos", "b.pos"], shape=[2]))
        self.refused("action", "[6]", "2 values")

    def test_joints_without_names(self):
        self.info(lambda info: info["features"][STATE].update(names=None))
        self.refused(STATE, "no list of names")

    def test_a_joint_twice(self):
        self.info(lambda info: info["features"]["action"]["names"].__setitem__(1, "shoulder_pan.pos"))
        self.refused("action", "twice")

    def test_a_renamed_camera(self):
        self.info(lambda info: info["features"].update({"observation.images.top": info["features"].pop(FRONT)}))
        self.refused(FRONT, "observation.images.top", f"--rename RECORDED={FRONT}")

    def test_a_camera_too_many(self):
        self.info(lambda info: info["features"].update({"observation.images.side": info["features"][FRONT]}))
        self.refused("observation.images.side", "--ignore observation.images.side")

    def test_a_missing_camera(self):
        self.info(lambda info: info["features"].pop(WRIST))
        self.refused(WRIST)

    def test_a_camera_that_is_renamed_and_not_there(self):
        self.refused("--rename observation.images.up", rename={"observation.images.up": FRONT})

    def test_another_state(self):
        self.info(lambda info: info["features"].update({"observation.effort": info["features"][STATE]}))
        self.refused("observation.effort", "--ignore observation.effort")

    def test_frames_of_another_size(self):
        self.info(lambda info: info["features"][FRONT].update(shape=[96, 128, 3]))
        self.refused(FRONT, "128 x 96", "64 x 48")

    def test_units_that_nobody_said(self):
        self.refused("shoulder_pan.pos", "--joint-units", joint_units=None)
        self.info(lambda info: info["features"][STATE]["names"].__setitem__(0, "x"))
        self.refused(STATE, "has x", "--unit 'x=UNIT'")

    def test_an_action_that_nobody_explained(self):
        self.info(lambda info: info["features"]["action"]["names"].__setitem__(0, "x"))
        self.refused("names x", "--space", units={"*": "rad"})

    def test_a_state_that_the_policy_does_not_read(self):
        self.config(lambda config: config["input_features"].pop(STATE))
        self.refused(f"has {STATE}", f"--ignore {STATE}")

    def test_no_licence(self):
        self.refused("license", "--licence", licence=None)

    def test_no_rate(self):
        self.info(lambda info: info.update(fps=0))
        self.refused("fps")

    def test_an_old_data_set(self):
        self.info(lambda info: info.update(codebase_version="v2.1"))
        self.refused("v2.1", "convert")

    def test_a_missing_weight(self):
        tensors(self.checkpoint / "model.safetensors", lambda held: held.pop("model.action_head.bias"))
        self.refused("model.safetensors", "lacks", "model.action_head.bias")

    def test_a_weight_too_many(self):
        tensors(self.checkpoint / "model.safetensors", lambda held: held.update(extra=torch.zeros(1)))
        self.refused("model.safetensors", "extra")

    def test_a_broken_file(self):
        (self.checkpoint / "model.safetensors").write_bytes(b"\xff" * 64)
        self.refused("model.safetensors", "no safetensors")

    def test_temporal_ensembling(self):
        self.config(lambda config: config.update(temporal_ensemble_coeff=0.01, n_action_steps=1))
        self.refused("temporal_ensemble_coeff", "--execute N")

    def test_a_field_of_a_newer_version(self):
        self.config(lambda config: config.update(new_thing=1))
        self.refused("new_thing", "--ignore-field")

    def test_an_unknown_kind(self):
        self.config(lambda config: config.update(type="tdmpc"))
        self.refused("tdmpc", "supported are act, diffusion")

    def test_another_type_by_name(self):
        self.config(lambda config: config.update(type="tdmpc"))
        self.refused("tdmpc", "supported are act", "pi0_fast")

    def test_a_folder_that_exists(self):
        self.out.mkdir()
        self.refused(str(self.out), "exists already")

    def test_steps_beyond_the_chunk(self):
        self.refused("--execute 9", "8 steps", execute=9)


class RefusedLoops(ExportTest):
    """Samplers and widths that LeRobot or policy.json cannot take; each is named by its field."""

    def refused(self, kind, pattern, **fields):
        if not (self.folder / kind).exists():
            self.checkpoint, self.dataset = self.copy(kind)
        held = (self.checkpoint / "config.json").read_text()
        change(self.checkpoint / "config.json", lambda config: config.update(fields))
        with self.assertRaisesRegex(Refusal, pattern):
            self.export(self.checkpoint, self.dataset)
        (self.checkpoint / "config.json").write_text(held)

    def test_diffusion(self):
        self.refused("diffusion", "n_action_steps is 8, but only 7", n_action_steps=8)
        self.refused("diffusion", "num_inference_steps is 11.*num_train_timesteps, which is 10", num_inference_steps=11)
        self.refused("diffusion", "beta_schedule sigmoid", beta_schedule="sigmoid")

    def test_smolvla(self):
        self.refused("smolvla", "use_cache", use_cache=False)
        self.refused("smolvla", "resize_imgs_with_padding is null", resize_imgs_with_padding=None)
        self.refused("smolvla", "resize_imgs_with_padding.*square", resize_imgs_with_padding=[32, 48])
        self.refused("smolvla", "max_state_dim is 5", max_state_dim=5)
        self.refused("smolvla", "max_action_dim is 5", max_action_dim=5)
        self.refused("smolvla", "num_expert_layers is 1.*self_attn_every_n_layers 1", num_expert_layers=1, self_attn_every_n_layers=1)

    def test_a_state_that_is_needed(self):
        checkpoint, dataset = self.copy("diffusion")
        change(checkpoint / "config.json", lambda config: config["input_features"].pop(STATE))
        with self.assertRaisesRegex(Refusal, f"no {STATE}"):
            self.export(checkpoint, dataset)


class RefusedText(ExportTest):
    """Policies that read text."""

    def test_no_tokenizer(self):
        checkpoint, dataset = self.copy("pi0")
        with self.assertRaisesRegex(Refusal, "--tokenizer is missing"):
            cli.export(checkpoint, dataset, self.out, cli.Options(joint_units="range", licence="MIT"), say=silent)

    def test_no_vlm(self):
        checkpoint, dataset = self.copy("smolvla")
        with self.assertRaisesRegex(Refusal, "--vlm is missing"):
            cli.export(checkpoint, dataset, self.out, cli.Options(joint_units="range", licence="MIT"), say=silent)

    def test_a_tokenizer_of_another_policy(self):
        tokens = text.read(checkpoints() / "paligemma", "--tokenizer", "PaliGemma")
        with self.assertRaisesRegex(Refusal, "another policy's"):
            text.check_vocabulary(tokens, 300)

    def test_pi05_with_the_weights_of_pi0(self):
        checkpoint, dataset = self.copy("pi05")
        shutil.copy(checkpoints() / "pi0" / "model.safetensors", checkpoint)
        with self.assertRaises(Refusal):
            self.export(checkpoint, dataset)

    def test_a_prompt_of_another_width(self):
        checkpoint, dataset = self.copy("pi05")
        change(checkpoint / "config.json", lambda config: config.update(max_state_dim=8))
        with self.assertRaisesRegex(Refusal, "max_state_dim is 8.*32 numbers"):
            self.export(checkpoint, dataset)

    def test_images_that_are_normalised_twice(self):
        checkpoint, dataset = self.copy("pi0")
        change(checkpoint / "config.json", lambda config: config["normalization_mapping"].update(VISUAL="MEAN_STD"))
        for name in ("preprocessor", "postprocessor"):
            change(checkpoint / f"policy_{name}.json", lambda content: [step["config"]["norm_map"].update(VISUAL="MEAN_STD") for step in content["steps"] if "norm_map" in step["config"]])
        with self.assertRaisesRegex(Refusal, "needs IDENTITY"):
            self.export(checkpoint, dataset)


class RefusedTokens(ExportTest):
    """pi0-FAST: what a package cannot decode as LeRobot does."""

    def setUp(self):
        super().setUp()
        self.checkpoint, self.dataset = self.copy("pi0_fast")
        self.actions = self.folder / "fast"
        shutil.copytree(checkpoints() / "fast", self.actions)

    def refused(self, pattern, action_tokenizer=True):
        folders = {"tokenizer": checkpoints() / "paligemma", "action_tokenizer": self.actions if action_tokenizer else None}
        with self.assertRaisesRegex(Refusal, pattern):
            cli.export(self.checkpoint, self.dataset, self.out, cli.Options(joint_units="degrees", licence="MIT"), say=silent, **folders)

    def test_no_tokenizer_of_actions(self):
        self.refused("--action-tokenizer is missing", action_tokenizer=False)

    def test_a_folder_without_its_numbers(self):
        (self.actions / "processor_config.json").unlink()
        self.refused("processor_config.json: is missing")

    def test_numbers_that_are_none(self):
        change(self.actions / "processor_config.json", lambda config: config.update(min_token=None))
        self.refused("min_token None")

    def test_a_tokenizer_that_is_not_of_bytes(self):
        change(self.actions / "tokenizer.json", lambda content: content.update(decoder={"type": "Fuse"}))
        self.refused("tokenizer.json: the tokens .* no plain BPE over bytes")

    def test_fields_that_change_what_is_decoded(self):
        for field, value, pattern in (("temperature", 0.5, "temperature is 0.5"), ("n_action_steps", 4, "n_action_steps is 4, chunk_size 8.*--execute 4"), ("fast_skip_tokens", 500, "skips 500")):
            change(self.checkpoint / "config.json", lambda config: config.update({field: value}))
            self.refused(pattern)
            shutil.copy(checkpoints() / "pi0_fast" / "config.json", self.checkpoint)

    def test_two_embeddings(self):
        def edit(held):
            name = next(name for name in held if name.endswith("embed_tokens.weight"))
            held[name.replace("model.language_model.embed_tokens", "lm_head")] = held[name] + 1

        tensors(self.checkpoint / "model.safetensors", edit)
        self.refused("embed_tokens.weight and .*lm_head.weight differ")

    def test_weights_that_say_something_else(self):
        def edit(held):
            name = next(name for name in held if name.endswith("embed_tokens.weight"))
            held[name] = held[name].flip(0).contiguous()

        tensors(self.checkpoint / "model.safetensors", edit)
        self.refused("the tokens begin with")


class Named(ExportTest):
    """What an option or the data set explains is taken."""

    def test_names_with_their_places(self):
        checkpoint, dataset = self.copy("act")
        names = datasets.read(dataset).names("action")

        def edit(info):
            info["features"]["action"]["names"] = {name: index for index, name in reversed(list(enumerate(names)))}
            info["features"][STATE]["names"] = {"motors": names}

        change(dataset / "meta" / "info.json", edit)
        read = datasets.read(dataset)
        self.assertEqual((read.names("action"), read.names(STATE)), (names, names))
        change(dataset / "meta" / "info.json", lambda info: info["features"]["action"]["names"].update({names[0]: 1}))
        with self.assertRaisesRegex(Refusal, "action has no list of names"):
            datasets.read(dataset).names("action")

    def test_renamed_and_ignored_cameras(self):
        checkpoint, dataset = self.copy("act")

        def edit(info):
            features = info["features"]
            features["observation.images.top"] = features.pop(FRONT)
            features["observation.images.side"] = features[WRIST]

        change(dataset / "meta" / "info.json", edit)
        self.export(checkpoint, dataset, rename={"observation.images.top": FRONT}, ignore={"observation.images.side"}, units={"action/gripper.pos": "fraction"}, execute=3)
        policy = self.policy()
        self.assertEqual([camera["name"] for camera in policy["observations"]["cameras"]], ["observation.images.top", WRIST])
        self.assertEqual(policy["action"]["units"][-1], "fraction")
        self.assertEqual(policy["observations"]["states"][0]["units"], ["lerobot_degrees"] * 5 + ["percent"])
        self.assertEqual(policy["action"]["execute"], 3)


class OldCheckpoints(ExportTest):
    """Statistics where earlier versions of LeRobot kept them."""

    def make_old(self, checkpoint, groups=("",)):
        """Moves the processors' statistics into the model, as buffers."""
        held = load_file(checkpoint / "model.safetensors")
        for name, module in (("preprocessor", "normalize_inputs"), ("postprocessor", "unnormalize_outputs")):
            (path,) = checkpoint.glob(f"policy_{name}_step_*.safetensors")
            for key, value in load_file(path).items():
                feature, stat = key.rsplit(".", 1)
                if (feature == "action") == (module == "unnormalize_outputs") and feature.startswith(("action", "observation")):
                    for index, group in enumerate(groups):
                        held[f"{module}.{group}buffer_{feature.replace('.', '_')}.{stat}"] = value + index
        save_file(held, checkpoint / "model.safetensors")
        for path in checkpoint.glob("policy_*"):
            path.unlink()

    def test_buffers_in_the_model(self):
        checkpoint, dataset = self.copy("act")
        expected = checkpoints_of.read(checkpoint)
        self.make_old(checkpoint)
        self.export(checkpoint, dataset)
        policy = self.policy()
        self.assertEqual(policy["action"]["normalisation"], expected.outputs.normalisation("action", "MEAN_STD", 6))
        self.assertEqual(policy["observations"]["cameras"][1]["normalisation"], expected.inputs.normalisation(WRIST, "MEAN_STD", 3))

    def test_buffers_of_several_data_sets(self):
        checkpoint, dataset = self.copy("act")
        self.make_old(checkpoint, ("so100.", "so100-blue_"))
        with self.assertRaisesRegex(Refusal, "so100, so100-blue.*--statistics"):
            self.export(checkpoint, dataset)
        with self.assertRaisesRegex(Refusal, "koch"):
            self.export(checkpoint, dataset, statistics="koch")
        read = checkpoints_of.read(checkpoint)
        first, second = (read.outputs.normalisation("action", "MEAN_STD", 6, group)["mean_std"]["mean"] for group in ("so100", "so100-blue"))
        for one, other in zip(first, second):
            self.assertAlmostEqual(one + 1, other, places=4)

    def test_processors_with_buffers_of_a_data_set(self):
        """LeRobot finds nothing under so100.buffer.action and skips the normalisation."""
        checkpoint, dataset = self.copy("act")
        for path in checkpoint.glob("policy_*.safetensors"):
            held = {f"so100.buffer.{key}": value for key, value in load_file(path).items()}
            save_file(held, path)
        self.export(checkpoint, dataset)
        self.assertIn("mean_std", self.policy()["action"]["normalisation"])


class ExitCodes(ExportTest):
    """0 written, 1 too far from PyTorch, 2 refused."""

    def run_main(self, *more, kind="act"):
        checkpoint = checkpoints() / kind
        error = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
            try:
                code = cli.main(["--checkpoint", str(checkpoint), "--dataset", str(checkpoints() / "dataset"), "--out", str(self.out), *more])
            except SystemExit as stopped:
                code = stopped.code
        return code, error.getvalue()

    def test_written(self):
        code, error = self.run_main("--joint-units", "degrees", "--licence", "MIT")
        self.assertEqual((code, error), (0, ""))
        self.assertTrue((self.out / "policy.json").is_file())

    def test_refused(self):
        code, error = self.run_main("--licence", "MIT")
        self.assertEqual((code, error.count("\n")), (2, 1))
        self.assertIn("--joint-units", error)
        self.assertEqual(self.run_main("--no-such-option")[0], 2)
        self.assertEqual(self.run_main("--unit", "a=furlong")[0], 2)
        self.assertFalse(self.out.exists())

    def test_a_fault_of_lerobot_is_one_line(self):
        held = ActGraph.__init__

        def fail(*_):
            raise ValueError("first line\nsecond line")

        ActGraph.__init__ = fail
        self.addCleanup(setattr, ActGraph, "__init__", held)
        code, error = self.run_main("--joint-units", "degrees", "--licence", "MIT")
        self.assertEqual((code, error.count("\n")), (2, 1))
        self.assertIn("ValueError", error)

    def test_too_far(self):
        """A graph that is off by a thousandth is not written."""
        held = ActGraph.forward
        ActGraph.forward = lambda self, *inputs: held(self, *inputs) * 1.001
        self.addCleanup(setattr, ActGraph, "forward", held)
        code, error = self.run_main("--joint-units", "degrees", "--licence", "MIT")
        self.assertEqual((code, error.count("\n")), (1, 1))
        self.assertIn("action (whole)", error)
        self.assertFalse(self.out.exists())
        with self.assertRaises(TooFar):
            self.export(checkpoints() / "act", checkpoints() / "dataset")


if __name__ == "__main__":
    unittest.main()
