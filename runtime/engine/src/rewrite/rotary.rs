//! Rotary position embeddings (Su et al., arXiv 2104.09864): both halves of the last axis, turned by the angles of their rows.

use tract_onnx::tract_core::ops::array::{Slice, StridedSlice, TypedConcat};
use tract_onnx::tract_hir::internal::*;

use super::products::words;
use crate::ops::Rotary;
use crate::query::{constant, other_operand, shape};

/// `Concat(a * cosine - b * sine, b * cosine + a * sine)` over the last axis, whose halves are `a` and `b`. `None` where a
/// concatenation is another one.
pub(super) fn rotary(
    model: &TypedModel,
    node: &TypedNode,
) -> Option<Result<TypedModelPatch, String>> {
    let concat = node.op_as::<TypedConcat>()?;
    let [first, second] = *node.inputs else {
        return None;
    };
    let of_node = shape(model, node.id.into())?;
    let (&width, outer) = of_node.split_last()?;
    (concat.axis == outer.len() && width.is_multiple_of(2)).then_some(())?;
    let [a_cosine, b_sine] = operands(model, first, "Sub")?;
    let [p, q] = operands(model, second, "Add")?;
    // The order of a sum's operands says nothing.
    [[p, q], [q, p]].into_iter().find_map(|[b_cosine, a_sine]| {
        let (a, cosine) = half(model, a_cosine, width, 0)?;
        let (b, sine) = half(model, b_sine, width, width / 2)?;
        let same = a == b
            && half(model, b_cosine, width, width / 2)? == (a, cosine)
            && half(model, a_sine, width, 0)? == (a, sine);
        let of_angles = shape(model, cosine)?;
        let fits = same && shape(model, a)? == of_node && shape(model, sine)? == of_angles;
        let datum = |outlet| model.outlet_fact(outlet).ok().map(|fact| fact.datum_type);
        let floats = [a, cosine, sine].map(datum) == [Some(DatumType::F32); 3];
        let plain = Turned {
            tensor: a,
            angles: [cosine, sine],
            moves: vec![],
            op: (fits && floats).then(|| Rotary::new(&of_node, &of_angles))??,
        };
        let turned = before_moves(model, plain)?;
        Some(patch(model, node, turned).map_err(words))
    })
}

/// A tensor that is turned, and the moves of axes that follow, the last of which comes first.
struct Turned {
    tensor: OutletId,
    angles: [OutletId; 2],
    moves: Vec<[usize; 2]>,
    op: Rotary,
}

/// Turns the tensor before its heads are moved to the front: an attention behind it reads heads wherever they lie, and the move
/// is never made. Where the angles' own axes would change their order, they stay as they are.
fn before_moves(model: &TypedModel, mut turned: Turned) -> Option<Turned> {
    let mut of_angles = shape(model, turned.angles[0])?.to_vec();
    loop {
        let node = model.node(turned.tensor.node);
        let Some(AxisOp::Move(from, to)) = node.op_as::<AxisOp>() else {
            return Some(turned);
        };
        let last = of_angles.len() - 1;
        let in_order = of_angles[*from.min(to)..=*from.max(to)]
            .iter()
            .filter(|&&size| size > 1)
            .count()
            <= 1;
        let size = of_angles.remove(*to);
        of_angles.insert(*from, size);
        let before = node.inputs[0];
        let op = Rotary::new(&shape(model, before)?, &of_angles);
        match op {
            Some(op) if in_order && *from != last && *to != last => {
                turned.tensor = before;
                turned.moves.push([*from, *to]);
                turned.op = op;
            }
            _ => return Some(turned),
        }
    }
}

fn operands(model: &TypedModel, outlet: OutletId, name: &str) -> Option<[OutletId; 2]> {
    let node = model.node(outlet.node);
    let [a, b] = *node.inputs else {
        return None;
    };
    let named = other_operand(node, name, a)? == b;
    named.then_some([a, b])
}

/// A product of half of a tensor's last axis, from `start` on, and something else: both.
fn half(
    model: &TypedModel,
    outlet: OutletId,
    width: usize,
    start: usize,
) -> Option<(OutletId, OutletId)> {
    let [a, b] = operands(model, outlet, "Mul")?;
    [[a, b], [b, a]].into_iter().find_map(|[part, other]| {
        let node = model.node(part.node);
        let rank = shape(model, part)?.len();
        let fits = sliced(model, node, rank, width)? == [rank - 1, start, start + width / 2];
        fits.then_some((node.inputs[0], other))
    })
}

/// Axis, start and end of a slice of one axis that is `width` long.
fn sliced(model: &TypedModel, node: &TypedNode, rank: usize, width: usize) -> Option<[usize; 3]> {
    if let Some(op) = node.op_as::<Slice>() {
        let (start, end) = (op.start.to_usize().ok()?, op.end.to_usize().ok()?);
        return Some([op.axis, start, end]);
    }
    let op = node.op_as::<StridedSlice>()?;
    (op.begin_mask == 0 && op.end_mask == 0 && op.shrink_axis_mask == 0).then_some(())?;
    let number = |input: usize| {
        let value = constant(model, *node.inputs.get(input)?)?;
        let value = value.cast_to::<i64>().ok()?;
        match *value.try_as_plain_ram().ok()?.as_slice::<i64>().ok()? {
            [one] => Some(one),
            _ => None,
        }
    };
    let wrapped = |value: i64, of: usize| {
        let of = i64::try_from(of).ok()?;
        let value = if value < 0 { value + of } else { value };
        usize::try_from(value.min(of)).ok()
    };
    if let Some(steps) = op.optional_steps_input {
        (number(steps)? == 1).then_some(())?;
    }
    let axis = match op.optional_axes_input {
        Some(axes) => wrapped(number(axes)?, rank)?,
        None => 0,
    };
    Some([
        axis,
        wrapped(number(1)?, width)?,
        wrapped(number(2)?, width)?,
    ])
}

fn patch(model: &TypedModel, node: &TypedNode, turned: Turned) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::new("a rotary embedding");
    let mut inputs = tvec![patch.tap_model(model, turned.tensor)?];
    for (angles, outlet) in ["cosines", "sines"].into_iter().zip(turned.angles) {
        let mut wire = tvec![patch.tap_model(model, outlet)?];
        for (index, &[from, to]) in turned.moves.iter().enumerate() {
            let name = format!("{}.{angles}.{index}", node.name);
            wire = patch.wire_node(name, AxisOp::Move(to, from), &wire)?;
        }
        inputs.push(wire[0]);
    }
    let mut wire = patch.wire_node(format!("{}.rotary", node.name), turned.op, &inputs)?;
    for (index, &[from, to]) in turned.moves.iter().enumerate().rev() {
        let name = format!("{}.moved.{index}", node.name);
        wire = patch.wire_node(name, AxisOp::Move(from, to), &wire)?;
    }
    patch.shunt_outside(model, node.id.into(), wire[0])?;
    Ok(patch)
}
