#!/usr/bin/env python3
"""Tiny checkpoints with random weights in LeRobot's own format, one of each kind, and a tiny data set.

    tiny.py --out DIR [--kind act ...]           writes DIR/dataset and DIR/KIND (the checkpoint's folder)
    tiny.py --out DIR --packages PACKAGES        exports each to PACKAGES/KIND, too, and the data set to PACKAGES/dataset
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse  # noqa: E402
import shutil  # noqa: E402

from export import cli  # noqa: E402

SEED = 7


SMALL = {
    "act": {"chunk_size": 8, "n_action_steps": 4, "vision_backbone": "resnet_narrow", "pretrained_backbone_weights": None, "dim_model": 32, "n_heads": 4}
    | {"dim_feedforward": 48, "n_encoder_layers": 2, "n_vae_encoder_layers": 1, "latent_dim": 8},
    "diffusion": {"horizon": 8, "n_action_steps": 4, "vision_backbone": "resnet_narrow", "crop_shape": (41, 56), "spatial_softmax_num_keypoints": 8}
    | {"down_dims": (8, 16), "kernel_size": 3, "n_groups": 4, "diffusion_step_embed_dim": 16, "num_train_timesteps": 10},
    "smolvla": {"chunk_size": 8, "n_action_steps": 4, "resize_imgs_with_padding": (32, 32), "tokenizer_max_length": 16, "num_vlm_layers": 2}
    | {"max_state_dim": 8, "max_action_dim": 8, "expert_width_multiplier": 0.5, "num_steps": 4},
    "pi0": {"chunk_size": 8, "n_action_steps": 4, "image_resolution": (14, 14), "max_state_dim": 8, "max_action_dim": 8, "num_inference_steps": 4, "tokenizer_max_length": 16},
}
SMALL["pi05"] = SMALL["pi0"] | {"tokenizer_max_length": 80, "max_state_dim": 32}
SMALL["pi0_fast"] = {name: value for name, value in SMALL["pi05"].items() if name != "num_inference_steps"} | {"n_action_steps": 8, "max_decoding_steps": 24, "fast_skip_tokens": 12}


def features(width=None, height=None):
    """Input and output features of the tiny data set, as fields of a policy's configuration."""
    from lerobot.configs.types import FeatureType, PolicyFeature

    from export import tiny_data

    width, height = width or tiny_data.WIDTH, height or tiny_data.HEIGHT
    inputs = {"observation.state": PolicyFeature(FeatureType.STATE, (len(tiny_data.JOINTS),))}
    inputs.update({camera: PolicyFeature(FeatureType.VISUAL, (3, height, width)) for camera in tiny_data.CAMERAS})
    outputs = {"action": PolicyFeature(FeatureType.ACTION, (len(tiny_data.JOINTS),))}
    return {"input_features": inputs, "output_features": outputs}


def act(folder, statistics, size=SMALL["act"], **changes):
    """ACT with a narrow ResNet. `size`: fields for another size."""
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    from export import tiny_backbone  # noqa: F401, registers the backbone

    config = ACTConfig(**{**features(), **size, "device": "cpu", **changes})
    policy = ACTPolicy(config)
    shake_norms(policy)
    save(folder, policy, make_act_pre_post_processors(config, statistics))


def diffusion(folder, statistics, size=SMALL["diffusion"], **changes):
    """Diffusion Policy with a narrow ResNet and a narrow U-Net."""
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

    from export import tiny_backbone  # noqa: F401, registers the backbone

    config = DiffusionConfig(**{**features(), **size, "device": "cpu", **changes})
    policy = DiffusionPolicy(config)
    shake_norms(policy)
    save(folder, policy, make_diffusion_pre_post_processors(config, statistics))


def smolvla(folder, statistics, size=SMALL["smolvla"], **changes):
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
    config = SmolVLAConfig(**{**features(), **size, "device": "cpu", "vlm_model_name": str(vlm), **changes})
    policy = family.build(config, vlm, AutoTokenizer.from_pretrained(vlm))
    shake_weights(policy)
    save(folder, policy, make_smolvla_pre_post_processors(config, statistics))


def pi0(folder, statistics, five=False, **changes):
    """pi0 with two layers; its tokenizer goes to the folder `paligemma` beside it. LeRobot itself builds only the real sizes."""
    from lerobot.policies.pi0.configuration_pi0 import PI0Config
    from lerobot.policies.pi0.processor_pi0 import make_pi0_pre_post_processors
    from lerobot.policies.pi05.configuration_pi05 import PI05Config
    from lerobot.policies.pi05.processor_pi05 import make_pi05_pre_post_processors

    from export import tiny_text
    from export.lerobot_reference import local_tokenizer

    tokenizer = folder.parent / "paligemma"
    if not tokenizer.exists():
        tiny_text.write(tokenizer, begins=True)
    config = (PI05Config if five else PI0Config)(**{**features(), **SMALL["pi05" if five else "pi0"], "device": "cpu", **changes})
    weights = {**paligemma_weights(config), **expert_weights(five, config)}
    with local_tokenizer(tokenizer):
        processors = (make_pi05_pre_post_processors if five else make_pi0_pre_post_processors)(config, statistics)
    save_parts(folder, config, weights, processors)


def save_parts(folder, config, weights, processors):
    """As LeRobot's training saves a policy that the transformers of PyPI does not build."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config._save_pretrained(folder)
    save_file({f"model.{name}": value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    for processor in processors:
        processor.save_pretrained(folder)
    # That of lerobot 0.4 has no cudnn_deterministic.
    (folder / "train_config.json").write_text("{}")


def pi0_fast(folder, statistics, **changes):
    """pi0-FAST with two layers, which says a fixed sequence; its tokenizers go to the folders `paligemma` and `fast` beside it."""
    import torch
    from lerobot.policies.pi0_fast.configuration_pi0_fast import PI0FastConfig
    from lerobot.policies.pi0_fast.processor_pi0_fast import make_pi0_fast_pre_post_processors

    from export import fast, text, tiny_fast, tiny_text
    from export.lerobot_reference import local_tokenizer

    tokenizer, actions = folder.parent / "paligemma", folder.parent / "fast"
    if not tokenizer.exists():
        tiny_text.write(tokenizer, begins=True)
    if not actions.exists():
        tiny_fast.write(actions)
    config = PI0FastConfig(**{**features(), **SMALL["pi0_fast"], "device": "cpu", **changes})
    weights = paligemma_weights(config)
    spoken = fast.read(actions)
    said = tiny_fast.sequence(text.read(tokenizer, "", "").fast, spoken, config.fast_skip_tokens, 10)
    language = "paligemma_with_expert.paligemma.model.language_model"
    with torch.no_grad():
        tiny_fast.teach({name.removesuffix(".weight"): value for name, value in weights.items()} | {"embedding": weights[f"{language}.embed_tokens.weight"]}, said, f"{language}.layers.")
    with local_tokenizer(tokenizer, spoken.processor):
        processors = make_pi0_fast_pre_post_processors(config, statistics)
    save_parts(folder, config, weights, processors)


def pi05(folder, statistics, **changes):
    """pi0.5: the state as text, norms that follow the time."""
    pi0(folder, statistics, five=True, **changes)


def paligemma_weights(config, width=16, mlp=24, head=4, heads=8, depth=2, vision=32, patch=7, vocabulary=512):
    """Random weights of what the pi policies share, by the names that LeRobot saves."""
    import torch

    paligemma = "paligemma_with_expert.paligemma"
    tower = f"{paligemma}.model.vision_tower.vision_model"
    made = {
        f"{tower}.embeddings.patch_embedding.weight": torch.randn(vision, 3, patch, patch) * 0.1,
        f"{tower}.embeddings.patch_embedding.bias": torch.randn(vision) * 0.1,
        f"{tower}.embeddings.position_embedding.weight": torch.randn((config.image_resolution[0] // patch) ** 2, vision) * 0.5,
    }

    def norm(name):
        made[f"{name}.weight"], made[f"{name}.bias"] = 1 + torch.randn(vision) * 0.1, torch.randn(vision) * 0.1

    for index in range(depth):
        at = f"{tower}.encoder.layers.{index}"
        for part in ("q", "k", "v", "out"):
            made.update(linear_weights(f"{at}.self_attn.{part}_proj", vision, vision, bias=True))
        made.update(linear_weights(f"{at}.mlp.fc1", vision, mlp, bias=True))
        made.update(linear_weights(f"{at}.mlp.fc2", mlp, vision, bias=True))
        norm(f"{at}.layer_norm1")
        norm(f"{at}.layer_norm2")
    norm(f"{tower}.post_layernorm")
    made.update(linear_weights(f"{paligemma}.model.multi_modal_projector.linear", vision, width, bias=True))
    made[f"{paligemma}.model.language_model.embed_tokens.weight"] = torch.randn(vocabulary, width) * 0.25
    made.update(gemma_weights(f"{paligemma}.model.language_model", width, mlp, head, heads, depth))
    return made


def expert_weights(five, config, expert=12, mlp=24, head=4, heads=8, depth=2):
    """Random weights of the action expert of pi0 or pi0.5, by the names that LeRobot saves."""
    made = gemma_weights("paligemma_with_expert.gemma_expert.model", expert, mlp, head, heads, depth, conditioned=five)
    made.update(linear_weights("paligemma_with_expert.gemma_expert.lm_head", expert, 4))
    sizes = {"action_in_proj": (config.max_action_dim, expert), "action_out_proj": (expert, config.max_action_dim)}
    if five:
        sizes.update(time_mlp_in=(expert, expert), time_mlp_out=(expert, expert))
    else:
        sizes.update(state_proj=(config.max_state_dim, expert), action_time_mlp_in=(2 * expert, expert), action_time_mlp_out=(expert, expert))
    for name, (inner, outer) in sizes.items():
        made.update(linear_weights(name, inner, outer, bias=True))
    return made


def gemma_weights(name, width, mlp, head, heads, depth, conditioned=False):
    """Random weights of a Gemma."""
    made = {}
    for index in range(depth):
        at = f"{name}.layers.{index}"
        for part, inner, outer in (("q", width, heads * head), ("k", width, head), ("v", width, head), ("o", heads * head, width)):
            made.update(linear_weights(f"{at}.self_attn.{part}_proj", inner, outer))
        for part, inner, outer in (("gate", width, mlp), ("up", width, mlp), ("down", mlp, width)):
            made.update(linear_weights(f"{at}.mlp.{part}_proj", inner, outer))
        for part in ("input_layernorm", "post_attention_layernorm"):
            made.update(norm_weights(f"{at}.{part}", width, conditioned))
    return made | norm_weights(f"{name}.norm", width, conditioned)


def linear_weights(name, inner, outer, bias=False):
    import torch

    made = {f"{name}.weight": torch.randn(outer, inner) * inner**-0.5}
    return made | {f"{name}.bias": torch.randn(outer) * 0.1} if bias else made


def norm_weights(name, width, conditioned):
    import torch

    if conditioned:
        return linear_weights(f"{name}.dense", width, 3 * width, bias=True)
    return {f"{name}.weight": torch.randn(width) * 0.2}


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


KINDS = {"act": act, "diffusion": diffusion, "smolvla": smolvla, "pi0": pi0, "pi05": pi05, "pi0_fast": pi0_fast}
# Folders that an export of this kind is given.
FOLDERS = {"smolvla": {"vlm": "vlm"}, "pi0": {"tokenizer": "paligemma"}, "pi05": {"tokenizer": "paligemma"}, "pi0_fast": {"tokenizer": "paligemma", "action_tokenizer": "fast"}}


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
