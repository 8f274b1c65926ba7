//! Reductions over axes.

use super::super::shapes::{Fact, reduced_axes};
use super::super::value::{Value, volume};
use super::index::{each_offset, strides};
use super::moves::outputs_of;
use super::{Call, Inputs, input};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    let Some(kind) = call.op().strip_prefix("Reduce") else {
        return Ok(None);
    };
    let x = input(call, inputs, 0)?;
    let facts: Vec<Option<Fact<'_>>> = inputs.iter().map(|value| value.map(Fact::of)).collect();
    let axes = reduced_axes(call, &facts, x.shape.len())?.ok_or("its axes are missing")?;
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    if axes.is_empty() && matches!(kind, "Sum" | "Max" | "Min" | "Mean" | "Prod") {
        return Ok(Some(vec![x.clone().into_owned()]));
    }
    let own = strides(&x.shape);
    let (kept, gone): (Vec<usize>, Vec<usize>) =
        (0..x.shape.len()).partition(|axis| !axes.contains(axis));
    let pick = |of: &[usize], axes: &[usize]| axes.iter().map(|&axis| of[axis]).collect::<Vec<_>>();
    let mut starts = vec![];
    each_offset(&pick(&x.shape, &kept), &pick(&own, &kept), |at| {
        starts.push(at)
    });
    let mut within = vec![];
    each_offset(&pick(&x.shape, &gone), &pick(&own, &gone), |at| {
        within.push(at)
    });
    if volume(&shape) != Some(starts.len()) {
        return Err(format!("{} of {:?} to {shape:?}", call.op(), x.shape));
    }
    if within.is_empty()
        && matches!(kind, "Max" | "Min")
        && !starts.is_empty()
        && x.element.is_float()
    {
        // The identity of the reduction.
        let identity = if kind == "Max" {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        };
        let values = std::iter::repeat_n(identity, starts.len());
        return Ok(Some(vec![Value::of_floats(element, &shape, values)]));
    }
    if element.is_float() {
        let Some(of) = of_floats(kind) else {
            return Ok(None);
        };
        let values = x.floats();
        let reduced = starts
            .iter()
            .map(|start| of(&mut within.iter().map(|at| values[start + at])));
        return Ok(Some(vec![Value::of_floats(element, &shape, reduced)]));
    }
    let Some(of) = of_ints(kind) else {
        return Ok(None);
    };
    let values = x.ints();
    let reduced = starts
        .iter()
        .map(|start| of(&mut within.iter().map(|at| values[start + at])));
    Ok(Some(vec![Value::of_ints(element, &shape, reduced)]))
}

type Floats<'a> = &'a mut dyn Iterator<Item = f64>;

fn largest(values: Floats<'_>) -> f64 {
    values.fold(
        f64::NEG_INFINITY,
        |a, b| if a > b || a.is_nan() { a } else { b },
    )
}

fn log_sum_exp(values: Floats<'_>) -> f64 {
    let all: Vec<f64> = values.collect();
    let top = largest(&mut all.iter().copied());
    // An infinite largest value is the result, or -infinity where nothing else is there.
    if top.is_infinite() {
        return top;
    }
    top + libm::log(all.iter().map(|v| libm::exp(v - top)).sum())
}

fn of_floats(kind: &str) -> Option<fn(Floats<'_>) -> f64> {
    Some(match kind {
        "Sum" => |v| v.sum(),
        "Mean" => |v| {
            let (sum, count) = v.fold((0.0, 0.0_f64), |(sum, count), v| (sum + v, count + 1.0));
            // The standard leaves open what the mean of nothing is; ONNX Runtime has 0, as of integers.
            sum / count.max(1.0)
        },
        "Max" => largest,
        "Min" => |v| {
            v.fold(
                f64::INFINITY,
                |a, b| if a < b || a.is_nan() { a } else { b },
            )
        },
        "Prod" => |v| v.product(),
        "L1" => |v| v.map(f64::abs).sum(),
        "L2" => |v| libm::sqrt(v.map(|v| v * v).sum()),
        "SumSquare" => |v| v.map(|v| v * v).sum(),
        "LogSum" => |v| libm::log(v.sum()),
        "LogSumExp" => log_sum_exp,
        _ => return None,
    })
}

type Ints<'a> = &'a mut dyn Iterator<Item = i128>;

fn of_ints(kind: &str) -> Option<fn(Ints<'_>) -> i128> {
    Some(match kind {
        "Sum" => |v| v.fold(0, i128::wrapping_add),
        "Mean" => |v| {
            let (sum, count) = v.fold((0_i128, 0), |(sum, count), v| (sum + v, count + 1));
            sum / count.max(1)
        },
        "Max" => |v| v.max().unwrap_or(0),
        "Min" => |v| v.min().unwrap_or(0),
        "Prod" => |v| v.fold(1, i128::wrapping_mul),
        "L1" => |v| v.map(i128::abs).sum(),
        "SumSquare" => |v| v.fold(0, |sum, v| sum + v * v),
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        "L2" => |v| libm::sqrt(v.map(|v| (v * v) as f64).sum()) as i128,
        _ => return None,
    })
}
