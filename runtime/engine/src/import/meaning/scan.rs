//! Operators that go along one axis: running sums, the largest elements, where they are.

use std::cmp::Ordering;

use super::super::element::Element;
use super::super::value::Value;
use super::index::{around, axis_of};
use super::moves::outputs_of;
use super::{Call, Inputs, input};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "CumSum" | "CumProd" => Ok(Some(vec![running(call, inputs)?])),
        "ReverseSequence" => Ok(Some(vec![reversed(call, inputs)?])),
        "ArgMax" | "ArgMin" => Ok(Some(vec![extreme_place(call, inputs)?])),
        "TopK" => top_k(call, inputs).map(Some),
        _ => Ok(None),
    }
}

/// Running sums or products.
fn running(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let axis = input(call, inputs, 1)?.i64s();
    let &[axis] = &*axis else {
        return Err(format!("{}: its axis is one number", call.op()));
    };
    let axis = axis_of(axis, x.shape.len())?;
    let (exclusive, reverse) = (call.int("exclusive", 0) != 0, call.int("reverse", 0) != 0);
    let [outer, length, inner] = around(&x.shape, axis);
    let product = call.op() == "CumProd";
    let places = |lane: usize| {
        let start = lane / inner.max(1) * length * inner + lane % inner.max(1);
        (0..length).map(move |at| start + inner * if reverse { length - 1 - at } else { at })
    };
    if x.element.is_float() {
        let mut values = x.floats();
        for lane in 0..outer * inner {
            let mut sum = if product { 1.0 } else { 0.0 };
            for at in places(lane) {
                let before = sum;
                sum = if product {
                    sum * values[at]
                } else {
                    sum + values[at]
                };
                values[at] = if exclusive { before } else { sum };
            }
        }
        return Ok(Value::of_floats(x.element, &x.shape, values.into_iter()));
    }
    let mut values = x.ints();
    for lane in 0..outer * inner {
        let mut sum = i128::from(product);
        for at in places(lane) {
            let before = sum;
            sum = match product {
                true => sum.wrapping_mul(values[at]),
                false => sum.wrapping_add(values[at]),
            };
            values[at] = if exclusive { before } else { sum };
        }
    }
    Ok(Value::of_ints(x.element, &x.shape, values.into_iter()))
}

/// Values that can be compared, whatever their type.
enum Ordered {
    Floats(Vec<f64>),
    Ints(Vec<i128>),
}

impl Ordered {
    fn of(x: &Value<'_>) -> Self {
        match x.element.is_float() {
            true => Self::Floats(x.floats()),
            false => Self::Ints(x.ints()),
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        match self {
            Self::Floats(values) => values[a].partial_cmp(&values[b]).unwrap_or(Ordering::Equal),
            Self::Ints(values) => values[a].cmp(&values[b]),
        }
    }
}

fn extreme_place(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (_, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let axis = axis_of(call.int("axis", 0), x.shape.len())?;
    let [outer, length, inner] = around(&x.shape, axis);
    let values = Ordered::of(x);
    let better = if call.op() == "ArgMax" {
        Ordering::Greater
    } else {
        Ordering::Less
    };
    let last = call.int("select_last_index", 0) != 0;
    let mut places = vec![];
    for lane in 0..outer * inner {
        let at = |index: usize| lane / inner * length * inner + lane % inner + index * inner;
        let mut best = 0;
        for index in 1..length {
            let order = values.compare(at(index), at(best));
            if order == better || (last && order == Ordering::Equal) {
                best = index;
            }
        }
        places.push(best as i64);
    }
    Ok(Value::of_i64(&shape, &places))
}

fn top_k(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let x = input(call, inputs, 0)?;
    let (_, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let axis = axis_of(call.int("axis", -1), x.shape.len())?;
    let [outer, length, inner] = around(&x.shape, axis);
    let k = shape[axis];
    let values = Ordered::of(x);
    let largest = call.int("largest", 1) == 1;
    let mut chosen = vec![0_usize; outer * k * inner];
    for lane in 0..outer * inner {
        let start = lane / inner * length * inner + lane % inner;
        let mut order: Vec<usize> = (0..length).collect();
        // Stable: of equal elements the first ones are taken.
        order.sort_by(|&a, &b| {
            let ascending = values.compare(start + a * inner, start + b * inner);
            if largest {
                ascending.reverse()
            } else {
                ascending
            }
        });
        for (at, index) in order.into_iter().take(k).enumerate() {
            chosen[lane / inner * k * inner + lane % inner + at * inner] = index;
        }
    }
    let size = x.element.size();
    let mut bytes = Vec::with_capacity(chosen.len() * size);
    for (at, index) in chosen.iter().enumerate() {
        let (row, column) = (at / (k * inner).max(1), at % inner.max(1));
        let from = (row * length + index) * inner + column;
        bytes.extend_from_slice(&x.bytes[from * size..][..size]);
    }
    let indices: Vec<i128> = chosen.into_iter().map(|index| index as i128).collect();
    let taken = Value {
        element: x.element,
        shape: shape.clone(),
        bytes: bytes.into(),
    };
    Ok(vec![
        taken,
        Value::of_ints(Element::I64, &shape, indices.into_iter()),
    ])
}

/// The first elements of each sequence, backwards; the rest stays.
fn reversed(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, lengths) = (input(call, inputs, 0)?, input(call, inputs, 1)?.i64s());
    let (time, batch) = (call.int("time_axis", 0), call.int("batch_axis", 1));
    let &[first, second, ..] = &*x.shape else {
        return Err(format!("ReverseSequence of {:?}", x.shape));
    };
    if ![(0, 1), (1, 0)].contains(&(time, batch)) {
        return Err(format!("ReverseSequence: axes {time} and {batch}"));
    }
    let (steps, sequences) = if time == 0 {
        (first, second)
    } else {
        (second, first)
    };
    let fits = |&length: &i64| usize::try_from(length).is_ok_and(|length| length <= steps);
    if lengths.len() != sequences || !lengths.iter().all(fits) {
        return Err(format!(
            "ReverseSequence: lengths {lengths:?} for {:?}",
            x.shape
        ));
    }
    let block = x.bytes.len() / (first * second).max(1);
    let mut bytes = Vec::with_capacity(x.bytes.len());
    for at in 0..first * second {
        let (a, b) = (at / second, at % second);
        let (step, sequence) = if time == 0 { (a, b) } else { (b, a) };
        let length = lengths[sequence] as usize;
        let from = if step < length {
            length - 1 - step
        } else {
            step
        };
        let place = if time == 0 {
            from * second + b
        } else {
            a * second + from
        };
        bytes.extend_from_slice(&x.bytes[place * block..][..block]);
    }
    Ok(Value {
        element: x.element,
        shape: x.shape.clone(),
        bytes: bytes.into(),
    })
}
