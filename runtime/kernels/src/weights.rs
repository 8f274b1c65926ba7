//! Weights packed once.

use crate::aligned::Aligned;
use crate::{Isa, PANEL};

/// A K x N matrix of signed 8-bit weights in the layout of an instruction set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedWeights {
    isa: Isa,
    segments: usize,
    segment: usize,
    columns: usize,
    column_sums: Vec<[i32; PANEL]>,
    data: Aligned<i8>,
}

impl PackedWeights {
    /// Packs `segments` x `segment` rows and `columns` columns; `weight(s, k, n)` is row `k` of segment `s` in column `n`.
    ///
    /// Each segment is filled up with zeros to a multiple of the instruction's group, and the columns to a multiple of
    /// [`PANEL`].
    #[must_use]
    pub fn pack(
        isa: Isa,
        segments: usize,
        segment: usize,
        columns: usize,
        weight: impl Fn(usize, usize, usize) -> i8,
    ) -> Self {
        let group = isa.group();
        let groups = segment.div_ceil(group);
        let panels = columns.div_ceil(PANEL);
        let mut column_sums = vec![[0; PANEL]; panels];
        let mut data = Aligned::zeros(panels * segments * groups * group * PANEL);
        for (panel, block) in data
            .values_mut()
            .chunks_exact_mut((segments * groups * group * PANEL).max(1))
            .enumerate()
        {
            for s in 0..segments {
                for k in 0..segment {
                    let first = ((s * groups + k / group) * PANEL) * group + k % group;
                    for lane in 0..PANEL.min(columns - panel * PANEL) {
                        let value = weight(s, k, panel * PANEL + lane);
                        block[first + lane * group] = value;
                        column_sums[panel][lane] += i32::from(value);
                    }
                }
            }
        }
        Self {
            isa,
            segments,
            segment,
            columns,
            column_sums,
            data,
        }
    }

    /// Packs a row-major K x N matrix as one segment.
    ///
    /// # Panics
    /// When `weights` is not `columns` times something long.
    #[must_use]
    pub fn pack_matrix(isa: Isa, columns: usize, weights: &[i8]) -> Self {
        assert!(columns > 0 && weights.len().is_multiple_of(columns));
        let rows = weights.len() / columns;
        Self::pack(isa, 1, rows, columns, |_, k, n| weights[k * columns + n])
    }

    /// The instruction set that they are packed for.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Values of a segment that are used.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// Values of a segment that are read: a multiple of the instruction's group.
    #[must_use]
    pub fn padded_segment(&self) -> usize {
        self.groups() * self.isa.group()
    }

    /// Number of columns, N.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of panels.
    #[must_use]
    pub fn panels(&self) -> usize {
        self.columns.div_ceil(PANEL)
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.values().len()
    }

    /// Sum of each column, filled up to whole panels.
    #[must_use]
    pub fn column_sums(&self) -> &[i32] {
        self.column_sums.as_flattened()
    }

    pub(crate) fn groups(&self) -> usize {
        self.segment.div_ceil(self.isa.group())
    }

    /// Activations of a row, with those that fill up its segments.
    pub(crate) fn depth(&self) -> usize {
        self.segments * self.padded_segment()
    }

    pub(crate) fn sums_of_panels(&self) -> &[[i32; PANEL]] {
        &self.column_sums
    }

    pub(crate) fn data(&self) -> &[i8] {
        self.data.values()
    }
}
