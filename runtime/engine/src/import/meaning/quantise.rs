//! Quantising and dequantising, for every element type and granularity.

use super::super::element::Element;
use super::super::value::Value;
use super::index::{axis_of, strides};
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "QuantizeLinear" => Ok(Some(vec![quantise(call, inputs)?])),
        "DequantizeLinear" => Ok(Some(vec![dequantise(call, inputs)?])),
        "DynamicQuantizeLinear" => dynamic(call, inputs).map(Some),
        "MatMulNBits" => Ok(Some(vec![packed_product(call, inputs)?])),
        _ => Ok(None),
    }
}

/// For each element of a tensor of `shape` the index of its scale.
fn scale_indices(
    call: &Call<'_>,
    shape: &[usize],
    scale: &Value<'_>,
) -> Result<Vec<usize>, String> {
    let count: usize = shape.iter().product();
    if scale.len() == 1 {
        return Ok(vec![0; count]);
    }
    let axis = axis_of(call.int("axis", 1), shape.len())?;
    let own = strides(shape);
    let block = usize::try_from(call.int("block_size", 0)).unwrap_or(0);
    if block == 0 {
        if scale.shape.len() != 1 || scale.len() != shape[axis] {
            return Err(format!(
                "{}: scales {:?} along axis {axis} of {shape:?}",
                call.op(),
                scale.shape
            ));
        }
        return Ok((0..count).map(|at| at / own[axis] % shape[axis]).collect());
    }
    let fits = scale.shape.len() == shape.len()
        && (0..shape.len()).all(|other| {
            let wanted = if other == axis {
                shape[axis].div_ceil(block)
            } else {
                shape[other]
            };
            scale.shape[other] == wanted
        });
    if !fits {
        return Err(format!(
            "{}: scales {:?} for {shape:?} in blocks of {block}",
            call.op(),
            scale.shape
        ));
    }
    let of_scale = strides(&scale.shape);
    let index = |at: usize| {
        (0..shape.len())
            .map(|other| {
                let place = at / own[other] % shape[other];
                of_scale[other] * if other == axis { place / block } else { place }
            })
            .sum()
    };
    Ok((0..count).map(index).collect())
}

fn zero_points(
    call: &Call<'_>,
    inputs: &Inputs<'_, '_>,
    count: usize,
) -> Result<Vec<i128>, String> {
    match optional(inputs, 2) {
        Some(zeros) if zeros.len() == count => Ok(zeros.ints()),
        Some(zeros) => Err(format!(
            "{}: {} zero points for {count} scales",
            call.op(),
            zeros.len()
        )),
        None => Ok(vec![0; count]),
    }
}

/// Division and rounding in single precision, as every runtime does it: half to even.
#[expect(clippy::cast_possible_truncation)]
fn steps(x: f64, scale: f64) -> f64 {
    f64::from(libm::rintf(x as f32 / scale as f32))
}

fn quantise(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, scale) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let indices = scale_indices(call, &shape, scale)?;
    let (scales, zeros) = (scale.floats(), zero_points(call, inputs, scale.len())?);
    if element.is_eighth() {
        #[expect(clippy::cast_possible_truncation)]
        let values = x
            .floats()
            .into_iter()
            .zip(indices)
            .map(|(x, at)| f64::from(x as f32 / scales[at] as f32));
        let saturates = call.int("saturate", 1) != 0;
        return Ok(Value::of_eighths(element, &shape, values, saturates));
    }
    let (low, high) = element.range();
    let values = x.floats().into_iter().zip(indices).map(|(x, at)| {
        let steps = steps(x, scales[at]);
        // NaN has no place among integers; the smallest one is what x86 conversions give.
        let steps = if steps.is_nan() {
            f64::NEG_INFINITY
        } else {
            steps
        };
        #[expect(clippy::cast_possible_truncation)]
        let steps = steps as i128;
        steps.saturating_add(zeros[at]).clamp(low, high)
    });
    Ok(Value::of_ints(
        element,
        &shape,
        values.collect::<Vec<_>>().into_iter(),
    ))
}

fn dequantise(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, scale) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let indices = scale_indices(call, &shape, scale)?;
    let (scales, zeros) = (scale.floats(), zero_points(call, inputs, scale.len())?);
    if x.element.is_eighth() {
        let values = x.floats().into_iter().zip(indices);
        let values: Vec<f64> = values.map(|(x, at)| x * scales[at]).collect();
        return Ok(Value::of_floats(element, &shape, values.into_iter()));
    }
    #[expect(clippy::cast_precision_loss)]
    let values = x
        .ints()
        .into_iter()
        .zip(indices)
        .map(|(x, at)| f64::from((x - zeros[at]) as f32) * scales[at]);
    Ok(Value::of_floats(
        element,
        &shape,
        values.collect::<Vec<_>>().into_iter(),
    ))
}

#[expect(clippy::cast_possible_truncation)]
fn dynamic(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let x = input(call, inputs, 0)?;
    let values: Vec<f32> = x.floats().into_iter().map(|v| v as f32).collect();
    let low = values
        .iter()
        .copied()
        .fold(0.0_f32, |a, b| if b < a { b } else { a });
    let high = values
        .iter()
        .copied()
        .fold(0.0_f32, |a, b| if b > a { b } else { a });
    // What is not a number has no place among bytes and must not be lost: it shows in what the scale multiplies.
    let scale = match values.iter().any(|v| v.is_nan()) {
        true => f32::NAN,
        false if high == low => 1.0,
        false => (high - low) / 255.0,
    };
    let zero = libm::rintf((0.0 - low / scale).clamp(0.0, 255.0));
    let zero = if zero.is_nan() { 0.0 } else { zero };
    let quantised = values.iter().map(|v| {
        let steps = libm::rintf(v / scale) + zero;
        (if steps.is_nan() {
            0.0
        } else {
            steps.clamp(0.0, 255.0)
        }) as i128
    });
    Ok(vec![
        Value::of_ints(Element::U8, &x.shape, quantised),
        Value::of_floats(Element::F32, &[], std::iter::once(f64::from(scale))),
        Value::of_ints(Element::U8, &[], std::iter::once(zero as i128)),
    ])
}

/// The weights of a `MatMulNBits` as floats, one row of `K` for each of the `N` columns.
///
/// # Errors
/// When the sizes of weights, scales or zero points do not fit.
pub fn unpacked_weights(
    call: &Call<'_>,
    packed: &Value<'_>,
    scales: &Value<'_>,
    zeros: Option<&Value<'_>>,
) -> Result<Vec<f32>, String> {
    let size = |name: &str, default: i64| usize::try_from(call.int(name, default)).unwrap_or(0);
    let (k, n, block, bits) = (
        size("K", 0),
        size("N", 0),
        size("block_size", 0),
        size("bits", 4),
    );
    if block == 0 || !matches!(bits, 2 | 4 | 8) {
        return Err(format!("MatMulNBits: {bits} bits in blocks of {block}"));
    }
    let blocks = k.div_ceil(block);
    let block_bytes = block * bits / 8;
    let row_bytes = (blocks * bits).div_ceil(8);
    let wanted = n
        .checked_mul(blocks)
        .and_then(|count| count.checked_mul(block_bytes));
    if wanted != Some(packed.len()) || Some(scales.len()) != n.checked_mul(blocks) {
        return Err(format!(
            "MatMulNBits: {} bytes and {} scales for {n} columns of {blocks} blocks",
            packed.len(),
            scales.len()
        ));
    }
    let per_byte = 8 / bits;
    let mask = u8::try_from((1_u32 << bits) - 1).unwrap_or(u8::MAX);
    let part =
        |bytes: &[u8], index: usize| bytes[index / per_byte] >> (index % per_byte * bits) & mask;
    let scale_values = scales.floats();
    let default = f64::from(1_u32 << (bits - 1));
    let zero_floats = zeros
        .filter(|zeros| zeros.element.is_float())
        .map(Value::floats);
    match (zeros, &zero_floats) {
        (Some(zeros), Some(_)) if zeros.len() != n * blocks => {
            return Err(format!(
                "MatMulNBits: {} zero points for {n} columns",
                zeros.len()
            ));
        }
        (Some(zeros), None) if zeros.len() != n * row_bytes => {
            return Err(format!(
                "MatMulNBits: {} bytes of zero points for {n} columns",
                zeros.len()
            ));
        }
        _ => {}
    }
    let mut all = Vec::with_capacity(n * k);
    for column in 0..n {
        for index in 0..k {
            let block_at = index / block;
            let bytes = &packed.bytes[(column * blocks + block_at) * block_bytes..][..block_bytes];
            let value = f64::from(part(bytes, index % block));
            let zero = match (zeros, &zero_floats) {
                (_, Some(floats)) => floats[column * blocks + block_at],
                (Some(zeros), None) => f64::from(part(
                    &zeros.bytes[column * row_bytes..][..row_bytes],
                    block_at,
                )),
                (None, None) => default,
            };
            #[expect(clippy::cast_possible_truncation)]
            all.push(((value - zero) * scale_values[column * blocks + block_at]) as f32);
        }
    }
    Ok(all)
}

fn packed_product(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    if optional(inputs, 4).is_some() {
        return Err("MatMulNBits with an order of groups".to_owned());
    }
    let weights = unpacked_weights(
        call,
        input(call, inputs, 1)?,
        input(call, inputs, 2)?,
        optional(inputs, 3),
    )?;
    let bias = optional(inputs, 5).map(Value::floats);
    let (k, n) = (
        x.shape.last().copied().unwrap_or(1),
        shape.last().copied().unwrap_or(1),
    );
    let values = x.floats();
    let count: usize = shape.iter().product();
    let product = (0..count).map(|at| {
        let (row, column) = (at / n, at % n);
        let sum: f64 = (0..k)
            .map(|i| values[row * k + i] * f64::from(weights[column * k + i]))
            .sum();
        sum + bias.as_ref().map_or(0.0, |bias| bias[column])
    });
    Ok(Value::of_floats(
        element,
        &shape,
        product.collect::<Vec<_>>().into_iter(),
    ))
}
