//! What happens in a run besides its ticks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that an operator or the loop did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The policy was given an instruction.
    Instruction {
        /// Its text.
        text: String,
    },
    /// The arm holds.
    Hold {
        /// Why.
        reason: String,
    },
    /// The arm moves again.
    Resume,
    /// The speed scale was set.
    Speed {
        /// 0 to 1.
        scale: f64,
    },
    /// A person drives the arm.
    Takeover {
        /// With what: a leader arm, keys.
        by: String,
    },
    /// The policy drives it again.
    HandBack,
    /// An episode begins.
    EpisodeBegin,
    /// It ends.
    EpisodeEnd,
    /// The episode that is running, or ended last, did what it was to do, or did not.
    Success {
        /// Whether it did.
        success: bool,
    },
    /// The episode is for a data set.
    Kept,
    /// The episode is not for a data set.
    Dropped,
    /// The time before this event is an episode for a data set.
    KeepLast {
        /// How much of it.
        seconds: f64,
    },
    /// Something failed.
    Error {
        /// What.
        message: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { text } => write!(f, "instruction: {text}"),
            Self::Hold { reason } => write!(f, "hold: {reason}"),
            Self::Resume => f.write_str("resume"),
            Self::Speed { scale } => write!(f, "speed scale {scale}"),
            Self::Takeover { by } => write!(f, "a person takes over: {by}"),
            Self::HandBack => f.write_str("the policy drives again"),
            Self::EpisodeBegin => f.write_str("episode begins"),
            Self::EpisodeEnd => f.write_str("episode ends"),
            Self::Success { success: true } => f.write_str("episode marked as a success"),
            Self::Success { success: false } => f.write_str("episode marked as a failure"),
            Self::Kept => f.write_str("episode kept"),
            Self::Dropped => f.write_str("episode dropped"),
            Self::KeepLast { seconds } => write!(f, "the last {seconds} s kept as an episode"),
            Self::Error { message } => write!(f, "error: {message}"),
        }
    }
}
