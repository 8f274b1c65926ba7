//! Convolutions and pools.

use super::super::element::Element;
use super::super::shapes::{Windows, transposed_windows, windows_of};
use super::super::value::Value;
use super::index::strides;
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "Conv" => Ok(Some(vec![convolution(call, inputs)?])),
        "ConvInteger" => Ok(Some(vec![integer_convolution(call, inputs)?])),
        "ConvTranspose" => Ok(Some(vec![transposed(call, inputs)?])),
        "MaxPool" => max_pool(call, inputs).map(Some),
        "AveragePool" => Ok(Some(vec![average_pool(call, inputs)?])),
        "LpPool" => Ok(Some(vec![lp_pool(call, inputs)?])),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
            Ok(Some(vec![global_pool(call, inputs)?]))
        }
        _ => Ok(None),
    }
}

/// Places in a spatial tensor that the window at `output` covers, with the number of each within the window.
fn covered(windows: &Windows, spatial: &[usize], output: &[usize]) -> Vec<(usize, usize)> {
    let count: usize = windows.kernel.iter().product();
    let (in_window, in_input) = (strides(&windows.kernel), strides(spatial));
    let mut places = vec![];
    'window: for number in 0..count {
        let mut offset = 0;
        for axis in 0..spatial.len() {
            let within = number / in_window[axis] % windows.kernel[axis];
            let at = output[axis] * windows.strides[axis] + within * windows.dilations[axis];
            match at.checked_sub(windows.before[axis]) {
                Some(at) if at < spatial[axis] => offset += at * in_input[axis],
                _ => continue 'window,
            }
        }
        places.push((number, offset));
    }
    places
}

fn positions(lengths: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let steps = strides(lengths);
    let count: usize = lengths.iter().product();
    let lengths = lengths.to_vec();
    (0..count).map(move |at| {
        let axes = steps.iter().zip(&lengths);
        axes.map(|(step, length)| at / step % length).collect()
    })
}

/// Sums of products of what each window covers with the weights of each output channel.
fn sums<T: Copy + std::iter::Sum<T> + std::ops::Mul<Output = T>>(
    x: (&[T], &[usize]),
    w: (&[T], &[usize]),
    groups: usize,
    windows: &Windows,
) -> Vec<T> {
    let ((x, x_shape), (w, w_shape)) = (x, w);
    let spatial = &x_shape[2..];
    let area: usize = spatial.iter().product();
    let window: usize = windows.kernel.iter().product();
    let places: Vec<_> = positions(&windows.output)
        .map(|at| covered(windows, spatial, &at))
        .collect();
    let (channels, of_group) = (x_shape[1], w_shape[1]);
    let outs_of_group = w_shape[0] / groups;
    let mut all = vec![];
    for batch in 0..x_shape[0] {
        for out in 0..w_shape[0] {
            let first = out / outs_of_group * of_group;
            for places in &places {
                let of_channel = |c: usize| {
                    let from = (batch * channels + first + c) * area;
                    let weights = (out * of_group + c) * window;
                    places
                        .iter()
                        .map(move |&(number, at)| x[from + at] * w[weights + number])
                };
                all.push((0..of_group).flat_map(of_channel).sum());
            }
        }
    }
    all
}

fn convolution(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, w) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = windows_of(call, &x.shape, w.shape.get(2..))?;
    let groups = usize::try_from(call.int("group", 1)).unwrap_or(1);
    let all = sums(
        (&x.floats(), &x.shape),
        (&w.floats(), &w.shape),
        groups,
        &windows,
    );
    let bias = optional(inputs, 2).map(Value::floats);
    let area: usize = windows.output.iter().product();
    let values = all.into_iter().enumerate().map(|(at, sum)| {
        sum + bias
            .as_ref()
            .map_or(0.0, |bias| bias[at / area.max(1) % shape[1]])
    });
    Ok(Value::of_floats(
        element,
        &shape,
        values.collect::<Vec<_>>().into_iter(),
    ))
}

fn integer_convolution(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, w) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = windows_of(call, &x.shape, w.shape.get(2..))?;
    let groups = usize::try_from(call.int("group", 1)).unwrap_or(1);
    let zeros = |index: usize| optional(inputs, index).map_or(vec![0], Value::ints);
    let (zero_x, zero_w) = (zeros(2), zeros(3));
    if zero_x.len() != 1 || (zero_w.len() != 1 && zero_w.len() != w.shape[0]) {
        return Err("ConvInteger: zero points that fit nothing".to_owned());
    }
    let of_channel = w.len() / w.shape[0].max(1);
    let x_values: Vec<i128> = x.ints().into_iter().map(|v| v - zero_x[0]).collect();
    let w_values = w.ints().into_iter().enumerate();
    let w_values: Vec<i128> = w_values
        .map(|(at, v)| {
            v - zero_w[if zero_w.len() == 1 {
                0
            } else {
                at / of_channel.max(1)
            }]
        })
        .collect();
    let all = sums(
        (&x_values, &x.shape),
        (&w_values, &w.shape),
        groups,
        &windows,
    );
    Ok(Value::of_ints(element, &shape, all.into_iter()))
}

fn transposed(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (x, w) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = transposed_windows(call, &x.shape, &w.shape[2..])?;
    let groups = usize::try_from(call.int("group", 1)).unwrap_or(1);
    let (channels, outs_of_group) = (x.shape[1], w.shape[1]);
    let of_group = channels / groups;
    // Each input element covers the places of the output that a convolution's window there would read.
    let spread_over: Vec<_> = positions(&x.shape[2..])
        .map(|at| covered(&windows, &shape[2..], &at))
        .collect();
    let (area, window) = (
        shape[2..].iter().product::<usize>(),
        windows.kernel.iter().product::<usize>(),
    );
    let bias = optional(inputs, 2).map(Value::floats);
    let outs = shape[1];
    let mut all: Vec<f64> = (0..shape[0] * outs * area)
        .map(|at| bias.as_ref().map_or(0.0, |bias| bias[at / area % outs]))
        .collect();
    let (x_values, w_values) = (x.floats(), w.floats());
    for (at, value) in x_values.iter().enumerate() {
        let (place, lane) = (at % spread_over.len(), at / spread_over.len());
        let (batch, channel) = (lane / channels, lane % channels);
        for out in 0..outs_of_group {
            let to = (batch * outs + channel / of_group * outs_of_group + out) * area;
            let weights = (channel * outs_of_group + out) * window;
            for &(number, offset) in &spread_over[place] {
                all[to + offset] += value * w_values[weights + number];
            }
        }
    }
    Ok(Value::of_floats(element, &shape, all.into_iter()))
}

/// What each window of the output covers.
fn covered_by_each(windows: &Windows, spatial: &[usize]) -> Vec<Vec<(usize, usize)>> {
    positions(&windows.output)
        .map(|at| covered(windows, spatial, &at))
        .collect()
}

fn max_pool(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = windows_of(call, &x.shape, None)?;
    let spatial = &x.shape[2..];
    let area: usize = spatial.iter().product();
    let places = covered_by_each(&windows, spatial);
    let column_major = call.int("storage_order", 0) != 0;
    let (own, values) = (strides(spatial), x.floats());
    let (mut largest, mut indices) = (vec![], vec![]);
    for lane in 0..x.shape[0] * x.shape[1] {
        for places in &places {
            let (mut best, mut found) = (f64::NEG_INFINITY, None);
            for &(_, at) in places {
                let value = values[lane * area + at];
                if found.is_none() || value > best || (value.is_nan() && !best.is_nan()) {
                    (best, found) = (value, Some(at));
                }
            }
            let at = found.unwrap_or(0);
            let index = match column_major {
                false => at,
                true => {
                    let mut step = 1;
                    (0..spatial.len())
                        .map(|axis| {
                            let place = at / own[axis] % spatial[axis] * step;
                            step *= spatial[axis];
                            place
                        })
                        .sum()
                }
            };
            largest.push(best);
            indices.push((lane * area + index) as i128);
        }
    }
    Ok(vec![
        Value::of_floats(element, &shape, largest.into_iter()),
        Value::of_ints(Element::I64, &shape, indices.into_iter()),
    ])
}

fn average_pool(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = windows_of(call, &x.shape, None)?;
    let spatial = &x.shape[2..];
    let area: usize = spatial.iter().product();
    let with_pads = call.int("count_include_pad", 0) != 0;
    let values = x.floats();
    let mut all = vec![];
    let windows_at: Vec<_> = positions(&windows.output)
        .map(|at| {
            let places = covered(&windows, spatial, &at);
            let count = match with_pads {
                true => padded_count(&windows, spatial, &at),
                false => places.len(),
            };
            (places, count)
        })
        .collect();
    for lane in 0..x.shape[0] * x.shape[1] {
        for (places, count) in &windows_at {
            let sum: f64 = places.iter().map(|&(_, at)| values[lane * area + at]).sum();
            all.push(sum / *count as f64);
        }
    }
    Ok(Value::of_floats(element, &shape, all.into_iter()))
}

/// How many elements of the padded input a window covers.
fn padded_count(windows: &Windows, spatial: &[usize], output: &[usize]) -> usize {
    (0..spatial.len())
        .map(|axis| {
            let end = spatial[axis] + windows.before[axis] + windows.after[axis];
            let at = |within: usize| {
                output[axis] * windows.strides[axis] + within * windows.dilations[axis]
            };
            (0..windows.kernel[axis])
                .filter(|&within| at(within) < end)
                .count()
        })
        .product()
}

fn global_pool(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let area: usize = x.shape[2..].iter().product();
    let values = x.floats();
    let lanes = values.chunks(area.max(1));
    let largest = |lane: &[f64]| {
        let first = lane.iter().copied();
        first.fold(
            f64::NEG_INFINITY,
            |a, b| if a > b || a.is_nan() { a } else { b },
        )
    };
    let pooled: Vec<f64> = match call.op() {
        "GlobalMaxPool" => lanes.map(largest).collect(),
        "GlobalLpPool" => {
            let power = call.int("p", 2) as f64;
            lanes
                .map(|lane| norm(lane.iter().copied(), power))
                .collect()
        }
        _ => lanes
            .map(|lane| lane.iter().sum::<f64>() / area as f64)
            .collect(),
    };
    Ok(Value::of_floats(element, &shape, pooled.into_iter()))
}

fn norm(values: impl Iterator<Item = f64>, power: f64) -> f64 {
    let sum: f64 = values.map(|v| libm::pow(v.abs(), power)).sum();
    libm::pow(sum, 1.0 / power)
}

fn lp_pool(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let windows = windows_of(call, &x.shape, None)?;
    let spatial = &x.shape[2..];
    let area: usize = spatial.iter().product();
    let places = covered_by_each(&windows, spatial);
    let (values, power) = (x.floats(), call.int("p", 2) as f64);
    let lanes = values.chunks(area.max(1));
    let all: Vec<f64> = lanes
        .flat_map(|lane| {
            let window =
                |places: &Vec<(usize, usize)>| norm(places.iter().map(|&(_, at)| lane[at]), power);
            places.iter().map(window).collect::<Vec<_>>()
        })
        .collect();
    Ok(Value::of_floats(element, &shape, all.into_iter()))
}
