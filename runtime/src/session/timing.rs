//! How a session spends time: what happens while inference runs, and when its chunk is there.

use std::fmt;

use crate::control::schedule::SchedulerKind;

/// How a session spends time.
#[derive(Debug)]
pub struct Timing {
    /// What happens while inference runs.
    pub scheduler: SchedulerKind,
    /// When a chunk is there.
    pub latency: Latency,
}

impl Timing {
    /// Synchronous, and inference takes none of the board's time: for a simulation that measures a policy alone.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            scheduler: SchedulerKind::Synchronous,
            latency: Latency::charged(0),
        }
    }

    /// Synchronous on a real machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            scheduler: SchedulerKind::Synchronous,
            latency: Latency::Real,
        }
    }
}

/// Gives the latency of each inference in turn, microseconds.
pub type LatencySource = Box<dyn FnMut() -> u64 + Send>;

/// When the chunk of an inference is there.
pub enum Latency {
    /// When the policy is done.
    Real,
    /// So long after it was asked for, on the clock of the rig, however long the policy takes: the same run on every machine.
    Charged(LatencySource),
}

impl Latency {
    /// The same latency for every inference.
    #[must_use]
    pub fn charged(latency_us: u64) -> Self {
        Self::Charged(Box::new(move || latency_us))
    }

    /// Whether inferences are charged a time, rather than taken as long as they are.
    pub(super) const fn is_charged(&self) -> bool {
        matches!(self, Self::Charged(_))
    }

    /// That of the next inference, where it is charged.
    pub(super) fn next_us(&mut self) -> Option<u64> {
        match self {
            Self::Real => None,
            Self::Charged(source) => Some(source()),
        }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "Real",
            Self::Charged(_) => "Charged",
        })
    }
}
