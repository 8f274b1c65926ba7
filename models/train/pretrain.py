"""The prior: what a VLM would know. Emoji art and words only; the robot's table is never shown.

    python pretrain.py contrastive --cache DIR --out CKPT [--minutes M]    # emojis on clutter, matched with their names
    python pretrain.py grounding   --cache DIR --out CKPT [--minutes M]    # sentences find the named card; vision frozen
    python pretrain.py check       --cache DIR --out CKPT                  # the gate: zero-shot naming and grounding

Both stages resume from CKPT, save every two minutes and append to CKPT.csv. `--smoke` runs a few steps.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from art import ROBOT_SENTENCE, SENTENCES, STYLES, Words, table
from model import Config, Policy, unit

CANVAS = 144


class Art:
    """The art bank, with pictures composed by batched warps (all of it u8-scale f32 in torch)."""

    def __init__(self, cache, seed):
        data = np.load(cache / "art.npz")
        self.full = torch.from_numpy(data["art"].astype(np.float32) / 255).permute(0, 1, 4, 2, 3).contiguous()
        styles, emojis = self.full.shape[:2]
        self.half = F.avg_pool2d(self.full.flatten(0, 1), 2).reshape(styles, emojis, 4, 32, 32)
        self.present = data["present"]
        self.rng = np.random.default_rng(seed)
        self.weights = np.array([0.55, 0.15, 0.15, 0.15])
        self.emojis = emojis

    def pick_styles(self, emoji):
        style = self.rng.choice(len(STYLES), len(emoji), p=self.weights)
        return np.where(self.present[style, emoji], style, 0)

    def patches(self, emoji, style, matrices, sizes, side, card):
        """Premultiplied RGBA [n,4,side,side] of emojis warped by `matrices` [n,2,2] (unit square -> pixels / side).

        `card` [n] bool lays a white card under the emoji. `sizes` choose the mip level.
        """
        n = len(emoji)
        inverse = np.linalg.inv(matrices)
        theta = torch.from_numpy(np.concatenate([inverse, np.zeros((n, 2, 1))], 2).astype(np.float32))
        grid = F.affine_grid(theta, (n, 4, side, side), align_corners=False)
        out = torch.empty(n, 4, side, side)
        for small in (False, True):
            index = np.nonzero((sizes < 26) == small)[0]
            if len(index):
                bank = self.half if small else self.full
                out[index] = F.grid_sample(bank[style[index], emoji[index]], grid[index], align_corners=False)
        if card is not None and card.any():
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
        up = turn + np.pi / 2 + self.rng.uniform(-0.4, 0.4, n) * (tilt > 0)
        squash = self.rng.uniform(0.6, 1.05, n)
        out = np.empty((n, 2, 2))
        out[:, :, 0] = np.stack([np.cos(turn), np.sin(turn)], -1)
        out[:, :, 1] = np.stack([np.cos(up), np.sin(up)], -1) * squash[:, None]
        return out * sizes[:, None, None] / 2

    def backgrounds(self, n, height, width):
        """Plain colours, gradients, blobs and stripes of colour, with noise."""
        rng = self.rng
        coarse = rng.choice([1, 2, 3, 6], n)
        out = torch.empty(n, 3, height, width)
        for i in range(n):
            base = rng.uniform(0, 1, (1, 3, 1, 1))
            cells = base + rng.normal(0, rng.uniform(0, 0.3), (1, 3, coarse[i], coarse[i]))
            mode = "nearest" if rng.random() < 0.2 else "bilinear"
            cells = torch.from_numpy(cells.astype(np.float32))
            out[i] = F.interpolate(cells, (height, width), mode=mode, align_corners=None if mode == "nearest" else False)[0]
            for _ in range(rng.integers(0, 4)):
                x, y, w, h = rng.integers(0, width), rng.integers(0, height), rng.integers(4, 60), rng.integers(4, 60)
                out[i, :, y : y + h, x : x + w] = torch.from_numpy(rng.uniform(0, 1, (3, 1, 1)).astype(np.float32))
        return out.clamp(0, 1)

    def paste(self, canvas, patch, cx, cy):
        """Lays one premultiplied patch over a canvas [3,H,W], centred on (cx, cy)."""
        side = patch.shape[-1]
        height, width = canvas.shape[1:]
        x, y = int(round(cx - side / 2)), int(round(cy - side / 2))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
        if x0 >= x1 or y0 >= y1:
            return
        part = patch[:, y0 - y : y1 - y, x0 - x : x1 - x]
        area = canvas[:, y0:y1, x0:x1]
        area.mul_(1 - part[3]).add_(part[:3])

    def finish(self, images):
        """Light, contrast, blur and noise, then the model's normalisation."""
        n = images.shape[0]
        f = lambda low, high, shape: torch.from_numpy(self.rng.uniform(low, high, shape).astype(np.float32))
        images = images * f(0.6, 1.1, (n, 1, 1, 1)) * f(0.92, 1.08, (n, 3, 1, 1)) + f(-0.05, 0.08, (n, 1, 1, 1))
        blur = np.nonzero(self.rng.random(n) < 0.3)[0]
        if len(blur):
            images[blur] = F.avg_pool2d(F.pad(images[blur], (1, 1, 1, 1), mode="replicate"), 3, 1) * 0.6 + images[blur] * 0.4
        images = images + torch.randn(images.shape) * f(0, 0.03, (n, 1, 1, 1))
        return (images.clamp(0, 1) - 0.5) / 0.5

    def canvases(self, n):
        """n canvases of 16 emojis: images, emoji [n,16], centres [n,16,2] in -1..1 (grid_sample's)."""
        images = self.backgrounds(n, CANVAS, CANVAS)
        emoji = np.stack([self.rng.choice(self.emojis, 16, replace=False) for _ in range(n)])
        flat = emoji.reshape(-1)
        sizes = self.rng.uniform(19, 40, len(flat))
        tilt = np.where(self.rng.random() < 0.8, 0.7, 0.15)
        matrices = self.matrices(sizes, tilt)
        patches = self.patches(flat, self.pick_styles(flat), matrices / 28, sizes, 56, self.rng.random(len(flat)) < 0.5)
        centres = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(1, 16, 2) * 36 + 18 + self.rng.uniform(-5, 5, (n, 16, 2))
        for i in range(n):
            for j in self.rng.permutation(16):
                self.paste(images[i], patches[i * 16 + j], *centres[i, j])
        return self.finish(images), emoji, torch.from_numpy((np.round(centres) / CANVAS * 2 - 1).astype(np.float32))

    def tables(self, n, width, height, cards=4):
        """n scenes of white cards, a block and bars: images, emoji [n,cards], centres of cards [n,cards,2] and of the block [n,2] in 0..1."""
        rng = self.rng
        images = self.backgrounds(n, height, width)
        emoji = np.stack([rng.choice(self.emojis, cards, replace=False) for _ in range(n)])
        flat = emoji.reshape(-1)
        sizes = np.repeat(rng.uniform(22, 36, n), cards) * rng.uniform(0.85, 1.15, n * cards)
        # All cards of a scene lie on one table: one warp, then a little of their own.
        matrices = np.repeat(self.matrices(np.ones(n), 0.8), cards, 0) * sizes[:, None, None]
        patches = self.patches(flat, self.pick_styles(flat), matrices / 32, sizes, 64, np.ones(len(flat), bool))
        centres = np.empty((n, cards, 2))
        blocks = np.empty((n, 2))
        for i in range(n):
            placed = []
            while len(placed) < cards + 1:
                for _ in range(60):
                    xy = rng.uniform((12, 12), (width - 12, height - 12))
                    if all(np.hypot(*(xy - p)) > 36 for p in placed):
                        break
                placed.append(xy)
            for j in range(cards):
                self.paste(images[i], patches[i * cards + j], *placed[j])
            centres[i] = np.round(placed[:cards])
            blocks[i] = np.round(placed[cards])
            self.block(images[i], *blocks[i])
            if rng.random() < 0.5:
                self.bar(images[i])
        scale = np.array([width, height])
        return self.finish(images), emoji, centres / scale, blocks / scale

    def block(self, canvas, cx, cy):
        """A little box seen from above: a top and two darker sides."""
        rng = self.rng
        side, turn = rng.uniform(8, 14), rng.uniform(0, np.pi / 2)
        colour = torch.from_numpy(rng.uniform(0, 0.9, (3, 1)).astype(np.float32))
        if rng.random() < 0.5:
            colour = torch.tensor([[0.1], [0.1], [0.5]]) * float(rng.uniform(0.5, 1.5))
        drop = rng.uniform(2, 8)
        height, width = canvas.shape[1:]
        y, x = np.mgrid[0:height, 0:width]
        for shift, shade in ((drop, 0.5), (drop / 2, 0.6), (0, 1.0)):
            dx, dy = x - cx, (y - cy - shift + drop / 2) * 1.4
            a, b = np.cos(turn) * dx + np.sin(turn) * dy, -np.sin(turn) * dx + np.cos(turn) * dy
            inside = torch.from_numpy((np.maximum(abs(a), abs(b)) < side / 2))
            canvas[:, inside] = colour * shade

    def bar(self, canvas):
        """A dark bar or finger across a part of the scene, like something that reaches in."""
        rng = self.rng
        height, width = canvas.shape[1:]
        x, y = rng.uniform(0, width), rng.uniform(-20, height * 0.4)
        turn, thick, length = rng.uniform(0, np.pi), rng.uniform(3, 12), rng.uniform(10, 70)
        ys, xs = np.mgrid[0:height, 0:width]
        a, b = np.cos(turn) * (xs - x) + np.sin(turn) * (ys - y), -np.sin(turn) * (xs - x) + np.cos(turn) * (ys - y)
        canvas[:, torch.from_numpy((abs(a) < length / 2) & (abs(b) < thick / 2))] = float(rng.uniform(0.02, 0.5))


class Captions:
    def __init__(self, cache, rng):
        self.own = json.loads((cache / "captions.json").read_text())
        self.rng = rng
        self.meanings = [set(c) for c in self.own]

    def pick(self, emoji, robot=0.4):
        """A caption and a sentence of each emoji: mostly its label, and mostly the robot's sentence."""
        words, sentences = [], []
        for e in emoji:
            own = self.own[e]
            draw = self.rng.random()
            word = own[0] if draw < 0.6 or len(own) == 1 else own[1] if draw < 0.8 or len(own) == 2 else own[self.rng.integers(2, len(own))]
            words.append(word)
            template = ROBOT_SENTENCE if self.rng.random() < robot else SENTENCES[self.rng.integers(len(SENTENCES))]
            sentences.append(template.format(word))
        return words, sentences


def load(path, config=None):
    model = Policy(config)
    state = {"steps": {}, "minutes": {}}
    if path.exists():
        saved = torch.load(path, weights_only=True)
        model = Policy(Config.from_dict(saved["config"]))
        model.load_state_dict(saved["model"])
        state = saved["state"]
    return model, state


def save(path, model, state):
    part = path.with_suffix(".part")
    torch.save({"config": model.c.to_dict(), "model": model.state_dict(), "state": state}, part)
    part.rename(path)


def log(path, row):
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)


def contrastive_step(model, prototypes, art, captions, words, batch):
    """Pictures against sentences, and both against one learned vector per emoji, which gives the two a fixed target early on."""
    images, emoji, centres = art.canvases(batch)
    flat = emoji.reshape(-1)
    texts, sentences = captions.pick(flat)
    with torch.autocast("cpu", torch.bfloat16):
        _, coarse = model.vision(images.to(memory_format=torch.channels_last))
        text, mask = model.text(torch.from_numpy(words(sentences)))
    coarse = F.grid_sample(coarse.float(), centres[:, :, None, :], align_corners=False, padding_mode="border")
    vectors = model.matcher.image_vectors(coarse[..., 0].transpose(1, 2)).reshape(len(flat), -1)
    sentence = model.matcher.sentence(text.float(), mask)
    logits = vectors @ sentence.T * model.matcher.scale()
    # Row i (picture) fits column j (sentence) if j's word is one of the picture's.
    own = [captions.meanings[e] for e in flat]
    fits = torch.from_numpy(np.array([[t in o for t in texts] for o in own]))
    diagonal = torch.eye(len(flat), dtype=torch.bool)
    logits_masked = logits.masked_fill(fits & ~diagonal, -1e4)
    target = torch.arange(len(flat))
    loss = (F.cross_entropy(logits_masked, target, label_smoothing=0.02) + F.cross_entropy(logits_masked.T, target, label_smoothing=0.02)) / 2
    named = torch.from_numpy(flat)
    picture_logits, sentence_logits = (vectors @ unit(prototypes).T) * 20, (sentence @ unit(prototypes).T) * 20
    # A keyword may fit several emojis; those that it fits as well are no mistakes.
    also = torch.from_numpy(np.array([[t in m for m in captions.meanings] for t in texts]))
    also[target, named] = False
    loss = loss + F.cross_entropy(picture_logits, named) + 0.5 * F.cross_entropy(sentence_logits.masked_fill(also, -1e4), named)
    return loss, (picture_logits.argmax(1) == named).float().mean().item()


def run_steps(args, name, model, state, parameters, rate, step):
    """The loop that both stages share: cosine schedule over wall-clock minutes, so that a busy machine still ends in time."""
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    begin, saved, done = time.monotonic(), time.monotonic(), 0
    sums = []
    while True:
        minutes = (time.monotonic() - begin) / 60
        progress = minutes / args.minutes
        if progress >= 1 or (args.smoke and done >= 3):
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0) * min(1.0, (done + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        loss, score = step()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
        optimiser.step()
        done += 1
        sums.append((loss.item(), score))
        if done % 25 == 0 or args.smoke:
            mean = np.mean(sums, 0)
            sums = []
            log(args.out.with_suffix(".csv"), {"stage": name, "step": done, "minutes": round(minutes, 2), "loss": round(float(mean[0]), 4), "score": round(float(mean[1]), 4)})
        if time.monotonic() - saved > 120:
            state["steps"][name], state["minutes"][name] = done, round(minutes, 2)
            save(args.out, model, state)
            saved = time.monotonic()
    state["steps"][name], state["minutes"][name] = done, round((time.monotonic() - begin) / 60, 2)
    save(args.out, model, state)


def contrastive(args):
    model, state = load(args.out)
    model.train()
    art, words = Art(args.cache, args.seed), Words(args.cache / "tokenizer.json", model.c.max_tokens)
    captions = Captions(args.cache, art.rng)
    model = model.to(memory_format=torch.channels_last)
    with torch.no_grad():  # the labels' own vectors, so that resuming loses nothing
        model.eval()
        text, mask = model.text(torch.from_numpy(words([ROBOT_SENTENCE.format(own[0]) for own in captions.own])))
        prototypes = torch.nn.Parameter(model.matcher.sentence(text, mask).clone())
        model.train()
    parts = [*model.vision.parameters(), *model.text.parameters(), *model.matcher.parameters(), prototypes]
    run_steps(args, "contrastive", model, state, parts, args.rate or 2e-3, lambda: contrastive_step(model, prototypes, art, captions, words, args.batch))


def grounding(args):
    """Vision frozen, its features of a pool of scenes cached; words, fusion and the two locators learn."""
    model, state = load(args.out)
    model.train()
    model.vision.eval()
    art, words = Art(args.cache, args.seed + 1), Words(args.cache / "tokenizer.json", model.c.max_tokens)
    captions = Captions(args.cache, art.rng)
    _, _, width, height = model.c.crop
    rows, cols = model.c.grid
    pool = 32 if args.smoke else args.pool
    fine, coarse, emoji, centres, blocks = [], [], [], [], []
    begin = time.monotonic()
    for _ in range(pool // 16):
        images, e, c, b = art.tables(16, width, height)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            f, g = model.vision(images.to(memory_format=torch.channels_last))
        fine.append(f.bfloat16().contiguous()), coarse.append(g.bfloat16().contiguous())
        emoji.append(e), centres.append(c), blocks.append(b)
    print(f"{pool} scenes in {time.monotonic() - begin:.0f} s", flush=True)
    fine, coarse = torch.cat(fine), torch.cat(coarse)
    emoji, centres, blocks = map(np.concatenate, (emoji, centres, blocks))
    centres_t, blocks_t = torch.from_numpy(centres).float(), torch.from_numpy(blocks).float()
    cells = model.head.card.cells[0]

    def step():
        i = art.rng.integers(0, pool, args.batch)
        j = art.rng.integers(0, emoji.shape[1], args.batch)
        _, sentences = captions.pick(emoji[i, j], robot=0.6)
        with torch.autocast("cpu", torch.bfloat16):
            text, mask = model.text(torch.from_numpy(words(sentences)))
            logits = model.ground(coarse[i].float(), text.float(), mask)
            block_logits, block_uv, _, card_uv = model.head.locate(fine[i].float(), logits.float())
        loss, score = where_losses(cells, centres_t[i, j], logits.float(), card_uv.float(), (cols, rows))
        loss_block, _ = where_losses(model.head.block.cells[0], blocks_t[i], block_logits.float(), block_uv.float(), (cols * 2, rows * 2))
        return loss + 0.5 * loss_block, score

    head = [*model.head.block_read.parameters(), *model.head.block_where.parameters(), *model.head.block.parameters()]
    groups = [
        {"params": [*model.fusion.parameters(), *head]},
        {"params": [*model.text.parameters(), *model.matcher.parameters()], "factor": 0.2},
    ]
    run_steps(args, "grounding", model, state, groups, args.rate or 1e-3, step)


def where_losses(cells, truth, logits, uv, size):
    """Cross entropy against a soft blob around the true place (a cell wide), and L1 of the read-out; score: nearest cell right."""
    size = torch.tensor(size, dtype=torch.float32)
    distance = (((cells[None] - truth[:, None]) * size) ** 2).sum(-1)
    blob = torch.softmax(-distance / (2 * 0.6**2), -1)
    loss = -(blob * F.log_softmax(logits, -1)).sum(-1).mean() + (uv - truth).abs().mean() * 10
    best = ((cells[logits.argmax(-1)] - truth) * size).abs().amax(-1)
    return loss, (best <= 1.01).float().mean().item()


@torch.no_grad()
def check(args):
    """The gate, on fresh pictures: naming one of three, and the heatmap choosing among the cards, per split and style."""
    model, state = load(args.out)
    model.eval()
    words = Words(args.cache / "tokenizer.json", model.c.max_tokens)
    rows = table()
    own = json.loads((args.cache / "captions.json").read_text())
    tokens = torch.from_numpy(words([ROBOT_SENTENCE.format(c[0]) for c in own]))
    text, mask = model.text(tokens)
    sentence = model.matcher.sentence(text, mask)
    _, _, width, height = model.c.crop
    result = {"steps": state["steps"], "minutes": state["minutes"]}
    scenes = 2 if args.smoke else args.scenes // 16
    for style in ("noto", "twemoji"):
        art = Art(args.cache, args.seed + 99)
        art.weights = np.eye(len(STYLES))[STYLES.index(style)]
        for split in ("train", "val"):
            allowed = np.array([i for i, r in enumerate(rows) if r["split"] == split])
            art.emojis = allowed
            right_name = right_heat = count = 0
            for _ in range(scenes):
                images, emoji, centres, _ = art.tables(16, width, height, cards=3)
                _, coarse = model.vision(images)
                vectors = model.matcher.image_vectors(model.tokens(coarse))
                grid = torch.from_numpy(centres * 2 - 1).float()
                there = F.grid_sample(coarse, grid[:, :, None, :], align_corners=False, padding_mode="border")[..., 0].transpose(1, 2)
                there = model.matcher.image_vectors(there)
                cells = model.head.card.cells[0].numpy()
                for j in range(3):
                    named = emoji[:, j]
                    scores = (there * sentence[named][:, None]).sum(-1)
                    right_name += int((scores.argmax(1) == j).sum())
                    logits = model.ground(coarse, text[named], mask[named])
                    peak = cells[logits.argmax(1).numpy()]
                    nearest = (((peak[:, None] - centres) * (width, height)) ** 2).sum(-1).argmin(1)
                    right_heat += int((nearest == j).sum())
                    count += len(named)
            result[f"{style}/{split}"] = {"naming": round(right_name / count, 4), "heatmap": round(right_heat / count, 4), "n": count}
    print(json.dumps(result, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("contrastive", "grounding", "check"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--pool", type=int, default=6000)
    parser.add_argument("--scenes", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.batch = args.batch or {"contrastive": 16, "grounding": 48, "check": 16}[args.stage]
    {"contrastive": contrastive, "grounding": grounding, "check": check}[args.stage](args)


if __name__ == "__main__":
    main()
