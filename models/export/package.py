"""Writes a policy package: graphs, policy.json of format 2, tokenizer, golden values, hashes. Checked before it is there."""

import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

from . import check, graphs, wiring
from .interpreter import Interpreter
from .refusal import Refusal

INSTRUCTION = "put the red cube into the box"


def write(plan, checkpoint, dataset, options, out, say=print):
    """Writes the package to the folder `out`, which must not exist yet. Gives the comparison's rows and the package's size in bytes."""
    out = Path(out)
    if out.exists():
        raise Refusal(f"{out}: exists already; --out takes a folder that does not")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        folder = Path(folder) / "package"
        folder.mkdir()
        rows = fill(plan, checkpoint, dataset, options, folder, out.name, say)
        size = sum(file.stat().st_size for file in folder.iterdir())
        os.replace(folder, out)
    return rows, size


def fill(plan, checkpoint, dataset, options, folder, name, say):
    tokenizer = add_tokenizer(plan, folder)
    policy = {
        "format": 2,
        "name": options.name or name,
        "version": options.version,
        "licence": wiring.licence(checkpoint, options),
        "description": options.description or f"{plan.origin}, exported from a LeRobot checkpoint.",
        "control_hz": dataset.fps,
        "observations": plan.observations,
        "stages": [stage.part() for stage in plan.stages],
        "action": plan.action,
        "auxiliary": [],
        "default_precision": "f32",
        "precisions": {"f32": {stage.name: f"{stage.name}.onnx" for stage in plan.stages}},
        "golden": "golden.json",
    }
    observed = check.observation(policy, dataset.cameras(), options.instruction or INSTRUCTION)
    modules = check.Modules(plan.stages)
    parts = {"tokenizer": tokenizer, "tables": plan.tables, "caches": plan.caches()}
    say("running PyTorch")
    interpreter = Interpreter(policy, modules.run, **parts)
    interpreter.run(observed)
    for file, table in plan.tables.items():
        (folder / file).write_text(json.dumps(table, separators=(",", ":")))
    for index, stage in enumerate(plan.stages):
        started = time.monotonic()
        files, nodes = graphs.export(stage.module, {tensor: modules.given[stage.name][tensor] for tensor in stage.inputs}, stage.outputs, folder / f"{stage.name}.onnx")
        size = sum((folder / file).stat().st_size for file in files)
        say(f"[{index + 1}/{len(plan.stages)}] {stage.name}: {nodes} nodes, {size / 1e6:.1f} MB, {time.monotonic() - started:.1f} s")
    say("comparing with PyTorch")
    report, reference = check.compare(policy, plan, folder, policy["precisions"]["f32"], observed, modules, parts, say)
    golden = check.golden(policy, observed, interpreter.values, reference, reference_name(plan))
    write_json(folder / "golden.json", golden, indent=None)
    policy["files"] = {file.name: {"bytes": file.stat().st_size, "sha256": digest(file)} for file in sorted(folder.iterdir())}
    write_json(folder / "policy.json", policy, indent=1)
    return report.rows


def reference_name(plan):
    import lerobot
    import torch

    version = getattr(lerobot, "__version__", "0.4.4")
    return f"{plan.origin}, lerobot {version}, torch {torch.__version__.split('+')[0]}"


def add_tokenizer(plan, folder):
    """Copies the tokenizer into the package and loads it from there."""
    if plan.tokenizer is None:
        return None
    from tokenizers import Tokenizer

    (folder / "tokenizer.json").write_text(plan.tokenizer)
    return Tokenizer.from_str(plan.tokenizer)


def write_json(path, value, indent):
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
