"""Every row of the result: trains, exports and evaluates each way and seed that has no report yet.

    python campaign.py --ways full frozen lora --seeds 1 2 3 --work DIR --wink BIN --prior CKPT --data DIR --art DIR [--episodes 100]

Reports go to models/reports/WAY/seed-K, checkpoints and packages to DIR. Several campaigns may run side by side: each run
is claimed by one of them. What was interrupted goes on when the campaign is started again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPORTS = HERE.parent / "reports"


def claim(folder):
    """Whether this process may work on a run: nobody alive holds it."""
    lock = folder / "claimed"
    if lock.exists():
        try:
            os.kill(int(lock.read_text()), 0)
            return False
        except (ProcessLookupError, ValueError):
            lock.unlink(missing_ok=True)
    try:
        with open(lock, "x") as file:
            file.write(str(os.getpid()))
        return True
    except FileExistsError:
        return False


def call(log, *command):
    with open(log, "a") as out:
        out.write(f"$ {' '.join(map(str, command))}\n")
        out.flush()
        done = subprocess.run([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{command[0]} {command[1]} ended with {done.returncode}: see {log}")


def work(args, way, seed):
    run = args.work / f"{way}-{seed}"
    run.mkdir(parents=True, exist_ok=True)
    report = args.reports / way / f"seed-{seed}"
    if (report / "report.json").exists() or not claim(run):
        return
    print(f"{way}, seed {seed}", flush=True)
    log = run / "log.txt"
    if not (run / "train.json").exists():
        more = ["--robot-data", args.robot_data] if way == "diverse" else []
        call(log, sys.executable, HERE / "train.py", way, "--prior", args.prior, "--data", args.data, "--art", args.art, "--out", run, "--seed", seed, *more, *args.train)
    call(log, sys.executable, HERE / "export.py", "--checkpoint", run / "policy.ckpt", "--art", args.art, "--out", run / "package", "--name", f"{way}-{seed}")
    call(log, args.wink, "eval", "--policy", run / "package", "--split", "all", "--episodes", args.episodes, "--controls", args.controls, "--jobs", args.jobs, "--no-html", "--out", run / "report", "--force")
    report.mkdir(parents=True, exist_ok=True)
    for file in ("episodes.parquet", "report.json"):
        shutil.copy(run / "report" / file, report / file)
    shutil.copy(run / "train.json", report / "train.json")
    (run / "claimed").unlink(missing_ok=True)
    figures = json.loads((report / "report.json").read_text())
    for split, scores in figures["splits"].items():
        print(f"  {split}: " + ", ".join(f"{k} {scores[k]}" for k in ("execution", "recognition")), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--wink", default="wink", help="the tool")
    parser.add_argument("--prior", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--robot-data", type=Path)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--reports", type=Path, default=REPORTS)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--controls", default="all", help="as for wink eval: all, none, or some")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("train", nargs="*", help="after --: further options of train.py")
    args = parser.parse_args()
    for seed in args.seeds:
        for way in args.ways:
            work(args, way, seed)


if __name__ == "__main__":
    main()
