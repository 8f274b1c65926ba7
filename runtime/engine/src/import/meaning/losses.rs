//! Losses of scores of classes against the right ones, and determinants.

use super::super::value::Value;
use super::index::around;
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => loss(call, inputs).map(Some),
        "Det" => Ok(Some(vec![determinants(call, inputs)?])),
        _ => Ok(None),
    }
}

fn loss(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let (x, labels) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let outputs = outputs_of(call, inputs)?;
    let [_, classes, area] = around(&x.shape, 1);
    let mut scores = x.floats();
    if call.op() == "SoftmaxCrossEntropyLoss" {
        log_softmax(&mut scores, [classes, area]);
    }
    let weights = optional(inputs, 2).map(Value::floats);
    let ignored = call
        .has("ignore_index")
        .then(|| call.int("ignore_index", 0));
    let (mut losses, mut sum) = (vec![], 0.0);
    for (at, label) in labels.i64s().into_iter().enumerate() {
        if Some(label) == ignored {
            losses.push(0.0);
            continue;
        }
        let class = usize::try_from(label).ok().filter(|&class| class < classes);
        let class =
            class.ok_or_else(|| format!("{}: label {label} of {classes} classes", call.op()))?;
        let weight = weights.as_ref().map_or(1.0, |weights| weights[class]);
        let score = scores[(at / area * classes + class) * area + at % area];
        losses.push(-score * weight);
        sum += weight;
    }
    let reduced = match call.text("reduction", "mean") {
        "none" => losses,
        "sum" => vec![losses.iter().sum()],
        _ => vec![losses.iter().sum::<f64>() / sum],
    };
    let (element, shape) = &outputs[0];
    Ok(vec![
        Value::of_floats(*element, shape, reduced.into_iter()),
        Value::of_floats(*element, &x.shape, scores.into_iter()),
    ])
}

/// Over the classes, which are `area` apart.
fn log_softmax(scores: &mut [f64], [classes, area]: [usize; 2]) {
    for block in scores.chunks_mut((classes * area).max(1)) {
        for column in 0..area {
            let lane = || (0..classes).map(|class| class * area + column);
            let top = lane().map(|at| block[at]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = lane().map(|at| libm::exp(block[at] - top)).sum();
            for at in lane() {
                block[at] -= top + libm::log(sum);
            }
        }
    }
}

fn determinants(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let x = input(call, inputs, 0)?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let side = x.shape.last().copied().unwrap_or(0);
    let values = x.floats();
    let count: usize = shape.iter().product();
    let all =
        (0..count).map(|at| determinant(values[at * side * side..][..side * side].to_vec(), side));
    let all: Vec<f64> = all.collect();
    Ok(Value::of_floats(element, &shape, all.into_iter()))
}

/// By elimination, with the largest element of a column first.
fn determinant(mut m: Vec<f64>, side: usize) -> f64 {
    let mut product = 1.0;
    for column in 0..side {
        let size = |row: usize| m[row * side + column].abs();
        let first = (column..side).max_by(|&a, &b| size(a).total_cmp(&size(b)));
        let first = first.unwrap_or(column);
        if first != column {
            (0..side).for_each(|at| m.swap(first * side + at, column * side + at));
            product = -product;
        }
        let pivot = m[column * side + column];
        product *= pivot;
        if pivot == 0.0 {
            return product;
        }
        for row in column + 1..side {
            let factor = m[row * side + column] / pivot;
            for at in column..side {
                m[row * side + at] -= factor * m[column * side + at];
            }
        }
    }
    product
}
