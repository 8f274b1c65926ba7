//! `--latency` and `--jitter`: what an inference costs of the board's time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};
use wink_runtime::session::Latency;

use crate::bad_input::bad_input;
use crate::results::files::read_json;

/// The file of measured latencies, beside the report.
pub const FILE: &str = "latency.json";
/// No inference that a control loop waits for takes longer.
const MOST_US: u64 = 600_000_000;
/// A file holds no more than this.
const MOST_VALUES: usize = 1_000_000;

/// A time as the command line has it: `40ms`, `2.5ms`, `300us`, `1s`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Microseconds.
    pub us: u64,
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || {
            format!(
                "\"{}\" is no time such as 40ms, 300us or 1s",
                text.escape_debug()
            )
        };
        let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
        let found = units.iter().find_map(|(unit, us)| {
            let number = text.strip_suffix(unit)?;
            Some((number.trim_end().parse::<f64>().ok()?, *us))
        });
        let (number, unit) = match (found, text) {
            (Some(found), _) => found,
            (None, "0") => (0.0, 1.0),
            (None, _) => return Err(fault()),
        };
        let us = number * unit;
        if !(0.0..=MOST_US as f64).contains(&us) {
            return Err(format!("{text}: a time is 0 to {} s", MOST_US / 1_000_000));
        }
        Ok(Self {
            us: us.round() as u64,
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.us as f64 / 1e3)
    }
}

/// `--latency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LatencyChoice {
    /// The same for every inference.
    Fixed(Time),
    /// That of this machine, measured first.
    Measured,
    /// Those of a file.
    File(PathBuf),
}

impl FromStr for LatencyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "measured" {
            return Ok(Self::Measured);
        }
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
        match text.parse() {
            Ok(time) => Ok(Self::Fixed(time)),
            Err(fault) if is_number && !Path::new(text).exists() => Err(fault),
            Err(_) => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

/// What `latency.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyFile {
    /// The policy that was measured, with its precision.
    pub policy: String,
    /// Of each inference in turn, microseconds.
    pub latency_us: Vec<u64>,
}

impl LatencyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it holds no latencies, or too many or too long ones.
    pub fn read(path: &Path) -> Result<Self> {
        let file: Self = read_json(path)?;
        let fault = |message: String| bad_input(format!("{}: {message}", path.display()));
        if file.latency_us.is_empty() || file.latency_us.len() > MOST_VALUES {
            let count = file.latency_us.len();
            return Err(fault(format!(
                "latency_us holds {count} values, not 1 to {MOST_VALUES}"
            )));
        }
        if let Some(long) = file.latency_us.iter().find(|us| **us > MOST_US) {
            return Err(fault(format!("latency_us holds {long}, above {MOST_US}")));
        }
        Ok(file)
    }
}

/// What each inference is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// In turn, from a place that the episode's seed decides; one value is charged always.
    pub latency_us: Vec<u64>,
    /// As much more or less, evenly distributed, drawn from the episode's seed.
    pub jitter_us: u64,
}

impl Charge {
    /// The same for every inference.
    pub fn fixed(latency: Time, jitter: Time) -> Self {
        Self {
            latency_us: vec![latency.us],
            jitter_us: jitter.us,
        }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self::fixed(Time { us: 0 }, Time { us: 0 })
    }

    /// The most that an inference is charged.
    pub fn most_us(&self) -> u64 {
        let longest = self.latency_us.iter().copied().max().unwrap_or(0);
        longest.saturating_add(self.jitter_us)
    }

    /// What the inferences of an episode are charged: the same for the same seed.
    pub fn of_episode(&self, seed: u64) -> Latency {
        if let ([only], 0) = (&self.latency_us[..], self.jitter_us) {
            return Latency::charged(*only);
        }
        let mut random = Pcg64::seed_from_u64(seed);
        let mut next = random.random_range(0..self.latency_us.len());
        let Self {
            latency_us,
            jitter_us,
        } = self.clone();
        Latency::Charged(Box::new(move || {
            let base = latency_us[next];
            next = (next + 1) % latency_us.len();
            let jitter = random.random_range(0..=2 * jitter_us);
            (base + jitter).saturating_sub(jitter_us)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, us) in [
            ("40ms", Some(40_000)),
            ("2.5ms", Some(2_500)),
            ("300us", Some(300)),
            ("1s", Some(1_000_000)),
            ("0", Some(0)),
            ("0ms", Some(0)),
            ("40", None),
            ("-1ms", None),
            ("NaNms", None),
            ("1e9s", None),
            ("ms", None),
        ] {
            assert_eq!(text.parse::<Time>().ok().map(|time| time.us), us, "{text}");
        }
    }

    #[test]
    fn a_latency_is_a_time_measured_or_a_file() {
        let parse = |text: &str| text.parse::<LatencyChoice>();
        let ms = |ms: u64| LatencyChoice::Fixed(Time { us: 1_000 * ms });
        assert_eq!(parse("40ms"), Ok(ms(40)));
        assert_eq!(parse("measured"), Ok(LatencyChoice::Measured));
        let file = LatencyChoice::File("out/latency.json".into());
        assert_eq!(parse("out/latency.json"), Ok(file));
        assert!(parse("40").is_err() && parse("-4ms").is_err());
    }

    #[test]
    fn the_charge_of_an_episode_follows_from_its_seed() {
        let charge = Charge {
            latency_us: vec![10_000, 20_000, 30_000],
            jitter_us: 500,
        };
        let of = |seed| -> Vec<u64> {
            let Latency::Charged(mut source) = charge.of_episode(seed) else {
                panic!("a charge");
            };
            (0..30).map(|_| source()).collect()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_eq!(charge.most_us(), 30_500);
        for values in of(3).windows(2) {
            let near = |us: u64| (us + 5_000) / 10_000;
            assert_eq!(near(values[1]), near(values[0]) % 3 + 1, "in turn");
            assert!(values[0].abs_diff(10_000 * near(values[0])) <= 500);
        }
    }
}
