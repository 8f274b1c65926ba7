//! Proportions with exact intervals.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

/// Chance of setting the cube on the named card without understanding the name: one of three cards.
const CHANCE: f64 = 1.0 / 3.0;

/// k of n with an exact (Clopper-Pearson) two-sided 95% interval. Without trials (n = 0) the value is undefined and
/// nothing is known about it: all three are `None`, `null` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Successes.
    pub k: u64,
    /// Trials.
    pub n: u64,
    /// k / n, or what it is rescaled to.
    pub value: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Proportion {
    /// `k` successes out of `n` trials.
    pub fn new(k: u64, n: u64) -> Self {
        if n == 0 {
            return Self {
                k,
                n,
                value: None,
                low: None,
                high: None,
            };
        }
        let (low, high) = clopper_pearson(k, n);
        Self {
            k,
            n,
            value: Some(k as f64 / n as f64),
            low: Some(low),
            high: Some(high),
        }
    }

    /// Lower end, value and upper end; `None` without trials.
    pub fn span(&self) -> Option<[f64; 3]> {
        Some([self.low?, self.value?, self.high?])
    }

    /// Normalised grounding: this recognition rate rescaled so that chance is 0 and certainty 1; its interval likewise.
    pub fn grounding(self) -> Self {
        let rescale = |rate: f64| (rate - CHANCE) / (1.0 - CHANCE);
        Self {
            value: self.value.map(rescale),
            low: self.low.map(rescale),
            high: self.high.map(rescale),
            ..self
        }
    }
}

/// The exact interval of Clopper and Pearson (Biometrika 26, 1934) by quantiles of the beta distribution.
fn clopper_pearson(k: u64, n: u64) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    let (successes, failures) = (k as f64, (n - k) as f64);
    let quantile =
        |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    let low = if k == 0 {
        0.0
    } else {
        quantile(successes, failures + 1.0, TAIL)
    };
    let high = if k == n {
        1.0
    } else {
        quantile(successes + 1.0, failures, 1.0 - TAIL)
    };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values from the beta quantiles of scipy 1.17, to the digits shown.
    #[test]
    fn intervals_match_the_reference() {
        let table = [
            (0, 10, 0.0, 0.3084971),
            (1, 1, 0.025, 1.0),
            (0, 1, 0.0, 0.975),
            (5, 10, 0.1870860, 0.8129140),
            (10, 10, 0.6915029, 1.0),
            (99, 100, 0.9455406, 0.9997469),
            (100, 100, 0.9637833, 1.0),
            (33, 100, 0.2391985, 0.4311728),
            (299, 300, 0.9815687, 0.9999156),
        ];
        for (k, n, low, high) in table {
            let rate = Proportion::new(k, n);
            for (what, got, want) in [("low", rate.low, low), ("high", rate.high, high)] {
                let got = got.unwrap();
                assert!(
                    (got - want).abs() < 2e-7,
                    "{what} of {k}/{n}: {got}, not {want}"
                );
            }
        }
    }

    /// The defining property, checked by summing the binomial: each end leaves 2.5% of the other tail.
    #[test]
    fn the_tails_hold_what_they_should() {
        let tail = |k: u64, n: u64, p: f64| -> f64 {
            let mut term = (1.0 - p).powi(n as i32);
            let mut below = 0.0;
            for i in 0..=k {
                below += term;
                term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
            }
            below
        };
        for (k, n) in [(1, 3), (2, 7), (40, 50), (250, 300), (3, 300)] {
            let rate = Proportion::new(k, n);
            let at_high = tail(k, n, rate.high.unwrap());
            let at_low = 1.0 - tail(k - 1, n, rate.low.unwrap());
            assert!((at_high - 0.025).abs() < 1e-6, "{k}/{n}: {at_high}");
            assert!((at_low - 0.025).abs() < 1e-6, "{k}/{n}: {at_low}");
        }
    }

    #[test]
    fn nothing_executed_is_undefined() {
        let none = Proportion::new(0, 0).grounding();
        assert_eq!((none.value, none.low, none.high), (None, None, None));
        assert_eq!(
            serde_json::to_string(&none).unwrap(),
            r#"{"k":0,"n":0,"value":null,"low":null,"high":null}"#
        );
    }

    #[test]
    fn grounding_is_zero_at_chance_and_one_at_certainty() {
        let table = [(10, 30, 0.0), (30, 30, 1.0), (0, 30, -0.5), (20, 30, 0.5)];
        for (k, n, want) in table {
            let recognition = Proportion::new(k, n);
            let grounding = recognition.grounding();
            assert!((grounding.value.unwrap() - want).abs() < 1e-12, "{k}/{n}");
            assert_eq!((grounding.k, grounding.n), (k, n));
            assert!(
                (grounding.low.unwrap() - (recognition.low.unwrap() - CHANCE) * 1.5).abs() < 1e-12
            );
        }
    }
}
