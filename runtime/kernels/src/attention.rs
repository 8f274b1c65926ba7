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

/// Queries, keys or values.
#[derive(Debug, Clone, Copy)]
pub enum Head<'a> {
    /// Floats.
    Float(&'a [f32]),
    /// 8-bit values.
    Quantised(Bytes<'a>, Quantisation),
}

/// Where the values of a side lie: value `d` of head `h` in row `r` is number `first + r * row + h * head + d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Where the first value lies.
    pub first: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one head to the next.
    pub head: usize,
}

impl Layout {
    /// Rows of heads that lie side by side.
    #[must_use]
    pub fn side_by_side(heads: usize, width: usize) -> Self {
        Self {
            first: 0,
            row: heads * width,
            head: width,
        }
    }

    #[inline(always)]
    fn at(self, row: usize, head: usize) -> usize {
        self.first + row * self.row + head * self.head
    }
}

/// One attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Queries, `queries` rows of `heads`.
    pub q: Head<'a>,
    /// Keys, `keys` rows of `shared_heads`.
    pub k: Head<'a>,
    /// Values, `keys` rows of `shared_heads`.
    pub v: Head<'a>,
    /// Where queries, keys and values lie.
    pub layouts: [Layout; 3],
    /// Number of heads.
    pub heads: usize,
    /// Number of heads of keys and values: as many, or fewer, each of which so many consecutive heads share.
    pub shared_heads: usize,
    /// Values per head.
    pub width: usize,
    /// Number of queries.
    pub queries: usize,
    /// Number of keys.
    pub keys: usize,
    /// Multiplies the scores.
    pub scale: f32,
    /// What becomes of the scaled scores before the softmax.
    pub mask: Option<Mask<'a>>,
    /// What a query gets whose weights are NaN, as they are where the mask leaves no key: 0 instead of NaN.
    pub zero_for_nan: bool,
}

/// A mask: a row of as many values as there are keys for all queries, one for each query, or one for each query of each head.
#[derive(Debug, Clone, Copy)]
pub enum Mask<'a> {
    /// Added to the scores.
    Added(&'a [f32]),
    /// A score stays where the value is `keep`, and becomes `otherwise` elsewhere.
    Kept {
        /// Values of the mask.
        values: &'a [bool],
        /// The value of scores that stay.
        keep: bool,
        /// What the other scores become: minus infinity, or a large negative number.
        otherwise: f32,
    },
}

impl Mask<'_> {
    fn len(self) -> usize {
        match self {
            Self::Added(values) => values.len(),
            Self::Kept { values, .. } => values.len(),
        }
    }

    #[inline(always)]
    fn apply(self, from: usize, scores: &mut [f32]) {
        match self {
            Self::Added(values) => {
                for (v, m) in scores.iter_mut().zip(&values[from..]) {
                    *v += m;
                }
            }
            Self::Kept {
                values,
                keep,
                otherwise,
            } => {
                for (v, &m) in scores.iter_mut().zip(&values[from..]) {
                    *v = if m == keep { *v } else { otherwise };
                }
            }
        }
    }
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

/// `softmax(mask(scale * q k^T)) v` for each head; the output has `queries` rows of `heads * width` values.
///
/// # Panics
/// When the lengths do not fit.
pub fn attend(isa: Isa, a: &Attention<'_>, output: &mut Output<'_>, pool: &Pool) {
    let isa = isa.of_floats();
    assert!(
        a.shared_heads > 0 && a.heads.is_multiple_of(a.shared_heads),
        "heads"
    );
    let sides = [
        ("queries", a.q, a.queries, a.heads),
        ("keys", a.k, a.keys, a.shared_heads),
        ("values", a.v, a.keys, a.shared_heads),
    ];
    for ((name, side, rows, heads), layout) in sides.into_iter().zip(a.layouts) {
        let last = rows.checked_sub(1).map(|row| layout.at(row, heads - 1));
        let end = last.map_or(0, |last| last + a.width);
        assert!(end <= side.len(), "{name}");
    }
    let row = a.heads * a.width;
    assert_eq!(output.len(), a.queries * row, "output");
    if let Some(mask) = a.mask {
        let rows = [1, a.queries, a.heads * a.queries];
        assert!(rows.map(|rows| rows * a.keys).contains(&mask.len()), "mask");
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

    /// Where the mask of a row of scores begins.
    fn mask_row(&self, mask: Mask<'_>, head: usize, query: usize) -> usize {
        let row = match mask.len() / self.keys.max(1) {
            1 => 0,
            rows if rows == self.queries => query,
            _ => head * self.queries + query,
        };
        row * self.keys
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
    let shared = head / (a.heads / a.shared_heads);
    let [of_q, of_k, of_v] = a.layouts;
    // The padding of the last panels is not initialised: it affects only the padding columns, which are not read.
    for key in 0..a.keys {
        let line = &mut queries[..a.width];
        a.k.read(of_k.at(key, shared), 1.0, line);
        let panel = &mut keys[key / PANEL * a.width * PANEL..];
        for (to, &v) in panel.chunks_exact_mut(PANEL).zip(&*line) {
            to[key % PANEL] = v;
        }
        a.v.read(of_v.at(key, shared), 1.0, line);
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
            let from = of_q.at(start + i, head);
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
            let line = &mut line[..a.keys];
            if let Some(mask) = a.mask {
                mask.apply(a.mask_row(mask, head, start + i), line);
            }
            inverse[i] = exponentials(line);
            if a.zero_for_nan && inverse[i].is_nan() {
                line.fill(0.0);
                inverse[i] = 0.0;
            }
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
pub(crate) fn exponentials(line: &mut [f32]) -> f32 {
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
