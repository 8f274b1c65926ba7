//! The reference kernel.

use std::ops::Range;

use crate::PANEL;
use crate::epilogue::Tile;
use crate::product::{Job, Strip, tiles};

/// # Safety
/// As for `product::block`.
pub(crate) unsafe fn scalar(job: &Job<'_>, rows: Range<usize>, panels: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        tiles(job, rows, panels, |strip, count, sums| {
            tile(strip, count, sums)
        })
    }
}

fn tile(strip: &Strip<'_>, count: usize, sums: &mut Tile) {
    for (row, sum) in strip.rows.iter().zip(sums).take(count) {
        *sum = [0; PANEL];
        let mut weights = strip.weights;
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
