//! Takes out what the other rewrites leave behind: equal nodes, and axes moved there and back.

use tract_onnx::tract_hir::internal::*;

use super::qdq::{Dequantise, Quantise};

/// One of two equal quantisations or reshapes of the same tensor takes the other's readers.
pub(super) fn duplicate(model: &TypedModel, node: &TypedNode) -> Option<TypedModelPatch> {
    let cheap = node.op_is::<Quantise>() || node.op_is::<Dequantise>() || node.op_is::<AxisOp>();
    if !cheap || model.outputs.contains(&node.id.into()) {
        return None;
    }
    let source = model.node(node.inputs.first()?.node);
    let twins = source.outputs.get(node.inputs[0].slot)?.successors.iter();
    let twin = twins
        .map(|twin| model.node(twin.node))
        .find(|twin| twin.id < node.id && twin.same_as(node))?;
    let mut patch = TypedModelPatch::new("a duplicate");
    let tap = patch.tap_model(model, twin.id.into()).ok()?;
    patch.shunt_outside(model, node.id.into(), tap).ok()?;
    Some(patch)
}

/// `Move(a, b)` after `Move(b, a)`.
pub(super) fn there_and_back(model: &TypedModel, node: &TypedNode) -> Option<TypedModelPatch> {
    let Some(AxisOp::Move(from, to)) = node.op_as::<AxisOp>() else {
        return None;
    };
    let before = model.node(node.inputs[0].node);
    if before.op_as::<AxisOp>() != Some(&AxisOp::Move(*to, *from))
        || model.outputs.contains(&node.id.into())
    {
        return None;
    }
    let mut patch = TypedModelPatch::new("axes moved there and back");
    let tap = patch.tap_model(model, before.inputs[0]).ok()?;
    patch.shunt_outside(model, node.id.into(), tap).ok()?;
    Some(patch)
}
