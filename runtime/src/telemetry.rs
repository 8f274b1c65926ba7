//! Where the time of a tick goes: fixed-size histograms, one per stage. Nothing here allocates
//! after its making.

use std::time::Duration;

/// A part of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Getting a frame; only ticks that captured one count. In simulation this is the renderer.
    Capture,
    /// The policy from observation to chunk; only ticks that asked it count.
    Policy,
    /// From an action to joint targets, and the proprioception.
    Control,
    /// Reading telemetry and writing the setpoint.
    Link,
    /// Everything above: what has to fit into the control period.
    Tick,
    /// Waiting for the next tick. In simulation this is the physics and the firmware.
    Wait,
}

impl Stage {
    /// All stages in the order of a tick.
    pub const ALL: [Self; 6] = [
        Self::Capture,
        Self::Policy,
        Self::Control,
        Self::Link,
        Self::Tick,
        Self::Wait,
    ];

    /// A lower-case name for tables and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Policy => "policy",
            Self::Control => "control",
            Self::Link => "link",
            Self::Tick => "tick",
            Self::Wait => "wait",
        }
    }
}

/// How long the stages of one tick took. Zero for what did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// See [`Stage::Capture`].
    pub capture: Duration,
    /// See [`Stage::Policy`].
    pub policy: Duration,
    /// See [`Stage::Control`].
    pub control: Duration,
    /// See [`Stage::Link`].
    pub link: Duration,
    /// See [`Stage::Wait`].
    pub wait: Duration,
    /// The part of `link` before the policy: reading telemetry.
    pub measure: Duration,
    /// The part of `control` before the policy: the proprioception.
    pub proprio: Duration,
}

impl StageTimes {
    /// Everything but the wait: what has to fit into the control period.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.capture + self.policy + self.control + self.link
    }
}

/// The times of many ticks, by stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoopTelemetry {
    stages: [Histogram; Stage::ALL.len()],
    overruns: u64,
}

impl LoopTelemetry {
    /// Takes the times of one tick.
    pub fn record(&mut self, times: &StageTimes, captured: bool, inferred: bool) {
        for stage in Stage::ALL {
            let time = match stage {
                Stage::Capture if captured => times.capture,
                Stage::Policy if inferred => times.policy,
                Stage::Capture | Stage::Policy => continue,
                Stage::Control => times.control,
                Stage::Link => times.link,
                Stage::Tick => times.tick(),
                Stage::Wait => times.wait,
            };
            self.stages[stage as usize].record(time);
        }
    }

    /// Counts a tick that took longer than the control period.
    pub fn record_overrun(&mut self) {
        self.overruns += 1;
    }

    /// Ticks that took longer than the control period.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// The times of one stage.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }

    /// Adds what another loop recorded; the order of adding does not matter.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            mine.merge(theirs);
        }
        self.overruns += other.overruns;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.stages.iter_mut().for_each(Histogram::clear);
        self.overruns = 0;
    }
}

/// Each power of two is cut into this many buckets, so a quantile is read at most 1/64 too high.
const BUCKETS_PER_OCTAVE: usize = 64;
const OCTAVE_BITS: u32 = BUCKETS_PER_OCTAVE.trailing_zeros();
/// Times from 2^41 ns (36 minutes) on share the last bucket.
const OCTAVES: usize = 36;
const BUCKETS: usize = OCTAVES * BUCKETS_PER_OCTAVE;

/// Counts of times in buckets that widen with the time: quantiles to 1.6%, the maximum exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    max_ns: u64,
    sum_ns: u128,
}

/// The usual figures of a latency table, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// How many times were recorded.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: f64,
    /// 95 of 100 were at most this long.
    pub p95_us: f64,
    /// 99 of 100 were at most this long.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
            max_ns: 0,
            sum_ns: 0,
        }
    }
}

impl Histogram {
    /// Takes one time.
    pub fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that a share `quantile` (0 to 1) of all did not exceed, by nearest rank; `None`
    /// where nothing was recorded.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = ((quantile * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(last_of(index).min(self.max_ns)))
    }

    /// The usual figures, or `None` where nothing was recorded.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let us = |quantile| {
            self.quantile(quantile)
                .map(|time| time.as_nanos() as f64 / 1e3)
        };
        Some(Summary {
            count: self.count,
            mean_us: self.sum_ns as f64 / self.count as f64 / 1e3,
            p50_us: us(0.5)?,
            p95_us: us(0.95)?,
            p99_us: us(0.99)?,
            max_us: self.max_ns as f64 / 1e3,
        })
    }

    /// Adds what another histogram recorded.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns += other.sum_ns;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.count, self.max_ns, self.sum_ns) = (0, 0, 0);
    }
}

/// Where a time is counted: exact below 64 ns, then by its highest seven bits.
fn bucket(ns: u64) -> usize {
    let shift = ns.checked_ilog2().unwrap_or(0).saturating_sub(OCTAVE_BITS);
    let index = shift as usize * BUCKETS_PER_OCTAVE + (ns >> shift) as usize;
    index.min(BUCKETS - 1)
}

/// The longest time counted in a bucket.
fn last_of(index: usize) -> u64 {
    let shift = (index / BUCKETS_PER_OCTAVE).saturating_sub(1);
    let step = (index - shift * BUCKETS_PER_OCTAVE) as u64;
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_a_bucket_at_most_a_64th_wider_than_itself() {
        let mut last = None;
        for ns in (0..5_000).chain(
            (12..41).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + (1 << bit) / 3]),
        ) {
            let index = bucket(ns);
            assert!(ns <= last_of(index), "{ns}");
            assert!(
                last_of(index) - ns <= ns / 64,
                "{ns} counted up to {}",
                last_of(index)
            );
            if let Some((before_ns, before)) = last.filter(|&(before_ns, _)| before_ns < ns) {
                assert!(before <= index, "{before_ns} and {ns}");
            }
            last = Some((ns, index));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.summary()), (None, None));
        for us in (1..=1_000_u64).rev() {
            histogram.record(Duration::from_micros(us));
        }
        let summary = histogram.summary().unwrap();
        assert_eq!((summary.count, summary.max_us), (1_000, 1_000.0));
        for (value, expected) in [
            (summary.p50_us, 500.0),
            (summary.p95_us, 950.0),
            (summary.p99_us, 990.0),
            (summary.mean_us, 500.5),
        ] {
            assert!(
                (value - expected).abs() <= expected / 64.0,
                "{value} instead of {expected}"
            );
        }
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_millis(1)));
        histogram.clear();
        assert_eq!(histogram, Histogram::default());
    }

    #[test]
    fn merging_is_the_same_as_recording_in_one() {
        let (mut one, mut two, mut all) = (
            LoopTelemetry::default(),
            LoopTelemetry::default(),
            LoopTelemetry::default(),
        );
        for us in 0..100_u64 {
            let times = StageTimes {
                policy: Duration::from_micros(us * us),
                ..StageTimes::default()
            };
            let inferred = us % 8 == 0;
            if us % 2 == 0 { &mut one } else { &mut two }.record(&times, false, inferred);
            all.record(&times, false, inferred);
        }
        two.merge(&one);
        assert_eq!(two, all);
        assert_eq!(all.stage(Stage::Policy).count(), 13);
        assert_eq!(all.stage(Stage::Capture).count(), 0);
        assert_eq!(all.stage(Stage::Tick).count(), 100);
    }

    #[test]
    fn stages_are_stored_in_their_order() {
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index, "{}", stage.name());
        }
    }
}
