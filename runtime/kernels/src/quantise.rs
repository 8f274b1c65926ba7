//! Floats to 8 bits.

use crate::Isa;
use crate::activations::Bytes;
use crate::compiled_for;
use crate::epilogue::{Output, quantise_row};
use crate::lanes::Lanes;
use crate::math::saturate;

/// `real = (value - zero_point) * scale`, over signed 8-bit values. Unsigned ones count from -128: their zero point here is
/// 128 less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantisation {
    /// Step. Exporters also write 0, negative and subnormal ones; NaN is that of numbers that are not all finite
    /// ([`dynamic_range`]).
    pub scale: f32,
    /// The value of 0.0, -128 to 127.
    pub zero_point: i32,
}

/// From a number to its steps from the zero point, not yet rounded, within 8 bits.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    /// Multiplied one after the other: the first is 1 but where one over the scale is no finite number.
    factors: [f32; 2],
    low: f32,
    high: f32,
}

impl Steps {
    pub const NONE: Self = Self {
        factors: [0.0; 2],
        low: 0.0,
        high: 0.0,
    };

    #[inline(always)]
    pub fn of(self, v: f32) -> f32 {
        saturate(v * self.factors[0] * self.factors[1], self.low, self.high)
    }

    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    pub unsafe fn of_lanes<L: Lanes>(self, x: L) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let steps = x.mul(L::all(self.factors[0])).mul(L::all(self.factors[1]));
            steps.saturate(L::all(self.low), L::all(self.high))
        }
    }
}

impl Quantisation {
    /// The smallest and the largest number that it can tell.
    #[must_use]
    pub fn range(self) -> (f32, f32) {
        let at = |value: i32| (value - self.zero_point) as f32 * self.scale;
        match self.scale < 0.0 {
            true => (at(127), at(-128)),
            false => (at(-128), at(127)),
        }
    }

    #[inline(always)]
    pub(crate) fn steps(self) -> Steps {
        // 2^126: exact, and what it makes of a subnormal scale has a finite inverse.
        const LARGE: f32 = f32::from_bits((127 + 126) << 23);
        let inverse = 1.0 / self.scale;
        let zero = self.zero_point as f32;
        Steps {
            factors: match inverse.is_infinite() && self.scale != 0.0 {
                true => [LARGE, 1.0 / (self.scale * LARGE)],
                false => [1.0, inverse],
            },
            low: -128.0 - zero,
            high: 127.0 - zero,
        }
    }
}

/// Quantises floats: `round_half_to_even(x * (1 / scale)) + zero_point`, saturated; NaN becomes the smallest value.
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
///
/// Where a value is NaN or infinite, or the range is wider than a float can tell, the scale is NaN: bytes cannot tell such values,
/// but every product computed with this scale becomes NaN.
#[must_use]
pub fn dynamic_range(isa: Isa, x: &[f32]) -> Quantisation {
    let (low, high, finite) = range(isa, x);
    let scale = (high - low) / 255.0;
    if !(finite && scale > 0.0 && scale.is_finite()) {
        return Quantisation {
            scale: if finite && scale == 0.0 {
                1.0
            } else {
                f32::NAN
            },
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
    fn range(x: &[f32]) -> (f32, f32, bool) = range_with_zero
}

#[inline(always)]
fn dequantise_row(raw: &[u8], flip: u8, q: Quantisation, out: &mut [f32]) {
    for (to, &from) in out.iter_mut().zip(raw) {
        let value = i32::from((from ^ flip).cast_signed()) - q.zero_point;
        *to = value as f32 * q.scale;
    }
}

/// The smallest and the largest of the values and 0, and whether all are finite.
#[inline(always)]
fn range_with_zero(x: &[f32]) -> (f32, f32, bool) {
    /// A float without its sign is greater as an integer, too; infinities and NaN are the greatest.
    const UNSIGNED: u32 = 0x7fff_ffff;
    let (chunks, rest) = x.as_chunks::<32>();
    let (mut lows, mut highs) = ([0.0_f32; 32], [0.0_f32; 32]);
    let mut sizes = [0_u32; 32];
    let mut take = |j: usize, x: f32| {
        lows[j] = if x < lows[j] { x } else { lows[j] };
        highs[j] = if x > highs[j] { x } else { highs[j] };
        sizes[j] = sizes[j].max(x.to_bits() & UNSIGNED);
    };
    for chunk in chunks {
        for (j, &x) in chunk.iter().enumerate() {
            take(j, x);
        }
    }
    for (j, &x) in rest.iter().enumerate() {
        take(j, x);
    }
    let largest = sizes.into_iter().max().unwrap_or_default();
    (
        lows.into_iter().fold(0.0, f32::min),
        highs.into_iter().fold(0.0, f32::max),
        f32::from_bits(largest).is_finite(),
    )
}
