//! Scaled dot-product attention: two products with a softmax between them, and what moves heads before and after.
//!
//! Keys and values may have fewer heads than queries (grouped queries, repeated by Expand, Tile or Gather), heads may lie in any
//! regular layout, and scores may be masked by Add or by Where.

mod quantised;
mod roles;
mod scores;
mod side;

use tract_onnx::tract_core::ops::nn::Softmax;
use tract_onnx::tract_hir::internal::*;

use quantised::behind_quantisation;
use roles::{Operand, roles_of_mixing, roles_of_scores};
use scores::{Scores, mask_fits, weights};
use side::{Side, merged};

use super::products::{Rewrite, words};
use crate::ops::{Attention, MaskKind};
use crate::query::{only_reader, shape};

/// Keys and values may be read at other places: one before, one after heads were repeated. Both from where there are fewer heads,
/// or else more, where that can be.
fn of_as_many_heads(
    model: &TypedModel,
    [key, value]: [&Operand; 2],
    k: Side,
    v: Side,
) -> (Side, Side) {
    let heads = [k.shared_heads, v.shared_heads];
    if heads[0] == heads[1] {
        return (k, v);
    }
    let (fewer, more) = (heads[0].min(heads[1]), heads[0].max(heads[1]));
    for wanted in [fewer, more] {
        let other = |has: usize, operand: &Operand| match has == wanted {
            true => None,
            false => Side::behind(model, operand, Some(wanted)),
        };
        match (other(heads[0], key), other(heads[1], value)) {
            (Some(k), None) => return (k, v),
            (None, Some(v)) => return (k, v),
            _ => {}
        }
    }
    (k, v)
}

/// Finds the attention around a softmax. Quantisations inside are dropped: its arithmetic is in floats.
pub(super) fn attention(model: &TypedModel, node: &TypedNode, op: &Softmax) -> Rewrite {
    let strange = "a softmax that is no attention's";
    let rank = shape(model, node.id.into()).ok_or("open shapes")?.len();
    if *op.axes != [rank - 1] || op.quant_output_dt.is_some() {
        return Err(strange.into());
    }
    let scores = Scores::before(model, node.inputs[0]).ok_or(strange)?;
    let product = model.node(scores.product.node);
    let [query, key, out] = roles_of_scores(model, product).ok_or("scores of unexpected axes")?;
    let (weights, zero_for_nan) = weights(model, node.id.into());
    let weights = behind_quantisation(model, weights);
    let mixing = only_reader(model, weights).ok_or("attention weights that others read")?;
    let [value, mixed] =
        roles_of_mixing(model, mixing, weights, &out).ok_or("mixing of unexpected axes")?;
    let [q, k, v] = [&query, &key, &value]
        .map(|operand| Side::behind(model, operand, None))
        .map(|side| side.ok_or("heads whose values do not lie together"));
    let (q, k, v) = (q?, k?, v?);
    let (k, v) = of_as_many_heads(model, [&key, &value], k, v);
    if v.scale != 1.0 || k.sizes != v.sizes || q.sizes[1..] != k.sizes[1..] {
        return Err("queries, keys and values of different sizes".into());
    }
    let [queries, heads, width] = q.sizes;
    if [&key, &value, &mixed]
        .iter()
        .any(|side| side.batches != query.batches)
    {
        return Err("a batch that not all of queries, keys and values have".into());
    }
    if q.shared_heads != heads || k.shared_heads != v.shared_heads {
        return Err("keys and values that are shared by different heads".into());
    }
    if let Some(mask) = scores.mask {
        let of_mask = shape(model, mask.outlet).ok_or("open shapes")?;
        let of_scores = shape(model, out.outlet).ok_or("open shapes")?;
        let datum = model.outlet_fact(mask.outlet).map_err(words)?.datum_type;
        let wanted = match mask.kind {
            MaskKind::Added => DatumType::F32,
            MaskKind::Kept { .. } => DatumType::Bool,
        };
        if datum != wanted || !mask_fits(&of_mask, &out, &of_scores) {
            return Err(format!(
                "a mask {of_mask:?} of {datum:?} for scores {of_scores:?}"
            ));
        }
    }
    let (outlet, format) =
        merged(model, &mixed).ok_or("heads that are not put side by side again")?;
    let op = Attention {
        heads,
        shared_heads: k.shared_heads,
        width,
        queries,
        keys: k.sizes[0],
        layouts: [q.layout, k.layout, v.layout],
        batches: query.batches,
        batch_steps: [q.batch_step, k.batch_step, v.batch_step],
        scale: scores.scale * q.scale * k.scale,
        mask: scores.mask.map(|mask| mask.kind),
        zero_for_nan,
        inputs: [q.format, k.format, v.format],
        output: format,
        shape: shape(model, outlet).ok_or("open shapes")?,
    };
    let mut patch = TypedModelPatch::new("an attention");
    let mask = scores.mask.map(|mask| mask.outlet);
    let outlets = [Some(q.outlet), Some(k.outlet), Some(v.outlet), mask];
    let taps: TractResult<TVec<OutletId>> = outlets
        .into_iter()
        .flatten()
        .map(|outlet| patch.tap_model(model, outlet))
        .collect();
    let name = format!("{}.attention", node.name);
    let wire = patch
        .wire_node(name, op, &taps.map_err(words)?)
        .map_err(words)?;
    patch.shunt_outside(model, outlet, wire[0]).map_err(words)?;
    Ok(patch)
}
