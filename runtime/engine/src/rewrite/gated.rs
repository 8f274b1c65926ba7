//! GELU and SiLU as exporters and tract spell them, back to one function.

use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::Activation;

use crate::query::{only_reader, other_operand, readers, scalar};

/// If all that reads `x` is one of these functions of it: which one, and its outlet.
pub(super) fn match_gated(model: &TypedModel, x: OutletId) -> Option<(Activation, OutletId)> {
    match_gelu(model, x).or_else(|| Some((Activation::Silu, match_silu(model, x)?)))
}

/// GELU.
///
/// The gate `g` is `x/sqrt2 -> erf -> +1` or `sqrt(2/pi) (x + 0.044715 x^3) -> tanh -> +1`; then come in any order the products with
/// `x` and with 1/2: `(x * g) * 0.5` or `(0.5 x) * g`.
fn match_gelu(model: &TypedModel, x: OutletId) -> Option<(Activation, OutletId)> {
    if model.outputs.contains(&x) {
        return None;
    }
    let [first, second] = *readers(model, x) else {
        return match_gelu_tanh(model, x);
    };
    [(first, second), (second, first)]
        .into_iter()
        .find_map(|(inner, outer)| gelu_of(model, x, inner.node, outer.node))
        .map(|outlet| (Activation::Gelu, outlet))
}

/// `x sigmoid(x)`.
fn match_silu(model: &TypedModel, x: OutletId) -> Option<OutletId> {
    if model.outputs.contains(&x) {
        return None;
    }
    let named = |node: &TypedNode, name: &str| {
        node.op_as::<ElementWiseOp>()
            .is_some_and(|op| op.0.name() == name)
    };
    let [first, second] = *readers(model, x) else {
        let only = only_reader(model, x)?;
        return named(only, "Silu").then(|| only.id.into());
    };
    [(first, second), (second, first)]
        .into_iter()
        .find_map(|(inner, outer)| {
            let gate = OutletId::from(inner.node);
            let fits = named(model.node(inner.node), "Sigmoid")
                && other_operand(model.node(outer.node), "Mul", x) == Some(gate)
                && readers(model, gate).len() == 1
                && !model.outputs.contains(&gate);
            fits.then(|| outer.node.into())
        })
}

fn gelu_of(model: &TypedModel, x: OutletId, inner: usize, outer: usize) -> Option<OutletId> {
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
    gated(model, x, plus.id.into(), outer)
}

fn near(value: f32, wanted: f32) -> bool {
    (value - wanted).abs() < 1e-4
}

/// The product of `x`, which node `outer` reads, with a gate that nothing else reads and with 1/2.
fn gated(model: &TypedModel, x: OutletId, gate: OutletId, outer: usize) -> Option<OutletId> {
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

fn match_gelu_tanh(model: &TypedModel, x: OutletId) -> Option<(Activation, OutletId)> {
    let all: Vec<usize> = readers(model, x).iter().map(|reader| reader.node).collect();
    all.iter().copied().find_map(|outer| {
        let gate = gate_beside(model, x, outer)?;
        let inside = nodes_of_tanh_gate(model, x, gate)?;
        let within = |node: &usize| *node == outer || inside.contains(node);
        all.iter().all(within).then_some(())?;
        Some((Activation::GeluTanh, gated(model, x, gate, outer)?))
    })
}

/// What `x`, or half of it, is multiplied by.
fn gate_beside(model: &TypedModel, x: OutletId, outer: usize) -> Option<OutletId> {
    let other = other_operand(model.node(outer), "Mul", x)?;
    if scalar(model, other).is_none() {
        return Some(other);
    }
    let half = OutletId::from(outer);
    other_operand(only_reader(model, half)?, "Mul", half)
}

/// The nodes that read `x` on the way to the gate `1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))`, none of which others read.
fn nodes_of_tanh_gate(model: &TypedModel, x: OutletId, gate: OutletId) -> Option<Vec<usize>> {
    let alone = |outlet: OutletId| {
        (readers(model, outlet).len() == 1 && !model.outputs.contains(&outlet))
            .then(|| model.node(outlet.node))
    };
    let with_scalar = |outlet: OutletId, op: &str, wanted: f32| {
        let node = alone(outlet)?;
        let operands = node.inputs.iter().copied();
        operands.into_iter().find_map(|rest| {
            let by = other_operand(node, op, rest)?;
            near(scalar(model, by)?, wanted).then_some(rest)
        })
    };
    let tanh = with_scalar(gate, "Add", 1.0)?;
    let node = alone(tanh)?;
    (node.op_as::<ElementWiseOp>()?.0.name() == "Tanh").then_some(())?;
    let sum = with_scalar(node.inputs[0], "Mul", 0.797_884_6)?;
    let cube = other_operand(alone(sum)?, "Add", x)?;
    let cube = with_scalar(cube, "Mul", 0.044_715)?;
    let node = alone(cube)?;
    if power(model, node, x) == Some(3.0) {
        return Some(vec![sum.node, cube.node]);
    }
    let square = other_operand(node, "Mul", x)?;
    let node = alone(square)?;
    let squares = power(model, node, x) == Some(2.0);
    squares.then(|| vec![sum.node, cube.node, square.node])
}

/// The power of `x` that a node computes.
fn power(model: &TypedModel, node: &TypedNode, x: OutletId) -> Option<f32> {
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        return (op.0.name() == "Square" && *node.inputs == [x]).then_some(2.0);
    }
    let op = node.op_as::<TypedBinOp>()?;
    match (op.0.name(), &*node.inputs) {
        ("Mul", [a, b]) if *a == x && *b == x => Some(2.0),
        ("Pow", [a, b]) if *a == x => scalar(model, *b),
        _ => None,
    }
}
