//! Finds scaled dot-product attention.

use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::nn::Softmax;
use tract_onnx::tract_hir::internal::*;

use super::pattern::{dequantise_format, quantise_format, quantised_source};
use super::products::{Rewrite, words};
use crate::ops::{Attention, Dequantise, Format, Quantise};
use crate::query::{numbers_behind, only_reader, other_operand, scalar, shape};

/// Finds the attention around a softmax. Quantisations inside are dropped: its arithmetic is in floats.
pub(super) fn attention(model: &TypedModel, node: &TypedNode, op: &Softmax) -> Rewrite {
    let strange = "a softmax that is no attention's";
    let rank = shape(model, node.id.into()).ok_or("open shapes")?.len();
    if *op.axes != [rank - 1] || op.quant_output_dt.is_some() {
        return Err(strange.into());
    }
    let scores = Scores::before(model, node.inputs[0]).ok_or(strange)?;
    let product = model.node(scores.product.node);
    let [query, key, out] = roles_of_scores(model, product).ok_or("scores of unexpected axes")?;
    let weights = behind_quantisation(model, node.id.into());
    let mixing = only_reader(model, weights).ok_or("attention weights that others read")?;
    let [value, mixed] =
        roles_of_mixing(model, mixing, weights, &out).ok_or("mixing of unexpected axes")?;
    let [q, k, v] = [query, key, value]
        .map(|operand| Side::behind(model, operand))
        .map(|side| side.ok_or("heads that do not lie side by side"));
    let (q, k, v) = (q?, k?, v?);
    if v.scale != 1.0 || k.sizes != v.sizes || q.sizes[1..] != k.sizes[1..] {
        return Err("queries, keys and values of different sizes".into());
    }
    let [queries, heads, width] = q.sizes;
    let keys = k.sizes[0];
    if let Some(mask) = scores.mask {
        let shape = shape(model, mask).ok_or("open shapes")?;
        let whole: usize = shape.iter().product();
        let rows = shape.len().checked_sub(2).map_or(1, |axis| shape[axis]);
        let fits =
            shape.last() == Some(&keys) && whole == rows * keys && [1, queries].contains(&rows);
        if !fits {
            return Err("a mask that differs from head to head".into());
        }
    }
    let (outlet, format) =
        merged(model, &mixed).ok_or("heads that are not put side by side again")?;
    let op = Attention {
        heads,
        width,
        queries,
        keys,
        scale: scores.scale * q.scale * k.scale,
        masked: scores.mask.is_some(),
        inputs: [q.format, k.format, v.format],
        output: format,
        shape: shape(model, outlet).ok_or("open shapes")?,
    };
    let mut patch = TypedModelPatch::new("an attention");
    let outlets = [Some(q.outlet), Some(k.outlet), Some(v.outlet), scores.mask];
    let taps: TractResult<TVec<OutletId>> = outlets
        .into_iter()
        .flatten()
        .map(|outlet| patch.tap_model(model, outlet))
        .collect();
    let name = format!("{}.attention", node.name);
    let wire = patch
        .wire_node(name, op, &taps.map_err(words)?)
        .map_err(words)?;
    patch.shunt_outside(model, outlet, wire[0]).map_err(words)?;
    Ok(patch)
}

/// The outlet before a pair of `Quantise` and `Dequantise`, or the same.
fn before_quantisation(model: &TypedModel, outlet: OutletId) -> OutletId {
    let back = model.node(outlet.node);
    let Some(format) = dequantise_format(model, back) else {
        return outlet;
    };
    let there = model.node(back.inputs[0].node);
    match there.op_as::<Quantise>().and_then(quantise_format) {
        Some(found) if found == format => there.inputs[0],
        _ => outlet,
    }
}

/// The outlet behind a pair of `Quantise` and `Dequantise` that nobody else reads, or the same.
fn behind_quantisation(model: &TypedModel, outlet: OutletId) -> OutletId {
    let pair = || {
        let there = only_reader(model, outlet)?;
        let format = quantise_format(there.op_as::<Quantise>()?)?;
        let back = only_reader(model, there.id.into())?;
        (dequantise_format(model, back)? == format).then(|| OutletId::from(back.id))
    };
    pair().unwrap_or(outlet)
}

/// What lies between the product of queries and keys and the softmax.
struct Scores {
    product: OutletId,
    scale: f32,
    mask: Option<OutletId>,
}

impl Scores {
    fn before(model: &TypedModel, mut outlet: OutletId) -> Option<Self> {
        let (mut scale, mut mask) = (1.0, None);
        loop {
            outlet = before_quantisation(model, outlet);
            let node = model.node(outlet.node);
            if node.op_is::<EinSum>() {
                return Some(Self {
                    product: outlet,
                    scale,
                    mask,
                });
            }
            let [a, b] = *node.inputs else {
                return None;
            };
            let single = |name: &str| other_operand(node, name, a).is_some();
            if let (true, Some((rest, by))) = (single("Mul"), scaled(model, a, b)) {
                (outlet, scale) = (rest, scale * by);
            } else if let (true, Some(by)) = (single("Div"), scalar(model, b)) {
                (outlet, scale) = (a, scale / by);
            } else if single("Add") && mask.is_none() && scale == 1.0 {
                let product_like = |o: OutletId| {
                    shape(model, o) == shape(model, OutletId::from(node.id))
                        && leads_to_product(model, o)
                };
                (outlet, mask) = match (product_like(a), product_like(b)) {
                    (true, false) => (a, Some(b)),
                    (false, true) => (b, Some(a)),
                    _ => return None,
                };
            } else {
                return None;
            }
        }
    }
}

fn scaled(model: &TypedModel, a: OutletId, b: OutletId) -> Option<(OutletId, f32)> {
    scalar(model, b)
        .map(|by| (a, by))
        .or_else(|| Some((b, scalar(model, a)?)))
}

fn leads_to_product(model: &TypedModel, outlet: OutletId) -> bool {
    let outlet = before_quantisation(model, outlet);
    let node = model.node(outlet.node);
    node.op_is::<EinSum>()
        || (matches!(node.op.name().as_ref(), "Mul" | "Div")
            && node
                .inputs
                .iter()
                .any(|input| leads_to_product(model, *input)))
}

/// An operand or a result whose axes have roles: rows (tokens), heads and the values of a head, with their sizes. A role
/// without an axis has size 1.
#[derive(Debug, Clone)]
struct Operand {
    outlet: OutletId,
    axes: [Option<usize>; 3],
    sizes: [usize; 3],
}

impl Operand {
    fn new(model: &TypedModel, outlet: OutletId, axes: [Option<usize>; 3]) -> Option<Self> {
        let shape = shape(model, outlet)?;
        let sizes = axes.map(|axis| axis.map_or(1, |axis| shape[axis]));
        (shape.iter().product::<usize>() == sizes.iter().product::<usize>()).then_some(Self {
            outlet,
            axes,
            sizes,
        })
    }

    /// For each element in memory order, where it lies when heads are side by side: row, head, value.
    fn places(&self, shape: &[usize]) -> Vec<usize> {
        let [_, heads, width] = self.sizes;
        let by = [heads * width, width, 1];
        let count: usize = shape.iter().product();
        let place = |mut index: usize| {
            let mut place = 0;
            for axis in (0..shape.len()).rev() {
                let at = index % shape[axis];
                index /= shape[axis];
                let role = self.axes.iter().position(|role| *role == Some(axis));
                place += role.map_or(0, |role| at * by[role]);
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
fn roles_of_scores(model: &TypedModel, node: &TypedNode) -> Option<[Operand; 3]> {
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
        )?,
        Operand::new(model, key, [column.map(|c| c.0), key_head, Some(width.1)])?,
        Operand::new(
            model,
            out,
            [row.map(|r| r.1), heads.map(|h| h.1), column.map(|c| c.1)],
        )?,
    ])
}

/// Values and result of the product of attention weights, whose axes are those of `scores`, with values.
fn roles_of_mixing(
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
        )?,
        Operand::new(model, out, [out_row, head_axes.map(|h| h.1), Some(last)])?,
    ])
}

/// Where an operand comes from: a tensor with the heads side by side.
struct Side {
    outlet: OutletId,
    format: Format,
    scale: f32,
    sizes: [usize; 3],
}

impl Side {
    fn behind(model: &TypedModel, operand: Operand) -> Option<Self> {
        let (mut outlet, mut scale, mut ops) = (operand.outlet, 1.0, vec![]);
        loop {
            let node = model.node(outlet.node);
            if node.op_is::<Dequantise>() {
                if let Some((source, format)) = quantised_source(model, outlet)
                    && side_by_side(model, source, &ops, &operand)
                {
                    return Some(Self {
                        outlet: source,
                        format,
                        scale,
                        sizes: operand.sizes,
                    });
                }
                let before = before_quantisation(model, outlet);
                if before == outlet {
                    break;
                }
                outlet = before;
            } else if let Some(op) = node.op_as::<AxisOp>() {
                ops.push(op);
                outlet = node.inputs[0];
            } else if let [a, b] = *node.inputs
                && other_operand(node, "Mul", a).is_some()
                && let Some((rest, by)) = scaled(model, a, b)
            {
                (outlet, scale) = (rest, scale * by);
            } else {
                break;
            }
        }
        let float = model.outlet_fact(outlet).ok()?.datum_type == DatumType::F32;
        (float && side_by_side(model, outlet, &ops, &operand)).then_some(Self {
            outlet,
            format: Format::Float,
            scale,
            sizes: operand.sizes,
        })
    }
}

/// Whether the operand, made from `source` by these ops (the last one first), is `source` with the heads side by side.
fn side_by_side(model: &TypedModel, source: OutletId, ops: &[&AxisOp], operand: &Operand) -> bool {
    let moved = || -> Option<bool> {
        let tensor = numbers_behind(&shape(model, source)?, ops).ok()?;
        let places = operand.places(tensor.shape());
        let found = tensor.try_as_plain_ram().ok()?.as_slice::<i64>().ok()?;
        Some(
            found
                .iter()
                .zip(&places)
                .all(|(&found, &place)| usize::try_from(found) == Ok(place)),
        )
    };
    moved().unwrap_or(false)
}

/// The last outlet behind the mixing that has the heads side by side in memory, quantised if that is all that is read.
fn merged(model: &TypedModel, mixed: &Operand) -> Option<(OutletId, Format)> {
    let start = shape(model, mixed.outlet)?;
    let places: Vec<i64> = mixed
        .places(&start)
        .into_iter()
        .map(|p| i64::try_from(p).unwrap_or(-1))
        .collect();
    let mut tensor = Tensor::from_shape(&start, &places).ok()?;
    let mut outlet = mixed.outlet;
    let mut best = None;
    loop {
        let values = tensor.try_as_plain_ram().ok()?.as_slice::<i64>().ok()?;
        if values.iter().zip(0..).all(|(&value, index)| value == index) {
            best = Some(outlet);
        }
        let Some(node) = only_reader(model, behind_quantisation(model, outlet)) else {
            break;
        };
        let Some(op) = node.op_as::<AxisOp>() else {
            break;
        };
        op.change_tensor(&mut tensor, false).ok()?;
        outlet = node.id.into();
    }
    let best = best?;
    let quantised = only_reader(model, best)
        .and_then(|node| Some((node, quantise_format(node.op_as::<Quantise>()?)?)));
    Some(quantised.map_or((best, Format::Float), |(node, format)| {
        (node.id.into(), format)
    }))
}
