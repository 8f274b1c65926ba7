//! Scaled dot-product attention as one pass over the heads (Vaswani et al., arXiv 1706.03762), from the projections' layout to
//! the next projection's: no transposes, no tensor of scores.
//!
//! Arithmetic is in floats: at a policy's token counts it is a small part of a layer. Both products are those of
//! [`crate::float_product`], tile by tile.

use crate::activations::Bytes;
use crate::epilogue::{Output, RawOutput, quantise_row};
use crate::floats::small_product;
use crate::math::exp;
use crate::tiles::TALLEST;
use crate::{Isa, PANEL, Pool, Quantisation, compiled_for};

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
    let floats = a.scratch(isa).iter().sum();
    pool.run_with(a.heads, floats, &|head, scratch| {
        one_head(isa, a, (head, isa), scratch, output);
    });
}

impl Attention<'_> {
    /// Keys and values of a row, filled up to whole panels.
    fn wide(&self) -> (usize, usize) {
        (
            self.keys.next_multiple_of(PANEL),
            self.width.next_multiple_of(PANEL),
        )
    }

    /// Floats for one head's keys, values, queries and scores.
    fn scratch(&self, isa: Isa) -> [usize; 4] {
        let tall = isa.tile_rows();
        let (wide_keys, wide) = self.wide();
        [
            self.width * wide_keys,
            self.keys * wide,
            tall * wide,
            tall * wide_keys,
        ]
    }
}

compiled_for! {
    fn one_head(a: &Attention<'_>, at: (usize, Isa), scratch: &mut [f32], output: RawOutput) = head
}

#[inline(always)]
fn head(a: &Attention<'_>, (head, isa): (usize, Isa), scratch: &mut [f32], output: RawOutput) {
    let row = a.heads * a.width;
    let tall = isa.tile_rows();
    let (wide_keys, wide) = a.wide();
    let sizes = a.scratch(isa);
    let (keys, rest) = scratch.split_at_mut(sizes[0]);
    let (values, rest) = rest.split_at_mut(sizes[1]);
    let (queries, scores) = rest.split_at_mut(sizes[2]);
    let first = head * a.width;
    // What fills up the last panels is whatever was there: it only meets itself, and those columns are not read.
    for key in 0..a.keys {
        let line = &mut queries[..a.width];
        a.k.read(key * row + first, 1.0, line);
        let panel = &mut keys[key / PANEL * a.width * PANEL..];
        for (to, &v) in panel.chunks_exact_mut(PANEL).zip(&*line) {
            to[key % PANEL] = v;
        }
        a.v.read(key * row + first, 1.0, line);
        for (panel, from) in values
            .chunks_exact_mut(a.keys * PANEL)
            .zip(line.chunks(PANEL))
        {
            panel[key * PANEL..][..from.len()].copy_from_slice(from);
        }
    }
    for start in (0..a.queries).step_by(tall) {
        let count = tall.min(a.queries - start);
        for (i, line) in queries.chunks_exact_mut(wide).enumerate().take(count) {
            let from = (start + i) * row + first;
            a.q.read(from, a.scale, &mut line[..a.width]);
        }
        small_product(
            isa,
            (queries, wide, count, a.width),
            keys,
            scores,
            wide_keys,
        );
        let mut inverse = [0.0; TALLEST];
        for (i, line) in scores.chunks_exact_mut(wide_keys).enumerate().take(count) {
            let mask = a.mask.map(|mask| match mask.len() == a.keys {
                true => mask,
                false => &mask[(start + i) * a.keys..(start + i + 1) * a.keys],
            });
            inverse[i] = exponentials(&mut line[..a.keys], mask);
        }
        small_product(
            isa,
            (scores, wide_keys, count, a.keys),
            values,
            queries,
            wide,
        );
        for (i, line) in queries.chunks_exact_mut(wide).enumerate().take(count) {
            let line = &mut line[..a.width];
            for v in &mut *line {
                *v *= inverse[i];
            }
            write(line, (start + i) * row + first, output);
        }
    }
}

/// Exponentials in place; returns one over their sum.
#[inline(always)]
pub(crate) fn exponentials(line: &mut [f32], mask: Option<&[f32]>) -> f32 {
    if let Some(mask) = mask {
        for (v, m) in line.iter_mut().zip(mask) {
            *v += m;
        }
    }
    let (chunks, rest) = line.as_chunks::<PANEL>();
    let mut tops = [f32::NEG_INFINITY; PANEL];
    for chunk in chunks {
        for j in 0..PANEL {
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
