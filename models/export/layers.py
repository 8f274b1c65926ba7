"""Pieces that several policies share, written so that their graphs are small: attention, folded batch norms, the time's embedding."""

import math

import torch
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d


def split_heads(x, heads):
    """[n, L, heads * d] -> [n, heads, L, d]."""
    count, length, width = (int(size) for size in x.shape)
    return x.reshape(count, length, heads, width // heads).transpose(1, 2)


def join_heads(x):
    """[n, heads, L, d] -> [n, L, heads * d]."""
    count, heads, length, width = (int(size) for size in x.shape)
    return x.transpose(1, 2).reshape(count, length, heads * width)


def attend(query, key, value, allowed=None, bias=None):
    """Softmax attention over [n, heads, L, d]. `allowed` (bool) masks scores, `bias` is added to them."""
    scores = query @ key.transpose(-1, -2) * int(query.shape[-1]) ** -0.5
    if allowed is not None:
        scores = torch.where(allowed, scores, torch.finfo(torch.float32).min)
    if bias is not None:
        scores = scores + bias
    return torch.softmax(scores, dim=-1) @ value


def repeat_heads(x, groups):
    """Each of the [1, heads, L, d] heads `groups` times: grouped-query attention."""
    if groups == 1:
        return x
    _, heads, length, width = (int(size) for size in x.shape)
    return x[:, :, None].expand(1, heads, groups, length, width).reshape(1, heads * groups, length, width)


class MultiHead(nn.Module):
    """torch's MultiheadAttention over [1, L, D], without its averaged weights and without its axis order."""

    def __init__(self, source):
        super().__init__()
        self.heads = source.num_heads
        self.weights = nn.ModuleList(linear(weight, bias) for weight, bias in zip(source.in_proj_weight.chunk(3), source.in_proj_bias.chunk(3)))
        self.out = source.out_proj

    def query(self, x):
        return split_heads(self.weights[0](x), self.heads)

    def key(self, x):
        return split_heads(self.weights[1](x), self.heads)

    def value(self, x):
        return split_heads(self.weights[2](x), self.heads)

    def forward(self, query, key, value):
        return self.out(join_heads(attend(self.query(query), self.key(key), self.value(value))))


def linear(weight, bias=None):
    """A linear layer with these weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().float().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().float().clone())
    return layer


# What masks a score: finite, so that a row without any key gives no NaN; openpi's number.
MASKED = -2.3819763e38


class RmsNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self, weight, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(weight.detach().float().clone()), epsilon

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rotation(positions, width, longest=10_000.0):
    """Cosine and sine [L, width / 2] of rotary positions."""
    exponents = (2.0 / width) * torch.arange(width // 2, dtype=torch.float32)
    angles = torch.as_tensor(positions, dtype=torch.float32)[:, None] / longest**exponents
    return torch.cos(angles), torch.sin(angles)


def rotate(x, cosine, sine):
    """Rotary positions of [n, heads, L, d]; the halves of d are the pairs."""
    half = int(x.shape[-1]) // 2
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


def fold_frozen_norms(module):
    """Folds torchvision's frozen batch norms into the convolutions before them: in torch's graphs each would be five nodes."""
    for name, child in list(module.named_children()):
        if isinstance(child, FrozenBatchNorm2d):
            before = predecessor(module, name)
            if before is not None:
                fold(before, child)
                setattr(module, name, nn.Identity())
        else:
            fold_frozen_norms(child)
    return module


def predecessor(module, name):
    """The convolution that feeds a norm: conv1 of bn1, or the element before in a sequence."""
    if name.startswith("bn"):
        candidate = getattr(module, "conv" + name.removeprefix("bn"), None)
    elif isinstance(module, nn.Sequential) and int(name) > 0:
        candidate = module[int(name) - 1]
    else:
        candidate = None
    return candidate if isinstance(candidate, nn.Conv2d) else None


def fold(convolution, norm):
    with torch.no_grad():
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        shift = norm.bias - norm.running_mean * scale
        bias = torch.zeros_like(shift) if convolution.bias is None else convolution.bias
        convolution.weight = nn.Parameter(convolution.weight * scale.reshape(-1, 1, 1, 1))
        convolution.bias = nn.Parameter(bias * scale + shift)


class TimeEmbedding(nn.Module):
    """Sine and cosine of a time in [0, 1] at many periods.

    LeRobot computes it in f64: at the shortest period the angle reaches 1,571, where f32 keeps four digits of the phase. Here the
    phase in turns is reduced before the sine: both factors are split so that their large parts multiply exactly.
    """

    SPLIT = 4097.0  # 2^12 + 1: Dekker's split of a 24-bit mantissa.

    def __init__(self, width, shortest, longest):
        super().__init__()
        share = torch.linspace(0.0, 1.0, width // 2, dtype=torch.float64)
        rate = 1.0 / (shortest * (longest / shortest) ** share)
        high = rate.float()
        scaled = high * self.SPLIT
        high = scaled - (scaled - high)
        low = (rate - high.double()).float()
        self.register_buffer("high", high[None])
        self.register_buffer("low", low[None])

    def forward(self, time):
        """[1] -> [1, width]."""
        time = time[:, None]
        scaled = time * self.SPLIT
        large = scaled - (scaled - time)
        small = time - large
        turns = large * self.high
        turns = turns - torch.floor(turns)
        turns = turns + (small * self.high + time * self.low)
        angle = turns * (2 * math.pi)
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=1)
