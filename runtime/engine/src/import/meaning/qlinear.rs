//! Arithmetic on quantised tensors as ONNX Runtime does it on x86-64: exact integers, then single precision in a fixed order.

use super::super::element::Element;
use super::super::value::Value;
use super::index::{around, axis_of, spread};
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

/// Operators of this file. No file can name them: the expansions of quantised operators write them.
pub const REQUANTISE: &str = "WinkRequantise";
/// `QLinearAdd`.
pub const ADD: &str = "WinkQuantisedAdd";
/// `QLinearMul`.
pub const MUL: &str = "WinkQuantisedMul";
/// `QLinearSoftmax`.
pub const SOFTMAX: &str = "WinkQuantisedSoftmax";
/// `QLinearGlobalAveragePool`.
pub const MEAN: &str = "WinkQuantisedMean";
/// Attribute of [`REQUANTISE`]: the zero point is added before rounding, not after.
pub const ZERO_FIRST: &str = "zero_first";

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let value = match call.op() {
        REQUANTISE => requantise(call, inputs)?,
        ADD => sum(call, inputs)?,
        MUL => product(call, inputs)?,
        SOFTMAX => softmax(call, inputs)?,
        MEAN => mean(call, inputs)?,
        _ => return Ok(None),
    };
    Ok(Some(vec![value]))
}

/// A scale and a zero point, which are those of a whole tensor.
struct Steps {
    scale: f32,
    zero: i128,
}

#[expect(clippy::cast_possible_truncation)]
fn singles(value: &Value<'_>) -> Vec<f32> {
    value.floats().into_iter().map(|v| v as f32).collect()
}

#[expect(clippy::cast_precision_loss)]
fn single(value: i128) -> f32 {
    value as f32
}

fn steps(call: &Call<'_>, inputs: &Inputs<'_, '_>, first: usize) -> Result<Steps, String> {
    let scale = singles(input(call, inputs, first)?);
    let zero = optional(inputs, first + 1).map_or(vec![0], Value::ints);
    match (&*scale, &*zero) {
        (&[scale], &[zero]) => Ok(Steps { scale, zero }),
        _ => Err(format!("{}: one scale and zero point", call.op())),
    }
}

/// Rounded half to even and saturated.
#[expect(clippy::cast_possible_truncation)]
fn saturated(element: Element, value: f32, zero: i128) -> i128 {
    let (low, high) = element.range();
    (libm::rintf(value) as i128)
        .saturating_add(zero)
        .clamp(low, high)
}

fn requantise(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, factors) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let zero = input(call, inputs, 2)?.ints();
    let &[zero] = &*zero else {
        return Err(format!("{}: one zero point", call.op()));
    };
    let factors = singles(factors);
    let count = factors.len();
    let inner = match count {
        1 => 1,
        _ => {
            let axis = axis_of(call.int("axis", -1), shape.len())?;
            if shape[axis] != count {
                return Err(format!("{}: {count} scales along {shape:?}", call.op()));
            }
            around(&shape, axis)[2]
        }
    };
    let factor = |at: usize| factors[if count == 1 { 0 } else { at / inner % count }];
    let values: Vec<i128> = match call.int(ZERO_FIRST, 0) {
        0 => {
            let sums = x.ints().into_iter().enumerate();
            sums.map(|(at, sum)| saturated(element, single(sum) * factor(at), zero))
                .collect()
        }
        _ => {
            let values = singles(x).into_iter().enumerate();
            values
                .map(|(at, v)| saturated(element, v / factor(at) + single(zero), 0))
                .collect()
        }
    };
    Ok(Value::of_ints(element, &shape, values.into_iter()))
}

/// The values of both tensors of an operator of two, broadcast, and the steps of these and of the output.
fn both(
    call: &Call<'_>,
    inputs: &Inputs<'_, '_>,
    shape: &[usize],
) -> Result<([Vec<i128>; 2], [Steps; 3]), String> {
    let (a, b) = (input(call, inputs, 0)?, input(call, inputs, 3)?);
    let values = [a, b].map(|of| spread(&of.ints(), &of.shape, shape));
    let [a, b, y] = [1, 4, 6].map(|first| steps(call, inputs, first));
    Ok((values, [a?, b?, y?]))
}

fn sum(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let ([left, right], [a, b, y]) = both(call, inputs, &shape)?;
    let (of_a, of_b) = (a.scale / y.scale, b.scale / y.scale);
    let offset = single(y.zero) - of_a.mul_add(single(a.zero), of_b * single(b.zero));
    let values = left.into_iter().zip(right).map(|(a, b)| {
        let rest = single(b).mul_add(of_b, offset);
        saturated(element, single(a).mul_add(of_a, rest), 0)
    });
    Ok(Value::of_ints(element, &shape, values))
}

fn product(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let ([left, right], [a, b, y]) = both(call, inputs, &shape)?;
    let factor = a.scale * b.scale / y.scale;
    let values = left.into_iter().zip(right).map(|(left, right)| {
        let exact = single((left - a.zero) * (right - b.zero));
        saturated(element, exact * factor + single(y.zero), 0)
    });
    Ok(Value::of_ints(element, &shape, values))
}

/// Powers come from a table for differences to the largest value of a row. Its entries are scaled so that a row's sum stays finite,
/// and the output's scale is rounded to one over an integer.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn softmax(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let whole = call.int("opset", 13) < 13;
    let axis = axis_of(call.int("axis", if whole { 1 } else { -1 }), shape.len())?;
    let [outer, mut length, mut inner] = around(&shape, axis);
    if whole {
        (length, inner) = (length * inner, 1);
    }
    let scale = f64::from(steps(call, inputs, 1)?.scale);
    let y = steps(call, inputs, 3)?;
    let room = f64::from(f32::MAX / length as f32).ln();
    let shift = (room - 5.0).max(0.0) / scale;
    let table: Vec<f32> = (0..256)
        .map(|below| ((shift - f64::from(below)) * scale).exp() as f32)
        .collect();
    let per_one = (1.0 / y.scale).floor();
    let values = x.ints();
    let mut made = vec![0; values.len()];
    for row in 0..outer * inner {
        let start = row / inner * length * inner + row % inner;
        let row = || (0..length).map(|at| start + at * inner);
        let highest = row().map(|at| values[at]).max().unwrap_or(0);
        let power = |at: usize| table[(highest - values[at]).clamp(0, 255) as usize];
        let sum: f32 = row().map(power).sum();
        for at in row() {
            made[at] = saturated(element, power(at) * per_one / sum, y.zero);
        }
    }
    Ok(Value::of_ints(element, &shape, made.into_iter()))
}

/// Of all axes but the batch and the channels, which stand second or, with `channels_last`, at the end.
#[expect(clippy::cast_precision_loss)]
fn mean(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let (of_x, y) = (steps(call, inputs, 1)?, steps(call, inputs, 3)?);
    let last = call.int("channels_last", 0) != 0;
    let channels = shape[if last { shape.len() - 1 } else { 1 }];
    let pixels = x.len() / (shape[0] * channels).max(1);
    let factor = of_x.scale / (y.scale * pixels as f32);
    let mut sums = vec![0_i128; shape[0] * channels];
    for (at, value) in x.ints().into_iter().enumerate() {
        let to = match last {
            true => at / (pixels * channels) * channels + at % channels,
            false => at / pixels,
        };
        sums[to] += value - of_x.zero;
    }
    let values = sums
        .into_iter()
        .map(|sum| saturated(element, single(sum) * factor, y.zero));
    Ok(Value::of_ints(element, &shape, values))
}
