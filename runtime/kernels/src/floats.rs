//! The product of floats and packed float weights, for what is not quantised.
//!
//! Each sum is one chain of fused multiply-adds along K, so that every instruction set gives the same bits.

use crate::aligned::{Aligned, Lent};
use crate::epilogue::{Epilogue, Finish, Output, Residual, RowScales, Shift, Tile};
use crate::product::farthest;
use crate::tiles::{Job, Kernel, Packed, Panels, Strip, TALLEST, run};
use crate::{Isa, PANEL, Pool};

/// A K x N matrix of floats in panels of [`PANEL`] columns, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedFloats {
    isa: Isa,
    segments: usize,
    segment: usize,
    columns: usize,
    data: Aligned<f32>,
}

impl PackedFloats {
    /// Packs `segments` x `segment` rows and `columns` columns; `weight(s, k, n)` is row `k` of segment `s` in column `n`.
    #[must_use]
    pub fn pack(
        isa: Isa,
        segments: usize,
        segment: usize,
        columns: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut packed = Self::zeros(isa, segments, segment, columns);
        packed.fill(weight);
        packed
    }

    /// As [`PackedFloats::pack`], with zeros.
    #[must_use]
    pub fn zeros(isa: Isa, segments: usize, segment: usize, columns: usize) -> Self {
        let panels = columns.div_ceil(PANEL);
        let data = Aligned::zeros(panels * segments * segment * PANEL);
        Self::of(isa, [segments, segment, columns], data)
    }

    /// Packs weights where they lie, if there are whole panels of them and they start at a cache line; else as [`Self::pack`] does.
    /// `at(s, k, n)` is the place of row `k` of segment `s` in column `n` among them, and `scratch` a buffer to use.
    ///
    /// # Panics
    /// When a place lies outside.
    #[must_use]
    pub fn pack_in_place(
        isa: Isa,
        [segments, segment, columns]: [usize; 3],
        weights: Box<dyn Lent<f32>>,
        scratch: &mut Vec<f32>,
        at: impl Fn(usize, usize, usize) -> usize,
    ) -> Self {
        let whole =
            columns.is_multiple_of(PANEL) && weights.values().len() == segments * segment * columns;
        let weights = match whole {
            true => Aligned::lent(weights),
            false => Err(weights),
        };
        match weights {
            Ok(data) => {
                scratch.clear();
                scratch.extend_from_slice(data.values());
                let mut packed = Self::of(isa, [segments, segment, columns], data);
                packed.fill(|s, k, n| scratch[at(s, k, n)]);
                packed.data.collapse();
                packed
            }
            Err(weights) => {
                let weights = weights.values();
                Self::pack(isa, segments, segment, columns, |s, k, n| {
                    weights[at(s, k, n)]
                })
            }
        }
    }

    /// `data` are zeros where columns are missing.
    fn of(isa: Isa, [segments, segment, columns]: [usize; 3], data: Aligned<f32>) -> Self {
        Self {
            isa: isa.of_floats(),
            segments,
            segment,
            columns,
            data,
        }
    }

    /// Packs other values of the same sizes into the same memory.
    pub fn fill(&mut self, weight: impl Fn(usize, usize, usize) -> f32) {
        let (segments, segment) = (self.segments, self.segment);
        let panel_rows = segments * segment;
        let panels = self
            .data
            .values_mut()
            .chunks_exact_mut((panel_rows * PANEL).max(1));
        for (panel, rows) in panels.enumerate() {
            let first = panel * PANEL;
            let mut rows = rows.chunks_exact_mut(PANEL);
            for s in 0..segments {
                for (k, row) in rows.by_ref().take(segment).enumerate() {
                    for (lane, to) in row.iter_mut().enumerate().take(self.columns - first) {
                        *to = weight(s, k, first + lane);
                    }
                }
            }
        }
    }

    /// The instruction set whose kernel reads them.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Number of segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Values of a segment.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// Number of columns, N.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.values())
    }
}

/// Where the rows of the left side lie: row `m`, segment `s` starts at `values[offsets[m] + segments[s]]`.
#[derive(Debug, Clone, Copy)]
pub struct FloatRows<'a> {
    /// The buffer.
    pub values: &'a [f32],
    /// Start of each row, M of them.
    pub offsets: &'a [u32],
    /// Start of each segment in a row.
    pub segments: &'a [u32],
}

/// `output = epilogue(values x weights)`, M x N. The epilogue's scales are not used.
///
/// # Panics
/// When lengths do not fit: rows that leave the buffer, segments unlike the weights', an epilogue, residual or output of
/// another size, or an instruction set that this machine lacks.
pub fn float_product(
    weights: &PackedFloats,
    rows: FloatRows<'_>,
    epilogue: &Epilogue,
    residual: Residual<'_>,
    output: &mut Output<'_>,
    pool: &Pool,
) {
    let sizes = [weights.segments, weights.segment, weights.columns];
    let job = job(weights.isa, sizes, rows, epilogue, residual, output);
    let job = job.with_weights(Packed::Floats(weights.data.values()), 0);
    // SAFETY: the sizes were checked by `job`, and the instruction set is there.
    unsafe { run(&job, kernel(weights.isa), pool) }
}

/// A product of floats whose weights are still missing: as many segments, values of each and columns as `sizes` says.
///
/// # Panics
/// As for [`float_product`].
pub(crate) fn job<'a>(
    isa: Isa,
    [segments, segment, columns]: [usize; 3],
    rows: FloatRows<'a>,
    epilogue: &'a Epilogue,
    residual: Residual<'a>,
    output: &mut Output<'_>,
) -> Job<'a> {
    let elements = rows.offsets.len() * columns;
    assert!(isa.available(), "{} is missing here", isa.name());
    assert_eq!(output.len(), elements, "output");
    assert_eq!(rows.segments.len(), segments, "segments");
    assert_eq!(
        epilogue.columns(),
        columns.next_multiple_of(PANEL),
        "epilogue"
    );
    assert!(residual.fits(elements), "residual");
    let end = farthest(rows.offsets) + farthest(rows.segments) + segment;
    assert!(
        elements == 0 || end <= rows.values.len(),
        "rows leave the buffer"
    );
    Job {
        isa,
        activations: rows.values.as_ptr().cast(),
        element_bytes: size_of::<f32>(),
        offsets: rows.offsets,
        segments: rows.segments,
        groups: segment,
        group: 1,
        weights: Panels::new(Packed::Floats(&[]), segments * segment, 0),
        columns,
        finish: Finish {
            epilogue,
            column_sums: None,
            rows: RowScales::Fixed,
            shift: Shift::None,
            residual,
            output: output.raw(),
        },
    }
}

pub(crate) fn kernel(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => crate::x86_64::avx2_floats,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86_64::avx512_floats,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::Dotprod | Isa::I8mm => crate::aarch64::neon_floats,
        _ => crate::scalar::scalar_floats,
    }
}

/// `output = values x panels` on one thread: at most [`Isa::tile_rows`] rows of `depth` floats that start `stride` apart, and as many
/// panels as fill an output row.
///
/// # Panics
/// When lengths do not fit, or the instruction set is not there.
#[inline]
pub(crate) fn small_product(
    isa: Isa,
    (values, stride, rows, depth): (&[f32], usize, usize, usize),
    panels: &[f32],
    output: &mut [f32],
    columns: usize,
) {
    let panel_size = depth * PANEL;
    assert!(isa.available() && rows <= isa.tile_rows() && columns.is_multiple_of(PANEL));
    assert!(rows == 0 || (rows - 1) * stride + depth <= values.len());
    assert!(rows * columns <= output.len() && columns * depth <= panels.len());
    let mut sums = [[0.0; PANEL]; 2 * TALLEST];
    let mut strip = Strip {
        rows: [values.as_ptr().cast(); TALLEST],
        segments: &[0],
        groups: depth,
        weights: panels.as_ptr().cast(),
        panel_bytes: panel_size * size_of::<f32>(),
    };
    for (index, row) in strip.rows.iter_mut().enumerate().take(rows) {
        *row = values[index * stride..].as_ptr().cast();
    }
    let count = columns / PANEL;
    let mut panel = 0;
    while panel < count {
        strip.weights = panels[panel * panel_size..].as_ptr().cast();
        // SAFETY: the rows and the panels are readable to their ends and the instruction set is there: checked above.
        let done = unsafe { tile(isa, &strip, rows, count - panel, &mut sums) };
        for (index, sums) in sums.chunks_exact(rows.max(1)).enumerate().take(done) {
            for (sum, line) in sums.iter().zip(output.chunks_exact_mut(columns)) {
                line[(panel + index) * PANEL..][..PANEL].copy_from_slice(sum);
            }
        }
        panel += done;
    }
}

/// Fills the sums of one panel, or of two where the instruction set has registers for that many; how many.
///
/// # Safety
/// `rows` rows of the strip and `left` panels must be readable to their ends, and the instruction set there.
#[inline(always)]
unsafe fn tile(
    isa: Isa,
    strip: &Strip<'_>,
    rows: usize,
    left: usize,
    sums: &mut Tile<f32>,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match (isa, left) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2 | Isa::AvxVnni, _) => crate::x86_64::avx2_float_tile(strip, rows, sums),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512Vnni, 2..) => {
                crate::x86_64::avx512_two_panels(strip, rows, sums);
                return 2;
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512Vnni, _) => crate::x86_64::avx512_float_tile(strip, rows, sums),
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon | Isa::Dotprod | Isa::I8mm, _) => {
                crate::aarch64::neon_float_tile(strip, rows, sums);
            }
            _ => crate::scalar::float_tile(strip, rows, sums),
        }
    }
    1
}
