"""Latent actions (after LAPA, arXiv 2410.11758): a VQ codebook learned from pairs of frames, without any action.

An encoder looks at a frame and a later one and picks codes; a decoder must foretell the later frame's features from the
earlier's and the codes. What the codes keep is what changed: the motion. Works on the frozen prior's features.
"""

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import loop
from features import Features

# How many kept frames lie between the two of a pair.
AHEAD = 2


class Quantiser(nn.Module):
    """Nearest entry of one codebook per code, straight-through (VQ-VAE, arXiv 1711.00937)."""

    def __init__(self, codes, entries, dim):
        super().__init__()
        self.entries = nn.Parameter(torch.randn(codes, entries, dim))

    def forward(self, x):
        """[B,C,D] -> quantised with x's gradient, indices [B,C], loss."""
        distance = (x[:, :, None] - self.entries[None]).square().sum(-1)
        index = distance.argmin(-1)
        chosen = torch.stack([self.entries[i][index[:, i]] for i in range(len(self.entries))], 1)
        # Entries that nothing falls to are pulled, gently, to what is nearest: none dies.
        idle = distance.min(0).values.mean()
        loss = F.mse_loss(chosen, x.detach()) + 0.25 * F.mse_loss(x, chosen.detach()) + 0.01 * idle
        return x + (chosen - x).detach(), index, loss


class LatentModel(nn.Module):
    def __init__(self, tokens, dim, e):
        super().__init__()
        self.e = e
        self.read = nn.Linear(2 * dim, 64)
        self.encode = nn.Sequential(nn.Linear(64 * tokens, 256), nn.ReLU(), nn.Linear(256, e.codes * e.code_dim))
        self.quantise = Quantiser(e.codes, e.codebook, e.code_dim)
        self.place = nn.Parameter(torch.randn(1, tokens, 32) * 0.1)
        self.foretell = nn.Sequential(nn.Linear(dim + 32 + e.codes * e.code_dim, 256), nn.ReLU(), nn.Linear(256, dim))

    def codes(self, now, later):
        h = F.relu(self.read(torch.cat([now, later - now], -1))).flatten(1)
        return F.layer_norm(self.encode(h).reshape(-1, self.e.codes, self.e.code_dim), (self.e.code_dim,))

    def forward(self, batch):
        now, later = batch["now"].float(), batch["later"].float()
        code, index, loss = self.quantise(self.codes(now, later))
        told = torch.cat([now, self.place.expand(len(now), -1, -1), code.flatten(1)[:, None].expand(-1, now.shape[1], -1)], -1)
        change = later - now
        error = F.mse_loss(self.foretell(told), change)
        used = len(torch.unique(index)) / self.e.codebook
        return error + 0.5 * loss, {"error": error, "of_change": error / change.square().mean(), "used": used}


class LatentActions:
    """`codes` [all frames, C]: each frame's codes, those of the nearest kept frame; `embedding` [C, entries, D]."""

    def __init__(self, codes, embedding):
        self.codes, self.embedding = codes, embedding

    @staticmethod
    def of(args, vlm, demos, e):
        """Loads or learns them: the same for every seed, as they are data."""
        path = args.cache / f"latent-{args.prior.stem}-{e.codes}x{e.codebook}.ckpt"
        with loop.only_one(path):
            if not path.exists():
                LatentActions.learn(args, vlm, demos, e, path)
        content = loop.load(path, "latent")
        nearest = np.clip(np.searchsorted(demos.kept, np.arange(len(demos.states)), side="right") - 1, 0, len(demos.kept) - 1)
        return LatentActions(content["codes"][nearest], content["embedding"])

    @staticmethod
    def learn(args, vlm, demos, e, path):
        features = Features(vlm, demos, args.cache / f"features-{args.prior.stem}")
        episode = demos.episode[demos.kept]
        last = np.searchsorted(episode, episode, side="right") - 1
        later = np.minimum(np.arange(len(episode)) + AHEAD, last)
        tokens = features.maps["tokens"]
        torch.manual_seed(0)
        model = LatentModel(tokens.shape[1], tokens.shape[2], e)

        def make(rng, step):
            index = np.sort(rng.choice(len(episode), min(64, len(episode)), replace=False))
            return {"now": torch.from_numpy(tokens[index]), "later": torch.from_numpy(tokens[later[index]])}

        options = argparse.Namespace(**(vars(args) | {"steps": args.latent_steps, "rate": 1e-3, "workers": 0, "seed": 0, "log_every": max(1, args.latent_steps // 5)}))
        loop.run(options, path.with_suffix(".part.ckpt"), "latent", model, [{"params": list(model.parameters())}], make, lambda: {"kind": "latent-model"})
        model.eval()
        codes = []
        with torch.no_grad():
            for start in range(0, len(episode), 256):
                index = np.arange(start, min(start + 256, len(episode)))
                x = model.codes(torch.from_numpy(tokens[index]).float(), torch.from_numpy(tokens[later[index]]).float())
                codes.append(model.quantise(x)[1])
        loop.save(path, {"kind": "latent", "codes": torch.cat(codes), "embedding": model.quantise.entries.detach()})
        path.with_suffix(".part.ckpt").unlink()
