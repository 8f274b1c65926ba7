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
        let rank = |percent| nearest_rank(samples_us, percent).unwrap_or(0);
        Self {
            p50: rank(50),
            p95: rank(95),
            p99: rank(99),
            max: rank(100),
            n: samples_us.len() as u64,
        }
    }
}

/// The least sample that `percent` of all do not exceed; `None` of nothing.
pub fn nearest_rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
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
