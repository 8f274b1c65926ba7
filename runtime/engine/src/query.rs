//! Questions about a typed graph: constants, shapes, readers.

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::tract_linalg::block_quant::BlockQuantStorage;
use tract_onnx::tract_hir::internal::*;

/// How many nodes in a row are followed back to constants.
const MAX_DEPTH: usize = 256;

/// The value of an outlet that depends only on constants.
pub(crate) fn constant(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
    value_of(model, outlet, MAX_DEPTH, &mut HashMap::new())
}

/// `known` holds what was looked at already: a node may be reached in very many ways.
fn value_of(
    model: &TypedModel,
    outlet: OutletId,
    depth: usize,
    known: &mut HashMap<OutletId, Option<Arc<Tensor>>>,
) -> Option<Arc<Tensor>> {
    if let Some(value) = &model.outlet_fact(outlet).ok()?.konst {
        return Some(value.clone());
    }
    if let Some(value) = known.get(&outlet) {
        return value.clone();
    }
    let node = model.node(outlet.node);
    let value = match node.inputs.is_empty() || depth == 0 {
        true => None,
        false => {
            let inputs: Option<TVec<TValue>> = node
                .inputs
                .iter()
                .map(|input| {
                    Some(TValue::from_const(value_of(
                        model,
                        *input,
                        depth - 1,
                        known,
                    )?))
                })
                .collect();
            inputs.and_then(|inputs| {
                let outputs = node.op.eval_out_of_plan(inputs).ok()??;
                Some(outputs.get(outlet.slot)?.clone().into_arc_tensor())
            })
        }
    };
    known.insert(outlet, value.clone());
    value
}

/// Whether an outlet is a constant or made of such.
pub(crate) fn hangs_on_constants(model: &TypedModel, outlet: OutletId) -> bool {
    is_of_constants(model, outlet, MAX_DEPTH, &mut HashMap::new())
}

fn is_of_constants(
    model: &TypedModel,
    outlet: OutletId,
    depth: usize,
    known: &mut HashMap<usize, bool>,
) -> bool {
    if matches!(model.outlet_fact(outlet), Ok(fact) if fact.konst.is_some()) {
        return true;
    }
    if let Some(&is) = known.get(&outlet.node) {
        return is;
    }
    let inputs = &model.node(outlet.node).inputs;
    let is = depth > 0
        && !inputs.is_empty()
        && inputs
            .iter()
            .all(|input| is_of_constants(model, *input, depth - 1, known));
    known.insert(outlet.node, is);
    is
}

/// A constant as floats, row by row.
pub(crate) fn floats(model: &TypedModel, outlet: OutletId) -> Option<Vec<f32>> {
    with_floats(model, outlet, <[f32]>::to_vec)
}

/// What `of` makes of a constant as floats, row by row, which is not copied where it is of f32.
pub(crate) fn with_floats<R>(
    model: &TypedModel,
    outlet: OutletId,
    of: impl FnOnce(&[f32]) -> R,
) -> Option<R> {
    let value = floats_in_a_row(model, outlet)?;
    let values = value.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?;
    Some(of(values))
}

/// A constant as a tensor of f32, row by row, which is itself where it is one.
pub(crate) fn floats_in_a_row(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
    let mut value = constant(model, outlet)?;
    // 2-bit weights in blocks, as tract keeps them; those of 4 bits stay packed.
    if let Some(blocks) = value.storage_as::<BlockQuantStorage>() {
        value = Arc::new(blocks.format().dequant_f32(blocks.value()).ok()?);
    }
    if value.datum_type() != DatumType::F32 {
        value = value.cast_to::<f32>().ok()?.into_owned().into_arc_tensor();
    }
    value.is_plain_ram().then_some(value)
}

/// A constant of one value.
pub(crate) fn scalar(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    // Not to evaluate a large tensor for nothing.
    let elements = model
        .outlet_fact(outlet)
        .ok()?
        .shape
        .volume()
        .to_usize()
        .ok()?;
    (elements == 1)
        .then(|| floats(model, outlet))?
        .and_then(|values| values.first().copied())
}

/// Shape of an outlet in numbers.
pub(crate) fn shape(model: &TypedModel, outlet: OutletId) -> Option<TVec<usize>> {
    Some(model.outlet_fact(outlet).ok()?.shape.as_concrete()?.into())
}

/// The only node that reads the only output of a node; `None` where others do or the graph returns it.
pub(crate) fn only_reader(model: &TypedModel, outlet: OutletId) -> Option<&TypedNode> {
    if model.outputs.contains(&outlet) {
        return None;
    }
    let [reader] = *readers(model, outlet) else {
        return None;
    };
    let node = model.node(reader.node);
    (node.outputs.len() == 1).then_some(node)
}

pub(crate) fn readers(model: &TypedModel, outlet: OutletId) -> &[InletId] {
    &model.node(outlet.node).outputs[outlet.slot].successors
}

/// A binary operator by the name that tract gives it, and its other operand.
pub(crate) fn other_operand(node: &TypedNode, name: &str, this: OutletId) -> Option<OutletId> {
    let op = node.op_as::<TypedBinOp>()?;
    if op.0.name() != name {
        return None;
    }
    match *node.inputs {
        [a, b] if a == this && b != this => Some(b),
        [a, b] if b == this && a != this => Some(a),
        _ => None,
    }
}

/// Whether a node changes the shape only and leaves the last axis as it is.
pub(crate) fn keeps_rows(model: &TypedModel, node: &TypedNode) -> bool {
    let Some(op) = node.op_as::<AxisOp>() else {
        return false;
    };
    let last = |outlet| shape(model, outlet).and_then(|shape| shape.last().copied());
    !matches!(op, AxisOp::Move(..))
        && last(node.inputs[0]).is_some()
        && last(node.inputs[0]) == last(node.id.into())
}

/// Walks back over ops that change the shape only and keep the last axis.
pub(crate) fn before_reshapes(model: &TypedModel, mut outlet: OutletId) -> OutletId {
    while keeps_rows(model, model.node(outlet.node)) {
        outlet = model.node(outlet.node).inputs[0];
    }
    outlet
}
