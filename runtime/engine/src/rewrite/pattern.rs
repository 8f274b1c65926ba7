//! Formats of the 8-bit tensors around quantising nodes.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::Quantisation;

use crate::ops::{Dequantise, Format, Quantise};
use crate::query::constant;

/// Format of the 8-bit tensor that a per-tensor `Quantise` writes.
pub(super) fn quantise_format(op: &Quantise) -> Option<Format> {
    if op.params.per_axis() {
        return None;
    }
    let q = op.params.quantisation(0, op.unsigned);
    Some(if op.unsigned {
        Format::Unsigned(q)
    } else {
        Format::Signed(q)
    })
}

/// Format of the 8-bit tensor that a per-tensor `Dequantise` reads.
pub(super) fn dequantise_format(model: &TypedModel, node: &TypedNode) -> Option<Format> {
    let op = node.op_as::<Dequantise>()?;
    if op.params.per_axis() {
        return None;
    }
    match model.outlet_fact(node.inputs[0]).ok()?.datum_type {
        DatumType::U8 => Some(Format::Unsigned(op.params.quantisation(0, true))),
        DatumType::I8 => Some(Format::Signed(op.params.quantisation(0, false))),
        _ => None,
    }
}

/// The 8-bit tensor that an outlet is dequantised from, and how.
pub(super) fn quantised_source(model: &TypedModel, outlet: OutletId) -> Option<(OutletId, Format)> {
    let node = model.node(outlet.node);
    let format = dequantise_format(model, node)?;
    let source = node.inputs[0];
    constant(model, source)
        .is_none()
        .then_some((source, format))
}

/// The quantisation of an 8-bit format.
pub(super) fn quantisation(format: Format) -> Option<Quantisation> {
    match format {
        Format::Float => None,
        Format::Signed(q) | Format::Unsigned(q) => Some(q),
    }
}
