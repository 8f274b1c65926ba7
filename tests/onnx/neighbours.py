#!/usr/bin/env python3
"""Writes small ONNX files around the operators and forms that exporters produce, with ONNX Runtime's outputs, and runs `wink check` on each.

    pip install onnx onnxruntime numpy
    python neighbours.py --out DIR [--wink target/release/wink] [--only PART_OF_A_NAME]

What ONNX Runtime refuses is written too: there `wink check` must end with exit code 2 in one line.
"""
import argparse
import pathlib
import subprocess
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)
CASES = {}
NUMPY = {
    "f32": np.float32, "f64": np.float64, "f16": np.float16, "bool": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
}


def onnx_type(kind):
    return helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[kind]))


def drawn(kind, shape, low=-1.0, high=1.0):
    dtype = NUMPY[kind]
    if dtype == np.bool_:
        return RNG.integers(0, 2, shape).astype(bool)
    if np.issubdtype(dtype, np.integer):
        return RNG.integers(0 if kind.startswith("u") else -20, 20, shape).astype(dtype)
    return RNG.uniform(low, high, shape).astype(dtype)


def case(name, nodes, inputs, outputs=("y",), weights=None, opset=17, feeds=None, domains=()):
    """`inputs`: {name: (kind, shape)}; `weights`: {name: array or TensorProto}."""
    tensors = []
    for key, value in (weights or {}).items():
        tensors.append(value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), key))
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info(key, onnx_type(kind), shape) for key, (kind, shape) in inputs.items()],
        [helper.make_empty_tensor_value_info(key) for key in outputs], tensors)
    sets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=sets, ir_version=10)
    # Outputs need a type; where inference knows none, ONNX Runtime tells.
    inferred = onnx.shape_inference.infer_shapes(model)
    kinds = {value.name: value for value in list(inferred.graph.value_info) + list(inferred.graph.output)}
    for output in model.graph.output:
        if output.name in kinds and kinds[output.name].type.HasField("tensor_type"):
            output.CopyFrom(kinds[output.name])
    values = {key: drawn(kind, [n if isinstance(n, int) else 2 for n in shape]) for key, (kind, shape) in inputs.items()}
    values.update(feeds or {})
    assert name not in CASES, name
    CASES[name] = (model, values)


def node(op, inputs, outputs="y", domain="", **attributes):
    split = lambda names: names.split(",") if isinstance(names, str) else names
    return helper.make_node(op, split(inputs), split(outputs), domain=domain, name=f"n_{op}_{split(outputs)[0]}", **attributes)


def ints(*values):
    return np.array(values, np.int64)


def unary():
    for op in ("Abs", "Neg", "Sign", "Ceil", "Floor", "Round", "Exp", "Sqrt", "Reciprocal", "Erf", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign",
               "Sin", "Cos", "Log", "HardSwish", "Mish", "IsNaN", "Identity"):
        case(f"unary_{op}_f32", [node(op, "x")], {"x": ("f32", [2, 3, 5])}, opset=18)
    for op in ("Abs", "Neg", "Sign", "Relu", "Sqrt", "Exp", "Floor"):
        case(f"unary_{op}_f64", [node(op, "x")], {"x": ("f64", [4, 5])}, opset=18)
    for kind in ("i8", "i32", "i64", "i16"):
        for op in ("Abs", "Neg", "Sign"):
            case(f"unary_{op}_{kind}", [node(op, "x")], {"x": (kind, [4, 5])}, opset=18)
    for op, attributes in (("Celu", {"alpha": 2.5}), ("Elu", {"alpha": 0.3}), ("Selu", {"alpha": 1.2, "gamma": 0.9}), ("LeakyRelu", {"alpha": 0.2}),
                           ("ThresholdedRelu", {"alpha": 0.4}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("Shrink", {"bias": 0.1, "lambd": 0.3})):
        case(f"param_{op}", [node("Mul", "x,k", "h"), node(op, "h", **attributes)], {"x": ("f32", [2, 33])}, weights={"k": np.float32(12)}, opset=16)
    for approximate in ("none", "tanh"):
        case(f"gelu_{approximate}", [node("Gelu", "x", approximate=approximate)], {"x": ("f32", [3, 7])}, opset=20)
    for value in (88.6, 88.8, -87.4, -103.0, 1e5, -1e5):
        case(f"exp_at_{value}", [node("Add", "x,k", "h"), node("Exp", "h")], {"x": ("f32", [17])}, weights={"k": np.float32(value)},
             feeds={"x": np.zeros(17, np.float32)})
    for op in ("Sigmoid", "Tanh", "Erf", "Softplus", "Mish", "Softsign", "Elu", "Selu", "Gelu"):
        extreme = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 120, -120, 0, -0.0, 89, -89], np.float32)
        case(f"extreme_{op}", [node(op, "x")], {"x": ("f32", [11])}, feeds={"x": extreme}, opset=20)
    for op in ("Relu", "Clip", "MaxPool", "ReduceMax", "Max", "Softmax", "LogSoftmax", "ArgMax", "GlobalMaxPool"):
        x = np.array([[[1, np.nan, -3, 4], [np.inf, 2, -1, 0]]], np.float32)
        n = {"Clip": node("Clip", "x,lo,hi"), "Max": node("Max", "x,lo"), "MaxPool": node("MaxPool", "x", kernel_shape=[2]),
             "ReduceMax": node("ReduceMax", "x", axes=[2])}.get(op) or node(op, "x")
        case(f"nan_{op}", [n], {"x": ("f32", [1, 2, 4])}, weights={"lo": np.float32(0), "hi": np.float32(6)}, feeds={"x": x})


def binary():
    for kind in ("i32", "i64", "f32", "f64", "u8", "i8"):
        for op in ("Add", "Sub", "Mul"):
            if kind in ("u8", "i8") and op == "Mul":
                continue
            case(f"binary_{op}_{kind}", [node(op, "a,b")], {"a": (kind, [3, 1, 4]), "b": (kind, [2, 1])}, opset=14)
    for kind in ("i32", "i64", "u8"):
        b = np.array([3, -4, 5, 7]).astype(NUMPY[kind]) if kind != "u8" else np.array([3, 4, 5, 7], np.uint8)
        for op in ("Div", "Mod"):
            case(f"binary_{op}_{kind}", [node(op, "a,b")], {"a": (kind, [3, 4])}, weights={"b": b})
    case("mod_fmod_f32", [node("Mod", "a,b", fmod=1)], {"a": ("f32", [3, 4])}, weights={"b": np.float32(0.3)})
    case("mod_fmod_i64", [node("Mod", "a,b", fmod=1)], {"a": ("i64", [3, 4])}, weights={"b": ints(3, -3, 5, -7)})
    case("mod_runtime_zero", [node("Mod", "a,b")], {"a": ("i64", [4]), "b": ("i64", [4])}, feeds={"b": ints(1, 0, 2, 3)})
    for op in ("Equal", "Less", "GreaterOrEqual"):
        for kind in ("i64", "f32", "i32", "f64"):
            case(f"compare_{op}_{kind}", [node(op, "a,b")], {"a": (kind, [2, 3]), "b": (kind, [3])}, opset=16)
    for op in ("And", "Or", "Xor"):
        case(f"logic_{op}", [node(op, "a,b")], {"a": ("bool", [2, 3]), "b": ("bool", [3])})
    case("logic_not", [node("Not", "a")], {"a": ("bool", [2, 3])})
    for op in ("Min", "Max", "Sum", "Mean"):
        case(f"variadic_{op}", [node(op, "a,b,c")], {"a": ("f32", [2, 3]), "b": ("f32", [3]), "c": ("f32", [1])})
    for op in ("Min", "Max"):
        for kind in ("i64", "i32", "f64"):
            case(f"variadic_{op}_{kind}", [node(op, "a,b")], {"a": (kind, [2, 3]), "b": (kind, [3])})
    case("pow_f32_i64", [node("Pow", "a,b")], {"a": ("f32", [2, 3])}, weights={"b": ints(3)})
    case("pow_i64", [node("Pow", "a,b")], {"a": ("i64", [2, 3])}, weights={"b": ints(2)})
    case("pow_negative_base", [node("Pow", "a,b")], {"a": ("f32", [2, 3])}, weights={"b": np.float32(3)})
    for kind in ("i64", "i32", "f32", "f64", "bool", "u8"):
        case(f"where_{kind}", [node("Where", "c,a,b")], {"c": ("bool", [2, 1]), "a": (kind, [2, 3]), "b": (kind, [3])})
    case("square_i64_cast", [node("Cast", "x", "i", to=7), node("Mul", "i,i", "j"), node("Sub", "j,i", "k"), node("Cast", "k", to=1)], {"x": ("f32", [8])},
         feeds={"x": np.linspace(-9, 9, 8).astype(np.float32)})
    for to in ("i8", "i32", "i64", "u8", "bool", "f64", "f16"):
        x = np.array([-3.7, -0.2, 0.0, 0.2, 1.5, 2.5, 100.9], np.float32)
        case(f"cast_{to}", [node("Cast", "x", to=onnx_type(to))], {"x": ("f32", [7])}, feeds={"x": np.abs(x) if to[0] == "u" else x})
    for kind in ("bool", "u8", "i32", "f64", "f16", "u32", "u64", "i16", "u16"):
        case(f"cast_from_{kind}", [node("Cast", "x", to=1)], {"x": (kind, [7])})


def moving():
    for kind in ("f32", "i64", "bool", "f64", "u8", "f16", "i32"):
        case(f"move_concat_{kind}", [node("Concat", "a,b", axis=-1)], {"a": (kind, [2, 3]), "b": (kind, [2, 2])})
        case(f"move_transpose_{kind}", [node("Transpose", "a", perm=[2, 0, 1])], {"a": (kind, [2, 3, 4])})
        case(f"move_gather_{kind}", [node("Gather", "a,i", axis=1)], {"a": (kind, [2, 5, 3])}, weights={"i": ints(0, -1, 3)})
        case(f"move_slice_{kind}", [node("Slice", "a,s,e,x,t")], {"a": (kind, [4, 9])},
             weights={"s": ints(-1, 1), "e": ints(-9223372036854775807, 8), "x": ints(1, 0), "t": ints(-2, 1)})
        case(f"move_expand_{kind}", [node("Expand", "a,s")], {"a": (kind, [3, 1])}, weights={"s": ints(2, 1, 4)})
        case(f"move_tile_{kind}", [node("Tile", "a,s")], {"a": (kind, [3, 2])}, weights={"s": ints(2, 3)})
        case(f"move_squeeze_{kind}", [node("Unsqueeze", "a,s", "h"), node("Squeeze", "h,z")], {"a": (kind, [3, 2])}, weights={"s": ints(0, -1), "z": ints(-1)})
        case(f"move_split_{kind}", [node("Split", "a,s", "y,z", axis=1)], {"a": (kind, [3, 5])}, ("y", "z"), {"s": ints(2, 3)})
    for axis, start, step in ((0, 0, 2), (1, 1, 3), (2, -1, -2), (-1, 0, 3), (1, 3, -1)):
        for before in ("Softmax", "LogSoftmax", "Relu", "Reshape", "Transpose", "MatMul", "LayerNormalization", "Conv"):
            nodes = {"Reshape": [node("Reshape", "x,rs", "h")], "Transpose": [node("Transpose", "x", "h", perm=[0, 2, 1])],
                     "MatMul": [node("MatMul", "x,w", "h")], "LayerNormalization": [node("LayerNormalization", "x,g", "h")],
                     "Conv": [node("Conv", "x,cw", "h")]}.get(before) or [node(before, "x", "h")]
            case(f"stride_{before}_{axis}_{start}_{step}", nodes + [node("Slice", "h,s,e,a,t")], {"x": ("f32", [4, 6, 8])},
                 weights={"s": ints(start), "e": ints(2**62 if step > 0 else -2**62), "a": ints(axis), "t": ints(step), "rs": ints(6, 4, 8),
                          "w": drawn("f32", [8, 8]), "g": drawn("f32", [8]), "cw": drawn("f32", [6, 6, 1])})
    for mode in ("constant", "reflect", "edge", "wrap"):
        for pads in ((0, 1, 0, 2), (0, -1, 0, 2), (1, 0, -1, 3)):
            if mode == "wrap" or min(pads) >= 0 or mode == "constant":
                case(f"pad_{mode}_{'_'.join(map(str, pads))}", [node("Pad", "x,p", mode=mode)], {"x": ("f32", [3, 5])}, weights={"p": ints(*pads)}, opset=19)
    case("pad_axes", [node("Pad", "x,p,v,a")], {"x": ("f32", [3, 5])}, weights={"p": ints(1, 2), "v": np.float32(3), "a": ints(-1)}, opset=18)
    case("pad_i64", [node("Pad", "x,p,v")], {"x": ("i64", [3, 5])}, weights={"p": ints(0, 1, 1, 0), "v": np.int64(9)})
    for upper in (0, 1):
        for k in (-1, 0, 2):
            case(f"trilu_{upper}_{k}", [node("Trilu", "x,k", upper=upper)], {"x": ("f32", [2, 4, 5])}, weights={"k": np.int64(k)})
    case("trilu_bool", [node("Trilu", "x")], {"x": ("bool", [4, 5])})
    case("gather_elements_neg", [node("GatherElements", "x,i", axis=1)], {"x": ("f32", [3, 4])}, weights={"i": np.array([[0, -1], [2, 1], [-4, 3]], np.int64)})
    case("gathernd_neg", [node("GatherND", "x,i")], {"x": ("f32", [3, 4])}, weights={"i": np.array([[0, -1], [-3, 3]], np.int64)})
    case("gathernd_batch", [node("GatherND", "x,i", batch_dims=1)], {"x": ("f32", [2, 3, 4])}, weights={"i": np.array([[1], [2]], np.int64)})
    case("gather_runtime_out", [node("Gather", "x,i")], {"x": ("f32", [3, 4]), "i": ("i64", [2])}, feeds={"i": ints(1, 3)})
    case("gather_runtime_neg", [node("Gather", "x,i")], {"x": ("f32", [3, 4]), "i": ("i64", [2])}, feeds={"i": ints(-1, -3)})
    case("gather_i32_indices", [node("Gather", "x,i")], {"x": ("f32", [3, 4]), "i": ("i32", [2])}, feeds={"i": np.array([0, 2], np.int32)})
    case("scatter_elements_neg", [node("ScatterElements", "x,i,u", axis=1)], {"x": ("f32", [2, 4])},
         weights={"i": np.array([[0, -1], [2, -2]], np.int64), "u": drawn("f32", [2, 2])})
    case("scatter_add", [node("ScatterND", "x,i,u", reduction="add")], {"x": ("f32", [4, 3])}, weights={"i": np.array([[1], [-1], [1]], np.int64), "u": drawn("f32", [3, 3])}, opset=18)
    case("scatter_i64", [node("ScatterND", "x,i,u")], {"x": ("i64", [4, 3])}, weights={"i": np.array([[1], [-1]], np.int64), "u": drawn("i64", [2, 3])})
    for mode in ("DCR", "CRD"):
        case(f"d2s_{mode}", [node("DepthToSpace", "x", blocksize=2, mode=mode)], {"x": ("f32", [1, 8, 2, 3])})
    case("s2d", [node("SpaceToDepth", "x", blocksize=2)], {"x": ("f32", [1, 2, 4, 6])})
    case("onehot", [node("OneHot", "i,d,v", axis=1)], {"i": ("i64", [2, 3])}, weights={"d": np.int64(5), "v": np.array([0.5, 2], np.float32)}, feeds={"i": RNG.integers(-5, 5, (2, 3))})
    case("range_const", [node("Range", "a,b,s", "r"), node("Add", "x,r")], {"x": ("f32", [5])},
         weights={"a": np.float32(1), "b": np.float32(-0.4), "s": np.float32(-0.3)})
    case("compress", [node("Compress", "x,c", axis=1)], {"x": ("f32", [2, 4])}, weights={"c": np.array([True, False, True, True])})
    for shape, allow in (((0, 12), 1), ((-1, 0), 0), ((0, 0, -1), 0), ((0, 3, 4), 0)):
        case(f"reshape_{'_'.join(map(str, shape))}_{allow}", [node("Reshape", "x,s", allowzero=allow)], {"x": ("f32", [0, 3, 4] if allow else [2, 3, 4])}, weights={"s": ints(*shape)})


def reducing():
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"):
        for axes, keep in (((-1,), 1), ((0, 2), 0), ((), 1)):
            weights = {"a": ints(*axes)} if axes else {}
            nodes = [node("Abs", "x", "h"), node(op, "h,a" if axes else "h", keepdims=keep)]
            case(f"{op}_{'_'.join(map(str, axes))}_{keep}", nodes, {"x": ("f32", [2, 3, 4])}, weights=weights, opset=18)
        if op not in ("ReduceLogSum", "ReduceLogSumExp", "ReduceL2"):
            case(f"{op}_i64", [node(op, "x,a")], {"x": ("i64", [2, 3, 4])}, weights={"a": ints(1)}, opset=18)
    case("reduce_axes_attribute", [node("ReduceMean", "x", axes=[-2], keepdims=0)], {"x": ("f32", [2, 3, 4])}, opset=13)
    case("reduce_noop", [node("ReduceSum", "x", noop_with_empty_axes=1)], {"x": ("f32", [2, 3])}, opset=18)
    for value in (700.0, -700.0, 95.0):
        case(f"logsumexp_{value}", [node("Add", "x,k", "h"), node("ReduceLogSumExp", "h,a")], {"x": ("f32", [3, 9])}, weights={"k": np.float32(value), "a": ints(1)}, opset=18)
    for op in ("ArgMax", "ArgMin"):
        for kind in ("f32", "i64", "i32", "f64"):
            case(f"{op}_{kind}", [node(op, "x", axis=-1, keepdims=0)], {"x": (kind, [3, 7])})
        case(f"{op}_last", [node(op, "x", axis=0, select_last_index=1)], {"x": ("f32", [3, 4])}, feeds={"x": np.ones((3, 4), np.float32)})
    for kind in ("f32", "i64"):
        for largest in (0, 1):
            case(f"topk_{kind}_{largest}", [node("TopK", "x,k", "y,i", axis=1, largest=largest)], {"x": (kind, [3, 9])}, ("y", "i"), {"k": ints(4)})
        for exclusive, reverse in ((0, 0), (1, 0), (0, 1), (1, 1)):
            case(f"cumsum_{kind}_{exclusive}_{reverse}", [node("CumSum", "x,a", exclusive=exclusive, reverse=reverse)], {"x": (kind, [3, 5])}, weights={"a": np.int64(-1)})
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        for axis in (0, 1, -1):
            case(f"{op}_{axis}", [node(op, "x", axis=axis)], {"x": ("f32", [2, 3, 4])})
        case(f"{op}_set11", [node(op, "x", axis=1)], {"x": ("f32", [2, 3, 4])}, opset=11)


def norms():
    for gain, bias in (((1,), None), ((8,), (8,)), ((3, 8), (8,)), ((2, 1, 8), (1,)), ((1, 1, 1), (2, 3, 8))):
        weights = {"g": drawn("f32", gain)} | ({"b": drawn("f32", bias)} if bias else {})
        if len(gain) <= 2:
            case(f"ln_gain_{'_'.join(map(str, gain))}", [node("LayerNormalization", "x,g" + (",b" if bias else ""))], {"x": ("f32", [2, 3, 8])}, weights=weights)
    for axis in (1, -2, 0):
        shape = [2, 3, 8][axis:]
        case(f"ln_axis_{axis}", [node("LayerNormalization", "x,g,b", axis=axis, epsilon=1e-3)], {"x": ("f32", [2, 3, 8])}, weights={"g": drawn("f32", shape), "b": drawn("f32", shape)})
    case("ln_outputs", [node("LayerNormalization", "x,g", "y,m,s")], {"x": ("f32", [2, 3, 8])}, ("y", "m", "s"), {"g": drawn("f32", [8])})
    case("ln_f16", [node("LayerNormalization", "x,g")], {"x": ("f16", [2, 3, 8])}, weights={"g": drawn("f16", [8])})
    case("ln_f64", [node("LayerNormalization", "x,g")], {"x": ("f64", [2, 3, 8])}, weights={"g": drawn("f64", [8])})
    case("ln_dynamic", [node("LayerNormalization", "x,g,b")], {"x": ("f32", [2, 3, 8]), "g": ("f32", [8]), "b": ("f32", [8])})
    case("rms", [node("RMSNormalization", "x,g")], {"x": ("f32", [2, 3, 8])}, weights={"g": drawn("f32", [8])}, opset=23)
    case("batchnorm", [node("BatchNormalization", "x,g,b,m,v")], {"x": ("f32", [2, 3, 4, 4])},
         weights={"g": drawn("f32", [3]), "b": drawn("f32", [3]), "m": drawn("f32", [3]), "v": np.abs(drawn("f32", [3])) + 0.1})
    case("instancenorm", [node("InstanceNormalization", "x,g,b")], {"x": ("f32", [2, 3, 8])}, weights={"g": drawn("f32", [3]), "b": drawn("f32", [3])})
    case("groupnorm21", [node("GroupNormalization", "x,g,b", num_groups=2)], {"x": ("f32", [2, 4, 8])}, weights={"g": drawn("f32", [4]), "b": drawn("f32", [4])}, opset=21)
    for heads in ((2, 2), (4, 2)):
        shapes = {"q": ("f32", [1, heads[0], 3, 8]), "k": ("f32", [1, heads[1], 5, 8]), "v": ("f32", [1, heads[1], 5, 8])}
        for name, extra, mask, attributes in (
            ("plain", "", None, {}), ("float", ",m", drawn("f32", [3, 5]), {}), ("bool", ",m", RNG.integers(0, 2, (1, 1, 3, 5)).astype(bool), {}),
            ("causal", "", None, {"is_causal": 1}), ("scale", "", None, {"scale": 0.4}), ("cap", "", None, {"softcap": 1.5}),
            ("cap_bool", ",m", RNG.integers(0, 2, (3, 5)).astype(bool), {"softcap": 1.5, "scale": 0.2}),
        ):
            case(f"attention_{heads[0]}_{heads[1]}_{name}", [node("Attention", "q,k,v" + extra, **attributes)], shapes, weights={"m": mask} if mask is not None else {}, opset=23)
        width = {"q": ("f32", [1, 3, heads[0] * 8]), "k": ("f32", [1, 5, heads[1] * 8]), "v": ("f32", [1, 5, heads[1] * 8])}
        case(f"attention_{heads[0]}_{heads[1]}_3d", [node("Attention", "q,k,v", q_num_heads=heads[0], kv_num_heads=heads[1])], width, opset=23)
        case(f"attention_{heads[0]}_{heads[1]}_past", [node("Attention", "q,k,v,,pk,pv", "y,ok,ov")],
             shapes | {"pk": ("f32", [1, heads[1], 2, 8]), "pv": ("f32", [1, heads[1], 2, 8])}, ("y", "ok", "ov"), opset=23)
    case("attention_bool_input", [node("Attention", "q,k,v,m")], {"q": ("f32", [2, 2, 3, 4]), "k": ("f32", [2, 2, 5, 4]), "v": ("f32", [2, 2, 5, 4]), "m": ("bool", [2, 1, 3, 5])}, opset=23)
    for alpha in (1.0, 0.5, 1.702):
        case(f"swish_{alpha}", [node("Swish", "x", alpha=alpha)], {"x": ("f32", [2, 16])}, opset=24)


def quantised():
    x = {"x": ("f32", [4, 8])}
    for kind in ("u8", "i8", "u16", "i16"):
        zero = {"u8": 100, "i8": -3, "u16": 30000, "i16": 5}[kind]
        weights = {"s": np.float32(0.01), "z": np.array(zero, NUMPY[kind])}
        case(f"qdq_{kind}", [node("QuantizeLinear", "x,s,z", "q"), node("DequantizeLinear", "q,s,z")], x, weights=weights, opset=21)
        case(f"qdq_dtype_{kind}", [node("QuantizeLinear", "x,s", "q", output_dtype=onnx_type(kind)), node("DequantizeLinear", "q,s")], x, weights=weights, opset=21)
        axis = {"s": np.linspace(0.01, 0.02, 8).astype(np.float32), "z": np.full(8, zero, NUMPY[kind])}
        case(f"qdq_axis_{kind}", [node("QuantizeLinear", "x,s,z", "q", axis=-1), node("DequantizeLinear", "q,s,z", axis=-1)], x, weights=axis, opset=21)
    for kind, proto in (("int4", TensorProto.INT4), ("uint4", TensorProto.UINT4)):
        weights = {"s": np.float32(0.1), "z": helper.make_tensor("z", proto, [], [2])}
        case(f"qdq_{kind}", [node("QuantizeLinear", "x,s,z", "q"), node("DequantizeLinear", "q,s,z")], x, weights=weights, opset=21)
        values = RNG.integers(-8 if kind == "int4" else 0, 8 if kind == "int4" else 16, 24)
        case(f"weights_{kind}", [node("DequantizeLinear", "w,s", "d", axis=1), node("MatMul", "x,d")], x,
             weights={"w": helper.make_tensor("w", proto, [8, 3], values), "s": np.array([0.1, 0.2, 0.3], np.float32)}, opset=21)
        case(f"blocked_{kind}", [node("DequantizeLinear", "w,s", "d", axis=0, block_size=4), node("MatMul", "x,d")], x,
             weights={"w": helper.make_tensor("w", proto, [8, 3], values), "s": np.abs(drawn("f32", [2, 3])) + 0.1}, opset=21)
    for scale in (0.0, -0.02, 1e-40):
        w = {"w": drawn("i8", [8, 3]), "s": np.array([0.01, scale, 0.03], np.float32)}
        case(f"scale_{scale}", [node("DequantizeLinear", "w,s", "d", axis=1), node("MatMul", "x,d")], x, weights=w)
    case("scale_bias_0", [node("DequantizeLinear", "b,s", "d"), node("Add", "x,d")], x, weights={"b": drawn("i32", [8]), "s": np.float32(0)})
    case("scale_f16", [node("Cast", "x", "h", to=10), node("QuantizeLinear", "h,s,z", "q"), node("DequantizeLinear", "q,s,z", "d"), node("Cast", "d", to=1)],
         x, weights={"s": np.float16(0.02), "z": np.int8(3)}, opset=19)
    for rows in ((4, 1), (1, 8), (1, 1), ()):
        scale = np.abs(drawn("f32", rows)) * 0.01
        dyn = [node("DynamicQuantizeLinear", "x", "q,qs,qz"), node("MatMulInteger", "q,w,qz", "i"), node("Cast", "i", "f", to=1), node("Mul", "qs,s", "k"), node("Mul", "f,k")]
        case(f"dynamic_{'_'.join(map(str, rows))}", dyn, x, weights={"w": drawn("i8", [8, 8]), "s": scale})
    case("dynamic_rows_square", [node("DynamicQuantizeLinear", "x", "q,qs,qz"), node("MatMulInteger", "q,w,qz", "i"), node("Cast", "i", "f", to=1), node("Mul", "qs,s", "k"), node("Mul", "k,f")],
         {"x": ("f32", [8, 8])}, weights={"w": drawn("i8", [8, 8]), "s": np.abs(drawn("f32", [8, 1])) * 0.01})
    for value in (np.inf, -np.inf, np.nan):
        data = drawn("f32", [4, 8])
        data[1, 2] = value
        dyn = [node("DynamicQuantizeLinear", "x", "q,qs,qz"), node("MatMulInteger", "q,w,qz", "i"), node("Cast", "i", "f", to=1), node("Mul", "f,qs", "g"), node("IsNaN", "g", "n"), node("Cast", "n", to=1)]
        case(f"dynamic_{value}", dyn, x, weights={"w": drawn("i8", [8, 8])}, feeds={"x": data})
    case("matmulinteger_rows", [node("MatMulInteger", "a,b,za,zb")], {"a": ("u8", [3, 4])}, weights={"b": drawn("i8", [4, 5]), "za": np.array([1, 2, 3], np.uint8), "zb": drawn("i8", [5])})
    case("convinteger", [node("ConvInteger", "x,w,z")], {"x": ("u8", [1, 2, 5, 5])}, weights={"w": drawn("i8", [3, 2, 3, 3]), "z": np.uint8(4)})
    for bits in (4, 8):
        for block in (16, 32, 64):
            for zeros in (None, "u8", "f32"):
                if bits == 8 and zeros == "f32":
                    continue
                k, n = 64, 5
                blocks = k // block
                weights = {"B": RNG.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8), "s": np.abs(drawn("f32", [n, blocks])) + 0.05}
                names = "x,B,s"
                if zeros == "u8":
                    weights["z"], names = RNG.integers(0, 256, (n, (blocks * bits + 7) // 8)).astype(np.uint8), "x,B,s,z"
                elif zeros == "f32":
                    weights["z"], names = RNG.uniform(0, 15, (n, blocks)).astype(np.float32), "x,B,s,z"
                case(f"nbits_{bits}_{block}_{zeros}", [node("MatMulNBits", names, domain="com.microsoft", K=k, N=n, bits=bits, block_size=block)],
                     {"x": ("f32", [3, k])}, weights=weights, domains=("com.microsoft",))


def contributed():
    ms = {"domain": "com.microsoft"}
    x = {"x": ("f32", [2, 8])}
    for op in ("Gelu", "QuickGelu", "FastGelu"):
        case(f"ms_{op}", [node(op, "x", **ms)], x, domains=("com.microsoft",))
    case("ms_BiasGelu", [node("BiasGelu", "x,b", **ms)], x, weights={"b": drawn("f32", [8])}, domains=("com.microsoft",))
    for ta, tb in ((0, 1), (1, 0), (1, 1)):
        a, b = ([2, 4, 3] if ta else [2, 3, 4]), ([2, 5, 4] if tb else [2, 4, 5])
        case(f"ms_fusedmatmul_{ta}{tb}", [node("FusedMatMul", "a,b", alpha=0.3, transA=ta, transB=tb, **ms)], {"a": ("f32", a), "b": ("f32", b)}, domains=("com.microsoft",))
    for activation, extra in (("Relu", {}), ("LeakyRelu", {"activation_params": [0.1]}), ("Clip", {"activation_params": [-0.2, 0.3]}), ("Sigmoid", {}), ("HardSigmoid", {"activation_params": [0.3, 0.4]})):
        case(f"ms_fusedconv_{activation}", [node("FusedConv", "x,w,b", activation=activation, pads=[1, 1, 1, 1], **ms, **extra)], {"x": ("f32", [1, 2, 5, 5])},
             weights={"w": drawn("f32", [3, 2, 3, 3]), "b": drawn("f32", [3])}, domains=("com.microsoft",))
    case("ms_skipnorm", [node("SkipLayerNormalization", "x,s,g,b", **ms)], {"x": ("f32", [1, 2, 8]), "s": ("f32", [1, 2, 8])}, weights={"g": drawn("f32", [8]), "b": drawn("f32", [8])}, domains=("com.microsoft",))
    q = {"as_": np.float32(0.02), "az": np.uint8(120), "bs": np.float32(0.03), "bz": np.uint8(130), "ys": np.float32(0.05), "yz": np.uint8(125)}
    for op in ("QLinearAdd", "QLinearMul"):
        case(f"ms_{op}", [node(op, "a,as_,az,b,bs,bz,ys,yz", **ms)], {"a": ("u8", [2, 8]), "b": ("u8", [8])}, weights=q, domains=("com.microsoft",))
    case("qlinearmatmul", [node("QLinearMatMul", "a,as_,az,b,bs,bz,ys,yz")], {"a": ("u8", [2, 8])}, weights=q | {"b": drawn("u8", [8, 5])})
    case("qlinearconv", [node("QLinearConv", "a,as_,az,w,ws,wz,ys,yz,bias", pads=[1, 1, 1, 1])], {"a": ("u8", [1, 2, 5, 5])},
         weights=q | {"w": drawn("i8", [3, 2, 3, 3]), "ws": np.array([0.01, 0.02, 0.03], np.float32), "wz": np.zeros(3, np.int8), "bias": drawn("i32", [3])})
    case("ms_qgemm", [node("QGemm", "a,as_,az,b,bs,bz,c,ys,yz", transB=1, **ms)], {"a": ("u8", [2, 8])}, weights=q | {"b": drawn("u8", [5, 8]), "c": drawn("i32", [5])}, domains=("com.microsoft",))
    case("ms_dynmatmul", [node("DynamicQuantizeMatMul", "x,b,bs2", **ms)], x, weights={"b": drawn("i8", [8, 5]), "bs2": np.array([0.01], np.float32)}, domains=("com.microsoft",))


def graphs():
    case("f16_io", [node("MatMul", "x,w", "h"), node("Relu", "h")], {"x": ("f16", [2, 8])}, weights={"w": drawn("f16", [8, 4])})
    case("f16_cast", [node("Cast", "x", "h", to=10), node("MatMul", "h,w", "g"), node("Cast", "g", to=1)], {"x": ("f32", [2, 8])}, weights={"w": drawn("f16", [8, 4])})
    case("batch_symbol", [node("Shape", "x", "s"), node("Gather", "s,i", "d", axis=0), node("Concat", "d,m", "t", axis=0), node("Reshape", "x,t")], {"x": ("f32", ["batch", 2, 4])}, weights={"i": ints(0), "m": ints(-1)})
    case("open_axis", [node("Relu", "x")], {"x": ("f32", ["n", "m"])})
    case("passthrough", [node("Relu", "x")], {"x": ("f32", [2, 3]), "m": ("i64", [2])}, ("y", "m", "x"))
    case("weight_out", [node("Add", "x,k")], {"x": ("f32", [2, 3])}, ("k", "y"), {"k": drawn("f32", [3])})
    case("same_output", [node("Relu", "x")], {"x": ("f32", [2, 3])}, ("y",))
    for shape in ([1, 4], [2, 4]):
        then = helper.make_graph([node("Squeeze", "x,ax", "to")], "t", [], [helper.make_empty_tensor_value_info("to")])
        other = helper.make_graph([node("Identity", "x", "eo")], "e", [], [helper.make_empty_tensor_value_info("eo")])
        case(f"if_{shape[0]}", [node("Shape", "x", "s"), node("Gather", "s,i", "d"), node("Equal", "d,o", "c"), helper.make_node("If", ["c"], ["q"], then_branch=then, else_branch=other), node("Reshape", "q,f")],
             {"x": ("f32", shape)}, weights={"ax": ints(0), "i": np.int64(0), "o": np.int64(1), "f": ints(-1)})
    for rank in (2, 3):
        shape = [0] + [3] * (rank - 1)
        case(f"empty_relu_{rank}", [node("Relu", "x")], {"x": ("f32", shape)})
        case(f"empty_softmax_{rank}", [node("Softmax", "x")], {"x": ("f32", shape)})
    case("empty_concat_mid", [node("Concat", "p,x", axis=2)], {"p": ("f32", [1, 2, 0, 4]), "x": ("f32", [1, 2, 3, 4])})
    case("empty_reduce", [node("ReduceSum", "x,a", keepdims=0)], {"x": ("f32", [2, 0])}, weights={"a": ints(1)})
    case("empty_matmul", [node("MatMul", "a,b")], {"a": ("f32", [2, 0]), "b": ("f32", [0, 3])})
    case("dropout_mask", [node("Dropout", "x", "y,m")], {"x": ("f32", [2, 3])}, ("y", "m"))
    for op, attributes in (("MaxPool", {}), ("AveragePool", {}), ("AveragePool", {"count_include_pad": 1}), ("MaxPool", {"ceil_mode": 1}), ("AveragePool", {"ceil_mode": 1}), ("MaxPool", {"dilations": [2, 1]})):
        name = f"pool_{op}_{'_'.join(attributes) or 'plain'}"
        case(name, [node(op, "x", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **attributes)], {"x": ("f32", [1, 2, 7, 6])}, opset=19)
    for groups in (1, 2, 4):
        case(f"conv_groups_{groups}", [node("Conv", "x,w,b", group=groups, pads=[1, 1])], {"x": ("f32", [2, 4, 9])}, weights={"w": drawn("f32", [8, 4 // groups, 3]), "b": drawn("f32", [8])})
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        case(f"conv_{auto}", [node("Conv", "x,w", auto_pad=auto, strides=[2, 1])], {"x": ("f32", [1, 2, 6, 5])}, weights={"w": drawn("f32", [3, 2, 3, 2])})
    case("convtranspose", [node("ConvTranspose", "x,w", strides=[2, 2], pads=[1, 0, 0, 1], output_padding=[1, 0])], {"x": ("f32", [1, 2, 4, 3])}, weights={"w": drawn("f32", [2, 3, 3, 2])})


def recurrent():
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for direction in ("forward", "reverse", "bidirectional"):
            count = 2 if direction == "bidirectional" else 1
            weights = {"w": drawn("f32", [count, gates * 3, 5]), "r": drawn("f32", [count, gates * 3, 3]), "b": drawn("f32", [count, 2 * gates * 3]), "n": np.array([2, 4], np.int32)}
            for form, inputs, attributes in (("plain", "x,w,r,b", {}), ("lengths", "x,w,r,b,n", {}), ("clip", "x,w,r,b", {"clip": 0.3})):
                case(f"{op}_{direction}_{form}", [node(op, inputs, "y,h", hidden_size=3, direction=direction, **attributes)], {"x": ("f32", [4, 2, 5])}, ("y", "h"), weights)
    case("GRU_reset_first", [node("GRU", "x,w,r,b", hidden_size=3, linear_before_reset=1)], {"x": ("f32", [4, 2, 5])},
         weights={"w": drawn("f32", [1, 9, 5]), "r": drawn("f32", [1, 9, 3]), "b": drawn("f32", [1, 18])})
    for form, op, attributes in (("plain", "LpPool", {}), ("p3", "LpPool", {"p": 3, "pads": [1, 1, 1, 1]}), ("global", "GlobalLpPool", {"p": 3})):
        kernel = {"kernel_shape": [3, 2]} if op == "LpPool" else {}
        case(f"lp_pool_{form}", [node(op, "x", **kernel, **attributes)], {"x": ("f32", [1, 2, 7, 6])}, opset=18)
    for op in ("PRelu", "Mean"):
        case(f"broadcast_{op}", [node(op, "a,b")], {"a": ("f32", [2, 4, 3])}, weights={"b": drawn("f32", [4, 1])}, opset=16)
    for form, attributes in (("same", {"auto_pad": "SAME_UPPER"}), ("shape", {"output_shape": [14, 12]})):
        case(f"convtranspose_{form}", [node("ConvTranspose", "x,w", strides=[2, 2], **attributes)], {"x": ("f32", [1, 2, 7, 6])}, weights={"w": drawn("f32", [2, 3, 2, 2])})
    large = {"x": np.array([1e7, -1e7, 3e4, np.inf, -np.inf, np.nan], np.float32)}
    for op in ("HardSwish", "Selu"):
        case(f"large_{op}", [node(op, "x")], {"x": ("f32", [6])}, feeds=large, opset=16)
    case("large_LogSoftmax", [node("LogSoftmax", "x")], {"x": ("f32", [1, 4])}, feeds={"x": np.array([[1e4, 0, -1e4, 1]], np.float32)})
    case("topk_attribute", [node("TopK", "x", "y,i", k=2, axis=1)], {"x": ("f32", [2, 5])}, ("y", "i"), opset=9)
    case("reverse_sequence", [node("ReverseSequence", "x,n", time_axis=0, batch_axis=1)], {"x": ("f32", [4, 2])}, weights={"n": ints(2, 4)})


def refused():
    x = {"x": ("f32", [2, 4])}
    case("bad_perm", [node("Transpose", "x", perm=[1, 1])], x)
    case("bad_perm_short", [node("Transpose", "x", perm=[0])], x)
    case("bad_axis_softmax", [node("Softmax", "x", axis=5)], x)
    case("bad_axis_concat", [node("Concat", "x,x", axis=3)], x)
    case("bad_axis_squeeze", [node("Squeeze", "x,a")], x, weights={"a": ints(7)})
    case("bad_axis_reduce", [node("ReduceSum", "x,a")], x, weights={"a": ints(-9)})
    case("bad_axis_gather", [node("Gather", "x,a", axis=4)], x, weights={"a": ints(0)})
    case("bad_axis_argmax", [node("ArgMax", "x", axis=-7)], x)
    case("bad_topk", [node("TopK", "x,k", "y,i", axis=0)], x, ("y", "i"), {"k": ints(3)})
    case("bad_slice_step", [node("Slice", "x,s,e,a,t")], x, weights={"s": ints(0), "e": ints(2), "a": ints(0), "t": ints(0)})
    case("bad_reshape", [node("Reshape", "x,s")], x, weights={"s": ints(3, 3)})
    case("bad_conv_stride", [node("Conv", "x,w", strides=[0])], {"x": ("f32", [1, 2, 8])}, weights={"w": drawn("f32", [1, 2, 3])})
    case("bad_conv_channels", [node("Conv", "x,w")], {"x": ("f32", [1, 3, 8])}, weights={"w": drawn("f32", [1, 2, 3])})
    case("bad_pool_large", [node("MaxPool", "x", kernel_shape=[9])], {"x": ("f32", [1, 2, 4])})
    case("bad_pool_zero", [node("AveragePool", "x", kernel_shape=[0])], {"x": ("f32", [1, 2, 4])})
    case("bad_matmul", [node("MatMul", "x,w")], x, weights={"w": drawn("f32", [3, 3])})
    case("bad_expand", [node("Expand", "x,s")], x, weights={"s": ints(3, 4)})
    case("bad_split", [node("Split", "x,s", "y,z", axis=1)], x, ("y", "z"), {"s": ints(1, 1)})
    case("bad_div_zero", [node("Div", "a,b")], {"a": ("i32", [4]), "b": ("i32", [4])}, feeds={"b": np.array([1, 2, 0, 1], np.int32)})
    case("bad_d2s", [node("DepthToSpace", "x", blocksize=0)], {"x": ("f32", [1, 4, 2, 2])})
    for op, inputs, weights in (("ConstantOfShape", "k", {"k": ints(2**20, 2**20)}), ("Expand", "o,k", {"o": np.float32(1), "k": ints(2**34)}), ("Tile", "o,k", {"o": np.ones(4, np.float32), "k": ints(2**34)})):
        case(f"bad_memory_{op}", [node(op, inputs, "h"), node("ReduceSum", "h", "s", keepdims=0), node("Add", "x,s")], x, weights=weights)
    shape = [node("Concat", "s0,s0", "s1", axis=0)] + [node("Mul", f"s{i},s{i}", f"s{i + 1}") for i in range(1, 5)]
    case("bad_memory_squares", shape + [node("ConstantOfShape", "s5", "h"), node("ReduceSum", "h", "s", keepdims=0), node("Add", "x,s")], x, weights={"s0": ints(3)})


def run_ort(model, values):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, values)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--wink", default="target/release/wink")
    parser.add_argument("--only", default="")
    parser.add_argument("--tolerance", default="1e-4")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for family in (unary, binary, moving, reducing, norms, quantised, contributed, graphs, recurrent, refused):
        family()
    counts = {}
    for name, (model, values) in CASES.items():
        if args.only not in name:
            continue
        file = args.out / f"{name}.onnx"
        onnx.save(model, file)
        np.savez(file.with_suffix(".in.npz"), **values)
        try:
            expected, refusal = run_ort(model, values), None
            np.savez(file.with_suffix(".out.npz"), **expected)
        except Exception as error:  # the reference's own words, whatever they are
            expected, refusal = None, str(error).splitlines()[0]
        command = [args.wink, "check", str(file), "--inputs", str(file.with_suffix(".in.npz")), "--tolerance", args.tolerance]
        command += ["--expect", str(file.with_suffix(".out.npz"))] if expected else ["--out", str(file.with_suffix(".wink.npz"))]
        start = time.monotonic()
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        took = time.monotonic() - start
        told = (ran.stdout + ran.stderr).strip().replace("\n", " | ")
        verdict = {0: "equal", 1: "DIFFERENT", 2: "refused"}.get(ran.returncode, "CRASH")
        if expected is None:
            verdict = "refused as it should be" if ran.returncode == 2 and len(told) <= 310 else "ACCEPTED"
        elif verdict == "refused":
            verdict = "REFUSED"
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict.isupper() or took > 5:
            print(f"{name}: {verdict} {took:.1f} s: {told[:260]}" + (f" (reference: {refusal[:100]})" if refusal else ""), flush=True)
    print(counts)


if __name__ == "__main__":
    main()
