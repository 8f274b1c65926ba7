"""What the exporter leaves in a graph that says nothing: constants as nodes, copies of weights, shapes that are known."""

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

# Elements of a tensor that is computed here: shapes and indices, no weights.
SMALL = 64


def tidy(model):
    """Constants and shapes become initializers, equal small ones become one, copies go. The numbers stay."""
    graph = model.graph
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    shapes = known_shapes(model)
    outputs = {value.name for value in graph.output}
    replaced, small, kept = {}, {}, []

    def add(name, tensor):
        """An initializer of this name, or an equal one in its place."""
        tensor.name = name
        key = content(tensor)
        if key in small and name not in outputs:
            replaced[name] = small[key]
        else:
            small.setdefault(key, name)
            initializers[name] = tensor

    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = replaced.get(name, name)
        output = node.output[0]
        if node.op_type == "Constant":
            held = node.attribute[0]
            tensor = held.t if held.name == "value" else numpy_helper.from_array(np.asarray(onnx.helper.get_attribute_value(held)))
            add(output, onnx.TensorProto.FromString(tensor.SerializeToString()))
        elif node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
            add(output, numpy_helper.from_array(np.array(shapes[node.input[0]], np.int64)))
        elif len(node.output) == 1 and node.input and all(is_small(initializers.get(name)) for name in node.input) and output not in outputs:
            add(output, numpy_helper.from_array(computed(node, initializers)))
        elif node.op_type == "Identity" and node.input[0] in initializers and output not in outputs:
            replaced[output] = node.input[0]
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input} | outputs
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensor for name, tensor in initializers.items() if name in used)
    return model


def is_small(tensor):
    """Whether a tensor is a known one of few elements."""
    return tensor is not None and np.prod(tensor.dims, dtype=np.int64) <= SMALL and tensor.data_location != onnx.TensorProto.EXTERNAL


def computed(node, initializers):
    """The output of a node whose inputs are known."""
    values = {name: numpy_helper.to_array(initializers[name]) for name in node.input}
    given = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for name, value in values.items()]
    made = onnx.helper.make_empty_tensor_value_info(node.output[0])
    graph = onnx.helper.make_graph([node], "constant", given, [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    return np.asarray(ReferenceEvaluator(model).run(None, values)[0])


def content(tensor):
    """What makes two small tensors the same."""
    copy = onnx.TensorProto.FromString(tensor.SerializeToString())
    copy.name = ""
    return copy.SerializeToString(deterministic=True)


def known_shapes(model):
    """Shapes without an open axis, by tensor."""
    inferred = onnx.shape_inference.infer_shapes(without_weights(model), data_prop=True)
    shapes = {}
    for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = [dim.dim_value for dim in dims]
    return shapes


def without_weights(model):
    """The graph with large initializers as inputs, so that inference copies no weights."""
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = model.graph.name
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims, dtype=np.int64) <= 16:
            bare.graph.initializer.append(tensor)
        else:
            bare.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return bare
