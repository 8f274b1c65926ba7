"""Compares the graphs with PyTorch, stage by stage and as a whole, and keeps what PyTorch gave as golden values."""

import numpy as np
import onnxruntime
import torch

from .interpreter import Interpreter, back
from .plan import Observation, as_floats, frame, sequence
from .refusal import TooFar
from .normalisation import shortest

# Largest difference, relative to the largest value of the reference where that is above 1.
BOUND = 1e-4
# From here on a number masks a score: compared exactly, and no scale of the others.
MASK = 1e30
# Elements of a golden tensor.
GOLDEN_ELEMENTS = 256


def observation(policy, recorded, instruction, seed=1):
    """A seeded observation: noise as frames, states within their statistics."""
    frames, states = {}, {}
    for camera in policy["observations"]["cameras"]:
        size = camera.get("frame") or dict(zip(("width", "height"), recorded[camera["name"]]))
        frames[camera["name"]] = [frame(seed + index, size["width"], size["height"]) for index in range(camera["history"])]
        seed += camera["history"]
    for state in policy["observations"]["states"]:
        rows = []
        for _ in range(state["history"]):
            normalised = as_floats(sequence(seed, len(state["names"])), -1, 1)
            rows.append(back(state["normalisation"], torch.from_numpy(normalised)).tolist())
            seed += 1
        states[state["name"]] = rows
    return Observation(frames, states, instruction if policy["observations"].get("text") else None, seed)


class Sessions:
    """The graphs in ONNX Runtime, each loaded when it first runs and let go before the next."""

    def __init__(self, folder, files):
        self.folder, self.files = folder, files
        self.name, self.session = None, None

    def run(self, name, inputs):
        if self.name != name:
            self.name, self.session = None, None
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            # Threads that wait by spinning starve a busy machine.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self.session = onnxruntime.InferenceSession(str(self.folder / self.files[name]), options, providers=["CPUExecutionProvider"])
            self.name = name
        names = [output.name for output in self.session.get_outputs()]
        results = self.session.run(names, {tensor: value.numpy() for tensor, value in inputs.items()})
        return {tensor: torch.from_numpy(value) for tensor, value in zip(names, results)}


class Modules:
    """The stages in PyTorch; `given` keeps what each was given at its first run."""

    def __init__(self, stages):
        self.stages = {stage.name: stage for stage in stages}
        self.given, self.made = {}, {}

    def run(self, name, inputs):
        stage = self.stages[name]
        with torch.no_grad():
            results = stage.module(*(inputs[tensor] for tensor in stage.inputs))
        results = (results,) if isinstance(results, torch.Tensor) else results
        results = dict(zip(stage.outputs, results, strict=True))
        if name not in self.given:
            self.given[name] = {tensor: value.clone() for tensor, value in inputs.items()}
            self.made[name] = {tensor: value.clone() for tensor, value in results.items()}
        return results


class Report:
    """Largest differences; `worst` holds those above the bound."""

    def __init__(self, say):
        self.say, self.rows, self.worst = say, [], []

    def add(self, where, reference, value):
        reference, value = reference.detach().float(), value.detach().float()
        if reference.shape != value.shape:
            raise TooFar(f"{where}: the graph gives {list(value.shape)}, PyTorch {list(reference.shape)}")
        if not torch.isfinite(reference).all():
            raise TooFar(f"{where}: PyTorch itself gives NaN or infinity")
        masks = reference.abs() >= MASK
        if not torch.equal(reference[masks], value[masks]):
            raise TooFar(f"{where}: the graph's masks are not PyTorch's")
        reference, value = reference[~masks], value[~masks]
        difference = largest(reference - value)
        scale = scale_of(reference)
        self.rows.append((where, difference, scale))
        passed = difference <= BOUND * scale
        self.say(f"  {where:<28} largest difference {difference:.3g}, largest value {largest(reference):.3g}{'' if passed else '  TOO FAR'}")
        if not passed:
            self.worst.append(f"{where} differs by {difference:.3g}, allowed are {BOUND * scale:.3g}")


def compare(policy, plan, folder, files, observed, modules, parts, say):
    """Checks every stage and the whole. `modules`: the stages in PyTorch, which have run. Gives the report and LeRobot's actions."""
    report = Report(say)
    sessions = Sessions(folder, files)
    for stage in plan.stages:
        results = sessions.run(stage.name, modules.given[stage.name])
        for tensor in stage.outputs:
            report.add(f"{stage.name}.{tensor}", modules.made[stage.name][tensor], results[tensor])
    whole = Interpreter(policy, sessions.run, **parts).run(observed)
    with torch.no_grad():
        reference = plan.reference(observed)
    report.add("action (whole)", reference, whole)
    if report.worst:
        raise TooFar(report.worst[0])
    return report, reference


def golden(policy, observed, values, reference, origin, seed=1):
    """golden.json."""
    content = {"reference": origin}
    if observed.instruction is not None:
        text = policy["observations"]["text"]
        content["instruction"] = observed.instruction
        content["tokens"] = values[text["name"]].flatten().tolist()
    content["frames"] = {}
    for camera in policy["observations"]["cameras"]:
        frames = observed.frames[camera["name"]]
        height, width, _ = frames[0].shape
        content["frames"][camera["name"]] = {"width": width, "height": height, "seeds": list(range(seed, seed + len(frames)))}
        seed += len(frames)
    content["states"] = {name: [shortest(row) for row in rows] for name, rows in observed.states.items()}
    content["inputs"] = {}
    low, high = observed.noise_range
    content["noise"] = {"seed": observed.noise_seed, "low": low, "high": high}
    sampled = {name: sample(value) for name, value in values.items() if value.dtype == torch.float32}
    action = {"shape": list(reference.shape), "values": shortest(reference.flatten().numpy()), "tolerance": tolerance(reference)}
    content["precisions"] = {"f32": {"values": sampled, "action": action}}
    return content


def sample(value):
    """Evenly spaced elements of a tensor."""
    flat = value.detach().flatten()
    every = max(1, -(-len(flat) // GOLDEN_ELEMENTS))
    return {"shape": list(value.shape), "every": every, "values": shortest(flat[::every].numpy()), "tolerance": tolerance(value)}


def tolerance(value):
    return float(f"{BOUND * scale_of(value):.3g}")


def scale_of(value):
    """The largest value that is no mask, or 1 where that is larger."""
    return max(1.0, largest(value[value.abs() < MASK]))


def largest(value):
    """The largest magnitude, 0 where there is no value."""
    return value.abs().max().item() if value.numel() else 0.0
