//! Dataset statistics, streamed: what LeRobot normalises with (`meta/stats.json`).

use serde_json::{Value, json};

/// The quantiles LeRobot stores, with their names.
const QUANTILES: [(&str, f64); 5] = [
    ("q01", 0.01),
    ("q10", 0.10),
    ("q50", 0.50),
    ("q90", 0.90),
    ("q99", 0.99),
];
/// Rows kept for the quantiles: exact below this, from an even thinning of the rows above it.
const KEPT_ROWS: usize = 1 << 18;

/// Statistics of a vector feature, element by element.
pub struct VectorStats {
    elements: Vec<Running>,
    /// Every `stride`-th row, row-major.
    kept: Vec<f32>,
    stride: u64,
    rows: u64,
    kept_limit: usize,
}

/// Mean and variance by Welford's update, which loses no digits on long recordings.
#[derive(Clone)]
struct Running {
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
}

impl VectorStats {
    /// For rows of `dims` elements.
    pub fn new(dims: usize) -> Self {
        let element = Running {
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
        };
        Self {
            elements: vec![element; dims],
            kept: Vec::new(),
            stride: 1,
            rows: 0,
            kept_limit: KEPT_ROWS,
        }
    }

    /// Takes in one row.
    pub fn add(&mut self, row: &[f32]) {
        let dims = self.elements.len();
        if self.rows.is_multiple_of(self.stride) {
            if self.kept.len() / dims == self.kept_limit {
                let every_other: Vec<f32> = self
                    .kept
                    .chunks_exact(dims)
                    .step_by(2)
                    .flatten()
                    .copied()
                    .collect();
                self.kept = every_other;
                self.stride *= 2;
            }
            if self.rows.is_multiple_of(self.stride) {
                self.kept.extend_from_slice(row);
            }
        }
        self.rows += 1;
        for (running, &value) in self.elements.iter_mut().zip(row) {
            let value = f64::from(value);
            running.min = running.min.min(value);
            running.max = running.max.max(value);
            let from_mean = value - running.mean;
            running.mean += from_mean / self.rows as f64;
            running.squares += from_mean * (value - running.mean);
        }
    }

    /// As in `stats.json`: lists of one number per element.
    pub fn to_json(&self) -> Value {
        let each = |value: &dyn Fn(&Running) -> f64| -> Vec<f64> {
            self.elements.iter().map(value).collect()
        };
        let mut stats = json!({
            "min": each(&|running| running.min),
            "max": each(&|running| running.max),
            "mean": each(&|running| running.mean),
            "std": each(&|running| (running.squares / self.rows as f64).sqrt()),
            "count": [self.rows],
        });
        let columns: Vec<Vec<f32>> = (0..self.elements.len())
            .map(|element| self.sorted_column(element))
            .collect();
        for (name, q) in QUANTILES {
            let values: Vec<f64> = columns
                .iter()
                .map(|column| interpolate(q, column.len(), |rank| f64::from(column[rank])))
                .collect();
            stats[name] = json!(values);
        }
        stats
    }

    fn sorted_column(&self, element: usize) -> Vec<f32> {
        let mut column: Vec<f32> = self
            .kept
            .iter()
            .skip(element)
            .step_by(self.elements.len())
            .copied()
            .collect();
        column.sort_unstable_by(f32::total_cmp);
        column
    }
}

/// Per-channel histograms of 8-bit pixels, from which every statistic follows exactly.
#[derive(Clone)]
pub struct ImageStats {
    channels: [[u64; 256]; 3],
    frames: u64,
}

impl ImageStats {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            channels: [[0; 256]; 3],
            frames: 0,
        }
    }

    /// Takes in one frame, interleaved RGB.
    pub fn add(&mut self, rgb: &[u8]) {
        for pixel in rgb.as_chunks::<3>().0 {
            for (histogram, &level) in self.channels.iter_mut().zip(pixel) {
                histogram[usize::from(level)] += 1;
            }
        }
        self.frames += 1;
    }

    /// Takes in what another has seen.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self
            .channels
            .iter_mut()
            .flatten()
            .zip(other.channels.iter().flatten())
        {
            *mine += theirs;
        }
        self.frames += other.frames;
    }

    /// As in `stats.json`: shape (3, 1, 1), levels scaled to 0..1.
    pub fn to_json(&self) -> Value {
        let each = |value: &dyn Fn(&[u64; 256]) -> f64| -> Value {
            self.channels
                .iter()
                .map(|histogram| json!([[value(histogram) / 255.0]]))
                .collect()
        };
        let mut stats = json!({
            "min": each(&|histogram| level_of_rank(histogram, 0)),
            "max": each(&|histogram| level_of_rank(histogram, pixels(histogram).saturating_sub(1))),
            "mean": each(&mean),
            "std": each(&|histogram| moment(histogram, |level| (level - mean(histogram)) * (level - mean(histogram))).sqrt()),
            "count": [self.frames],
        });
        for (name, q) in QUANTILES {
            stats[name] = each(&|histogram| {
                interpolate(q, pixels(histogram) as usize, |rank| {
                    level_of_rank(histogram, rank as u64)
                })
            });
        }
        stats
    }
}

fn pixels(histogram: &[u64; 256]) -> u64 {
    histogram.iter().sum()
}

fn mean(histogram: &[u64; 256]) -> f64 {
    moment(histogram, |level| level)
}

fn moment(histogram: &[u64; 256], of: impl Fn(f64) -> f64) -> f64 {
    let sum: f64 = histogram
        .iter()
        .enumerate()
        .map(|(level, &count)| of(level as f64) * count as f64)
        .sum();
    sum / pixels(histogram).max(1) as f64
}

/// The level of the pixel that stands at `rank` when all are sorted.
fn level_of_rank(histogram: &[u64; 256], rank: u64) -> f64 {
    let mut below = 0;
    for (level, &count) in histogram.iter().enumerate() {
        below += count;
        if below > rank {
            return level as f64;
        }
    }
    255.0
}

/// The `q` quantile of `len` sorted values, between ranks as numpy's default does it.
fn interpolate(q: f64, len: usize, at: impl Fn(usize) -> f64) -> f64 {
    if len == 0 {
        return 0.0;
    }
    let position = q * (len - 1) as f64;
    let rank = position.floor() as usize;
    let low = at(rank);
    let high = at((rank + 1).min(len - 1));
    low + (high - low) * (position - rank as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: &Value, want: f64) {
        let value = value.as_f64().unwrap();
        assert!((value - want).abs() < 1e-9, "{value}, not {want}");
    }

    #[test]
    fn vectors_as_numpy_has_it() {
        let mut stats = VectorStats::new(2);
        for i in 0..=100 {
            stats.add(&[i as f32, -1.0]);
        }
        let json = stats.to_json();
        for (name, want) in [
            ("min", 0.0),
            ("max", 100.0),
            ("mean", 50.0),
            ("std", 850.0_f64.sqrt()),
            ("q01", 1.0),
            ("q10", 10.0),
            ("q50", 50.0),
            ("q90", 90.0),
            ("q99", 99.0),
        ] {
            close(&json[name][0], want);
            close(&json[name][1], if name == "std" { 0.0 } else { -1.0 });
        }
        assert_eq!(json["count"], json!([101]));
    }

    #[test]
    fn thinning_keeps_quantiles_and_bounds_memory() {
        let mut stats = VectorStats::new(1);
        stats.kept_limit = 64;
        for i in 0..10_000 {
            // A permutation of 0..10,000, so that order tells nothing.
            stats.add(&[((i * 7919) % 10_000) as f32]);
        }
        assert!(stats.kept.len() <= 64);
        let median = stats.to_json()["q50"][0].as_f64().unwrap();
        assert!((median - 5_000.0).abs() < 1_000.0, "{median}");
        close(&stats.to_json()["max"][0], 9_999.0);
    }

    #[test]
    fn images_from_their_histogram() {
        let mut first = ImageStats::new();
        first.add(&[0, 255, 51, 0, 255, 51]);
        let mut second = ImageStats::new();
        second.add(&[255, 255, 51, 255, 255, 51]);
        first.merge(&second);
        let json = first.to_json();
        assert_eq!(json["count"], json!([2]));
        for (name, red, green, blue) in [
            ("min", 0.0, 1.0, 0.2),
            ("max", 1.0, 1.0, 0.2),
            ("mean", 0.5, 1.0, 0.2),
            ("std", 0.5, 0.0, 0.0),
            ("q50", 0.5, 1.0, 0.2),
        ] {
            for (channel, want) in [red, green, blue].into_iter().enumerate() {
                close(&json[name][channel][0][0], want);
            }
        }
    }
}
