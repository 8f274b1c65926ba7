//! Scaled dot-product attention as one pass over the heads (Vaswani et al., arXiv 1706.03762), from the projections' layout to
//! the next projection's: no transposes, no tensor of scores.
//!
//! Arithmetic is in floats: at a policy's token counts it is a small part of a layer. With fused multiply-add where the machine
//! has it, so results may differ in the last bits from one instruction set to another.

use std::cell::RefCell;

use crate::activations::Bytes;
use crate::epilogue::{Output, RawOutput, quantise_row};
use crate::math::exp;
use crate::{Isa, Pool, Quantisation, compiled_for};

/// Columns of a block of sums.
const LANES: usize = 16;
/// Rows of a block of sums.
const ROWS: usize = 6;

/// Queries, keys or values: rows of `heads * width` values.
#[derive(Debug, Clone, Copy)]
pub enum Head<'a> {
    /// Floats.
    Float(&'a [f32]),
    /// 8-bit values.
    Quantised(Bytes<'a>, Quantisation),
}

/// One attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Queries, `queries` rows.
    pub q: Head<'a>,
    /// Keys, `keys` rows.
    pub k: Head<'a>,
    /// Values, `keys` rows.
    pub v: Head<'a>,
    /// Number of heads.
    pub heads: usize,
    /// Values per head.
    pub width: usize,
    /// Number of queries.
    pub queries: usize,
    /// Number of keys.
    pub keys: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// Added to the scaled scores: one row for all queries, or one row for each. The same for all heads.
    pub mask: Option<&'a [f32]>,
}

impl Head<'_> {
    fn len(self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Quantised(values, _) => values.len(),
        }
    }

    /// Values `from..from + out.len()` as floats times `by`.
    #[inline(always)]
    fn read(self, from: usize, by: f32, out: &mut [f32]) {
        match self {
            Self::Float(values) => {
                for (to, &v) in out.iter_mut().zip(&values[from..]) {
                    *to = v * by;
                }
            }
            Self::Quantised(values, q) => {
                let (raw, flip) = values.raw();
                let by = q.scale * by;
                for (to, &v) in out.iter_mut().zip(&raw[from..]) {
                    let v = i32::from((v ^ flip).cast_signed()) - q.zero_point;
                    *to = v as f32 * by;
                }
            }
        }
    }
}

thread_local! {
    /// One head's keys, values, queries, scores and sums: kept, so that nothing is allocated from the second call on.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// `softmax(scale * q k^T + mask) v` for each head; the output has `queries` rows of `heads * width` values.
///
/// # Panics
/// When the lengths do not fit.
pub fn attend(isa: Isa, a: &Attention<'_>, output: &mut Output<'_>, pool: &Pool) {
    let row = a.heads * a.width;
    assert_eq!(a.q.len(), a.queries * row, "queries");
    assert_eq!(a.k.len(), a.keys * row, "keys");
    assert_eq!(a.v.len(), a.keys * row, "values");
    assert_eq!(output.len(), a.queries * row, "output");
    if let Some(mask) = a.mask {
        let rows = [a.keys, a.queries * a.keys];
        assert!(rows.contains(&mask.len()), "mask");
    }
    let output = output.raw();
    pool.run(a.heads, &|head| {
        SCRATCH.with_borrow_mut(|scratch| {
            if isa == Isa::Scalar {
                // Elsewhere than on aarch64 the fused form is a call.
                one_head::<{ cfg!(target_arch = "aarch64") }>(a, head, scratch, output);
            } else {
                head_fused(isa, a, head, scratch, output);
            }
        });
    });
}

compiled_for! {
    fn head_fused(a: &Attention<'_>, head: usize, scratch: &mut Vec<f32>, output: RawOutput) = one_head::<true>
}

#[inline(always)]
fn one_head<const FUSED: bool>(
    a: &Attention<'_>,
    head: usize,
    scratch: &mut Vec<f32>,
    output: RawOutput,
) {
    let row = a.heads * a.width;
    let wide_keys = a.keys.next_multiple_of(LANES);
    let wide = a.width.next_multiple_of(LANES);
    let sizes = [
        a.width * wide_keys,
        a.keys * wide,
        a.width,
        ROWS * a.width.max(a.keys),
        ROWS * wide_keys,
        ROWS * wide,
    ];
    scratch.clear();
    scratch.resize(sizes.iter().sum(), 0.0);
    let (keys, rest) = scratch.split_at_mut(sizes[0]);
    let (values, rest) = rest.split_at_mut(sizes[1]);
    let (query, rest) = rest.split_at_mut(sizes[2]);
    let (across, rest) = rest.split_at_mut(sizes[3]);
    let (scores, sums) = rest.split_at_mut(sizes[4]);
    let (across, _) = across.as_chunks_mut::<ROWS>();
    let first = head * a.width;
    for key in 0..a.keys {
        let line = &mut values[key * wide..key * wide + a.width];
        a.k.read(key * row + first, 1.0, line);
        for (d, &v) in line.iter().enumerate() {
            keys[d * wide_keys + key] = v;
        }
        a.v.read(key * row + first, 1.0, line);
    }
    for start in (0..a.queries).step_by(ROWS) {
        let count = ROWS.min(a.queries - start);
        for i in 0..count {
            a.q.read((start + i) * row + first, a.scale, query);
            lay_across(query, i, across);
        }
        multiply::<FUSED>(&across[..a.width], keys, wide_keys, scores);
        let mut inverse = [0.0; ROWS];
        for (i, line) in scores.chunks_exact_mut(wide_keys).enumerate().take(count) {
            let mask = a.mask.map(|mask| match mask.len() == a.keys {
                true => mask,
                false => &mask[(start + i) * a.keys..(start + i + 1) * a.keys],
            });
            inverse[i] = softmax(&mut line[..a.keys], mask);
            lay_across(&line[..a.keys], i, across);
        }
        multiply::<FUSED>(&across[..a.keys], values, wide, sums);
        for (i, line) in sums.chunks_exact_mut(wide).enumerate().take(count) {
            let line = &mut line[..a.width];
            for v in &mut *line {
                *v *= inverse[i];
            }
            write(line, (start + i) * row + first, output);
        }
    }
}

/// Makes a row the `index`-th column, so that the rows' values that are multiplied together lie together.
#[inline(always)]
fn lay_across(row: &[f32], index: usize, across: &mut [[f32; ROWS]]) {
    for (to, &v) in across.iter_mut().zip(row) {
        to[index] = v;
    }
}

/// Exponentials in place; returns one over their sum.
#[inline(always)]
fn softmax(line: &mut [f32], mask: Option<&[f32]>) -> f32 {
    if let Some(mask) = mask {
        for (v, m) in line.iter_mut().zip(mask) {
            *v += m;
        }
    }
    let (chunks, rest) = line.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for j in 0..LANES {
            tops[j] = if chunk[j] > tops[j] {
                chunk[j]
            } else {
                tops[j]
            };
        }
    }
    let top = tops
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    for v in &mut *line {
        *v = exp(*v - top);
    }
    1.0 / crate::norm::sum(line, |v| v)
}

/// `out[i][j]` = sum over k of `a[k][i] b[k][j]`, with rows of `n`, a multiple of the lanes.
#[inline(always)]
fn multiply<const FUSED: bool>(a: &[[f32; ROWS]], b: &[f32], n: usize, out: &mut [f32]) {
    for column in (0..n).step_by(LANES) {
        let mut sums = [[0.0_f32; LANES]; ROWS];
        for (a, line) in a.iter().zip(b[column..].chunks(n)) {
            let Some(line) = line.first_chunk::<LANES>() else {
                break;
            };
            for (sum, by) in sums.iter_mut().zip(a) {
                for j in 0..LANES {
                    sum[j] = if FUSED {
                        by.mul_add(line[j], sum[j])
                    } else {
                        by * line[j] + sum[j]
                    };
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            out[i * n + column..i * n + column + LANES].copy_from_slice(sum);
        }
    }
}

#[inline(always)]
fn write(line: &[f32], at: usize, output: RawOutput) {
    // SAFETY: `attend` checked that rows of all heads fit in, and each head is one piece of the work.
    let mut output = unsafe { output.part(at..at + line.len()) };
    if let Output::Float(out) = output {
        out.copy_from_slice(line);
    } else if let Some((raw, flip, q)) = output.raw_bytes(0..line.len()) {
        quantise_row(line, raw, flip, q);
    }
}
