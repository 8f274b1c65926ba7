//! Operators that pick or place elements by index.

use super::super::value::Value;
use super::index::{around, axis_of, strides};
use super::moves::outputs_of;
use super::{Call, Inputs, input};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let value = match call.op() {
        "Gather" => gather(call, inputs)?,
        "GatherElements" => gather_elements(call, inputs)?,
        "GatherND" => gather_nd(call, inputs)?,
        "Scatter" | "ScatterElements" => scatter_elements(call, inputs)?,
        "ScatterND" => scatter_nd(call, inputs)?,
        "NonZero" => non_zero(call, inputs)?,
        "Compress" => compress(call, inputs)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![value]))
}

/// An index that may count from the end.
fn place(op: &str, index: i128, length: usize) -> Result<usize, String> {
    let from_start = if index < 0 {
        index + length as i128
    } else {
        index
    };
    let found = usize::try_from(from_start).ok().filter(|&at| at < length);
    found.ok_or_else(|| format!("{op}: index {index} of an axis of {length} elements"))
}

fn shaped(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<usize>, String> {
    let mut outputs = outputs_of(call, inputs)?;
    Ok(outputs.swap_remove(0).1)
}

fn gather(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, indices) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let shape = shaped(call, inputs)?;
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let [outer, length, inner] = around(&x.shape, axis);
    let places: Vec<usize> = indices
        .ints()
        .into_iter()
        .map(|index| place("Gather", index, length))
        .collect::<Result<_, _>>()?;
    let block = inner * x.element.size();
    let mut bytes = Vec::with_capacity(outer * places.len() * block);
    for row in 0..outer {
        for at in &places {
            bytes.extend_from_slice(&x.bytes[(row * length + at) * block..][..block]);
        }
    }
    Ok(Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    })
}

/// Offsets in a tensor of `shape` at which `indices` along `axis` lie.
fn element_offsets(
    call: &Call<'_>,
    shape: &[usize],
    axis: usize,
    indices: &Value<'_>,
) -> Result<Vec<usize>, String> {
    let fits = (0..shape.len()).all(|other| other == axis || indices.shape[other] <= shape[other]);
    if !fits {
        return Err(format!(
            "{}: indices {:?} for {shape:?}",
            call.op(),
            indices.shape
        ));
    }
    let (own, steps) = (strides(shape), strides(&indices.shape));
    let mut offsets = vec![];
    for (at, index) in indices.ints().into_iter().enumerate() {
        let mut offset = place(call.op(), index, shape[axis])? * own[axis];
        for other in (0..shape.len()).filter(|&other| other != axis) {
            offset += at / steps[other] % indices.shape[other] * own[other];
        }
        offsets.push(offset);
    }
    Ok(offsets)
}

fn gather_elements(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, indices) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let shape = shaped(call, inputs)?;
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let size = x.element.size();
    let mut bytes = vec![];
    for offset in element_offsets(call, &x.shape, axis, indices)? {
        bytes.extend_from_slice(&x.bytes[offset * size..][..size]);
    }
    Ok(Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    })
}

fn gather_nd(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, indices) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let shape = shaped(call, inputs)?;
    let batch = call.int("batch_dims", 0) as usize;
    let depth = indices.shape.last().copied().unwrap_or(0);
    let own = strides(&x.shape);
    let batches: usize = x.shape[..batch].iter().product();
    let batch_elements: usize = x.shape[batch..].iter().product();
    let tuples = indices.ints();
    let block: usize = x.shape[batch + depth..].iter().product::<usize>() * x.element.size();
    let count: usize = indices.shape[..indices.shape.len() - 1].iter().product();
    let of_batch = count / batches.max(1);
    let mut bytes = vec![];
    for at in 0..count {
        let mut offset = at / of_batch.max(1) * batch_elements;
        for axis in 0..depth {
            let length = x.shape[batch + axis];
            offset += place("GatherND", tuples[at * depth + axis], length)? * own[batch + axis];
        }
        bytes.extend_from_slice(&x.bytes[offset * x.element.size()..][..block]);
    }
    Ok(Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    })
}

/// Puts `update` at an offset, joined with what is there.
struct Placed<'a> {
    joined: &'a str,
    value: Value<'static>,
}

impl Placed<'_> {
    fn put(&mut self, offset: usize, updates: &Value<'_>, at: usize) -> Result<(), String> {
        let size = self.value.element.size();
        let range = offset * size..(offset + 1) * size;
        let new = &updates.bytes[at * size..][..size];
        let bytes = self.value.bytes.to_mut();
        if self.joined == "none" {
            bytes[range].copy_from_slice(new);
            return Ok(());
        }
        let (element, one) = (self.value.element, [1]);
        let old = bytes[range.clone()].to_vec();
        let (old, new) = (
            Value::borrowed(element, &one, &old),
            Value::borrowed(element, &one, new),
        );
        let result = match element.is_float() {
            true => {
                let (a, b) = (old.floats()[0], new.floats()[0]);
                let joined = join(self.joined, a, b, [a + b, a * b])?;
                Value::of_floats(element, &one, std::iter::once(joined))
            }
            false => {
                let (a, b) = (old.ints()[0], new.ints()[0]);
                let joined = join(self.joined, a, b, [a.wrapping_add(b), a.wrapping_mul(b)])?;
                Value::of_ints(element, &one, std::iter::once(joined))
            }
        };
        bytes[range].copy_from_slice(&result.bytes);
        Ok(())
    }
}

fn join<T: PartialOrd>(how: &str, a: T, b: T, [sum, product]: [T; 2]) -> Result<T, String> {
    Ok(match how {
        "add" => sum,
        "mul" => product,
        "max" => {
            if b > a {
                b
            } else {
                a
            }
        }
        "min" => {
            if b < a {
                b
            } else {
                a
            }
        }
        other => return Err(format!("unknown reduction {other}")),
    })
}

fn scatter_elements(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, indices, updates) = (
        input(call, inputs, 0)?,
        input(call, inputs, 1)?,
        input(call, inputs, 2)?,
    );
    outputs_of(call, inputs)?;
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let mut placed = Placed {
        joined: call.text("reduction", "none"),
        value: x.clone().into_owned(),
    };
    for (at, offset) in element_offsets(call, &x.shape, axis, indices)?
        .into_iter()
        .enumerate()
    {
        placed.put(offset, updates, at)?;
    }
    Ok(placed.value)
}

fn scatter_nd(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, indices, updates) = (
        input(call, inputs, 0)?,
        input(call, inputs, 1)?,
        input(call, inputs, 2)?,
    );
    outputs_of(call, inputs)?;
    let depth = indices.shape.last().copied().unwrap_or(0);
    let own = strides(&x.shape);
    let block: usize = x.shape[depth..].iter().product();
    let tuples = indices.ints();
    let count: usize = indices.shape[..indices.shape.len() - 1].iter().product();
    let mut placed = Placed {
        joined: call.text("reduction", "none"),
        value: x.clone().into_owned(),
    };
    for at in 0..count {
        let mut offset = 0;
        for axis in 0..depth {
            offset += place("ScatterND", tuples[at * depth + axis], x.shape[axis])? * own[axis];
        }
        for inner in 0..block {
            placed.put(offset + inner, updates, at * block + inner)?;
        }
    }
    Ok(placed.value)
}

fn non_zero(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let own = strides(&x.shape);
    let found = x.floats().into_iter().enumerate();
    let found: Vec<usize> = found.filter(|&(_, v)| v != 0.0).map(|(at, _)| at).collect();
    let mut values = vec![];
    for (axis, step) in own.iter().enumerate() {
        values.extend(found.iter().map(|at| (at / step % x.shape[axis]) as i64));
    }
    Ok(Value::of_i64(&[x.shape.len(), found.len()], &values))
}

fn compress(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, kept) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let shape = shaped(call, inputs)?;
    let flat = [x.len()];
    let (own, axis): (&[usize], usize) = match call.has("axis") {
        true => (&x.shape, axis_of(call.int("axis", 0), x.shape.len())?),
        false => (&flat, 0),
    };
    let [outer, length, inner] = around(own, axis);
    let block = inner * x.element.size();
    let mut bytes = vec![];
    for row in 0..outer {
        for (at, _) in kept
            .ints()
            .iter()
            .enumerate()
            .take(length)
            .filter(|(_, kept)| **kept != 0)
        {
            bytes.extend_from_slice(&x.bytes[(row * length + at) * block..][..block]);
        }
    }
    Ok(Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    })
}
