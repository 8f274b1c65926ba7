"""wink-s: a small vision-language-action model whose every op exports to a plain static ONNX graph.

Image -> convolutional encoder -> stride-16 tokens; words -> one transformer layer; both meet in a shared (contrastive)
space, whose elementwise product gates two joint transformer layers over [image tokens; words]. Two spatial soft-argmax
read-outs ("where is the block", "where is the named card") give positions finer than a token; an action head turns them,
the features below them and the proprioception into a chunk of actions.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    """Sizes of the model. `crop` is (x, y, width, height) in the 224 x 224 camera frame."""

    crop: tuple = (32, 48, 160, 112)
    frame: int = 224
    widths: tuple = (32, 64, 128, 256)
    blocks: tuple = (1, 2, 2)
    dim: int = 256
    heads: int = 4
    mlp: int = 512
    layers: int = 2
    vocab: int = 2048
    max_tokens: int = 16
    chunk: int = 16
    action_dim: int = 7
    state_dim: int = 7
    head_width: int = 384
    image_mean: tuple = (0.5, 0.5, 0.5)
    image_std: tuple = (0.5, 0.5, 0.5)

    @property
    def grid(self):
        """Rows and columns of stride-16 tokens."""
        return self.crop[3] // 16, self.crop[2] // 16

    def to_dict(self):
        return asdict(self)

    @staticmethod
    def from_dict(values):
        return Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def unit(x):
    """Scales the last dimension to length 1, in ops that every engine has."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


class ConvBn(nn.Sequential):
    def __init__(self, cin, cout, stride=1, kernel=3):
        super().__init__(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = ConvBn(width, width), ConvBn(width, width)

    def forward(self, x):
        return F.relu(x + self.b(F.relu(self.a(x))))


class Vision(nn.Module):
    """Image [B,3,H,W] -> features at stride 8 [B,128,H/8,W/8] and stride 16 [B,256,H/16,W/16]."""

    def __init__(self, c):
        super().__init__()
        w = c.widths
        self.stem = ConvBn(3, w[0], 2)
        stages = []
        for i in range(3):
            stages.append(nn.Sequential(ConvBn(w[i], w[i + 1], 2), nn.ReLU(), *[Residual(w[i + 1]) for _ in range(c.blocks[i])]))
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = self.stages[0](x)
        fine = self.stages[1](x)
        return fine, self.stages[2](fine)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.size = heads, dim // heads
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def split(self, x):
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)

    def forward(self, x, bias):
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        weights = torch.softmax(q @ k.transpose(2, 3) * (1 / math.sqrt(self.size)) + bias, -1)
        y = (weights @ v).transpose(1, 2)
        return self.out(y.reshape(x.shape[0], x.shape[1], self.heads * self.size))


class Layer(nn.Module):
    """Pre-norm transformer layer. `bias` [B,1,1,N] is 0 where a key may be seen and very negative where not."""

    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(c.dim), nn.LayerNorm(c.dim)
        self.attention = Attention(c.dim, c.heads)
        self.up, self.down = nn.Linear(c.dim, c.mlp), nn.Linear(c.mlp, c.dim)

    def forward(self, x, bias):
        x = x + self.attention(self.norm1(x), bias)
        return x + self.down(F.relu(self.up(self.norm2(x))))


class Text(nn.Module):
    """Token ids [B,L] (0 = padding) -> word features [B,L,D] and mask [B,L]."""

    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c.vocab, c.dim)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.position = nn.Parameter(torch.randn(1, c.max_tokens, c.dim) * 0.1)
        self.layer = Layer(c)
        self.norm = nn.LayerNorm(c.dim)

    def forward(self, tokens):
        mask = (tokens != 0).float()
        x = self.embed(tokens) + self.position
        x = self.layer(x, (mask[:, None, None, :] - 1) * 1e4)
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
    """Image tokens and words -> logits of "the named thing is here" [B,N]."""

    def __init__(self, c):
        super().__init__()
        rows, cols = c.grid
        self.gain = math.sqrt(c.dim)
        self.image, self.gate = nn.Linear(c.dim, c.dim), nn.Linear(c.dim, c.dim)
        self.position = nn.Parameter(torch.randn(1, rows * cols, c.dim) * 0.02)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.dim)
        self.where = nn.Linear(c.dim, 1)
        self.tokens = rows * cols

    def forward(self, tokens, vectors, sentence, similarity, text, mask):
        match = vectors * sentence[:, None, :] * self.gain
        x = self.image(tokens) + self.gate(match) + self.position
        x = torch.cat([x, text], 1)
        bias = torch.cat([torch.zeros_like(tokens[:, :, 0]), (mask - 1) * 1e4], 1)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        x = self.norm(x[:, : self.tokens])
        return self.where(x)[:, :, 0] + similarity


def cell_centres(rows, cols):
    v, u = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(cols) + 0.5) / cols, indexing="ij")
    return torch.stack([u.flatten(), v.flatten()], -1)[None]


class Locator(nn.Module):
    """Spatial soft-argmax: logits over cells -> expected position (u, v) in 0..1 of the crop, and the features there."""

    def __init__(self, rows, cols, dim, hidden):
        super().__init__()
        self.register_buffer("cells", cell_centres(rows, cols), persistent=False)
        self.read = nn.Linear(dim, hidden)
        self.offset = nn.Linear(hidden, 2)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, logits, features):
        weights = torch.softmax(logits, -1)[:, :, None]
        hidden = F.relu(self.read(features))
        there = (hidden * weights).sum(1)
        return (self.cells * weights).sum(1) + 0.1 * self.offset(there), there


class Chooser(nn.Module):
    """Soft-argmax around the best cell: two likely cards do not average to the gap between them.

    It reads nothing but the logits: features would tell which picture lies there, and be learned by heart.
    """

    SHARPEN, RADIUS_CELLS = 4.0, 1.5

    def __init__(self, rows, cols):
        super().__init__()
        self.register_buffer("cells", cell_centres(rows, cols), persistent=False)
        self.register_buffer("size", torch.tensor([cols, rows]).float() / self.RADIUS_CELLS, persistent=False)

    def forward(self, logits):
        best = (self.cells * torch.softmax(self.SHARPEN * logits, -1)[:, :, None]).sum(1, keepdim=True)
        away = (self.cells - best) * self.size
        weights = torch.softmax(logits - 0.5 * (away * away).sum(-1), -1)
        return (self.cells * weights[:, :, None]).sum(1)


class Head(nn.Module):
    """Positions, features and proprioception -> world positions of block and card (metres) and the action chunk."""

    SCALES = (0.3, 0.1, 0.03, 0.01)

    def __init__(self, c):
        super().__init__()
        rows, cols = c.grid
        self.block_read = nn.Conv2d(c.widths[2], 64, 3, padding=1)
        self.block_where = nn.Conv2d(64, 1, 1)
        self.block = Locator(rows * 2, cols * 2, 64, 64)
        self.card = Chooser(rows, cols)
        self.block_world = nn.Sequential(nn.Linear(2 + 64 + c.state_dim, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 3))
        self.card_world = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
        inputs = 64 + c.state_dim + 6 * len(self.SCALES) + 5
        w = c.head_width
        self.trunk = nn.Sequential(nn.Linear(inputs, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU())
        self.action = nn.Linear(w, c.chunk * c.action_dim)
        self.chunk, self.action_dim = c.chunk, c.action_dim
        self.register_buffer("state_mean", torch.zeros(c.state_dim))
        self.register_buffer("state_std", torch.ones(c.state_dim))
        grip = torch.zeros(c.action_dim)
        grip[-1] = 1.0
        self.register_buffer("grip", grip, persistent=False)

    def find_block(self, fine):
        """Stride-8 features -> logits over their cells, position in the image, features there."""
        hidden = F.relu(self.block_read(fine))
        logits = self.block_where(hidden).flatten(1)
        return logits, *self.block(logits, hidden.flatten(2).transpose(1, 2))

    def locate(self, fine, logits):
        """Image positions of block and card, with the features at the block."""
        return *self.find_block(fine), self.card(logits)

    def worlds(self, state, block_uv, block_feature, card_uv):
        block = self.block_world(torch.cat([block_uv, block_feature, state], -1))
        return block, self.card_world(card_uv)

    def act(self, state, block, card, block_feature):
        """state is normalised; block [B,3] and card [B,2] in metres. Returns the normalised chunk [B,T,A]."""
        tool = (state * self.state_std + self.state_mean)[:, :3]
        to_block = block - tool
        to_card = card - tool[:, :2]
        near = torch.cat([to_block, to_card, tool[:, 2:3]], -1)
        near = torch.cat([torch.tanh(near * (1 / s)) for s in self.SCALES], -1)
        x = self.trunk(torch.cat([block_feature, state, near, block, card], -1))
        y = self.action(x).reshape(x.shape[0], self.chunk, self.action_dim)
        return y * (1 - self.grip) + torch.sigmoid(y) * self.grip


class Policy(nn.Module):
    def __init__(self, c=None):
        super().__init__()
        self.c = c = c or Config()
        self.vision, self.text = Vision(c), Text(c)
        self.matcher, self.fusion, self.head = Matcher(c), Fusion(c), Head(c)

    def tokens(self, coarse):
        return coarse.flatten(2).transpose(1, 2)

    def ground(self, coarse, text, mask):
        """Stride-16 features and words -> logits of the named card over the tokens."""
        tokens = self.tokens(coarse)
        vectors, sentence = self.matcher.image_vectors(tokens), self.matcher.sentence(text, mask)
        similarity = (vectors * sentence[:, None, :]).sum(-1) * self.matcher.scale()
        return self.fusion(tokens, vectors, sentence, similarity, text, mask)

    def forward(self, image, state, text, mask):
        """image [B,3,H,W], state [B,7], both normalised; text [B,L,D], mask [B,L]. Returns a dict of everything."""
        fine, coarse = self.vision(image)
        return self.decide(fine, self.ground(coarse, text, mask), state)

    def decide(self, fine, logits, state):
        block_logits, block_uv, block_feature, card_uv = self.head.locate(fine, logits)
        block, card = self.head.worlds(state, block_uv, block_feature, card_uv)
        action = self.head.act(state, block, card, block_feature)
        return {"action": action, "logits": logits, "block_logits": block_logits, "block_uv": block_uv, "card_uv": card_uv, "block": block, "card": card}


if __name__ == "__main__":
    torch.set_num_threads(1)
    model = Policy()
    for name, part in model.named_children():
        print(f"{name:8} {sum(p.numel() for p in part.parameters()) / 1e6:.2f} M")
    from torch.utils.flop_counter import FlopCounterMode

    text, mask = model.text(torch.ones(1, model.c.max_tokens, dtype=torch.long))
    with FlopCounterMode(display=False) as flops:
        model(torch.zeros(1, 3, model.c.crop[3], model.c.crop[2]), torch.zeros(1, 7), text, mask)
    print(f"total    {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M, {flops.get_total_flops() / 1e9:.2f} GFLOP a frame")
