//! What the numbers of an action mean to an arm: one file for each action space of `policy.json`.
//!
//! Which action is due at a tick is not decided here.

mod ee_delta;
mod joint_delta;
mod joint_position;
mod joint_units;

use std::fmt;

pub use ee_delta::{ACTION_DIM, ACTION_NAMES, EeDelta};
pub use joint_delta::JointDelta;
pub use joint_position::JointPosition;
pub use joint_units::{JointUnits, lerobot_joints};

use super::schedule::Motion;
use super::{ControlConfig, ControlError};
use crate::arm::{ArmDescription, JointValues, Row};
use crate::policy::manifest::{ActionSpace as Declared, ActionSpec};

/// What one action led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The action as executed, in the policy's units: brought into its range, and the joints into their limits.
    pub action: Row<f32>,
    /// Targets on the wire: joint angles (rad), then the travel of one finger (m).
    pub joint_targets: JointValues,
    /// Whether the action asked for more than range, workspace or limits allow.
    pub cut: bool,
}

/// The meaning of a policy's actions to one arm. It keeps the targets that the last action led to.
pub trait ActionSpace: fmt::Debug + Send {
    /// Names of an action's values, in their order.
    fn names(&self) -> &[String];

    /// Starts an episode: the targets become what is `measured` on the wire (rad, m of one finger), brought inside of the limits.
    fn begin(&mut self, measured: &[f64]);

    /// Makes the rows of a chunk independent of the observation that it was made for: actions that are relative to the joints
    /// `observed` then (on the wire, rad, m) become absolute. Rows of other spaces stay as they are.
    fn ground(&self, observed: &[f64], actions: &mut [f32]) {
        let _ = (observed, actions);
    }

    /// Executes one action: moves the targets.
    ///
    /// # Errors
    /// When the action has not as many values as [`names`](Self::names), or one is not finite; the targets then stay.
    fn act(&mut self, action: &[f32]) -> Result<Step, ControlError>;

    /// The targets on the wire that the last action led to.
    fn targets(&self) -> &JointValues;

    /// What a value of an action is measured from, by its place; of positions once the chunk was [`ground`](Self::ground)ed.
    fn motion(&self, number: usize) -> Motion;

    /// The same space with the same targets.
    fn boxed_clone(&self) -> Box<dyn ActionSpace>;
}

impl Clone for Box<dyn ActionSpace> {
    fn clone(&self) -> Self {
        self.boxed_clone()
    }
}

/// The action space that a policy declares, for an arm. A policy without a declaration is a script: end-effector deltas.
///
/// # Errors
/// When the policy's joints are not those of the arm, or a unit means nothing to one of them.
pub fn action_space(
    arm: &ArmDescription,
    config: &ControlConfig,
    declared: Option<&ActionSpec>,
) -> Result<Box<dyn ActionSpace>, ControlError> {
    let Some(spec) = declared else {
        return Ok(Box::new(EeDelta::new(arm, config)?));
    };
    Ok(match spec.space {
        Declared::EeDelta => Box::new(EeDelta::new(arm, config)?),
        Declared::JointPosition => Box::new(JointPosition::new(arm, spec)?),
        Declared::JointDelta => Box::new(JointDelta::new(arm, spec)?),
    })
}

/// Checks that an action has its values, all of them finite.
fn check(names: &[String], action: &[f32]) -> Result<(), ControlError> {
    if action.len() != names.len() {
        return Err(ControlError::ActionDim {
            found: action.len(),
            names: names.to_vec(),
        });
    }
    match action.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(ControlError::NotFinite {
            step: None,
            name: names[index].clone(),
            value: action[index],
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::control::on_a_table;
    use crate::policy::manifest::{Normalisation, Reference};

    /// Actions of the SO-101's joints as LeRobot records them.
    pub(super) fn so101_spec(space: Declared, reference: Reference) -> ActionSpec {
        let (names, units) = lerobot_joints(&ArmDescription::so101());
        ActionSpec {
            from: "chunk".to_owned(),
            space,
            reference,
            width: names.len(),
            names,
            units,
            chunk: 2,
            first: 0,
            execute: 2,
            normalisation: Normalisation::Identity {},
            threshold: BTreeMap::new(),
        }
    }

    #[test]
    fn an_arm_without_a_gripper_is_moved_joint_by_joint_only() {
        let text = include_str!("../../../../boards/arms/so101.toml");
        let (start, end) = (
            text.find("[gripper]").unwrap(),
            text.find("[servos]").unwrap(),
        );
        let arm =
            ArmDescription::from_toml(&format!("{}{}", &text[..start], &text[end..])).unwrap();
        let config = on_a_table();
        let (names, units) = lerobot_joints(&arm);
        assert_eq!((names.len(), units.len()), (5, 5));
        for space in [Declared::JointPosition, Declared::JointDelta] {
            let spec = ActionSpec {
                width: 5,
                names: names.clone(),
                units: units.clone(),
                ..so101_spec(space, Reference::Relative)
            };
            let mut space = action_space(&arm, &config, Some(&spec)).unwrap();
            space.begin(&arm.wire_home());
            assert_eq!(space.act(&[0.1; 5]).unwrap().joint_targets.len(), 5);
            assert!((0..5).all(|number| space.motion(number) != Motion::Grip));
            let whole = so101_spec(spec.space, Reference::Relative);
            let told = action_space(&arm, &config, Some(&whole))
                .unwrap_err()
                .to_string();
            assert!(told.contains("gripper.pos"), "{told}");
        }
        let told = action_space(&arm, &config, None).unwrap_err().to_string();
        assert_eq!(
            told,
            "the policy's action space, end-effector deltas, has a gripper, the arm so101 has none"
        );
    }

    #[test]
    fn a_policy_gets_the_space_that_it_declares_or_is_refused() {
        let config = on_a_table();
        let (five, six) = (ArmDescription::so101(), ArmDescription::wx250s());
        assert_eq!(
            action_space(&six, &config, None).unwrap().names(),
            ACTION_NAMES
        );
        for space in [Declared::JointPosition, Declared::JointDelta] {
            let spec = so101_spec(space, Reference::Relative);
            let made = action_space(&five, &config, Some(&spec)).unwrap();
            assert_eq!(made.names(), spec.names);
            let told = action_space(&six, &config, Some(&spec))
                .unwrap_err()
                .to_string();
            assert!(
                told.contains("shoulder_pan.pos, shoulder_lift.pos")
                    && told.contains("wx250s has [waist, shoulder, elbow"),
                "{told}"
            );
        }
    }
}
