//! Normalisation over the last axis: by mean and variance (Ba et al., arXiv 1607.06450), quantising on the way out where wanted, or
//! by the root of the mean of squares (Zhang and Sennrich, arXiv 1910.07467).

use crate::epilogue::{Output, quantise_row};
use crate::{Isa, Pool, compiled_for};

/// Values below which handing a part of them to another thread costs more than it saves.
const WORTH_SHARING: usize = 16_384;

/// What is normalised: rows of `gain.len()` floats.
#[derive(Debug, Clone, Copy)]
pub struct NormInput<'a> {
    /// Row-major values.
    pub x: &'a [f32],
    /// Gain of each column.
    pub gain: &'a [f32],
    /// Bias of each column.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// `(x - mean) / sqrt(variance + epsilon) * gain + bias` of each row.
///
/// # Panics
/// When the lengths do not fit.
pub fn layer_norm(isa: Isa, input: NormInput<'_>, output: &mut Output<'_>, pool: &Pool) {
    let width = input.gain.len();
    assert!(width > 0 && input.x.len().is_multiple_of(width), "input");
    assert_eq!(output.len(), input.x.len(), "output");
    assert!(input.bias.is_none_or(|bias| bias.len() == width), "bias");
    let rows = input.x.len() / width;
    let pieces = match input.x.len() >= WORTH_SHARING {
        true => pool.threads().min(rows),
        false => 1,
    };
    let step = rows.div_ceil(pieces.max(1)) * width;
    let output = output.raw();
    pool.run_with(pieces, width, &|piece, row| {
        let at = (piece * step).min(input.x.len())..((piece + 1) * step).min(input.x.len());
        let part = NormInput {
            x: &input.x[at.clone()],
            ..input
        };
        // SAFETY: the output is as long as the input, and no two pieces have a row in common.
        let mut output = unsafe { output.part(at) };
        all_rows(isa, &part, row, &mut output);
    });
}

/// `x / sqrt(mean of squares + epsilon)` of each row of `width` values.
///
/// # Panics
/// When the lengths differ or are no multiple of the width.
pub fn rms_norm(isa: Isa, x: &[f32], width: usize, epsilon: f32, out: &mut [f32]) {
    assert!(width > 0 && x.len().is_multiple_of(width), "input");
    assert_eq!(out.len(), x.len(), "output");
    rms_rows(isa, x, width, epsilon, out);
}

compiled_for! {
    fn rms_rows(x: &[f32], width: usize, epsilon: f32, out: &mut [f32]) = by_root_of_squares
}

#[inline(always)]
fn by_root_of_squares(x: &[f32], width: usize, epsilon: f32, out: &mut [f32]) {
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let inverse = 1.0 / (sum(x, |v| v * v) / width as f32 + epsilon).sqrt();
        for (out, &v) in out.iter_mut().zip(x) {
            *out = v * inverse;
        }
    }
}

compiled_for! {
    fn all_rows(input: &NormInput<'_>, row: &mut [f32], output: &mut Output<'_>) = normalise_rows
}

#[inline(always)]
fn normalise_rows(input: &NormInput<'_>, row: &mut [f32], output: &mut Output<'_>) {
    let width = input.gain.len();
    for (index, x) in input.x.chunks_exact(width).enumerate() {
        let at = index * width..(index + 1) * width;
        if let Output::Float(out) = output {
            normalise(x, input, &mut out[at]);
            continue;
        }
        normalise(x, input, row);
        let Some((raw, flip, q)) = output.raw_bytes(at) else {
            continue;
        };
        quantise_row(row, raw, flip, q);
    }
}

#[inline(always)]
fn normalise(x: &[f32], input: &NormInput<'_>, out: &mut [f32]) {
    let count = x.len() as f32;
    let mean = sum(x, |v| v) / count;
    let variance = sum(x, |v| (v - mean) * (v - mean)) / count;
    let inverse = 1.0 / (variance + input.epsilon).sqrt();
    for ((out, &v), &gain) in out.iter_mut().zip(x).zip(input.gain) {
        *out = (v - mean) * inverse * gain;
    }
    if let Some(bias) = input.bias {
        for (out, &bias) in out.iter_mut().zip(bias) {
            *out += bias;
        }
    }
}

/// A sum over 16 lanes, in an order that does not depend on the instruction set.
#[inline(always)]
pub(crate) fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0_f32; 16];
    for chunk in chunks {
        for j in 0..16 {
            lanes[j] += of(chunk[j]);
        }
    }
    let mut total = rest.iter().fold(0.0, |total, &v| total + of(v));
    for lane in lanes {
        total += lane;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_the_root_of_their_squares() {
        let width = 37;
        let x: Vec<f32> = (0..3 * width)
            .map(|i| (i * 7919 % 2003) as f32 / 128.0 - 7.75)
            .collect();
        let mut wanted: Option<Vec<f32>> = None;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let mut out = vec![0.0; x.len()];
            rms_norm(isa, &x, width, 1e-5, &mut out);
            for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                let squares: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
                let root = (squares / width as f64 + 1e-5).sqrt();
                for (&x, &out) in x.iter().zip(out) {
                    assert!((f64::from(x) / root - f64::from(out)).abs() < 1e-6);
                }
            }
            let bits = wanted.get_or_insert_with(|| out.clone());
            assert_eq!(*bits, out, "{}", isa.name());
        }
        let mut out = [0.0; 4];
        rms_norm(Isa::detect(), &[1.0, f32::NAN, 1.0, 1.0], 2, 0.0, &mut out);
        assert!(
            out[0].is_nan() && out[1].is_nan() && out[2] == 1.0,
            "{out:?}"
        );
    }
}
