//! Latency percentiles.

use serde::Serialize;

/// Latency percentiles in microseconds; 0 where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// How many were measured.
    pub n: u64,
}

impl Percentiles {
    /// Nearest-rank percentiles of `samples_us`, which is sorted on the way.
    pub fn of(samples_us: &mut [u64]) -> Self {
        samples_us.sort_unstable();
        let n = samples_us.len();
        let rank = |percent: usize| match n {
            0 => 0,
            _ => samples_us[(n * percent).div_ceil(100).max(1) - 1],
        };
        Self {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: rank(100),
            n: n as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(
            Percentiles::of(&mut hundred),
            Percentiles {
                p50: 50,
                p95: 95,
                p99: 99,
                max: 100,
                n: 100
            }
        );
        assert_eq!(
            Percentiles::of(&mut [7]),
            Percentiles {
                p50: 7,
                p95: 7,
                p99: 7,
                max: 7,
                n: 1
            }
        );
        assert_eq!(
            Percentiles::of(&mut []),
            Percentiles {
                p50: 0,
                p95: 0,
                p99: 0,
                max: 0,
                n: 0
            }
        );
    }
}
