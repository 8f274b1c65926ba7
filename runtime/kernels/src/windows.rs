//! The largest value of windows that move over a channels-last picture.

use crate::elementwise::larger;
use crate::{Isa, Pool, compiled_for};

/// Sizes of a picture and of the windows over it; pairs are height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Values of a place.
    pub channels: usize,
    /// Of the picture.
    pub input: [usize; 2],
    /// Places of a window.
    pub kernel: [usize; 2],
    /// From one window to the next.
    pub strides: [usize; 2],
    /// From one place of a window to the next.
    pub dilations: [usize; 2],
    /// Places of the first window before the picture.
    pub pad_before: [usize; 2],
    /// Number of windows.
    pub output: [usize; 2],
}

impl Windows {
    /// Values of the picture.
    #[must_use]
    pub fn input_values(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values of the result.
    #[must_use]
    pub fn output_values(&self) -> usize {
        self.output[0] * self.output[1] * self.channels
    }

    /// Whether each window has a place in the picture.
    #[must_use]
    pub fn have_values(&self) -> bool {
        (0..2).all(|axis| (0..self.output[axis]).all(|at| self.places(axis, at).next().is_some()))
    }

    /// Places of the picture along an axis that a window covers.
    #[inline(always)]
    fn places(&self, axis: usize, window: usize) -> impl Iterator<Item = usize> {
        let (first, step) = (window * self.strides[axis], self.dilations[axis]);
        let (before, size) = (self.pad_before[axis], self.input[axis]);
        (0..self.kernel[axis])
            .map(move |at| first + at * step)
            .filter(move |&at| at >= before && at - before < size)
            .map(move |at| at - before)
    }
}

/// The largest value of each window, or its NaN; minus infinity where all of it lies outside the picture.
///
/// # Panics
/// When the lengths differ from those of the windows.
pub fn max_pool(isa: Isa, windows: &Windows, x: &[f32], out: &mut [f32], pool: &Pool) {
    assert_eq!(x.len(), windows.input_values(), "input");
    assert_eq!(out.len(), windows.output_values(), "output");
    let mut output = crate::Output::Float(out);
    let output = output.raw();
    let line = windows.output[1] * windows.channels;
    pool.run(windows.output[0], &|y| {
        // SAFETY: the output has a line for each number, and no two pieces have one in common.
        let part = unsafe { output.part(y * line..(y + 1) * line) };
        if let crate::Output::Float(line) = part {
            line_for(isa, windows, x, y, line);
        }
    });
}

compiled_for! {
    fn line_for(windows: &Windows, x: &[f32], y: usize, line: &mut [f32]) = largest_of_line
}

#[inline(always)]
fn largest_of_line(windows: &Windows, x: &[f32], y: usize, line: &mut [f32]) {
    let (width, channels) = (windows.input[1], windows.channels);
    for (window, out) in line.chunks_exact_mut(channels.max(1)).enumerate() {
        out.fill(f32::NEG_INFINITY);
        for row in windows.places(0, y) {
            for column in windows.places(1, window) {
                let values = &x[(row * width + column) * channels..][..channels];
                for (out, &value) in out.iter_mut().zip(values) {
                    *out = larger(*out, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_takes_the_largest_value_or_the_nan() {
        let windows = Windows {
            channels: 19,
            input: [5, 7],
            kernel: [3, 2],
            strides: [2, 1],
            dilations: [1, 2],
            pad_before: [1, 1],
            output: [3, 7],
        };
        assert!(windows.have_values());
        let mut x: Vec<f32> = (0..windows.input_values())
            .map(|i| (i * 7919 % 2003) as f32 / 128.0 - 20.0)
            .collect();
        x[200] = f32::NAN;
        x[300] = f32::INFINITY;
        let wanted: Vec<f32> = (0..windows.output_values())
            .map(|index| {
                let (place, channel) = (index / 19, index % 19);
                let mut largest = f32::NEG_INFINITY;
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)] {
                    let (row, column) = (place / 7 * 2 + i, place % 7 + j * 2);
                    if (1..6).contains(&row) && (1..8).contains(&column) {
                        let value = x[((row - 1) * 7 + column - 1) * 19 + channel];
                        let other = largest > value || largest.is_nan();
                        largest = if other { largest } else { value };
                    }
                }
                largest
            })
            .collect();
        assert!(wanted.iter().any(|value| value.is_nan()));
        let pools = [1, 2].map(|threads| Pool::new(threads, |_| {}));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            for pool in &pools {
                let mut out = vec![0.0; wanted.len()];
                max_pool(isa, &windows, &x, &mut out, pool);
                let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
                assert!(out.iter().zip(&wanted).all(same), "{}", isa.name());
            }
        }
    }

    #[test]
    fn windows_beside_the_picture_are_noticed() {
        let windows = Windows {
            channels: 1,
            input: [1, 2],
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            pad_before: [0, 1],
            output: [1, 4],
        };
        assert!(!windows.have_values());
    }
}
