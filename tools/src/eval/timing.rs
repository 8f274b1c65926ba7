//! What happens while inference runs, and how long it does: `--scheduler`, `--latency`, `--jitter`.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use wink_runtime::control::period_us;
use wink_runtime::control::schedule::{SchedulerKind, delay_steps};
use wink_runtime::session::{LateTicks, Timing};

use super::episode::Episode;
use super::latency::Charge;
use super::motion::Jerk;
use super::policy::Choice;
use crate::bad_input::as_bad_input;

/// A scheduler and what inference costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// By name.
    #[serde(with = "by_name")]
    pub scheduler: SchedulerKind,
    /// Of the board's time.
    pub charge: Charge,
}

/// What came of it: part of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingReport {
    /// The scheduler's name.
    pub scheduler: &'static str,
    /// The most that an inference was charged, microseconds of the board's clock.
    pub latency_us: u64,
    /// As much of it was drawn.
    pub jitter_us: u64,
    /// Ticks without an action because inference ran, late ones, and chunks that were not used.
    pub late: Late,
    /// Of the tool's path, root mean square over all ticks, m/s^3.
    pub jerk_m_s3: f64,
    /// From the first tick to the end of an executed episode, seconds, the mean; `null` where none was executed.
    pub finish_s: Option<f64>,
}

/// [`LateTicks`] of one or several episodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// No action was there: inference was running.
    pub policy: u64,
    /// Frames took too long.
    pub camera: u64,
    /// The link did.
    pub link: u64,
    /// Chunks that were not used.
    pub chunks: u64,
}

impl Plan {
    /// Synchronous, and inference costs nothing.
    pub fn instant() -> Self {
        Self {
            scheduler: SchedulerKind::Synchronous,
            charge: Charge::none(),
        }
    }

    /// Whether there is nothing to be told of.
    pub fn is_instant(&self) -> bool {
        *self == Self::instant()
    }

    /// The timing of an episode: the same for the same seed.
    pub fn of_episode(&self, seed: u64) -> Timing {
        Timing {
            scheduler: self.scheduler,
            latency: self.charge.of_episode(seed),
        }
    }

    /// Steps that go by in the longest inference.
    pub fn delay(&self, choice: &Choice) -> Result<usize> {
        let hz = choice.control_hz();
        // Whether the board's clock can keep the rate is found out by the board.
        let period_us = period_us(hz, 1, u64::MAX).map_err(as_bad_input)?;
        Ok(delay_steps(self.charge.most_us(), period_us))
    }

    /// Checks that the policy can do what the scheduler asks, and that its chunks last.
    ///
    /// # Errors
    /// With the numbers where they do not.
    pub fn check(&self, choice: &Choice) -> Result<()> {
        let delay = self.delay(choice)?;
        self.scheduler
            .check_delay(choice.chunk_shape(), delay)
            .map_err(|error| {
                let latency_ms = self.charge.most_us() as f64 / 1e3;
                as_bad_input(
                    anyhow::Error::new(error).context(format!("--latency {latency_ms} ms")),
                )
            })?;
        choice
            .check_conditioning(self.scheduler.conditioning(), delay)
            .map_err(|error| {
                let told = format!("--scheduler {}", self.scheduler);
                as_bad_input(anyhow::Error::new(error).context(told))
            })
    }
}

impl TimingReport {
    /// Of all episodes of a run; `None` where inference cost nothing and nothing was done about it.
    pub fn of(plan: &Plan, episodes: &[Episode]) -> Option<Self> {
        if plan.is_instant() {
            return None;
        }
        let finished = episodes.iter().filter(|episode| episode.executed());
        let (count, seconds) = finished.fold((0_u64, 0.0), |(count, sum), episode| {
            (count + 1, sum + episode.seconds)
        });
        Some(Self {
            scheduler: plan.scheduler.name(),
            latency_us: plan.charge.most_us() - plan.charge.jitter_us,
            jitter_us: plan.charge.jitter_us,
            late: Late::sum(episodes.iter().map(|episode| episode.late)),
            jerk_m_s3: Jerk::of(episodes.iter().map(|episode| episode.jerk)).rms,
            finish_s: (count > 0).then(|| seconds / count as f64),
        })
    }

    /// In words.
    pub fn told(&self) -> String {
        let finish = self.finish_s.map_or_else(String::new, |s| {
            format!(", executed episodes took {s:.2} s")
        });
        format!(
            "Scheduler {}, inference charged {} ms at most, jitter {} ms: {} ticks without an action because inference ran, {} late \
             by the camera, {} by the link, {} chunks too late for their condition; jerk {:.1} m/s^3{finish}",
            self.scheduler,
            self.latency_us as f64 / 1e3,
            self.jitter_us as f64 / 1e3,
            self.late.policy,
            self.late.camera,
            self.late.link,
            self.late.chunks,
            self.jerk_m_s3
        )
    }
}

impl Late {
    /// Several episodes together.
    pub fn sum(parts: impl Iterator<Item = Self>) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            policy: sum.policy + part.policy,
            camera: sum.camera + part.camera,
            link: sum.link + part.link,
            chunks: sum.chunks + part.chunks,
        })
    }
}

impl From<LateTicks> for Late {
    fn from(late: LateTicks) -> Self {
        Self {
            policy: late.policy,
            camera: late.camera,
            link: late.link,
            chunks: late.chunks,
        }
    }
}

mod by_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use wink_runtime::control::schedule::SchedulerKind;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub fn serialize<S: Serializer>(kind: &SchedulerKind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SchedulerKind, D::Error> {
        let name = String::deserialize(from)?;
        name.parse().map_err(D::Error::custom)
    }
}
