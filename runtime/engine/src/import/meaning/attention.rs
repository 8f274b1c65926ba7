//! The standard's `Attention`.

use half::f16;

use super::super::element::Element;
use super::super::value::Value;
use super::index::spread;
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

/// An attribute of an `Attention` that is computed in single precision: the element type to which its scores and weights are rounded.
pub const ROUNDS: &str = "rounds";

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "Attention" => attention(call, inputs).map(Some),
        _ => Ok(None),
    }
}

/// A tensor of heads: batch, head, row, width.
struct Heads {
    shape: [usize; 4],
    values: Vec<f64>,
}

impl Heads {
    fn of(x: &Value<'_>, heads: usize) -> Result<Self, String> {
        let values = x.floats();
        match *x.shape {
            [b, h, s, d] => Ok(Self {
                shape: [b, h, s, d],
                values,
            }),
            [b, s, width] if heads > 0 && width.is_multiple_of(heads) => {
                let d = width / heads;
                let place = |at: usize| {
                    let (row, h, b_at) = (at / d % s, at / (d * s) % heads, at / (d * s * heads));
                    (b_at * s + row) * width + h * d + at % d
                };
                Ok(Self {
                    shape: [b, heads, s, d],
                    values: (0..values.len()).map(|at| values[place(at)]).collect(),
                })
            }
            _ => Err(format!("Attention over {:?}", x.shape)),
        }
    }

    /// Rows of a past before the own ones.
    fn behind(self, past: Option<&Value<'_>>) -> Result<Self, String> {
        let Some(past) = past else {
            return Ok(self);
        };
        let [b, h, s, d] = self.shape;
        let &[pb, ph, ps, pd] = &*past.shape else {
            return Err(format!("Attention: a past of {:?}", past.shape));
        };
        if [pb, ph, pd] != [b, h, d] {
            return Err(format!("Attention: a past of {:?}", past.shape));
        }
        let old = past.floats();
        let mut values = Vec::with_capacity(old.len() + self.values.len());
        for head in 0..b * h {
            values.extend(&old[head * ps * d..][..ps * d]);
            values.extend(&self.values[head * s * d..][..s * d]);
        }
        Ok(Self {
            shape: [b, h, ps + s, d],
            values,
        })
    }

    fn row(&self, batch: usize, head: usize, row: usize) -> &[f64] {
        let [_, h, s, d] = self.shape;
        &self.values[((batch * h + head) * s + row) * d..][..d]
    }
}

fn attention(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let heads = |name: &str| usize::try_from(call.int(name, 0)).unwrap_or(0);
    let outputs = outputs_of(call, inputs)?;
    let (q_in, k_in, v_in) = (
        input(call, inputs, 0)?,
        input(call, inputs, 1)?,
        input(call, inputs, 2)?,
    );
    let q = Heads::of(q_in, heads("q_num_heads"))?;
    let k = Heads::of(k_in, heads("kv_num_heads"))?.behind(optional(inputs, 4))?;
    let v = Heads::of(v_in, heads("kv_num_heads"))?.behind(optional(inputs, 5))?;
    let [batch, q_heads, rows, width] = q.shape;
    let [_, kv_heads, columns, k_width] = k.shape;
    let fits = width == k_width
        && v.shape[..3] == k.shape[..3]
        && k.shape[0] == batch
        && kv_heads > 0
        && q_heads.is_multiple_of(kv_heads);
    if !fits {
        return Err(format!(
            "Attention: queries {:?}, keys {:?}, values {:?}",
            q.shape, k.shape, v.shape
        ));
    }
    let past = optional(inputs, 4).map_or(0, |past| past.shape[2]);
    let mask = mask_of(call, inputs, [batch, q_heads, rows, columns], past)?;
    let scale = match call.has("scale") {
        true => call.float("scale", 1.0),
        false => 1.0 / libm::sqrt(width as f64),
    };
    let cap = call.float("softcap", 0.0);
    let rounds = call.int(ROUNDS, 0) != 0;
    let rounded = |v: f64| if rounds { f16::from_f64(v).to_f64() } else { v };
    let mode = call.int("qk_matmul_output_mode", 0);
    let v_width = v.shape[3];
    let mut out = vec![0.0; batch * q_heads * rows * v_width];
    let mut products = vec![];
    for at in 0..batch * q_heads * rows {
        let (b, h, row) = (at / (q_heads * rows), at / rows % q_heads, at % rows);
        let kv = h / (q_heads / kv_heads);
        let own = q.row(b, h, row);
        let dot = |column: usize| -> f64 {
            own.iter()
                .zip(k.row(b, kv, column))
                .map(|(a, b)| a * b)
                .sum()
        };
        let raw: Vec<f64> = (0..columns)
            .map(|column| rounded(dot(column) * scale))
            .collect();
        let capped = |v: f64| {
            if cap > 0.0 {
                cap * libm::tanh(v / cap)
            } else {
                v
            }
        };
        let limited: Vec<f64> = raw.iter().map(|&v| rounded(capped(v))).collect();
        let masked: Vec<f64> = (0..columns)
            .map(|column| rounded(limited[column] + mask[at * columns + column]))
            .collect();
        // NaN stays.
        let top =
            masked.iter().copied().fold(
                f64::NEG_INFINITY,
                |a, b| if a > b || a.is_nan() { a } else { b },
            );
        // A row that is masked whole attends to nothing.
        let weight = |v: f64| {
            if top <= HIDDEN / 2.0 {
                0.0
            } else {
                libm::exp(v - top)
            }
        };
        let sum: f64 = masked.iter().map(|&v| weight(v)).sum();
        let weights: Vec<f64> = masked
            .iter()
            .map(|&v| {
                if sum == 0.0 {
                    0.0
                } else {
                    rounded(weight(v) / sum)
                }
            })
            .collect();
        products.extend(match mode {
            0 => &raw,
            1 => &limited,
            2 => &masked,
            _ => &weights,
        });
        // Values without weight, too: what is not finite among them shows.
        for (column, weight) in weights.iter().enumerate() {
            for (to, value) in out[at * v_width..][..v_width]
                .iter_mut()
                .zip(v.row(b, kv, column))
            {
                *to += weight * value;
            }
        }
    }
    if q_in.shape.len() == 3 {
        let place = |at: usize| {
            let (w, h, row, b) = (
                at % v_width,
                at / v_width % q_heads,
                at / (v_width * q_heads) % rows,
                at / (v_width * q_heads * rows),
            );
            ((b * q_heads + h) * rows + row) * v_width + w
        };
        out = (0..out.len()).map(|at| out[place(at)]).collect();
    }
    let all = [out, k.values, v.values, products];
    let made = outputs.iter().zip(all);
    Ok(made
        .map(|((element, shape), values)| Value::of_floats(*element, shape, values.into_iter()))
        .collect())
}

/// What is added to the product with a key that a query must not see. Infinity would do, but this is what runtimes show.
const HIDDEN: f64 = f32::MIN as f64;

/// What is added to each product of queries and keys: 0 or minus infinity from bools, floats as they are.
fn mask_of(
    call: &Call<'_>,
    inputs: &Inputs<'_, '_>,
    shape: [usize; 4],
    past: usize,
) -> Result<Vec<f64>, String> {
    let [batch, heads, rows, columns] = shape;
    let mut all = vec![0.0; batch * heads * rows * columns];
    if let Some(mask) = optional(inputs, 3) {
        let mut own = mask.shape.clone();
        let mut values: Vec<f64> = match mask.element {
            Element::Bool => {
                let of = |keep: i128| if keep != 0 { 0.0 } else { HIDDEN };
                mask.ints().into_iter().map(of).collect()
            }
            _ => mask.floats(),
        };
        // A mask that ends early masks the rest.
        let given = own.last().copied().unwrap_or(1);
        if given != 1 && given < columns {
            let rows = values.chunks(given);
            let fill = |row: &[f64]| {
                let mut row = row.to_vec();
                row.resize(columns, f64::NEG_INFINITY);
                row
            };
            values = rows.flat_map(fill).collect();
            if let Some(last) = own.last_mut() {
                *last = columns;
            }
        }
        if own.len() > 4 || super::broadcast(&[&own, &shape])? != shape {
            return Err(format!(
                "Attention: a mask of {:?} for {shape:?}",
                mask.shape
            ));
        }
        all = spread(&values, &own, &shape);
    }
    let lengths = optional(inputs, 6).map(Value::i64s);
    let length_of = |b: usize| {
        let lengths = lengths.as_ref()?;
        Some(lengths.get(b).copied().unwrap_or(0))
    };
    let bound = |name: &str| Some(call.int(name, -1)).filter(|&bound| bound >= 0);
    let (left, right) = (bound("left_window_size"), bound("right_window_size"));
    let causal = call.int("is_causal", 0) == 1;
    for (at, value) in all.iter_mut().enumerate() {
        let (b, row, column) = (
            at / (heads * rows * columns),
            (at / columns % rows) as i64,
            (at % columns) as i64,
        );
        let length = length_of(b);
        // Keys before the first query.
        let offset = match length {
            Some(length) if optional(inputs, 4).is_none() => length - rows as i64,
            _ => past as i64,
        };
        let place = offset + row;
        let outside = right.is_some_and(|right| column > place + right)
            || left.is_some_and(|left| column < place - left);
        let hidden = causal && column > place || length.is_some_and(|length| column >= length);
        if hidden && *value != HIDDEN {
            *value += HIDDEN;
        } else if outside {
            *value += f64::NEG_INFINITY;
        }
    }
    Ok(all)
}
