//! Shapes of products and attentions.

use super::super::element::Element;
use super::super::meaning::{Call, broadcast};
use super::{Facts, Inferred, at, one};

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (Some(a), Some(b)) = (at(inputs, 0), at(inputs, 1)) else {
        return Ok(None);
    };
    match call.op() {
        "MatMul" => one(a.element, product(a.shape, b.shape)?),
        "MatMulInteger" => one(Element::I32, product(a.shape, b.shape)?),
        "Gemm" => {
            let (&[a0, a1], &[b0, b1]) = (a.shape, b.shape) else {
                return Err(format!("Gemm of {:?} and {:?}", a.shape, b.shape));
            };
            let flag = |name| call.int(name, 0) != 0;
            let (m, k) = if flag("transA") { (a1, a0) } else { (a0, a1) };
            let (depth, n) = if flag("transB") { (b1, b0) } else { (b0, b1) };
            if k != depth {
                return Err(format!("Gemm of {:?} and {:?}", a.shape, b.shape));
            }
            if let Some(c) = at(inputs, 2)
                && broadcast(&[c.shape, &[m, n]])? != [m, n]
            {
                return Err(format!("Gemm: a summand of shape {:?}", c.shape));
            }
            one(a.element, vec![m, n])
        }
        "Attention" => attention(call, inputs),
        "LSTM" | "GRU" | "RNN" => recurrent(call, inputs, a.shape, b.shape, a.element),
        _ => Ok(None),
    }
}

/// The shape of a matrix product, whose leading axes broadcast.
pub(super) fn product(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let misfit = || format!("a product of {a:?} and {b:?}");
    if a.is_empty() || b.is_empty() {
        return Err(misfit());
    }
    let (rows, k) = match a {
        [k] => (None, *k),
        [.., m, k] => (Some(*m), *k),
        [] => return Err(misfit()),
    };
    let (depth, columns) = match b {
        [k] => (*k, None),
        [.., k, n] => (*k, Some(*n)),
        [] => return Err(misfit()),
    };
    if k != depth {
        return Err(misfit());
    }
    let outer = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
    let mut shape = broadcast(&[&outer(a), &outer(b)])?;
    shape.extend(rows);
    shape.extend(columns);
    Ok(shape)
}

/// Standard `Attention`: the output, the present keys and values, and the products of queries and keys.
fn attention(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let (Some(q), Some(k), Some(v)) = (at(inputs, 0), at(inputs, 1), at(inputs, 2)) else {
        return Ok(None);
    };
    let mode = call.int("qk_matmul_output_mode", 0);
    if !(0..=3).contains(&mode) {
        return Err(format!("Attention: qk_matmul_output_mode {mode}"));
    }
    for bound in ["left_window_size", "right_window_size"] {
        if call.int(bound, -1) < -1 {
            return Err(format!("Attention: {bound} {}", call.int(bound, -1)));
        }
    }
    if call.has("scale") && call.float("scale", 1.0) <= 0.0 {
        return Err(format!(
            "Attention: a scale of {}",
            call.float("scale", 1.0)
        ));
    }
    let heads = |shape: &[usize], name: &str| -> Result<[usize; 4], String> {
        match *shape {
            [b, h, s, d] => Ok([b, h, s, d]),
            [b, s, width] => {
                let heads = usize::try_from(call.int(name, 0)).ok().filter(|&h| h > 0);
                let heads = heads.filter(|&heads| width.is_multiple_of(heads));
                let heads =
                    heads.ok_or_else(|| format!("Attention: {name} for a width of {width}"))?;
                Ok([b, heads, s, width / heads])
            }
            _ => Err(format!("Attention over {shape:?}")),
        }
    };
    let [batch, q_heads, rows, _] = heads(q.shape, "q_num_heads")?;
    let [_, kv_heads, columns, width] = heads(k.shape, "kv_num_heads")?;
    let [.., v_width] = heads(v.shape, "kv_num_heads")?;
    let past = at(inputs, 4)
        .and_then(|past| past.shape.get(2).copied())
        .unwrap_or(0);
    let all = past + columns;
    let output = match q.shape.len() {
        3 => vec![batch, rows, q_heads * v_width],
        _ => vec![batch, q_heads, rows, v_width],
    };
    Ok(Some(vec![
        (q.element, output),
        (k.element, vec![batch, kv_heads, all, width]),
        (v.element, vec![batch, kv_heads, all, v_width]),
        (q.element, vec![batch, q_heads, rows, all]),
    ]))
}

/// `LSTM`, `GRU` and `RNN`: all states, the last one, and the last cell of an LSTM.
fn recurrent(
    call: &Call<'_>,
    inputs: Facts<'_, '_>,
    x: &[usize],
    w: &[usize],
    element: Element,
) -> Inferred {
    let op = call.op();
    if call.int("layout", 0) != 0 {
        return Err(format!("{op}: layout 1 is not supported"));
    }
    let gates = match op {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let directions = match call.text("direction", "forward") {
        "forward" | "reverse" => 1,
        "bidirectional" => 2,
        other => return Err(format!("{op}: direction {other}")),
    };
    let (&[steps, batch, width], &[of_w, rows, w_width]) = (x, w) else {
        return Err(format!("{op} of {x:?} with weights {w:?}"));
    };
    let hidden = usize::try_from(call.int("hidden_size", 0)).unwrap_or(0);
    if hidden == 0 || hidden.checked_mul(gates) != Some(rows) {
        return Err(format!("{op}: hidden_size {hidden} with weights {w:?}"));
    }
    if of_w != directions || w_width != width {
        return Err(format!("{op} of {x:?} with weights {w:?}"));
    }
    let last = vec![directions, batch, hidden];
    let wanted = [
        (2, vec![directions, gates * hidden, hidden]),
        (3, vec![directions, 2 * gates * hidden]),
        (4, vec![batch]),
        (5, last.clone()),
        (6, last.clone()),
        (7, vec![directions, 3 * hidden]),
    ];
    for (index, wanted) in wanted {
        if let Some(fact) = at(inputs, index)
            && *fact.shape != *wanted
        {
            return Err(format!(
                "{op}: input {index} of {:?}, {wanted:?} is needed",
                fact.shape
            ));
        }
    }
    let mut outputs = vec![
        (element, vec![steps, directions, batch, hidden]),
        (element, last.clone()),
    ];
    if op == "LSTM" {
        outputs.push((element, last));
    }
    Ok(Some(outputs))
}
