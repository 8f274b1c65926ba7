"""Checkpoint -> policy package: ONNX graphs in f32 and int8, policy.json, tokenizer.json, golden.json.

    python export.py --checkpoint CKPT --tokenizer FILE --out DIR [--calibrate MEMMAP_DIR]
    python export.py --random --tokenizer FILE --out DIR      # the untrained architecture, to try an engine on
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

from model import Config, Policy

OPSET = 17
STATE_NAMES = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
ACTION_NAMES = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]


class TextGraph(nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.text = policy.text

    def forward(self, tokens):
        return self.text(tokens)


class ActGraph(nn.Module):
    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, image, state, text, text_mask):
        return self.policy(image, state, text, text_mask)["action"]


def fold_batch_norms(module):
    """Every Conv + BatchNorm pair becomes one Conv."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(child[0], child[1]))
        elif isinstance(child, (nn.Sequential, nn.ModuleList)):
            for i, part in enumerate(child):
                if isinstance(part, nn.Sequential) and len(part) == 2 and isinstance(part[1], nn.BatchNorm2d):
                    child[i] = fuse_conv_bn_eval(part[0], part[1])
                else:
                    fold_batch_norms(part)
        else:
            fold_batch_norms(child)
    return module


def export_graphs(policy, folder):
    c = policy.c
    policy = fold_batch_norms(copy.deepcopy(policy).eval().float())
    tokens = torch.zeros(1, c.max_tokens, dtype=torch.long)
    tokens[0, :5] = torch.arange(2, 7)
    with torch.no_grad():
        text, mask = policy.text(tokens)
    image, state = torch.zeros(1, 3, c.crop[3], c.crop[2]), torch.zeros(1, c.state_dim)
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


def quantise(folder, calibration, scheme, excluded):
    """int8 graphs beside the f32 ones. The text graph is always dynamic: it runs once an episode."""
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
        skip = [n.name for n in onnx.load(prepared).graph.node if any(n.name.startswith(e) for e in excluded)]
        if name == "text" or scheme == "dynamic":
            kinds = ["MatMul", "Gather"] if name == "text" else ["MatMul", "Conv"]
            # Dynamic quantisation has no Gemm: those small layers stay float.
            quantize_dynamic(str(prepared), str(target), op_types_to_quantize=kinds, per_channel=True, weight_type=QuantType.QInt8, nodes_to_exclude=skip)
        else:
            quantize_static(
                str(prepared), str(target), Reader(calibration), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul", "Conv", "Gemm"], per_channel=True,
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


def run(folder, suffix, image, state, tokens):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = lambda name: ort.InferenceSession(str(folder / f"{name}{suffix}.onnx"), options)
    text, mask = session("text").run(None, {"tokens": tokens})
    return session("act").run(None, {"image": image, "state": state, "text": text, "text_mask": mask})[0]


def golden(folder, c, tokenizer):
    """Seed-made inputs and what ONNX Runtime answers, for an engine to check itself."""
    instruction = "pick the block and place it on star"
    ids = tokenizer.encode(instruction).ids
    tokens = np.zeros((1, c.max_tokens), np.int64)
    tokens[0, : len(ids)] = ids
    image, state = seeded((1, 3, c.crop[3], c.crop[2]), 1), seeded((1, c.state_dim), 2)
    result = {
        "generator": "x' = (1664525 x + 1013904223) mod 2^32; value = (x' >> 8) / 2^23 - 1; row-major, x starts at the seed",
        "engine": "onnxruntime", "instruction": instruction, "tokens": tokens[0].tolist(),
        "image_seed": 1, "state_seed": 2, "action": {},
    }
    for precision, suffix in (("f32", ""), ("int8", ".int8")):
        action = run(folder, suffix, image, state, tokens)
        result["action"][precision] = [round(float(x), 8) for x in action.flatten()]
    return result


def manifest(folder, c, name, version, description, action_mean, action_std, state_mean, state_std, execute):
    x, y, w, h = c.crop
    graphs = lambda suffix: {
        "graphs": [
            {"role": "text", "file": f"text{suffix}.onnx", "inputs": {"tokens": "tokens"}, "outputs": {"text": "text", "text_mask": "text_mask"}},
            {"role": "act", "file": f"act{suffix}.onnx", "inputs": {n: n for n in ("image", "state", "text", "text_mask")}, "outputs": {"action": "action"}},
        ]
    }
    files = ["text.onnx", "act.onnx", "text.int8.onnx", "act.int8.onnx", "tokenizer.json", "golden.json"]
    numbers = lambda values: [round(float(v), 8) for v in values]
    return {
        "format": 1, "name": name, "version": version, "licence": "MIT OR Apache-2.0", "description": description, "control_hz": 20,
        "image": {
            "feature": "observation.images.front", "width": w, "height": h,
            "crop": {"left": x / c.frame, "top": y / c.frame, "width": w / c.frame, "height": h / c.frame},
            "channels": "rgb", "layout": "nchw", "mean": list(c.image_mean), "std": list(c.image_std),
        },
        "state": {"feature": "observation.state", "names": STATE_NAMES, "mean": numbers(state_mean), "std": numbers(state_std)},
        "action": {
            "space": "ee_delta", "names": ACTION_NAMES, "mean": numbers(action_mean), "std": numbers(action_std),
            "chunk": c.chunk, "execute": execute, "threshold": {"gripper": 0.5},
        },
        "text": {"tokenizer": "tokenizer.json", "max_tokens": c.max_tokens, "pad_id": 0},
        "default_precision": "int8",
        "precisions": {"f32": graphs(""), "int8": graphs(".int8")},
        "files": {f: {"bytes": (folder / f).stat().st_size, "sha256": hashlib.sha256((folder / f).read_bytes()).hexdigest()} for f in files},
    }


def calibration_feeds(args, c, folder):
    """Recorded frames through the f32 text graph; noise where nothing is recorded yet."""
    import onnxruntime as ort

    text = ort.InferenceSession(str(folder / "text.onnx"))
    if args.calibrate is None:
        tokens = np.zeros((1, c.max_tokens), np.int64)
        tokens[0, :6] = np.arange(2, 8)
        t, m = text.run(None, {"tokens": tokens})
        return [{"image": seeded((1, 3, c.crop[3], c.crop[2]), s), "state": seeded((1, c.state_dim), s + 1), "text": t, "text_mask": m} for s in (11, 13, 17, 19)]
    from data import Demos

    demos = Demos(args.calibrate, c)
    rng = np.random.default_rng(5)
    feeds = []
    for i in rng.choice(len(demos), args.calibration_frames, replace=False):
        t, m = text.run(None, {"tokens": demos.tokens(args.tokenizer, [i])})
        feeds.append({"image": demos.image([i]).numpy(), "state": demos.state([i]).numpy(), "text": t, "text_mask": m})
    return feeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibrate", type=Path)
    parser.add_argument("--calibration-frames", type=int, default=128)
    parser.add_argument("--scheme", choices=("static", "dynamic"), default="static")
    parser.add_argument("--exclude", nargs="*", default=["/policy/head/", "/policy/vision/stem/"], help="nodes whose names start so stay float")
    parser.add_argument("--execute", type=int, default=8)
    parser.add_argument("--name", default="wink-s")
    parser.add_argument("--version", default="0.1.0")
    args = parser.parse_args()
    torch.manual_seed(0)
    action_mean, action_std = np.zeros(7), np.ones(7)
    state_mean, state_std = np.zeros(7), np.ones(7)
    if args.random:
        policy = Policy()
        action_std[:6] = 0.1
        description = "Untrained: the architecture of wink-s with random weights."
    else:
        saved = torch.load(args.checkpoint, weights_only=True)
        policy = Policy(Config.from_dict(saved["config"]))
        policy.load_state_dict(saved["model"])
        action_mean, action_std = saved["action_mean"].numpy(), saved["action_std"].numpy()
        state_mean, state_std = policy.head.state_mean.numpy(), policy.head.state_std.numpy()
        description = "A 6 M parameter vision-language-action model that puts the block on the named emoji card."
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "policy.json").unlink(missing_ok=True)
    export_graphs(policy, args.out)

    c, image, state = policy.c, seeded((1, 3, policy.c.crop[3], policy.c.crop[2]), 3), seeded((1, 7), 4)
    tokens = np.zeros((1, c.max_tokens), np.int64)
    tokens[0, :4] = (5, 9, 13, 17)
    with torch.no_grad():
        policy.eval()
        text, mask = policy.text(torch.from_numpy(tokens))
        reference = policy(torch.from_numpy(image), torch.from_numpy(state), text, mask)["action"].numpy()
    quantise(args.out, calibration_feeds(args, c, args.out), args.scheme, args.exclude)
    exact = np.abs(run(args.out, "", image, state, tokens) - reference).max()
    for name in ("text", "act"):
        path = args.out / f"{name}.onnx"
        onnx.save(halve_weights(onnx.load(path)), path)
    half = np.abs(run(args.out, "", image, state, tokens) - reference).max()
    int8 = np.abs(run(args.out, ".int8", image, state, tokens) - reference).max()
    print(f"largest difference to PyTorch on noise, normalised actions: ONNX {exact:.2e}, with f16 weights {half:.2e}, int8 {int8:.2e}")

    from tokenizers import Tokenizer

    (args.out / "tokenizer.json").write_bytes(args.tokenizer.read_bytes())
    (args.out / "golden.json").write_text(json.dumps(golden(args.out, c, Tokenizer.from_file(str(args.tokenizer)))) + "\n")
    content = manifest(args.out, c, args.name, args.version, description, action_mean, action_std, state_mean, state_std, args.execute)
    part = args.out / "policy.json.part"
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.rename(args.out / "policy.json")
    total = sum(f["bytes"] for f in content["files"].values())
    print({name: f["bytes"] for name, f in content["files"].items()}, f"{total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
