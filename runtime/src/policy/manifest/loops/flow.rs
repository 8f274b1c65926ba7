//! Flow matching.

use serde::{Deserialize, Serialize};

use super::super::action::MAX_CHUNK;
use super::super::fault::{FieldFault, check_range, fault};
use super::MAX_STEPS;

/// Flow matching by Euler's method: x += (t_next - t) * velocity.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// Equal steps between `from` and `to`; absent where `grid` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Time of the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Time of the actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// All times, the last one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Vec<f64>>,
    /// The graph's output that is the velocity.
    pub velocity: String,
    /// Shape of the time that the graph takes.
    pub time: TimeShape,
    /// For trained real-time chunking: as many first actions of a chunk training gave without noise, at most. Absent where the policy
    /// was not trained so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<usize>,
}

/// Shape of a loop's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeShape {
    /// `[1]`.
    Scalar,
    /// `[1, T]`, T being the second axis of the sample.
    Chunk,
}

impl FlowSpec {
    /// All times, the last one included.
    #[must_use]
    pub fn times(&self) -> Vec<f64> {
        match (&self.grid, self.steps, self.from, self.to) {
            (Some(grid), ..) => grid.clone(),
            (None, Some(steps), Some(from), Some(to)) => (0..=steps)
                .map(|step| from + (to - from) * (step as f64 / steps as f64))
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), FieldFault> {
        match (&self.grid, self.steps, self.from, self.to) {
            (Some(grid), None, None, None) => {
                check_range("grid", grid.len(), 2, MAX_STEPS + 1).map_err(|fault| FieldFault {
                    message: format!("has a length that {}", fault.message),
                    ..fault
                })?;
            }
            (None, Some(steps), Some(_), Some(_)) => check_range("steps", steps, 1, MAX_STEPS)?,
            _ => {
                return Err(fault(
                    "",
                    "must hold either `grid` or all of `steps`, `from` and `to`",
                ));
            }
        }
        if let Some(prefix) = self.prefix {
            check_range("prefix", prefix, 1, MAX_CHUNK)?;
            if self.time == TimeShape::Scalar {
                return Err(fault(
                    "prefix",
                    "needs `time` to be chunk: actions that are given have a time of their own",
                ));
            }
        }
        let times = self.times();
        let rising = times.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = times.windows(2).all(|pair| pair[0] > pair[1]);
        if times.iter().all(|time| time.is_finite()) && (rising || falling) {
            Ok(())
        } else {
            let field = if self.grid.is_some() { "grid" } else { "to" };
            Err(fault(
                field,
                "times must be finite and all rise or all fall",
            ))
        }
    }
}
