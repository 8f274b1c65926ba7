//! A layer normalisation writes 8 bits where all that reads it would quantise it anyway.

use tract_onnx::tract_hir::internal::*;

use super::pattern::quantise_format;
use crate::ops::{Format, LayerNorm, Quantise};
use crate::query::{keeps_rows, only_reader};

/// A norm whose only reader, reshapes aside, quantises it.
pub(super) fn quantised(
    model: &TypedModel,
    node: &TypedNode,
    op: &LayerNorm,
) -> Option<TypedModelPatch> {
    let mut reshapes = vec![];
    let mut reader = only_reader(model, node.id.into())?;
    while keeps_rows(model, reader) {
        reshapes.push(reader);
        reader = only_reader(model, reader.id.into())?;
    }
    let format = quantise_format(reader.op_as::<Quantise>()?)?;
    if op.output != Format::Float {
        return None;
    }
    let mut patch = TypedModelPatch::new("a norm that quantises");
    let mut wire = tvec![patch.tap_model(model, node.inputs[0]).ok()?];
    let op = LayerNorm {
        output: format,
        ..op.clone()
    };
    wire = patch
        .wire_node(format!("{}.fused", node.name), op, &wire)
        .ok()?;
    for reshape in reshapes {
        let name = format!("{}.8bit", reshape.name);
        wire = patch.wire_node(name, reshape.op.clone(), &wire).ok()?;
    }
    patch.shunt_outside(model, reader.id.into(), wire[0]).ok()?;
    Some(patch)
}
