//! Operators that move elements or make tensors from numbers.

use super::super::element::Element;
use super::super::shapes::{Fact, Output, infer, pads_of, slice_axes};
use super::super::value::{Value, volume};
use super::index::{axis_of, broadcast_strides, each_offset, spread, strides};
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

/// Element types and shapes of a call's outputs, all of whose inputs are known.
pub(super) fn outputs_of(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Output>, String> {
    let facts: Vec<Option<Fact<'_>>> = inputs.iter().map(|value| value.map(Fact::of)).collect();
    infer(call, &facts)?.ok_or_else(|| format!("{}: no shape can be told", call.op()))
}

fn first_output(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Output, String> {
    let mut all = outputs_of(call, inputs)?;
    if all.is_empty() {
        return Err(format!("{} without an output", call.op()));
    }
    Ok(all.swap_remove(0))
}

/// The value of a `Constant`.
#[must_use]
pub fn constant(call: &Call<'_>) -> Option<Value<'static>> {
    if let Some(value) = call.tensor("value") {
        return Some(value);
    }
    if call.has("value_float") {
        let value = std::iter::once(call.float("value_float", 0.0));
        return Some(Value::of_floats(Element::F32, &[], value));
    }
    if call.has("value_int") {
        return Some(Value::of_i64(&[], &[call.int("value_int", 0)]));
    }
    if let Some(values) = call.ints("value_ints").filter(|_| call.has("value_ints")) {
        return Some(Value::of_i64(&[values.len()], values));
    }
    let floats = call
        .node
        .attribute
        .iter()
        .find(|a| a.name == "value_floats")?;
    let values = floats.floats.iter().map(|&v| f64::from(v));
    Some(Value::of_floats(
        Element::F32,
        &[floats.floats.len()],
        values,
    ))
}

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let one = |value: Value<'static>| Ok(Some(vec![value]));
    match call.op() {
        "Constant" => one(constant(call).ok_or("Constant: its value cannot be computed with")?),
        "Shape" => {
            let x = input(call, inputs, 0)?;
            let (_, shape) = first_output(call, inputs)?;
            let rank = x.shape.len() as i64;
            let start = call.int("start", 0);
            let start = if start < 0 { start + rank } else { start }.clamp(0, rank);
            let axes = x.shape.iter().skip(start as usize).take(shape[0]);
            let axes: Vec<i64> = axes.map(|&axis| axis as i64).collect();
            one(Value::of_i64(&shape, &axes))
        }
        "Size" => one(Value::of_i64(&[], &[input(call, inputs, 0)?.len() as i64])),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "BitCast" => {
            let (element, shape) = first_output(call, inputs)?;
            let bytes = input(call, inputs, 0)?.bytes.to_vec().into();
            one(Value {
                element,
                shape,
                bytes,
            })
        }
        "Dropout" => {
            let x = input(call, inputs, 0)?;
            let outputs = outputs_of(call, inputs)?;
            let (mask, shape) = outputs
                .get(1)
                .cloned()
                .unwrap_or((Element::Bool, x.shape.clone()));
            let ones = Value::of_ints(mask, &shape, std::iter::repeat_n(1, x.len()));
            Ok(Some(vec![x.clone().into_owned(), ones]))
        }
        "Transpose" => {
            let x = input(call, inputs, 0)?;
            let (_, shape) = first_output(call, inputs)?;
            let own = strides(&x.shape);
            let steps: Vec<usize> = match call.ints("perm") {
                Some(perm) => perm.iter().map(|&axis| own[axis as usize]).collect(),
                None => own.into_iter().rev().collect(),
            };
            one(walk(x, &shape, 0, &steps))
        }
        "Expand" => {
            let x = input(call, inputs, 0)?;
            let (_, shape) = first_output(call, inputs)?;
            one(walk(x, &shape, 0, &broadcast_strides(&x.shape, &shape)))
        }
        "Slice" => one(slice(call, inputs)?),
        "CenterCropPad" => one(centred(call, inputs)?),
        "TensorScatter" => one(written(call, inputs)?),
        "Tile" => one(tile(call, inputs)?),
        "Pad" => one(pad(call, inputs)?),
        "Concat" => one(concat(call, inputs)?),
        "Split" => split(call, inputs),
        "DepthToSpace" | "SpaceToDepth" => one(blocks(call, inputs)?),
        "Trilu" => one(triangle(call, inputs)?),
        "ReverseSequence" => Ok(None),
        "ConstantOfShape" => {
            let (element, shape) = first_output(call, inputs)?;
            let count = volume(&shape).ok_or("ConstantOfShape: a shape that overflows")?;
            let one_element = match call.tensor("value") {
                Some(value) => value.bytes.into_owned(),
                None => vec![0; element.size()],
            };
            one(Value {
                element,
                shape,
                bytes: one_element.repeat(count).into(),
            })
        }
        "Range" => one(range(call, inputs)?),
        "EyeLike" => {
            let (element, shape) = first_output(call, inputs)?;
            let mark = Value::of_ints(element, &[1], std::iter::once(1)).bytes;
            let size = element.size();
            let mut bytes = vec![0; shape[0] * shape[1] * size];
            for row in 0..shape[0] {
                let column = call.int("k", 0).checked_add_unsigned(row as u64);
                let column = column.and_then(|column| usize::try_from(column).ok());
                if let Some(column) = column.filter(|&column| column < shape[1]) {
                    bytes[(row * shape[1] + column) * size..][..size].copy_from_slice(&mark);
                }
            }
            one(Value {
                element,
                shape,
                bytes: bytes.into(),
            })
        }
        "OneHot" => one(one_hot(call, inputs)?),
        _ => Ok(None),
    }
}

/// Elements at steps from a start, which may lie in any order.
fn walk(x: &Value<'_>, shape: &[usize], start: usize, steps: &[usize]) -> Value<'static> {
    let size = x.element.size();
    let mut bytes = Vec::with_capacity(volume(shape).unwrap_or(0) * size);
    each_offset(shape, steps, |at| {
        bytes.extend_from_slice(&x.bytes[(start + at) * size..][..size]);
    });
    Value {
        element: x.element,
        shape: shape.to_vec(),
        bytes: bytes.into(),
    }
}

/// Elements whose places along each axis are given; `None` is a place outside.
fn picked(x: &Value<'_>, places: &[Vec<Option<usize>>], outside: &[u8]) -> Value<'static> {
    let shape: Vec<usize> = places.iter().map(Vec::len).collect();
    let own = strides(&x.shape);
    let size = x.element.size();
    let count = volume(&shape).unwrap_or(0);
    let mut bytes = Vec::with_capacity(count * size);
    let mut at = vec![0_usize; shape.len()];
    for _ in 0..count {
        let offset = at
            .iter()
            .enumerate()
            .map(|(axis, &at)| Some(places[axis][at]? * own[axis]))
            .sum::<Option<usize>>();
        match offset {
            Some(offset) => bytes.extend_from_slice(&x.bytes[offset * size..][..size]),
            None => bytes.extend_from_slice(outside),
        }
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    }
}

fn slice(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let facts: Vec<Option<Fact<'_>>> = inputs.iter().map(|value| value.map(Fact::of)).collect();
    let axes = slice_axes(call, &facts)?.ok_or("Slice: starts and ends are missing")?;
    let places: Vec<Vec<Option<usize>>> = axes
        .iter()
        .map(|axis| {
            let place = |index: usize| axis.start as i128 + index as i128 * i128::from(axis.step);
            (0..axis.count)
                .map(|index| usize::try_from(place(index)).ok())
                .collect()
        })
        .collect();
    Ok(picked(x, &places, &[]))
}

fn tile(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (_, shape) = first_output(call, inputs)?;
    let axes = x.shape.iter().zip(&shape);
    let places: Vec<Vec<Option<usize>>> = axes
        .map(|(&own, &all)| (0..all).map(|at| Some(at % own)).collect())
        .collect();
    Ok(picked(x, &places, &[]))
}

fn pad(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let facts: Vec<Option<Fact<'_>>> = inputs.iter().map(|value| value.map(Fact::of)).collect();
    let pads = pads_of(call, &facts)?.ok_or("Pad: its pads are missing")?;
    let (_, shape) = first_output(call, inputs)?;
    let mode = call.text("mode", "constant");
    let mut places = vec![];
    for (axis, &length) in shape.iter().enumerate() {
        // Negative pads take elements away first; the others repeat what is left.
        let cut = |pad: i64| usize::try_from(-pad.min(0)).unwrap_or(0);
        let (first, last) = (
            cut(pads.before[axis]),
            x.shape[axis].saturating_sub(cut(pads.after[axis])),
        );
        let rest = last.saturating_sub(first) as i64;
        let before = pads.before[axis].max(0);
        let place = |at: usize| -> Result<Option<usize>, String> {
            let at = at as i64 - before;
            if (0..rest).contains(&at) {
                return Ok(Some(first + at as usize));
            }
            let empty = || format!("Pad: mode {mode} of an axis of no elements");
            let inside = match mode {
                "constant" => return Ok(None),
                _ if rest == 0 => return Err(empty()),
                "edge" => at.clamp(0, rest - 1),
                "wrap" => at.rem_euclid(rest),
                "reflect" if rest == 1 => 0,
                "reflect" => {
                    let around = at.rem_euclid(2 * (rest - 1));
                    around.min(2 * (rest - 1) - around)
                }
                other => return Err(format!("Pad: unknown mode {other}")),
            };
            Ok(Some(first + inside as usize))
        };
        places.push((0..length).map(place).collect::<Result<Vec<_>, _>>()?);
    }
    let outside = match optional(inputs, 2) {
        Some(value) if value.len() == 1 && value.element == x.element => value.bytes.to_vec(),
        Some(value) => {
            return Err(format!(
                "Pad: a {} of shape {:?} around {}",
                value.element, value.shape, x.element
            ));
        }
        None => {
            let value = std::iter::once(call.float("value", 0.0));
            Value::of_floats(x.element, &[], value).bytes.into_owned()
        }
    };
    Ok(picked(x, &places, &outside))
}

fn concat(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (element, shape) = first_output(call, inputs)?;
    let axis = axis_of(call.int("axis", 1), shape.len())?;
    let outer: usize = shape[..axis].iter().product();
    let mut bytes = Vec::new();
    for block in 0..outer {
        for value in inputs.iter().flatten() {
            let length = value.bytes.len() / outer.max(1);
            bytes.extend_from_slice(&value.bytes[block * length..][..length]);
        }
    }
    Ok(Value {
        element,
        shape,
        bytes: bytes.into(),
    })
}

fn split(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let x = input(call, inputs, 0)?;
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let mut start = 0;
    let mut pieces = vec![];
    for (element, shape) in outputs_of(call, inputs)? {
        let mut places: Vec<Vec<Option<usize>>> = x
            .shape
            .iter()
            .map(|&length| (0..length).map(Some).collect())
            .collect();
        places[axis] = (start..start + shape[axis]).map(Some).collect();
        start += shape[axis];
        let piece = picked(x, &places, &[]);
        pieces.push(Value { element, ..piece });
    }
    Ok(Some(pieces))
}

fn blocks(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = first_output(call, inputs)?;
    let size = call.int("blocksize", 1) as usize;
    let &[n, c, h, w] = &*x.shape else {
        return Err(format!("{} of {:?}", call.op(), x.shape));
    };
    let (split, order): (Vec<usize>, [usize; 6]) = match (call.op(), call.text("mode", "DCR")) {
        ("DepthToSpace", "DCR") => (
            vec![n, size, size, c / (size * size), h, w],
            [0, 3, 4, 1, 5, 2],
        ),
        ("DepthToSpace", _) => (
            vec![n, c / (size * size), size, size, h, w],
            [0, 1, 4, 2, 5, 3],
        ),
        _ => (
            vec![n, c, h / size, size, w / size, size],
            [0, 3, 5, 1, 2, 4],
        ),
    };
    let own = strides(&split);
    let moved: Vec<usize> = order.iter().map(|&axis| split[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
    let walked = walk(x, &moved, 0, &steps);
    Ok(Value {
        element,
        shape,
        bytes: walked.bytes,
    })
}

fn triangle(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let k = match optional(inputs, 1) {
        Some(k) if k.len() == 1 => k.ints()[0],
        Some(k) => return Err(format!("Trilu: k of shape {:?}", k.shape)),
        None => 0,
    };
    let &[.., rows, columns] = &*x.shape else {
        return Err("Trilu of a tensor of less than two axes".to_owned());
    };
    let upper = call.int("upper", 1) != 0;
    let size = x.element.size();
    let mut bytes = x.bytes.to_vec();
    for (at, element) in bytes.chunks_mut(size).enumerate() {
        let (row, column) = ((at / columns.max(1)) % rows.max(1), at % columns.max(1));
        let diagonal = column as i128 - row as i128;
        if (upper && diagonal < k) || (!upper && diagonal > k) {
            element.fill(0);
        }
    }
    Ok(Value {
        element: x.element,
        shape: x.shape.clone(),
        bytes: bytes.into(),
    })
}

fn range(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (element, shape) = first_output(call, inputs)?;
    let (start, step) = (input(call, inputs, 0)?, input(call, inputs, 2)?);
    if !element.is_float() {
        let (start, step) = (start.ints()[0], step.ints()[0]);
        let values = (0..shape[0]).map(|index| start + index as i128 * step);
        return Ok(Value::of_ints(element, &shape, values));
    }
    let (start, step) = (start.floats()[0], step.floats()[0]);
    // ONNX Runtime multiplies in double precision where it has it, and adds up in none of its types.
    Ok(Value::of_floats(
        element,
        &shape,
        (0..shape[0]).map(|index| start + index as f64 * step),
    ))
}

fn one_hot(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (element, shape) = first_output(call, inputs)?;
    let (indices, values) = (input(call, inputs, 0)?, input(call, inputs, 2)?);
    if values.len() != 2 {
        return Err(format!("OneHot: values of shape {:?}", values.shape));
    }
    let axis = axis_of(call.int("axis", -1), shape.len())?;
    let depth = shape[axis] as i128;
    let mut with_one = indices.shape.clone();
    with_one.insert(axis, 1);
    let wanted = indices
        .ints()
        .into_iter()
        .map(|index| if index < 0 { index + depth } else { index });
    let wanted = spread(&wanted.collect::<Vec<_>>(), &with_one, &shape);
    let inner: usize = shape[axis + 1..].iter().product();
    let size = element.size();
    let mut bytes = Vec::with_capacity(wanted.len() * size);
    for (at, index) in wanted.into_iter().enumerate() {
        let place = (at / inner.max(1)) as i128 % depth.max(1);
        let chosen = usize::from(place == index);
        bytes.extend_from_slice(&values.bytes[chosen * size..][..size]);
    }
    Ok(Value {
        element,
        shape,
        bytes: bytes.into(),
    })
}

/// The middle of a tensor, or a tensor with zeros around it, axis by axis.
fn centred(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = first_output(call, inputs)?;
    let (own, size) = (strides(&x.shape), element.size());
    let mut bytes = vec![0; volume(&shape).unwrap_or(0) * size];
    let to = strides(&shape);
    for (number, place) in bytes.chunks_mut(size).enumerate() {
        let mut from = Some(0);
        for axis in 0..shape.len() {
            let at = number / to[axis] % shape[axis];
            let (before, cut) = (
                shape[axis].saturating_sub(x.shape[axis]) / 2,
                x.shape[axis].saturating_sub(shape[axis]) / 2,
            );
            let at = (at + cut).checked_sub(before);
            let at = at.filter(|&at| at < x.shape[axis]);
            from = from.zip(at).map(|(from, at)| from + at * own[axis]);
        }
        if let Some(from) = from {
            place.copy_from_slice(&x.bytes[from * size..][..size]);
        }
    }
    Ok(Value {
        element,
        shape,
        bytes: bytes.into(),
    })
}

/// A cache with new rows written into it, of each batch from an index on.
fn written(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (cache, update) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let axis = axis_of(call.int("axis", -2), cache.shape.len())?;
    let indices = optional(inputs, 2).map(Value::i64s).unwrap_or_default();
    let circular = match call.text("mode", "linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(format!("TensorScatter: mode {}", other.escape_debug())),
    };
    let [outer, rows, inner] = super::index::around(&cache.shape, axis);
    let [_, new, _] = super::index::around(&update.shape, axis);
    let fits = axis > 0
        && cache.shape.len() == update.shape.len()
        && (0..cache.shape.len()).all(|at| at == axis || cache.shape[at] == update.shape[at]);
    if !fits {
        let (cache, update) = (&cache.shape, &update.shape);
        return Err(format!("TensorScatter of {update:?} into {cache:?}"));
    }
    let (batch, width) = (cache.shape[0], inner * cache.element.size());
    let mut bytes = cache.bytes.to_vec();
    for lane in 0..outer {
        let start = indices.get(lane / (outer / batch.max(1)).max(1)).copied();
        for row in 0..new {
            let wrong = || format!("TensorScatter: row {row} from {start:?} of {rows}");
            let at = usize::try_from(start.unwrap_or(0)).map_err(|_| wrong())? + row;
            let at = if circular { at % rows.max(1) } else { at };
            if at >= rows {
                return Err(wrong());
            }
            let from = &update.bytes[(lane * new + row) * width..][..width];
            bytes[(lane * rows + at) * width..][..width].copy_from_slice(from);
        }
    }
    Ok(Value {
        element: cache.element,
        shape: cache.shape.clone(),
        bytes: bytes.into(),
    })
}
