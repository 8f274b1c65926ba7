//! Functions of one float that compile to vector instructions: no branches, no calls where the machine has a fused multiply-add,
//! and the same bits whether it has or not.

/// The nearest integer, halves to even, of a value within +-2^21. Adding 1.5 x 2^23 makes the sum's last bit worth one.
#[inline(always)]
pub(crate) fn round_half_to_even(x: f32) -> i32 {
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT).to_bits().cast_signed() - SHIFT.to_bits().cast_signed()
}

/// From `low` to `high`, and `low` for NaN. (`f32::clamp` keeps NaN, and does not compile to two instructions.)
#[inline(always)]
pub(crate) fn saturate(v: f32, low: f32, high: f32) -> f32 {
    let v = if v > low { v } else { low };
    if v < high { v } else { high }
}

/// e^x, relative error below 3e-7, or half a subnormal step more where that is larger; infinity above 88.72, 0 below -103.98, NaN
/// of a NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series to the seventh power.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond both ends of what a float can tell. Written so that a NaN stays one.
    let clipped = if x > 89.0 { 89.0 } else { x };
    let clipped = if clipped < -105.0 { -105.0 } else { clipped };
    let n = round_half_to_even(clipped * std::f32::consts::LOG2_E);
    let whole = n as f32;
    // ln 2 in two parts: the first has few bits, so that its product with n is exact.
    let r = whole.mul_add(2.121_944_4e-4, whole.mul_add(-0.693_359_4, clipped));
    let mut series = 1.0_f32 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series.mul_add(r, coefficient);
    }
    // 2^n in two factors, each of which is a normal number: only the second product may round, overflow or become subnormal.
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23).cast_unsigned());
    series * power(half) * power(n - half)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent: (1 - e) / (1 + e) of e = e^-2|x|, and Cephes' polynomial where that cancels.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let e = exp(-2.0 * x.abs());
    let far = ((1.0 - e) / (1.0 + e)).copysign(x);
    let z = x * x;
    let mut series = -5.704_988_7e-3_f32;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8] {
        series = series.mul_add(z, coefficient);
    }
    let near = (series * z).mul_add(x, x);
    if x.abs() < 0.625 { near } else { far }
}

/// x Phi(x) with erf by Abramowitz and Stegun 7.1.26 (absolute error of erf below 2e-7).
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let mut series = 1.061_405_4_f32;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        series = series.mul_add(t, coefficient);
    }
    // Upper tail of the normal distribution at |x|, so that nothing cancels far out on the negative side.
    let tail = 0.5 * series * t * exp(-z * z);
    x * if x > 0.0 { 1.0 - tail } else { tail }
}

/// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), as x times a sigmoid.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    x * sigmoid(2.0 * inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exact_functions() {
        for step in -12_000..12_000 {
            let x = step as f32 / 1000.0;
            let wide = f64::from(x);
            let relative = (f64::from(exp(x)) / wide.exp() - 1.0).abs();
            assert!(relative < 3e-7, "exp({x}): {relative}");
            let error = (f64::from(tanh(x)) - wide.tanh()).abs();
            assert!(error <= 3e-7 * wide.tanh().abs(), "tanh({x}): {error}");
            let tanh = (0.797_884_560_8 * (wide + 0.044_715 * wide.powi(3))).tanh();
            let wanted = 0.5 * wide * (1.0 + tanh);
            assert!((f64::from(gelu_tanh(x)) - wanted).abs() < 3e-6, "tanh {x}");
            let wanted = wide / (1.0 + (-wide).exp());
            assert!(
                (f64::from(x * sigmoid(x)) - wanted).abs() < 3e-6,
                "silu {x}"
            );
        }
        // From tables: Phi(1) = 0.8413447, Phi(-2) = 0.0227501, Phi(3) = 0.9986501.
        for (x, phi) in [(1.0, 0.841_344_7), (-2.0, 0.022_750_13), (3.0, 0.998_650_1)] {
            assert!((gelu(x) - x * phi).abs() < 1e-6, "gelu({x}) = {}", gelu(x));
        }
        assert_eq!([exp(-1000.0), gelu(-40.0), gelu(0.0)], [0.0; 3]);
        assert!(exp(1000.0) == f32::INFINITY && gelu(40.0) == 40.0);
        for of in [exp, sigmoid, tanh, gelu, gelu_tanh] {
            assert!(of(f32::NAN).is_nan() && of(-f32::NAN).is_nan());
        }
    }

    #[test]
    fn halves_round_to_even() {
        for x in [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 254.5, 0.49, -0.51, 1e6] {
            let wanted = x_round(x);
            assert_eq!(round_half_to_even(x), wanted, "{x}");
        }
    }

    #[expect(clippy::cast_possible_truncation)]
    fn x_round(x: f32) -> i32 {
        x.round_ties_even() as i32
    }
}
