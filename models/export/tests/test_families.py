"""Each kind of policy, in the shapes that its configuration allows, gives LeRobot's numbers; golden values hold in ONNX Runtime."""

import json
import unittest

import numpy as np
import torch

from export import check, tiny
from export.interpreter import Interpreter
from export.layers import MASKED
from export.plan import Observation, frame
from export.refusal import Refusal, TooFar
from export.tests.common import FIXTURES, ExportTest, change, checkpoints
from export.wiring import ENVIRONMENT, STATE

LARGEST_PACKAGE = 300_000


class Shipped(unittest.TestCase):
    """The packages in tests/fixtures, which the runtime is tested on, are what this exporter writes."""

    def test_golden_values(self):
        for kind in tiny.KINDS:
            with self.subTest(kind):
                folder = FIXTURES / kind
                policy = json.loads((folder / "policy.json").read_text())
                golden = json.loads((folder / policy["golden"]).read_text())
                worst = replay(folder, policy, golden)
                self.assertLess(worst, 0.2, "share of the tolerance")

    def test_size(self):
        for kind in tiny.KINDS:
            size = sum(file.stat().st_size for file in (FIXTURES / kind).iterdir())
            self.assertLessEqual(size, LARGEST_PACKAGE, kind)

    def test_a_wrong_golden_value_is_noticed(self):
        folder = FIXTURES / "act"
        policy = json.loads((folder / "policy.json").read_text())
        golden = json.loads((folder / "golden.json").read_text())
        golden["states"]["observation.state"][0][0] += 1
        self.assertGreater(replay(folder, policy, golden), 1)


def replay(folder, policy, golden):
    """Runs a package from its golden observation; gives the largest difference as a share of its tolerance."""
    tokenizer = None
    if text := policy["observations"].get("text"):
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / text["tokenizer"]))
    frames = {name: [frame(seed, given["width"], given["height"]) for seed in given["seeds"]] for name, given in golden["frames"].items()}
    noise = golden["noise"]
    observed = Observation(frames, golden["states"], golden.get("instruction"), noise["seed"], (noise["low"], noise["high"]))
    files = policy["precisions"]["f32"]
    tables, caches = {}, {}
    for stage in policy["stages"]:
        if tokens := stage.get("loop", {}).get("tokens"):
            table = tokens["decode"]["dct"]["table"]
            tables[table] = json.loads((folder / table).read_text())
            caches[stage["name"]] = cache_shapes(folder / files[stage["name"]], stage["inputs"])
    interpreter = Interpreter(policy, check.Sessions(folder, files).run, tokenizer, tables, caches)
    action = interpreter.run(observed)
    expected = golden["precisions"]["f32"]
    pairs = [(action, expected["action"])]
    pairs += [(interpreter.values[name].flatten()[:: given["every"]], given) for name, given in expected["values"].items()]
    if tokenizer is not None:
        assert interpreter.values["tokens"].flatten().tolist() == golden["tokens"]
    return max(np.abs(value.numpy().flatten() - np.float32(given["values"])).max() / given["tolerance"] for value, given in pairs)


def cache_shapes(graph, inputs):
    """The shape of each value of a loop, by its name in the loop."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return {inputs[given.name].removeprefix("loop."): given.shape for given in session.get_inputs() if inputs[given.name].startswith("loop.")}


class Masks(unittest.TestCase):
    """A number that masks a score is met exactly and hides no difference of the others."""

    def test_tolerance(self):
        self.assertEqual(check.tolerance(torch.tensor([3.0, MASKED])), 3e-4)
        self.assertEqual(check.tolerance(torch.tensor([MASKED])), 1e-4)

    def test_differences(self):
        reference = torch.tensor([0.0, 0.5, MASKED])
        for value, passes in ((reference.clone(), True), (torch.tensor([0.0, 0.6, MASKED]), False)):
            report = check.Report(lambda _: None)
            report.add("bias", reference, value)
            self.assertEqual(not report.worst, passes)
        with self.assertRaisesRegex(TooFar, "masks"):
            check.Report(lambda _: None).add("bias", reference, torch.tensor([0.0, 0.5, MASKED * 1.01]))


class Kinds(ExportTest):
    """`make` exports a checkpoint made with other sizes or options than the shipped ones."""

    def make(self, kind, without=None, given=None, inputs=None, untrained=False, **changes):
        """`without`: a camera that LeRobot runs without. `inputs`: shapes of the policy's inputs, which the data set then has, too.
        `untrained`: the checkpoint has no train_config.json."""
        import shutil

        torch.manual_seed(3)
        made = checkpoints()
        dataset = self.folder / "dataset"
        shutil.copytree(made / "dataset", dataset)
        for name in ("vlm", "paligemma", "fast"):
            shutil.copytree(made / name, self.folder / name)
        statistics = tensors(dataset)
        if inputs is not None:
            changes["input_features"] = self.record(dataset, inputs, statistics)
        tiny.KINDS[kind](self.folder / kind, statistics, **changes)
        if untrained:
            (self.folder / kind / "train_config.json").unlink()
        options = {"without_camera": without, "ignore": without} if without else {}
        rows = self.export(self.folder / kind, dataset, **options, **(given or {}))
        self.assertTrue(all(difference <= check.BOUND * scale for _, difference, scale in rows))
        return self.policy()

    def record(self, dataset, inputs, statistics):
        """Gives the data set these observations, and the policy's features of them."""
        from lerobot.configs.types import FeatureType, PolicyFeature

        def edit(info):
            kept = {name: feature for name, feature in info["features"].items() if not name.startswith("observation.")}
            for name, shape in inputs.items():
                image = len(shape) == 3
                vector = {"dtype": "float32", "shape": list(shape), "names": [f"{index}.pos" for index in range(shape[0])]}
                kept[name] = {"dtype": "video", "shape": [*shape[1:], 3], "names": ["height", "width", "channels"]} if image else vector
                size = (3, 1, 1) if image else shape
                low = torch.rand(size)
                statistics[name] = {"mean": low, "std": low + 0.3, "min": low - 1, "max": low + 1}
            info["features"] = kept

        change(dataset / "meta" / "info.json", edit)
        kinds = {ENVIRONMENT: FeatureType.ENV, STATE: FeatureType.STATE}
        return {name: PolicyFeature(kinds.get(name, FeatureType.VISUAL), shape) for name, shape in inputs.items()}

    def test_act_without_a_state(self):
        policy = self.make("act", inputs={"observation.images.top": (3, 48, 64)})
        self.assertEqual(policy["observations"]["states"], [])

    def test_act_of_the_environment_and_three_cameras_of_two_sizes(self):
        cameras = {"observation.images.b": (3, 48, 64), "observation.images.a": (3, 64, 48), "observation.images.c": (3, 96, 64)}
        policy = self.make("act", inputs={**cameras, STATE: (6,), ENVIRONMENT: (5,)}, given={"units": {"*": "none"}})
        self.assertEqual([camera["name"] for camera in policy["observations"]["cameras"]], list(cameras))
        self.assertEqual([state["name"] for state in policy["observations"]["states"]], [STATE, ENVIRONMENT])
        self.assertEqual(policy["observations"]["states"][1]["normalisation"], {"identity": {}})

    def test_act_of_the_environment_alone(self):
        policy = self.make("act", inputs={ENVIRONMENT: (5,)}, given={"units": {"*": "none"}})
        self.assertEqual(policy["observations"]["cameras"], [])

    def test_diffusion_of_the_environment(self):
        policy = self.make("diffusion", inputs={STATE: (6,), ENVIRONMENT: (5,)}, given={"units": {"*": "none"}}, crop_shape=None)
        self.assertEqual([state["history"] for state in policy["observations"]["states"]], [2, 2])

    def test_act(self):
        self.make("act", pre_norm=True, n_decoder_layers=2, feedforward_activation="gelu")

    def test_act_of_the_plainest_norm(self):
        policy = self.make("act", use_vae=False, n_action_steps=8, normalization_mapping=modes("IDENTITY", "MIN_MAX", "QUANTILES"))
        self.assertIn("identity", policy["observations"]["cameras"][0]["normalisation"])
        self.assertIn("min_max", policy["observations"]["states"][0]["normalisation"])
        self.assertIn("quantiles", policy["action"]["normalisation"])
        self.assertEqual((policy["action"]["chunk"], policy["action"]["execute"]), (8, 8))

    def test_diffusion_by_ddim(self):
        policy = self.make("diffusion", noise_scheduler_type="DDIM", num_inference_steps=5, prediction_type="sample", beta_schedule="linear")
        method = policy["stages"][1]["loop"]["diffusion"]
        self.assertEqual((method["sampler"], method["steps"], method["prediction"], method["set_alpha_to_one"]), ("ddim", 5, "sample", True))

    def test_diffusion_with_a_resize(self):
        policy = self.make("diffusion", resize_shape=(40, 52), crop_ratio=0.8, crop_shape=None, use_separate_rgb_encoder_per_camera=True, use_group_norm=False)
        first, second = policy["observations"]["cameras"][0]["transform"]
        self.assertEqual(first["resize"], {"width": 52, "height": 40, "fit": "stretch", "filter": "bilinear", "antialias": True, "on": "floats"})
        self.assertEqual(second, {"centre_crop": {"width": 41, "height": 32}})

    def test_diffusion_of_three_observations_without_clipping(self):
        policy = self.make("diffusion", n_obs_steps=3, n_action_steps=5, clip_sample=False, beta_schedule="scaled_linear", use_film_scale_modulation=False)
        self.assertEqual((policy["action"]["first"], policy["action"]["chunk"], policy["action"]["execute"]), (2, 6, 5))
        self.assertIsNone(policy["stages"][1]["loop"]["diffusion"]["clip"])

    def test_diffusion_of_one_observation(self):
        self.make("diffusion", n_obs_steps=1)

    def test_smolvla_with_joint_attention_and_special_tokens(self):
        self.make("smolvla", attention_mode="self_attn", add_image_special_tokens=True, prefix_length=40)

    def test_smolvla_with_half_the_expert_layers(self):
        self.make("smolvla", num_expert_layers=1, self_attn_every_n_layers=2, pad_language_to="max_length")

    def test_smolvla_without_a_camera(self):
        policy = self.make("smolvla", without={"observation.images.wrist"}, empty_cameras=1)
        self.assertEqual([camera["name"] for camera in policy["observations"]["cameras"]], ["observation.images.front"])

    def test_smolvla_with_special_tokens_around_a_camera_that_is_masked(self):
        self.make("smolvla", empty_cameras=1, add_image_special_tokens=True)

    def test_smolvla_whose_expert_never_attends_to_itself(self):
        policy = self.make("smolvla", self_attn_every_n_layers=0)
        self.assertEqual(policy["stages"][1]["outputs"], ["keys", "values", "bias"])

    def test_pi0_without_a_camera(self):
        self.make("pi0", without={"observation.images.front"}, empty_cameras=1)

    def test_pi05_with_the_state_as_it_is(self):
        policy = self.make("pi05", given={"prompt_state": "plain"}, untrained=True)
        self.assertNotIn("pad_to", policy["observations"]["states"][0])

    def test_pi05_whose_version_does_not_show(self):
        with self.assertRaisesRegex(Refusal, "--prompt-state padded \\(32.*--prompt-state plain \\(6"):
            self.make("pi05", untrained=True)

    def test_pi05_with_the_state_padded(self):
        policy = self.make("pi05", given={"prompt_state": "padded"}, untrained=True)
        self.assertEqual(policy["observations"]["states"][0]["pad_to"], 32)

    def test_pi0_fast_without_a_camera_and_with_the_state_as_it_is(self):
        given = {"prompt_state": "plain"}
        self.make("pi0_fast", without={"observation.images.front"}, given=given, untrained=True)

    def test_pi0_fast_that_is_cut_off(self):
        # The end does not come, and LeRobot takes what there is.
        policy = self.make("pi0_fast", max_decoding_steps=9, validate_action_token_prefix=False, use_kv_cache=False)
        tokens = policy["stages"][2]["loop"]["tokens"]
        self.assertNotIn("starts_with", tokens)
        self.assertEqual((tokens["max_tokens"], tokens["open_end"]), (9, True))

    def test_pi0_fast_that_runs_fewer_steps(self):
        self.assertEqual(self.make("pi0_fast", given={"execute": 3})["action"]["execute"], 3)

    def test_pi05_with_the_mean(self):
        policy = self.make("pi05", normalization_mapping=modes("IDENTITY", "MEAN_STD", "MEAN_STD"))
        self.assertIn("{state}", policy["observations"]["text"]["template"])


def modes(*names):
    from lerobot.configs.types import NormalizationMode

    return dict(zip(("VISUAL", "STATE", "ACTION"), (NormalizationMode(name) for name in names)))


def tensors(dataset):
    """The data set's statistics as LeRobot gives them to its processors."""
    stats = json.loads((dataset / "meta" / "stats.json").read_text())
    return {name: {stat: torch.tensor(value, dtype=torch.float32) for stat, value in held.items()} for name, held in stats.items()}


if __name__ == "__main__":
    unittest.main()
