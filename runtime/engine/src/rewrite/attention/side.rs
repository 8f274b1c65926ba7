//! Where queries, keys and values come from, and where the result goes.

use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, StridedSlice, Tile};
use tract_onnx::tract_hir::internal::*;
use wink_kernels::Layout;

use super::quantised::{before_quantisation, behind_quantisation};
use super::roles::Operand;
use super::scores::scaled;
use crate::ops::{Dequantise, Format, Quantise};
use crate::query::{constant, hangs_on_constants, only_reader, other_operand, shape};
use crate::rewrite::pattern::{quantise_format, quantised_source};
use crate::strided::Strided;

/// Where an operand comes from: a tensor in which the values of a head lie together.
pub(super) struct Side {
    pub(super) outlet: OutletId,
    pub(super) format: Format,
    pub(super) scale: f32,
    /// Rows, heads and values of the operand.
    pub(super) sizes: [usize; 3],
    /// Heads of the tensor: fewer where several heads of the operand read the same one.
    pub(super) shared_heads: usize,
    pub(super) layout: Layout,
    /// From one picture of the batch to the next.
    pub(super) batch_step: usize,
}

/// A place on the way back from an operand.
struct Stop {
    outlet: OutletId,
    format: Format,
    scale: f32,
    /// How many of the nodes that move elements lie behind it.
    moves: usize,
}

impl Side {
    /// Walks back from an operand over nodes that only move elements (axes, slices, repeated heads), scalings and quantisations,
    /// to the farthest tensor that the kernel can read in its place, among those of so many heads if that is said.
    pub(super) fn behind(
        model: &TypedModel,
        operand: &Operand,
        shared_heads: Option<usize>,
    ) -> Option<Self> {
        let wanted = |found: usize| shared_heads.is_none_or(|heads| heads == found);
        let (mut outlet, mut scale) = (operand.outlet, 1.0);
        let (mut moves, mut stops): (Vec<&TypedNode>, Vec<Stop>) = (vec![], vec![]);
        loop {
            let format = Format::Float;
            let moved = moves.len();
            if model.outlet_fact(outlet).ok()?.datum_type == DatumType::F32 {
                stops.push(Stop {
                    outlet,
                    format,
                    scale,
                    moves: moved,
                });
            }
            let node = model.node(outlet.node);
            if node.op_is::<Dequantise>() {
                if let Some((outlet, format)) = quantised_source(model, outlet) {
                    stops.push(Stop {
                        outlet,
                        format,
                        scale,
                        moves: moved,
                    });
                }
                let before = before_quantisation(model, outlet);
                if before == outlet {
                    break;
                }
                outlet = before;
            } else if moves_elements(model, node) {
                moves.push(node);
                outlet = node.inputs[0];
            } else if let [a, b] = *node.inputs
                && other_operand(node, "Mul", a).is_some()
                && let Some((rest, by)) = scaled(model, a, b)
                && shape(model, rest) == shape(model, outlet)
            {
                (outlet, scale) = (rest, scale * by);
            } else {
                break;
            }
        }
        // A tensor in 8 bits is read in 8 bits; else the farthest one is the one with the fewest copies before it.
        let (bytes, floats): (Vec<_>, Vec<_>) = stops
            .into_iter()
            .rev()
            .partition(|stop| stop.format != Format::Float);
        bytes.into_iter().chain(floats).find_map(|stop| {
            let (shared_heads, layout, batch_step) = layout(model, &stop, &moves, operand)?;
            wanted(shared_heads).then_some(Self {
                outlet: stop.outlet,
                format: stop.format,
                scale: stop.scale,
                sizes: operand.sizes,
                shared_heads,
                layout,
                batch_step,
            })
        })
    }
}

/// Whether a node's output has the elements of its first input, at other places, perhaps repeated or not all of them.
fn moves_elements(model: &TypedModel, node: &TypedNode) -> bool {
    let by_constants = || {
        let others = node.inputs.iter().skip(1);
        (node.op_is::<Gather>() || node.op_is::<StridedSlice>())
            && others.into_iter().all(|i| hangs_on_constants(model, *i))
    };
    node.op_is::<AxisOp>()
        || node.op_is::<MultiBroadcastTo>()
        || node.op_is::<Tile>()
        || node.op_is::<Slice>()
        || by_constants()
}

/// How many heads the operand has in the tensor of a stop, where they lie, and the step from one picture of a batch to the next.
/// `None` where no layout describes it.
fn layout(
    model: &TypedModel,
    stop: &Stop,
    moves: &[&TypedNode],
    operand: &Operand,
) -> Option<(usize, Layout, usize)> {
    let moves = moves.get(..stop.moves)?;
    match strided(model, stop.outlet, moves) {
        Some(view) => layout_of_steps(&view, operand),
        None => layout_of_numbers(model, stop, moves, operand),
    }
}

/// Where the nodes move whole axes only, and no part of one is repeated.
fn strided(model: &TypedModel, source: OutletId, moves: &[&TypedNode]) -> Option<Strided> {
    let mut view = Strided::of(&shape(model, source)?);
    for node in moves.iter().rev() {
        if let Some(op) = node.op_as::<AxisOp>() {
            view = view.behind(op)?;
        } else {
            let op = node.op_as::<Slice>()?;
            let (start, end) = (op.start.to_usize().ok()?, op.end.to_usize().ok()?);
            view.first += start * view.steps.get(op.axis)?;
            *view.shape.get_mut(op.axis)? = end.checked_sub(start)?;
        }
    }
    Some(view)
}

fn layout_of_steps(view: &Strided, operand: &Operand) -> Option<(usize, Layout, usize)> {
    let [rows, heads, width] = operand.sizes;
    let step = |axis: Option<usize>, size: usize, otherwise: usize| match axis {
        Some(axis) if size > 1 => view.steps.get(axis).copied(),
        _ => Some(otherwise),
    };
    let [row, head, value] = operand.axes;
    (step(value, width, 1)? == 1).then_some(())?;
    let layout = Layout {
        first: view.first,
        row: step(row, rows, heads * width)?,
        head: step(head, heads, width)?,
    };
    let batch_step = step(operand.batch, operand.batches, 0)?;
    Some((heads, layout, batch_step))
}

/// Found by moving the numbers of the tensor's elements as the nodes between them move the elements.
fn layout_of_numbers(
    model: &TypedModel,
    stop: &Stop,
    moves: &[&TypedNode],
    operand: &Operand,
) -> Option<(usize, Layout, usize)> {
    let tensor = moved_numbers(model, stop.outlet, moves)?;
    let numbers = tensor.try_as_plain_ram().ok()?.as_slice::<i64>().ok()?;
    let [rows, heads, width] = operand.sizes;
    // Number of the element at each place of heads side by side.
    let mut found = vec![0; operand.batches * rows * heads * width];
    for (place, number) in operand.places(tensor.shape()).into_iter().zip(numbers) {
        *found.get_mut(place)? = usize::try_from(*number).ok()?;
    }
    let at = |row: usize, head: usize| found.get((row * heads + head) * width).copied();
    let first = at(0, 0)?;
    let group = (1..heads)
        .find(|&head| at(0, head) != Some(first))
        .unwrap_or(heads);
    if !heads.is_multiple_of(group) {
        return None;
    }
    let shared_heads = heads / group;
    let step = |row: usize, head: usize, otherwise: usize| match (row < rows, head < heads) {
        (true, true) => at(row, head)?.checked_sub(first),
        _ => Some(otherwise),
    };
    let layout = Layout {
        first,
        row: step(1, 0, shared_heads * width)?,
        head: step(0, group, width)?,
    };
    let batch_step = match operand.batches {
        1 => 0,
        _ => found.get(rows * heads * width)?.checked_sub(first)?,
    };
    let pictures = (0..operand.batches).map(|picture| first + picture * batch_step);
    let places = pictures.flat_map(|first| {
        (0..rows).flat_map(move |row| (0..heads).map(move |head| (first, row, head)))
    });
    let fits = places
        .zip(found.chunks_exact(width))
        .all(|((first, row, head), values)| {
            let start = first + row * layout.row + head / group * layout.head;
            values.iter().copied().eq(start..start + width)
        });
    fits.then_some((shared_heads, layout, batch_step))
}

/// Where the elements of a tensor end up behind nodes that move them, the last of which comes first: a tensor of their numbers.
fn moved_numbers(model: &TypedModel, source: OutletId, moves: &[&TypedNode]) -> Option<Tensor> {
    let start = shape(model, source)?;
    let count = i64::try_from(start.iter().product::<usize>()).ok()?;
    let mut tensor = Tensor::from_shape(&start, &(0..count).collect::<Vec<_>>()).ok()?;
    for node in moves.iter().rev() {
        if let Some(op) = node.op_as::<AxisOp>() {
            op.change_tensor(&mut tensor, false).ok()?;
            continue;
        }
        let mut inputs = tvec![tensor.into_tvalue()];
        for input in &node.inputs[1..] {
            inputs.push(TValue::from_const(constant(model, *input)?));
        }
        let outputs = node.op.eval_out_of_plan(inputs).ok()??;
        tensor = outputs.into_iter().next()?.into_tensor();
    }
    Some(tensor)
}

/// The last outlet behind the mixing that has the heads side by side in memory, quantised if that is all that is read.
pub(super) fn merged(model: &TypedModel, mixed: &Operand) -> Option<(OutletId, Format)> {
    let start = shape(model, mixed.outlet)?;
    let mut view = Strided {
        steps: mixed.steps(start.len()),
        shape: start.to_vec(),
        first: 0,
    };
    let mut outlet = mixed.outlet;
    let mut best = None;
    loop {
        if view.is_in_order() {
            best = Some(outlet);
        }
        let Some(node) = only_reader(model, behind_quantisation(model, outlet)) else {
            break;
        };
        let Some(op) = node.op_as::<AxisOp>() else {
            break;
        };
        // Heads that lie together no more do not come together again.
        let Some(moved) = view.behind(op) else {
            break;
        };
        view = moved;
        outlet = node.id.into();
    }
    let best = best?;
    let quantised = only_reader(model, best)
        .and_then(|node| Some((node, quantise_format(node.op_as::<Quantise>()?)?)));
    Some(quantised.map_or((best, Format::Float), |(node, format)| {
        (node.id.into(), format)
    }))
}
