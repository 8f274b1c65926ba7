//! Decimal numbers to floats without a path to a panic, which `core`'s own parsing has.

use core::num::{NonZeroU64, NonZeroU128};

/// A decimal number as it was read: `digits * 10^exponent`, negative or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Decimal {
    pub negative: bool,
    pub digits: u64,
    pub exponent: i32,
}

/// Powers of ten that divide 64 bits to at least 26: enough for a float's 24 and its rounding.
const MOST_64: u32 = 11;

/// The same of 128 bits.
const MOST_128: u32 = 30;

impl Decimal {
    /// The nearest float, ties to even, of what is at least 10^-30 in steps of 10^-30 (that is:
    /// with any exponent down to -30); smaller numbers may be off by one unit in the last place.
    pub fn to_f32(self) -> f32 {
        let magnitude = self.magnitude();
        if self.negative { -magnitude } else { magnitude }
    }

    fn magnitude(self) -> f32 {
        if self.digits == 0 {
            return 0.0;
        }
        let places = self.exponent.unsigned_abs();
        if self.exponent >= 0 {
            // A float cast rounds to nearest, and what is too large becomes infinite.
            10_u128
                .checked_pow(places)
                .and_then(|power| power.checked_mul(self.digits.into()))
                .map_or(f32::INFINITY, |value| value as f32)
        } else if places <= MOST_64 {
            divide_64(self.digits, places)
        } else if places <= MOST_128 {
            divide_128(self.digits, places)
        } else {
            divide_roughly(self.digits, places)
        }
    }
}

fn divide_64(digits: u64, places: u32) -> f32 {
    let shift = digits.leading_zeros();
    let numerator = digits.wrapping_shl(shift);
    let Some(power) = 10_u64.checked_pow(places).and_then(NonZeroU64::new) else {
        return 0.0;
    };
    let sticky = u64::from(numerator % power != 0);
    // What was cut off only matters below the rounding bit, where the lowest bit stands for it.
    ((numerator / power) | sticky) as f32 * half_to_the(shift)
}

fn divide_128(digits: u64, places: u32) -> f32 {
    let digits = u128::from(digits);
    let shift = digits.leading_zeros();
    let numerator = digits.wrapping_shl(shift);
    let Some(power) = 10_u128.checked_pow(places).and_then(NonZeroU128::new) else {
        return 0.0;
    };
    let sticky = u128::from(numerator % power != 0);
    ((numerator / power) | sticky) as f32 * half_to_the(shift)
}

/// For numbers that no robot has.
fn divide_roughly(digits: u64, places: u32) -> f32 {
    // 19 digits below the smallest float.
    if places > 65 {
        return 0.0;
    }
    let mut value = digits as f64;
    for _ in 0..places {
        value /= 10.0;
    }
    value as f32
}

/// 2^-shift, for at most 127: exact.
fn half_to_the(shift: u32) -> f32 {
    let exponent = 127_u32.saturating_sub(shift);
    if exponent == 0 {
        return f32::MIN_POSITIVE / 2.0;
    }
    f32::from_bits(exponent.wrapping_shl(23))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::string::ToString;

    use super::*;

    fn decimal(digits: u64, exponent: i32) -> f32 {
        Decimal {
            negative: false,
            digits,
            exponent,
        }
        .to_f32()
    }

    #[test]
    fn is_the_nearest_float() {
        let cases = [
            (0, 5, "0"),
            (1, 0, "1"),
            (1, -1, "0.1"),
            (16_777_217, 0, "16777217"),
            (16_777_219, 0, "16777219"),
            (34_028_235, 31, "3.4028235e38"),
            (34_028_236, 31, "3.4028236e38"),
            (1, 39, "1e39"),
            (1, i32::MAX, "1e999"),
            (u64::MAX, -11, "184467440.73709551615"),
            (u64::MAX, -30, "1.8446744073709551615e-11"),
            (1, -30, "1e-30"),
            (11_754_944, -45, "1.1754944e-38"),
            (1, -45, "1e-45"),
            (1, -46, "1e-46"),
            (7, i32::MIN, "0"),
            // Just above and below half way between two floats.
            (1_000_000_059_604_644_775, -19, "0.1000000059604644775"),
            (1_000_000_059_604_644_776, -19, "0.1000000059604644776"),
        ];
        for (digits, exponent, text) in cases {
            let expected: f32 = text.parse().unwrap();
            assert_eq!(decimal(digits, exponent), expected, "{digits}e{exponent}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_the_standard_library(digits in any::<u64>(), fewer in 0_u32..64, exponent in -30_i32..25) {
            let digits = digits >> fewer;
            let expected: f32 = std::format!("{digits}e{exponent}").parse().unwrap();
            prop_assert_eq!(decimal(digits, exponent), expected);
        }

        #[test]
        fn every_float_survives_its_shortest_text(bits in any::<u32>()) {
            let value = f32::from_bits(bits & 0x7fff_ffff);
            prop_assume!(value.is_finite());
            let text = ryu::Buffer::new().format_finite(value).to_string();
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let digits: u64 = std::format!("{whole}{part}").parse().unwrap();
            let exponent: i32 = exponent.parse().unwrap();
            prop_assert_eq!(decimal(digits, exponent - part.len() as i32), value);
        }
    }
}
