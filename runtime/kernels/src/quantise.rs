//! Floats to 8 bits.

use crate::Isa;
use crate::activations::Bytes;
use crate::compiled_for;
use crate::epilogue::{Output, quantise_row};

/// `real = (value - zero_point) * scale`, over signed 8-bit values. Unsigned ones count from -128: their zero point here is
/// 128 less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    /// Step, above 0.
    pub scale: f32,
    /// The value of 0.0, -128 to 127.
    pub zero_point: i32,
}

impl Quantisation {
    /// The smallest and the largest number that it can tell.
    #[must_use]
    pub fn range(self) -> (f32, f32) {
        let at = |value: i32| (value - self.zero_point) as f32 * self.scale;
        (at(-128), at(127))
    }
}

/// Quantises floats: `round_half_to_even(x * (1 / scale)) + zero_point`, saturated.
///
/// # Panics
/// When the output is not of the same length or not of 8 bits.
pub fn quantise(isa: Isa, x: &[f32], out: &mut Output<'_>) {
    assert_eq!(x.len(), out.len());
    let Some((raw, flip, q)) = out.raw_bytes(0..x.len()) else {
        panic!("an 8-bit output is wanted");
    };
    quantise_bytes(isa, x, raw, flip, q);
}

/// Floats back from 8 bits.
///
/// # Panics
/// When the lengths differ.
pub fn dequantise(isa: Isa, values: Bytes<'_>, q: Quantisation, out: &mut [f32]) {
    assert_eq!(values.len(), out.len());
    let (raw, flip) = values.raw();
    dequantise_bytes(isa, raw, flip, q, out);
}

/// The quantisation of ONNX's `DynamicQuantizeLinear` for these values: unsigned 8 bits over their range widened to hold 0.
#[must_use]
pub fn dynamic_range(isa: Isa, x: &[f32]) -> Quantisation {
    let (low, high) = range(isa, x);
    let scale = (high - low) / 255.0;
    if !(scale > 0.0 && scale.is_finite()) {
        return Quantisation {
            scale: 1.0,
            zero_point: -128,
        };
    }
    let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0);
    #[expect(clippy::cast_possible_truncation)]
    let zero_point = zero as i32 - 128;
    Quantisation { scale, zero_point }
}

compiled_for! {
    fn quantise_bytes(x: &[f32], raw: &mut [u8], flip: u8, q: Quantisation) = quantise_row
}

compiled_for! {
    fn dequantise_bytes(raw: &[u8], flip: u8, q: Quantisation, out: &mut [f32]) = dequantise_row
}

compiled_for! {
    fn range(x: &[f32]) -> (f32, f32) = range_with_zero
}

#[inline(always)]
fn dequantise_row(raw: &[u8], flip: u8, q: Quantisation, out: &mut [f32]) {
    for (to, &from) in out.iter_mut().zip(raw) {
        let value = i32::from((from ^ flip).cast_signed()) - q.zero_point;
        *to = value as f32 * q.scale;
    }
}

#[inline(always)]
fn range_with_zero(x: &[f32]) -> (f32, f32) {
    let (chunks, rest) = x.as_chunks::<32>();
    let (mut lows, mut highs) = ([0.0_f32; 32], [0.0_f32; 32]);
    for chunk in chunks {
        for j in 0..32 {
            lows[j] = if chunk[j] < lows[j] {
                chunk[j]
            } else {
                lows[j]
            };
            highs[j] = if chunk[j] > highs[j] {
                chunk[j]
            } else {
                highs[j]
            };
        }
    }
    (
        lows.iter().chain(rest).copied().fold(0.0, f32::min),
        highs.iter().chain(rest).copied().fold(0.0, f32::max),
    )
}
