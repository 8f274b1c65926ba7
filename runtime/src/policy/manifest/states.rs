//! State vectors: what the arm measures, by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_range, fault};
use super::normalisation::Normalisation;
use super::unit::Unit;

/// Values of one state or action.
pub(super) const MAX_VALUES: usize = 1024;
const MAX_HISTORY: usize = 64;

/// A state vector by name.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StateSpec {
    /// Name of the vector and of the value that stages read.
    pub name: String,
    /// Name of each number, in the order of training.
    pub names: Vec<String>,
    /// Unit of each number.
    pub units: Vec<Unit>,
    /// Observations in the tensor, the oldest first, one control step apart.
    pub history: usize,
    /// Length of the vector that is fed, filled up with 0 after the normalisation; as many as there are names where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_to: Option<usize>,
    /// Of each number.
    pub normalisation: Normalisation,
}

impl StateSpec {
    /// Length of the vector that is fed.
    #[must_use]
    pub fn width(&self) -> usize {
        self.pad_to.unwrap_or(self.names.len())
    }

    /// Shape of the tensor.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        match self.history {
            1 => vec![1, self.width()],
            history => vec![1, history, self.width()],
        }
    }

    pub(super) fn check(&self) -> Result<(), FieldFault> {
        check_names(&self.names)?;
        check_units(&self.units, self.names.len())?;
        check_history(self.history)?;
        if let Some(width) = self.pad_to {
            check_range("pad_to", width, self.names.len(), MAX_VALUES)?;
        }
        self.normalisation
            .check(self.names.len())
            .map_err(|fault| fault.under("normalisation"))
    }
}

/// Names of numbers are there, not empty, and each occurs once.
pub(super) fn check_names(names: &[String]) -> Result<(), FieldFault> {
    if names.is_empty() || names.len() > MAX_VALUES {
        let message = format!("has {} names, must have 1 to {MAX_VALUES}", names.len());
        return Err(fault("names", message));
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let field = format!("names[{index}]");
        if name.trim().is_empty() {
            return Err(fault(field, "is empty"));
        }
        if !seen.insert(name) {
            let message = format!("\"{}\" is already a name", name.escape_debug());
            return Err(fault(field, message));
        }
    }
    Ok(())
}

/// There is one unit per name.
pub(super) fn check_units(units: &[Unit], count: usize) -> Result<(), FieldFault> {
    if units.len() == count {
        Ok(())
    } else {
        let message = format!("has {} units instead of {count}", units.len());
        Err(fault("units", message))
    }
}

pub(super) fn check_history(history: usize) -> Result<(), FieldFault> {
    check_range("history", history, 1, MAX_HISTORY)
}
