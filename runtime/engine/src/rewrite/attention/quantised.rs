//! Pairs of a quantisation and its reverse inside an attention, which are left out: its arithmetic is in floats.

use tract_onnx::tract_hir::internal::*;

use crate::ops::Quantise;
use crate::query::only_reader;
use crate::rewrite::pattern::{dequantise_format, quantise_format};

/// The outlet before a pair of `Quantise` and `Dequantise`, or the same.
pub(super) fn before_quantisation(model: &TypedModel, outlet: OutletId) -> OutletId {
    let back = model.node(outlet.node);
    let Some(format) = dequantise_format(model, back) else {
        return outlet;
    };
    let there = model.node(back.inputs[0].node);
    match there.op_as::<Quantise>().and_then(quantise_format) {
        Some(found) if found == format => there.inputs[0],
        _ => outlet,
    }
}

/// The outlet behind a pair of `Quantise` and `Dequantise` that nobody else reads, or the same.
pub(super) fn behind_quantisation(model: &TypedModel, outlet: OutletId) -> OutletId {
    let pair = || {
        let there = only_reader(model, outlet)?;
        let format = quantise_format(there.op_as::<Quantise>()?)?;
        let back = only_reader(model, there.id.into())?;
        (dequantise_format(model, back)? == format).then(|| OutletId::from(back.id))
    };
    pair().unwrap_or(outlet)
}
