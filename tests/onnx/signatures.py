#!/usr/bin/env python3
"""Writes runtime/engine/src/import/signatures.txt: what the ONNX standard allows each operator, version by version.

    pip install onnx onnxruntime
    python signatures.py

The operators of com.microsoft that the engine expands, and those that ONNX Runtime adds to the standard's domain, come from ONNX Runtime, whose
schemas are their only definition.
"""
import pathlib

import onnx
import onnxruntime.capi.onnxruntime_pybind11_state as runtime

NEWEST = 26
OWN = """Attention BiasGelu BiasSoftmax DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul Gelu GemmFloat8
    GroupQueryAttention MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention QAttention QGemm QLinearAdd QLinearAveragePool
    QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuickGelu
    QuantizeLinear DequantizeLinear RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization SimplifiedLayerNormalization
    TransposeMatMul Trilu Pad""".split()
NAMES = {
    "bool": "bool", "int4": "i4", "uint4": "u4", "int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32",
    "int64": "i64", "uint64": "u64", "float8e4m3fn": "f8e4m3fn", "float8e4m3fnuz": "f8e4m3fnuz", "float8e5m2": "f8e5m2",
    "float8e5m2fnuz": "f8e5m2fnuz", "float16": "f16", "bfloat16": "bf16", "float": "f32", "double": "f64",
}
KINDS = {"FLOAT": "float", "INT": "int", "STRING": "text", "TENSOR": "tensor", "GRAPH": "graph", "FLOATS": "floats", "INTS": "ints", "STRINGS": "texts"}


def tensor_types(allowed):
    """The allowed tensors, in the order of NAMES; `other` stands for strings, sequences and whatever else cannot be computed with."""
    inner = [text[len("tensor("):-1] if text.startswith("tensor(") else "" for text in allowed]
    names = [short for name, short in NAMES.items() if name in inner]
    return names + (["other"] if any(name not in NAMES for name in inner) else [])


class Sets:
    """Sets of types, each with a number."""

    def __init__(self):
        self.numbers = {}

    def number(self, allowed):
        return self.numbers.setdefault(" ".join(tensor_types(allowed)), len(self.numbers))


def places(formal, constraints, sets):
    """Each input or output as NAME of its type and how often it may come: once, `?` at most once, `*` many of one type, `~` many of any."""
    words = []
    for place in formal:
        text = getattr(place, "type_str", None) or place.typeStr
        name = text if text in constraints else "=" + str(sets.number([text]))
        option = place.option.value if hasattr(place.option, "value") else int(place.option)
        homogeneous = getattr(place, "is_homogeneous", getattr(place, "isHomogeneous", True))
        words.append(name + ("", "?", "*" if homogeneous else "~")[option])
    return " ".join(words)


def row(schema, sets, domain=""):
    constraints = {}
    for constraint in schema.type_constraints:
        name = getattr(constraint, "type_param_str")
        constraints[name] = sets.number(constraint.allowed_type_strs)
    words = [f"{domain}{schema.name} {schema.since_version}", places(schema.inputs, constraints, sets), places(schema.outputs, constraints, sets)]
    words.append(" ".join(f"{name}={number}" for name, number in constraints.items()))
    attributes = []
    for name, attribute in sorted(schema.attributes.items()):
        kind = str(attribute.type).rsplit(".", 1)[-1].upper()
        if kind in KINDS:
            attributes.append(f"{name}:{KINDS[kind]}{'!' if attribute.required else ''}")
        else:
            attributes.append(f"{name}:other")
    words.append(" ".join(attributes))
    # GroupNormalization of set 18 is deprecated for its meaning, and runtimes still give it that.
    gone = schema.deprecated and schema.name != "GroupNormalization"
    least = f"{schema.min_input} {schema.min_output}" + (" deprecated" if gone else "")
    return " | ".join(words + [least])


def main():
    sets, rows = Sets(), []
    schemas = [schema for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == "" and schema.since_version <= NEWEST]
    known = {(schema.name, schema.since_version) for schema in schemas}
    # Operators of the standard whose first version is newer than the one that the runtime has of its own.
    early = ("LayerNormalization", "SimplifiedLayerNormalization", "ThresholdedRelu", "MeanVarianceNormalization")
    for schema in runtime.get_all_operator_schema():
        if schema.domain == "" and schema.name in early and (schema.name, schema.since_version) not in known:
            schemas.append(schema)
    for schema in sorted(schemas, key=lambda schema: (schema.name, schema.since_version)):
        rows.append(row(schema, sets))
    for schema in sorted(runtime.get_all_operator_schema(), key=lambda schema: (schema.name, schema.since_version)):
        if schema.domain == "com.microsoft" and schema.name in OWN:
            rows.append(row(schema, sets, "com.microsoft."))
    file = pathlib.Path(__file__).parents[2] / "runtime/engine/src/import/signatures.txt"
    lines = ["# Made by tests/onnx/signatures.py. Sets of element types by number, then a row for each version of an operator:",
             "# name version | types of inputs | types of outputs | set of each type | attributes | least number of inputs and outputs"]
    lines += [f"{number}: {types}" for types, number in sets.numbers.items()]
    file.write_text("\n".join(lines + rows) + "\n")


if __name__ == "__main__":
    main()
