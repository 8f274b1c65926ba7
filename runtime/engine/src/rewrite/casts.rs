//! Takes out conversions that change nothing, or that only round floats to half precision and back.

use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::internal::*;

/// A cast to the type that is there already, or one back to floats from halves that were floats before.
pub(super) fn needless(model: &TypedModel, node: &TypedNode) -> Option<TypedModelPatch> {
    let op = node.op_as::<Cast>()?;
    if model.outputs.contains(&node.id.into()) {
        return None;
    }
    let datum = |outlet| model.outlet_fact(outlet).ok().map(|fact| fact.datum_type);
    let input = node.inputs[0];
    let before = model.node(input.node);
    let source = if datum(input)? == op.to {
        input
    } else if op.to == DatumType::F32
        && before.op_as::<Cast>().map(|half| half.to) == Some(DatumType::F16)
        && datum(before.inputs[0])? == DatumType::F32
    {
        before.inputs[0]
    } else {
        return None;
    };
    let mut patch = TypedModelPatch::new("a needless cast");
    let tap = patch.tap_model(model, source).ok()?;
    patch.shunt_outside(model, node.id.into(), tap).ok()?;
    Some(patch)
}
