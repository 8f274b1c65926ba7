//! Recurrent layers: LSTM, GRU and RNN.

use super::super::element::Element;
use super::super::value::Value;
use super::moves::outputs_of;
use super::{Call, Inputs, input, optional};

type Outputs = Result<Option<Vec<Value<'static>>>, String>;

pub(super) fn evaluate(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Outputs {
    match call.op() {
        "LSTM" | "GRU" | "RNN" => layer(call, inputs).map(Some),
        _ => Ok(None),
    }
}

type Function = Box<dyn Fn(f64) -> f64>;

/// The functions of each direction, in the order of the operator.
fn functions(
    call: &Call<'_>,
    defaults: &[&str],
    directions: usize,
) -> Result<Vec<Function>, String> {
    let attribute = |name: &str| call.node.attribute.iter().find(|a| a.name == name);
    let given: Vec<String> = match attribute("activations") {
        Some(list) => list
            .strings
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect(),
        None => defaults
            .repeat(directions)
            .iter()
            .map(|&name| name.to_owned())
            .collect(),
    };
    if given.len() != defaults.len() * directions {
        return Err(format!("{}: {} activations", call.op(), given.len()));
    }
    let floats = |name: &str| attribute(name).map_or(vec![], |a| a.floats.clone());
    let (mut alphas, mut betas) = (
        floats("activation_alpha").into_iter(),
        floats("activation_beta").into_iter(),
    );
    let mut next = |list: usize, default: f32| {
        let given = if list == 0 {
            alphas.next()
        } else {
            betas.next()
        };
        f64::from(given.unwrap_or(default))
    };
    let mut all: Vec<Function> = vec![];
    for name in given {
        all.push(match &*name.to_lowercase() {
            "sigmoid" => Box::new(|v| 1.0 / (1.0 + libm::exp(-v))),
            "tanh" => Box::new(libm::tanh),
            "relu" => Box::new(|v| if v < 0.0 { 0.0 } else { v }),
            "softsign" => Box::new(|v| v / (1.0 + v.abs())),
            "softplus" => Box::new(|v| v.max(0.0) + libm::log1p(libm::exp(-v.abs()))),
            "leakyrelu" => {
                let alpha = next(0, 0.01);
                Box::new(move |v| if v < 0.0 { alpha * v } else { v })
            }
            "thresholdedrelu" => {
                let alpha = next(0, 1.0);
                Box::new(move |v| if v > alpha { v } else { 0.0 })
            }
            "elu" => {
                let alpha = next(0, 1.0);
                Box::new(move |v| if v < 0.0 { alpha * libm::expm1(v) } else { v })
            }
            "affine" => {
                let (alpha, beta) = (next(0, 1.0), next(1, 0.0));
                Box::new(move |v| alpha * v + beta)
            }
            "scaledtanh" => {
                let (alpha, beta) = (next(0, 1.0), next(1, 1.0));
                Box::new(move |v| alpha * libm::tanh(beta * v))
            }
            "hardsigmoid" => {
                let (alpha, beta) = (next(0, 0.2), next(1, 0.5));
                Box::new(move |v| (alpha * v + beta).clamp(0.0, 1.0))
            }
            other => return Err(format!("{}: unknown activation {other}", call.op())),
        });
    }
    Ok(all)
}

/// A matrix by rows.
struct Matrix<'a> {
    values: &'a [f64],
    width: usize,
}

impl Matrix<'_> {
    fn times(&self, row: usize, x: &[f64]) -> f64 {
        let row = &self.values[row * self.width..][..self.width];
        row.iter().zip(x).map(|(a, b)| a * b).sum()
    }
}

/// The weights of one direction.
struct Direction<'a> {
    kind: &'a str,
    hidden: usize,
    input: Matrix<'a>,
    recurrent: Matrix<'a>,
    /// Of the input, then of the state; may be empty.
    bias: &'a [f64],
    /// Of the gates i, o and f of an LSTM; may be empty.
    peepholes: &'a [f64],
    functions: &'a [Function],
    clip: f64,
    after_reset: bool,
    coupled: bool,
}

impl Direction<'_> {
    fn clipped(&self, v: f64) -> f64 {
        if v > self.clip {
            self.clip
        } else if v < -self.clip {
            -self.clip
        } else {
            v
        }
    }

    fn bias(&self, at: usize) -> f64 {
        self.bias.get(at).copied().unwrap_or(0.0)
    }

    /// What a gate gets of the input and the state.
    fn gate(&self, gate: usize, unit: usize, x: &[f64], state: &[f64]) -> f64 {
        let row = gate * self.hidden + unit;
        let state_bias = self.bias(self.bias.len() / 2 + row);
        self.input.times(row, x) + self.recurrent.times(row, state) + self.bias(row) + state_bias
    }

    /// Replaces the state, and the cell of an LSTM, by the next ones.
    fn step(&self, x: &[f64], state: &mut Vec<f64>, cell: &mut [f64]) {
        let units = 0..self.hidden;
        let next: Vec<f64> = match self.kind {
            "RNN" => units
                .map(|unit| self.functions[0](self.clipped(self.gate(0, unit, x, state))))
                .collect(),
            "GRU" => {
                let of = |gate: usize, unit: usize| {
                    self.functions[0](self.clipped(self.gate(gate, unit, x, state)))
                };
                let update: Vec<f64> = units.clone().map(|unit| of(0, unit)).collect();
                let reset: Vec<f64> = units.clone().map(|unit| of(1, unit)).collect();
                let kept: Vec<f64> = state.iter().zip(&reset).map(|(a, b)| a * b).collect();
                let fresh = |unit: usize| {
                    let row = 2 * self.hidden + unit;
                    let bias = self.bias(self.bias.len() / 2 + row);
                    let of_state = match self.after_reset {
                        true => reset[unit] * (self.recurrent.times(row, state) + bias),
                        false => self.recurrent.times(row, &kept) + bias,
                    };
                    let sum = self.input.times(row, x) + self.bias(row) + of_state;
                    self.functions[1](self.clipped(sum))
                };
                units
                    .map(|unit| (1.0 - update[unit]) * fresh(unit) + update[unit] * state[unit])
                    .collect()
            }
            _ => units
                .map(|unit| {
                    let peep = |gate: usize, cell: f64| {
                        let weight = self.peepholes.get(gate * self.hidden + unit);
                        weight.map_or(0.0, |weight| weight * cell)
                    };
                    let of = |gate: usize, function: usize, more: f64| {
                        let sum = self.gate(gate, unit, x, state) + more;
                        self.functions[function](self.clipped(sum))
                    };
                    let old = cell[unit];
                    let into = of(0, 0, peep(0, old));
                    let forget = match self.coupled {
                        true => 1.0 - into,
                        false => of(2, 0, peep(2, old)),
                    };
                    let new = forget * old + into * of(3, 1, 0.0);
                    let out = of(1, 0, peep(1, new));
                    cell[unit] = new;
                    out * self.functions[2](new)
                })
                .collect(),
        };
        *state = next;
    }
}

fn layer(call: &Call<'_>, inputs: &Inputs<'_, '_>) -> Result<Vec<Value<'static>>, String> {
    let op = call.op();
    let made = outputs_of(call, inputs)?;
    let &[steps, directions, batch, hidden] = &*made[0].1 else {
        return Err(format!("{op}: an output of shape {:?}", made[0].1));
    };
    let (gates, defaults): (usize, &[&str]) = match op {
        "LSTM" => (4, &["Sigmoid", "Tanh", "Tanh"]),
        "GRU" => (3, &["Sigmoid", "Tanh"]),
        _ => (1, &["Tanh"]),
    };
    let functions = functions(call, defaults, directions)?;
    let x = input(call, inputs, 0)?.floats();
    let (w, r) = (
        input(call, inputs, 1)?.floats(),
        input(call, inputs, 2)?.floats(),
    );
    let width = x.len() / (steps * batch).max(1);
    let part = |index: usize, of: usize| -> Result<Vec<f64>, String> {
        let values = optional(inputs, index).map_or(vec![], Value::floats);
        match values.is_empty() || values.len() == of {
            true => Ok(values),
            false => Err(format!(
                "{op}: input {index} has {} values, not {of}",
                values.len()
            )),
        }
    };
    let bias = part(3, directions * 2 * gates * hidden)?;
    let first = part(5, directions * batch * hidden)?;
    let cells = if op == "LSTM" {
        part(6, directions * batch * hidden)?
    } else {
        vec![]
    };
    let peepholes = if op == "LSTM" {
        part(7, directions * 3 * hidden)?
    } else {
        vec![]
    };
    let lengths = match optional(inputs, 4) {
        Some(lengths) if !lengths.is_empty() => lengths.ints(),
        _ => vec![steps as i128; batch],
    };
    if lengths.len() != batch
        || lengths
            .iter()
            .any(|&length| length < 0 || length > steps as i128)
    {
        return Err(format!(
            "{op}: lengths {lengths:?} of {batch} sequences of {steps}"
        ));
    }
    let direction = call.text("direction", "forward");
    let mut all = vec![0.0; steps * directions * batch * hidden];
    let (mut last, mut last_cells) = (vec![], vec![]);
    for number in 0..directions {
        let slice = |values: &'_ [f64]| -> Vec<f64> {
            let count = values.len() / directions;
            values[number * count..][..count].to_vec()
        };
        let (w, r, bias, peepholes) = (slice(&w), slice(&r), slice(&bias), slice(&peepholes));
        let of = Direction {
            kind: op,
            hidden,
            input: Matrix { values: &w, width },
            recurrent: Matrix {
                values: &r,
                width: hidden,
            },
            bias: &bias,
            peepholes: &peepholes,
            functions: &functions[number * defaults.len()..],
            clip: if call.has("clip") {
                call.float("clip", 0.0)
            } else {
                f64::INFINITY
            },
            after_reset: call.int("linear_before_reset", 0) != 0,
            coupled: call.int("input_forget", 0) != 0,
        };
        let backwards = direction == "reverse" || number == 1;
        for (sequence, &length) in lengths.iter().enumerate() {
            let start = |values: &[f64]| match values.is_empty() {
                true => vec![0.0; hidden],
                false => values[(number * batch + sequence) * hidden..][..hidden].to_vec(),
            };
            let (mut state, mut cell) = (start(&first), start(&cells));
            let length = length as usize;
            for step in 0..length {
                let at = if backwards { length - 1 - step } else { step };
                let from = &x[(at * batch + sequence) * width..][..width];
                of.step(from, &mut state, &mut cell);
                let to = ((at * directions + number) * batch + sequence) * hidden;
                all[to..to + hidden].copy_from_slice(&state);
            }
            last.extend(state);
            last_cells.extend(cell);
        }
    }
    let element = made.first().map_or(Element::F32, |made| made.0);
    let values = [all, last, last_cells];
    let outputs = made.iter().zip(values);
    Ok(outputs
        .map(|((_, shape), values)| Value::of_floats(element, shape, values.into_iter()))
        .collect())
}
