#!/usr/bin/env python3
"""LeRobot's real sizes with random weights, as ONNX graphs for `wink bench`. Not for the repository: 200 MB and more.

    real_size.py act --out DIR        ACT: two cameras of 480 x 640, ResNet-18, width 512, chunk 100
    real_size.py smolvla --out DIR    SmolVLA, 450 M weights: two cameras, 16 layers, chunk 50; vision, prefix and step

Beside each graph NAME.onnx lie inputs NAME.npz, and PyTorch's outputs in NAME.expected.npz.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse  # noqa: E402
import time  # noqa: E402

from export import cli, graphs  # noqa: E402

SEED = 7
JOINTS = 6


def write(folder, stages, inputs):
    """Exports stages; the first stage's outputs may feed the next. `inputs`: values by name."""
    import numpy as np
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    values = dict(inputs)
    for stage in stages:
        started = time.monotonic()
        given = {tensor: values[value] for tensor, value in stage.inputs.items()}
        with torch.no_grad():
            made = stage.module(*given.values())
        made = dict(zip(stage.outputs, (made,) if isinstance(made, torch.Tensor) else made, strict=True))
        values.update({f"{stage.name}.{tensor}": value for tensor, value in made.items()})
        files, nodes = graphs.export(stage.module, given, stage.outputs, folder / f"{stage.name}.onnx")
        np.savez(folder / f"{stage.name}.npz", **{tensor: value.numpy() for tensor, value in given.items()})
        np.savez(folder / f"{stage.name}.expected.npz", **{tensor: value.numpy() for tensor, value in made.items()})
        size = sum((folder / file).stat().st_size for file in files)
        print(f"{stage.name}: {nodes} nodes, {size / 1e6:.1f} MB, {time.monotonic() - started:.0f} s", flush=True)


def features(width, height, cameras=2):
    from lerobot.configs.types import FeatureType, PolicyFeature

    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (JOINTS,))}
    inputs.update({f"observation.images.{index}": PolicyFeature(FeatureType.VISUAL, (3, height, width)) for index in range(cameras)})
    return inputs, {"action": PolicyFeature(FeatureType.ACTION, (JOINTS,))}


def act(folder):
    import torch
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    from export import wiring
    from export.act import ActGraph
    from export.plan import Stage

    inputs, outputs = features(640, 480)
    policy = ACTPolicy(ACTConfig(input_features=inputs, output_features=outputs, pretrained_backbone_weights=None, device="cpu")).eval()
    cameras = [wiring.Camera(name, name, (640, 480), (640, 480)) for name in list(inputs)[1:]]
    stage = Stage("act", "observation", ActGraph(policy.model, cameras), {"state": "state", **{camera.tensor: camera.name for camera in cameras}}, ["actions"])
    values = {"state": torch.randn(1, JOINTS), **{camera.name: torch.randn(1, 3, 480, 640) for camera in cameras}}
    write(folder, [stage], values)


def smolvla(folder):
    import tempfile

    import torch
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from transformers import AutoTokenizer, SmolVLMConfig

    from export import smolvla as family
    from export import tiny_text

    # SmolVLM2-500M-Video-Instruct, of whose 32 text layers SmolVLA keeps 16.
    of_text = {"model_type": "llama", "hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 16, "num_attention_heads": 15, "num_key_value_heads": 5}
    of_text.update(head_dim=64, vocab_size=49280, rms_norm_eps=1e-5, pad_token_id=2)
    of_images = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 512, "patch_size": 16}
    inputs, outputs = features(640, 480)
    with tempfile.TemporaryDirectory() as vlm:
        tiny_text.write(vlm, begins=False)
        SmolVLMConfig(text_config=of_text, vision_config=of_images, scale_factor=4, pad_token_id=2).save_pretrained(vlm)
        config = SmolVLAConfig(input_features=inputs, output_features=outputs, vlm_model_name=vlm, device="cpu")
        policy = family.build(config, vlm, AutoTokenizer.from_pretrained(vlm))
    names = list(inputs)[1:]
    stages = family.stages(policy, len(names), {f"image_{index}": name for index, name in enumerate(names)})
    del policy
    mask = torch.zeros(1, config.tokenizer_max_length, dtype=torch.bool)
    mask[:, :12] = True
    values = {name: torch.rand(1, 3, 512, 512) * 2 - 1 for name in names}
    values.update({"observation.state": torch.randn(1, 32), "tokens": torch.randint(3, 49280, mask.shape) * mask, "mask": mask})
    values.update({"loop.sample": torch.randn(1, config.chunk_size, config.max_action_dim), "loop.time": torch.ones(1)})
    write(folder, stages, values)


KINDS = {"act": act, "smolvla": smolvla}


def main():
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--out", required=True, type=Path, help="folder for the graphs")
    given = parser.parse_args()
    cli.quiet()
    torch.manual_seed(SEED)
    KINDS[given.kind](given.out)


if __name__ == "__main__":
    main()
