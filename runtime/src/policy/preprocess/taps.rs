//! Weights of a one-dimensional filter: which source pixels make a target pixel.

use super::super::manifest::Filter;

/// Bits behind the point of PIL's weights for bytes.
pub(super) const FIXED_BITS: u32 = 22;
/// Sharpness of the cubic filter in PIL, and in torch where it antialiases.
const CUBIC_WIDENED: f64 = -0.5;
/// Sharpness of the cubic filter in torch where it does not.
const CUBIC: f64 = -0.75;

/// One axis of a resize: `length` pixels from `start` of `source` pixels become `inner` pixels, of which those from
/// `first` on are kept, `count` of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) source: usize,
    pub(super) start: f64,
    pub(super) length: f64,
    pub(super) inner: usize,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Axis {
    fn scale(&self) -> f64 {
        self.length / self.inner as f64
    }

    /// The middle of a target pixel on the source's scale, on which pixel i lies at i.
    fn centre(&self, index: usize) -> f64 {
        self.start + (index as f64 + 0.5) * self.scale() - 0.5
    }

    fn last(&self) -> f64 {
        self.source.saturating_sub(1) as f64
    }
}

/// For each target pixel of one axis: the first source pixel and the weights from there on, which sum to 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Taps {
    ranges: Vec<(usize, usize, usize)>,
    weights: Vec<f32>,
    /// The same weights for PIL's arithmetic on bytes; empty unless wanted.
    fixed: Vec<i32>,
    wants_fixed: bool,
}

impl Taps {
    /// `widen`: whether the filter widens where the image shrinks. `fixed`: whether [`Taps::fixed`] is wanted.
    pub(super) fn new(axis: &Axis, filter: Filter, widen: bool, fixed: bool) -> Self {
        let mut taps = Self {
            wants_fixed: fixed,
            ..Self::default()
        };
        for index in axis.first..axis.first + axis.count {
            match filter {
                Filter::Nearest => taps.nearest(axis, index as f32),
                Filter::NearestExact => taps.nearest(axis, index as f32 + 0.5),
                Filter::Bilinear => {
                    let triangle = |distance: f64| (1.0 - distance.abs()).max(0.0);
                    taps.window(
                        axis,
                        index,
                        if widen { axis.scale() } else { 1.0 },
                        1.0,
                        triangle,
                    );
                }
                Filter::Bicubic if widen => {
                    let filter = |distance| cubic(distance, CUBIC_WIDENED);
                    taps.window(axis, index, axis.scale(), 2.0, filter);
                }
                Filter::Bicubic => taps.cubic(axis, index),
            }
        }
        taps
    }

    pub(super) fn at(&self, index: usize) -> (usize, &[f32]) {
        let (start, from, to) = self.ranges[index];
        (start, &self.weights[from..to])
    }

    pub(super) fn fixed(&self, index: usize) -> (usize, &[i32]) {
        let (start, from, to) = self.ranges[index];
        (start, &self.fixed[from..to])
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The source pixels that any target pixel takes.
    pub(super) fn used(&self) -> std::ops::Range<usize> {
        let starts = self.ranges.iter().map(|range| range.0);
        let ends = self
            .ranges
            .iter()
            .map(|&(start, from, to)| start + to - from);
        starts.min().unwrap_or(0)..ends.max().unwrap_or(0)
    }

    /// In single precision, as torch computes the position.
    fn nearest(&mut self, axis: &Axis, position: f32) {
        let scale = axis.length as f32 / axis.inner as f32;
        let source = f64::from((position * scale).floor()) + axis.start.floor();
        self.push(source.clamp(0.0, axis.last()) as usize, &[1.0]);
    }

    /// A filter that reaches `support` pixels to both sides, widened by `widening` where that is above 1. Past the edge of the
    /// source nothing counts: the other weights are scaled to a sum of 1.
    fn window(
        &mut self,
        axis: &Axis,
        index: usize,
        widening: f64,
        support: f64,
        filter: impl Fn(f64) -> f64,
    ) {
        let widening = widening.max(1.0);
        let reach = support * widening;
        let centre = axis.centre(index);
        let from = (centre - reach).ceil().clamp(0.0, axis.last()) as usize;
        let to = (centre + reach).floor().clamp(0.0, axis.last()) as usize;
        let offset = self.weights.len();
        let mut sum = 0.0;
        let weight = |position: usize| {
            if from == to {
                1.0
            } else {
                filter((position as f64 - centre) / widening)
            }
        };
        for position in from..=to {
            let weight = weight(position);
            sum += weight;
            self.weights.push(weight as f32);
        }
        for weight in &mut self.weights[offset..] {
            *weight /= sum as f32;
        }
        if self.wants_fixed {
            let one = f64::from(1 << FIXED_BITS);
            let fixed = (from..=to).map(|position| (weight(position) / sum * one).round() as i32);
            self.fixed.extend(fixed);
        }
        self.ranges.push((from, offset, self.weights.len()));
    }

    /// Four pixels; past the edge the outermost pixel is repeated, as torch does without antialiasing.
    fn cubic(&mut self, axis: &Axis, index: usize) {
        let centre = axis.centre(index);
        let floor = centre.floor();
        let clamped = |position: f64| position.clamp(0.0, axis.last()) as usize;
        let from = clamped(floor - 1.0);
        let mut weights = [0.0; 4];
        let mut count = 0;
        for step in [-1.0, 0.0, 1.0, 2.0] {
            let position = floor + step;
            let slot = clamped(position) - from;
            weights[slot] += cubic(position - centre, CUBIC);
            count = count.max(slot + 1);
        }
        self.push(from, &weights.map(|weight| weight as f32)[..count]);
    }

    fn push(&mut self, start: usize, weights: &[f32]) {
        let offset = self.weights.len();
        self.weights.extend_from_slice(weights);
        self.ranges.push((start, offset, self.weights.len()));
    }
}

/// Keys' cubic filter.
fn cubic(distance: f64, a: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}
