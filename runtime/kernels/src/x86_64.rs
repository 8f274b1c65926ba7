//! Tiles for x86-64.

use std::arch::x86_64::*;
use std::ops::Range;

use crate::epilogue::Tile;
use crate::product::{Job, Strip, tiles};

/// Calls the tile kernel for a number of rows that is known to the compiler.
macro_rules! by_rows {
    ($kernel:ident, $strip:ident, $count:ident, $sums:ident: $($rows:literal)*) => {
        match $count {
            $($rows => $kernel::<$rows>($strip, $sums),)*
            _ => {}
        }
    };
}

/// # Safety
/// As for `product::block`.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn avx2(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise; `product` checked that rows and panel are readable to their ends.
    unsafe {
        tiles(job, rows, panels, |strip, count, sums| {
            by_rows!(tile_avx2, strip, count, sums: 1 2 3 4 5 6);
        });
    }
}

/// # Safety
/// As for `product::block`.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub(crate) unsafe fn avx_vnni(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise; `product` checked that rows and panel are readable to their ends.
    unsafe {
        tiles(job, rows, panels, |strip, count, sums| {
            by_rows!(tile_avx_vnni, strip, count, sums: 1 2 3 4 5 6);
        });
    }
}

/// # Safety
/// As for `product::block`.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn avx512_vnni(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise; `product` checked that rows and panel are readable to their ends.
    unsafe {
        tiles(job, rows, panels, |strip, count, sums| {
            by_rows!(tile_avx512_vnni, strip, count, sums: 1 2 3 4 5 6 7 8 9 10 11 12);
        });
    }
}

/// Two 16-bit products of a pair of values per 32-bit sum: `vpmaddwd` cannot overflow here, as a difference of two 8-bit values
/// has 9 bits and a weight 8.
///
/// # Safety
/// `R` rows of `strip` and the panel must be readable to their ends.
#[target_feature(enable = "avx2")]
unsafe fn tile_avx2<const R: usize>(strip: &Strip<'_>, sums: &mut Tile) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 32.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); 2]; R];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let mut at = [strip.weights.cast::<u8>(); R];
            for (at, row) in at.iter_mut().zip(&strip.rows) {
                *at = row.add(segment as usize * 2);
            }
            for group in 0..strip.groups {
                let w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.cast()));
                let w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(weights.add(16).cast()));
                for i in 0..R {
                    let pair = at[i].add(group * 4).cast::<i32>().read_unaligned();
                    let a = _mm256_set1_epi32(pair);
                    acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(a, w0));
                    acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(a, w1));
                }
                weights = weights.add(32);
            }
        }
        store::<R>(&acc, sums);
    }
}

/// Four products of unsigned activations and signed weights per 32-bit sum, without saturation.
///
/// # Safety
/// `R` rows of `strip` and the panel must be readable to their ends.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn tile_avx_vnni<const R: usize>(strip: &Strip<'_>, sums: &mut Tile) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 64.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); 2]; R];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let mut at = [strip.weights.cast::<u8>(); R];
            for (at, row) in at.iter_mut().zip(&strip.rows) {
                *at = row.add(segment as usize);
            }
            for group in 0..strip.groups {
                let w0 = _mm256_loadu_si256(weights.cast());
                let w1 = _mm256_loadu_si256(weights.add(32).cast());
                for i in 0..R {
                    let four = at[i].add(group * 4).cast::<i32>().read_unaligned();
                    let a = _mm256_set1_epi32(four);
                    acc[i][0] = _mm256_dpbusd_avx_epi32(acc[i][0], a, w0);
                    acc[i][1] = _mm256_dpbusd_avx_epi32(acc[i][1], a, w1);
                }
                weights = weights.add(64);
            }
        }
        store::<R>(&acc, sums);
    }
}

/// Four products of unsigned activations and signed weights per 32-bit sum, a panel to a register.
///
/// # Safety
/// `R` rows of `strip` and the panel must be readable to their ends.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile_avx512_vnni<const R: usize>(strip: &Strip<'_>, sums: &mut Tile) {
    // SAFETY: the caller's promise covers every group of every segment; a group of a row is 4 bytes, of the panel 64.
    unsafe {
        let mut acc = [_mm512_setzero_si512(); R];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let mut at = [strip.weights.cast::<u8>(); R];
            for (at, row) in at.iter_mut().zip(&strip.rows) {
                *at = row.add(segment as usize);
            }
            for group in 0..strip.groups {
                let w = _mm512_loadu_si512(weights.cast());
                for i in 0..R {
                    let four = at[i].add(group * 4).cast::<i32>().read_unaligned();
                    acc[i] = _mm512_dpbusd_epi32(acc[i], _mm512_set1_epi32(four), w);
                }
                weights = weights.add(64);
            }
        }
        for i in 0..R {
            _mm512_storeu_si512(sums[i].as_mut_ptr().cast(), acc[i]);
        }
    }
}

#[target_feature(enable = "avx2")]
fn store<const R: usize>(acc: &[[__m256i; 2]; R], sums: &mut Tile) {
    for (acc, sum) in acc.iter().zip(sums) {
        // SAFETY: a row of sums is two registers of 32 bytes long.
        unsafe {
            _mm256_storeu_si256(sum.as_mut_ptr().cast(), acc[0]);
            _mm256_storeu_si256(sum.as_mut_ptr().add(8).cast(), acc[1]);
        }
    }
}
