"""What versions of LeRobot after 0.4.4 write into a checkpoint, and what of it changes the numbers. Compared with 0.5.0, 0.5.1 and 0.6.1."""

import json
import shutil
import tempfile
from pathlib import Path

from .refusal import Refusal

# Fields of config.json that 0.4.4 does not know and that do not act at inference. The names of the action are compared elsewhere.
WITHOUT_EFFECT = {"pretrained_revision", "gradient_checkpointing", "relative_exclude_joints", "action_feature_names"}
# Fields that do not act where they are false.
SWITCHES = {"use_relative_actions": "the policy gives joints relative to the state, some of them absolute, which this exporter cannot compare with lerobot 0.4.4"}
# Steps of the processors that do nothing unless they are enabled.
SWITCHED_STEPS = {"relative_actions_processor", "absolute_actions_processor"}


def known_fields(config, source):
    """Fields of config.json that may be left out before 0.4.4 reads it."""
    for name, why in SWITCHES.items():
        if config.get(name):
            raise Refusal(f"{source}: {name} is set: {why}")
    return WITHOUT_EFFECT | set(SWITCHES)


def is_switched_off(step, source):
    """Whether a processor's step is one that may be enabled, and is not."""
    kind = step.get("registry_name")
    if kind not in SWITCHED_STEPS:
        return False
    if (step.get("config") or {}).get("enabled", True):
        raise Refusal(f"{source}: the step {kind} is enabled: {SWITCHES['use_relative_actions']}")
    return True


def pads_prompt(checkpoint):
    """Whether the version that trained a pi0.5 pads the state in its prompt to max_state_dim: 0.4 does, 0.5 and later do not. `None`: the
    checkpoint does not show which it was."""
    if any(name in checkpoint.config for name in SWITCHES):
        return False
    train = checkpoint.folder / "train_config.json"
    if not train.is_file():
        return None
    try:
        return "cudnn_deterministic" not in json.loads(train.read_text())
    except ValueError as error:
        raise Refusal(f"{train}: is no JSON: {error}") from error


class readable:  # noqa: N801
    """A folder with the processors as 0.4.4 reads them: without the steps that are switched off."""

    def __init__(self, folder, names):
        self.folder, self.names = Path(folder), names

    def __enter__(self):
        contents = {name: json.loads((self.folder / name).read_text()) for name in self.names}
        kept = {name: [step for step in content["steps"] if not is_switched_off(step, self.folder / name)] for name, content in contents.items()}
        self.held = None
        if all(len(kept[name]) == len(content["steps"]) for name, content in contents.items()):
            return self.folder
        self.held = tempfile.TemporaryDirectory()
        copy = Path(self.held.name)
        for name, content in contents.items():
            (copy / name).write_text(json.dumps({**content, "steps": kept[name]}))
            for step in kept[name]:
                if state := step.get("state_file"):
                    shutil.copy(self.folder / state, copy / state)
        return copy

    def __exit__(self, *_):
        if self.held is not None:
            self.held.cleanup()
