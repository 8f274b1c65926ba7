//! Which rate of an evaluation.

use serde::{Deserialize, Serialize};

/// A rate of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The cube on the named card.
    Success,
    /// The cube on any card.
    Execution,
    /// Of the executed episodes, the cube on the named card.
    Recognition,
}

impl Metric {
    /// All of them, in the order of a table.
    pub const ALL: [Self; 3] = [Self::Success, Self::Execution, Self::Recognition];

    /// As people say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Execution => "execution",
            Self::Recognition => "recognition",
        }
    }

    /// Whether an episode counts as right; `None` where the metric is undefined for it.
    pub fn right(self, executed: bool, success: bool) -> Option<bool> {
        match self {
            Self::Success => Some(success),
            Self::Execution => Some(executed),
            Self::Recognition => executed.then_some(success),
        }
    }
}
