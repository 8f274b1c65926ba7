//! Which range of an activation 256 steps are spread over.

/// Steps of a uint8.
const STEPS: f64 = 255.0;
/// Candidates that the searching methods try, from the whole range down to a part of it.
const CANDIDATES: usize = 48;
const SMALLEST_PART: f64 = 0.3;

/// How the range is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// From the smallest to the largest value seen.
    MinMax,
    /// Leaves this fraction of the values out, half of it at each end; 0.0001 is customary.
    Percentile(f64),
    /// The smallest expected squared error of rounding and clipping together.
    Mse,
    /// The smallest Kullback-Leibler divergence between the values before and after (Migacz, "8-bit inference with
    /// TensorRT", 2017), here for ranges that need not be symmetric.
    Entropy,
}

/// Counts of values between two ends, in bins of equal width.
#[derive(Debug, Clone)]
pub struct Histogram {
    min: f32,
    max: f32,
    counts: Vec<u64>,
}

impl Histogram {
    /// Bins between `min` and `max`; zero is always within.
    #[must_use]
    pub fn new(min: f32, max: f32) -> Self {
        Self {
            min: min.min(0.0),
            max: max.max(0.0),
            counts: vec![0; 2048],
        }
    }

    /// Counts a value. What lies outside counts as the nearest end.
    pub fn add(&mut self, value: f32) {
        let width = self.max - self.min;
        if width > 0.0 {
            let bin = ((value - self.min) / width * self.counts.len() as f32) as usize;
            let last = self.counts.len() - 1;
            self.counts[bin.min(last)] += 1;
        }
    }

    fn width(&self) -> f64 {
        f64::from(self.max - self.min) / self.counts.len() as f64
    }

    fn centre(&self, bin: usize) -> f64 {
        f64::from(self.min) + (bin as f64 + 0.5) * self.width()
    }

    /// The range by a method; it holds zero and is never empty.
    #[must_use]
    pub fn range(&self, method: Method) -> (f32, f32) {
        let total: u64 = self.counts.iter().sum();
        if total == 0 || self.max <= self.min {
            return (self.min, self.max);
        }
        match method {
            Method::MinMax => (self.min, self.max),
            Method::Percentile(left_out) => self.percentile(left_out, total),
            Method::Mse => self.search(|low, high| self.squared_error(low, high)),
            Method::Entropy => self.search(|low, high| self.divergence(low, high)),
        }
    }

    fn percentile(&self, left_out: f64, total: u64) -> (f32, f32) {
        let end = left_out / 2.0 * total as f64;
        let low = self.reach(0..self.counts.len(), end);
        let high = self.reach((0..self.counts.len()).rev(), end);
        let low = f64::from(self.min) + low as f64 * self.width();
        let high = f64::from(self.min) + (high + 1) as f64 * self.width();
        ((low as f32).min(0.0), (high as f32).max(0.0))
    }

    /// The first of `bins` up to which more than `count` values lie.
    fn reach(&self, mut bins: impl Iterator<Item = usize>, count: f64) -> usize {
        let mut seen = 0.0;
        bins.find(|&bin| {
            seen += self.counts[bin] as f64;
            seen > count
        })
        .unwrap_or(0)
    }

    /// Both ends drawn in by the same part, the best part.
    fn search(&self, cost: impl Fn(f64, f64) -> f64) -> (f32, f32) {
        let (min, max) = (f64::from(self.min), f64::from(self.max));
        let part = |i: usize| 1.0 - (1.0 - SMALLEST_PART) * i as f64 / (CANDIDATES - 1) as f64;
        let best = (0..CANDIDATES)
            .map(part)
            .map(|part| (cost(min * part, max * part), part))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(1.0, |(_, part)| part);
        ((min * best) as f32, (max * best) as f32)
    }

    fn squared_error(&self, low: f64, high: f64) -> f64 {
        let step = (high - low) / STEPS;
        let bins = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        bins.map(|(bin, &count)| {
            let x = self.centre(bin);
            let clipped = x - x.clamp(low, high);
            count as f64
                * (clipped * clipped
                    + if clipped == 0.0 {
                        step * step / 12.0
                    } else {
                        0.0
                    })
        })
        .sum()
    }

    /// Without the bin of zero: after a `Relu` half of all values lie there, and none of them is lost by clipping.
    fn divergence(&self, low: f64, high: f64) -> f64 {
        let bin_of = |x: f64| {
            (((x - f64::from(self.min)) / self.width()) as usize).min(self.counts.len() - 1)
        };
        let (first, last) = (
            bin_of(low),
            bin_of(high - self.width() * 0.5).max(bin_of(low)),
        );
        // Before: what lies outside is piled up at the ends.
        let mut before: Vec<f64> = self.counts[first..=last]
            .iter()
            .map(|&c| c as f64)
            .collect();
        before[bin_of(0.0).clamp(first, last) - first] = 0.0;
        let inside = before.clone();
        let ends = before.len() - 1;
        before[0] += self.counts[..first].iter().sum::<u64>() as f64;
        before[ends] += self.counts[last + 1..].iter().sum::<u64>() as f64;
        // After: the bins of one step share what the step holds.
        let mut after = vec![0.0; inside.len()];
        let per_step = (inside.len() as f64 / (STEPS + 1.0)).max(1.0);
        let mut start = 0;
        while start < inside.len() {
            let step = (start as f64 / per_step).floor() + 1.0;
            let end = ((step * per_step).round() as usize).clamp(start + 1, inside.len());
            let held: f64 = inside[start..end].iter().sum();
            let full = before[start..end]
                .iter()
                .filter(|c| **c > 0.0)
                .count()
                .max(1) as f64;
            for bin in start..end {
                if before[bin] > 0.0 {
                    after[bin] = held / full;
                }
            }
            start = end;
        }
        let (total_before, total_after): (f64, f64) = (before.iter().sum(), after.iter().sum());
        if total_after == 0.0 {
            return f64::INFINITY;
        }
        let pairs = before
            .iter()
            .zip(&after)
            .filter(|(before, _)| **before > 0.0);
        pairs
            .map(|(before, after)| {
                let p = before / total_before;
                p * (p / (after / total_after).max(1e-9)).ln()
            })
            .sum()
    }
}

/// Scale and zero point of a uint8 for a range that holds zero: `real = (q - zero) * scale`, and zero is exact.
#[must_use]
pub fn affine(low: f32, high: f32) -> (f32, u8) {
    let scale = (high - low) / STEPS as f32;
    if scale < f32::MIN_POSITIVE {
        // Always zero: any scale will do.
        return (1.0, 0);
    }
    let zero = (-low / scale).round_ties_even().clamp(0.0, STEPS as f32);
    (scale, zero as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell_with_outlier() -> Histogram {
        let mut histogram = Histogram::new(-1.0, 100.0);
        for i in 0..100_000 {
            histogram.add((i % 1000) as f32 / 1000.0);
        }
        histogram.add(100.0);
        histogram
    }

    #[test]
    fn an_outlier_is_left_out_by_percentile() {
        let histogram = bell_with_outlier();
        assert_eq!(histogram.range(Method::MinMax), (-1.0, 100.0));
        let (low, high) = histogram.range(Method::Percentile(0.001));
        assert!(high < 2.0 && high > 0.9 && low <= 0.0, "{low} to {high}");
    }

    #[test]
    fn every_range_holds_zero_and_zero_is_exact() {
        for (min, max) in [
            (3.0, 9.0),
            (-9.0, -3.0),
            (-1.0, 2.0),
            (0.0, 0.0),
            (0.0, 5.0),
        ] {
            let mut histogram = Histogram::new(min, max);
            for i in 0..100 {
                histogram.add(min + (max - min) * i as f32 / 99.0);
            }
            for method in [
                Method::MinMax,
                Method::Percentile(0.01),
                Method::Mse,
                Method::Entropy,
            ] {
                let (low, high) = histogram.range(method);
                assert!(low <= 0.0 && high >= 0.0, "{method:?}: {low} to {high}");
                let (scale, zero) = affine(low, high);
                assert!(scale > 0.0);
                let back = (low / scale).round() + f32::from(zero);
                assert!(back.abs() <= 0.5 + 1e-3, "{low} to {high}: {back}");
            }
        }
    }

    #[test]
    fn mse_clips_a_thin_tail_that_costs_less_than_it_saves() {
        let mut histogram = Histogram::new(0.0, 10.0);
        for i in 0..200_000 {
            histogram.add((i % 1000) as f32 / 1000.0);
        }
        for i in 0..20 {
            histogram.add(4.0 + 0.01 * i as f32);
        }
        let (_, high) = histogram.range(Method::Mse);
        assert!((4.0..6.0).contains(&high), "{high}");
    }

    #[test]
    fn mse_keeps_an_even_spread_whole() {
        let mut histogram = Histogram::new(-1.0, 1.0);
        for i in 0..10_000 {
            histogram.add(i as f32 / 5000.0 - 1.0);
        }
        let (low, high) = histogram.range(Method::Mse);
        assert!(low < -0.95 && high > 0.95, "{low} to {high}");
    }
}
