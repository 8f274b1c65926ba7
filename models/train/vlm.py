"""The small vision-language model: what a policy inherits from.

Convolutional stem (stride 16) -> transformer over image tokens; words -> transformer; a shared contrastive space whose
elementwise product gates two joint layers over [image tokens; words], which say where the named thing is; and a caption
head that names what lies under a token. All of it is matrix products in ops that export to a plain static ONNX graph.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    """Sizes. `image` (width, height) is what a part of a camera's frame is resized to."""

    image: tuple = (112, 80)
    widths: tuple = (32, 48, 96)
    dim: int = 192
    heads: int = 4
    mlp: int = 768
    vision_layers: int = 3
    text_layers: int = 3
    fusion_layers: int = 2
    vocab: int = 2048
    max_tokens: int = 16
    caption_tokens: int = 4
    image_mean: tuple = (0.5, 0.5, 0.5)
    image_std: tuple = (0.5, 0.5, 0.5)

    @property
    def grid(self):
        """Rows and columns of stride-16 tokens."""
        return self.image[1] // 16, self.image[0] // 16

    @property
    def fine_grid(self):
        """Rows and columns of the stride-8 features."""
        return self.image[1] // 8, self.image[0] // 8

    def to_dict(self):
        return asdict(self)

    @staticmethod
    def from_dict(values):
        # Older checkpoints hold the camera, too.
        return Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k not in ("frame", "crop")})


def unit(x):
    """Scales the last dimension to length 1, in ops that every engine has."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def cell_centres(rows, cols):
    """[rows * cols, 2]: (u, v) of the cells' centres, 0 to 1."""
    v, u = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols, indexing="ij")
    return torch.stack([u.flatten(), v.flatten()], -1)


class ConvBn(nn.Sequential):
    def __init__(self, cin, cout, stride=1):
        super().__init__(nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = ConvBn(width, width), ConvBn(width, width)

    def forward(self, x):
        return F.relu(x + self.b(F.relu(self.a(x))))


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.size = heads, dim // heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)

    def forward(self, x, bias=None):
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        scores = q @ k.transpose(2, 3) * (1 / math.sqrt(self.size))
        weights = torch.softmax(scores if bias is None else scores + bias, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    """Pre-norm transformer layer. `bias` [B,1,1,N] is 0 where a key may be seen and very negative where not."""

    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c.dim), nn.LayerNorm(c.dim)
        self.attention = Attention(c.dim, c.heads)
        self.up, self.down = nn.Linear(c.dim, c.mlp), nn.Linear(c.mlp, c.dim)

    def forward(self, x, bias=None):
        x = x + self.attention(self.norm1(x), bias)
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Vision(nn.Module):
    """Image [B,3,H,W] -> stride-8 features [B,W2,H/8,W/8] and stride-16 tokens [B,N,D]."""

    def __init__(self, c):
        super().__init__()
        w = c.widths
        rows, cols = c.grid
        self.stem = nn.Sequential(
            ConvBn(3, w[0], 2), nn.ReLU(), ConvBn(w[0], w[1], 2), nn.ReLU(), Residual(w[1]), ConvBn(w[1], w[2], 2), nn.ReLU(), Residual(w[2])
        )
        self.embed = nn.Sequential(ConvBn(w[2], c.dim, 2), nn.ReLU(), Residual(c.dim))
        self.position = nn.Parameter(torch.randn(1, rows * cols, c.dim) * 0.02)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.vision_layers))
        self.norm = nn.LayerNorm(c.dim)

        for layer in self.layers:
            # The layers begin as the identity: the stem can learn alone first, and they join without a jolt.
            nn.init.zeros_(layer.attention.out.weight)
            nn.init.zeros_(layer.down.weight)

    def forward(self, x, stem_only=False):
        fine = self.stem(x)
        tokens = self.embed(fine).flatten(2).transpose(1, 2)
        if not stem_only:
            tokens = tokens + self.position
            for layer in self.layers:
                tokens = layer(tokens)
        return fine, self.norm(tokens)


class Text(nn.Module):
    """Token ids [B,L] (0 = padding) -> word features [B,L,D] and mask [B,L]."""

    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c.vocab, c.dim)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.position = nn.Parameter(torch.randn(1, c.max_tokens, c.dim) * 0.1)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.text_layers))
        self.norm = nn.LayerNorm(c.dim)

    def forward(self, tokens):
        mask = (tokens != 0).float()
        bias = (mask[:, None, None, :] - 1) * 1e4
        x = self.embed(tokens) + self.position
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x) * mask[:, :, None], mask


class Matcher(nn.Module):
    """The space that images and words share: unit vectors per image token, and one for the sentence."""

    def __init__(self, c):
        super().__init__()
        self.image, self.text = nn.Linear(c.dim, c.dim), nn.Linear(c.dim, c.dim)
        self.score = nn.Linear(c.dim, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def image_vectors(self, tokens):
        return unit(self.image(tokens))

    def sentence(self, text, mask):
        weights = torch.softmax(self.score(text)[:, :, 0] + (mask - 1) * 1e4, -1)
        return unit(self.text((text * weights[:, :, None]).sum(1)))

    def scale(self):
        return self.log_scale.exp().clamp(max=60.0)


class Fusion(nn.Module):
    """Image tokens and words -> fused image tokens [B,N,D] and the logits of "the named thing is here" [B,N]."""

    def __init__(self, c):
        super().__init__()
        rows, cols = c.grid
        self.gain = math.sqrt(c.dim)
        self.image, self.gate = nn.Linear(c.dim, c.dim), nn.Linear(c.dim, c.dim)
        self.position = nn.Parameter(torch.randn(1, rows * cols, c.dim) * 0.02)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.fusion_layers))
        self.norm = nn.LayerNorm(c.dim)
        self.where = nn.Linear(c.dim, 1)
        self.tokens = rows * cols

    def forward(self, tokens, vectors, sentence, similarity, text, mask):
        match = vectors * sentence[:, None, :] * self.gain
        x = torch.cat([self.image(tokens) + self.gate(match) + self.position, text], 1)
        bias = torch.cat([torch.zeros_like(tokens[:, :, 0]), (mask - 1) * 1e4], 1)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x[:, : self.tokens])
        return x, self.where(x)[:, :, 0] + similarity


class Captioner(nn.Module):
    """Names what lies under an image vector: logits of its caption's tokens [..., T, V], all at once."""

    def __init__(self, c):
        super().__init__()
        self.slots, self.dim = c.caption_tokens, c.dim
        self.read = nn.Sequential(nn.Linear(c.dim, c.dim), nn.ReLU(), nn.Linear(c.dim, c.caption_tokens * c.dim))

    def forward(self, tokens, embedding):
        hidden = self.read(tokens).reshape(*tokens.shape[:-1], self.slots, self.dim)
        return hidden @ embedding.T * (1 / math.sqrt(self.dim))


class Vlm(nn.Module):
    """Vision, words, the space they share, where the named thing is, and what a thing is called."""

    def __init__(self, c=None):
        super().__init__()
        self.c = c = c or Config()
        self.vision, self.text = Vision(c), Text(c)
        self.matcher, self.fusion, self.captioner = Matcher(c), Fusion(c), Captioner(c)
        self.register_buffer("cells", cell_centres(*c.grid), persistent=False)

    def ground(self, tokens, text, mask):
        """Image tokens and words -> fused tokens and logits over them."""
        vectors, sentence = self.matcher.image_vectors(tokens), self.matcher.sentence(text, mask)
        similarity = (vectors * sentence[:, None, :]).sum(-1) * self.matcher.scale()
        return self.fusion(tokens, vectors, sentence, similarity, text, mask)

    def at(self, tokens, centres):
        """Tokens [B,N,D] read bilinearly at `centres` [B,K,2] in 0..1 -> [B,K,D]."""
        rows, cols = self.c.grid
        grid = tokens.transpose(1, 2).reshape(len(tokens), -1, rows, cols)
        there = F.grid_sample(grid, centres[:, :, None, :] * 2 - 1, align_corners=False, padding_mode="border")
        return there[..., 0].transpose(1, 2)


def heat_loss(cells, size, truth, logits, width=0.6):
    """Cross entropy of `logits` [B,N] against a soft blob about a cell wide around `truth` [B,2], and how often the best cell touches it."""
    size = torch.tensor(size, dtype=torch.float32, device=logits.device)
    distance = (((cells[None] - truth[:, None]) * size) ** 2).sum(-1)
    blob = torch.softmax(-distance / (2 * width**2), -1)
    loss = -(blob * F.log_softmax(logits, -1)).sum(-1).mean()
    best = ((cells[logits.argmax(-1)] - truth) * size).abs().amax(-1)
    return loss, (best <= 1.01).float().mean()


if __name__ == "__main__":
    from torch.utils.flop_counter import FlopCounterMode

    torch.set_num_threads(1)
    model = Vlm()
    for name, part in model.named_children():
        print(f"{name:10} {sum(p.numel() for p in part.parameters()) / 1e6:.2f} M")
    text, mask = model.text(torch.ones(1, model.c.max_tokens, dtype=torch.long))
    with FlopCounterMode(display=False) as flops:
        _, tokens = model.vision(torch.zeros(1, 3, model.c.image[1], model.c.image[0]))
        model.ground(tokens, text, mask)
    print(f"total      {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M, {flops.get_total_flops() / 1e9:.2f} GFLOP a frame")
