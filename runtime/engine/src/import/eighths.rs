//! Floats of 8 bits: each of the four formats of ONNX, read and rounded to.

/// Widths and special values of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Eighth {
    /// Bits of the fraction.
    fraction: i32,
    /// What is taken from a stored exponent.
    bias: i32,
    /// The code of the largest finite number.
    largest: u8,
    /// The code of infinity, where there is one.
    infinity: Option<u8>,
    /// One code of NaN.
    nan: u8,
    /// Whether the only NaN stands in the place of minus zero.
    one_zero: bool,
}

/// 4 bits of exponent, 3 of fraction, no infinity.
pub(super) const E4M3FN: Eighth = Eighth {
    fraction: 3,
    bias: 7,
    largest: 0x7e,
    infinity: None,
    nan: 0x7f,
    one_zero: false,
};

/// The same with one zero and one NaN.
pub(super) const E4M3FNUZ: Eighth = Eighth {
    fraction: 3,
    bias: 8,
    largest: 0x7f,
    infinity: None,
    nan: 0x80,
    one_zero: true,
};

/// 5 bits of exponent, 2 of fraction, as in IEEE.
pub(super) const E5M2: Eighth = Eighth {
    fraction: 2,
    bias: 15,
    largest: 0x7b,
    infinity: Some(0x7c),
    nan: 0x7f,
    one_zero: false,
};

/// The same with one zero, one NaN and no infinity.
pub(super) const E5M2FNUZ: Eighth = Eighth {
    fraction: 2,
    bias: 16,
    largest: 0x7f,
    infinity: None,
    nan: 0x80,
    one_zero: true,
};

impl Eighth {
    /// The number of a code.
    pub(super) fn read(self, code: u8) -> f64 {
        let magnitude = code & 0x7f;
        let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
        if self.one_zero && code == self.nan {
            return f64::NAN;
        }
        match (magnitude > self.largest, self.infinity) {
            (true, Some(infinity)) if magnitude == infinity => sign * f64::INFINITY,
            (true, _) => f64::NAN,
            (false, _) => sign * self.magnitude(magnitude),
        }
    }

    fn magnitude(self, code: u8) -> f64 {
        let (exponent, fraction) = (
            i32::from(code) >> self.fraction,
            i32::from(code) & ((1 << self.fraction) - 1),
        );
        let (whole, exponent) = match exponent {
            0 => (fraction, 1),
            exponent => (fraction + (1 << self.fraction), exponent),
        };
        f64::from(whole) * libm::exp2(f64::from(exponent - self.bias - self.fraction))
    }

    /// The code of the nearest number, of two the even one. What is beyond the largest number becomes that if it `saturates`, and
    /// otherwise infinity, or NaN where there is none.
    pub(super) fn code(self, value: f64, saturates: bool) -> u8 {
        let sign = if value.is_sign_negative() { 0x80 } else { 0 };
        if value.is_nan() {
            return if self.one_zero {
                self.nan
            } else {
                self.nan | sign
            };
        }
        let magnitude = value.abs();
        // Codes are in the order of their numbers.
        let (mut low, mut high) = (0, self.largest);
        while low < high {
            let middle = high - (high - low) / 2;
            if self.magnitude(middle) <= magnitude {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let step = if low == self.largest {
            self.magnitude(low) - self.magnitude(low - 1)
        } else {
            self.magnitude(low + 1) - self.magnitude(low)
        };
        let part = (magnitude - self.magnitude(low)) / step;
        let up = part > 0.5 || (part == 0.5 && low & 1 == 1);
        let rounded = low + u8::from(up);
        if rounded > self.largest {
            return match (saturates, self.infinity) {
                (true, _) => self.largest | sign,
                (false, Some(infinity)) => infinity | sign,
                (false, None) if self.one_zero => self.nan,
                (false, None) => self.nan | sign,
            };
        }
        match rounded {
            0 if self.one_zero => 0,
            rounded => rounded | sign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for format in [E4M3FN, E4M3FNUZ, E5M2, E5M2FNUZ] {
            for code in 0..=255 {
                let value = format.read(code);
                let again = format.code(value, false);
                let same = again == code || value.is_nan() && format.read(again).is_nan();
                assert!(same, "{format:?} {code:#x}: {value} {again:#x}");
            }
        }
    }

    #[test]
    fn numbers_of_the_standard() {
        assert_eq!(E4M3FN.read(0x7e), 448.0);
        assert_eq!(E4M3FNUZ.read(0x7f), 240.0);
        assert_eq!(E5M2.read(0x7b), 57344.0);
        assert_eq!(E5M2FNUZ.read(0x7f), 57344.0);
        assert_eq!(E4M3FN.read(0x01), 0.001_953_125);
        assert_eq!(E5M2.read(0xfc), f64::NEG_INFINITY);
    }

    #[test]
    fn rounding_and_ends() {
        // Halfway between 1 and 1.125 the even one is 1; between 1.125 and 1.25 it is 1.25.
        assert_eq!(E4M3FN.read(E4M3FN.code(1.0625, true)), 1.0);
        assert_eq!(E4M3FN.read(E4M3FN.code(1.1875, true)), 1.25);
        assert_eq!(E4M3FN.read(E4M3FN.code(1e9, true)), 448.0);
        assert!(E4M3FN.read(E4M3FN.code(1e9, false)).is_nan());
        assert_eq!(E4M3FN.read(E4M3FN.code(464.0, false)), 448.0);
        assert_eq!(E5M2.read(E5M2.code(f64::NEG_INFINITY, true)), -57344.0);
        assert_eq!(
            E5M2.read(E5M2.code(f64::NEG_INFINITY, false)),
            f64::NEG_INFINITY
        );
        assert_eq!(E4M3FNUZ.code(-0.0, true), 0);
        assert_eq!(E4M3FN.code(-0.0, true), 0x80);
    }
}
