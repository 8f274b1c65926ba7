//! Takes out what the other rewrites leave behind: equal nodes, and axes moved there and back.

use tract_onnx::tract_core::ops::identity::Identity;
use tract_onnx::tract_hir::internal::*;

use crate::ops::{Dequantise, Quantise};
use crate::query::shape;
use crate::strided::Strided;

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

/// A node that only gives its input another name; exporters leave them between the parts of a pattern.
pub(super) fn identity(model: &TypedModel, node: &TypedNode) -> Option<TypedModelPatch> {
    if !node.op_is::<Identity>() || model.outputs.contains(&node.id.into()) {
        return None;
    }
    let mut patch = TypedModelPatch::new("an identity");
    let tap = patch.tap_model(model, *node.inputs.first()?).ok()?;
    patch.shunt_outside(model, node.id.into(), tap).ok()?;
    Some(patch)
}

/// Axes that are moved there and back, with reshapes and per-tensor quantisations on the way, become one reshape: a picture's
/// channels that go last, then first for the graph, then last again as tokens.
pub(super) fn there_and_back(model: &TypedModel, node: &TypedNode) -> Option<TypedModelPatch> {
    if !matches!(node.op_as(), Some(AxisOp::Move(..))) || model.outputs.contains(&node.id.into()) {
        return None;
    }
    let (mut axis_ops, mut others) = (vec![], vec![]);
    let (mut outlet, mut found) = (OutletId::from(node.id), None);
    loop {
        let node = model.node(outlet.node);
        if let Some(op) = node.op_as::<AxisOp>() {
            axis_ops.push(op);
        } else if per_tensor(node) {
            others.push(node);
        } else {
            break;
        }
        outlet = node.inputs[0];
        if node.op_is::<AxisOp>() && in_order(&shape(model, outlet)?, &axis_ops) {
            found = Some((outlet, others.len()));
        }
    }
    let (source, count) = found?;
    let mut patch = TypedModelPatch::new("axes moved there and back");
    let mut wire = patch.tap_model(model, source).ok()?;
    let (from, to) = (shape(model, source)?, shape(model, node.id.into())?);
    if from != to {
        let dims = |shape: TVec<usize>| shape.into_iter().map(|dim| dim.to_dim()).collect();
        let reshape = AxisOp::Reshape(0, dims(from), dims(to));
        let name = format!("{}.in_order", node.name);
        wire = patch.wire_node(name, reshape, &[wire]).ok()?[0];
    }
    for other in others[..count].iter().rev() {
        let name = format!("{}.in_order", other.name);
        wire = patch.wire_node(name, other.op.clone(), &[wire]).ok()?[0];
    }
    patch.shunt_outside(model, node.id.into(), wire).ok()?;
    Some(patch)
}

fn per_tensor(node: &TypedNode) -> bool {
    let quantise = node.op_as::<Quantise>().map(|op| &op.params);
    let params = quantise.or_else(|| Some(&node.op_as::<Dequantise>()?.params));
    params.is_some_and(|params| !params.per_axis())
}

/// Whether these ops, the last one first, leave the elements of a tensor in their order.
fn in_order(shape: &[usize], ops: &[&AxisOp]) -> bool {
    let mut ops = ops.iter().rev();
    let view = ops.try_fold(Strided::of(shape), |view, op| view.behind(op));
    view.is_some_and(|view| view.is_in_order())
}
