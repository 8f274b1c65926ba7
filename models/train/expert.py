"""The action expert: from what the VLM sees and understands to a chunk of actions. It starts from nothing in every way.

Two readers find the block (in the stride-8 features) and the named card (in the fused tokens); a trunk turns both places,
the proprioception and the features there into one of several kinds of output:

    regress   the chunk itself (L1; ACT)
    bins      each value as one of `bins` quantile bins, all in parallel (RT-2, OpenVLA)
    fast      the leading DCT coefficients over time, as integers, all in parallel (after FAST)
    latent    codes of a VQ codebook learned from frame pairs, then decoded to actions (after LAPA)
    flow      a velocity field, integrated from the noise's mean in `flow_steps` Euler steps (pi0)
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from vlm import cell_centres

KINDS = ("regress", "bins", "fast", "latent", "flow")
READS = ("features", "pointer")
MOVES = 6


@dataclass
class ExpertConfig:
    """Sizes. `read` says how the card is found: a reader of its own over the fused tokens, which passes their features on
    ("features"), or the VLM's grounding heat map, of which only the place passes on ("pointer")."""

    kind: str = "regress"
    read: str = "features"
    chunk: int = 16
    action_dim: int = 7
    state_dim: int = 7
    width: int = 384
    bins: int = 48
    coefficients: int = 6
    levels: int = 20
    codes: int = 2
    codebook: int = 32
    code_dim: int = 32
    flow_steps: int = 5
    prefix: int = 0  # most actions of a chunk that are given, of kind "chunk"

    def to_dict(self):
        return asdict(self)


def dct_matrix(n):
    """Orthonormal DCT-II [n, n]: coefficients = matrix @ signal."""
    k, t = torch.arange(n)[:, None].double(), torch.arange(n)[None].double()
    m = torch.cos(math.pi * (t + 0.5) * k / n) * math.sqrt(2 / n)
    m[0] /= math.sqrt(2)
    return m.float()


class Reader(nn.Module):
    """Features of cells -> logits over them, the expected place (u, v), and the features there."""

    def __init__(self, rows, cols, hidden):
        super().__init__()
        self.register_buffer("cells", cell_centres(rows, cols), persistent=False)
        self.where = nn.Linear(hidden, 1)
        self.offset = nn.Linear(hidden, 2)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, hidden):
        logits = self.where(hidden)[:, :, 0]
        weights = torch.softmax(logits, -1)[:, :, None]
        there = (hidden * weights).sum(1)
        return logits, (self.cells * weights).sum(1) + 0.1 * self.offset(there), there


class Chooser(nn.Module):
    """Soft-argmax around the best cell: two likely cards do not average to the gap between them.

    It reads nothing but the logits: features would tell which picture lies there, and be learned by heart.
    """

    SHARPEN, RADIUS_CELLS = 4.0, 1.3

    def __init__(self, rows, cols):
        super().__init__()
        self.register_buffer("cells", cell_centres(rows, cols), persistent=False)
        self.register_buffer("size", torch.tensor([cols, rows]).float() / self.RADIUS_CELLS, persistent=False)

    def forward(self, logits):
        best = (self.cells * torch.softmax(self.SHARPEN * logits, -1)[:, :, None]).sum(1, keepdim=True)
        away = (self.cells - best) * self.size
        weights = torch.softmax(logits - 0.5 * (away * away).sum(-1), -1)
        return (self.cells * weights[:, :, None]).sum(1)


def mlp(*sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Outputs(nn.Module):
    """The trunk's hidden state -> a chunk, by kind; and the loss that teaches it. Chunks are normalised, the gripper is 0 to 1."""

    def __init__(self, e):
        super().__init__()
        self.e = e
        t, a, w = e.chunk, e.action_dim, e.width
        grip = torch.zeros(a)
        grip[-1] = 1.0
        self.register_buffer("grip", grip, persistent=False)
        if e.kind == "regress":
            self.out = nn.Linear(w, t * a)
        elif e.kind == "bins":
            self.out = nn.Linear(w, t * a * e.bins)
            self.register_buffer("centres", torch.zeros(a, e.bins))
        elif e.kind == "fast":
            self.out = nn.Linear(w, e.coefficients * MOVES * (2 * e.levels + 1) + t)
            self.register_buffer("step", torch.ones(MOVES))
            self.register_buffer("dct", dct_matrix(t)[: e.coefficients], persistent=False)
        elif e.kind == "latent":
            self.codes = nn.Linear(w, e.codes * e.codebook)
            self.embedding = nn.Parameter(torch.randn(e.codes, e.codebook, e.code_dim))
            self.decode = mlp(e.codes * e.code_dim + w, w, w, t * a)
        elif e.kind == "flow":
            self.field = mlp(t * a + 16 + w, 512, 512, t * a)
            self.register_buffer("frequencies", 2.0 ** torch.arange(8) * math.pi / 8, persistent=False)
        else:
            raise ValueError(f"no kind of expert {e.kind!r}: take one of {', '.join(KINDS)}, or chunk of a robot with joint angles")

    @torch.no_grad()
    def fit(self, chunks, codes=None):
        """Learns what the vocabulary needs from the demonstrations' chunks [n,T,A]."""
        if self.e.kind == "bins":
            q = (torch.arange(self.e.bins) + 0.5) / self.e.bins
            for i in range(self.e.action_dim):
                values = chunks[:, :, i].flatten()
                self.centres[i] = torch.quantile(values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:200_000]], q)
            self.centres[-1] = torch.linspace(0, 1, self.e.bins)
        elif self.e.kind == "fast":
            c = torch.einsum("kt,nta->nka", self.dct, chunks[:, :, :MOVES])
            self.step.copy_(c.abs().flatten(0, 1).quantile(0.998, 0).clamp(min=0.05) / self.e.levels)
        elif self.e.kind == "latent" and codes is not None:
            self.embedding.copy_(codes)

    def split(self, y):
        """[B, T*A] -> moves as they are, gripper as a probability."""
        y = y.reshape(-1, self.e.chunk, self.e.action_dim)
        return y * (1 - self.grip) + torch.sigmoid(y) * self.grip

    def time(self, t):
        angle = t * self.frequencies
        return torch.cat([torch.sin(angle), torch.cos(angle)], -1)

    def forward(self, h):
        e, n = self.e, h.shape[0]
        if e.kind == "regress":
            return self.split(self.out(h))
        if e.kind == "bins":
            best = self.out(h).reshape(n, e.chunk, e.action_dim, e.bins).argmax(-1)
            return torch.stack([self.centres[i][best[:, :, i]] for i in range(e.action_dim)], -1)
        if e.kind == "fast":
            tokens, grip = self.fast_logits(h)
            moves = self.dct.T @ ((tokens.argmax(-1).to(h.dtype) - e.levels) * self.step)
            return torch.cat([moves, torch.sigmoid(grip)[:, :, None]], -1)
        if e.kind == "latent":
            best = self.codes(h).reshape(n, e.codes, e.codebook).argmax(-1)
            return self.decoded(h, torch.cat([self.embedding[i][best[:, i]] for i in range(e.codes)], -1))
        x = torch.zeros_like(h[:, :1]).expand(n, e.chunk * e.action_dim)
        for i in range(e.flow_steps):
            t = torch.full_like(h[:, :1], i / e.flow_steps)
            x = x + self.field(torch.cat([x, self.time(t), h], -1)) * (1 / e.flow_steps)
        return x.reshape(n, e.chunk, e.action_dim)

    def fast_logits(self, h):
        e, y = self.e, self.out(h)
        grip = y[:, : e.chunk]
        return y[:, e.chunk :].reshape(-1, e.coefficients, MOVES, 2 * e.levels + 1), grip

    def decoded(self, h, code):
        return self.split(self.decode(torch.cat([code, h], -1)))

    def loss(self, h, truth, codes=None):
        """[B,W], [B,T,A] (and codes [B,C]) -> loss and figures."""
        e = self.e
        grip_truth = truth[:, :, -1].clamp(0, 1)
        if e.kind in ("regress", "latent"):
            extra = 0.0
            if e.kind == "latent":
                logits = self.codes(h).reshape(-1, e.codes, e.codebook)
                extra = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
                # Half of the time the codes it would pick itself, so that decoding copes with mistakes.
                own = torch.rand(len(h), 1, device=h.device) < 0.5
                used = torch.where(own, logits.argmax(-1), codes)
                y = self.decoded(h, torch.cat([self.embedding[i][used[:, i]] for i in range(e.codes)], -1))
            else:
                y = self.split(self.out(h))
            move = (y[:, :, :MOVES] - truth[:, :, :MOVES]).abs().mean()
            grip = F.binary_cross_entropy(y[:, :, -1].clamp(1e-4, 1 - 1e-4), grip_truth)
            return move + 0.5 * grip + 0.2 * extra
        if e.kind == "bins":
            logits = self.out(h).reshape(-1, e.chunk, e.action_dim, e.bins)
            target = (truth[..., None] - self.centres).abs().argmin(-1)
            return 0.5 * F.cross_entropy(logits.flatten(0, 2), target.flatten())
        if e.kind == "fast":
            tokens, grip = self.fast_logits(h)
            target = (torch.einsum("kt,nta->nka", self.dct, truth[:, :, :MOVES]) / self.step).round().clamp(-e.levels, e.levels).long() + e.levels
            return 0.5 * F.cross_entropy(tokens.flatten(0, 2), target.flatten()) + 0.5 * F.binary_cross_entropy_with_logits(grip, grip_truth)
        x1 = truth.flatten(1)
        x0, t = torch.randn_like(x1), torch.rand_like(x1[:, :1])
        v = self.field(torch.cat([x0 + t * (x1 - x0), self.time(t), h], -1))
        return (v - (x1 - x0)).square().mean()


class Expert(nn.Module):
    """Readers, trunk and outputs. Of `VIEW` more features, a subclass says what they show."""

    SCALES = (0.3, 0.1, 0.03, 0.01)
    FEATURES, VIEW = 64, 0
    NEAR = 6 * len(SCALES)
    # Spread of the noise on states in training, in their units.
    state_noise = 0.0

    def __init__(self, c, e, outputs=None):
        super().__init__()
        if e.read not in READS:
            raise ValueError(f"no way to read {e.read!r}: take one of {', '.join(READS)}")
        self.e, f = e, self.FEATURES
        self.block_conv = nn.Conv2d(c.widths[2], f, 3, padding=1)
        self.block = Reader(*c.fine_grid, f)
        self.block_world = mlp(2 + f + e.state_dim, 128, 128, 3)
        if e.read == "features":
            self.card_read = nn.Linear(c.dim, f)
            self.card = Reader(*c.grid, f)
            self.card_world = mlp(2 + f, 128, 128, 2)
        else:
            self.card = Chooser(*c.grid)
            self.card_world = mlp(2, 64, 64, 2)
        card_features = 0 if e.read == "pointer" else f
        self.trunk = nn.Sequential(*mlp(f + card_features + self.VIEW + e.state_dim + self.NEAR + 5, e.width, e.width, e.width), nn.ReLU())
        self.outputs = outputs or Outputs(e)
        self.register_buffer("state_mean", torch.zeros(e.state_dim))
        self.register_buffer("state_std", torch.ones(e.state_dim))

    def read(self, fine, fused, logits, state):
        """Where block and card are, in the picture and in the world (metres), with the features there."""
        hidden = F.relu(self.block_conv(fine)).flatten(2).transpose(1, 2)
        block_logits, block_uv, block_feature = self.block(hidden)
        if self.e.read == "features":
            logits, card_uv, card_feature = self.card(F.relu(self.card_read(fused)))
            card = self.card_world(torch.cat([card_uv, card_feature], -1))
        else:
            card_uv, card_feature = self.card(logits), None
            card = self.card_world(card_uv)
        block = self.block_world(torch.cat([block_uv, block_feature, state], -1))
        return {
            "block_logits": block_logits, "block_uv": block_uv, "block": block, "block_feature": block_feature,
            "card_logits": logits, "card_uv": card_uv, "card": card, "card_feature": card_feature,
        }

    def scaled(self, tool, block, card):
        """Where block and card are from the tool [B,3], large and small."""
        near = torch.cat([block - tool, card - tool[:, :2], tool[:, 2:3]], -1)
        return torch.cat([torch.tanh(near * (1 / s)) for s in self.SCALES], -1)

    def near(self, state, block, card):
        """[B, NEAR]: where block and card are from the tool. The state is in its units."""
        return self.scaled(state[:, :3], block, card)

    def hidden(self, state, block, card, block_feature=None, card_feature=None, view=None):
        """state normalised; block [B,3] and card [B,2] in metres; features, or none. Returns what the outputs read."""
        nothing = torch.zeros_like(state[:, :1])
        parts = [nothing.expand(-1, self.FEATURES) if block_feature is None else block_feature]
        if self.e.read != "pointer":
            parts.append(nothing.expand(-1, self.FEATURES) if card_feature is None else card_feature)
        if self.VIEW:
            parts.append(nothing.expand(-1, self.VIEW) if view is None else view)
        near = self.near(state * self.state_std + self.state_mean, block, card)
        return self.trunk(torch.cat([*parts, state, near, block, card], -1))

    def forward(self, fine, fused, logits, state):
        """The normalised chunk [B,T,A], as it runs on the robot."""
        r = self.read(fine, fused, logits, state)
        return self.outputs(self.hidden(state, r["block"], r["card"], r["block_feature"], r["card_feature"]))


class Policy(nn.Module):
    """VLM and expert: image [B,3,H,W], state [B,7], both normalised; text [B,L,D], mask [B,L] -> chunk [B,T,A]."""

    def __init__(self, vlm, expert):
        super().__init__()
        self.vlm, self.expert = vlm, expert

    def forward(self, image, state, text, mask):
        fine, tokens = self.vlm.vision(image)
        fused, logits = self.vlm.ground(tokens, text, mask)
        return self.expert(fine, fused, logits, state)
