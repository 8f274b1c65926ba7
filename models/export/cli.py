"""The command line of lerobot.py."""

import argparse
import importlib
import logging
import os
import sys
import time
import warnings
from pathlib import Path

from .refusal import Refusal, TooFar, listed
from .wiring import JOINT_UNITS, SPACES, UNITS, Options

EXAMPLES = """examples:
  ACT or Diffusion on an SO-101 that was recorded in degrees:
    lerobot.py --checkpoint RUN/checkpoints/last/pretrained_model --dataset DATA --joint-units degrees --licence Apache-2.0 --out my-policy
  SmolVLA (the VLM's folder needs config.json and its tokenizer, no weights):
    lerobot.py --checkpoint RUN/... --dataset DATA --vlm SmolVLM2-500M-Video-Instruct --joint-units range --out my-policy
  pi0 and pi0.5 (the folder of PaliGemma's tokenizer):
    lerobot.py --checkpoint RUN/... --dataset DATA --tokenizer paligemma-3b-pt-224 --joint-units range --out my-policy
  pi0-FAST, with the folder of its action tokenizer, too:
    lerobot.py --checkpoint RUN/... --dataset DATA --tokenizer paligemma-3b-pt-224 --action-tokenizer fast --joint-units range --out my-policy
  The data set calls a camera otherwise than the policy, and has one that the policy does not see:
    ... --rename observation.images.top=observation.images.camera1 --ignore observation.images.side

Reads local folders only. Exit code 0: written; 1: the graphs differ from PyTorch by more than 1e-4 x max(1, largest value); 2: an input
is missing, wrong or unknown.
"""
# The module of each kind of policy.
KINDS = {"act": "act", "diffusion": "diffusion", "smolvla": "smolvla", "pi0": "pi0", "pi05": "pi0", "pi0_fast": "pi0_fast"}


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; --help lists the options\n")


def parser():
    options = Parser(prog="lerobot.py", description="LeRobot checkpoint -> policy package, compared with PyTorch.", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("--checkpoint", required=True, metavar="DIR", help="folder with config.json, model.safetensors and the processors (LeRobot's pretrained_model)")
    add("--dataset", required=True, metavar="DIR", help="folder of the LeRobotDataset v3 that the policy was trained on: joint names, cameras, fps")
    add("--out", required=True, metavar="PACKAGE", help="folder to write; must not exist")
    add("--vlm", metavar="DIR", help="SmolVLA: folder of the vision-language model's config.json")
    add("--tokenizer", metavar="DIR", help="folder of the tokenizer; for SmolVLA --vlm where that holds it")
    add("--action-tokenizer", metavar="DIR", help="pi0-FAST: folder of the tokenizer of its actions (tokenizer.json, processor_config.json)")
    add("--joint-units", choices=sorted(JOINT_UNITS), help="unit of the joints NAME.pos: degrees (use_degrees) or range (-100 to 100)")
    add("--unit", action="append", default=[], metavar="NAME=UNIT", help=f"unit of a joint; * means every joint, action/NAME the action's alone; one of {listed(UNITS)}")
    add("--space", choices=SPACES, help="what the action is to the robot, where its names do not end in .pos")
    add("--rename", action="append", default=[], metavar="RECORDED=POLICY", help="a camera of the data set that the policy calls otherwise")
    add("--ignore", action="append", default=[], metavar="FEATURE", help="a feature of the data set that the policy does not read")
    add("--without-camera", action="append", default=[], metavar="FEATURE", help="SmolVLA, pi0: a camera of config.json that the policy was trained without")
    add("--ignore-field", action="append", default=[], metavar="FIELD", help="a field of config.json that lerobot 0.4.4 does not know and that does not matter")
    add("--statistics", metavar="NAME", help="which data set's statistics, where an old checkpoint holds several")
    add("--prompt-state", choices=("padded", "plain"), help="pi0.5, pi0-FAST: whether the prompt holds the state padded to max_state_dim (lerobot 0.4) or as it is (0.5 and later), where the checkpoint does not show its version")
    add("--execute", type=int, metavar="N", help="steps to execute of each chunk; else the checkpoint's n_action_steps")
    add("--backbone", metavar="FILE.py", help="Python file to run first, which registers an own backbone under torchvision.models")
    add("--instruction", metavar="TEXT", help="instruction of the golden values")
    add("--traceback", action="store_true", help="show where in Python an error arose")
    add("--name", help="name of the policy; else the name of the folder")
    add("--version", default="1.0.0", help="version of the policy")
    add("--licence", metavar="SPDX", help="licence of the weights; else config.json's")
    add("--description", metavar="TEXT", help="one sentence")
    return options


def main(arguments=None):
    """Exports one checkpoint; gives the exit code."""
    given = parser().parse_args(arguments)
    quiet()
    try:
        options = to_options(given)
        started = time.monotonic()
        rows, size = export(given.checkpoint, given.dataset, given.out, options, given.vlm, given.tokenizer, given.backbone, given.action_tokenizer)
    except Refusal as error:
        if given.traceback:
            raise
        print(f"lerobot.py: {error}", file=sys.stderr)
        return 2
    except TooFar as error:
        print(f"lerobot.py: the graphs do not give PyTorch's numbers: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if given.traceback:
            raise
        line = (str(error).strip().splitlines() or ["no message"])[0]
        print(f"lerobot.py: {type(error).__name__} in LeRobot or the exporter: {line}; --traceback shows where", file=sys.stderr)
        return 2
    worst = max(rows, key=lambda row: row[1] / row[2])
    print(f"{given.out}: {size / 1e6:.2f} MB in {time.monotonic() - started:.0f} s; the largest difference is {worst[1]:.3g} of {worst[2]:.3g} ({worst[0]})")
    return 0


def to_options(given):
    """Checks what can be checked without a file."""
    units = pairs(given.unit, "--unit")
    for name, unit in units.items():
        if unit not in UNITS:
            raise Refusal(f"--unit {name}={unit}: the unit is unknown; known are {listed(UNITS)}")
    return Options(
        rename=pairs(given.rename, "--rename"),
        ignore=set(given.ignore),
        without_camera=set(given.without_camera),
        ignore_field=set(given.ignore_field),
        joint_units=given.joint_units,
        units=units,
        space=given.space,
        statistics=given.statistics,
        prompt_state=given.prompt_state,
        execute=given.execute,
        name=given.name,
        version=given.version,
        licence=given.licence,
        description=given.description,
        instruction=given.instruction,
    )


def pairs(texts, option):
    result = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        if not (name and sign and value):
            raise Refusal(f"{option} {text}: must be NAME=VALUE")
        result[name] = value
    return result


def quiet():
    """Nothing is fetched, and LeRobot's warnings do not hide the exporter's lines."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)


def export(checkpoint, dataset, out, options, vlm=None, tokenizer=None, backbone=None, action_tokenizer=None, say=print):
    """Exports a checkpoint to a package; gives the comparison's rows and the package's size."""
    from . import checkpoint as checkpoints, dataset as datasets, package

    if backbone is not None:
        run_file(backbone)
    say(f"reading {checkpoint}")
    family = module_of(checkpoints.kind(checkpoint), checkpoint)
    read = checkpoints.read(checkpoint)
    recorded = datasets.read(dataset)
    given = {"vlm": vlm, "tokenizer": tokenizer, "action_tokenizer": action_tokenizer}
    folders = {option: folder and Path(folder) for option, folder in given.items()}
    plan = family.plan(read, recorded, options, folders)
    for note in plan.notes:
        say(f"note: {note}")
    return package.write(plan, read, recorded, options, out, say)


def module_of(kind, folder):
    """The module that knows this kind of policy."""
    if module := KINDS.get(kind):
        return importlib.import_module(f".{module}", __package__)
    raise Refusal(f"{folder}/config.json: type {kind} is not supported; supported are {listed(KINDS)}")


def run_file(path):
    import runpy

    if not Path(path).is_file():
        raise Refusal(f"--backbone {path}: is no file")
    runpy.run_path(str(path))
