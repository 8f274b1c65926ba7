"""Modules to ONNX files: the TorchScript exporter at opset 17, static shapes, no control flow."""

import os
import warnings
from pathlib import Path

import onnx
import torch

from .refusal import Refusal
from .tidy import tidy

OPSET = 17
# Protobuf ends at 2 GiB.
LARGEST_FILE = 1_800_000_000
CONTROL_FLOW = {"Loop", "If", "Scan", "SequenceConstruct", "SequenceAt", "SplitToSequence", "ConcatFromSequence"}


def export(module, inputs, outputs, path):
    """Writes a module as ONNX; gives the names of the files that were written and the number of nodes. `inputs` by tensor name, in the module's order."""
    path = Path(path)
    weights = sum(value.numel() * value.element_size() for value in (*module.parameters(), *module.buffers()))
    before = set(os.listdir(path.parent))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )
    written = {path.name}
    if weights > LARGEST_FILE:
        written |= join_external(path, before)
    model = tidy(onnx.load(path, load_external_data=False))
    onnx.save(model, path)
    control = sorted({node.op_type for node in model.graph.node} & CONTROL_FLOW)
    if control:
        raise Refusal(f"{path.name}: the exporter made {control[0]} of Python control flow")
    unused = set(inputs) - {tensor.name for tensor in model.graph.input}
    if unused:
        raise Refusal(f"{path.name}: the graph does not read {sorted(unused)[0]}")
    return sorted(written), len(model.graph.node)


def join_external(path, before):
    """The exporter writes a file for each weight of a large graph: joins them to one."""
    model = onnx.load(path)
    for name in set(os.listdir(path.parent)) - before - {path.name}:
        (path.parent / name).unlink()
    data = path.name + ".data"
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data, size_threshold=1024)
    return {data}
