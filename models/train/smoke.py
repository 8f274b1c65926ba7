"""Every way in small: a few steps of the prior and of each way on a handful of episodes, exported and run by `wink eval`.

    python smoke.py --wink BIN [--work DIR] [--art DIR] [--ways full lora ...]

Shows that the whole chain runs; its scores mean nothing. Needs npm for the art unless --art names a folder that has it.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import art
import data
import export
import pretrain
import train
from ways import CONFIGS, load_way

EPISODES, CROP, EVERY = 4, "32,48,160,112", 5


def call(main, *arguments):
    """A command's own main, in this process: importing torch anew takes longer than the steps do."""
    sys.argv = [main.__module__ + ".py", *map(str, arguments)]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        main()
    return out.getvalue()


def wink(binary, *arguments):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"wink {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def record(binary, work, name, *options):
    demos, frames, out = work / f"demos-{name}", work / f"frames-{name}.npy", work / f"data-{name}"
    wink(binary, "record", "--episodes", EPISODES, "--no-images", "--out", demos, "--force", *options)
    wink(binary, "frames", "--data", demos, "--every", EVERY, "--crop", CROP, "--out", frames, "--force")
    call(data.main, "--demos", demos, "--frames", frames, "--out", out, "--every", EVERY)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wink", required=True, help="the tool")
    parser.add_argument("--work", type=Path, default=None, help="folder for what it writes (default: a temporary one)")
    parser.add_argument("--art", type=Path, default=None, help="what art.py wrote (default: made now)")
    parser.add_argument("--ways", nargs="+", default=sorted(p.stem for p in CONFIGS.glob("*.toml") if load_way(p.stem).robot == "wx250s"))
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="wink-smoke-"))
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    if args.art is None:
        args.art = work / "art"
        call(art.main, "--cache", args.art)
    prior = work / "prior.ckpt"
    call(pretrain.main, "--art", args.art, "--out", prior, "--steps", 4, "--log-every", 2, "--workers", 0)
    demos, diverse = record(args.wink, work, "emoji"), record(args.wink, work, "diverse", "--tasks", "diverse")
    for way in args.ways:
        run, start = work / way, time.monotonic()
        more = ("--robot-data", diverse, "--robot-steps", 2) if load_way(way).robot_first else ()
        common = ("--prior", prior, "--data", demos, "--art", args.art, "--cache", work / "cache", "--workers", 0, "--motion-steps", 4, "--latent-steps", 4)
        call(train.main, way, *common, "--out", run, "--steps", 2, "--batch", 4, "--log-every", 2, *more)
        call(export.main, "--checkpoint", run / "policy.ckpt", "--art", args.art, "--out", run / "package")
        report = json.loads(wink(args.wink, "eval", "--policy", run / "package", "--split", "id", "--episodes", 1, "--controls", "none", "--json"))
        print(f"{way:10} trained, exported, evaluated ({report['splits']['id']['sr']['n']} episode) in {time.monotonic() - start:.0f} s", flush=True)
    print(f"{len(args.ways)} ways in {time.monotonic() - begin:.0f} s: {work}")


if __name__ == "__main__":
    main()
