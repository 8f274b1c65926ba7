//! The reference kernel.

use std::ops::Range;

use crate::PANEL;
use crate::epilogue::Tile;
use crate::lanes::Scalar;
use crate::tiles::{Job, Strip, tiles};

/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn scalar(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        tiles::<_, Scalar, 1>(job, rows, panels, |strip, count, sums| {
            tile(strip, count, sums)
        });
    }
}

/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn scalar_floats(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        tiles::<_, Scalar, 1>(job, rows, panels, |strip, count, sums| {
            float_tile(strip, count, sums)
        });
    }
}

/// # Safety
/// As for `tiles::Kernel`.
pub(crate) unsafe fn scalar_four_row(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        tiles::<_, Scalar, 1>(job, rows, panels, |strip, _, sums| {
            crate::fours::row_tile::<Scalar, 1>(strip, sums);
        });
    }
}

fn tile(strip: &Strip<'_>, count: usize, sums: &mut Tile<i32>) {
    for (row, sum) in strip.rows.iter().zip(sums).take(count) {
        *sum = [0; PANEL];
        let mut weights = strip.weights.cast::<i8>();
        for &segment in strip.segments {
            for k in 0..strip.groups {
                // SAFETY: `product` checked that every segment of every row lies in the buffer (2-byte values here), and a
                // panel holds PANEL weights for each of them.
                unsafe {
                    let at = row.add((segment as usize + k) * 2);
                    let a = i32::from(at.cast::<i16>().read_unaligned());
                    for (lane, sum) in sum.iter_mut().enumerate() {
                        *sum = sum.wrapping_add(a * i32::from(*weights.add(lane)));
                    }
                    weights = weights.add(PANEL);
                }
            }
        }
    }
}

/// # Safety
/// `count` rows of the strip and the panel must be readable to their ends.
pub(crate) unsafe fn float_tile(strip: &Strip<'_>, count: usize, sums: &mut Tile<f32>) {
    for (row, sum) in strip.rows.iter().zip(sums).take(count) {
        *sum = [0.0; PANEL];
        let mut weights = strip.weights.cast::<f32>();
        for &segment in strip.segments {
            for k in 0..strip.groups {
                // SAFETY: the caller's promise; a panel holds PANEL weights for each value of a row.
                unsafe {
                    let a = row.add((segment as usize + k) * 4);
                    let a = a.cast::<f32>().read_unaligned();
                    for (lane, sum) in sum.iter_mut().enumerate() {
                        *sum = a.mul_add(*weights.add(lane), *sum);
                    }
                    weights = weights.add(PANEL);
                }
            }
        }
    }
}
