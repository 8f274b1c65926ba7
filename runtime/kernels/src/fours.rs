//! The product of floats and 4-bit weights, which stay packed: a sixth of the memory of floats, scales included, and of
//! what one row must read.
//!
//! A weight is `(value - zero point) * scale`, value 0 to 15, a [`Four`] for each [`BLOCK`] along K of each column, as in ONNX Runtime's
//! `MatMulNBits`. That product is exact in a float where the scale has at most 20 bits, and is rounded once elsewhere; what follows
//! is [`crate::float_product`] to the bit. One row unpacks as it goes; for more, panels are unpacked to scratch memory that stays in
//! the second-level cache, and pass to the kernels for floats.

use std::ops::Range;

use crate::epilogue::{Epilogue, Output, Residual, Tile};
use crate::floats::{self, FloatRows};
use crate::lanes::Lanes;
use crate::tiles::{Cut, Kernel, Packed, Strip, parts, run};
use crate::{Isa, PANEL, Pool};

/// Values along K that share a scale.
pub const BLOCK: usize = 32;

/// Unpacked weights that should stay in the second-level cache.
const UNPACKED_BYTES: usize = 256 * 1024;

/// What the values of a block are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Four {
    /// Step.
    pub scale: f32,
    /// The value of 0.0, 0 to 15; 8 where weights are symmetric.
    pub zero_point: u8,
}

/// A K x N matrix of 4-bit weights in panels of [`PANEL`] columns.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedFours {
    isa: Isa,
    depth: usize,
    columns: usize,
    data: Vec<Block>,
}

/// [`BLOCK`] rows of a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub(crate) struct Block {
    scales: [f32; PANEL],
    zero_points: [u8; PANEL],
    /// Column `j` in the low half of byte `j`, column `j + 8` in the high one.
    rows: [[u8; PANEL / 2]; BLOCK],
}

impl Block {
    const EMPTY: Self = Self {
        scales: [0.0; PANEL],
        zero_points: [0; PANEL],
        rows: [[0; PANEL / 2]; BLOCK],
    };

    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn zero_points<L: Lanes>(&self) -> L::Whole {
        // SAFETY: the caller's promise.
        unsafe { L::load_bytes(&self.zero_points, 0) }
    }

    /// A row as floats.
    ///
    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    unsafe fn row<L: Lanes>(&self, index: usize, zero_points: L::Whole) -> L {
        // SAFETY: the caller's promise.
        unsafe {
            let steps = L::sub_whole(L::load_halves(&self.rows[index]), zero_points);
            L::from_whole(steps).mul(L::load(&self.scales))
        }
    }
}

impl PackedFours {
    /// Packs `depth` rows and `columns` columns; `value(k, n)` is 0 to 15, of more only the lowest four bits are taken, and
    /// `four(b, n)` is for rows `BLOCK * b` to `BLOCK * (b + 1)`.
    ///
    /// # Panics
    /// When the depth is not a multiple of [`BLOCK`].
    #[must_use]
    pub fn pack(
        isa: Isa,
        depth: usize,
        columns: usize,
        value: impl Fn(usize, usize) -> u8,
        four: impl Fn(usize, usize) -> Four,
    ) -> Self {
        assert!(depth.is_multiple_of(BLOCK), "depth");
        let blocks = depth / BLOCK;
        let mut data = vec![Block::EMPTY; columns.div_ceil(PANEL) * blocks];
        for (index, block) in data.iter_mut().enumerate() {
            let (panel, b) = (index / blocks, index % blocks);
            let first = panel * PANEL;
            for lane in 0..PANEL.min(columns - first) {
                let four = four(b, first + lane);
                block.scales[lane] = four.scale;
                block.zero_points[lane] = four.zero_point & 15;
                for (k, row) in block.rows.iter_mut().enumerate() {
                    let value = value(b * BLOCK + k, first + lane) & 15;
                    row[lane % 8] |= value << (lane / 8 * 4);
                }
            }
        }
        Self {
            isa: isa.of_floats(),
            depth,
            columns,
            data,
        }
    }

    /// The instruction set whose kernel reads them.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Values along K.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Number of columns, N.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.data)
    }

    fn blocks(&self, panels: Range<usize>) -> &[Block] {
        let of_panel = self.depth / BLOCK;
        &self.data[panels.start * of_panel..panels.end * of_panel]
    }
}

/// `output = epilogue(values x weights)`, M x N. The epilogue's scales are not used.
///
/// # Panics
/// As for [`crate::float_product`].
pub fn four_bit_product(
    weights: &PackedFours,
    rows: FloatRows<'_>,
    epilogue: &Epilogue,
    residual: Residual<'_>,
    output: &mut Output<'_>,
    pool: &Pool,
) {
    let isa = weights.isa;
    let sizes = [1, weights.depth, weights.columns];
    let job = floats::job(isa, sizes, rows, epilogue, residual, output);
    if let [_] = rows.offsets {
        let job = job.with_weights(Packed::Fours(&weights.data), 0);
        // SAFETY: the sizes were checked by `job`, and the instruction set is there.
        return unsafe { run(&job, kernel(isa), pool) };
    }
    let panel = weights.depth * PANEL;
    let cut = Cut::new(&job, pool.threads());
    let together = (UNPACKED_BYTES / (panel * size_of::<f32>()).max(1)).max(1);
    let together = together.min(weights.columns.div_ceil(PANEL));
    pool.run_with(cut.pieces, together * panel, &|piece, unpacked| {
        let (rows, panels) = cut.piece(piece);
        for panels in parts(panels, together) {
            // SAFETY: the instruction set is there: `job` checked it.
            unsafe { unpacker(isa)(weights.blocks(panels.clone()), unpacked) };
            let unpacked = Packed::Floats(&unpacked[..panels.len() * panel]);
            let job = job.with_weights(unpacked, panels.start);
            for rows in parts(rows.clone(), job.block_rows()) {
                // SAFETY: as above; the panels of this part lie unpacked in `unpacked`, and no two pieces have a row and a panel
                // in common.
                unsafe { floats::kernel(isa)(&job, rows, panels.clone()) }
            }
        }
    });
}

/// Unpacks blocks one after the other. Inlined into a function that has the instruction set's features.
///
/// # Safety
/// As for [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn unpack<L: Lanes>(blocks: &[Block], to: &mut [f32]) {
    let (lines, _) = to.as_chunks_mut::<PANEL>();
    for (block, lines) in blocks.iter().zip(lines.chunks_exact_mut(BLOCK)) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero_points = block.zero_points::<L>();
            for (index, line) in lines.iter_mut().enumerate() {
                block.row::<L>(index, zero_points).store(line);
            }
        }
    }
}

fn unpacker(isa: Isa) -> unsafe fn(&[Block], &mut [f32]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => crate::x86_64::avx2_unpack,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86_64::avx512_unpack,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::Dotprod | Isa::I8mm => unpack::<crate::lanes::Neon>,
        _ => unpack::<crate::lanes::Scalar>,
    }
}

fn kernel(isa: Isa) -> Kernel {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni => crate::x86_64::avx2_four_row,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => crate::x86_64::avx512_four_row,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::Dotprod | Isa::I8mm => crate::aarch64::neon_four_row,
        _ => crate::scalar::scalar_four_row,
    }
}

/// The sums of one row and `P` panels. Inlined into a function that has the instruction set's features.
///
/// # Safety
/// As for [`Lanes`]; the row and the panels must be readable to their ends, and the panels made of [`Block`]s.
#[inline(always)]
pub(crate) unsafe fn row_tile<L: Lanes, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<f32>) {
    // SAFETY: the caller's promise.
    unsafe {
        let x = std::slice::from_raw_parts(strip.rows[0].cast(), strip.groups);
        let panels: [&[Block]; P] = std::array::from_fn(|p| {
            let blocks = strip.weights.add(p * strip.panel_bytes).cast();
            std::slice::from_raw_parts(blocks, strip.groups / BLOCK)
        });
        let mut acc = [L::all(0.0); P];
        let (x, _) = x.as_chunks::<BLOCK>();
        for (b, x) in x.iter().enumerate() {
            let blocks: [&Block; P] = std::array::from_fn(|p| &panels[p][b]);
            let zero_points = blocks.map(|block| block.zero_points::<L>());
            for (index, &x) in x.iter().enumerate() {
                let x = L::all(x);
                for ((acc, block), zero_points) in acc.iter_mut().zip(blocks).zip(zero_points) {
                    *acc = x.mul_add(block.row::<L>(index, zero_points), *acc);
                }
            }
        }
        for (sum, acc) in sums.iter_mut().zip(acc) {
            acc.store(sum);
        }
    }
}
