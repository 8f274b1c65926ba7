#!/usr/bin/env python3
"""LeRobot's real sizes with random weights. Not for the repository: 200 MB and more.

    real_size.py act --out DIR           ACT: two cameras of 480 x 640, ResNet-18, width 512, chunk 100
    real_size.py diffusion --out DIR     Diffusion: two cameras of 480 x 640, ResNet-18, U-Net of 512, 1024, 2048, horizon 16
    real_size.py smolvla --out DIR       SmolVLA, 450 M weights: two cameras, 16 layers, chunk 50
    real_size.py act --checkpoint DIR    the checkpoint and a data set in LeRobot's own format, for lerobot.py

With --out: the stages as ONNX graphs NAME.onnx for `wink bench`; beside each lie inputs NAME.npz, and PyTorch's outputs in
NAME.expected.npz.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

from export import cli, tiny  # noqa: E402

WIDTH, HEIGHT = 640, 480
KINDS = ("act", "diffusion", "smolvla")
# Beyond LeRobot's defaults. Nothing is fetched.
SIZES = {"act": {"pretrained_backbone_weights": None}, "diffusion": {}, "smolvla": {}}


def checkpoint(kind, folder):
    """Writes the data set to folder/dataset and the checkpoint to folder/KIND; SmolVLA's configuration and tokenizer to folder/vlm."""
    import torch

    from export import tiny_data

    statistics = tiny_data.write(folder / "dataset", WIDTH, HEIGHT)
    tensors = {name: {stat: torch.from_numpy(value) for stat, value in stats.items()} for name, stats in statistics.items()}
    if kind == "smolvla":
        write_vlm(folder / "vlm")
    torch.manual_seed(tiny.SEED)
    tiny.KINDS[kind](folder / kind, tensors, size=tiny.features(WIDTH, HEIGHT) | SIZES[kind])


def write_vlm(folder):
    """The sizes of SmolVLM2-500M-Video-Instruct, of whose 32 text layers SmolVLA keeps 16, with the tests' tokenizer."""
    from transformers import SmolVLMConfig

    from export import tiny_text

    of_text = {"model_type": "llama", "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 16, "num_attention_heads": 15, "num_key_value_heads": 5}
    of_text.update(head_dim=64, vocab_size=49280, rms_norm_eps=1e-5, pad_token_id=2)
    of_images = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 512, "patch_size": 16}
    tiny_text.write(folder, begins=False)
    SmolVLMConfig(text_config=of_text, vision_config=of_images, scale_factor=4, pad_token_id=2).save_pretrained(folder)


def write(folder, plan, dataset):
    """Exports a plan's stages, each with the inputs that it gets of a seeded observation, and its outputs."""
    import numpy as np
    from tokenizers import Tokenizer

    from export import check, graphs
    from export.interpreter import Interpreter

    policy = {"observations": plan.observations, "stages": [stage.part() for stage in plan.stages], "action": plan.action}
    modules = check.Modules(plan.stages)
    tokenizer = plan.tokenizer and Tokenizer.from_str(plan.tokenizer)
    Interpreter(policy, modules.run, tokenizer, plan.tables, plan.caches()).run(check.observation(policy, dataset.cameras(), "put the red cube into the box"))
    folder.mkdir(parents=True, exist_ok=True)
    for stage in plan.stages:
        started = time.monotonic()
        given, made = {tensor: modules.given[stage.name][tensor] for tensor in stage.inputs}, modules.made[stage.name]
        files, nodes = graphs.export(stage.module, given, stage.outputs, folder / f"{stage.name}.onnx")
        np.savez(folder / f"{stage.name}.npz", **{tensor: value.numpy() for tensor, value in given.items()})
        np.savez(folder / f"{stage.name}.expected.npz", **{tensor: value.numpy() for tensor, value in made.items()})
        size = sum((folder / file).stat().st_size for file in files)
        print(f"{stage.name}: {nodes} nodes, {size / 1e6:.1f} MB, {time.monotonic() - started:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="folder for the graphs")
    where.add_argument("--checkpoint", type=Path, help="folder for the checkpoint and its data set")
    given = parser.parse_args()
    cli.quiet()
    if given.checkpoint:
        checkpoint(given.kind, given.checkpoint)
        return
    from export import checkpoint as checkpoints, dataset as datasets

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        checkpoint(given.kind, folder)
        folders = dict.fromkeys(("vlm", "tokenizer", "action_tokenizer")) | {option: folder / name for option, name in tiny.FOLDERS.get(given.kind, {}).items()}
        dataset = datasets.read(folder / "dataset")
        family = cli.module_of(given.kind, folder / given.kind)
        plan = family.plan(checkpoints.read(folder / given.kind), dataset, cli.Options(joint_units="degrees"), folders)
    write(given.out, plan, dataset)


if __name__ == "__main__":
    main()
