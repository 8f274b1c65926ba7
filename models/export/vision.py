"""SigLIP's image encoder, which SmolVLA and pi0 share."""

import torch
from torch import nn

from .layers import attend, join_heads, linear, split_heads


class VisionLayer(nn.Module):
    """One layer, of weights by LeRobot's names after `prefix`."""

    def __init__(self, weights, prefix, heads, epsilon):
        super().__init__()
        at = lambda name: linear(weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"])  # noqa: E731
        self.heads = heads
        self.query, self.key, self.value, self.out = (at(f"self_attn.{name}_proj") for name in ("q", "k", "v", "out"))
        self.inner, self.outer = at("mlp.fc1"), at("mlp.fc2")
        self.norm1, self.norm2 = (layer_norm(weights, f"{prefix}layer_norm{index}", epsilon) for index in (1, 2))

    def forward(self, x):
        y = self.norm1(x)
        query, key, value = (split_heads(part(y), self.heads) for part in (self.query, self.key, self.value))
        x = x + self.out(join_heads(attend(query, key, value)))
        return x + self.outer(nn.functional.gelu(self.inner(self.norm2(x)), approximate="tanh"))


class VisionTower(nn.Module):
    """Images [n, 3, H, W] -> patch features [n, patches, D]. `positions` [patches, D] are added to the patches."""

    def __init__(self, weights, prefix, heads, epsilon, positions):
        super().__init__()
        patch = weights[f"{prefix}embeddings.patch_embedding.weight"]
        self.patches = nn.Conv2d(3, patch.shape[0], kernel_size=patch.shape[-1], stride=patch.shape[-1])
        self.patches.weight = nn.Parameter(patch.detach().float().clone())
        self.patches.bias = nn.Parameter(weights[f"{prefix}embeddings.patch_embedding.bias"].detach().float().clone())
        self.register_buffer("positions", positions.detach().float().clone()[None])
        count = 1 + max(int(name.removeprefix(f"{prefix}encoder.layers.").split(".")[0]) for name in weights if name.startswith(f"{prefix}encoder.layers."))
        self.layers = nn.ModuleList(VisionLayer(weights, f"{prefix}encoder.layers.{index}.", heads, epsilon) for index in range(count))
        self.norm = layer_norm(weights, f"{prefix}post_layernorm", epsilon)

    def forward(self, images):
        x = self.patches(images)
        count, width, rows, columns = (int(size) for size in x.shape)
        x = x.reshape(count, width, rows * columns).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def layer_norm(weights, name, epsilon):
    norm = nn.LayerNorm(weights[f"{name}.weight"].shape[0], eps=epsilon)
    norm.weight = nn.Parameter(weights[f"{name}.weight"].detach().float().clone())
    norm.bias = nn.Parameter(weights[f"{name}.bias"].detach().float().clone())
    return norm


def together(images):
    """All cameras' images as one batch."""
    return images[0] if len(images) == 1 else torch.cat(images)
