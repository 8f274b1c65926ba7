"""Behaviour cloning on recorded demonstrations, on top of the prior.

    python train.py warm     --prior CKPT --demos DIR --tokenizer FILE --cache ART --out CKPT [--minutes M]   # vision and words frozen, features cached
    python train.py act ...                                            # the block's place and the action layers, on cached features
    python train.py finetune --demos DIR --tokenizer FILE --out CKPT --cache ART [--minutes M]    # vision too, at a low rate, co-trained on the prior's pictures

Batch statistics stay those of the prior. Saves every two minutes, appends to CKPT.csv. `--smoke` runs a few steps.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from art import Words
from data import Demos
from model import Config, Policy
from pretrain import Art, Captions, log, where_losses


def load(path):
    saved = torch.load(path, weights_only=True)
    policy = Policy(Config.from_dict(saved["config"]))
    policy.load_state_dict(saved["model"])
    return policy, saved.get("state", {})


def save(path, policy, demos, state):
    part = path.with_suffix(".part")
    content = {"config": policy.c.to_dict(), "model": policy.state_dict(), "state": state, "action_mean": demos.action_mean, "action_std": demos.action_std}
    torch.save(content, part)
    part.rename(path)


def task_texts(policy, demos, words):
    """Word features of every instruction of the demonstrations."""
    with torch.no_grad():
        return policy.text(torch.from_numpy(words(demos.tasks)))


class Features:
    """Stride-8 and stride-16 features of every frame, computed once with the frozen encoder."""

    def __init__(self, policy, demos, folder, smoke):
        self.count = 64 if smoke else len(demos)
        rows, cols = policy.c.grid
        shapes = {"fine": (policy.c.widths[2], rows * 2, cols * 2), "coarse": (policy.c.widths[3], rows, cols)}
        paths = {k: folder / f"{k}.npy" for k in shapes}
        progress = folder / "features.count"
        first = int(progress.read_text()) if progress.exists() and not smoke else 0
        if first < self.count:
            fresh = "r+" if first else "w+"
            maps = {k: np.lib.format.open_memmap(paths[k], fresh, np.uint16, None if first else (self.count, *s)) for k, s in shapes.items()}
            begin = time.monotonic()
            for start in range(first, self.count, 64):
                index = np.arange(start, min(start + 64, self.count))
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    values = policy.vision(demos.image(index).to(memory_format=torch.channels_last))
                for m, v in zip(maps.values(), values):
                    m[index] = v.bfloat16().contiguous().view(torch.uint16).numpy()
                if not smoke and start // 64 % 50 == 49 or index[-1] + 1 == self.count:
                    for m in maps.values():
                        m.flush()
                    progress.write_text(str(0 if smoke else int(index[-1]) + 1))
                    print(f"features: {index[-1] + 1} of {self.count}, {time.monotonic() - begin:.0f} s", flush=True)
        self.maps = {k: np.load(p, mmap_mode="r") for k, p in paths.items()}

    def __call__(self, index):
        """The features of the frames in `index`, which must be sorted."""
        return [torch.from_numpy(m[index]).view(torch.bfloat16).float() for m in self.maps.values()]


class PriorScenes:
    """A pool of the prior's own pictures, kept in training so that what it knows is not lost. Features are cached."""

    def __init__(self, policy, args, words, size):
        self.art = Art(args.cache, args.seed + 7)
        self.captions, self.words = Captions(args.cache, self.art.rng), words
        self.coarse, self.emoji, self.centres = [], [], []
        _, _, width, height = policy.c.crop
        for _ in range(size // 16):
            images, emoji, centres, _ = self.art.tables(16, width, height)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                self.coarse.append(policy.vision(images.to(memory_format=torch.channels_last))[1].bfloat16().contiguous())
            self.emoji.append(emoji), self.centres.append(centres)
        self.coarse, self.emoji, self.centres = torch.cat(self.coarse), np.concatenate(self.emoji), np.concatenate(self.centres)

    def loss(self, policy, batch):
        i = self.art.rng.integers(0, len(self.emoji), batch)
        j = self.art.rng.integers(0, self.emoji.shape[1], batch)
        _, sentences = self.captions.pick(self.emoji[i, j], robot=0.6)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                text, mask = policy.text(torch.from_numpy(self.words(sentences)))
            logits = policy.ground(self.coarse[i].float(), text, mask)
        return prior_loss(policy, logits, self.centres[i, j])


def prior_loss(policy, logits, centres):
    """Only which card: the read-out of its exact place belongs to the robot's frames."""
    rows, cols = policy.c.grid
    centres = torch.from_numpy(centres).float()
    return where_losses(policy.head.card.cells[0], centres, logits.float(), centres, (cols, rows))


def losses(policy, demos, index, out):
    """Action L1 (gripper: cross entropy), and where block and named card are, in the picture and in the world."""
    head, (rows, cols) = policy.head, policy.c.grid
    truth = demos.chunks[index]
    moves = (out["action"][:, :, :6] - truth[:, :, :6]).abs()
    grip = F.binary_cross_entropy(out["action"][:, :, 6].clamp(1e-4, 1 - 1e-4), truth[:, :, 6].clamp(0, 1))
    block_heat, _ = where_losses(head.block.cells[0], demos.block_uv[index].clamp(0, 1), out["block_logits"], out["block_uv"], (cols * 2, rows * 2))
    card_heat, card_right = where_losses(head.card.cells[0], demos.card_uv[index].clamp(0, 1), out["logits"], out["card_uv"], (cols, rows))
    block_error = (out["block"] - demos.block[index]).abs()
    card_error = (out["card"] - demos.card[index][:, :2]).abs()
    total = moves.mean() + 0.5 * grip + 0.1 * block_heat + 0.1 * card_heat + 5 * block_error.mean() + 3 * card_error.mean()
    figures = {
        "move": moves[:, :, :3].mean(), "grip": grip, "block_mm": block_error[:, :2].mean() * 1000, "card_mm": card_error.median() * 1000,
        "card_right": ((out["card"] - demos.card[index][:, :2]).norm(dim=-1) < 0.07).float().mean(), "cell": torch.tensor(card_right),
    }
    return total, {k: v.item() for k, v in figures.items()}


def loop(args, policy, demos, state, stage, groups, rate, step, validate):
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    begin, saved, done, sums = time.monotonic(), time.monotonic(), 0, []

    def keep():
        state.setdefault("steps", {})[stage] = done
        state.setdefault("minutes", {})[stage] = round((time.monotonic() - begin) / 60, 2)
        save(args.out, policy, demos, state)

    while True:
        minutes = (time.monotonic() - begin) / 60
        progress = minutes / args.minutes
        if progress >= 1 or (args.smoke and done >= 3):
            break
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0) * min(1.0, (done + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        loss, figures = step()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 1.0)
        optimiser.step()
        done += 1
        sums.append(figures | {"loss": loss.item()})
        if done % args.log_every == 0 or args.smoke:
            mean = {k: round(float(np.mean([s[k] for s in sums])), 4) for k in sums[0]}
            held = {f"held_{k}": round(v, 4) for k, v in validate().items()}
            sums = []
            log(args.out.with_suffix(f".{stage}.csv"), {"stage": stage, "step": done, "minutes": round(minutes, 2)} | mean | held)
        if time.monotonic() - saved > 120:
            keep()
            saved = time.monotonic()
    keep()


def warm(args):
    policy, state = load(args.out if args.out.exists() and not args.restart else args.prior)
    policy.eval()
    demos = Demos(args.demos, policy.c)
    policy.head.state_mean.copy_(demos.state_mean)
    policy.head.state_std.copy_(demos.state_std)
    words = Words(args.tokenizer, policy.c.max_tokens)
    features = Features(policy, demos, args.demos, args.smoke)
    prior = PriorScenes(policy, args, words, 32 if args.smoke else 1600)
    text, mask = task_texts(policy, demos, words)
    train, held = demos.split()
    train, held = train[train < features.count], held[held < features.count]
    held = held if len(held) else train
    rng = np.random.default_rng(args.seed)

    def forward(index, noise):
        index = np.sort(index)
        task = demos.columns["task"][index]
        fine, coarse = features(index)
        states = demos.states[index]
        if noise:
            states = states + torch.randn_like(states) * 0.001 / demos.state_std
        with torch.autocast("cpu", torch.bfloat16):
            logits = policy.ground(coarse, text[task], mask[task])
        return losses(policy, demos, index, policy.decide(fine, logits.float(), states))

    def step():
        loss, figures = forward(rng.choice(train, args.batch), True)
        loss_prior, right = prior.loss(policy, args.batch // 4)
        return loss + 0.3 * loss_prior, figures | {"prior": right}

    def validate():
        with torch.no_grad():
            return forward(rng.choice(held, min(len(held), 384), replace=False), False)[1]

    groups = [{"params": list(policy.head.parameters())}, {"params": list(policy.fusion.parameters()), "factor": args.body_factor}]
    loop(args, policy, demos, state, "warm", groups, args.rate or 1.5e-3, step, validate)


def act(args):
    """The block's place and the action layers, on cached features and card positions: many cheap steps for what needs precision."""
    policy, state = load(args.out)
    policy.eval()
    head = policy.head
    demos = Demos(args.demos, policy.c)
    words = Words(args.tokenizer, policy.c.max_tokens)
    text, mask = task_texts(policy, demos, words)
    features = Features(policy, demos, args.demos, args.smoke)
    count = features.count
    cards = []
    for start in range(0, count, 96):
        index = np.arange(start, min(start + 96, count))
        task = demos.columns["task"][index]
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = policy.ground(features(index)[1], text[task], mask[task])
        with torch.no_grad():
            cards.append(head.card_world(head.card(logits.float())))
    cards = torch.cat(cards)
    rows, cols = policy.c.grid
    train, held = demos.split()
    train, held = train[train < count], held[held < count]
    held = held if len(held) else train
    rng = np.random.default_rng(args.seed)

    def forward(index, noise):
        index = np.sort(index)
        fine = torch.from_numpy(features.maps["fine"][index]).view(torch.bfloat16).float()
        states, card, true_block, true_card = demos.states[index], cards[index], demos.block[index], demos.card[index, :2]
        if noise:
            states = states + torch.randn_like(states) * 0.0005 / demos.state_std
        with torch.autocast("cpu", torch.bfloat16):
            hidden = F.relu(head.block_read(fine.to(memory_format=torch.channels_last)))
            block_logits = head.block_where(hidden).flatten(1).float()
        block_uv, block_feature = head.block(block_logits, hidden.float().flatten(2).transpose(1, 2))
        block = head.block_world(torch.cat([block_uv, block_feature, states], -1))
        used = block
        if noise:
            # Now and then the true place instead, so that following the estimate is what is learned; and a little blur.
            swap = (torch.rand(len(index), 1) < 0.3).float()
            used, card = used + swap * (true_block - used), card + swap * (true_card - card)
            used, card = used + torch.randn_like(used) * 0.001, card + torch.randn_like(card) * 0.002
        out, truth = head.act(states, used, card, block_feature), demos.chunks[index]
        moves = (out[:, :, :6] - truth[:, :, :6]).abs()
        grip = F.binary_cross_entropy(out[:, :, 6].clamp(1e-4, 1 - 1e-4), truth[:, :, 6].clamp(0, 1))
        heat, _ = where_losses(head.block.cells[0], demos.block_uv[index].clamp(0, 1), block_logits, block_uv, (cols * 2, rows * 2))
        error = (block - true_block).abs()
        loss = moves.mean() + 0.5 * grip + 0.1 * heat + 20 * error.mean()
        free = states[:, 6] * demos.state_std[6] + demos.state_mean[6] > 0.6
        return loss, {"move": moves[:, :, :3].mean().item(), "grip": grip.item(), "block_mm": error[:, :2].mean().item() * 1000, "free_block_mm": error[free, :2].mean().item() * 1000}

    def validate():
        with torch.no_grad():
            return forward(held, False)[1]

    frozen = {id(p) for p in head.card_world.parameters()}
    groups = [{"params": [p for p in head.parameters() if id(p) not in frozen]}]
    loop(args, policy, demos, state, "act", groups, args.rate or 1.5e-3, lambda: forward(rng.choice(train, args.batch), True), validate)


def finetune(args):
    """All of vision, fusion and head at a low rate; every step also sees one batch of the prior's own pictures."""
    policy, state = load(args.out)
    policy.eval()  # frozen batch statistics
    policy = policy.to(memory_format=torch.channels_last)
    demos = Demos(args.demos, policy.c)
    words = Words(args.tokenizer, policy.c.max_tokens)
    art = Art(args.cache, args.seed + 7)
    captions = Captions(args.cache, art.rng)
    text, mask = task_texts(policy, demos, words)
    train, held = demos.split()
    rng = np.random.default_rng(args.seed)
    _, _, width, height = policy.c.crop

    def robot(index, noise):
        task = demos.columns["task"][index]
        images, states = demos.image(index), demos.states[index]
        if noise:
            images = images * torch.empty(len(index), 1, 1, 1).uniform_(0.92, 1.08) + torch.randn_like(images) * 0.01
            states = states + torch.randn_like(states) * 0.0015 / demos.state_std
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = policy.vision(images.to(memory_format=torch.channels_last))
            logits = policy.ground(coarse, text[task], mask[task])
        return losses(policy, demos, index, policy.decide(fine.float(), logits.float(), states))

    def prior():
        images, emoji, centres, blocks = art.tables(args.batch // 2, width, height)
        rows_of = np.arange(len(images)).repeat(2)
        named = np.concatenate([art.rng.choice(emoji.shape[1], 2, replace=False) for _ in range(len(images))])
        _, sentences = captions.pick(emoji[rows_of, named], robot=0.6)
        with torch.autocast("cpu", torch.bfloat16):
            _, coarse = policy.vision(images.to(memory_format=torch.channels_last))
            with torch.no_grad():
                t, m = policy.text(torch.from_numpy(words(sentences)))
            logits = policy.ground(coarse[rows_of], t, m)
        return prior_loss(policy, logits, centres[rows_of, named])

    def step():
        loss, figures = robot(rng.choice(train, args.batch), True)
        loss_prior, right = prior()
        return loss + 0.2 * loss_prior, figures | {"prior": right}

    def validate():
        with torch.no_grad():
            return robot(rng.choice(held, min(len(held), 128), replace=False), False)[1]

    groups = [
        {"params": list(policy.head.parameters())},
        {"params": [*policy.vision.parameters(), *policy.fusion.parameters()], "factor": args.body_factor},
    ]
    loop(args, policy, demos, state, "finetune", groups, args.rate or 5e-4, step, validate)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("warm", "act", "finetune"))
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--demos", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--body-factor", type=float, default=0.3)
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.batch = args.batch or {"warm": 96, "act": 128, "finetune": 16}[args.stage]
    {"warm": warm, "act": act, "finetune": finetune}[args.stage](args)


if __name__ == "__main__":
    main()
