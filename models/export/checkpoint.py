"""A LeRobot checkpoint: config.json, weights, processors, statistics. Nothing of it is fetched from elsewhere."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from . import normalisation, versions
from .refusal import Refusal, listed

# Steps that write the state into the prompt.
STATE_IN_PROMPT = {"pi05_prepare_state_tokenizer_processor_step", "pi0_fast_prepare_state_tokenizer_processor_step"}
# Steps of the processors that the exporter knows; any other changes the numbers in a way that it cannot say.
KNOWN_STEPS = {
    "rename_observations_processor",
    "to_batch_processor",
    "device_processor",
    "normalizer_processor",
    "unnormalizer_processor",
    "tokenizer_processor",
    "smolvla_new_line_processor",
    "pi0_new_line_processor",
    "action_tokenizer_processor",
} | STATE_IN_PROMPT
PREPROCESSOR = "policy_preprocessor.json"
POSTPROCESSOR = "policy_postprocessor.json"


@dataclass
class Checkpoint:
    """What a checkpoint holds. `rename` maps a data set's feature to the policy's; `tokens` is the tokenizer's step, `state_width` how many
    numbers pi0.5 and pi0-FAST write into their prompt."""

    folder: Path
    kind: str
    config: dict
    weights: dict
    inputs: normalisation.Statistics
    outputs: normalisation.Statistics
    rename: dict = field(default_factory=dict)
    tokens: dict | None = None
    state_width: int | None = None
    has_processors: bool = False

    def mode(self, kind):
        """The normalisation mode of VISUAL, STATE or ACTION."""
        mapping = self.config.get("normalization_mapping")
        if not isinstance(mapping, dict):
            raise Refusal(f"{self.folder}/config.json: has no normalization_mapping")
        if kind == "ENV" and kind not in mapping:
            # No kind of policy maps it by default, and LeRobot leaves it as it is.
            return "IDENTITY"
        if kind not in mapping:
            raise Refusal(f"{self.folder}/config.json: normalization_mapping says nothing of {kind}; add \"{kind}\": \"IDENTITY\" if LeRobot did not normalise it")
        return str(mapping[kind])

    def policy_config(self, ignored=(), **changes):
        """LeRobot's own configuration object, its fields checked against this version of lerobot."""
        import draccus
        from lerobot.configs.policies import PreTrainedConfig
        import lerobot.policies.factory  # registers every kind of policy

        known = PreTrainedConfig.get_known_choices()
        if self.kind not in known:
            raise Refusal(f"{self.folder}/config.json: type {self.kind!r} is no policy of lerobot; it knows {listed(sorted(known))}")
        choice = PreTrainedConfig.get_choice_class(self.kind)
        fields = {item.name for item in dataclasses.fields(choice)}
        raw = {key: value for key, value in self.config.items() if key != "type"}
        passed = versions.known_fields(raw, f"{self.folder}/config.json") | set(ignored)
        unknown = [key for key in raw if key not in fields and key not in passed]
        if unknown:
            raise Refusal(f"{self.folder}/config.json: {listed(unknown)} is no field of {self.kind} in lerobot 0.4.4; if it does not matter at inference, say --ignore-field NAME")
        raw = {key: value for key, value in raw.items() if key in fields}
        raw.update(device="cpu", use_amp=False, **changes)
        try:
            with draccus.config_type("json"):
                return draccus.decode(choice, raw)
        except Exception as error:
            line = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
            raise Refusal(f"{self.folder}/config.json: lerobot does not take it: {line}") from error


def read_config(folder):
    """config.json of a checkpoint's folder."""
    if not folder.is_dir():
        raise Refusal(f"{folder}: is no folder; --checkpoint takes the folder with config.json and model.safetensors")
    config = read_json(folder / "config.json", "is missing; --checkpoint takes the folder that LeRobot calls pretrained_model")
    if not isinstance(config.get("type"), str):
        raise Refusal(f"{folder}/config.json: has no type, so it is no policy of LeRobot")
    return config


def kind(folder):
    """Which policy a checkpoint is of."""
    return read_config(Path(folder))["type"]


def read(folder):
    """Reads a checkpoint's folder."""
    folder = Path(folder)
    config = read_config(folder)
    if config.get("use_peft"):
        raise Refusal(f"{folder}/config.json: use_peft is set, so model.safetensors holds an adapter only; merge it into the base policy first")
    weights = read_tensors(folder / "model.safetensors")
    in_model = normalisation.of_model(weights, folder / "model.safetensors")
    weights = {key: value for key, value in weights.items() if not normalisation.is_buffer(key)}
    checkpoint = Checkpoint(folder, config["type"], config, weights, in_model, in_model)
    if (folder / PREPROCESSOR).is_file() or (folder / POSTPROCESSOR).is_file():
        read_processors(checkpoint)
    return checkpoint


def read_processors(checkpoint):
    """Takes statistics, renamed features and the tokenizer's step of both processors."""
    folder = checkpoint.folder
    checkpoint.has_processors = True
    for name, step_name in ((PREPROCESSOR, "normalizer_processor"), (POSTPROCESSOR, "unnormalizer_processor")):
        steps = read_json(folder / name, "is missing, though the checkpoint has the other processor").get("steps")
        if not isinstance(steps, list):
            raise Refusal(f"{folder / name}: has no list of steps")
        normalisers = []
        for step in steps:
            if versions.is_switched_off(step, folder / name):
                continue
            kind = step.get("registry_name")
            if kind not in KNOWN_STEPS:
                raise Refusal(f"{folder / name}: the step {kind or step.get('class')} is unknown to this exporter, which cannot say what it does to the numbers")
            config = step.get("config") or {}
            if kind == step_name:
                normalisers.append(step)
            elif kind == "rename_observations_processor":
                checkpoint.rename.update(config.get("rename_map") or {})
            elif kind == "tokenizer_processor":
                checkpoint.tokens = config
            elif kind in STATE_IN_PROMPT:
                # LeRobot does not save the width that it was trained with, and runs with its default.
                checkpoint.state_width = config.get("max_state_dim", 32)
        if len(normalisers) != 1:
            raise Refusal(f"{folder / name}: has {len(normalisers)} steps {step_name} instead of one")
        held = statistics_of(folder, name, normalisers[0])
        check_modes(checkpoint, folder / name, normalisers[0])
        if name == PREPROCESSOR:
            checkpoint.inputs = held
        else:
            checkpoint.outputs = held


def statistics_of(folder, name, step):
    """The statistics that a (un)normaliser's step points at."""
    config = step.get("config") or {}
    if config.get("normalize_observation_keys") is not None:
        raise Refusal(f"{folder / name}: normalize_observation_keys is set, which this exporter does not know")
    given = {"epsilon": config.get("eps", normalisation.EPSILON), "features": config.get("features")}
    state = step.get("state_file")
    if state is None:
        return normalisation.Statistics(folder / name, **given)
    if Path(state).name != state:
        raise Refusal(f"{folder / name}: state_file {state!r} is no plain file name")
    return normalisation.of_processor(read_tensors(folder / state), folder / state, **given)


def check_modes(checkpoint, path, step):
    """LeRobot normalises as the processor's step says, whatever config.json says: they must agree."""
    held, mapping = (step.get("config") or {}).get("norm_map"), checkpoint.config.get("normalization_mapping")
    if not isinstance(held, dict) or not isinstance(mapping, dict):
        return
    for kind in sorted({*held, *mapping}):
        one, other = held.get(kind, "IDENTITY"), mapping.get(kind, "IDENTITY")
        if one != other:
            raise Refusal(f"{path}: norm_map has {one} for {kind}, normalization_mapping of config.json has {other}; LeRobot normalises by the first; make them the same")


def read_json(path, missing):
    """A JSON object."""
    if not path.is_file():
        raise Refusal(f"{path}: {missing}")
    try:
        value = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise Refusal(f"{path}: is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refusal(f"{path}: is no JSON object")
    return value


def read_tensors(path):
    """The tensors of a safetensors file."""
    if not path.is_file():
        raise Refusal(f"{path}: is missing")
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise Refusal(f"{path}: is no safetensors file: {error}") from error


def load(policy, weights, source, unused=()):
    """Loads weights; one that is missing or left over is an error, where LeRobot logs a warning and goes on with random weights."""
    missing, unexpected = policy.load_state_dict(weights, strict=False)
    missing = [key for key in missing if key not in unused]
    unexpected = [key for key in unexpected if key not in unused]
    for fault, keys in (("lacks", missing), ("holds, and the policy does not use,", unexpected)):
        if keys:
            raise Refusal(f"{source}/model.safetensors: {fault} {len(keys)} weights, the first is {keys[0]}")
