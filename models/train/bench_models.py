"""Graphs for `wink bench`: ViT-style VLAs of 10 M and 100 M parameters with random weights, in f32 and in ONNX Runtime's int8 and int4.

    python bench_models.py --out DIR [--models vla10m vla100m vla100m-1token]      # MODEL.{f32,int8,int8-dynamic,w4}.onnx each

A picture in patches and an instruction in tokens, 256 together, pass an encoder whose mean becomes 16 actions of 7. `-1token` is
what decoding one more token of the large one costs: its products with one row (a cache of keys is left out: it is the same for
all precisions). `int8` is static, QDQ, u8 activations and s8 weights per channel; `int8-dynamic` quantises activations on the fly; `w4` has
4-bit weights in blocks of 32 and float activations (`MatMulNBits`).
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

VOCABULARY, SIDE, PATCH, TEXT, ACTIONS = 512, 224, 16, 60, (16, 7)

# name: width, layers, heads, tokens as input (otherwise a picture and an instruction)
MODELS = {
    "tiny": (48, 1, 2, False),
    "vla10m": (288, 10, 6, False),
    "vla100m": (768, 14, 12, False),
    "vla100m-1token": (768, 14, 12, True),
}


class Builder:
    """Nodes and weights of a graph that is being written."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def constant(self, values, name="c"):
        self.count += 1
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"{name}_{self.count}"))
        return self.weights[-1].name

    def random(self, *shape, name="w"):
        scale = np.sqrt(1 / np.prod(shape[:-1])) if len(shape) == 2 else 0.02
        return self.constant(self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale), name)

    def node(self, op, *inputs, **attributes):
        self.count += 1
        out = f"{op.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=f"/{op}_{self.count}", **attributes))
        return out

    def linear(self, x, rows, columns):
        return self.node("Add", self.node("MatMul", x, self.random(rows, columns)), self.random(columns, name="b"))

    def norm(self, x, width):
        gain, bias = self.constant(np.ones(width, np.float32)), self.constant(np.zeros(width, np.float32))
        return self.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-5)

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.constant(np.float32(np.sqrt(2)))))
        whole = self.node("Mul", x, self.node("Add", erf, self.constant(np.float32(1))))
        return self.node("Mul", whole, self.constant(np.float32(0.5)))

    def attention(self, x, width, heads, tokens):
        shape = self.constant(np.array([1, tokens, heads, width // heads], np.int64))
        split = lambda perm: self.node("Transpose", self.node("Reshape", self.linear(x, width, width), shape), perm=perm)
        q, k, v = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
        scores = self.node("Mul", self.node("MatMul", q, k), self.constant(np.float32((width // heads) ** -0.5)))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        merged = self.node("Reshape", self.node("Transpose", mixed, perm=[0, 2, 1, 3]), self.constant(np.array([1, tokens, width], np.int64)))
        return self.linear(merged, width, width)

    def block(self, x, width, heads, tokens):
        x = self.node("Add", x, self.attention(self.norm(x, width), width, heads, tokens))
        up = self.gelu(self.linear(self.norm(x, width), width, 4 * width))
        return self.node("Add", x, self.linear(up, 4 * width, width))


def model(name):
    width, layers, heads, one_token = MODELS[name]
    b = Builder(seed=0)
    if one_token:
        tokens = 1
        inputs = [helper.make_tensor_value_info("token", TensorProto.FLOAT, [1, 1, width])]
        x = "token"
    else:
        patches = (SIDE // PATCH) ** 2
        tokens = patches + TEXT
        inputs = [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE]),
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, TEXT]),
        ]
        kernel, bias = b.random(width, 3, PATCH, PATCH), b.random(width, name="b")
        picture = b.node("Conv", "image", kernel, bias, kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
        picture = b.node("Reshape", picture, b.constant(np.array([1, width, patches], np.int64)))
        picture = b.node("Transpose", picture, perm=[0, 2, 1])
        words = b.node("Gather", b.random(VOCABULARY, width), "tokens", axis=0)
        x = b.node("Add", b.node("Concat", picture, words, axis=1), b.constant(b.rng.standard_normal((1, tokens, width), dtype=np.float32)))
    for _ in range(layers):
        x = b.block(x, width, heads, tokens)
    x = b.node("ReduceMean", b.norm(x, width), axes=[1], keepdims=0)
    flat = b.linear(x, width, ACTIONS[0] * ACTIONS[1])
    b.nodes.append(helper.make_node("Reshape", [flat, b.constant(np.array([1, *ACTIONS], np.int64))], ["action"], name="/action"))
    outputs = [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, *ACTIONS])]
    graph = helper.make_graph(b.nodes, name, inputs, outputs, b.weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="bench_models.py")
    return onnx.shape_inference.infer_shapes(made)


class Samples(CalibrationDataReader):
    """Seeded inputs for calibration."""

    def __init__(self, graph, count=4):
        rng = np.random.default_rng(1)
        self.left = iter([{i.name: self.draw(rng, i.type.tensor_type) for i in graph.input} for _ in range(count)])

    @staticmethod
    def draw(rng, kind):
        shape = [d.dim_value for d in kind.shape.dim]
        return rng.integers(0, 16, shape) if kind.elem_type == TensorProto.INT64 else rng.uniform(-1, 1, shape).astype(np.float32)

    def get_next(self):
        return next(self.left, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=[name for name in MODELS if name != "tiny"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        made = model(name)
        files = {precision: args.out / f"{name}.{precision}.onnx" for precision in ("f32", "int8", "int8-dynamic", "w4")}
        onnx.save(made, files["f32"])
        options = {"per_channel": True, "weight_type": QuantType.QInt8}
        quantize_dynamic(files["f32"], files["int8-dynamic"], op_types_to_quantize=["MatMul"], **options)
        fours = MatMulNBitsQuantizer(onnx.load(files["f32"]), block_size=32, is_symmetric=True)
        fours.process()
        onnx.save(fours.model.model, files["w4"])
        with tempfile.TemporaryDirectory() as scratch:
            whole = Path(scratch) / "f32.onnx"
            onnx.save(made, whole)
            quantize_static(whole, files["int8"], Samples(made.graph), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                            op_types_to_quantize=["MatMul", "Conv"], **options)
        count = sum(int(np.prod(w.dims)) for w in made.graph.initializer)
        sizes = ", ".join(f"{precision} {file.stat().st_size / 1e6:.1f} MB" for precision, file in files.items())
        print(f"{name}: {count / 1e6:.1f} M parameters; {sizes}")


if __name__ == "__main__":
    main()
