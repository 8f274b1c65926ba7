//! Matrix products.

use super::super::value::Value;
use super::index::{broadcast_strides, each_offset, spread};
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "MatMul" | "MatMulInteger" => Ok(Some(vec![product(call, inputs)?])),
        "Gemm" => Ok(Some(vec![gemm(call, inputs)?])),
        _ => Ok(None),
    }
}

fn product(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (a, b) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let a_shape = match a.shape.len() {
        1 => vec![1, a.shape[0]],
        _ => a.shape.clone(),
    };
    let b_shape = match b.shape.len() {
        1 => vec![b.shape[0], 1],
        _ => b.shape.clone(),
    };
    let (&[.., m, k], &[.., _, n]) = (&*a_shape, &*b_shape) else {
        return Err("a product of scalars".to_owned());
    };
    let outer_of = |shape: &[usize]| shape[..shape.len() - 2].to_vec();
    let outer = super::broadcast(&[&outer_of(&a_shape), &outer_of(&b_shape)])?;
    let starts = |shape: &[usize], block: usize| {
        let mut all = vec![];
        let own = outer_of(shape);
        each_offset(&outer, &broadcast_strides(&own, &outer), |at| {
            all.push(at * block)
        });
        all
    };
    let (from_a, from_b) = (starts(&a_shape, m * k), starts(&b_shape, k * n));
    let place = move |at: usize| {
        let (batch, within) = (at / (m * n).max(1), at % (m * n).max(1));
        (
            from_a[batch] + within / n.max(1) * k,
            from_b[batch] + within % n.max(1),
        )
    };
    let count = outer.iter().product::<usize>() * m * n;
    if element.is_float() {
        let (a, b) = (a.floats(), b.floats());
        let values = (0..count).map(|at| {
            let (row, column) = place(at);
            (0..k).map(|k| a[row + k] * b[column + k * n]).sum()
        });
        return Ok(Value::of_floats(element, &shape, values));
    }
    let zero = |index: usize, shape: &[usize], per_row: bool| -> Result<Vec<i128>, String> {
        let Some(zero) = optional(inputs, index) else {
            return Ok(vec![0; super::super::value::volume(shape).unwrap_or(0)]);
        };
        let mut own = zero.shape.clone();
        if per_row && own.len() == 1 {
            own.push(1);
        }
        if super::broadcast(&[&own, shape])? != shape {
            return Err(format!(
                "{}: zero points of shape {:?}",
                call.op(),
                zero.shape
            ));
        }
        Ok(spread(&zero.ints(), &own, shape))
    };
    let integer = call.op() == "MatMulInteger";
    let (zero_a, zero_b) = match integer {
        true => (zero(2, &a_shape, true)?, zero(3, &b_shape, false)?),
        false => (vec![0; a.len()], vec![0; b.len()]),
    };
    let less = |values: Vec<i128>, zeros: Vec<i128>| -> Vec<i128> {
        values
            .into_iter()
            .zip(zeros)
            .map(|(v, zero)| v - zero)
            .collect()
    };
    let (a, b) = (less(a.ints(), zero_a), less(b.ints(), zero_b));
    let values = (0..count).map(|at| {
        let (row, column) = place(at);
        (0..k).map(|k| a[row + k] * b[column + k * n]).sum()
    });
    Ok(Value::of_ints(element, &shape, values))
}

fn gemm(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Value<'static>, String> {
    let (a, b) = (input(call, inputs, 0)?, input(call, inputs, 1)?);
    let (element, shape) = outputs_of(call, inputs)?.swap_remove(0);
    let (trans_a, trans_b) = (call.int("transA", 0) != 0, call.int("transB", 0) != 0);
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let k = a.shape[usize::from(!trans_a)];
    let c = match optional(inputs, 2) {
        Some(c) => spread(&c.floats(), &c.shape, &shape),
        None => vec![0.0; shape[0] * shape[1]],
    };
    let (a, b, m, n) = (a.floats(), b.floats(), shape[0], shape[1]);
    let values = (0..m * n).map(|at| {
        let (i, j) = (at / n, at % n);
        let of_a = |k_at: usize| a[if trans_a { k_at * m + i } else { i * k + k_at }];
        let of_b = |k_at: usize| b[if trans_b { j * k + k_at } else { k_at * n + j }];
        let sum: f64 = (0..k).map(|k_at| of_a(k_at) * of_b(k_at)).sum();
        alpha * sum + if c[at] == 0.0 { 0.0 } else { beta * c[at] }
    });
    Ok(Value::of_floats(element, &shape, values))
}
