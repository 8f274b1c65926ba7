//! The product of activations and packed weights, cut into tiles.

use std::ops::Range;

use crate::epilogue::{Epilogue, Finish, Output, Place, Residual, RowScales, Shift, Tile, finish};
use crate::{Activations, Isa, PANEL, PackedWeights, Pool};

/// Activations that should stay in the second-level cache while the panels pass by.
const BLOCK_BYTES: usize = 192 * 1024;

/// Multiply-accumulates below which handing a part of them to another thread costs more than it saves.
const WORTH_SHARING: usize = 100_000;
/// Pieces per thread: a thread that was held up leaves its share to the others.
const PIECES_PER_THREAD: usize = 4;

/// Where the rows of the left side lie: row `m`, segment `s` starts at value `offsets[m] + segments[s]` of the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The buffer.
    pub activations: &'a Activations,
    /// Start of each row, M of them.
    pub offsets: &'a [u32],
    /// Start of each segment in a row.
    pub segments: &'a [u32],
}

/// A product on its way.
pub(crate) struct Job<'a> {
    weights: &'a PackedWeights,
    base: *const u8,
    rows: Rows<'a>,
    finish: Finish<'a>,
}

/// What the tile kernels read.
pub(crate) struct Strip<'a> {
    pub rows: [*const u8; 12],
    pub segments: &'a [u32],
    pub groups: usize,
    pub weights: *const i8,
}

// SAFETY: what the pointers lead to is read only, but for the output, of which each thread writes another part.
unsafe impl Sync for Job<'_> {}

/// `output = epilogue(activations x weights)`, M x N.
///
/// # Panics
/// When lengths do not fit: rows that leave the buffer, segments unlike the weights', an epilogue, residual or output of
/// another size, or an instruction set that this machine lacks.
pub fn product(
    weights: &PackedWeights,
    rows: Rows<'_>,
    epilogue: &Epilogue,
    scales: RowScales<'_>,
    residual: Residual<'_>,
    output: &mut Output<'_>,
    pool: &Pool,
) {
    let isa = weights.isa();
    let (m, n) = (rows.offsets.len(), weights.columns());
    let elements = m * n;
    assert!(isa.available(), "{} is missing here", isa.name());
    assert_eq!(output.len(), elements, "output");
    assert_eq!(rows.segments.len(), weights.segments(), "segments");
    assert_eq!(epilogue.columns(), weights.panels() * PANEL, "epilogue");
    match residual {
        Residual::None => {}
        Residual::Float(values) => assert_eq!(values.len(), elements, "residual"),
        Residual::Quantised(values, _) => assert_eq!(values.len(), elements, "residual"),
    }
    if let RowScales::Dynamic { scale, zero_point } = scales {
        let fits = |len: usize| len == 1 || len == m;
        assert!(fits(scale.len()) && fits(zero_point.len()), "row scales");
    }
    let last = |offsets: &[u32]| offsets.iter().copied().max().unwrap_or(0) as usize;
    let end = last(rows.offsets) + last(rows.segments) + weights.padded_segment();
    let readable = rows.activations.readable();
    assert!(
        elements == 0 || end * isa.element_bytes() <= readable.len(),
        "rows leave the buffer"
    );
    let job = Job {
        weights,
        base: readable.as_ptr(),
        rows,
        finish: Finish {
            epilogue,
            column_sums: weights.column_sums(),
            rows: scales,
            shift: match isa.element_bytes() {
                2 => Shift::None,
                _ => Shift::Plus(isa.effective_zero_point(0)),
            },
            residual,
            output: output.raw(),
        },
    };
    let cut = Cut::new(weights, m, pool.threads());
    pool.run(cut.pieces, &|piece| {
        let (rows, panels) = cut.piece(piece);
        // SAFETY: the sizes were checked above, the instruction set is there, and no two pieces have a row and a panel in common.
        unsafe { block(&job, rows, panels) }
    });
}

/// How a product is cut into pieces for threads: by panels where there are enough, so that each thread reads its own weights only,
/// else by rows.
struct Cut {
    rows: usize,
    panels: usize,
    by_panels: bool,
    step: usize,
    pieces: usize,
}

impl Cut {
    fn new(weights: &PackedWeights, rows: usize, threads: usize) -> Self {
        let panels = weights.panels();
        let macs = rows * weights.segments() * weights.segment() * weights.columns();
        let wanted = match threads > 1 && macs >= WORTH_SHARING {
            true => threads * PIECES_PER_THREAD,
            false => 1,
        };
        let by_panels = panels >= wanted;
        let (whole, unit) = match by_panels {
            true => (panels, 1),
            false => (rows, weights.isa().tile_rows()),
        };
        let step = whole.div_ceil(wanted).next_multiple_of(unit).max(1);
        Self {
            rows,
            panels,
            by_panels,
            step,
            pieces: whole.div_ceil(step),
        }
    }

    /// Rows and panels of a piece.
    fn piece(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let part = |whole: usize| index * self.step..((index + 1) * self.step).min(whole);
        match self.by_panels {
            true => (0..self.rows, part(self.panels)),
            false => (part(self.rows), 0..self.panels),
        }
    }
}

impl PackedWeights {
    /// What to add to a sum over activations with this fixed zero point: [`Epilogue::new`]'s `offset`.
    #[must_use]
    pub fn offsets(&self, zero_point: i32) -> Vec<i32> {
        let zero = self.isa().effective_zero_point(zero_point);
        let sums = self.column_sums()[..self.columns()].iter();
        sums.map(|sum| zero.wrapping_mul(*sum).wrapping_neg())
            .collect()
    }
}

/// A part of a product.
///
/// # Safety
/// The rows must lie in the readable buffer, the output must hold `rows` x `panels`, no other thread may touch those, and the
/// weights' instruction set must be there.
unsafe fn block(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    let isa = job.weights.isa();
    let row_bytes = job.weights.segments() * job.weights.padded_segment() * isa.element_bytes();
    let tall = isa.tile_rows();
    let step = (BLOCK_BYTES / row_bytes.max(1))
        .next_multiple_of(tall)
        .max(tall);
    for start in rows.clone().step_by(step) {
        let part = start..rows.end.min(start + step);
        // SAFETY: the caller's promise, on a part of the rows.
        unsafe {
            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => crate::x86_64::avx2(job, part, panels.clone()),
                #[cfg(target_arch = "x86_64")]
                Isa::AvxVnni => crate::x86_64::avx_vnni(job, part, panels.clone()),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Vnni => crate::x86_64::avx512_vnni(job, part, panels.clone()),
                #[cfg(target_arch = "aarch64")]
                Isa::Neon => crate::aarch64::neon(job, part, panels.clone()),
                #[cfg(target_arch = "aarch64")]
                Isa::Dotprod => crate::aarch64::dotprod(job, part, panels.clone()),
                #[cfg(target_arch = "aarch64")]
                Isa::I8mm => crate::aarch64::i8mm(job, part, panels.clone()),
                _ => crate::scalar::scalar(job, part, panels.clone()),
            }
        }
    }
}

/// Walks over the tiles of a part: `tile` fills the sums, [`finish`] writes them. Inlined into a function that has the
/// instruction set's features.
///
/// # Safety
/// As for [`block`].
#[inline(always)]
pub(crate) unsafe fn tiles(
    job: &Job<'_>,
    rows: Range<usize>,
    panels: Range<usize>,
    tile: impl Fn(&Strip<'_>, usize, &mut Tile),
) {
    let isa = job.weights.isa();
    let tall = isa.tile_rows();
    let bytes = isa.element_bytes();
    let mut sums: Tile = [[0; PANEL]; 12];
    for panel in panels {
        for first in rows.clone().step_by(tall) {
            let count = tall.min(rows.end - first);
            let mut strip = Strip {
                rows: [job.base; 12],
                segments: job.rows.segments,
                groups: job.weights.groups(),
                weights: job.weights.panel(panel).as_ptr(),
            };
            let offsets = &job.rows.offsets[first..first + count];
            for (pointer, &offset) in strip.rows.iter_mut().zip(offsets) {
                // SAFETY: `product` checked that the farthest row lies in the buffer.
                *pointer = unsafe { job.base.add(offset as usize * bytes) };
            }
            tile(&strip, count, &mut sums);
            let place = Place {
                row: first,
                rows: count,
                column: panel * PANEL,
                columns: job.weights.columns(),
            };
            // SAFETY: the caller's promise.
            unsafe { finish(&sums, place, &job.finish) }
        }
    }
}
