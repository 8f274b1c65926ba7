//! Tract's small ops become those of this module, one for one.

use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::{ElementWiseMiniOp, ElementWiseOp};
use tract_onnx::tract_core::ops::logic;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::{
    Reduce, Reducer, RmsNorm, Sigmoid, Silu, Softmax, SoftmaxKind,
};
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Binary, Reduction, Unary};

use super::compare::{Compare, Comparison};
use super::quotient::Quotient;
use super::{bools, elementwise, moves, norm, product, reduce};
use crate::import::own_operator;
use crate::tensor::Element;

/// Replaces what can be replaced in a graph that was decluttered: nothing rewrites it by tract's own ops any more.
pub(crate) fn replace(model: &mut TypedModel) {
    let replaced: Vec<(usize, Box<dyn TypedOp>)> = model
        .nodes()
        .iter()
        .filter_map(|node| Some((node.id, replacement(model, node)?)))
        .collect();
    for (id, op) in replaced {
        model.node_mut(id).op = op;
    }
}

fn replacement(model: &TypedModel, node: &TypedNode) -> Option<Box<dyn TypedOp>> {
    let facts = model.node_input_facts(node.id).ok()?;
    let plain = |fact: &&TypedFact| fact.exotic_fact.is_none();
    let shapes: Vec<&[usize]> = facts
        .iter()
        .filter(|fact| plain(fact))
        .map(|fact| fact.shape.as_concrete())
        .collect::<Option<_>>()?;
    let datum = facts.first()?.datum_type;
    if shapes.len() != facts.len() || node.outputs.len() != 1 {
        return None;
    }
    let op = of_floats(node, &facts, &shapes)
        .or_else(|| of_bools(node, &facts, &shapes))
        .or_else(|| comparison(node, &facts, &shapes))
        .or_else(|| cast(node, datum))
        .or_else(|| copy(node, datum, &facts, &shapes))?;
    let wanted = &node.outputs.first()?.fact;
    let found = op.output_facts(&facts).ok()?;
    let same = found.len() == 1
        && found[0].datum_type == wanted.datum_type
        && found[0].shape == wanted.shape;
    same.then_some(op)
}

fn of_floats(
    node: &TypedNode,
    facts: &[&TypedFact],
    shapes: &[&[usize]],
) -> Option<Box<dyn TypedOp>> {
    let all_floats = facts
        .iter()
        .all(|fact| fact.datum_type == f32::datum_type());
    if !all_floats {
        return None;
    }
    if let (Some(TypedBinOp(op, None)), [a, b]) = (node.op_as::<TypedBinOp>(), shapes) {
        return Some(Box::new(elementwise::Binary::new(binary(&**op)?, a, b)?));
    }
    if let Some(ElementWiseOp(op, None)) = node.op_as::<ElementWiseOp>() {
        if let Some(op) = scalar(&**op) {
            return Some(Box::new(op));
        }
        return Some(Box::new(elementwise::Unary(unary(&**op)?)));
    }
    if own_operator(&*node.op) == Some("Softplus") {
        return Some(Box::new(elementwise::Scalar::Softplus));
    }
    if let (Some(op), [a, b]) = (node.op_as::<EinSum>(), shapes) {
        let output = node.outputs.first()?.fact.shape.as_concrete()?;
        return Some(Box::new(product::Product::new(op, [a, b], output)?));
    }
    let shape = shapes.first()?;
    if let Some(op) = node.op_as::<RmsNorm>() {
        return Some(Box::new(norm::RmsNorm::new(op, shape)?));
    }
    if let Some(op) = node.op_as::<Reduce>() {
        let kind = reduction(op.reducer)?;
        return Some(Box::new(reduce::Reduce::new(kind, &op.axes, shape)?));
    }
    let op = node.op_as::<Softmax>()?;
    let plain = op.kind == SoftmaxKind::Softmax && op.quant_output_dt.is_none();
    plain.then_some(())?;
    Some(Box::new(reduce::Softmax::new(&op.axes, shape)?))
}

fn of_bools(
    node: &TypedNode,
    facts: &[&TypedFact],
    shapes: &[&[usize]],
) -> Option<Box<dyn TypedOp>> {
    let is_bool = |fact: &&&TypedFact| fact.datum_type == bool::datum_type();
    if !facts.first().is_some_and(|fact| is_bool(&fact)) {
        return None;
    }
    if let (true, [condition, a, b]) = (node.op_is::<logic::Iff>(), shapes) {
        let select = bools::Select::new(facts[1].datum_type, condition, a, b)?;
        return copied(facts[1].datum_type).then(|| Box::new(select) as Box<dyn TypedOp>);
    }
    if !facts.iter().all(|fact| is_bool(&fact)) {
        return None;
    }
    if let (Some(TypedBinOp(op, None)), [a, b]) = (node.op_as::<TypedBinOp>(), shapes) {
        let kinds = [
            (op.is::<logic::And>(), bools::Logic::And),
            (op.is::<logic::Or>(), bools::Logic::Or),
            (op.is::<logic::Xor>(), bools::Logic::Xor),
        ];
        let (_, logic) = kinds.into_iter().find(|(is, _)| *is)?;
        return Some(Box::new(bools::Pairs::new(logic, a, b)?));
    }
    let ElementWiseOp(op, None) = node.op_as::<ElementWiseOp>()? else {
        return None;
    };
    op.is::<logic::Not>()
        .then(|| Box::new(bools::Not) as Box<dyn TypedOp>)
}

/// Comparisons of tract and of this crate.
fn comparison(
    node: &TypedNode,
    facts: &[&TypedFact],
    shapes: &[&[usize]],
) -> Option<Box<dyn TypedOp>> {
    let comparison = match (own_operator(&*node.op), node.op_as::<TypedBinOp>()) {
        (Some(operator), _) => Comparison::named(operator)?,
        (_, Some(TypedBinOp(op, None))) => Comparison::of(&**op)?,
        _ => return None,
    };
    let (&[a, b], &[a_shape, b_shape]) = (facts, shapes) else {
        return None;
    };
    let element = Element::of(a.datum_type)?;
    (a.datum_type == b.datum_type).then_some(())?;
    Some(Box::new(Compare::new(
        comparison, element, a_shape, b_shape,
    )?))
}

/// Casts of tract and of this crate.
fn cast(node: &TypedNode, from: DatumType) -> Option<Box<dyn TypedOp>> {
    let own = own_operator(&*node.op).is_some_and(|op| ["Cast", "CastLike"].contains(&op));
    (own || node.op_is::<Cast>()).then_some(())?;
    let to = node.outputs.first()?.fact.datum_type;
    let (from, to) = (Element::of(from)?, Element::of(to)?);
    Some(Box::new(super::cast::Cast { from, to }))
}

/// Whether elements of a type are copied byte by byte.
fn copied(datum: DatumType) -> bool {
    datum.is_copy() && matches!(datum.size_of(), 1 | 2 | 4 | 8)
}

fn copy(
    node: &TypedNode,
    datum: DatumType,
    facts: &[&TypedFact],
    shapes: &[&[usize]],
) -> Option<Box<dyn TypedOp>> {
    if !copied(datum) {
        return None;
    }
    let shape = *shapes.first()?;
    if let Some(op) = node.op_as::<Slice>() {
        let range = op.start.to_usize().ok()?..op.end.to_usize().ok()?;
        let slice = moves::Strided::slice(datum, shape, op.axis, range)?;
        return Some(Box::new(slice));
    }
    if let Some(op) = node.op_as::<MultiBroadcastTo>() {
        let to = op.shape.as_concrete()?;
        return Some(Box::new(moves::Strided::broadcast(datum, shape, to)?));
    }
    if let Some(op) = node.op_as::<AxisOp>() {
        if let AxisOp::Move(from, to) = *op {
            let moved = moves::Strided::move_axis(datum, shape, from, to)?;
            if !moved.is_in_order() {
                return Some(Box::new(moved));
            }
        }
        let shape = node.outputs.first()?.fact.shape.as_concrete()?.into();
        return Some(Box::new(moves::Reshape { datum, shape }));
    }
    if let Some(op) = node.op_as::<TypedConcat>() {
        let alike = facts.iter().all(|fact| fact.datum_type == datum);
        alike.then_some(())?;
        return Some(Box::new(moves::Concat::new(datum, op.axis, shapes)?));
    }
    let op = node.op_as::<Gather>()?;
    let (indices, as_given) = (facts.get(1)?, op.output_type.is_none_or(|to| to == datum));
    (as_given && indices.datum_type == i64::datum_type()).then_some(())?;
    let gather = moves::Gather::new(datum, op.axis, shape, shapes.get(1)?)?;
    Some(Box::new(gather))
}

fn binary(op: &dyn BinMiniOp) -> Option<Binary> {
    let kinds = [
        (op.is::<math::Add>(), Binary::Add),
        (op.is::<math::Div>() || op.is::<Quotient>(), Binary::Div),
        (op.is::<math::Max>(), Binary::Max),
        (op.is::<math::Min>(), Binary::Min),
        (op.is::<math::Mul>(), Binary::Mul),
        (op.is::<math::Sub>(), Binary::Sub),
    ];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

fn unary(op: &dyn ElementWiseMiniOp) -> Option<Unary> {
    let kinds = [
        (op.is::<math::Abs>(), Unary::Abs),
        (op.is::<math::Exp>(), Unary::Exp),
        (op.is::<math::Floor>(), Unary::Floor),
        (op.is::<math::Neg>(), Unary::Neg),
        (op.is::<math::Recip>(), Unary::Recip),
        (op.is::<math::Rsqrt>(), Unary::Rsqrt),
        (op.is::<Sigmoid>(), Unary::Sigmoid),
        (op.is::<Silu>(), Unary::Silu),
        (op.is::<math::Sqrt>(), Unary::Sqrt),
        (op.is::<math::Square>(), Unary::Square),
        (op.is::<math::Tanh>(), Unary::Tanh),
    ];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

fn scalar(op: &dyn ElementWiseMiniOp) -> Option<elementwise::Scalar> {
    let kinds = [
        (op.is::<math::Cos>(), elementwise::Scalar::Cos),
        (op.is::<math::Sin>(), elementwise::Scalar::Sin),
    ];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

fn reduction(reducer: Reducer) -> Option<Reduction> {
    Some(match reducer {
        Reducer::Max => Reduction::Max,
        Reducer::MeanOfSquares => Reduction::MeanOfSquares,
        Reducer::Min => Reduction::Min,
        Reducer::Sum => Reduction::Sum,
        _ => return None,
    })
}
