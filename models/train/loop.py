"""The loop that every training stage runs in: schedule, checkpoints, curves, resuming, one device or several.

A stage is a module whose `forward(batch)` returns (loss, figures), and a data set whose item k is the batch of step k. A
step's batch and its random numbers follow from (seed, step), so a resumed run goes on as an unbroken one would.
"""

import csv
import fcntl
import math
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch.utils.data import DataLoader


class Refused(SystemExit):
    """What is asked for does not fit; the message says why."""


def add_arguments(parser, steps, rate):
    """The options that all stages share."""
    parser.add_argument("--steps", type=int, default=steps, help=f"optimiser steps (default {steps})")
    parser.add_argument("--rate", type=float, default=rate, help=f"peak learning rate (default {rate})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the training process")
    parser.add_argument("--workers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--save-every", type=float, default=2.0, metavar="MINUTES")
    parser.add_argument("--log-every", type=int, default=25, metavar="STEPS")
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"), default="no", help="mixed precision (accelerate)")
    parser.add_argument("--cpu", action="store_true", help="stay on the CPU where a GPU is present")


def accelerator(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    # Stages may leave parts out in some steps (the stem learns first, VLM objectives come and go).
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=args.cpu or not torch.cuda.is_available(), mixed_precision=args.precision, kwargs_handlers=[unused])


def save(path, content):
    """Writes beside the target and renames: a checkpoint is whole or the old one."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.rename(path)


def load(path, kind):
    """A checkpoint of this kind, or the reason why not."""
    if not Path(path).exists():
        raise Refused(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise Refused(f"{path}: not a checkpoint ({error})") from error
    found = content.get("kind") if isinstance(content, dict) else None
    if found != kind:
        raise Refused(f"{path}: a checkpoint of kind {found!r}, where {kind!r} is needed")
    return content


def restore(module, weights, path):
    """Loads weights, or says which of them belong to another architecture."""
    own = module.state_dict()
    wrong = [k for k in own if k not in weights] + [k for k in weights if k not in own]
    wrong += [f"{k} {tuple(weights[k].shape)} instead of {tuple(own[k].shape)}" for k in own if k in weights and own[k].shape != weights[k].shape]
    if wrong:
        raise Refused(f"{path}: made by another architecture: {', '.join(wrong[:4])}{' ...' if len(wrong) > 4 else ''}")
    module.load_state_dict(weights)


@contextmanager
def only_one(path):
    """Holds what several runs share: one makes it, the others wait and find it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def curve(path, row):
    """Appends to a CSV whose columns may grow."""
    rows = []
    if path.exists():
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    columns = list(dict.fromkeys([k for r in (*rows[:1], row) for k in r]))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows([*rows, row])


class Steps(torch.utils.data.Dataset):
    """Item k is the batch of step k: `make(rng, step)`."""

    def __init__(self, make, seed):
        self.make, self.seed = make, seed

    def __getitem__(self, step):
        return self.make(np.random.default_rng((self.seed, step)), step)


def cosine(step, total, warm=50):
    return min(1.0, (step + 1) / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))


def run(args, out, name, module, groups, make, content, check=None):
    """Trains `module` for args.steps; `content()` gives what a checkpoint holds beside the optimiser. Returns minutes spent.

    Resumes where `out` holds an unfinished run of the same name. A loss that is no number stops the run: the last
    checkpoint stays as it was.
    """
    acc = accelerator(args)
    optimiser = torch.optim.AdamW(groups, lr=args.rate, weight_decay=0.02, betas=(0.9, 0.98))
    for group in optimiser.param_groups:
        group["peak"] = args.rate * group.get("factor", 1.0)
    first, minutes = 0, 0.0
    progress_path = out.with_suffix(".progress")
    if progress_path.exists():
        saved = load(progress_path, "progress")
        if saved["name"] == name and saved["steps"] == args.steps and saved["seed"] == args.seed:
            restore(module, saved["module"], progress_path)
            optimiser.load_state_dict(saved["optimiser"])
            first, minutes = saved["step"], saved["minutes"]
            acc.print(f"{name}: goes on at step {first} of {args.steps}")
    module, optimiser = acc.prepare(module, optimiser)
    bare = acc.unwrap_model(module)
    steps = range(first * acc.num_processes + acc.process_index, args.steps * acc.num_processes, acc.num_processes)
    loader = DataLoader(Steps(make, args.seed), batch_size=None, sampler=list(steps), num_workers=args.workers, prefetch_factor=4 if args.workers else None)
    parameters = [p for g in optimiser.param_groups for p in g["params"]]
    begin = saved_at = time.monotonic()
    sums = []

    def keep(step):
        if acc.is_main_process:
            spent = minutes + (time.monotonic() - begin) / 60
            save(progress_path, {"kind": "progress", "name": name, "steps": args.steps, "seed": args.seed, "step": step, "minutes": spent, "module": bare.state_dict(), "optimiser": optimiser.state_dict()})
            save(out, content() | {"minutes": spent, "step": step})

    for step, batch in enumerate(loader, first):
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * cosine(step, args.steps)
        torch.manual_seed(args.seed * 1_000_003 + step)
        batch = {k: v.to(acc.device) if torch.is_tensor(v) else v for k, v in batch.items()}
        loss, figures = module(batch | {"progress": step / args.steps})
        if not math.isfinite(loss.item()):
            raise Refused(f"{name}: the loss is {loss.item()} at step {step} ({', '.join(f'{k} {float(v):.3g}' for k, v in figures.items())}); {out} keeps the last good state. Try a lower --rate.")
        optimiser.zero_grad(set_to_none=True)
        acc.backward(loss)
        acc.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        sums.append({k: float(v.detach() if torch.is_tensor(v) else v) for k, v in figures.items()} | {"loss": loss.item()})
        if (step + 1) % args.log_every == 0 or step + 1 == args.steps:
            mean = {k: round(float(np.mean([s[k] for s in sums if k in s])), 4) for k in sums[-1]}
            sums = []
            if check is not None:
                bare.eval()
                with torch.no_grad():
                    mean |= {k: round(float(v), 4) for k, v in check(bare).items()}
                bare.train()
            if acc.is_main_process:
                row = {"stage": name, "step": step + 1, "minutes": round(minutes + (time.monotonic() - begin) / 60, 2)} | mean
                curve(out.with_suffix(".csv"), row)
                print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
        if time.monotonic() - saved_at > args.save_every * 60:
            keep(step + 1)
            saved_at = time.monotonic()
    keep(args.steps)
    acc.wait_for_everyone()
    if acc.is_main_process:
        progress_path.unlink(missing_ok=True)
    return minutes + (time.monotonic() - begin) / 60
