//! Two policies on the same episodes.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

use super::Difference;

/// Two policies on the same episodes, by McNemar's exact test (Psychometrika 12, 1947): among episodes on which they differ,
/// either is as likely to be the right one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Paired {
    /// Episodes that both were given.
    pub pairs: u64,
    /// The first was right, the second was not.
    pub only_first: u64,
    /// The second was right, the first was not.
    pub only_second: u64,
    /// Two-sided; 1 where they never differ.
    pub p: f64,
    /// Of the rates.
    pub difference: Difference,
}

impl Paired {
    /// Of episodes that both were given; those where either side is undefined are left out.
    pub fn of(episodes: impl Iterator<Item = (Option<bool>, Option<bool>)>) -> Self {
        let (mut pairs, mut only_first, mut only_second) = (0, 0, 0);
        for (first, second) in episodes {
            if let (Some(first), Some(second)) = (first, second) {
                pairs += 1;
                only_first += u64::from(first && !second);
                only_second += u64::from(second && !first);
            }
        }
        Self::new(pairs, only_first, only_second)
    }

    /// From the counts.
    pub fn new(pairs: u64, only_first: u64, only_second: u64) -> Self {
        let fewer = only_first.min(only_second);
        let p = Binomial::new(0.5, only_first + only_second)
            .map_or(f64::NAN, |coins| 2.0 * coins.cdf(fewer))
            .min(1.0);
        Self {
            pairs,
            only_first,
            only_second,
            p,
            difference: Difference::of_paired(pairs, only_first, only_second),
        }
    }
}

/// Holm's adjustment for testing many hypotheses at once (Scandinavian Journal of Statistics 6, 1979), in the order given.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        largest = largest.max(((p.len() - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values counted by hand: twice the tail of a fair coin.
    #[test]
    fn paired_tests_count_coins() {
        let table = [
            (0, 0, 1.0),
            (1, 0, 1.0),
            (5, 0, 2.0 / 32.0),
            (0, 6, 2.0 / 64.0),
            (3, 3, 1.0),
            (8, 1, 2.0 * 10.0 / 512.0),
            (2, 10, 2.0 * 79.0 / 4096.0),
        ];
        for (first, second, p) in table {
            let got = Paired::new(20, first, second);
            assert!((got.p - p).abs() < 1e-12, "{first}, {second}: {}", got.p);
        }
    }

    #[test]
    fn holm_matches_the_reference() {
        // p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R.
        let got = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in got.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{got}, not {want}");
        }
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
