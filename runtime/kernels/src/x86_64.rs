//! Tiles for x86-64.
//!
//! A tile is not inlined: among a dozen others in one function the compiler runs out of registers for its sums.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::epilogue::Tile;
use crate::fours::{Block, row_tile, unpack};
use crate::lanes::{Avx2, Avx512};
use crate::tiles::{Job, Strip, by_rows, walk, walk_by_two};
use crate::winograd::{Gather, Spread, gather, spread};

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Avx2, tile_avx2, job, rows, panels: 1 2 3 4 5 6) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub(crate) unsafe fn avx_vnni(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Avx2, tile_avx_vnni, job, rows, panels: 1 2 3 4 5 6) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn avx512_vnni(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk_by_two!(Avx512, tile_avx512_vnni, job, rows, panels: 1 2 3 4 5 6 7 8 9 10) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_floats(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Avx2, tile_avx2_floats, job, rows, panels: 1 2 3 4 5 6) }
}

/// # Safety
/// As for `winograd::spread`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_spread(job: &Spread<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { spread::<Avx2>(job, tiles) }
}

/// # Safety
/// As for `winograd::spread`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn avx512_spread(job: &Spread<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { spread::<Avx512>(job, tiles) }
}

/// # Safety
/// As for `winograd::gather`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_gather(job: &Gather<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { gather::<Avx2>(job, tiles) }
}

/// # Safety
/// As for `winograd::gather`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn avx512_gather(job: &Gather<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { gather::<Avx512>(job, tiles) }
}

/// # Safety
/// AVX2 and FMA must be there.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_unpack(blocks: &[Block], to: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { unpack::<Avx2>(blocks, to) }
}

/// For products of one row.
///
/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_four_row(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Avx2, tile_avx2_fours, job, rows, panels: 1) }
}

/// # Safety
/// AVX-512 F, BW and VL must be there.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn avx512_unpack(blocks: &[Block], to: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { unpack::<Avx512>(blocks, to) }
}

/// For products of one row.
///
/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn avx512_four_row(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Avx512, tile_avx512_fours, job, rows, panels: 1) }
}

/// # Safety
/// As for the tile.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2_float_tile(strip: &Strip<'_>, count: usize, sums: &mut Tile<f32>) {
    // SAFETY: the caller's promise.
    unsafe { by_rows!(tile_avx2_floats, strip, count, sums: 1 2 3 4 5 6) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
pub(crate) unsafe fn avx512_floats(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk_by_two!(Avx512, tile_avx512_floats, job, rows, panels: 1 2 3 4 5 6 7 8 9 10) }
}

/// # Safety
/// As for the tile.
#[inline]
#[target_feature(enable = "avx2,fma,avx512f")]
pub(crate) unsafe fn avx512_float_tile(strip: &Strip<'_>, count: usize, sums: &mut Tile<f32>) {
    // SAFETY: the caller's promise.
    unsafe { by_rows!(tile_avx512_floats, strip, count, sums: 1 2 3 4 5 6 7 8 9 10) }
}

/// Two panels.
///
/// # Safety
/// As for the tile.
#[inline]
#[target_feature(enable = "avx2,fma,avx512f")]
pub(crate) unsafe fn avx512_two_panels(strip: &Strip<'_>, count: usize, sums: &mut Tile<f32>) {
    // SAFETY: the caller's promise.
    unsafe { by_rows!(tile_avx512_floats, 2, strip, count, sums: 1 2 3 4 5 6 7 8 9 10) }
}

/// Two 16-bit products of a pair of values per 32-bit sum: `vpmaddwd` cannot overflow here, as a difference of two 8-bit values
/// has 9 bits and a weight 8.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn tile_avx2<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<i32>) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 32.
    unsafe {
        let mut acc = [[[_mm256_setzero_si256(); 2]; R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 2);
            for group in 0..strip.groups {
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    let w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.cast()));
                    let w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.add(16).cast()));
                    for i in 0..R {
                        let pair = at[i].add(group * 4).cast::<i32>().read_unaligned();
                        let a = _mm256_set1_epi32(pair);
                        acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(a, w0));
                        acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(a, w1));
                    }
                }
                weights = weights.add(32);
            }
        }
        store(acc.as_flattened(), sums);
    }
}

/// Four products of unsigned activations and signed weights per 32-bit sum, without saturation.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[inline(never)]
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn tile_avx_vnni<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<i32>) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 64.
    unsafe {
        let mut acc = [[[_mm256_setzero_si256(); 2]; R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 1);
            for group in 0..strip.groups {
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    let w0 = _mm256_loadu_si256(from.cast());
                    let w1 = _mm256_loadu_si256(from.add(32).cast());
                    for i in 0..R {
                        let four = at[i].add(group * 4).cast::<i32>().read_unaligned();
                        let a = _mm256_set1_epi32(four);
                        acc[i][0] = _mm256_dpbusd_avx_epi32(acc[i][0], a, w0);
                        acc[i][1] = _mm256_dpbusd_avx_epi32(acc[i][1], a, w1);
                    }
                }
                weights = weights.add(64);
            }
        }
        store(acc.as_flattened(), sums);
    }
}

/// Four products of unsigned activations and signed weights per 32-bit sum, a panel to a register.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile_avx512_vnni<const R: usize, const P: usize>(
    strip: &Strip<'_>,
    sums: &mut Tile<i32>,
) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 64.
    unsafe {
        let mut acc = [[_mm512_setzero_si512(); R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 1);
            for group in 0..strip.groups {
                for (p, acc) in acc.iter_mut().enumerate() {
                    let w = _mm512_loadu_si512(weights.add(p * strip.panel_bytes).cast());
                    for i in 0..R {
                        let four = at[i].add(group * 4).cast::<i32>().read_unaligned();
                        acc[i] = _mm512_dpbusd_epi32(acc[i], _mm512_set1_epi32(four), w);
                    }
                }
                weights = weights.add(64);
            }
        }
        for (acc, sum) in acc.as_flattened().iter().zip(sums) {
            _mm512_storeu_si512(sum.as_mut_ptr().cast(), *acc);
        }
    }
}

/// One float of each row times a row of the panel in two registers.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2_floats<const R: usize, const P: usize>(
    strip: &Strip<'_>,
    sums: &mut Tile<f32>,
) {
    // SAFETY: the caller's promise covers every value of every segment; a row of the panel is 16 floats, one of the sums too.
    unsafe {
        let mut acc = [[[_mm256_setzero_ps(); 2]; R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 4);
            for k in 0..strip.groups {
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes).cast::<f32>();
                    let (w0, w1) = (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)));
                    for i in 0..R {
                        let a = _mm256_set1_ps(at[i].add(k * 4).cast::<f32>().read_unaligned());
                        acc[i][0] = _mm256_fmadd_ps(a, w0, acc[i][0]);
                        acc[i][1] = _mm256_fmadd_ps(a, w1, acc[i][1]);
                    }
                }
                weights = weights.add(64);
            }
        }
        for (acc, sum) in acc.as_flattened().iter().zip(sums) {
            _mm256_storeu_ps(sum.as_mut_ptr(), acc[0]);
            _mm256_storeu_ps(sum.as_mut_ptr().add(8), acc[1]);
        }
    }
}

/// # Safety
/// As for [`row_tile`].
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2_fours<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<f32>) {
    const { assert!(R == 1, "one row at a time") };
    // SAFETY: the caller's promise.
    unsafe { row_tile::<Avx2, P>(strip, sums) }
}

/// # Safety
/// As for [`row_tile`].
#[inline(never)]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl")]
unsafe fn tile_avx512_fours<const R: usize, const P: usize>(
    strip: &Strip<'_>,
    sums: &mut Tile<f32>,
) {
    const { assert!(R == 1, "one row at a time") };
    // SAFETY: the caller's promise.
    unsafe { row_tile::<Avx512, P>(strip, sums) }
}

/// Bytes of weights that are fetched into the first-level cache before they are wanted: the hardware's own prefetcher stops at
/// each page. A fetch past the end of the weights does nothing.
const AHEAD: usize = 1024;

/// One float of each row times a row of the panel in one register.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[inline(never)]
#[target_feature(enable = "avx512f")]
unsafe fn tile_avx512_floats<const R: usize, const P: usize>(
    strip: &Strip<'_>,
    sums: &mut Tile<f32>,
) {
    // SAFETY: the caller's promise covers every value of every segment; a row of the panel is 16 floats, one of the sums too.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 4);
            for k in 0..strip.groups {
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(AHEAD).cast());
                    let w = _mm512_loadu_ps(from.cast());
                    for i in 0..R {
                        let a = _mm512_set1_ps(at[i].add(k * 4).cast::<f32>().read_unaligned());
                        acc[i] = _mm512_fmadd_ps(a, w, acc[i]);
                    }
                }
                weights = weights.add(64);
            }
        }
        for (acc, sum) in acc.as_flattened().iter().zip(sums) {
            _mm512_storeu_ps(sum.as_mut_ptr(), *acc);
        }
    }
}

#[target_feature(enable = "avx2")]
fn store(acc: &[[__m256i; 2]], sums: &mut Tile<i32>) {
    for (acc, sum) in acc.iter().zip(sums) {
        // SAFETY: a row of sums is two registers of 32 bytes long.
        unsafe {
            _mm256_storeu_si256(sum.as_mut_ptr().cast(), acc[0]);
            _mm256_storeu_si256(sum.as_mut_ptr().add(8).cast(), acc[1]);
        }
    }
}
