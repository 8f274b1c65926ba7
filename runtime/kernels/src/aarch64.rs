//! Tiles for aarch64. The dot and matrix products of 8-bit integers have no stable intrinsics yet: one instruction of inline
//! assembly each.

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use crate::epilogue::Tile;
use crate::fours::row_tile;
use crate::lanes::Neon;
use crate::tiles::{Job, Strip, by_rows, tiles, walk};
use crate::winograd::{Gather, Spread, gather, spread};

/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn neon(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { walk!(Neon, tile_neon, job, rows, panels: 1 2 3 4) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "neon,dotprod")]
pub(crate) unsafe fn dotprod(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { walk!(Neon, tile_dotprod, job, rows, panels: 1 2 3 4) }
}

/// # Safety
/// As for `tiles::Kernel`.
#[target_feature(enable = "neon,i8mm")]
pub(crate) unsafe fn i8mm(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise; `product` checked that rows and panel are readable to their ends.
    unsafe {
        tiles::<_, Neon, 1>(job, rows, panels, |strip, count, sums| {
            // One row alone keeps to pairs too: the second half of its products is not used.
            match count {
                1 | 2 => tile_i8mm::<1>(strip, count, sums),
                _ => tile_i8mm::<2>(strip, count, sums),
            }
        });
    }
}

/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn neon_floats(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { walk!(Neon, tile_neon_floats, job, rows, panels: 1 2 3 4) }
}

/// # Safety
/// As for `winograd::spread`.
pub(crate) unsafe fn neon_spread(job: &Spread<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { spread::<Neon>(job, tiles) }
}

/// # Safety
/// As for `winograd::gather`.
pub(crate) unsafe fn neon_gather(job: &Gather<'_>, tiles: Range<usize>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { gather::<Neon>(job, tiles) }
}

/// For products of one row.
///
/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn neon_four_row(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { walk!(Neon, tile_neon_fours, job, rows, panels: 1) }
}

/// # Safety
/// As for [`row_tile`].
unsafe fn tile_neon_fours<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<f32>) {
    const { assert!(R == 1, "one row at a time") };
    // SAFETY: the caller's promise.
    unsafe { row_tile::<Neon, P>(strip, sums) }
}

/// # Safety
/// As for the tile.
#[inline]
pub(crate) unsafe fn neon_float_tile(strip: &Strip<'_>, count: usize, sums: &mut Tile<f32>) {
    // SAFETY: the caller's promise, and NEON is part of aarch64.
    unsafe { by_rows!(tile_neon_floats, strip, count, sums: 1 2 3 4) }
}

/// `fmla` by element: a weight row of 16 columns times one float of each row.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[target_feature(enable = "neon")]
unsafe fn tile_neon_floats<const R: usize, const P: usize>(
    strip: &Strip<'_>,
    sums: &mut Tile<f32>,
) {
    /// One value along K: lane `$lane` of each row's four activations.
    macro_rules! step {
        ($acc:ident, $a:ident, $weights:ident: $($lane:literal)*) => {
            $(for j in 0..4 {
                let w = vld1q_f32($weights.add($lane * 16 + j * 4));
                for i in 0..R {
                    $acc[i][j] = vfmaq_laneq_f32::<$lane>($acc[i][j], w, $a[i]);
                }
            })*
        };
    }
    // SAFETY: the caller's promise covers every value of every segment; four activations are read only where four are left.
    unsafe {
        let mut acc = [[[vdupq_n_f32(0.0); 4]; R]; P];
        let mut weights = strip.weights;
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 4);
            let mut k = 0;
            while k + 4 <= strip.groups {
                let mut a = [vdupq_n_f32(0.0); R];
                for i in 0..R {
                    a[i] = vreinterpretq_f32_u8(vld1q_u8(at[i].add(k * 4)));
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes).cast::<f32>();
                    step!(acc, a, from: 0 1 2 3);
                }
                weights = weights.add(4 * 64);
                k += 4;
            }
            while k < strip.groups {
                let mut a = [vdupq_n_f32(0.0); R];
                for i in 0..R {
                    a[i] = vdupq_n_f32(at[i].add(k * 4).cast::<f32>().read_unaligned());
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes).cast::<f32>();
                    step!(acc, a, from: 0);
                }
                weights = weights.add(64);
                k += 1;
            }
        }
        for (acc, sum) in acc.as_flattened().iter().zip(sums) {
            for (j, &four) in acc.iter().enumerate() {
                vst1q_f32(sum.as_mut_ptr().add(j * 4), four);
            }
        }
    }
}

/// `smlal` by element: a weight row of 16 columns, widened once, times one 16-bit activation of each row.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[target_feature(enable = "neon")]
unsafe fn tile_neon<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<i32>) {
    /// One value along K: lane `$lane` of each row's eight activations.
    macro_rules! step {
        ($acc:ident, $a:ident, $weights:ident: $($lane:literal)*) => {
            $({
                let w = vld1q_s8($weights.add($lane * 16));
                let low = vmovl_s8(vget_low_s8(w));
                let high = vmovl_high_s8(w);
                for i in 0..R {
                    $acc[i][0] = vmlal_laneq_s16::<$lane>($acc[i][0], vget_low_s16(low), $a[i]);
                    $acc[i][1] = vmlal_high_laneq_s16::<$lane>($acc[i][1], low, $a[i]);
                    $acc[i][2] = vmlal_laneq_s16::<$lane>($acc[i][2], vget_low_s16(high), $a[i]);
                    $acc[i][3] = vmlal_high_laneq_s16::<$lane>($acc[i][3], high, $a[i]);
                }
            })*
        };
    }
    // SAFETY: the caller's promise covers every value of every segment; eight activations are read only where eight are left.
    unsafe {
        let mut acc = [[[vdupq_n_s32(0); 4]; R]; P];
        let mut weights = strip.weights.cast::<i8>();
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 2);
            let mut k = 0;
            while k + 8 <= strip.groups {
                let mut a = [vdupq_n_s16(0); R];
                for i in 0..R {
                    a[i] = vreinterpretq_s16_u8(vld1q_u8(at[i].add(k * 2)));
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    step!(acc, a, from: 0 1 2 3 4 5 6 7);
                }
                weights = weights.add(8 * 16);
                k += 8;
            }
            while k < strip.groups {
                let mut a = [vdupq_n_s16(0); R];
                for i in 0..R {
                    a[i] = vdupq_n_s16(at[i].add(k * 2).cast::<i16>().read_unaligned());
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    step!(acc, a, from: 0);
                }
                weights = weights.add(16);
                k += 1;
            }
        }
        store(acc.as_flattened(), sums);
    }
}

/// `sdot` by element: four values along K of 16 columns times the same four of each row.
///
/// # Safety
/// `R` rows of `strip` and `P` panels must be readable to their ends.
#[target_feature(enable = "neon,dotprod")]
unsafe fn tile_dotprod<const R: usize, const P: usize>(strip: &Strip<'_>, sums: &mut Tile<i32>) {
    /// One group: lane `$lane` of each row's sixteen activations.
    macro_rules! step {
        ($acc:ident, $a:ident, $weights:ident: $($lane:literal)*) => {
            $(for j in 0..4 {
                let w = vld1q_s8($weights.add($lane * 64 + j * 16));
                for i in 0..R {
                    asm!(
                        concat!("sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[", $lane, "]"),
                        inout(vreg) $acc[i][j], in(vreg) w, in(vreg) $a[i],
                        options(pure, nomem, nostack, preserves_flags)
                    );
                }
            })*
        };
    }
    // SAFETY: the caller's promise covers every group of every segment; sixteen activations are read only where sixteen are
    // left. The assembly touches registers only.
    unsafe {
        let mut acc = [[[vdupq_n_s32(0); 4]; R]; P];
        let mut weights = strip.weights.cast::<i8>();
        for &segment in strip.segments {
            let at = strip.segment::<R>(segment, 1);
            let mut group = 0;
            while group + 4 <= strip.groups {
                let mut a = [vdupq_n_s8(0); R];
                for i in 0..R {
                    a[i] = vld1q_s8(at[i].add(group * 4).cast());
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    step!(acc, a, from: 0 1 2 3);
                }
                weights = weights.add(4 * 64);
                group += 4;
            }
            while group < strip.groups {
                let mut a = [vdupq_n_s8(0); R];
                for i in 0..R {
                    let four = at[i].add(group * 4).cast::<i32>().read_unaligned();
                    a[i] = vreinterpretq_s8_s32(vdupq_n_s32(four));
                }
                for (p, acc) in acc.iter_mut().enumerate() {
                    let from = weights.add(p * strip.panel_bytes);
                    step!(acc, a, from: 0);
                }
                weights = weights.add(64);
                group += 1;
            }
        }
        store(acc.as_flattened(), sums);
    }
}

/// `smmla`: eight values along K of two rows times the same eight of two columns, 2 x 2 sums a register.
///
/// # Safety
/// `count` rows of `strip` and the panel must be readable to their ends; `P` pairs of rows hold them.
#[target_feature(enable = "neon,i8mm")]
unsafe fn tile_i8mm<const P: usize>(strip: &Strip<'_>, count: usize, sums: &mut Tile<i32>) {
    // SAFETY: the caller's promise covers every group of every segment: 8 bytes of a row, 128 of the panel. The assembly touches
    // registers only.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); 8]; P];
        let mut weights = strip.weights.cast::<i8>();
        let row = |index: usize| strip.rows[index.min(count - 1)];
        for &segment in strip.segments {
            let mut at = [[strip.weights.cast::<i8>(); 2]; P];
            for (pair, at) in at.iter_mut().enumerate() {
                *at = [row(pair * 2), row(pair * 2 + 1)]
                    .map(|start| start.add(segment as usize).cast::<i8>());
            }
            for group in 0..strip.groups {
                let mut a = [vdupq_n_s8(0); P];
                for (a, at) in a.iter_mut().zip(&at) {
                    *a = vcombine_s8(vld1_s8(at[0].add(group * 8)), vld1_s8(at[1].add(group * 8)));
                }
                for j in 0..8 {
                    let w = vld1q_s8(weights.add(j * 16));
                    for i in 0..P {
                        asm!(
                            "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
                            inout(vreg) acc[i][j], in(vreg) a[i], in(vreg) w,
                            options(pure, nomem, nostack, preserves_flags)
                        );
                    }
                }
                weights = weights.add(128);
            }
        }
        for (pair, acc) in acc.iter().enumerate() {
            for (j, &four) in acc.iter().enumerate() {
                // Row 0 columns 0 and 1, then row 1.
                let mut lanes = [0; 4];
                vst1q_s32(lanes.as_mut_ptr(), four);
                sums[pair * 2][j * 2..j * 2 + 2].copy_from_slice(&lanes[..2]);
                sums[pair * 2 + 1][j * 2..j * 2 + 2].copy_from_slice(&lanes[2..]);
            }
        }
    }
}

#[target_feature(enable = "neon")]
fn store(acc: &[[int32x4_t; 4]], sums: &mut Tile<i32>) {
    for (acc, sum) in acc.iter().zip(sums) {
        for (&four, out) in acc.iter().zip(sum.as_chunks_mut::<4>().0) {
            // SAFETY: a chunk is four sums long.
            unsafe { vst1q_s32(out.as_mut_ptr(), four) }
        }
    }
}
