"""Behaviour cloning on recorded demonstrations, on top of the prior.

    python train.py warm     --prior CKPT --demos DIR --tokenizer FILE --out CKPT [--minutes M]   # vision, words and fusion frozen, features cached
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
    """Text features of every instruction of the demonstrations."""
    with torch.no_grad():
        return policy.text(torch.from_numpy(words(demos.tasks)))


class Features:
    """Stride-8 features and fused tokens of every frame, computed once with the frozen prior."""

    def __init__(self, policy, demos, words, folder, smoke):
        self.count = 64 if smoke else len(demos)
        rows, cols = policy.c.grid
        shapes = {"fine": (policy.c.widths[2], rows * 2, cols * 2), "fused": (rows * cols, policy.c.dim), "logits": (rows * cols,)}
        paths = {k: folder / f"{k}.npy" for k in shapes}
        done = folder / "features.done"
        if not done.exists() or smoke:
            maps = {k: np.lib.format.open_memmap(paths[k], "w+", np.uint16, (self.count, *s)) for k, s in shapes.items()}
            text, mask = task_texts(policy, demos, words)
            begin = time.monotonic()
            for start in range(0, self.count, 64):
                index = np.arange(start, min(start + 64, self.count))
                task = demos.columns["task"][index]
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    fine, coarse = policy.vision(demos.image(index).to(memory_format=torch.channels_last))
                    fused, logits = policy.ground(coarse, text[task], mask[task])
                for k, v in (("fine", fine), ("fused", fused), ("logits", logits)):
                    maps[k][index] = v.bfloat16().contiguous().view(torch.uint16).numpy()
                if start % 6400 == 0:
                    print(f"features: {start} of {self.count}, {time.monotonic() - begin:.0f} s", flush=True)
            for m in maps.values():
                m.flush()
            if not smoke:
                done.touch()
        self.maps = {k: np.load(p, mmap_mode="r") for k, p in paths.items()}

    def __call__(self, index):
        order = np.sort(index)
        return order, [torch.from_numpy(self.maps[k][order]).view(torch.bfloat16).float() for k in ("fine", "fused", "logits")]


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
    features = Features(policy, demos, words, args.demos, args.smoke)
    train, held = demos.split()
    train, held = train[train < features.count], held[held < features.count]
    held = held if len(held) else train
    rng = np.random.default_rng(args.seed)

    def forward(index, noise):
        index, (fine, fused, logits) = features(index)
        states = demos.states[index]
        if noise:
            states = states + torch.randn_like(states) * 0.003 / demos.state_std * torch.tensor([1, 1, 1, 1, 1, 1, 2.0]) * 0.5
        return losses(policy, demos, index, policy.decide(fine, fused, logits, states))

    def validate():
        with torch.no_grad():
            return forward(rng.choice(held, min(len(held), 512), replace=False), False)[1]

    groups = [{"params": list(policy.head.parameters())}]
    loop(args, policy, demos, state, "warm", groups, args.rate or 1.5e-3, lambda: forward(rng.choice(train, args.batch), True), validate)


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
    rows, cols = policy.c.grid

    def robot(index, noise):
        task = demos.columns["task"][index]
        images, states = demos.image(index), demos.states[index]
        if noise:
            images = images * torch.empty(len(index), 1, 1, 1).uniform_(0.92, 1.08) + torch.randn_like(images) * 0.01
            states = states + torch.randn_like(states) * 0.0015 / demos.state_std
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = policy.vision(images.to(memory_format=torch.channels_last))
            fused, logits = policy.ground(coarse, text[task], mask[task])
        return losses(policy, demos, index, policy.decide(fine.float(), fused.float(), logits.float(), states))

    def prior():
        images, emoji, centres, blocks = art.tables(args.batch // 2, width, height)
        rows_of = np.arange(len(images)).repeat(2)
        named = np.concatenate([art.rng.choice(emoji.shape[1], 2, replace=False) for _ in range(len(images))])
        _, sentences = captions.pick(emoji[rows_of, named], robot=0.6)
        with torch.autocast("cpu", torch.bfloat16):
            _, coarse = policy.vision(images.to(memory_format=torch.channels_last))
            with torch.no_grad():
                t, m = policy.text(torch.from_numpy(words(sentences)))
            _, logits = policy.ground(coarse[rows_of], t, m)
        centre = torch.from_numpy(centres[rows_of, named]).float()
        # Only where the named card is: the read-out of its exact place belongs to the robot's frames.
        return where_losses(policy.head.card.cells[0], centre, logits.float(), centre, (cols, rows))

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
    parser.add_argument("stage", choices=("warm", "finetune"))
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--demos", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
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
    args.batch = args.batch or {"warm": 192, "finetune": 16}[args.stage]
    {"warm": warm, "finetune": finetune}[args.stage](args)


if __name__ == "__main__":
    main()
