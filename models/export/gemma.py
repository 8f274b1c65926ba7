"""Gemma as openpi runs it: no factor of sqrt(hidden) on what enters, and norms that follow a condition where the weights hold them.

The released transformers multiplies by sqrt(hidden) inside and knows no conditioned norms; openpi's changes to it are on no registry.
Sizes follow from the weights: one head of keys and values, whose width is that of a head.
"""

import torch
from torch import nn

from .layers import attend, join_heads, linear, repeat_heads, rotate, split_heads

EPSILON = 1e-6


class Norm(nn.Module):
    """x / rms(x) * (1 + weight); or with scale, shift and gate made of the condition. Gives the result and the gate."""

    def __init__(self, weights, name):
        super().__init__()
        self.conditioned = f"{name}.dense.weight" in weights
        if self.conditioned:
            self.dense = linear(weights.take(f"{name}.dense.weight"), weights.take(f"{name}.dense.bias"))
        else:
            self.scale = nn.Parameter(1.0 + weights.take(f"{name}.weight").float())

    def forward(self, x, condition):
        x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON)
        if not self.conditioned:
            return x * self.scale, None
        scale, shift, gate = self.dense(condition)[:, None].chunk(3, dim=-1)
        return x * (1.0 + scale) + shift, gate


class Layer(nn.Module):
    """A layer of weights under `prefix`."""

    def __init__(self, weights, prefix):
        super().__init__()
        at = lambda name: linear(weights.take(f"{prefix}{name}.weight"))  # noqa: E731
        self.query, self.key, self.value, self.out = (at(f"self_attn.{name}_proj") for name in "qkvo")
        self.gate, self.up, self.down = (at(f"mlp.{name}_proj") for name in ("gate", "up", "down"))
        self.norm1, self.norm2 = Norm(weights, f"{prefix}input_layernorm"), Norm(weights, f"{prefix}post_attention_layernorm")
        self.width = self.key.out_features
        self.heads = self.query.out_features // self.width

    def project(self, x, cosine, sine):
        """Query, key and value [1, heads, L, d] of a normed x."""
        query, key = split_heads(self.query(x), self.heads), split_heads(self.key(x), 1)
        return rotate(query, cosine, sine), rotate(key, cosine, sine), split_heads(self.value(x), 1)

    def finish(self, x, gate, query, key, value, bias, condition):
        y = attend(query, repeat_heads(key, self.heads), repeat_heads(value, self.heads), bias=bias)
        x = gated(x, self.out(join_heads(y)), gate)
        y, gate = self.norm2(x, condition)
        y = self.down(nn.functional.gelu(self.gate(y), approximate="tanh") * self.up(y))
        return gated(x, y, gate)


def gated(x, y, gate):
    return x + (y if gate is None else y * gate)


class Gemma(nn.Module):
    """All layers and the last norm, of weights under `prefix`."""

    def __init__(self, weights, prefix):
        super().__init__()
        names = [name.removeprefix(f"{prefix}layers.") for name in weights.names() if name.startswith(f"{prefix}layers.")]
        count = 1 + max((int(name.split(".")[0]) for name in names), default=-1)
        self.layers = nn.ModuleList(Layer(weights, f"{prefix}layers.{index}.") for index in range(count))
        self.norm = Norm(weights, f"{prefix}norm")

    def forward(self, x, cosine, sine, bias, held=None, condition=None, last=None):
        """The layers over x, which attends to the keys and values that are `held`, too. Gives the keys and values of x [layers, 1, L, d], and
        what comes of its `last` rows: of all of them by default, `None` for none. With it, `bias` is the same for all rows."""
        keys, values = [], []
        for index, layer in enumerate(self.layers):
            y, gate = layer.norm1(x, condition)
            query, key, value = layer.project(y, cosine, sine)
            keys.append(key)
            values.append(value)
            if held is not None:
                key, value = (torch.cat([before[index : index + 1], own], dim=2) for before, own in zip(held, (key, value)))
            if last is not None and index + 1 == len(self.layers):
                if last == 0:
                    return torch.cat(keys), torch.cat(values), None
                x, query = x[:, -last:], query[:, :, -last:]
            x = layer.finish(x, gate, query, key, value, bias, condition)
        return torch.cat(keys), torch.cat(values), self.norm(x, condition)[0]
