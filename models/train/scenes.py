"""Pictures for the prior: emoji art warped onto clutter, alone, in crowds, and on cards. Nothing here shows the robot's table.

Composed by batched warps in torch; a worker process makes them while another trains.
"""

import json

import numpy as np
import torch
import torch.nn.functional as F

from art import HELD_OUT_STYLE, QUESTIONS, ROBOT_SENTENCE, SENTENCES, STYLES, table

# How often each style is drawn in training; the styles that an emoji lacks are left out.
STYLE_WEIGHTS = {"noto": 0.5, "fluent-3d": 0.25, "fluent-flat": 0.25, HELD_OUT_STYLE: 0.0}
# Share of the emojis in a crowd that are not the benchmark's.
EXTRA_SHARE = 0.25
CROWD = (3, 4)


class Art:
    """The art bank and the pictures made from it; premultiplied f32."""

    def __init__(self, cache, seed, styles=None):
        data = np.load(cache / "art.npz")
        self.full = torch.from_numpy(data["art"].astype(np.float32) / 255).permute(0, 1, 4, 2, 3).contiguous()
        styles_count, emojis = self.full.shape[:2]
        self.half = F.avg_pool2d(self.full.flatten(0, 1), 2).reshape(styles_count, emojis, 4, 32, 32)
        self.rng = np.random.default_rng(seed)
        weights = np.array([STYLE_WEIGHTS[s] if styles is None else float(s in styles) for s in STYLES])
        chance = data["present"] * weights[:, None]
        self.has_art = chance.sum(0) > 0
        self.style_chance = np.cumsum(chance / np.maximum(chance.sum(0), 1e-9), 0)
        self.benchmark = np.arange(len(table()))
        self.extra = np.nonzero(self.has_art & (np.arange(emojis) >= len(self.benchmark)))[0]

    def pick_styles(self, emoji):
        draw = self.rng.random(len(emoji))
        return (draw[None] > self.style_chance[:, emoji]).sum(0).clip(0, len(STYLES) - 1)

    def pick_emojis(self, n, allowed=None):
        """n different ones: of the benchmark, or of `allowed`, with some further ones where nothing is said."""
        if allowed is not None:
            return self.rng.choice(allowed, n, replace=False)
        other = self.rng.binomial(n, EXTRA_SHARE) if len(self.extra) >= n else 0
        return self.rng.permutation(np.r_[self.rng.choice(self.benchmark, n - other, replace=False), self.rng.choice(self.extra, other, replace=False)])

    def patches(self, emoji, matrices, sizes, side, card):
        """[n,4,side,side]: emojis warped by `matrices` [n,2,2] (unit square -> pixels / half side), some on a white card. `sizes` choose the mip level."""
        n = len(emoji)
        style = self.pick_styles(emoji)
        theta = torch.from_numpy(np.concatenate([np.linalg.inv(matrices), np.zeros((n, 2, 1))], 2).astype(np.float32))
        grid = F.affine_grid(theta, (n, 4, side, side), align_corners=False)
        out = torch.empty(n, 4, side, side)
        for small in (False, True):
            index = np.nonzero((sizes < 30) == small)[0]
            if len(index):
                bank = self.half if small else self.full
                out[index] = F.grid_sample(bank[style[index], emoji[index]], grid[index], align_corners=False)
        if card.any():
            index = np.nonzero(card)[0]
            # The card's edge, a tenth beyond the emoji, softened over about a pixel.
            edge = (1.12 - grid[index].abs().amax(-1)) * torch.from_numpy(sizes[index] / 2).float()[:, None, None]
            cover = edge.clamp(-0.5, 0.5) + 0.5
            white = torch.from_numpy(self.rng.uniform(0.75, 1.0, len(index)).astype(np.float32))[:, None, None] * cover
            alpha = out[index, 3]
            rgb = out[index, :3] + (white * (1 - alpha))[:, None]
            out[index] = torch.cat([rgb, torch.maximum(alpha, cover)[:, None]], 1)
        return out

    def matrices(self, sizes, tilt):
        """Random rotation, shear and foreshortening; `tilt` in radians. Unit square (-1..1) -> pixels."""
        n = len(sizes)
        turn = self.rng.uniform(-tilt, tilt, n)
        up = turn + np.pi / 2 + self.rng.uniform(-0.35, 0.35, n)
        squash = self.rng.uniform(0.6, 1.05, n)
        out = np.empty((n, 2, 2))
        out[:, :, 0] = np.stack([np.cos(turn), np.sin(turn)], -1)
        out[:, :, 1] = np.stack([np.cos(up), np.sin(up)], -1) * squash[:, None]
        return out * sizes[:, None, None] / 2

    def backgrounds(self, n, height, width):
        """Plain colours, gradients, blobs and stripes of colour."""
        rng = self.rng
        out = torch.empty(n, 3, height, width)
        for i in range(n):
            coarse = rng.choice([1, 2, 3, 6])
            cells = rng.uniform(0, 1, (1, 3, 1, 1)) + rng.normal(0, rng.uniform(0, 0.3), (1, 3, coarse, coarse))
            mode = "nearest" if rng.random() < 0.2 else "bilinear"
            cells = torch.from_numpy(cells.astype(np.float32))
            out[i] = F.interpolate(cells, (height, width), mode=mode, align_corners=None if mode == "nearest" else False)[0]
            for _ in range(rng.integers(0, 4)):
                x, y, w, h = rng.integers(0, width), rng.integers(0, height), rng.integers(4, 50), rng.integers(4, 50)
                out[i, :, y : y + h, x : x + w] = torch.from_numpy(rng.uniform(0, 1, (3, 1, 1)).astype(np.float32))
        return out.clamp(0, 1)

    def paste(self, canvas, patch, cx, cy):
        """Lays one premultiplied patch over a canvas [3,H,W], centred on (cx, cy)."""
        side = patch.shape[-1]
        height, width = canvas.shape[1:]
        x, y = int(round(cx - side / 2)), int(round(cy - side / 2))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
        if x0 < x1 and y0 < y1:
            part = patch[:, y0 - y : y1 - y, x0 - x : x1 - x]
            canvas[:, y0:y1, x0:x1].mul_(1 - part[3]).add_(part[:3])

    def finish(self, images):
        """Light, contrast, blur and noise; u8."""
        n = images.shape[0]

        def draw(low, high, shape):
            return torch.from_numpy(self.rng.uniform(low, high, shape).astype(np.float32))

        images = images * draw(0.6, 1.1, (n, 1, 1, 1)) * draw(0.92, 1.08, (n, 3, 1, 1)) + draw(-0.05, 0.08, (n, 1, 1, 1))
        blur = np.nonzero(self.rng.random(n) < 0.4)[0]
        if len(blur):
            images[blur] = F.avg_pool2d(F.pad(images[blur], (1, 1, 1, 1), mode="replicate"), 3, 1) * 0.6 + images[blur] * 0.4
        noise = torch.from_numpy(self.rng.standard_normal(images.shape, np.float32))
        images = images + noise * draw(0, 0.03, (n, 1, 1, 1))
        return (images.clamp(0, 1) * 255).round().to(torch.uint8)

    def crowds(self, n, width, height, sizes=(18, 32)):
        """n pictures of 12 emojis: images u8 [n,3,H,W], emoji [n,12], centres [n,12,2] in 0..1."""
        rows, cols = CROWD
        count = rows * cols
        images = self.backgrounds(n, height, width)
        emoji = np.stack([self.pick_emojis(count) for _ in range(n)])
        flat = emoji.reshape(-1)
        sizes = self.rng.uniform(*sizes, len(flat))
        matrices = self.matrices(sizes, 0.5 if self.rng.random() < 0.7 else 0.1)
        patches = self.patches(flat, matrices / 22, sizes, 44, self.rng.random(len(flat)) < 0.6)
        pitch = np.array([width / cols, height / rows])
        centres = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).reshape(1, count, 2) * pitch + pitch / 2 + self.rng.uniform(-4, 4, (n, count, 2))
        for i in range(n):
            for j in self.rng.permutation(count):
                self.paste(images[i], patches[i * count + j], *centres[i, j])
        return self.finish(images), emoji, np.round(centres) / (width, height)

    def tables(self, n, width, height, cards=4, allowed=None):
        """n scenes of white cards, a block and bars: images u8, emoji [n,cards], centres of cards [n,cards,2] in 0..1."""
        rng = self.rng
        images = self.backgrounds(n, height, width)
        emoji = np.stack([self.pick_emojis(cards, allowed) for _ in range(n)])
        flat = emoji.reshape(-1)
        sizes = np.repeat(rng.uniform(18, 29, n), cards) * rng.uniform(0.85, 1.15, n * cards)
        # All cards of a scene lie on one table: one warp for them all.
        matrices = np.repeat(self.matrices(np.ones(n), 0.6), cards, 0) * sizes[:, None, None]
        patches = self.patches(flat, matrices / 23, sizes, 46, np.ones(len(flat), bool))
        centres = np.empty((n, cards, 2))
        for i in range(n):
            placed = []
            while len(placed) < cards + 1:
                for _ in range(60):
                    xy = rng.uniform((8, 8), (width - 8, height - 8))
                    if all(np.hypot(*(xy - p)) > 25 for p in placed):
                        break
                placed.append(xy)
            for j in range(cards):
                self.paste(images[i], patches[i * cards + j], *placed[j])
            centres[i] = np.round(placed[:cards])
            self.block(images[i], *placed[cards])
            if rng.random() < 0.5:
                self.bar(images[i])
        return self.finish(images), emoji, centres / (width, height)

    def block(self, canvas, cx, cy):
        """A little box seen from above: a top and two darker sides."""
        rng = self.rng
        side, turn = rng.uniform(5, 10), rng.uniform(0, np.pi / 2)
        colour = torch.from_numpy(rng.uniform(0, 0.9, (3, 1)).astype(np.float32))
        drop = rng.uniform(2, 6)
        height, width = canvas.shape[1:]
        y, x = np.mgrid[0:height, 0:width]
        for shift, shade in ((drop, 0.5), (drop / 2, 0.6), (0, 1.0)):
            dx, dy = x - cx, (y - cy - shift + drop / 2) * 1.4
            a, b = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
            canvas[:, torch.from_numpy(np.maximum(abs(a), abs(b)) < side / 2)] = colour * shade

    def bar(self, canvas):
        """A dark bar across a part of the scene, like something that reaches in."""
        rng = self.rng
        height, width = canvas.shape[1:]
        x, y = rng.uniform(0, width), rng.uniform(-15, height * 0.4)
        turn, thick, length = rng.uniform(0, np.pi), rng.uniform(2, 9), rng.uniform(8, 50)
        ys, xs = np.mgrid[0:height, 0:width]
        a, b = np.cos(turn) * (xs - x) + np.sin(turn) * (ys - y), -np.sin(turn) * (xs - x) + np.cos(turn) * (ys - y)
        canvas[:, torch.from_numpy((abs(a) < length / 2) & (abs(b) < thick / 2))] = float(rng.uniform(0.02, 0.5))


class Captions:
    """What each emoji is called, and sentences about it."""

    def __init__(self, cache, rng):
        self.own = json.loads((cache / "captions.json").read_text())
        self.rng = rng
        self.meanings = [set(c) for c in self.own]

    def label(self, emoji):
        return self.own[emoji][0]

    def pick(self, emoji, robot=0.4, question=0.05):
        """A caption and a sentence of each emoji: mostly its label, and often the robot's sentence."""
        words, sentences = [], []
        for e in emoji:
            own = self.own[e]
            draw = self.rng.random()
            word = own[0] if draw < 0.6 or len(own) == 1 else own[1] if draw < 0.8 or len(own) == 2 else own[self.rng.integers(2, len(own))]
            words.append(word)
            kind = self.rng.random()
            template = ROBOT_SENTENCE if kind < robot else QUESTIONS[self.rng.integers(len(QUESTIONS))] if kind > 1 - question else SENTENCES[self.rng.integers(len(SENTENCES))]
            sentences.append(template.format(word))
        return words, sentences

    def also_named(self, words, emoji):
        """[n,n] bool: whether word j is one of emoji i's names too."""
        return np.array([[w in self.meanings[e] for w in words] for e in emoji])


def normalised(images, c):
    """u8 [B,3,H,W] -> the model's input."""
    mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (c.image_mean, c.image_std))
    return (images.float() / 255 - mean) / std
