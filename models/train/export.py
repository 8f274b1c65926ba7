"""Checkpoint -> policy package: ONNX graphs in f32 (and int8), policy.json, tokenizer.json, golden.json.

    python export.py --checkpoint RUN/policy.ckpt --art DIR --out PACKAGE                     # f32 alone, for an evaluation
    python export.py --checkpoint RUN/policy.ckpt --art DIR --out PACKAGE --int8 --data DIR   # int8 beside it, calibrated on recorded frames

Every export is checked against PyTorch on recorded or seeded inputs; the largest differences are printed.
"""

import argparse
import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import loop
from art import Words
from expert import Expert, ExpertConfig, Policy
from vlm import Config, Vlm

OPSET = 17
STATE_NAMES = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
ACTION_NAMES = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]
# What stays float in int8: the head's few products decide in millimetres, and the first convolution sees raw pixels.
FLOAT_NODES = ("/policy/expert/", "/policy/vlm/vision/stem/stem.0/")


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


def fold_batch_norms(module):
    """Every Conv + BatchNorm pair becomes one Conv."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child[0], child[1]))
        else:
            fold_batch_norms(child)
    return module


def export_graphs(policy, folder):
    c = policy.vlm.c
    policy = fold_batch_norms(copy.deepcopy(policy).eval().float())
    tokens = torch.zeros(1, c.max_tokens, dtype=torch.long)
    tokens[0, :5] = torch.arange(2, 7)
    with torch.no_grad():
        text, mask = policy.vlm.text(tokens)
    image, state = torch.zeros(1, 3, c.image[1], c.image[0]), torch.zeros(1, policy.expert.e.state_dim)
    options = {"opset_version": OPSET, "dynamo": False, "do_constant_folding": True}
    torch.onnx.export(TextGraph(policy), (tokens,), folder / "text.onnx", input_names=["tokens"], output_names=["text", "text_mask"], **options)
    torch.onnx.export(
        ActGraph(policy), (image, state, text, mask), folder / "act.onnx", input_names=["image", "state", "text", "text_mask"], output_names=["action"], **options
    )
    for name in ("text", "act"):
        model = onnx.load(folder / f"{name}.onnx")
        onnx.checker.check_model(model)
        clean(model)
        onnx.save(model, folder / f"{name}.onnx")


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


def quantise(folder, feeds):
    """int8 graphs beside the f32 ones: `act` static QDQ, `text` dynamic, since it runs once an episode."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self, feeds):
            self.feeds = iter(feeds)

        def get_next(self):
            return next(self.feeds, None)

    for name in ("text", "act"):
        source, prepared, target = folder / f"{name}.onnx", folder / f"{name}.prepared.onnx", folder / f"{name}.int8.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        skip = [n.name for n in onnx.load(prepared).graph.node if n.name.startswith(FLOAT_NODES)]
        if name == "text":
            quantize_dynamic(str(prepared), str(target), op_types_to_quantize=["MatMul", "Gather"], per_channel=True, weight_type=QuantType.QInt8)
        else:
            quantize_static(
                str(prepared), str(target), Reader(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul", "Conv", "Gemm"], per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=skip,
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
        prepared.unlink()
        model = onnx.load(target)
        clean(model)
        onnx.save(halve_weights(model), target)


def seeded(shape, seed):
    """Numbers in -1..1 that any language can make again: a 32-bit linear congruential generator."""
    out, x = np.empty(int(np.prod(shape)), np.float32), seed
    for i in range(out.size):
        x = (1664525 * x + 1013904223) % 2**32
        out[i] = np.float32((x >> 8) / 2**23 - 1)
    return out.reshape(shape)


class Runner:
    """A package's graphs in ONNX Runtime."""

    def __init__(self, folder, suffix):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.text, self.act = (ort.InferenceSession(str(folder / f"{name}{suffix}.onnx"), options) for name in ("text", "act"))

    def __call__(self, image, state, tokens):
        text, mask = self.text.run(None, {"tokens": tokens})
        return self.act.run(None, {"image": image, "state": state, "text": text, "text_mask": mask})[0]


CAMERA, STATE = "observation.images.front", "observation.state"
# Largest difference of a normalised action that passes: rounding for f32, a few quantisation steps otherwise.
TOLERANCE = {"f32": 1e-4, "int8": 0.05}


def golden(folder, c, words, precisions):
    """Seed-made inputs and what ONNX Runtime answers, for an engine to check itself."""
    instruction = "pick the block and place it on star"
    tokens = words([instruction])
    shapes = {CAMERA: (1, 3, c.image[1], c.image[0]), STATE: (1, 7)}
    seeds = {CAMERA: 1, STATE: 2}
    image, state = (seeded(shape, seeds[name]) for name, shape in shapes.items())
    actions = {p: Runner(folder, suffix)(image, state, tokens) for p, suffix in precisions.items()}
    return {
        "reference": "onnxruntime", "instruction": instruction, "tokens": tokens[0].tolist(),
        "inputs": {name: {"shape": list(shape), "seed": seeds[name], "low": -1, "high": 1} for name, shape in shapes.items()},
        "precisions": {
            p: {"values": {"act.action": {
                "shape": list(a.shape), "every": 1, "values": [round(float(x), 8) for x in a.flatten()], "tolerance": TOLERANCE[p],
            }}}
            for p, a in actions.items()
        },
    }


def manifest(folder, c, args, saved, precisions):
    x, y, w, h = c.crop
    files = [f"{name}{suffix}.onnx" for suffix in precisions.values() for name in ("text", "act")] + ["tokenizer.json", "golden.json"]
    numbers = lambda values: [round(float(v), 8) for v in values]
    spread = lambda mean, std: {"mean_std": {"mean": mean, "std": std, "epsilon": 0}}
    box = {"left": x / c.frame, "top": y / c.frame, "width": w / c.frame, "height": h / c.frame}
    resize = {"width": c.image[0], "height": c.image[1], "fit": "stretch", "filter": "bilinear", "antialias": True, "on": "floats", "box": box}
    return {
        "format": 2, "name": args.name, "version": args.version, "licence": "MIT OR Apache-2.0", "description": args.description, "control_hz": 20,
        "observations": {
            "cameras": [{
                "name": CAMERA, "transform": [{"resize": resize}], "channels": "rgb", "layout": "nchw", "history": 1,
                "normalisation": spread(list(c.image_mean), list(c.image_std)),
            }],
            "states": [{
                "name": STATE, "names": STATE_NAMES, "units": ["m"] * 3 + ["rad"] * 3 + ["fraction"], "history": 1,
                "normalisation": spread(numbers(saved["state_mean"]), numbers(saved["state_std"])),
            }],
            "text": {
                "name": "tokens", "tokenizer": "tokenizer.json", "template": "{instruction}", "clean": [], "special_tokens": True,
                "max_tokens": c.max_tokens, "padding": "right", "pad_id": 0, "element": "i64",
            },
        },
        "stages": [
            {"name": "text", "run": "episode", "inputs": {"tokens": "tokens"}, "outputs": ["text", "text_mask"]},
            {"name": "act", "run": "observation", "inputs": {"image": CAMERA, "state": STATE, "text": "text.text", "text_mask": "text.text_mask"}, "outputs": ["action"]},
        ],
        "action": {
            "from": "act.action", "space": "ee_delta", "reference": "relative", "names": ACTION_NAMES,
            "units": ["decimetre"] * 3 + ["decirad"] * 3 + ["fraction"], "chunk": saved["expert"]["chunk"], "first": 0, "execute": args.execute,
            "width": len(ACTION_NAMES), "normalisation": spread(numbers(saved["action_mean"]), numbers(saved["action_std"])), "threshold": {"gripper": 0.5},
        },
        "auxiliary": [],
        "default_precision": "int8" if "int8" in precisions else "f32",
        "precisions": {p: {name: f"{name}{suffix}.onnx" for name in ("text", "act")} for p, suffix in precisions.items()},
        "golden": "golden.json",
        "files": {f: {"bytes": (folder / f).stat().st_size, "sha256": hashlib.sha256((folder / f).read_bytes()).hexdigest()} for f in files},
    }


def load_policy(path):
    """The policy of a checkpoint, and everything else that stands in it."""
    saved = loop.load(path, "policy")
    c, e = Config.from_dict(saved["config"]), ExpertConfig(**saved["expert"])
    policy = Policy(Vlm(c), Expert(c, e))
    loop.restore(policy, saved["policy"], path)
    return policy.eval(), saved


def recorded(args, c, words, count):
    """Frames of the demonstrations with their instructions, as the graphs take them."""
    from data import Demos
    from scenes import normalised

    demos = Demos(args.data, c)
    feeds = []
    for i in np.random.default_rng(5).choice(len(demos.kept), count, replace=False):
        batch = demos.batch(np.array([i]), words)
        feeds.append((normalised(batch["image"], c).numpy(), batch["state"].numpy(), batch["tokens"].numpy()))
    return feeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True, help="what art.py wrote (the tokenizer)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--int8", action="store_true")
    parser.add_argument("--data", type=Path, help="what data.py wrote: frames to calibrate and to check on")
    parser.add_argument("--calibration-frames", type=int, default=128)
    parser.add_argument("--execute", type=int, default=8, help="actions of a chunk that are executed")
    parser.add_argument("--name", default="wink-s")
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--description", default="A small vision-language-action model that puts the block on the named emoji card.")
    args = parser.parse_args()
    if args.int8 and args.data is None:
        raise loop.Refused("--int8 needs --data: frames to calibrate on")
    torch.set_num_threads(1)
    policy, saved = load_policy(args.checkpoint)
    c = policy.vlm.c
    words = Words(args.art / "tokenizer.json", c.max_tokens)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "policy.json").unlink(missing_ok=True)
    export_graphs(policy, args.out)
    precisions = {"f32": ""}
    checks = [(seeded((1, 3, c.image[1], c.image[0]), 3), seeded((1, 7), 4), words(["pick the block and place it on goat"]))]
    if args.data:
        checks += recorded(args, c, words, 24)
    with torch.no_grad():
        wanted = [policy(torch.from_numpy(i), torch.from_numpy(s), *policy.vlm.text(torch.from_numpy(t))).numpy() for i, s, t in checks]
    difference = lambda suffix: [np.abs(Runner(args.out, suffix)(*inputs) - w) for inputs, w in zip(checks, wanted)]
    told = [f"ONNX f32 {max(d.max() for d in difference('')):.1e}"]
    if args.int8:
        runner = Runner(args.out, "")
        feeds = []
        for image, state, tokens in recorded(args, c, words, args.calibration_frames):
            text, mask = runner.text.run(None, {"tokens": tokens})
            feeds.append({"image": image, "state": state, "text": text, "text_mask": mask})
        quantise(args.out, feeds)
        precisions["int8"] = ".int8"
    for name in ("text", "act"):
        onnx.save(halve_weights(onnx.load(args.out / f"{name}.onnx")), args.out / f"{name}.onnx")
    told.append(f"with f16 weights {max(d.max() for d in difference('')):.1e}")
    if args.int8:
        d = difference(".int8")
        told.append(f"int8 {max(x.max() for x in d):.1e} (mean {np.mean(d):.1e})")
    print(f"largest difference to PyTorch over {len(checks)} inputs, normalised actions: {', '.join(told)}")
    (args.out / "tokenizer.json").write_bytes((args.art / "tokenizer.json").read_bytes())
    (args.out / "golden.json").write_text(json.dumps(golden(args.out, c, words, precisions)) + "\n")
    content = manifest(args.out, c, args, saved, precisions)
    part = args.out / "policy.json.part"
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.rename(args.out / "policy.json")
    print({name: f["bytes"] for name, f in content["files"].items()}, f"{sum(f['bytes'] for f in content['files'].values()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
