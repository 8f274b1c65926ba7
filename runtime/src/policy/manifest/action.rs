//! Actions: which value holds the chunk, and what its numbers mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_range, fault};
use super::normalisation::Normalisation;
use super::states::{MAX_VALUES, check_names, check_units};
use super::unit::Unit;

/// Longest chunk.
pub(super) const MAX_CHUNK: usize = 1024;
/// Names and order of an `ee_delta` action.
pub const EE_DELTA_NAMES: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];
/// Units of an `ee_delta` action.
pub const EE_DELTA_UNITS: [Unit; 7] = [
    Unit::Decimetre,
    Unit::Decimetre,
    Unit::Decimetre,
    Unit::Decirad,
    Unit::Decirad,
    Unit::Decirad,
    Unit::Fraction,
];

/// Where actions come from and what they mean.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The value that holds the chunk, `[1, steps, width]`.
    pub from: String,
    /// What the numbers are to an arm.
    pub space: ActionSpace,
    /// What they are measured from.
    pub reference: Reference,
    /// Name of each number, in the order of training.
    pub names: Vec<String>,
    /// Unit of each number.
    pub units: Vec<Unit>,
    /// Actions of a chunk, T.
    pub chunk: usize,
    /// The first step of the value that belongs to the chunk.
    pub first: usize,
    /// Actions executed before the policy is asked again.
    pub execute: usize,
    /// Numbers of each step of the value; those past the names are dropped.
    pub width: usize,
    /// Of each number.
    pub normalisation: Normalisation,
    /// Numbers that become 0 or 1: 1 where they lie above the threshold, which is in the number's unit.
    #[serde(deserialize_with = "super::floats::by_name")]
    pub threshold: BTreeMap<String, f32>,
}

/// What the numbers of an action are to an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// Change of the tool's target pose, [`EE_DELTA_NAMES`] in [`EE_DELTA_UNITS`].
    EeDelta,
    /// Positions of joints.
    JointPosition,
    /// Changes of joint positions.
    JointDelta,
}

impl ActionSpace {
    /// The name in `policy.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EeDelta => "ee_delta",
            Self::JointPosition => "joint_position",
            Self::JointDelta => "joint_delta",
        }
    }
}

/// What actions are measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// From the zero of their unit.
    Absolute,
    /// Positions from the state of the observation, deltas from the target before.
    Relative,
}

/// A value that tools can read beside the actions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuxiliarySpec {
    /// Its name.
    pub name: String,
    /// The value, f32.
    pub from: String,
    /// What its numbers are.
    pub meaning: Meaning,
    /// Columns and rows of the image that its numbers belong to, row by row; absent where they belong to no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<[usize; 2]>,
}

/// What the numbers of an auxiliary value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Logarithms of probabilities.
    LogProbability,
    /// Probabilities.
    Probability,
    /// Anything else.
    Value,
}

impl ActionSpec {
    pub(super) fn check(&self) -> Result<(), FieldFault> {
        check_names(&self.names)?;
        check_units(&self.units, self.names.len())?;
        let count = self.names.len();
        match (self.space, self.reference) {
            (ActionSpace::EeDelta, _) => self.check_ee_delta()?,
            (ActionSpace::JointPosition | ActionSpace::JointDelta, _) => {}
        }
        if matches!(self.space, ActionSpace::EeDelta | ActionSpace::JointDelta)
            && self.reference == Reference::Absolute
        {
            let message = format!("is absolute, and {} is a change", self.space.name());
            return Err(fault("reference", message));
        }
        check_range("chunk", self.chunk, 1, MAX_CHUNK)?;
        check_range("first", self.first, 0, MAX_CHUNK)?;
        if !(1..=self.chunk).contains(&self.execute) {
            let message = format!(
                "is {}, must lie between 1 and the chunk's {}",
                self.execute, self.chunk
            );
            return Err(fault("execute", message));
        }
        check_range("width", self.width, count, MAX_VALUES)?;
        self.normalisation
            .check(count)
            .map_err(|fault| fault.under("normalisation"))?;
        for (name, threshold) in &self.threshold {
            let field = format!("threshold.{}", name.escape_debug());
            if !self.names.contains(name) {
                return Err(fault(field, "is not one of action.names"));
            }
            if !threshold.is_finite() {
                return Err(fault(field, "is not finite"));
            }
        }
        Ok(())
    }

    fn check_ee_delta(&self) -> Result<(), FieldFault> {
        if !self.names.iter().eq(EE_DELTA_NAMES) {
            let message = format!(
                "must be {} in this order, since `space` is ee_delta",
                EE_DELTA_NAMES.join(", ")
            );
            return Err(fault("names", message));
        }
        if self.units != EE_DELTA_UNITS {
            let message = format!(
                "must be {}, since `space` is ee_delta",
                EE_DELTA_UNITS.map(Unit::name).join(", ")
            );
            return Err(fault("units", message));
        }
        Ok(())
    }
}
