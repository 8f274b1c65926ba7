//! Shapes of operators that move elements, and of those that make tensors from numbers.

use super::super::element::Element;
use super::super::meaning::{Call, axis_of, broadcast};
use super::super::value::volume;
use super::layout::{padded, pads_of, slice_axes};
use super::{Facts, Inferred, at, known, one};

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    if let Some(made) = from_numbers(call, inputs)? {
        return Ok(Some(made));
    }
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let (shape, rank) = (x.shape, x.shape.len());
    match call.op() {
        "Shape" => {
            let clamp = |at: i64| {
                let count = rank as i64;
                (if at < 0 { at + count } else { at }).clamp(0, count)
            };
            let (start, end) = (
                clamp(call.int("start", 0)),
                clamp(call.int("end", i64::MAX)),
            );
            let count = usize::try_from((end - start).max(0)).unwrap_or(0);
            one(Element::I64, vec![count])
        }
        "Size" => one(Element::I64, vec![]),
        "EyeLike" => {
            if rank != 2 {
                return Err(format!("EyeLike of a tensor of {rank} axes"));
            }
            let element = match call.has("dtype") {
                true => Element::of_onnx(i32::try_from(call.int("dtype", 0)).unwrap_or(0)),
                false => Some(x.element),
            };
            element.map_or(Ok(None), |element| one(element, shape.to_vec()))
        }
        "Reshape" => reshape(call, inputs),
        "Flatten" => {
            let axis = call.int("axis", 1);
            let at = if axis == rank as i64 {
                rank
            } else {
                axis_of(axis, rank)?
            };
            let product = |axes: &[usize]| axes.iter().product();
            one(
                x.element,
                vec![product(&shape[..at]), product(&shape[at..])],
            )
        }
        "Squeeze" | "Unsqueeze" => squeeze(call, inputs),
        "Transpose" => {
            let perm = permutation(call, rank)?;
            one(x.element, perm.iter().map(|&axis| shape[axis]).collect())
        }
        "Concat" => concat(call, inputs),
        "Split" => split(call, inputs),
        "Slice" => {
            let Some(axes) = slice_axes(call, inputs)? else {
                return Ok(None);
            };
            one(x.element, axes.iter().map(|axis| axis.count).collect())
        }
        "Pad" => {
            let Some(pads) = pads_of(call, inputs)? else {
                return Ok(None);
            };
            let around = pads.before.iter().zip(&pads.after);
            let padded = shape
                .iter()
                .zip(around)
                .map(|(&length, (&before, &after))| padded(length, before, after));
            one(x.element, padded.collect::<Result<_, _>>()?)
        }
        "Expand" => {
            let Some(to) = known(inputs, 1) else {
                return Ok(None);
            };
            one(x.element, broadcast(&[shape, &lengths(&to)?])?)
        }
        "Tile" => {
            let Some(times) = known(inputs, 1) else {
                return Ok(None);
            };
            let times = lengths(&times)?;
            if times.len() != rank {
                return Err(format!("Tile: {} repeats for {rank} axes", times.len()));
            }
            let tiled = shape.iter().zip(&times);
            let tiled = tiled.map(|(&axis, &times)| axis.checked_mul(times));
            let tiled = tiled.collect::<Option<Vec<_>>>();
            one(x.element, tiled.ok_or("Tile: a shape that overflows")?)
        }
        "BitCast" => {
            let to = Element::of_onnx(i32::try_from(call.int("to", 0)).unwrap_or(0));
            match to.filter(|to| to.size() == x.element.size() && *to != Element::Bool) {
                Some(to) => one(to, shape.to_vec()),
                None => Err(format!("BitCast of {} to {}", x.element, call.int("to", 0))),
            }
        }
        "TensorScatter" => one(x.element, shape.to_vec()),
        "CenterCropPad" => {
            let Some(to) = known(inputs, 1) else {
                return Ok(None);
            };
            let axes = match call.ints("axes") {
                Some(axes) => axes.to_vec(),
                None => (0..).take(rank).collect(),
            };
            if axes.len() != to.len() {
                return Err(format!(
                    "CenterCropPad: {} lengths for {} axes",
                    to.len(),
                    axes.len()
                ));
            }
            super::super::meaning::axes_of(&axes, rank)?;
            let mut all = shape.to_vec();
            for (&axis, length) in axes.iter().zip(lengths(&to)?) {
                all[axis_of(axis, rank)?] = length;
            }
            one(x.element, all)
        }
        "DepthToSpace" | "SpaceToDepth" => blocks(call, x.element, shape),
        _ => Ok(None),
    }
}

fn from_numbers(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    match call.op() {
        "Constant" => {
            if let Some(value) = super::super::meaning::constant(call) {
                return one(value.element, value.shape);
            }
            Ok(None)
        }
        "ConstantOfShape" => {
            let Some(shape) = known(inputs, 0) else {
                return Ok(None);
            };
            let value = call.tensor("value");
            let element = value.map_or(Element::F32, |value| value.element);
            one(element, lengths(&shape)?)
        }
        "Range" => {
            let facts = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
            let [Some(start), Some(limit), Some(step)] = facts.map(|fact| fact?.value) else {
                return Ok(None);
            };
            if [start, limit, step].iter().any(|value| value.len() != 1) {
                return Err("Range: start, limit and step are one number each".to_owned());
            }
            one(start.element, vec![range_count(start, limit, step)?])
        }
        "OneHot" => {
            let (Some(indices), Some(values)) = (at(inputs, 0), at(inputs, 2)) else {
                return Ok(None);
            };
            let Some(&[depth]) = known(inputs, 1).as_deref() else {
                return Ok(None);
            };
            let depth = usize::try_from(depth).map_err(|_| format!("OneHot: depth {depth}"))?;
            let rank = indices.shape.len();
            let axis = axis_of(call.int("axis", -1), rank + 1)?;
            let mut shape = indices.shape.to_vec();
            shape.insert(axis, depth);
            one(values.element, shape)
        }
        _ => Ok(None),
    }
}

fn range_count(
    start: &super::Value<'_>,
    limit: &super::Value<'_>,
    step: &super::Value<'_>,
) -> Result<usize, String> {
    let too_many = || "Range: too many elements".to_owned();
    if start.element.is_float() {
        let [start, limit, step] = [start, limit, step].map(|value| value.floats()[0]);
        let count = ((limit - start) / step).ceil();
        if count.is_nan() {
            return Err("Range: a step of 0".to_owned());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        return match count {
            count if count <= 0.0 => Ok(0),
            count if count < 9e15 => Ok(count as usize),
            _ => Err(too_many()),
        };
    }
    let [start, limit, step] = [start, limit, step].map(|value| value.ints()[0]);
    if step == 0 {
        return Err("Range: a step of 0".to_owned());
    }
    let span = if step > 0 {
        limit - start
    } else {
        start - limit
    };
    let count = if span <= 0 {
        0
    } else {
        (span - 1) / step.abs() + 1
    };
    usize::try_from(count).map_err(|_| too_many())
}

fn lengths(values: &[i64]) -> Result<Vec<usize>, String> {
    let length = |&value: &i64| usize::try_from(value).map_err(|_| format!("a length of {value}"));
    values.iter().map(length).collect()
}

fn reshape(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (Some(x), Some(wanted)) = (at(inputs, 0), known(inputs, 1)) else {
        return Ok(None);
    };
    let misfit = || format!("Reshape of {:?} to {wanted:?}", x.shape);
    if let Some(list) = at(inputs, 1).filter(|list| list.shape.len() != 1) {
        return Err(format!(
            "Reshape to a shape that is of shape {:?}",
            list.shape
        ));
    }
    let keeps_zero = call.int("allowzero", 0) == 1;
    let mut shape = Vec::new();
    let mut open = None;
    for (index, &length) in wanted.iter().enumerate() {
        shape.push(match length {
            0 if !keeps_zero => *x.shape.get(index).ok_or_else(misfit)?,
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            length => usize::try_from(length).map_err(|_| misfit())?,
        });
    }
    let (all, rest) = (volume(x.shape), volume(&shape));
    let (Some(all), Some(rest)) = (all, rest) else {
        return Err(misfit());
    };
    match open {
        Some(index) if rest > 0 && all.is_multiple_of(rest) => shape[index] = all / rest,
        None if all == rest => {}
        _ => return Err(misfit()),
    }
    one(x.element, shape)
}

fn squeeze(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let rank = x.shape.len();
    let given = match call.opset < 13 {
        true => call.ints("axes").map(<[i64]>::to_vec),
        false if call.given(1) => match known(inputs, 1) {
            Some(axes) => Some(axes),
            None => return Ok(None),
        },
        false => None,
    };
    if call.op() == "Unsqueeze" {
        let given = given.ok_or("Unsqueeze without axes")?;
        let axes = super::super::meaning::axes_of(&given, rank + given.len())?;
        let mut shape = x.shape.to_vec();
        axes.iter().for_each(|&axis| shape.insert(axis, 1));
        return one(x.element, shape);
    }
    let axes = match given {
        Some(given) => super::super::meaning::axes_of(&given, rank)?,
        None => (0..rank).filter(|&axis| x.shape[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| x.shape[axis] != 1) {
        return Err(format!("Squeeze of axis {axis} of {:?}", x.shape));
    }
    let kept = (0..rank).filter(|axis| !axes.contains(axis));
    one(x.element, kept.map(|axis| x.shape[axis]).collect())
}

/// The order of axes of a `Transpose`.
pub(super) fn permutation(call: &Call<'_>, rank: usize) -> Result<Vec<usize>, String> {
    let Some(given) = call.ints("perm") else {
        return Ok((0..rank).rev().collect());
    };
    let wrong = || format!("Transpose: perm {given:?} of {rank} axes");
    let mut seen = vec![false; rank];
    let mut perm = Vec::new();
    for &axis in given {
        let axis = usize::try_from(axis).map_err(|_| wrong())?;
        let seen = seen.get_mut(axis).ok_or_else(wrong)?;
        if std::mem::replace(seen, true) {
            return Err(wrong());
        }
        perm.push(axis);
    }
    if perm.len() == rank {
        Ok(perm)
    } else {
        Err(wrong())
    }
}

fn concat(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(facts) = inputs.iter().copied().collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let Some(first) = facts.first() else {
        return Ok(None);
    };
    let default = if call.opset < 4 { 1 } else { i64::MAX };
    let axis = axis_of(call.int("axis", default), first.shape.len())?;
    let mut shape = first.shape.to_vec();
    shape[axis] = 0;
    for fact in &facts {
        let fits = fact.shape.len() == shape.len()
            && fact.element == first.element
            && (0..shape.len()).all(|other| other == axis || fact.shape[other] == shape[other]);
        if !fits {
            return Err(format!(
                "Concat of {}{:?} and {}{:?} along axis {axis}",
                first.element, first.shape, fact.element, fact.shape
            ));
        }
        let sum = shape[axis].checked_add(fact.shape[axis]);
        shape[axis] = sum.ok_or("Concat: a shape that overflows")?;
    }
    one(first.element, shape)
}

/// The length of each piece of a `Split`; `None` where it is not known.
pub(super) fn split_lengths(
    call: &Call<'_>,
    inputs: Facts<'_, '_>,
    length: usize,
) -> Result<Option<Vec<usize>>, String> {
    let given = match call.opset < 13 {
        true => call.ints("split").map(<[i64]>::to_vec),
        false if call.given(1) => match known(inputs, 1) {
            Some(given) => Some(given),
            None => return Ok(None),
        },
        false => None,
    };
    if let Some(given) = given {
        let all = lengths(&given)?;
        if all.iter().sum::<usize>() != length || all.len() != call.node.output.len() {
            return Err(format!("Split of {length} into {given:?}"));
        }
        return Ok(Some(all));
    }
    let pieces = call.node.output.len().max(1);
    let wanted = call.int("num_outputs", i64::try_from(pieces).unwrap_or(0));
    if usize::try_from(wanted) != Ok(pieces) {
        return Err(format!("Split into {wanted} for {pieces} outputs"));
    }
    let each = length.div_ceil(pieces);
    if !length.is_multiple_of(pieces) && call.opset < 18 {
        return Err(format!("Split of {length} into {pieces} equal parts"));
    }
    let start = |piece: usize| (piece * each).min(length);
    Ok(Some(
        (0..pieces)
            .map(|piece| start(piece + 1) - start(piece))
            .collect(),
    ))
}

fn split(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let Some(lengths) = split_lengths(call, inputs, x.shape[axis])? else {
        return Ok(None);
    };
    let piece = |length| {
        let mut shape = x.shape.to_vec();
        shape[axis] = length;
        (x.element, shape)
    };
    Ok(Some(lengths.into_iter().map(piece).collect()))
}

fn blocks(call: &Call<'_>, element: Element, shape: &[usize]) -> Inferred {
    let size = call.int("blocksize", 0);
    let size = usize::try_from(size).ok().filter(|&size| size > 0);
    let size = size.ok_or_else(|| {
        format!(
            "{}: a block size of {}",
            call.op(),
            call.int("blocksize", 0)
        )
    })?;
    let &[n, c, h, w] = shape else {
        return Err(format!("{} of {shape:?}", call.op()));
    };
    let misfit = || format!("{} of {shape:?} in blocks of {size}", call.op());
    let area = size.checked_mul(size).ok_or_else(misfit)?;
    let fits = match call.op() {
        "DepthToSpace" => c.is_multiple_of(area),
        _ => h.is_multiple_of(size) && w.is_multiple_of(size),
    };
    if !fits {
        return Err(misfit());
    }
    one(
        element,
        match call.op() {
            "DepthToSpace" => vec![n, c / area, h * size, w * size],
            _ => vec![n, c * area, h / size, w / size],
        },
    )
}
