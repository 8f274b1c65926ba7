//! A 3 x 3 convolution of stride 1 over floats by Winograd's minimal filtering F(2 x 2, 3 x 3): each 2 x 2 outputs take 16 products
//! instead of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308).
//!
//! The picture is cut into tiles of 4 x 4 pixels that overlap by two. A tile is transformed into 16 rows, one for each of 16 matrix
//! products with the transformed weights; what these give is transformed back into 2 x 2 outputs. Only sums and halves are
//! involved, so errors are those of a direct convolution. An infinity becomes NaN in all outputs of its tiles.

use std::ops::Range;

use crate::aligned::Aligned;
use crate::epilogue::{Epilogue, Finish, Output, Place, Residual, RowScales, Shift, finish};
use crate::floats::{self, FloatRows};
use crate::lanes::Lanes;
use crate::tiles::{Packed, Parts, parts, run_alone};
use crate::{Isa, PANEL, Pool};

/// Outputs along an edge of a tile.
const OUT: usize = 2;
/// Inputs along an edge of a tile.
const IN: usize = 4;
/// Products of a tile, each of other weights.
const PRODUCTS: usize = IN * IN;

/// Tiles of a piece of work for a thread.
const TILES_PER_PIECE: usize = 8;

/// Transformed floats that are worth a block of their own: with those of the products they stay in a second-level cache.
const BLOCK_FLOATS: usize = 64 * 1024;

/// The transformed weights of a 3 x 3 convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct WinogradWeights {
    isa: Isa,
    channels: usize,
    columns: usize,
    /// For each product the panels of a `channels` x `columns` matrix.
    data: Aligned<f32>,
    /// Of the products: it changes nothing.
    plain: Epilogue,
}

impl WinogradWeights {
    /// Whether a convolution of so many input and output channels has whole panels of both.
    #[must_use]
    pub fn fit(channels: usize, columns: usize) -> bool {
        channels > 0 && channels.is_multiple_of(PANEL) && columns.is_multiple_of(PANEL)
    }

    /// Transforms weights; `weight(y, x, c, n)` is that of kernel position `y`, `x`, input channel `c` and output channel `n`.
    ///
    /// # Panics
    /// When the channels do not [`fit`](Self::fit).
    #[must_use]
    pub fn pack(
        isa: Isa,
        channels: usize,
        columns: usize,
        weight: impl Fn(usize, usize, usize, usize) -> f32,
    ) -> Self {
        assert!(Self::fit(channels, columns), "{channels} x {columns}");
        let mut data = Aligned::zeros(PRODUCTS * channels * columns);
        let (values, product) = (data.values_mut(), channels * columns);
        for n in 0..columns {
            let to = (n / PANEL) * channels * PANEL + n % PANEL;
            for c in 0..channels {
                let kernel: [[f32; 3]; 3] =
                    std::array::from_fn(|y| std::array::from_fn(|x| weight(y, x, c, n)));
                let transformed = transform_kernel(&kernel);
                for (index, value) in transformed.as_flattened().iter().enumerate() {
                    values[index * product + to + c * PANEL] = *value;
                }
            }
        }
        Self {
            isa: isa.of_floats(),
            channels,
            columns,
            data,
            plain: Epilogue::new(&vec![1.0; columns], None, None),
        }
    }

    /// The instruction set whose kernel reads them.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Input channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Output channels.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.data.values())
    }

    /// Those of one product.
    fn of_product(&self, index: usize) -> &[f32] {
        let product = self.channels * self.columns;
        &self.data.values()[index * product..][..product]
    }
}

/// `G g G^T`, each value rounded once.
fn transform_kernel(kernel: &[[f32; 3]; 3]) -> [[f32; IN]; IN] {
    let ends = |g: [f64; 3]| {
        let (even, odd) = (g[0] + g[2], g[1]);
        [g[0], (even + odd) / 2.0, (even - odd) / 2.0, g[2]]
    };
    let rows = kernel.map(|row| ends(row.map(f64::from)));
    let mut transformed = [[0.0; IN]; IN];
    for x in 0..IN {
        let column = ends([rows[0][x], rows[1][x], rows[2][x]]);
        for (row, value) in transformed.iter_mut().zip(column) {
            #[expect(clippy::cast_possible_truncation, reason = "rounds to f32")]
            let value = value as f32;
            row[x] = value;
        }
    }
    transformed
}

/// The sizes of a picture and what is known of its tiles; pairs are height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WinogradTiles {
    input: [usize; 2],
    pad_before: [usize; 2],
    output: [usize; 2],
    channels: usize,
    columns: usize,
    /// Tiles that are transformed at a time.
    block: usize,
    /// Start of the row of each tile of a block.
    offsets: Vec<u32>,
}

impl WinogradTiles {
    /// For a picture of `input` pixels that gives `output` pixels, and weights of so many channels. `None` where a block of tiles is
    /// larger than can be indexed.
    #[must_use]
    pub fn new(
        weights: &WinogradWeights,
        input: [usize; 2],
        pad_before: [usize; 2],
        output: [usize; 2],
    ) -> Option<Self> {
        let (channels, columns) = (weights.channels, weights.columns);
        let count = output[0].div_ceil(OUT) * output[1].div_ceil(OUT);
        // All weights are read once for each block: as much as the block itself.
        let floats = BLOCK_FLOATS.max(weights.data.values().len());
        let tall = weights.isa.tile_rows();
        let wanted = (floats / (PRODUCTS * (channels + columns))).next_multiple_of(tall);
        let blocks = count.div_ceil(wanted.max(tall)).max(1);
        let block = count.div_ceil(blocks).next_multiple_of(tall).min(count);
        let offsets = (0..block).map(|tile| u32::try_from(tile * channels));
        Some(Self {
            input,
            pad_before,
            output,
            channels,
            columns,
            block,
            offsets: offsets.collect::<Result<_, _>>().ok()?,
        })
    }

    fn across(&self) -> usize {
        self.output[1].div_ceil(OUT)
    }

    fn count(&self) -> usize {
        self.output[0].div_ceil(OUT) * self.across()
    }

    /// Floats of scratch memory that a convolution needs.
    #[must_use]
    pub fn scratch(&self) -> usize {
        self.block * PRODUCTS * (self.channels + self.columns)
    }
}

/// `output = epilogue(convolution(values))`: height x width x channels to height x width x columns. The epilogue's scales are not
/// used. The content of `scratch` is unspecified before and after.
///
/// # Panics
/// When lengths do not fit: a picture, residual, epilogue, output or scratch of another size than the tiles say, weights of other
/// channels, or an instruction set that this machine lacks.
#[expect(
    clippy::too_many_arguments,
    reason = "as many as a product has, and the tiles"
)]
pub fn winograd(
    weights: &WinogradWeights,
    tiles: &WinogradTiles,
    values: &[f32],
    epilogue: &Epilogue,
    residual: Residual<'_>,
    output: &mut Output<'_>,
    scratch: &mut [f32],
    pool: &Pool,
) {
    let (channels, columns) = (tiles.channels, tiles.columns);
    let [height, width] = tiles.output;
    assert!(
        weights.isa.available(),
        "{} is missing here",
        weights.isa.name()
    );
    assert_eq!([weights.channels, weights.columns], [channels, columns]);
    assert_eq!(values.len(), tiles.input[0] * tiles.input[1] * channels);
    assert_eq!(output.len(), height * width * columns, "output");
    assert!(residual.fits(height * width * columns), "residual");
    assert_eq!(epilogue.columns(), columns, "epilogue");
    let (spread, sums) = scratch[..tiles.scratch()].split_at_mut(tiles.block * PRODUCTS * channels);
    let finish = Finish {
        epilogue,
        column_sums: None,
        rows: RowScales::Fixed,
        shift: Shift::None,
        residual,
        output: output.raw(),
    };
    for block in parts(0..tiles.count(), tiles.block.max(1)) {
        let count = block.len();
        let spread = &mut spread[..count * PRODUCTS * channels];
        let sums = &mut sums[..count * PRODUCTS * columns];
        let pieces = count.div_ceil(TILES_PER_PIECE);
        let piece = |index: usize| {
            let first = block.start + index * TILES_PER_PIECE;
            first..(first + TILES_PER_PIECE).min(block.end)
        };
        let to = Parts::new(spread);
        pool.run(pieces, &|index| {
            let job = Spread {
                tiles,
                values,
                block: block.clone(),
                to: &to,
            };
            // SAFETY: the instruction set is there, the picture is as large as the tiles say, and each piece has its own tiles.
            unsafe { spread_by(weights.isa, &job, piece(index)) }
        });
        let to = Parts::new(sums);
        pool.run(PRODUCTS, &|index| {
            let rows = FloatRows {
                values: &spread[index * count * channels..][..count * channels],
                offsets: &tiles.offsets[..count],
                segments: &[0],
            };
            // SAFETY: each product has its own part.
            let part = unsafe { to.part(index * count * columns..(index + 1) * count * columns) };
            let mut output = Output::Float(part);
            let sizes = [1, channels, columns];
            let none = Residual::None;
            let job = floats::job(weights.isa, sizes, rows, &weights.plain, none, &mut output);
            let job = job.with_weights(Packed::Floats(weights.of_product(index)), 0);
            // SAFETY: the sizes were checked by `job`, and the instruction set is there.
            unsafe { run_alone(&job, floats::kernel(weights.isa)) }
        });
        pool.run(pieces, &|index| {
            let job = Gather {
                tiles,
                sums,
                block: block.clone(),
                finish: &finish,
            };
            // SAFETY: the instruction set is there, the output is as large as the tiles say, and each piece has its own tiles.
            unsafe { gather_by(weights.isa, &job, piece(index)) }
        });
    }
}

/// The transform of the picture's tiles.
pub(crate) struct Spread<'a> {
    tiles: &'a WinogradTiles,
    values: &'a [f32],
    block: Range<usize>,
    /// Products x tiles of the block x channels.
    to: &'a Parts<f32>,
}

/// The transform of sums into outputs.
pub(crate) struct Gather<'a> {
    tiles: &'a WinogradTiles,
    /// Products x tiles of the block x columns.
    sums: &'a [f32],
    block: Range<usize>,
    finish: &'a Finish<'a>,
}

unsafe fn spread_by(isa: Isa, job: &Spread<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => crate::x86_64::avx2_spread(job, tiles),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => crate::x86_64::avx512_spread(job, tiles),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Dotprod | Isa::I8mm => crate::aarch64::neon_spread(job, tiles),
            _ => spread::<crate::lanes::Scalar>(job, tiles),
        }
    }
}

unsafe fn gather_by(isa: Isa, job: &Gather<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => crate::x86_64::avx2_gather(job, tiles),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => crate::x86_64::avx512_gather(job, tiles),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Dotprod | Isa::I8mm => crate::aarch64::neon_gather(job, tiles),
            _ => gather::<crate::lanes::Scalar>(job, tiles),
        }
    }
}

/// `B^T d B` of some tiles of a block.
///
/// # Safety
/// As for [`Lanes`]; no other thread may touch these tiles of the block meanwhile.
#[inline(always)]
pub(crate) unsafe fn spread<L: Lanes>(job: &Spread<'_>, tiles: Range<usize>) {
    let t = job.tiles;
    let [height, width] = t.input;
    let [top, left] = t.pad_before;
    let count = job.block.len();
    for tile in tiles {
        let (y, x) = (tile / t.across() * OUT, tile % t.across() * OUT);
        // What a pixel's channels start at; a pixel of the padding has none.
        let pixels: [[Option<usize>; IN]; IN] = std::array::from_fn(|dy| {
            std::array::from_fn(|dx| {
                let y = (y + dy).checked_sub(top).filter(|&y| y < height)?;
                let x = (x + dx).checked_sub(left).filter(|&x| x < width)?;
                Some((y * width + x) * t.channels)
            })
        });
        for channel in (0..t.channels).step_by(PANEL) {
            // SAFETY: the caller's promise.
            unsafe {
                // Loops instead of closures: those are not compiled for the instruction set.
                let mut columns = [[L::all(0.0); IN]; IN];
                for (dx, column) in columns.iter_mut().enumerate() {
                    let mut pixel = [L::all(0.0); IN];
                    for (dy, value) in pixel.iter_mut().enumerate() {
                        if let Some(at) = pixels[dy][dx] {
                            *value = L::load(panel(job.values, at + channel));
                        }
                    }
                    *column = edges(pixel);
                }
                for row in 0..IN {
                    let [a, b, c, d] = columns;
                    let values = edges([a[row], b[row], c[row], d[row]]);
                    for (column, value) in values.into_iter().enumerate() {
                        let product = row * IN + column;
                        let at = (product * count + tile - job.block.start) * t.channels + channel;
                        if let Some(to) = job.to.part(at..at + PANEL).first_chunk_mut() {
                            value.store(to);
                        }
                    }
                }
            }
        }
    }
}

/// `A^T m A` of some tiles of a block, and what the epilogue makes of it.
///
/// # Safety
/// As for [`Lanes`]; the output must hold what the tiles say, and no other thread may touch these tiles of it meanwhile.
#[inline(always)]
pub(crate) unsafe fn gather<L: Lanes>(job: &Gather<'_>, tiles: Range<usize>) {
    let t = job.tiles;
    let [height, width] = t.output;
    let count = job.block.len();
    for tile in tiles {
        let (y, x) = (tile / t.across() * OUT, tile % t.across() * OUT);
        let (rows, pixels) = (OUT.min(height - y), OUT.min(width - x));
        for first in (0..t.columns).step_by(PANEL) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut columns = [[L::all(0.0); OUT]; IN];
                for (at, column) in columns.iter_mut().enumerate() {
                    let mut sums = [L::all(0.0); IN];
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let product = row * IN + at;
                        let at = (product * count + tile - job.block.start) * t.columns + first;
                        *sum = L::load(panel(job.sums, at));
                    }
                    *column = middle(sums);
                }
                let mut lines = [[[0.0; PANEL]; OUT]; OUT];
                for (row, line) in lines.iter_mut().enumerate() {
                    let [a, b, c, d] = columns;
                    let [left, right] = middle([a[row], b[row], c[row], d[row]]);
                    left.store(&mut line[0]);
                    right.store(&mut line[1]);
                }
                for (row, line) in lines.iter().enumerate().take(rows) {
                    let place = Place {
                        row: (y + row) * width + x,
                        column: first,
                        columns: t.columns,
                    };
                    finish::<f32, L>(&line[..pixels], place, job.finish);
                }
            }
        }
    }
}

/// The values from here on.
///
/// # Panics
/// When there are fewer than a panel has.
#[inline(always)]
fn panel(values: &[f32], at: usize) -> &[f32; PANEL] {
    match values[at..].first_chunk() {
        Some(panel) => panel,
        None => panic!("a panel of {PANEL} values ends behind the last"),
    }
}

/// `B^T d`.
#[inline(always)]
unsafe fn edges<L: Lanes>(d: [L; IN]) -> [L; IN] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            minus(d[0], d[2]),
            d[1].add(d[2]),
            minus(d[2], d[1]),
            minus(d[1], d[3]),
        ]
    }
}

/// `A^T m`.
#[inline(always)]
unsafe fn middle<L: Lanes>(m: [L; IN]) -> [L; OUT] {
    // SAFETY: the caller's promise.
    unsafe { [m[0].add(m[1]).add(m[2]), minus(minus(m[1], m[2]), m[3])] }
}

/// `a - b`: a product with -1 is exact.
#[inline(always)]
unsafe fn minus<L: Lanes>(a: L, b: L) -> L {
    // SAFETY: the caller's promise.
    unsafe { b.mul_add(L::all(-1.0), a) }
}
