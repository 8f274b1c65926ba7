//! GELU as exporters and tract spell it, back to one function.

use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::Activation;

use crate::query::{only_reader, other_operand, readers, scalar};

/// If all that reads `x` is a GELU of it: which one, and its outlet.
///
/// `x/sqrt2 -> erf -> +1`, and in any order the products with `x` and with 1/2: `(x * g) * 0.5` or `(0.5 x) * g`.
pub(super) fn match_gelu(model: &TypedModel, x: OutletId) -> Option<(Activation, OutletId)> {
    if model.outputs.contains(&x) {
        return None;
    }
    let [first, second] = *readers(model, x) else {
        return None;
    };
    [(first, second), (second, first)]
        .into_iter()
        .find_map(|(inner, outer)| gelu_of(model, x, inner.node, outer.node))
        .map(|outlet| (Activation::Gelu, outlet))
}

fn gelu_of(model: &TypedModel, x: OutletId, inner: usize, outer: usize) -> Option<OutletId> {
    let near = |value: f32, wanted: f32| (value - wanted).abs() < 1e-4;
    let node = model.node(inner);
    let scaled = if let Some(by) = other_operand(node, "Mul", x) {
        near(scalar(model, by)?, std::f32::consts::FRAC_1_SQRT_2)
    } else {
        near(
            scalar(model, other_operand(node, "Div", x)?)?,
            std::f32::consts::SQRT_2,
        )
    };
    scaled.then_some(())?;
    let erf = only_reader(model, inner.into())?;
    (erf.op_as::<ElementWiseOp>()?.0.name() == "Erf").then_some(())?;
    let plus = only_reader(model, erf.id.into())?;
    near(
        scalar(model, other_operand(plus, "Add", erf.id.into())?)?,
        1.0,
    )
    .then_some(())?;
    let gate = OutletId::from(plus.id);
    let half = |node: &TypedNode, this: OutletId| -> Option<()> {
        near(scalar(model, other_operand(node, "Mul", this)?)?, 0.5).then_some(())
    };
    let outer_node = model.node(outer);
    if other_operand(outer_node, "Mul", x) == Some(gate) {
        let last = only_reader(model, outer.into())?;
        half(last, outer.into())?;
        return Some(last.id.into());
    }
    half(outer_node, x)?;
    let last = only_reader(model, outer.into())?;
    (other_operand(last, "Mul", outer.into()) == Some(gate) && readers(model, gate).len() == 1)
        .then(|| last.id.into())
}
