//! Shapes of gathers, scatters, reductions and selections.

use super::super::element::Element;
use super::super::meaning::{Call, axes_of, axis_of};
use super::{Facts, Inferred, at, known, one};

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let op = call.op();
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let (shape, rank) = (x.shape, x.shape.len());
    match op {
        "Gather" => {
            let Some(indices) = at(inputs, 1) else {
                return Ok(None);
            };
            let axis = axis_of(call.int("axis", 0), rank)?;
            let parts = [&shape[..axis], indices.shape, &shape[axis + 1..]];
            one(x.element, parts.concat())
        }
        "GatherElements" => {
            let Some(indices) = at(inputs, 1) else {
                return Ok(None);
            };
            axis_of(call.int("axis", 0), rank)?;
            if indices.shape.len() != rank {
                return Err(format!(
                    "GatherElements: indices {:?} for {shape:?}",
                    indices.shape
                ));
            }
            one(x.element, indices.shape.to_vec())
        }
        "GatherND" => {
            let Some(indices) = at(inputs, 1) else {
                return Ok(None);
            };
            let batch = usize::try_from(call.int("batch_dims", 0)).unwrap_or(usize::MAX);
            let misfit = || format!("GatherND: indices {:?} for {shape:?}", indices.shape);
            let (&depth, outer) = indices.shape.split_last().ok_or_else(misfit)?;
            let used = batch.checked_add(depth).filter(|&used| used <= rank);
            let used = used.ok_or_else(misfit)?;
            if batch > outer.len() || shape[..batch] != outer[..batch] {
                return Err(misfit());
            }
            one(x.element, [outer, &shape[used..]].concat())
        }
        "Scatter" | "ScatterElements" => {
            axis_of(call.int("axis", 0), rank)?;
            if let (Some(indices), Some(updates)) = (at(inputs, 1), at(inputs, 2))
                && (indices.shape != updates.shape || indices.shape.len() != rank)
            {
                return Err(format!("{op}: {:?} at {:?}", updates.shape, indices.shape));
            }
            one(x.element, shape.to_vec())
        }
        "ScatterND" => {
            if let (Some(indices), Some(updates)) = (at(inputs, 1), at(inputs, 2)) {
                let misfit = || format!("ScatterND: {:?} at {:?}", updates.shape, indices.shape);
                let (&depth, outer) = indices.shape.split_last().ok_or_else(misfit)?;
                let rest = shape.get(depth..).ok_or_else(misfit)?;
                if updates.shape != [outer, rest].concat() {
                    return Err(misfit());
                }
            }
            one(x.element, shape.to_vec())
        }
        "ArgMax" | "ArgMin" => {
            let axis = axis_of(call.int("axis", 0), rank)?;
            if shape[axis] == 0 {
                return Err(format!("{op} along an axis of no elements"));
            }
            one(
                Element::I64,
                reduced(shape, &[axis], call.int("keepdims", 1) == 1),
            )
        }
        "TopK" => top_k(call, inputs),
        "Det" => match shape {
            [outer @ .., rows, columns] if rows == columns => one(x.element, outer.to_vec()),
            _ => Err(format!("Det of {shape:?}")),
        },
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => loss(call, inputs),
        "NonZero" => match x.value {
            Some(value) => {
                let found = value.floats().iter().filter(|&&v| v != 0.0).count();
                one(Element::I64, vec![rank, found])
            }
            None => Ok(None),
        },
        "Compress" => compress(call, inputs),
        _ if op.starts_with("Reduce") => reduce(call, inputs),
        _ => Ok(None),
    }
}

fn top_k(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let k = match call.opset < 10 {
        true => Some(vec![call.int("k", 0)]),
        false => known(inputs, 1),
    };
    let Some(&[k]) = k.as_deref() else {
        return Ok(None);
    };
    let axis = axis_of(call.int("axis", -1), x.shape.len())?;
    let k = usize::try_from(k).ok().filter(|&k| k <= x.shape[axis]);
    let k = k.ok_or_else(|| {
        format!(
            "TopK: k is not within the {} elements of axis {axis}",
            x.shape[axis]
        )
    })?;
    let mut shape = x.shape.to_vec();
    shape[axis] = k;
    Ok(Some(vec![
        (x.element, shape.clone()),
        (Element::I64, shape),
    ]))
}

fn compress(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (Some(x), Some(kept)) = (at(inputs, 0), known(inputs, 1)) else {
        return Ok(None);
    };
    let chosen = |length: usize| kept.iter().take(length).filter(|&&kept| kept != 0).count();
    if !call.has("axis") {
        return one(x.element, vec![chosen(x.shape.iter().product())]);
    }
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let mut shape = x.shape.to_vec();
    shape[axis] = chosen(shape[axis]);
    one(x.element, shape)
}

/// The axes over which a reduction runs; `None` where they are not known.
pub fn reduced_axes(
    call: &Call<'_>,
    inputs: Facts<'_, '_>,
    rank: usize,
) -> Result<Option<Vec<usize>>, String> {
    let from_input = call.opset >= 18 || (call.op() == "ReduceSum" && call.opset >= 13);
    let given = match from_input {
        true if call.given(1) => {
            if let Some(axes) = at(inputs, 1).filter(|axes| axes.shape.len() > 1) {
                return Err(format!("{}: axes of shape {:?}", call.op(), axes.shape));
            }
            match known(inputs, 1) {
                Some(axes) => axes,
                None => return Ok(None),
            }
        }
        // Files of newer sets with the older attribute exist.
        _ => call.ints("axes").unwrap_or(&[]).to_vec(),
    };
    if given.is_empty() {
        let none = call.int("noop_with_empty_axes", 0) != 0;
        return Ok(Some(if none { vec![] } else { (0..rank).collect() }));
    }
    axes_of(&given, rank).map(Some)
}

pub(super) fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let lengths = shape.iter().enumerate();
    lengths
        .filter_map(|(axis, &length)| match (axes.contains(&axis), keep) {
            (false, _) => Some(length),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect()
}

fn reduce(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let Some(axes) = reduced_axes(call, inputs, x.shape.len())? else {
        return Ok(None);
    };
    one(
        x.element,
        reduced(x.shape, &axes, call.int("keepdims", 1) == 1),
    )
}

/// A loss of scores of classes (the second axis) against the right ones.
fn loss(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (Some(x), Some(labels)) = (at(inputs, 0), at(inputs, 1)) else {
        return Ok(None);
    };
    let misfit = || {
        let (x, labels) = (x.shape, labels.shape);
        format!("{}: labels {labels:?} for scores {x:?}", call.op())
    };
    let (&batch, rest) = x.shape.split_first().ok_or_else(misfit)?;
    let (&classes, area) = rest.split_first().ok_or_else(misfit)?;
    if labels.shape != [&[batch], area].concat() {
        return Err(misfit());
    }
    if let Some(weights) = at(inputs, 2)
        && weights.shape != [classes]
    {
        return Err(format!(
            "{}: {:?} weights for {classes} classes",
            call.op(),
            weights.shape
        ));
    }
    let shape = match call.text("reduction", "mean") {
        "none" => labels.shape.to_vec(),
        "mean" | "sum" => vec![],
        other => return Err(format!("{}: reduction {}", call.op(), other.escape_debug())),
    };
    Ok(Some(vec![
        (x.element, shape),
        (x.element, x.shape.to_vec()),
    ]))
}
