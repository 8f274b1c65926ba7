//! The walk over the tiles of a product, whatever its numbers are.

use std::marker::PhantomData;
use std::ops::Range;

use crate::epilogue::{Finish, Place, Sum, Tile, finish};
use crate::fours::Block;
use crate::lanes::Lanes;
use crate::{BLOCK, Isa, PANEL, Pool};

/// Activations that should stay in the second-level cache while the panels pass by.
const BLOCK_BYTES: usize = 192 * 1024;

/// Weights that are gone through for all rows before the next ones.
const WEIGHTS_BYTES: usize = 512 * 1024;

/// Multiply-accumulates below which handing a part of them to another thread costs more than it saves.
const WORTH_SHARING: usize = 100_000;
/// Pieces per thread: a thread that was held up leaves its share to the others.
const PIECES_PER_THREAD: usize = 4;

/// Rows of the tallest tile of any instruction set.
pub(crate) const TALLEST: usize = 16;

/// Panels at a time where there is one row only.
pub(crate) const ABREAST: usize = 6;

/// A product on its way.
pub(crate) struct Job<'a> {
    pub isa: Isa,
    /// The first activation.
    pub activations: *const u8,
    /// Bytes of an activation.
    pub element_bytes: usize,
    /// Start of each row and of each segment in a row, in activations.
    pub offsets: &'a [u32],
    pub segments: &'a [u32],
    /// Steps along K in a segment, and the activations of each.
    pub groups: usize,
    pub group: usize,
    pub weights: Panels<'a>,
    /// Columns without those that fill up the last panel.
    pub columns: usize,
    pub finish: Finish<'a>,
}

// SAFETY: what the pointers lead to is read only, but for the output, of which each thread writes another part.
unsafe impl Sync for Job<'_> {}

/// Whole panels of packed weights, and the number of the first one: what [`Panels::new`] checked.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    first: usize,
    count: usize,
    panel_bytes: usize,
    start: *const u8,
    weights: PhantomData<&'a [u8]>,
}

/// Packed weights of some kind.
#[derive(Clone, Copy)]
pub(crate) enum Packed<'a> {
    Bytes(&'a [i8]),
    Floats(&'a [f32]),
    Fours(&'a [Block]),
}

impl<'a> Panels<'a> {
    /// Panels from number `first` on, each for rows of `depth` activations.
    ///
    /// # Panics
    /// When the weights are no whole number of panels.
    pub fn new(weights: Packed<'a>, depth: usize, first: usize) -> Self {
        let (start, bytes, panel_bytes) = match weights {
            Packed::Bytes(w) => (w.as_ptr().cast(), w.len(), depth * PANEL),
            Packed::Floats(w) => (
                w.as_ptr().cast(),
                size_of_val(w),
                depth * PANEL * size_of::<f32>(),
            ),
            Packed::Fours(w) => {
                assert!(depth.is_multiple_of(BLOCK), "depth");
                let blocks = depth / BLOCK;
                (
                    w.as_ptr().cast(),
                    size_of_val(w),
                    blocks * size_of::<Block>(),
                )
            }
        };
        assert!(
            bytes.is_multiple_of(panel_bytes.max(1)),
            "{bytes} bytes of weights are no panels of {panel_bytes}"
        );
        Self {
            first,
            // Panels without rows have no weights to read.
            count: bytes.checked_div(panel_bytes).unwrap_or(usize::MAX),
            panel_bytes,
            start,
            weights: PhantomData,
        }
    }

    /// The first weight of a panel, with `count - 1` panels behind it.
    ///
    /// # Panics
    /// When one of them is not there.
    #[inline(always)]
    fn at(&self, panel: usize, count: usize) -> *const u8 {
        let index = panel.wrapping_sub(self.first);
        assert!(
            index < self.count && count <= self.count - index,
            "panel {panel} is not there"
        );
        // SAFETY: the weights are that long.
        unsafe { self.start.add(index * self.panel_bytes) }
    }
}

/// Memory of which each thread writes another part.
pub(crate) struct Parts<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: threads reach the memory through `part` only, which demands that no two of them use the same part.
unsafe impl<T: Send> Sync for Parts<T> {}

impl<T> Parts<T> {
    /// The memory must not be used otherwise while parts of it are.
    pub fn new(memory: &mut [T]) -> Self {
        Self {
            start: memory.as_mut_ptr(),
            len: memory.len(),
        }
    }

    /// # Safety
    /// The memory must live, and nobody else may use this part of it for `'a`.
    ///
    /// # Panics
    /// When it lies outside.
    #[inline(always)]
    pub unsafe fn part<'a>(&self, at: Range<usize>) -> &'a mut [T] {
        assert!(at.start <= at.end && at.end <= self.len);
        // SAFETY: the part lies inside, and the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at.start), at.len()) }
    }
}

/// What a tile reads: some rows and a panel.
pub(crate) struct Strip<'a> {
    pub rows: [*const u8; TALLEST],
    pub segments: &'a [u32],
    pub groups: usize,
    pub weights: *const u8,
    /// From this panel to the next.
    pub panel_bytes: usize,
}

impl Strip<'_> {
    /// Where a segment of each row starts, `bytes` an activation.
    ///
    /// # Safety
    /// The rows must be readable up to there.
    #[inline(always)]
    pub unsafe fn segment<const R: usize>(&self, start: u32, bytes: usize) -> [*const u8; R] {
        // SAFETY: the caller's promise.
        std::array::from_fn(|i| unsafe { self.rows[i].add(start as usize * bytes) })
    }
}

/// Computes a part of a product with one instruction set.
///
/// # Safety
/// As for [`run`], and no other thread may touch this part of the output.
pub(crate) type Kernel = unsafe fn(&Job<'_>, Range<usize>, Range<usize>);

/// Computes a product.
///
/// # Safety
/// The activations must be readable to the end of every row, the output must hold every row and column, the instruction set must
/// be there, and the kernel be one for this kind of weights.
pub(crate) unsafe fn run(job: &Job<'_>, kernel: Kernel, pool: &Pool) {
    let cut = Cut::new(job, pool.threads());
    pool.run(cut.pieces, &|piece| {
        let (rows, panels) = cut.piece(piece);
        // SAFETY: the caller's promise, and no two pieces have a row and a panel in common.
        unsafe { run_piece(job, kernel, rows, panels) }
    });
}

/// [`run`] on this thread.
///
/// # Safety
/// As for [`run`].
pub(crate) unsafe fn run_alone(job: &Job<'_>, kernel: Kernel) {
    // SAFETY: the caller's promise.
    unsafe {
        run_piece(
            job,
            kernel,
            0..job.offsets.len(),
            0..job.columns.div_ceil(PANEL),
        )
    }
}

/// Some rows and panels of a product, by blocks that stay in the caches.
///
/// # Safety
/// As for [`run`], and no other thread may touch this part of the output.
unsafe fn run_piece(job: &Job<'_>, kernel: Kernel, rows: Range<usize>, panels: Range<usize>) {
    let step = job.block_rows();
    let abreast = (WEIGHTS_BYTES / job.weights.panel_bytes.max(1))
        .next_multiple_of(ABREAST)
        .max(ABREAST);
    for panels in parts(panels, abreast) {
        for rows in parts(rows.clone(), step) {
            // SAFETY: the caller's promise.
            unsafe { kernel(job, rows, panels.clone()) }
        }
    }
}

/// Calls a tile of one panel, or of so many, for a number of rows that is known to the compiler.
macro_rules! by_rows {
    ($tile:ident, $strip:ident, $count:ident, $sums:ident: $($rows:literal)*) => {
        $crate::tiles::by_rows!($tile, 1, $strip, $count, $sums: $($rows)*)
    };
    ($tile:ident, $panels:literal, $strip:ident, $count:ident, $sums:ident: $($rows:literal)*) => {
        match $count {
            $($rows => $tile::<$rows, $panels>($strip, $sums),)*
            _ => {}
        }
    };
}
pub(crate) use by_rows;

/// [`walk`] with two panels at a time, for as long as there are two: where there are registers for that many sums, an activation
/// that was loaded once meets both.
#[cfg(target_arch = "x86_64")]
macro_rules! walk_by_two {
    ($lanes:ident, $tile:ident, $job:ident, $rows:ident, $panels:ident: $($count:literal)*) => {{
        let mut panels = $panels;
        if $rows.len() > 1 {
            let rows = $rows.clone();
            panels = $crate::tiles::tiles::<_, $lanes, 2>($job, rows, panels, |strip, count, sums| {
                $crate::tiles::by_rows!($tile, 2, strip, count, sums: $($count)*);
            });
        }
        $crate::tiles::walk!($lanes, $tile, $job, $rows, panels: $($count)*);
    }};
}
#[cfg(target_arch = "x86_64")]
pub(crate) use walk_by_two;

/// The body of a [`Kernel`]: walks over a part of a product with a tile for up to so many rows.
macro_rules! walk {
    ($lanes:ident, $tile:ident, $job:ident, $rows:ident, $panels:ident: $($count:literal)*) => {{
        let mut panels = $panels;
        if $rows.len() == 1 {
            panels = $crate::tiles::one_row::<_, $lanes>($job, $rows.start, panels, |strip, sums| {
                $tile::<1, { $crate::tiles::ABREAST }>(strip, sums);
            });
        }
        $crate::tiles::tiles::<_, $lanes, 1>($job, $rows, panels, |strip, count, sums| {
            $crate::tiles::by_rows!($tile, strip, count, sums: $($count)*);
        });
    }};
}
pub(crate) use walk;

/// A range in parts of `step`.
pub(crate) fn parts(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(step)
        .map(move |start| start..end.min(start + step))
}

impl Job<'_> {
    /// Some rows, and `count` panels.
    ///
    /// # Safety
    /// The rows must be there.
    #[inline(always)]
    pub unsafe fn strip(&self, rows: Range<usize>, panel: usize, count: usize) -> Strip<'_> {
        let mut strip = Strip {
            rows: [self.activations; TALLEST],
            segments: self.segments,
            groups: self.groups,
            weights: self.weights.at(panel, count),
            panel_bytes: self.weights.panel_bytes,
        };
        for (pointer, &offset) in strip.rows.iter_mut().zip(&self.offsets[rows]) {
            // SAFETY: the caller's promise.
            *pointer = unsafe { self.activations.add(offset as usize * self.element_bytes) };
        }
        strip
    }

    /// The same job with these weights, the panels from number `first` on.
    ///
    /// # Panics
    /// When they are no whole number of panels.
    pub fn with_weights<'b>(&'b self, weights: Packed<'b>, first: usize) -> Job<'b> {
        Job {
            weights: Panels::new(weights, self.depth(), first),
            ..*self
        }
    }

    /// Rows that are gone through while their activations stay in the second-level cache.
    pub fn block_rows(&self) -> usize {
        let tall = self.isa.tile_rows();
        let row_bytes = self.depth() * self.element_bytes;
        (BLOCK_BYTES / row_bytes.max(1))
            .next_multiple_of(tall)
            .max(tall)
    }

    /// Activations of a row, with those that fill up its segments.
    pub fn depth(&self) -> usize {
        self.segments.len() * self.groups * self.group
    }
}

/// How a product is cut into pieces for threads: by panels where there are enough, so that each thread reads its own weights only,
/// else by rows.
pub(crate) struct Cut {
    rows: usize,
    panels: usize,
    by_panels: bool,
    step: usize,
    pub pieces: usize,
}

impl Cut {
    pub fn new(job: &Job<'_>, threads: usize) -> Self {
        let (rows, panels) = (job.offsets.len(), job.columns.div_ceil(PANEL));
        let macs = rows * job.depth() * job.columns;
        let wanted = match threads > 1 && macs >= WORTH_SHARING {
            true => threads * PIECES_PER_THREAD,
            false => 1,
        };
        let by_panels = panels >= wanted;
        let (whole, unit) = match by_panels {
            true => (panels, 1),
            false => (rows, job.isa.tile_rows()),
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
    pub fn piece(&self, index: usize) -> (Range<usize>, Range<usize>) {
        let part = |whole: usize| index * self.step..((index + 1) * self.step).min(whole);
        match self.by_panels {
            true => (0..self.rows, part(self.panels)),
            false => (part(self.rows), 0..self.panels),
        }
    }
}

/// Walks over the tiles of a part, `P` panels at a time: `tile` fills the sums, [`finish`] writes them by lanes of `L`. Inlined into a
/// function that has the instruction set's features. Returns the panels that are left.
///
/// # Safety
/// As for [`Kernel`].
#[inline(always)]
pub(crate) unsafe fn tiles<S: Sum, L: Lanes, const P: usize>(
    job: &Job<'_>,
    rows: Range<usize>,
    panels: Range<usize>,
    tile: impl Fn(&Strip<'_>, usize, &mut Tile<S>),
) -> Range<usize> {
    let tall = job.isa.tile_rows();
    let mut sums: Tile<S> = [[S::ZERO; PANEL]; 2 * TALLEST];
    let mut panel = panels.start;
    while panel + P <= panels.end {
        for first in rows.clone().step_by(tall) {
            let count = tall.min(rows.end - first);
            // SAFETY: the caller's promise.
            let strip = unsafe { job.strip(first..first + count, panel, P) };
            tile(&strip, count, &mut sums);
            for (index, sums) in sums.chunks_exact(count).enumerate().take(P) {
                let place = Place {
                    row: first,
                    column: (panel + index) * PANEL,
                    columns: job.columns,
                };
                // SAFETY: the caller's promise.
                unsafe { finish::<S, L>(sums, place, &job.finish) }
            }
        }
        panel += P;
    }
    panel..panels.end
}

/// The same for one row, by [`ABREAST`] panels at a time, so that as many streams come from memory: `tile` fills a row of sums for
/// each of them. Returns the panels that are left.
///
/// # Safety
/// As for [`Kernel`].
#[inline(always)]
pub(crate) unsafe fn one_row<S: Sum, L: Lanes>(
    job: &Job<'_>,
    row: usize,
    panels: Range<usize>,
    tile: impl Fn(&Strip<'_>, &mut Tile<S>),
) -> Range<usize> {
    let mut sums: Tile<S> = [[S::ZERO; PANEL]; 2 * TALLEST];
    let mut panel = panels.start;
    while panel + ABREAST <= panels.end {
        // SAFETY: the caller's promise.
        let strip = unsafe { job.strip(row..row + 1, panel, ABREAST) };
        tile(&strip, &mut sums);
        for (index, sums) in sums.iter().enumerate().take(ABREAST) {
            let place = Place {
                row,
                column: (panel + index) * PANEL,
                columns: job.columns,
            };
            // SAFETY: the caller's promise.
            unsafe { finish::<S, L>(std::slice::from_ref(sums), place, &job.finish) }
        }
        panel += ABREAST;
    }
    panel..panels.end
}
