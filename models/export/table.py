#!/usr/bin/env python3
"""How exact packages are: each kind of policy is exported, checked and quantised by the commands that a person would run.

    table.py --wink target/release/wink --work DIR                 all kinds at tiny size
    table.py --wink target/release/wink --work DIR --real act      and ACT at LeRobot's size; also: diffusion, smolvla

Prints one Markdown table. Weights are random. Checkpoints, packages and the commands' output stay under DIR.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = ("act", "diffusion", "smolvla", "pi0", "pi05", "pi0_fast")
REAL = ("act", "diffusion", "smolvla")
PALIGEMMA = ("--tokenizer", "paligemma")
FOLDERS = {"smolvla": [("--vlm", "vlm")], "pi0": [PALIGEMMA], "pi05": [PALIGEMMA], "pi0_fast": [PALIGEMMA, ("--action-tokenizer", "fast")]}
COLUMNS = ("policy", "package", "exporter: stages", "exporter: action", "runtime f32: stages", "runtime f32: action", "int8 action: rms, largest", "int8: file", "ops in tract")


def run(folder, name, *command, passes=(0,)):
    """Runs a command; gives its standard output, which is kept beside the package."""
    print("$", *command, file=sys.stderr, flush=True)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    (folder / f"{name}.txt").write_text(done.stdout + done.stderr)
    if done.returncode not in passes or (done.returncode and not done.stdout):
        raise RuntimeError(f"exit code {done.returncode}: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return done.stdout


def make(kind, real, folder):
    """The checkpoint and its data set."""
    if real:
        run(folder, "checkpoint", sys.executable, HERE / "real_size.py", kind, "--checkpoint", folder)
    else:
        run(folder, "checkpoint", sys.executable, HERE / "tiny.py", "--out", folder, "--kind", kind)


def export(kind, real, folder):
    """The exporter's largest differences: of the stages, of the action, each with the largest value of PyTorch's."""
    more = [part for option, name in FOLDERS.get(kind, ()) for part in (option, folder / name)]
    if kind in ("act", "diffusion") and not real:
        more += ["--backbone", HERE / "tiny_backbone.py"]
    command = [HERE / "lerobot.py", "--checkpoint", folder / kind, "--dataset", folder / "dataset", "--joint-units", "degrees", "--licence", "MIT"]
    said = run(folder, "export", sys.executable, *command, "--out", folder / "package", *more)
    rows = [(name, float(difference), float(scale)) for name, difference, scale in re.findall(r"^  (\S.*?)\s+largest difference (\S+), largest value (\S+)$", said, re.M)]
    return worst(rows[:-1]), worst(rows[-1:])


def check(folder, wink):
    """The runtime's largest differences from PyTorch's values: of the stages, of the action; and the ops that run in tract."""
    # Exit code 2 with a report: a value is off, which the table shows.
    report = json.loads(run(folder, "inspect", wink, "inspect", folder / "package", "--precision", "f32", "--check", "--json", passes=(0, 2)))
    held = json.loads((folder / "package" / "golden.json").read_text())["precisions"]["f32"]
    masks = 1e30
    scale = {name: max(abs(value) for value in given["values"] if abs(value) < masks) for name, given in {**held["values"], "action": held["action"]}.items()}
    precision = report["precisions"]["f32"]
    rows = [(row["value"], row["max_error"], scale[row["value"]]) for row in precision["check"]["values"]]
    in_tract = {}
    for graph in precision["graphs"]:
        for op, count in graph["fast_path"]["engine"].items():
            in_tract[op] = in_tract.get(op, 0) + count
    stages = [row for row in rows if row[0] != "action"]
    off = "" if precision["check"]["passed"] else ", OFF"
    return worst(stages) + off, worst([row for row in rows if row[0] == "action"]), ", ".join(f"{op} {count}" for op, count in sorted(in_tract.items())) or "none"


def worst(rows):
    """The row that is furthest off, measured by what passes."""
    name, difference, scale = max(rows, key=lambda row: row[1] / max(1.0, row[2]))
    return f"{difference:.1e} of {scale:.3g}" + ("" if name.startswith("action") else f" ({name})")


def quantise(folder, wink, every):
    """The error of int8's actions after the whole loop, normalised, and how large its graphs are beside the float ones."""
    command = [wink, "quantize", "--policy", folder / "package", "--data", folder / "dataset", "--episodes", 1, "--held-out", 1, "--every", every]
    report = json.loads(run(folder, "quantize", *command, "--scheme", "int8", "--force", "--out", folder / "int8", "--json"))
    (scheme,) = report["schemes"]
    return f"{scheme['action_rms']:.3f}, {scheme['action_max']:.3f}", f"{scheme['bytes'] / report['float_bytes']:.2f}"


def row(kind, real, folder, wink, every):
    """One line of the table; a step that fails is named in it."""
    folder.mkdir(parents=True)
    cells = [f"{kind}, {'real size' if real else 'tiny'}"]
    try:
        make(kind, real, folder)
        exported = export(kind, real, folder)
        size = sum(file.stat().st_size for file in (folder / "package").iterdir())
        cells += [f"{size / 1e6:.2f} MB", *exported]
        *checked, in_tract = check(folder, wink)
        cells += checked
        cells += [*quantise(folder, wink, every), in_tract]
    except RuntimeError as error:
        cells.append(f"failed: {error}")
    return cells + [""] * (len(COLUMNS) - len(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wink", required=True, type=Path, help="the program")
    parser.add_argument("--work", required=True, type=Path, help="folder for checkpoints and packages")
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=KINDS, help="kinds at tiny size")
    parser.add_argument("--real", nargs="*", choices=REAL, default=(), help="kinds at real size")
    parser.add_argument("--every", type=int, default=4, help="moments that are looked at: one step in this many")
    given = parser.parse_args()
    print("|", " | ".join(COLUMNS), "|")
    print("|", " | ".join("---" for _ in COLUMNS), "|", flush=True)
    for kind, real in [(kind, False) for kind in given.kind] + [(kind, True) for kind in given.real]:
        folder = given.work / f"{kind}-{'real' if real else 'tiny'}"
        print("|", " | ".join(row(kind, real, folder, given.wink, given.every)), "|", flush=True)


if __name__ == "__main__":
    main()
