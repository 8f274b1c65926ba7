//! What lies between the product of queries and keys and the product of weights and values: scale, mask, softmax.

use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::logic::Iff;
use tract_onnx::tract_core::ops::math::IsNan;
use tract_onnx::tract_hir::internal::*;

use super::quantised::before_quantisation;
use super::roles::Operand;
use crate::ops::MaskKind;
use crate::query::{floats, hangs_on_constants, other_operand, readers, scalar, shape};

/// Nodes that a walk goes back at most: longer ways are no scaling and masking.
const LONGEST: usize = 16;

/// The mask of an attention: a tensor, and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    pub(super) outlet: OutletId,
    pub(super) kind: MaskKind,
}

/// The way from the product of queries and keys to the softmax.
pub(super) struct Scores {
    pub(super) product: OutletId,
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
}

impl Scores {
    pub(super) fn before(model: &TypedModel, mut outlet: OutletId) -> Option<Self> {
        let (mut scale, mut mask) = (1.0, None);
        for _ in 0..LONGEST {
            outlet = before_quantisation(model, outlet);
            let node = model.node(outlet.node);
            if node.op_is::<EinSum>() {
                return Some(Self {
                    product: outlet,
                    scale,
                    mask,
                });
            }
            let masks = mask.is_none() && scale == 1.0;
            if node.op_is::<Iff>() && masks {
                let (rest, found) = kept(model, node)?;
                (outlet, mask) = (rest, Some(found));
                continue;
            }
            let [a, b] = *node.inputs else {
                return None;
            };
            let single = |name: &str| other_operand(node, name, a).is_some();
            if let (true, Some((rest, by))) = (single("Mul"), scaled(model, a, b)) {
                (outlet, scale) = (rest, scale * by);
            } else if let (true, Some(by)) = (single("Div"), scalar(model, b)) {
                (outlet, scale) = (a, scale / by);
            } else if single("Add") && masks {
                let (rest, found) = added(model, node)?;
                (outlet, mask) = (rest, Some(found));
            } else {
                return None;
            }
        }
        None
    }
}

/// The scores and the mask that is added to them.
fn added(model: &TypedModel, node: &TypedNode) -> Option<(OutletId, Mask)> {
    let [a, b] = *node.inputs else {
        return None;
    };
    let scores = |o: OutletId| {
        shape(model, o) == shape(model, node.id.into()) && leads_to_product(model, o, LONGEST)
    };
    let (rest, outlet) = match (scores(a), scores(b)) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        _ => return None,
    };
    let kind = MaskKind::Added;
    Some((rest, Mask { outlet, kind }))
}

/// The scores and the mask that says which of them stay.
fn kept(model: &TypedModel, node: &TypedNode) -> Option<(OutletId, Mask)> {
    let [outlet, a, b] = *node.inputs else {
        return None;
    };
    let (rest, keep, otherwise) = match (uniform(model, a), uniform(model, b)) {
        (None, Some(otherwise)) => (a, true, otherwise),
        (Some(otherwise), None) => (b, false, otherwise),
        _ => return None,
    };
    let kind = MaskKind::Kept { keep, otherwise };
    let whole = shape(model, rest)? == shape(model, node.id.into())?;
    whole.then_some((rest, Mask { outlet, kind }))
}

/// The value of a constant whose elements are all the same.
fn uniform(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    if !hangs_on_constants(model, outlet) {
        return None;
    }
    let values = floats(model, outlet)?;
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}

pub(super) fn scaled(model: &TypedModel, a: OutletId, b: OutletId) -> Option<(OutletId, f32)> {
    scalar(model, b)
        .map(|by| (a, by))
        .or_else(|| Some((b, scalar(model, a)?)))
}

fn leads_to_product(model: &TypedModel, outlet: OutletId, longest: usize) -> bool {
    let outlet = before_quantisation(model, outlet);
    let node = model.node(outlet.node);
    let Some(longest) = longest.checked_sub(1) else {
        return false;
    };
    if node.op_is::<EinSum>() {
        return true;
    }
    let [a, b] = *node.inputs else {
        return false;
    };
    // One operand is a factor: there is one way back.
    match node.op.name().as_ref() {
        "Mul" => {
            scaled(model, a, b).is_some_and(|(rest, _)| leads_to_product(model, rest, longest))
        }
        "Div" => leads_to_product(model, a, longest),
        _ => false,
    }
}

/// Whether a mask of this shape says something of each key, and of each query and head as the kernel reads it.
pub(super) fn mask_fits(mask: &[usize], scores: &Operand, shape: &[usize]) -> bool {
    let [queries, heads, keys] = scores.sizes;
    let [row, head, key] = scores.axes;
    let Some(missing) = shape.len().checked_sub(mask.len()) else {
        return false;
    };
    let along = |axis: Option<usize>| {
        axis.and_then(|axis| mask.get(axis.checked_sub(missing)?))
            .copied()
            .unwrap_or(1)
    };
    let (of_row, of_head, of_batch) = (along(row), along(head), along(scores.batch));
    let whole: usize = mask.iter().product();
    let in_order = (of_row == 1 || row < key) && (of_head == 1 || head < row);
    along(key) == keys
        && of_batch == 1
        && whole == of_row * of_head * keys
        && [1, queries].contains(&of_row)
        && [1, heads].contains(&of_head)
        && in_order
        && (of_head == 1 || of_row == queries)
}

/// The outlet of the weights, and whether those that are NaN are replaced by 0: exporters write that behind a softmax whose mask
/// may leave no key.
pub(super) fn weights(model: &TypedModel, softmax: OutletId) -> (OutletId, bool) {
    let zeroed = || {
        let [a, b] = *readers(model, softmax) else {
            return None;
        };
        let is_nan = |node: &TypedNode| {
            node.op_as::<ElementWiseOp>()
                .is_some_and(|op| op.0.is::<IsNan>())
        };
        let (test, choice) = match (model.node(a.node), model.node(b.node)) {
            (test, choice) if is_nan(test) => (test, choice),
            (choice, test) if is_nan(test) => (test, choice),
            _ => return None,
        };
        let [condition, zero, weights] = *choice.inputs else {
            return None;
        };
        let plain = choice.op_is::<Iff>()
            && condition == OutletId::from(test.id)
            && readers(model, condition).len() == 1
            && weights == softmax
            && uniform(model, zero) == Some(0.0)
            && !model.outputs.contains(&softmax)
            && !model.outputs.contains(&condition);
        plain.then(|| OutletId::from(choice.id))
    };
    match zeroed() {
        Some(outlet) => (outlet, true),
        None => (softmax, false),
    }
}
