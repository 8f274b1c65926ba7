//! Resizing an image of three interleaved channels, first along the rows, then along the columns.

use super::super::manifest::{Fit, Horizontal, Pad, Resize, Scale, Vertical};
use super::taps::{Axis, FIXED_BITS, Taps};

/// A part of an image in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// A channel of a pixel: a byte, or a float on the scale of 0 to 255.
pub(super) trait Channel: Copy {
    fn float(self) -> f32;
    fn byte(self) -> i32;
}

impl Channel for u8 {
    fn float(self) -> f32 {
        f32::from(self)
    }

    fn byte(self) -> i32 {
        i32::from(self)
    }
}

impl Channel for f32 {
    fn float(self) -> f32 {
        self
    }

    fn byte(self) -> i32 {
        self as i32
    }
}

/// How the weighted sums are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    None,
    /// Once, at the end, half to even: torchvision.
    Once,
    /// After the rows and after the columns, in fixed point: PIL.
    EachPass,
}

/// A resize for one size of image. Its result is kept as floats on the scale of 0 to 255.
#[derive(Debug, Clone)]
pub(super) struct Resampler {
    /// The part of the source that is resized.
    window: Window,
    columns: Taps,
    rows: Taps,
    rounding: Rounding,
    /// Size of the result.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Where the resized image lies in the result.
    left: usize,
    top: usize,
    passes: Passes,
    pub(super) pixels: Vec<f32>,
}

/// The numbers between the two passes.
#[derive(Debug, Clone)]
enum Passes {
    Floats(Floats),
    Fixed(Fixed),
}

/// As torch computes.
#[derive(Debug, Clone)]
struct Floats {
    /// A row of the source, and one value more so that pixels can be read four values at a time.
    row: Vec<f32>,
    /// Source rows at the target width.
    squeezed: Vec<f32>,
}

/// As PIL computes.
#[derive(Debug, Clone)]
struct Fixed {
    /// As of [`Floats`].
    row: Vec<i32>,
    squeezed: Vec<i32>,
    /// Sums of a row of the result.
    sums: Vec<i32>,
}

/// A side of the image in pixels of the source and of the result.
struct Side {
    axis: Axis,
    offset: usize,
}

impl Resampler {
    /// `None` where the result has the very pixels of a window of the source, which is then given back.
    pub(super) fn new(spec: &Resize, window: Window) -> Result<Self, Window> {
        let part = spec.part.map_or([0.0, 0.0, 1.0, 1.0], |part| {
            [part.left, part.top, part.width, part.height]
        });
        let (width, height) = (window.width as f64, window.height as f64);
        let start = [width * part[0], height * part[1]];
        let length = [width * part[2], height * part[3]];
        let target = [spec.width as usize, spec.height as usize];
        if let Some(window) = copied(window, start, length, target) {
            return Err(window);
        }
        let factors = [
            length[0] / f64::from(spec.width),
            length[1] / f64::from(spec.height),
        ];
        let factor = match spec.fit {
            Fit::Stretch => None,
            Fit::Pad => Some(factors[0].max(factors[1])),
            Fit::Cover => Some(factors[0].min(factors[1])),
        };
        let side = |axis: usize, source: usize, before: Option<bool>| {
            let inner = match factor {
                None => target[axis],
                Some(factor) => ((length[axis] / factor) as usize).max(1),
            };
            // A side that divides the factor exactly may miss its target by a rounding error.
            let inner = if spec.fit == Fit::Cover {
                inner.max(target[axis])
            } else {
                inner.min(target[axis])
            };
            let rest = target[axis] - inner.min(target[axis]);
            let offset = match before {
                Some(true) => rest,
                Some(false) => 0,
                None => rest / 2,
            };
            let axis = Axis {
                source,
                start: start[axis],
                length: length[axis],
                inner,
                first: middle(inner, target[axis]),
                count: inner.min(target[axis]),
            };
            Side { axis, offset }
        };
        let (horizontal, vertical) = filled(spec.pad.as_ref());
        let columns = side(0, window.width, horizontal);
        let rows = side(1, window.height, vertical);
        let rounding = match (spec.on, spec.antialias) {
            (Scale::Floats, _) => Rounding::None,
            // The nearest pixel needs no rounding.
            (Scale::Rounded, _) | (Scale::Bytes, false) => Rounding::Once,
            (Scale::Bytes, true) => Rounding::EachPass,
        };
        let taps = |axis: &Axis| {
            let fixed = rounding == Rounding::EachPass;
            Taps::new(axis, spec.filter, spec.antialias, fixed)
        };
        let fill = spec.pad.map_or(0.0, |pad| match spec.on {
            Scale::Bytes | Scale::Rounded => (pad.value * 255.0).round_ties_even(),
            Scale::Floats => pad.value * 255.0,
        });
        Ok(Self {
            window,
            columns: taps(&columns.axis),
            rows: taps(&rows.axis),
            rounding,
            width: target[0],
            height: target[1],
            left: columns.offset,
            top: rows.offset,
            passes: if rounding == Rounding::EachPass {
                Passes::Fixed(Fixed {
                    row: vec![0; window.width * 3 + 1],
                    squeezed: vec![0; window.height * columns.axis.count * 3],
                    sums: vec![0; columns.axis.count * 3],
                })
            } else {
                Passes::Floats(Floats {
                    row: vec![0.0; window.width * 3 + 1],
                    squeezed: vec![0.0; window.height * columns.axis.count * 3],
                })
            },
            pixels: vec![fill; target[0] * target[1] * 3],
        })
    }

    /// Resizes the image of `stride` pixels a row.
    pub(super) fn run<T: Channel>(&mut self, source: &[T], stride: usize) {
        let Self {
            window,
            columns,
            rows,
            passes,
            ..
        } = self;
        let used = rows.used();
        let lines = source
            .chunks_exact(stride * 3)
            .skip(window.top)
            .take(window.height)
            .map(|line| &line[window.left * 3..][..window.width * 3]);
        let lines = lines.enumerate().take(used.end).skip(used.start);
        let width = columns.len() * 3;
        match passes {
            Passes::Floats(Floats { row, squeezed }) => {
                for (y, line) in lines {
                    for (to, from) in row.iter_mut().zip(line) {
                        *to = from.float();
                    }
                    squeeze(columns, row, &mut squeezed[y * width..][..width]);
                }
            }
            Passes::Fixed(Fixed { row, squeezed, .. }) => {
                for (y, line) in lines {
                    for (to, from) in row.iter_mut().zip(line) {
                        *to = from.byte();
                    }
                    squeeze_fixed(columns, row, &mut squeezed[y * width..][..width]);
                }
            }
        }
        let inner = self.pixels[self.top * self.width * 3..].chunks_exact_mut(self.width * 3);
        for (y, line) in inner.take(rows.len()).enumerate() {
            let line = &mut line[self.left * 3..][..width];
            match passes {
                Passes::Fixed(Fixed { squeezed, sums, .. }) => {
                    stack_fixed(rows, y, squeezed, sums);
                    for (value, &sum) in line.iter_mut().zip(&*sums) {
                        *value = byte(sum) as f32;
                    }
                }
                Passes::Floats(Floats { squeezed, .. }) => {
                    stack(rows, y, squeezed, line);
                    if self.rounding == Rounding::Once {
                        for value in line {
                            *value = value.round_ties_even().clamp(0.0, 255.0);
                        }
                    }
                }
            }
        }
    }
}

/// The filled sides: whether it is the first one of an axis, or both.
fn filled(pad: Option<&Pad>) -> (Option<bool>, Option<bool>) {
    let Some(pad) = pad else {
        return (Some(false), Some(false));
    };
    let horizontal = match pad.horizontal {
        Horizontal::Left => Some(true),
        Horizontal::Right => Some(false),
        Horizontal::Both => None,
    };
    let vertical = match pad.vertical {
        Vertical::Top => Some(true),
        Vertical::Bottom => Some(false),
        Vertical::Both => None,
    };
    (horizontal, vertical)
}

/// Where the middle `target` of `inner` pixels begins; half a pixel goes to the even side, as torchvision rounds.
pub(super) fn middle(inner: usize, target: usize) -> usize {
    let half = inner.saturating_sub(target) as f64 / 2.0;
    half.round_ties_even() as usize
}

/// The window of the source whose pixels are those of the result one to one. A part this close to whole pixels means them:
/// fractions such as 1/7 are not exact.
fn copied(window: Window, start: [f64; 2], length: [f64; 2], target: [usize; 2]) -> Option<Window> {
    const WHOLE_PIXEL: f64 = 1e-6;
    let first = |axis: usize, source: usize| {
        let whole = (start[axis] - start[axis].round()).abs() < WHOLE_PIXEL
            && (length[axis] - target[axis] as f64).abs() < WHOLE_PIXEL;
        let first = start[axis].round() as usize;
        (whole && first + target[axis] <= source).then_some(first)
    };
    let left = first(0, window.width)?;
    let top = first(1, window.height)?;
    Some(Window {
        left: window.left + left,
        top: window.top + top,
        width: target[0],
        height: target[1],
    })
}

/// Sums of each channel in the order of the weights, whatever the processor: four values at a time, of which the fourth is the next
/// pixel's and is dropped.
fn squeeze(columns: &Taps, row: &[f32], target: &mut [f32]) {
    for (x, pixel) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = columns.at(x);
        let mut sums = [0.0_f32; 4];
        for (weight, values) in weights.iter().zip(row[start * 3..].windows(4).step_by(3)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        pixel.copy_from_slice(&sums[..3]);
    }
}

fn stack(rows: &Taps, y: usize, squeezed: &[f32], line: &mut [f32]) {
    let (start, weights) = rows.at(y);
    let stride = line.len();
    line.fill(0.0);
    let sources = squeezed[start * stride..].chunks_exact(stride);
    for (weight, source) in weights.iter().zip(sources) {
        for (total, value) in line.iter_mut().zip(source) {
            *total += weight * value;
        }
    }
}

/// Half of the last bit that is kept, so that cutting rounds.
const HALF: i32 = 1 << (FIXED_BITS - 1);

fn squeeze_fixed(columns: &Taps, row: &[i32], target: &mut [i32]) {
    for (x, pixel) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = columns.fixed(x);
        let mut sums = [HALF; 4];
        for (weight, values) in weights.iter().zip(row[start * 3..].windows(4).step_by(3)) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        let [red, green, blue, _] = sums.map(byte);
        *pixel = [red, green, blue];
    }
}

fn stack_fixed(rows: &Taps, y: usize, squeezed: &[i32], sums: &mut [i32]) {
    let (start, weights) = rows.fixed(y);
    let stride = sums.len();
    sums.fill(HALF);
    let sources = squeezed[start * stride..].chunks_exact(stride);
    for (weight, source) in weights.iter().zip(sources) {
        for (sum, value) in sums.iter_mut().zip(source) {
            *sum += weight * value;
        }
    }
}

fn byte(sum: i32) -> i32 {
    (sum >> FIXED_BITS).clamp(0, 255)
}
