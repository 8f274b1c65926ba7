//! How times spread.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::nearest_rank;

/// The usual figures of a latency, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The shortest.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90 of 100 were at most this long.
    pub p90: f64,
    /// 99 of 100 were at most this long.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// How many were measured.
    pub n: u64,
}

impl Spread {
    /// Nearest-rank percentiles; `None` where nothing was measured.
    pub fn of(times: &[Duration]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let rank = |percent| {
            let time = nearest_rank(&sorted, percent)?;
            Some(time.as_nanos() as f64 / 1e3)
        };
        Some(Self {
            min: sorted.first()?.as_nanos() as f64 / 1e3,
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: rank(100)?,
            n: sorted.len() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_sorted_times() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_micros).collect();
        let expected = Spread {
            min: 1.0,
            p50: 100.0,
            p90: 180.0,
            p99: 198.0,
            max: 200.0,
            n: 200,
        };
        assert_eq!(Spread::of(&times), Some(expected));
        assert_eq!(Spread::of(&[]), None);
    }
}
