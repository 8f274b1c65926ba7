//! Which axes of an attention's two products are rows, heads and values.

use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;

use crate::query::shape;

/// An operand or a result whose axes have roles: rows (tokens), heads and the values of a head, with their sizes, and perhaps a
/// batch. A role without an axis has size 1.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) outlet: OutletId,
    pub(super) axes: [Option<usize>; 3],
    pub(super) sizes: [usize; 3],
    /// The axis of the batch.
    pub(super) batch: Option<usize>,
    pub(super) batches: usize,
}

impl Operand {
    fn new(
        model: &TypedModel,
        outlet: OutletId,
        axes: [Option<usize>; 3],
        batch: Option<usize>,
    ) -> Option<Self> {
        let shape = shape(model, outlet)?;
        let size = |axis: Option<usize>| axis.map_or(1, |axis| shape[axis]);
        let (sizes, batches) = (axes.map(size), size(batch));
        let whole: usize = shape.iter().product();
        (whole == batches * sizes.iter().product::<usize>()).then_some(Self {
            outlet,
            axes,
            sizes,
            batch,
            batches,
        })
    }

    /// Steps along the axes of this shape among elements whose heads lie side by side: batch, row, head, value.
    pub(super) fn steps(&self, rank: usize) -> Vec<usize> {
        let [rows, heads, width] = self.sizes;
        let by = [heads * width, width, 1];
        let step = |axis| match self.axes.iter().position(|role| *role == Some(axis)) {
            Some(role) => by[role],
            None if self.batch == Some(axis) => rows * heads * width,
            None => 0,
        };
        (0..rank).map(step).collect()
    }

    /// For each element in memory order, where it lies when heads are side by side: batch, row, head, value.
    pub(super) fn places(&self, shape: &[usize]) -> Vec<usize> {
        let steps = self.steps(shape.len());
        let count: usize = shape.iter().product();
        let place = |mut index: usize| {
            let mut place = 0;
            for axis in (0..shape.len()).rev() {
                let at = index % shape[axis];
                index /= shape[axis];
                place += at * steps[axis];
            }
            place
        };
        (0..count).map(place).collect()
    }
}

/// The one axis of a product that the test holds for, among those longer than 1; unit axes only where there is no longer one.
fn pick(axes: &[(usize, usize)]) -> Option<Option<usize>> {
    let long: Vec<usize> = axes
        .iter()
        .filter(|(_, size)| *size > 1)
        .map(|(axis, _)| *axis)
        .collect();
    match *long {
        [] => Some(axes.last().map(|(axis, _)| *axis)),
        [axis] => Some(Some(axis)),
        _ => None,
    }
}

/// Queries, keys and scores of a product; the scores' axes are query, head, key.
pub(super) fn roles_of_scores(model: &TypedModel, node: &TypedNode) -> Option<[Operand; 3]> {
    let op = node.op_as::<EinSum>()?;
    let [a, b] = *node.inputs else {
        return None;
    };
    let out = OutletId::from(node.id);
    let sizes = shape(model, out)?;
    let keys_in_b = op.axes.axis((InOut::Out(0), sizes.len() - 1)).ok()?.inputs[0].is_empty();
    let (query_slot, key_slot) = if keys_in_b { (0, 1) } else { (1, 0) };
    let (mut width, mut head, mut row, mut column) = (None, vec![], vec![], vec![]);
    for axis in op.axes.iter_all_axes() {
        match (
            &*axis.inputs[query_slot],
            &*axis.inputs[key_slot],
            &*axis.outputs[0],
        ) {
            ([q], [k], []) if width.is_none() => width = Some((*q, *k)),
            ([q], [k], [o]) => head.push((*q, *k, *o)),
            ([q], [], [o]) => row.push((*q, *o)),
            ([], [k], [o]) => column.push((*k, *o)),
            _ => return None,
        }
    }
    let width = width?;
    let find = |pairs: Vec<(usize, usize)>| {
        pick(
            &pairs
                .iter()
                .map(|&(_, o)| (o, sizes[o]))
                .collect::<Vec<_>>(),
        )
        .map(|out| out.and_then(|out| pairs.iter().find(|pair| pair.1 == out).copied()))
    };
    let row = find(row)?;
    let column = find(column)?;
    // Of two axes that queries, keys and scores share, the outer one is a batch.
    let long = head.iter().copied().filter(|&(_, _, o)| sizes[o] > 1);
    let outer = long.clone().min_by_key(|&(_, _, o)| o);
    let batch = outer.filter(|_| long.count() == 2);
    if let Some(batch) = batch {
        head.retain(|axes| *axes != batch);
    }
    let heads = find(head.iter().map(|&(q, _, o)| (q, o)).collect())?;
    let key_head = heads
        .and_then(|(_, o)| head.iter().find(|h| h.2 == o))
        .map(|h| h.1);
    let (query, key) = if keys_in_b { (a, b) } else { (b, a) };
    Some([
        Operand::new(
            model,
            query,
            [row.map(|r| r.0), heads.map(|h| h.0), Some(width.0)],
            batch.map(|axes| axes.0),
        )?,
        Operand::new(
            model,
            key,
            [column.map(|c| c.0), key_head, Some(width.1)],
            batch.map(|axes| axes.1),
        )?,
        Operand::new(
            model,
            out,
            [row.map(|r| r.1), heads.map(|h| h.1), column.map(|c| c.1)],
            batch.map(|axes| axes.2),
        )?,
    ])
}

/// Values and result of the product of attention weights, whose axes are those of `scores`, with values.
pub(super) fn roles_of_mixing(
    model: &TypedModel,
    node: &TypedNode,
    weights: OutletId,
    scores: &Operand,
) -> Option<[Operand; 2]> {
    let op = node.op_as::<EinSum>()?;
    let [a, b] = *node.inputs else {
        return None;
    };
    let (slot, value) = if a == weights { (0, b) } else { (1, a) };
    let [row, head, key] = scores.axes;
    let (mut key_axis, mut head_axes, mut out_row, mut width) = (None, None, None, vec![]);
    let mut batch_axes = None;
    let out = OutletId::from(node.id);
    let sizes = shape(model, out)?;
    for axis in op.axes.iter_all_axes() {
        match (
            &*axis.inputs[slot],
            &*axis.inputs[1 - slot],
            &*axis.outputs[0],
        ) {
            ([w], [v], []) if Some(*w) == key => key_axis = Some(*v),
            ([w], [v], [o]) if Some(*w) == head => head_axes = Some((*v, *o)),
            ([w], [v], [o]) if scores.batch == Some(*w) => batch_axes = Some((*v, *o)),
            ([w], [], [o]) if Some(*w) == row => out_row = Some(*o),
            ([], [v], [o]) => width.push((*v, *o)),
            ([_], [_], [o]) if sizes[*o] == 1 => {}
            _ => return None,
        }
    }
    let last = pick(
        &width
            .iter()
            .map(|&(_, o)| (o, sizes[o]))
            .collect::<Vec<_>>(),
    )??;
    let (value_width, _) = *width.iter().find(|pair| pair.1 == last)?;
    Some([
        Operand::new(
            model,
            value,
            [key_axis, head_axes.map(|h| h.0), Some(value_width)],
            batch_axes.map(|axes| axes.0),
        )?,
        Operand::new(
            model,
            out,
            [out_row, head_axes.map(|h| h.1), Some(last)],
            batch_axes.map(|axes| axes.1),
        )?,
    ])
}
