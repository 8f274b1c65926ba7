//! Softmaxes and normalisations.

use super::super::element::Element;
use super::super::value::Value;
use super::index::{around, axis_of, spread};
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "Softmax" | "LogSoftmax" | "Hardmax" => Ok(Some(vec![softmax(call, inputs)?])),
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
            rows(call, inputs).map(Some)
        }
        "BatchNormalization" if call.int("training_mode", 0) != 0 => {
            training(call, inputs).map(Some)
        }
        "BatchNormalization" | "InstanceNormalization" | "GroupNormalization" => {
            Ok(Some(vec![channels(call, inputs)?]))
        }
        "LpNormalization" => Ok(Some(vec![lp(call, inputs)?])),
        "MeanVarianceNormalization" => Ok(Some(vec![mean_variance(call, inputs)?])),
        _ => Ok(None),
    }
}

/// Applies `of` to each lane of `length` elements that lie `inner` apart.
fn lanes(x: &Value<'_>, [outer, length, inner]: [usize; 3], of: impl Fn(&mut [f64])) -> Vec<f64> {
    let mut values = x.floats();
    let mut lane = vec![0.0; length];
    for index in 0..outer * inner {
        let start = index / inner * length * inner + index % inner;
        for (at, value) in lane.iter_mut().enumerate() {
            *value = values[start + at * inner];
        }
        of(&mut lane);
        for (at, value) in lane.iter().enumerate() {
            values[start + at * inner] = *value;
        }
    }
    values
}

fn softmax(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let rank = x.shape.len();
    // Before set 13 everything from the axis on is one row.
    let shape = match call.opset < 13 {
        true => {
            let axis = axis_of(call.int("axis", 1), rank)?;
            [
                x.shape[..axis].iter().product(),
                x.shape[axis..].iter().product(),
                1,
            ]
        }
        false if rank == 0 => [1, 1, 1],
        false => around(&x.shape, axis_of(call.int("axis", -1), rank)?),
    };
    let op = call.op();
    let values =
        lanes(x, shape, |lane| {
            let top = lane.iter().copied().fold(f64::NEG_INFINITY, |a, b| {
                if a > b || a.is_nan() { a } else { b }
            });
            if op == "Hardmax" {
                let first = lane.iter().position(|&v| v == top);
                for (at, value) in lane.iter_mut().enumerate() {
                    *value = f64::from(u8::from(Some(at) == first));
                }
                return;
            }
            let sum: f64 = lane.iter().map(|v| libm::exp(v - top)).sum();
            for value in lane {
                *value = match op {
                    "Softmax" => libm::exp(*value - top) / sum,
                    _ => *value - top - libm::log(sum),
                };
            }
        });
    Ok(Value::of_floats(x.element, &x.shape, values.into_iter()))
}

fn rows(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let x = input(call, inputs, 0)?;
    let outputs = outputs_of(call, inputs)?;
    let axis = axis_of(call.int("axis", -1), x.shape.len())?;
    let width: usize = x.shape[axis..].iter().product();
    let epsilon = call.float("epsilon", 1e-5);
    let centred = call.op() == "LayerNormalization";
    let (mut means, mut inverses) = (vec![], vec![]);
    let mut values = x.floats();
    for row in values.chunks_mut(width.max(1)) {
        let mean = if centred {
            row.iter().sum::<f64>() / width as f64
        } else {
            0.0
        };
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / width as f64;
        let inverse = 1.0 / libm::sqrt(variance + epsilon);
        row.iter_mut().for_each(|v| *v = (*v - mean) * inverse);
        means.push(mean);
        inverses.push(inverse);
    }
    let apply = |values: &mut [f64], index: usize, of: fn(f64, f64) -> f64| {
        if let Some(by) = optional(inputs, index) {
            let by = spread(&by.floats(), &by.shape, &x.shape);
            values
                .iter_mut()
                .zip(by)
                .for_each(|(v, by)| *v = of(*v, by));
        }
    };
    apply(&mut values, 1, |v, gain| v * gain);
    apply(&mut values, 2, |v, bias| v + bias);
    let statistics = [means, inverses];
    let mut all = vec![Value::of_floats(outputs[0].0, &x.shape, values.into_iter())];
    let chosen: &[Vec<f64>] = if centred {
        &statistics
    } else {
        &statistics[1..]
    };
    for values in chosen {
        all.push(Value::of_floats(
            Element::F32,
            &outputs[1].1,
            values.iter().copied(),
        ));
    }
    Ok(all)
}

/// Normalisations with a gain and a bias for each channel.
fn channels(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    if x.shape.len() < 2 {
        return Err(format!("{} of {:?}", call.op(), x.shape));
    }
    let [batch, channels, area] = around(&x.shape, 1);
    let batch = batch.max(1);
    let parameter =
        |index: usize| -> Result<Vec<f64>, String> { Ok(input(call, inputs, index)?.floats()) };
    let (gain, bias) = (parameter(1)?, parameter(2)?);
    let epsilon = call.float("epsilon", 1e-5);
    let groups = match call.op() {
        "GroupNormalization" => usize::try_from(call.int("num_groups", 1)).unwrap_or(1),
        _ => channels,
    };
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(format!(
            "{}: {groups} groups of {channels} channels",
            call.op()
        ));
    }
    let mut values = x.floats();
    if call.op() == "BatchNormalization" {
        let (mean, variance) = (parameter(3)?, parameter(4)?);
        if [gain.len(), bias.len(), mean.len(), variance.len()] != [channels; 4] {
            return Err("BatchNormalization: parameters of another number of channels".to_owned());
        }
        for (at, value) in values.iter_mut().enumerate() {
            let c = at / area % channels;
            *value = (*value - mean[c]) / libm::sqrt(variance[c] + epsilon) * gain[c] + bias[c];
        }
        return Ok(Value::of_floats(x.element, &x.shape, values.into_iter()));
    }
    let row = channels / groups * area;
    debug_assert_eq!(values.len(), batch * groups * row);
    for row in values.chunks_mut(row.max(1)) {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / row.len() as f64;
        let inverse = 1.0 / libm::sqrt(variance + epsilon);
        row.iter_mut().for_each(|v| *v = (*v - mean) * inverse);
    }
    let of_channel = |values: &[f64], c: usize| -> Result<f64, String> {
        // Set 18 gives a gain for each group, later ones for each channel.
        let index = if values.len() == groups {
            c / (channels / groups)
        } else {
            c
        };
        values
            .get(index)
            .copied()
            .ok_or_else(|| format!("{}: too few gains", call.op()))
    };
    for (at, value) in values.iter_mut().enumerate() {
        let c = at / area % channels;
        *value = *value * of_channel(&gain, c)? + of_channel(&bias, c)?;
    }
    Ok(Value::of_floats(x.element, &x.shape, values.into_iter()))
}

/// A batch normalisation by the batch's own mean and variance, with what becomes of the running ones.
fn training(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let x = input(call, inputs, 0)?;
    let outputs = outputs_of(call, inputs)?;
    let parameter = |index: usize| input(call, inputs, index).map(Value::floats);
    let (gain, bias) = (parameter(1)?, parameter(2)?);
    let (mean, variance) = (parameter(3)?, parameter(4)?);
    let [batch, channels, area] = around(&x.shape, 1);
    if [gain.len(), bias.len(), mean.len(), variance.len()] != [channels; 4] {
        return Err("BatchNormalization: parameters of another number of channels".to_owned());
    }
    let (epsilon, momentum) = (call.float("epsilon", 1e-5), call.float("momentum", 0.9));
    let mut values = x.floats();
    let (mut means, mut variances) = (vec![], vec![]);
    for channel in 0..channels {
        let places = || {
            (0..batch).flat_map(|b| {
                let start = (b * channels + channel) * area;
                start..start + area
            })
        };
        let count = (batch * area) as f64;
        let own = places().map(|at| values[at]).sum::<f64>() / count;
        let spread = |at: usize| (values[at] - own) * (values[at] - own);
        let spread = places().map(spread).sum::<f64>() / count;
        for at in places() {
            let normal = (values[at] - own) / libm::sqrt(spread + epsilon);
            values[at] = normal * gain[channel] + bias[channel];
        }
        means.push(mean[channel] * momentum + own * (1.0 - momentum));
        variances.push(variance[channel] * momentum + spread * (1.0 - momentum));
    }
    let made = outputs.iter().zip([values, means, variances]);
    Ok(made
        .map(|((element, shape), values)| Value::of_floats(*element, shape, values.into_iter()))
        .collect())
}

fn lp(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let shape = around(&x.shape, axis_of(call.int("axis", -1), x.shape.len())?);
    let first = call.int("p", 2) == 1;
    let values = lanes(x, shape, |lane| {
        let norm = match first {
            true => lane.iter().map(|v| v.abs()).sum(),
            false => libm::sqrt(lane.iter().map(|v| v * v).sum()),
        };
        if norm != 0.0 {
            lane.iter_mut().for_each(|v| *v /= norm);
        }
    });
    Ok(Value::of_floats(x.element, &x.shape, values.into_iter()))
}

fn mean_variance(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let given = call.ints("axes").unwrap_or(&[0, 2, 3]);
    let axes = super::axes_of(given, x.shape.len())?;
    let own = super::index::strides(&x.shape);
    let group = |at: usize| -> Vec<usize> {
        let kept = (0..x.shape.len()).filter(|axis| !axes.contains(axis));
        kept.map(|axis| at / own[axis] % x.shape[axis]).collect()
    };
    let mut values = x.floats();
    let mut groups: std::collections::BTreeMap<Vec<usize>, Vec<usize>> =
        std::collections::BTreeMap::new();
    for at in 0..values.len() {
        groups.entry(group(at)).or_default().push(at);
    }
    for places in groups.values() {
        let count = places.len() as f64;
        let mean = places.iter().map(|&at| values[at]).sum::<f64>() / count;
        let variance = places
            .iter()
            .map(|&at| (values[at] - mean) * (values[at] - mean))
            .sum::<f64>()
            / count;
        for &at in places {
            values[at] = (values[at] - mean) / (libm::sqrt(variance) + 1e-9);
        }
    }
    Ok(Value::of_floats(x.element, &x.shape, values.into_iter()))
}
