#!/usr/bin/env python3
"""Tiny checkpoints with random weights in LeRobot's own format, one of each kind, and a tiny data set.

    tiny.py --out DIR [--kind act ...]           writes DIR/dataset and DIR/KIND (the checkpoint's folder)
    tiny.py --out DIR --packages PACKAGES        exports each to PACKAGES/KIND, too, and the data set to PACKAGES/dataset
"""

import argparse
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from export import cli  # noqa: E402

SEED = 7


def features():
    """Input and output features of the tiny data set."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    from export import tiny_data

    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (len(tiny_data.JOINTS),))}
    inputs.update({camera: PolicyFeature(FeatureType.VISUAL, (3, tiny_data.HEIGHT, tiny_data.WIDTH)) for camera in tiny_data.CAMERAS})
    return inputs, {"action": PolicyFeature(FeatureType.ACTION, (len(tiny_data.JOINTS),))}


def act(folder, statistics, **changes):
    """ACT with a narrow ResNet."""
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    from export import tiny_backbone  # noqa: F401, registers the backbone

    inputs, outputs = features()
    small = {"chunk_size": 8, "n_action_steps": 4, "vision_backbone": "resnet_narrow", "pretrained_backbone_weights": None, "dim_model": 32, "n_heads": 4}
    small.update(dim_feedforward=48, n_encoder_layers=2, n_vae_encoder_layers=1, latent_dim=8, device="cpu")
    config = ACTConfig(input_features=inputs, output_features=outputs, **{**small, **changes})
    policy = ACTPolicy(config)
    shake_norms(policy)
    save(folder, policy, make_act_pre_post_processors(config, statistics))


def diffusion(folder, statistics, **changes):
    """Diffusion Policy with a narrow ResNet and a narrow U-Net."""
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

    from export import tiny_backbone  # noqa: F401, registers the backbone

    inputs, outputs = features()
    small = {"horizon": 8, "n_action_steps": 4, "vision_backbone": "resnet_narrow", "crop_shape": (41, 56), "spatial_softmax_num_keypoints": 8}
    small.update(down_dims=(8, 16), kernel_size=3, n_groups=4, diffusion_step_embed_dim=16, num_train_timesteps=10, device="cpu")
    config = DiffusionConfig(input_features=inputs, output_features=outputs, **{**small, **changes})
    policy = DiffusionPolicy(config)
    shake_norms(policy)
    save(folder, policy, make_diffusion_pre_post_processors(config, statistics))


def smolvla(folder, statistics, **changes):
    """SmolVLA with two layers; its VLM's configuration and tokenizer go to the folder `vlm` beside it."""
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors
    from transformers import AutoTokenizer, SmolVLMConfig

    from export import smolvla as family
    from export import tiny_text

    vlm = folder.parent / "vlm"
    if not vlm.exists():
        tiny_text.write(vlm, begins=False)
        of_text = {"model_type": "llama", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
        of_text.update(head_dim=6, vocab_size=tiny_text.VOCABULARY, rms_norm_eps=1e-5, pad_token_id=0)
        of_images = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
        SmolVLMConfig(text_config=of_text, vision_config=of_images, scale_factor=2, pad_token_id=0, image_token_id=3).save_pretrained(vlm)
    inputs, outputs = features()
    small = {"chunk_size": 8, "n_action_steps": 4, "resize_imgs_with_padding": (32, 32), "tokenizer_max_length": 16, "num_vlm_layers": 2}
    small.update(max_state_dim=8, max_action_dim=8, expert_width_multiplier=0.5, num_steps=4, vlm_model_name=str(vlm), device="cpu")
    config = SmolVLAConfig(input_features=inputs, output_features=outputs, **{**small, **changes})
    policy = family.build(config, vlm, AutoTokenizer.from_pretrained(vlm))
    shake_weights(policy)
    save(folder, policy, make_smolvla_pre_post_processors(config, statistics))


def shake_weights(policy):
    """Weights that transformers starts small or at 1 hardly act; a fault in them would not show."""
    import torch

    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape) * 0.7 / weight[0].numel() ** 0.5)
            else:
                weight.add_(torch.randn(weight.shape) * 0.2)


def shake_norms(policy):
    """Frozen batch norms start as the identity, which would hide a fault."""
    import torch

    from torchvision.ops.misc import FrozenBatchNorm2d

    for module in policy.modules():
        if isinstance(module, (FrozenBatchNorm2d, torch.nn.BatchNorm2d)):
            with torch.no_grad():
                for tensor, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                    tensor.copy_(torch.rand(tensor.shape) + low)


def save(folder, policy, processors):
    """As LeRobot's training saves."""
    folder.mkdir(parents=True)
    policy.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)


KINDS = {"act": act, "diffusion": diffusion, "smolvla": smolvla}
# Folders that an export of this kind is given.
FOLDERS = {"smolvla": {"vlm": "vlm"}}


def write(out, kinds=KINDS):
    """Writes the data set and the checkpoints."""
    import torch

    from export import tiny_data

    statistics = tiny_data.write(out / "dataset")
    tensors = {name: {stat: torch.from_numpy(value) for stat, value in stats.items()} for name, stats in statistics.items()}
    for kind in kinds:
        torch.manual_seed(SEED)
        KINDS[kind](out / kind, tensors)


def export(out, packages, kinds=KINDS):
    """Exports the checkpoints; gives the rows of each."""
    shutil.copytree(out / "dataset", packages / "dataset")
    result = {}
    for kind in kinds:
        options = cli.Options(joint_units="degrees", licence="Apache-2.0", name=f"tiny-{kind}", description=f"Random weights of {kind} at tiny size, for tests.")
        folders = {option: out / folder for option, folder in FOLDERS.get(kind, {}).items()}
        result[kind] = cli.export(out / kind, out / "dataset", packages / kind, options, **folders)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoints and data set")
    parser.add_argument("--packages", type=Path, help="folder for the exported packages")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind")
    given = parser.parse_args()
    cli.quiet()
    kinds = given.kind or list(KINDS)
    write(given.out, kinds)
    if given.packages:
        given.packages.mkdir(parents=True, exist_ok=True)
        for kind, (rows, size) in export(given.out, given.packages, kinds).items():
            print(f"{kind}: {size / 1e3:.0f} KB")


if __name__ == "__main__":
    main()
