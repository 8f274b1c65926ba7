"""Checkpoint -> policy package: ONNX graphs in f32 (and int8), policy.json, tokenizer.json, golden.json.

    python export.py --checkpoint RUN/policy.ckpt --art DIR --out PACKAGE                     # f32 alone, for an evaluation
    python export.py --checkpoint RUN/policy.ckpt --art DIR --out PACKAGE --int8 --data DIR   # int8 beside it, calibrated on recorded frames

Every export is checked against PyTorch on recorded or seeded inputs; the largest differences are printed.
"""

import argparse
import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import loop
from art import Words
from chunk_flow import expert_of
from expert import ExpertConfig, Policy
from robot import Robot
from vlm import Config, Vlm

OPSET = 17
# What stays float in int8: the head's few products decide in millimetres, and the first convolution sees raw pixels.
FLOAT_NODES = ("/policy/expert/", "/policy/vlm/vision/stem/stem.0/")


@dataclass
class Graph:
    """A stage: what it computes, when it runs, its inputs by name with examples, what feeds each, and its outputs. In int8, products of
    a `dynamic` stage are quantised dynamically; a stage with a loop stays in f32."""

    name: str
    module: nn.Module
    run: str
    inputs: dict
    feeds: dict
    outputs: list
    dynamic: bool = False
    loop: dict | None = None


class TextGraph(nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.text = policy.vlm.text

    def forward(self, tokens):
        return self.text(tokens)


class ActGraph(nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, image, state, text, text_mask):
        return self.policy(image, state, text, text_mask)


class SeeGraph(nn.Module):
    """Both cameras, state and words -> what the steps of the flow are told."""

    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, image, wrist, state, text, text_mask):
        vlm, expert = self.policy.vlm, self.policy.expert
        fine, tokens = vlm.vision(image)
        _, logits = vlm.ground(tokens, text, text_mask)
        r = expert.read(fine, None, logits, state)
        return expert.hidden(state, r["block"], r["card"], r["block_feature"], r["card_feature"], expert.eye(wrist))


class StepGraph(nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.flow = policy.expert.outputs

    def forward(self, told, sample, time):
        return self.flow(told, sample, time)


IMAGE, WRIST_IMAGE = "image", "wrist"


def graphs_of(policy, robot):
    """The stages of a robot's policy."""
    c, e = policy.vlm.c, policy.expert.e
    tokens = torch.zeros(1, c.max_tokens, dtype=torch.long)
    tokens[0, :5] = torch.arange(2, 7)
    image, state = torch.zeros(1, 3, c.image[1], c.image[0]), torch.zeros(1, e.state_dim)
    with torch.no_grad():
        text, mask = policy.vlm.text(tokens)
    words = {"text": "text.text", "text_mask": "text.text_mask"}
    first = Graph("text", TextGraph(policy), "episode", {"tokens": tokens}, {"tokens": "tokens"}, ["text", "text_mask"], dynamic=True)
    if not robot.arm:
        inputs = {IMAGE: image, "state": state, "text": text, "text_mask": mask}
        feeds = {IMAGE: robot.front.name, "state": STATE, **words}
        return [first, Graph("act", ActGraph(policy), "observation", inputs, feeds, ["action"])]
    wrist = torch.zeros(1, 3, *robot.wrist.image[::-1])
    see = Graph(
        "see", SeeGraph(policy), "observation", {IMAGE: image, WRIST_IMAGE: wrist, "state": state, "text": text, "text_mask": mask},
        {IMAGE: robot.front.name, WRIST_IMAGE: robot.wrist.name, "state": STATE, **words}, ["told"],
    )
    sample = torch.zeros(1, e.chunk, e.action_dim)
    step = Graph(
        "step", StepGraph(policy), "loop", {"told": torch.zeros(1, e.width + e.action_dim), "sample": sample, "time": torch.ones(1, e.chunk)},
        {"told": "see.told", "sample": "loop.sample", "time": "loop.time"}, ["velocity"],
        loop={
            "flow": {"steps": e.flow_steps, "from": 1.0, "to": 0.0, "velocity": "velocity", "time": "chunk", "prefix": e.prefix},
            "sample": {"shape": list(sample.shape), "noise": {"normal": {"mean": 0.0, "std": 1.0}}},
        },
    )
    return [first, see, step]


def fold_batch_norms(module):
    """Every Conv + BatchNorm pair becomes one Conv."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child[0], child[1]))
        else:
            fold_batch_norms(child)
    return module


def folded(policy):
    """A copy to export."""
    return fold_batch_norms(copy.deepcopy(policy).eval().float())


def export_graphs(graphs, folder):
    options = {"opset_version": OPSET, "dynamo": False, "do_constant_folding": True}
    for graph in graphs:
        file = folder / f"{graph.name}.onnx"
        torch.onnx.export(graph.module, tuple(graph.inputs.values()), file, input_names=list(graph.inputs), output_names=graph.outputs, **options)
        model = onnx.load(file)
        onnx.checker.check_model(model)
        clean(model)
        onnx.save(model, file)


def clean(model):
    """Drops what names the exporting machine."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    model.producer_version = ""
    model.doc_string = ""


def halve_weights(model, minimum=1024):
    """Stores large f32 initialisers as f16 followed by a Cast: half the file, the arithmetic stays f32."""
    graph, casts = model.graph, []
    for weight in list(graph.initializer):
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < minimum:
            continue
        values = numpy_helper.to_array(weight)
        if np.abs(values).max() > 6e4:
            continue
        graph.initializer.remove(weight)
        half = weight.name + "_f16"
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [weight.name], to=TensorProto.FLOAT, name=weight.name + "_to_f32"))
    for i, node in enumerate(casts):
        graph.node.insert(i, node)
    return model


def quantise(folder, graphs, feeds):
    """int8 graphs beside the f32 ones: static QDQ, dynamic for what runs once an episode; `feeds` of each graph by its name."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self, feeds):
            self.feeds = iter(feeds)

        def get_next(self):
            return next(self.feeds, None)

    for graph in graphs:
        if graph.loop:
            continue
        source, prepared, target = folder / f"{graph.name}.onnx", folder / f"{graph.name}.prepared.onnx", folder / f"{graph.name}.int8.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        skip = [n.name for n in onnx.load(prepared).graph.node if n.name.startswith(FLOAT_NODES)]
        if graph.dynamic:
            quantize_dynamic(str(prepared), str(target), op_types_to_quantize=["MatMul", "Gather"], per_channel=True, weight_type=QuantType.QInt8)
        else:
            quantize_static(
                str(prepared), str(target), Reader(feeds[graph.name]), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul", "Conv", "Gemm"], per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=skip,
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
        prepared.unlink()
        model = onnx.load(target)
        clean(model)
        onnx.save(halve_weights(model), target)


def files_of(graphs, precision):
    """The file of each stage."""
    return {g.name: f"{g.name}{'.int8' if precision == 'int8' and not g.loop else ''}.onnx" for g in graphs}


def seeded(shape, seed, most=1.0):
    """Numbers in -most..most that any language can make again: a 32-bit linear congruential generator."""
    out, x = np.empty(int(np.prod(shape)), np.float32), seed
    for i in range(out.size):
        x = (1664525 * x + 1013904223) % 2**32
        out[i] = np.float32(most * ((x >> 8) / 2**23 - 1))
    return out.reshape(shape)


def run(graphs, values, call):
    """Runs the stages in their order on values by name. `call` takes a stage and its inputs by name, and returns its outputs."""
    values = dict(values)
    for graph in graphs:
        if graph.loop is None:
            found = call(graph, {name: values[feed] for name, feed in graph.feeds.items()})
            values |= {f"{graph.name}.{o}": v for o, v in zip(graph.outputs, found)}
            continue
        steps, sample = graph.loop["flow"]["steps"], values[NOISE]
        for i in range(steps):
            values |= {"loop.sample": sample, "loop.time": np.full(sample.shape[:2], 1 - i / steps, np.float32)}
            velocity = call(graph, {name: values[feed] for name, feed in graph.feeds.items()})[0]
            values.setdefault(f"{graph.name}.velocity", velocity)
            sample = sample + velocity * np.float32(-1 / steps)
        values[f"{graph.name}.sample"] = sample
    return values


def in_torch(graph, inputs):
    with torch.no_grad():
        found = graph.module(*(torch.from_numpy(inputs[name]) for name in graph.inputs))
    return [x.numpy() for x in (found if isinstance(found, tuple) else (found,))]


def in_onnxruntime(folder, graphs, precision):
    """A call for `run`."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = {name: ort.InferenceSession(str(folder / file), options) for name, file in files_of(graphs, precision).items()}
    return lambda graph, inputs: sessions[graph.name].run(None, inputs)


STATE, NOISE = "observation.state", "noise"
# Largest difference of a normalised action that passes: rounding for f32, a few quantisation steps otherwise.
TOLERANCE = {"f32": 1e-4, "int8": 0.05}


def chunk_of(graphs):
    """The value that holds the chunk."""
    last = graphs[-1]
    return f"{last.name}.{'sample' if last.loop else 'action'}"


def made_up(c, robot, words, instruction, seeds):
    """Inputs from seeds: images, state, words."""
    values = {robot.front.name: seeded((1, 3, c.image[1], c.image[0]), seeds[0]), STATE: seeded((1, len(robot.state)), seeds[1]), "tokens": words([instruction])}
    if robot.wrist:
        values[robot.wrist.name] = seeded((1, 3, *robot.wrist.image[::-1]), seeds[2])
    return values


def golden(folder, c, robot, words, graphs, precisions, saved):
    """Seed-made inputs and what ONNX Runtime answers, for an engine to check itself."""
    instruction, seeds, noise = "pick the block and place it on star", (1, 2, 4), {"seed": 3, "low": -1.7, "high": 1.7}
    inputs = made_up(c, robot, words, instruction, seeds)
    named = {robot.front.name: seeds[0], STATE: seeds[1]} | ({robot.wrist.name: seeds[2]} if robot.wrist else {})
    noisy = graphs[-1].loop is not None
    if noisy:
        inputs[NOISE] = seeded(graphs[-1].loop["sample"]["shape"], noise["seed"], noise["high"])
    numbers = lambda values: [round(float(x), 8) for x in values]
    content = {}
    for p in precisions:
        values = run(graphs, inputs, in_onnxruntime(folder, graphs, p))
        told = lambda name, every, tolerance: {"shape": list(values[name].shape), "every": every, "values": numbers(values[name].flatten()[::every]), "tolerance": tolerance}
        chunk = values[chunk_of(graphs)]
        if not noisy:
            content[p] = {"values": {chunk_of(graphs): told(chunk_of(graphs), 1, TOLERANCE[p])}}
            continue
        std, mean = saved["action_std"].numpy(), saved["action_mean"].numpy()
        action = chunk[0] * std + mean
        content[p] = {"action": {"shape": list(action.shape), "values": numbers(action.flatten()), "tolerance": float(TOLERANCE[p] * std.max())}}
        if p == "f32":
            content[p]["values"] = {"see.told": told("see.told", 7, 1e-3), "step.velocity": told("step.velocity", 7, 1e-3)}
    head = {"reference": "onnxruntime", "instruction": instruction, "tokens": inputs["tokens"][0].tolist()}
    feeds = {name: {"shape": list(inputs[name].shape), "seed": seed, "low": -1, "high": 1} for name, seed in named.items()}
    return head | {"inputs": feeds} | ({"noise": noise} if noisy else {}) | {"precisions": content}


def manifest(folder, c, robot, args, saved, graphs, precisions):
    files = sorted({f for p in precisions for f in files_of(graphs, p).values()}) + ["tokenizer.json", "golden.json"]
    numbers = lambda values: [round(float(v), 8) for v in values]
    spread = lambda mean, std: {"mean_std": {"mean": mean, "std": std, "epsilon": 0}}

    def camera(camera, image):
        (x, y, w, h), (width, height) = camera.crop, camera.size
        box = {"left": x / width, "top": y / height, "width": w / width, "height": h / height}
        resize = {"width": image[0], "height": image[1], "fit": "stretch", "filter": "bilinear", "antialias": True, "on": "floats", "box": box}
        return {
            "name": camera.name, "transform": [{"resize": resize}], "channels": "rgb", "layout": "nchw", "history": 1,
            "normalisation": spread(list(c.image_mean), list(c.image_std)),
        }

    return {
        "format": 2, "name": args.name, "version": args.version, "licence": "MIT OR Apache-2.0", "description": args.description, "control_hz": robot.hz,
        "observations": {
            "cameras": [camera(robot.front, c.image)] + ([camera(robot.wrist, robot.wrist.image)] if robot.wrist else []),
            "states": [{
                "name": STATE, "names": robot.state, "units": robot.state_units, "history": 1,
                "normalisation": spread(numbers(saved["state_mean"]), numbers(saved["state_std"])),
            }],
            "text": {
                "name": "tokens", "tokenizer": "tokenizer.json", "template": "{instruction}", "clean": [], "special_tokens": True,
                "max_tokens": c.max_tokens, "padding": "right", "pad_id": 0, "element": "i64",
            },
        },
        "stages": [{"name": g.name, "run": g.run, "inputs": g.feeds, "outputs": g.outputs} | ({"loop": g.loop} if g.loop else {}) for g in graphs],
        "action": {
            "from": chunk_of(graphs), "space": robot.space, "reference": robot.reference, "names": robot.action,
            "units": robot.action_units, "chunk": saved["expert"]["chunk"], "first": 0, "execute": args.execute,
            "width": len(robot.action), "normalisation": spread(numbers(saved["action_mean"]), numbers(saved["action_std"])), "threshold": {n: 0.5 for n in robot.switches},
        },
        "auxiliary": [],
        "default_precision": "int8" if "int8" in precisions else "f32",
        "precisions": {p: files_of(graphs, p) for p in precisions},
        "golden": "golden.json",
        "files": {f: {"bytes": (folder / f).stat().st_size, "sha256": hashlib.sha256((folder / f).read_bytes()).hexdigest()} for f in files},
    }


def load_policy(path):
    """The policy of a checkpoint, and everything else that stands in it."""
    saved = loop.load(path, "policy")
    c, e = Config.from_dict(saved["config"]), ExpertConfig(**saved["expert"])
    policy = Policy(Vlm(c), expert_of(c, e, Robot.load(saved["robot"])))
    loop.restore(policy, saved["policy"], path)
    return policy.eval(), saved


def recorded(args, c, robot, words, count):
    """Frames of the demonstrations with their instructions, as the graphs take them."""
    from data import Demos
    from scenes import normalised

    demos = Demos(args.data, c)
    for i in np.random.default_rng(5).choice(len(demos.kept), count, replace=False):
        batch = demos.batch(np.array([i]), words)
        values = {robot.front.name: normalised(batch["image"], c).numpy(), STATE: batch["state"].numpy(), "tokens": batch["tokens"].numpy()}
        if robot.wrist:
            values[robot.wrist.name] = normalised(batch["wrist"], c).numpy()
        yield values


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True, help="what art.py wrote (the tokenizer)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--data", type=Path, help="what data.py wrote: frames to calibrate and to check on")
    parser.add_argument("--calibration-frames", type=int, default=128)
    parser.add_argument("--execute", type=int, default=8, help="actions of a chunk that are executed")
    parser.add_argument("--keep", nargs="+", choices=("f32", "int8"), help="precisions that the package holds (default: all that are made)")
    parser.add_argument("--name", default="wink-s")
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--description", default="A small vision-language-action model that puts the block on the named emoji card.")
    args = parser.parse_args()
    if args.int8 and args.data is None:
        raise loop.Refused("--int8 needs --data: frames to calibrate on")
    torch.set_num_threads(1)
    policy, saved = load_policy(args.checkpoint)
    c, robot = policy.vlm.c, Robot.load(saved["robot"])
    words = Words(args.art / "tokenizer.json", c.max_tokens)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "policy.json").unlink(missing_ok=True)
    graphs = graphs_of(folded(policy), robot)
    export_graphs(graphs, args.out)
    precisions = ["f32"]
    checks = [made_up(c, robot, words, "pick the block and place it on goat", (3, 4, 5))]
    if args.data:
        checks += recorded(args, c, robot, words, 24)
    if graphs[-1].loop:
        for i, values in enumerate(checks):
            values[NOISE] = np.random.default_rng(i).standard_normal(graphs[-1].loop["sample"]["shape"]).astype(np.float32)
    action = chunk_of(graphs)
    wanted = [run(graphs, values, in_torch)[action] for values in checks]

    def difference(precision):
        call = in_onnxruntime(args.out, graphs, precision)
        return [np.abs(run(graphs, values, call)[action] - w) for values, w in zip(checks, wanted)]

    told = [f"ONNX f32 {max(d.max() for d in difference('f32')):.1e}"]
    if args.int8:
        call, feeds = in_onnxruntime(args.out, graphs, "f32"), {g.name: [] for g in graphs}

        def watched(graph, inputs):
            feeds[graph.name].append(inputs)
            return call(graph, inputs)

        for values in recorded(args, c, robot, words, args.calibration_frames):
            run([g for g in graphs if not g.loop], values, watched)
        quantise(args.out, graphs, feeds)
        precisions.append("int8")
    for graph in graphs:
        onnx.save(halve_weights(onnx.load(args.out / f"{graph.name}.onnx")), args.out / f"{graph.name}.onnx")
    told.append(f"with f16 weights {max(d.max() for d in difference('f32')):.1e}")
    if args.int8:
        d = difference("int8")
        told.append(f"int8 {max(x.max() for x in d):.1e} (mean {np.mean(d):.1e})")
    print(f"largest difference to PyTorch over {len(checks)} inputs, normalised actions: {', '.join(told)}")
    if args.keep:
        if missing := set(args.keep) - set(precisions):
            raise loop.Refused(f"--keep: {', '.join(sorted(missing))} is not made: give --int8")
        kept = {f for p in args.keep for f in files_of(graphs, p).values()}
        for file in {f for p in precisions for f in files_of(graphs, p).values()} - kept:
            (args.out / file).unlink()
        precisions = args.keep
    (args.out / "tokenizer.json").write_bytes((args.art / "tokenizer.json").read_bytes())
    (args.out / "golden.json").write_text(json.dumps(golden(args.out, c, robot, words, graphs, precisions, saved)) + "\n")
    content = manifest(args.out, c, robot, args, saved, graphs, precisions)
    part = args.out / "policy.json.part"
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.rename(args.out / "policy.json")
    print({name: f["bytes"] for name, f in content["files"].items()}, f"{sum(f['bytes'] for f in content['files'].values()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
