//! The small float operators between products: one value at a time, two operands, a reduction, a softmax.
//!
//! Sums are made in an order that no instruction set changes, and the functions are those of [`crate::math`]: a graph gives the
//! same bits on every machine.

use crate::attention::exponentials;
use crate::norm::sum;
use crate::{Isa, compiled_for, math};

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// |x|.
    Abs,
    /// e^x.
    Exp,
    /// The largest integer that is not above x.
    Floor,
    /// -x.
    Neg,
    /// 1 / x.
    Recip,
    /// 1 / sqrt(x).
    Rsqrt,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// x / (1 + e^-x).
    Silu,
    /// sqrt(x).
    Sqrt,
    /// x x.
    Square,
    /// Hyperbolic tangent.
    Tanh,
}

/// A function of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// a + b.
    Add,
    /// a / b.
    Div,
    /// The larger one, or the NaN.
    Max,
    /// The smaller one, or the NaN.
    Min,
    /// a b.
    Mul,
    /// a - b.
    Sub,
}

/// What becomes of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The largest, or a NaN.
    Max,
    /// The mean of their squares.
    MeanOfSquares,
    /// The smallest, or a NaN.
    Min,
    /// Their sum.
    Sum,
}

/// An operand of [`binary`].
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// As many values as the output.
    Many(&'a [f32]),
    /// The same value everywhere.
    One(f32),
}

/// `out = op(x)`.
///
/// # Panics
/// When the lengths differ.
pub fn unary(isa: Isa, op: Unary, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len());
    map_for(isa, op, x, out);
}

/// `out = op(a, b)`.
///
/// # Panics
/// When an operand has another length than the output.
pub fn binary(op: Binary, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
    match op {
        Binary::Add => zip(a, b, out, |a, b| a + b),
        Binary::Div => zip(a, b, out, |a, b| a / b),
        Binary::Max => zip(a, b, out, larger),
        Binary::Min => zip(a, b, out, smaller),
        Binary::Mul => zip(a, b, out, |a, b| a * b),
        Binary::Sub => zip(a, b, out, |a, b| a - b),
    }
}

/// Reduces the middle one of three axes; the inner one is as long as `out.len()` over the number of outer ones.
///
/// # Panics
/// When `x` is not `outer` times `count` times the inner axis, or any of them is 0.
pub fn reduce(isa: Isa, op: Reduction, x: &[f32], [outer, count]: [usize; 2], out: &mut [f32]) {
    assert!(outer > 0 && count > 0 && out.len().is_multiple_of(outer));
    assert_eq!(x.len(), out.len() * count);
    reduce_for(isa, op, x, count, out.len() / outer, out);
}

/// Softmax of rows of `width` values.
///
/// # Panics
/// When the lengths differ or are no multiple of the width.
pub fn softmax(isa: Isa, x: &[f32], width: usize, out: &mut [f32]) {
    assert!(width > 0 && x.len().is_multiple_of(width) && x.len() == out.len());
    softmax_for(isa, x, width, out);
}

/// Turns both halves `a` and `b` of each row of `width` values by the angle of the row: `a cos - b sin` and `b cos + a sin`. The rows
/// of cosines and sines are half as wide; each is for `repeat` rows one after the other, and behind the last comes the first.
///
/// # Panics
/// When the width is odd or 0, lengths do not fit, or there are rows but no angles.
pub fn rotate(
    isa: Isa,
    x: &[f32],
    width: usize,
    [cosines, sines]: [&[f32]; 2],
    repeat: usize,
    out: &mut [f32],
) {
    assert!(width > 0 && width.is_multiple_of(2) && repeat > 0);
    assert!(x.len() == out.len() && x.len().is_multiple_of(width));
    assert!(cosines.len() == sines.len() && cosines.len().is_multiple_of(width / 2));
    assert!(x.is_empty() || !cosines.is_empty(), "no angles");
    rotate_for(isa, x, width, [cosines, sines], repeat, out);
}

compiled_for! {
    fn rotate_for(x: &[f32], width: usize, angles: [&[f32]; 2], repeat: usize, out: &mut [f32]) = rotate_rows
}

compiled_for! {
    fn map_for(op: Unary, x: &[f32], out: &mut [f32]) = map
}

compiled_for! {
    fn reduce_for(op: Reduction, x: &[f32], count: usize, inner: usize, out: &mut [f32]) = reduce_all
}

compiled_for! {
    fn softmax_for(x: &[f32], width: usize, out: &mut [f32]) = softmax_rows
}

#[inline(always)]
fn map(op: Unary, x: &[f32], out: &mut [f32]) {
    match op {
        Unary::Abs => each(x, out, f32::abs),
        Unary::Exp => each(x, out, math::exp),
        Unary::Floor => each(x, out, f32::floor),
        Unary::Neg => each(x, out, |x| -x),
        Unary::Recip => each(x, out, |x| 1.0 / x),
        Unary::Rsqrt => each(x, out, |x| 1.0 / x.sqrt()),
        Unary::Sigmoid => each(x, out, math::sigmoid),
        Unary::Silu => each(x, out, |x| x * math::sigmoid(x)),
        Unary::Sqrt => each(x, out, f32::sqrt),
        Unary::Square => each(x, out, |x| x * x),
        Unary::Tanh => each(x, out, math::tanh),
    }
}

#[inline(always)]
fn rotate_rows(
    x: &[f32],
    width: usize,
    [cosines, sines]: [&[f32]; 2],
    repeat: usize,
    out: &mut [f32],
) {
    let half = width / 2;
    let angles = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
    let blocks = x.chunks(width * repeat).zip(out.chunks_mut(width * repeat));
    for ((x, out), (cosines, sines)) in blocks.zip(angles.cycle()) {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let (a, b) = x.split_at(half);
            let (first, second) = out.split_at_mut(half);
            for i in 0..half {
                first[i] = a[i] * cosines[i] - b[i] * sines[i];
                second[i] = b[i] * cosines[i] + a[i] * sines[i];
            }
        }
    }
}

#[inline(always)]
fn each(x: &[f32], out: &mut [f32], of: impl Fn(f32) -> f32) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = of(x);
    }
}

#[inline(always)]
fn zip(a: Operand<'_>, b: Operand<'_>, out: &mut [f32], of: impl Fn(f32, f32) -> f32) {
    match (a, b) {
        (Operand::Many(a), Operand::Many(b)) => {
            assert!(a.len() == out.len() && b.len() == out.len());
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = of(a, b);
            }
        }
        (Operand::Many(a), Operand::One(b)) => {
            assert_eq!(a.len(), out.len());
            each(a, out, |a| of(a, b));
        }
        (Operand::One(a), Operand::Many(b)) => {
            assert_eq!(b.len(), out.len());
            each(b, out, |b| of(a, b));
        }
        (Operand::One(a), Operand::One(b)) => out.fill(of(a, b)),
    }
}

#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    if a > b || a.is_nan() { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b || a.is_nan() { a } else { b }
}

#[inline(always)]
fn reduce_all(op: Reduction, x: &[f32], count: usize, inner: usize, out: &mut [f32]) {
    match op {
        Reduction::Max => fold(x, count, inner, out, larger),
        Reduction::Min => fold(x, count, inner, out, smaller),
        Reduction::Sum => add_up(x, count, inner, out, |x| x),
        Reduction::MeanOfSquares => {
            add_up(x, count, inner, out, |x| x * x);
            for out in out {
                *out /= count as f32;
            }
        }
    }
}

#[inline(always)]
fn add_up(x: &[f32], count: usize, inner: usize, out: &mut [f32], of: impl Fn(f32) -> f32) {
    if inner == 1 {
        for (out, row) in out.iter_mut().zip(x.chunks_exact(count)) {
            *out = sum(row, &of);
        }
        return;
    }
    out.fill(0.0);
    for (out, block) in out
        .chunks_exact_mut(inner)
        .zip(x.chunks_exact(count * inner))
    {
        for row in block.chunks_exact(inner) {
            for (out, &x) in out.iter_mut().zip(row) {
                *out += of(x);
            }
        }
    }
}

#[inline(always)]
fn fold(x: &[f32], count: usize, inner: usize, out: &mut [f32], of: impl Fn(f32, f32) -> f32) {
    for (out, block) in out
        .chunks_exact_mut(inner)
        .zip(x.chunks_exact(count * inner))
    {
        out.copy_from_slice(&block[..inner]);
        for row in block.chunks_exact(inner).skip(1) {
            for (out, &x) in out.iter_mut().zip(row) {
                *out = of(*out, x);
            }
        }
    }
}

#[inline(always)]
fn softmax_rows(x: &[f32], width: usize, out: &mut [f32]) {
    for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        out.copy_from_slice(row);
        let scale = exponentials(out);
        for out in out {
            *out *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (i as f32 * 0.37).sin() * 3.0 + 0.01)
            .collect()
    }

    #[test]
    fn unary_functions_are_close_to_those_of_the_library() {
        type Wide = fn(f64) -> f64;
        let cases: [(Unary, Wide); 11] = [
            (Unary::Abs, f64::abs),
            (Unary::Exp, f64::exp),
            (Unary::Floor, f64::floor),
            (Unary::Neg, |x| -x),
            (Unary::Recip, |x| 1.0 / x),
            (Unary::Rsqrt, |x| 1.0 / x.sqrt()),
            (Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
            (Unary::Silu, |x| x / (1.0 + (-x).exp())),
            (Unary::Sqrt, f64::sqrt),
            (Unary::Square, |x| x * x),
            (Unary::Tanh, f64::tanh),
        ];
        for (op, wide) in cases {
            let mut x = values(37);
            if matches!(op, Unary::Sqrt | Unary::Rsqrt) {
                x.iter_mut().for_each(|x| *x = x.abs());
            }
            let mut out = vec![0.0; x.len()];
            unary(Isa::detect(), op, &x, &mut out);
            for (&x, &out) in x.iter().zip(&out) {
                let wanted = wide(f64::from(x));
                let error = (f64::from(out) - wanted).abs() / wanted.abs().max(1e-30);
                assert!(error < 1e-6, "{op:?}({x}) = {out}, not {wanted}");
            }
        }
    }

    #[test]
    fn rows_are_turned_by_their_angles() {
        // Two angles for two rows each, and these again.
        let (x, cosines, sines) = (values(8 * 4), [0.6, 1.0, 0.0, -1.0], [0.8, 0.0, 1.0, 0.0]);
        let mut out = vec![0.0; x.len()];
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            rotate(isa, &x, 4, [&cosines, &sines], 2, &mut out);
            for (row, (x, out)) in x.chunks(4).zip(out.chunks(4)).enumerate() {
                for i in 0..2 {
                    let at = row / 2 % 2 * 2 + i;
                    let (a, b, c, s) = (x[i], x[i + 2], cosines[at], sines[at]);
                    assert_eq!([out[i], out[i + 2]], [a * c - b * s, b * c + a * s]);
                }
            }
        }
    }

    #[test]
    fn nan_is_not_lost() {
        let nan = f32::NAN;
        for (op, a, b) in [
            (Binary::Max, nan, 1.0),
            (Binary::Max, 1.0, nan),
            (Binary::Min, nan, 1.0),
            (Binary::Min, 1.0, nan),
        ] {
            let mut out = [0.0; 2];
            binary(op, Operand::Many(&[a; 2]), Operand::One(b), &mut out);
            assert!(out.iter().all(|x| x.is_nan()), "{op:?} {a} {b}");
        }
        let mut out = [0.0; 1];
        for op in [
            Reduction::Max,
            Reduction::Min,
            Reduction::Sum,
            Reduction::MeanOfSquares,
        ] {
            reduce(Isa::detect(), op, &[1.0, nan, 2.0], [1, 3], &mut out);
            assert!(out[0].is_nan(), "{op:?}");
        }
        let mut out = [0.0; 3];
        softmax(Isa::detect(), &[1.0, nan, 2.0], 3, &mut out);
        assert!(out.iter().any(|x| x.is_nan()));
    }

    #[test]
    fn operands_broadcast() {
        let (a, b) = ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
        let mut out = [0.0; 3];
        let mut run = |a, b| {
            binary(Binary::Sub, a, b, &mut out);
            out
        };
        assert_eq!(run(Operand::Many(&a), Operand::Many(&b)), [-3.0; 3]);
        assert_eq!(run(Operand::Many(&a), Operand::One(1.0)), [0.0, 1.0, 2.0]);
        assert_eq!(
            run(Operand::One(1.0), Operand::Many(&b)),
            [-3.0, -4.0, -5.0]
        );
        assert_eq!(run(Operand::One(1.0), Operand::One(3.0)), [-2.0; 3]);
    }

    #[test]
    fn reductions_of_any_axis() {
        let (outer, count, inner) = (3, 35, 5);
        let x = values(outer * count * inner);
        for (op, inner) in [
            Reduction::Max,
            Reduction::Min,
            Reduction::Sum,
            Reduction::MeanOfSquares,
        ]
        .into_iter()
        .flat_map(|op| [(op, 1), (op, inner)])
        {
            let x = &x[..outer * count * inner];
            let mut out = vec![0.0; outer * inner];
            reduce(Isa::detect(), op, x, [outer, count], &mut out);
            for (index, &out) in out.iter().enumerate() {
                let (o, i) = (index / inner, index % inner);
                let at = |n: usize| f64::from(x[(o * count + n) * inner + i]);
                let all = (0..count).map(at);
                let wanted = match op {
                    Reduction::Max => all.fold(f64::MIN, f64::max),
                    Reduction::Min => all.fold(f64::MAX, f64::min),
                    Reduction::Sum => all.sum(),
                    Reduction::MeanOfSquares => all.map(|x| x * x).sum::<f64>() / count as f64,
                };
                assert!(
                    (f64::from(out) - wanted).abs() < 1e-4,
                    "{op:?} {out} {wanted}"
                );
            }
        }
    }

    #[test]
    fn softmax_of_rows() {
        let x = values(6 * 51);
        let mut out = vec![0.0; x.len()];
        softmax(Isa::detect(), &x, 51, &mut out);
        for (row, out) in x.chunks(51).zip(out.chunks(51)) {
            let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            for (&x, &out) in row.iter().zip(out) {
                assert!((f64::from(out) - f64::from(x).exp() / total).abs() < 1e-6);
            }
        }
    }

    /// Inputs are made without the system's mathematics, which differs between machines.
    fn exact_values(count: usize) -> Vec<f32> {
        (0..count)
            .map(|i| (i * 7919 % 2003) as f32 / 128.0 - 7.75)
            .collect()
    }

    /// Not only every instruction set of this machine, but every machine: what was computed is summed up in one number, which
    /// stands here. A change of a function's bits changes it; the test then prints the new one.
    #[test]
    fn the_same_bits_on_every_machine() {
        let x = exact_values(3 * 77);
        let positive: Vec<f32> = x.iter().map(|x| x.abs() + 0.125).collect();
        let run = |isa: Isa| {
            let mut all = vec![];
            let mut out = vec![0.0; x.len()];
            for op in [Unary::Exp, Unary::Sigmoid, Unary::Silu, Unary::Tanh] {
                unary(isa, op, &x, &mut out);
                all.extend(out.iter().map(|x| x.to_bits()));
            }
            for op in [Unary::Recip, Unary::Rsqrt, Unary::Sqrt] {
                unary(isa, op, &positive, &mut out);
                all.extend(out.iter().map(|x| x.to_bits()));
            }
            softmax(isa, &x, 77, &mut out);
            all.extend(out.iter().map(|x| x.to_bits()));
            let mut out = [0.0; 3];
            for op in [Reduction::Sum, Reduction::MeanOfSquares] {
                reduce(isa, op, &x, [3, 77], &mut out);
                all.extend(out.iter().map(|x| x.to_bits()));
            }
            // FNV-1a.
            all.iter()
                .flat_map(|bits| bits.to_le_bytes())
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
        };
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            assert_eq!(
                run(isa),
                0x67b8_bfe8_08f5_db7b,
                "{}: {:#018x}",
                isa.name(),
                run(isa)
            );
        }
    }
}
