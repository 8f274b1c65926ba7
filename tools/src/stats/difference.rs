//! Differences of two rates.

use serde::Serialize;

use super::Proportion;

/// A difference of two rates with a two-sided 95% interval; all three `None` where either side is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// First minus second.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Difference {
    /// Of rates of which one has no trials.
    pub const UNDEFINED: Self = Self {
        value: None,
        low: None,
        high: None,
    };

    /// Of two independent rates, by Newcombe's hybrid of Wilson's score intervals (method 10 of Statistics in Medicine 17,
    /// 1998, 873-890).
    pub fn of_independent(first: &Proportion, second: &Proportion) -> Self {
        let (Some(p1), Some(p2)) = (first.value, second.value) else {
            return Self::UNDEFINED;
        };
        let (low1, high1) = wilson(first.k, first.n);
        let (low2, high2) = wilson(second.k, second.n);
        let difference = p1 - p2;
        Self {
            value: Some(difference),
            low: Some(difference - (p1 - low1).hypot(high2 - p2)),
            high: Some(difference + (high1 - p1).hypot(p2 - low2)),
        }
    }

    /// Of two rates on the same `pairs` trials, of which `only_first` succeeded on the first side alone and `only_second` on the
    /// second alone, by Tango's score interval (Statistics in Medicine 17, 1998, 891-908). It says how far apart the rates may
    /// be even where the sides never differed.
    pub fn of_paired(pairs: u64, only_first: u64, only_second: u64) -> Self {
        if pairs == 0 {
            return Self::UNDEFINED;
        }
        let (n, b, c) = (pairs as f64, only_first as f64, only_second as f64);
        let value = (b - c) / n;
        // How many standard errors the counts lie above a true difference; falls as the difference grows.
        let score = |difference: f64| {
            let linear = (2.0 * n - b + c) * difference - b - c;
            let constant = -c * difference * (1.0 - difference);
            let second = ((linear * linear - 8.0 * n * constant).sqrt() - linear) / (4.0 * n);
            let variance = n * (2.0 * second + difference * (1.0 - difference));
            (b - c - n * difference) / variance.max(f64::MIN_POSITIVE).sqrt()
        };
        Self {
            value: Some(value),
            low: Some(crossing(-1.0, value, |difference| score(difference) > Z)),
            high: Some(crossing(value, 1.0, |difference| score(difference) > -Z)),
        }
    }
}

/// The normal distribution's 97.5% quantile.
const Z: f64 = 1.959_963_984_540_054;

/// Where `is_below` turns from true to false between two ends, by bisection.
fn crossing(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Wilson's score interval (Journal of the American Statistical Association 22, 1927) for k of n > 0.
fn wilson(k: u64, n: u64) -> (f64, f64) {
    let (n, p) = (n as f64, k as f64 / n as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (
        ((middle - half) / scale).max(0.0),
        ((middle + half) / scale).min(1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of table II in Newcombe (1998), method 10, to the digits printed there.
    #[test]
    fn differences_match_newcombe() {
        let table = [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((10, 10), (0, 20), 0.6791, 1.0),
            ((5, 56), (0, 29), -0.0381, 0.1926),
        ];
        for ((k1, n1), (k2, n2), low, high) in table {
            let got =
                Difference::of_independent(&Proportion::new(k1, n1), &Proportion::new(k2, n2));
            let value = k1 as f64 / n1 as f64 - k2 as f64 / n2 as f64;
            assert!((got.value.unwrap() - value).abs() < 1e-12);
            assert!((got.low.unwrap() - low).abs() < 5e-5, "{k1}/{n1}: {got:?}");
            assert!(
                (got.high.unwrap() - high).abs() < 5e-5,
                "{k1}/{n1}: {got:?}"
            );
        }
        let none = Difference::of_independent(&Proportion::new(0, 0), &Proportion::new(1, 2));
        assert_eq!(none, Difference::UNDEFINED);
    }

    /// Reference values from maximising the multinomial likelihood numerically at each difference.
    #[test]
    fn paired_differences_match_the_reference() {
        let table = [
            (50, 12, 2, 0.061112, 0.344709),
            (300, 10, 2, 0.004826, 0.054502),
            (100, 0, 6, -0.124768, -0.020787),
            (100, 20, 20, -0.124974, 0.124974),
            (30, 1, 0, -0.083964, 0.166704),
            (300, 150, 30, 0.322102, 0.472267),
        ];
        for (n, b, c, low, high) in table {
            let got = Difference::of_paired(n, b, c);
            let (got_low, got_high) = (got.low.unwrap(), got.high.unwrap());
            assert!((got_low - low).abs() < 1e-5, "{b}, {c} of {n}: {got:?}");
            assert!((got_high - high).abs() < 1e-5, "{b}, {c} of {n}: {got:?}");
            let swapped = Difference::of_paired(n, c, b);
            assert!((swapped.low.unwrap() + got_high).abs() < 1e-9);
        }
        // Never different in 300 episodes: z^2 / (n + z^2).
        let same = Difference::of_paired(300, 0, 0);
        assert!((same.high.unwrap() - 3.841459 / 303.841459).abs() < 1e-6);
        assert_eq!(Difference::of_paired(0, 0, 0), Difference::UNDEFINED);
    }
}
