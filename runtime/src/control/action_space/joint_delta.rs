//! Changes of joint positions: each is added to the last TARGET of its joint, not to the measured position.

use super::{ActionSpace, JointUnits, Step, check};
use crate::arm::{ArmDescription, JointValues};
use crate::control::ControlError;
use crate::control::schedule::Motion;
use crate::policy::manifest::ActionSpec;

/// An action is by how much the joints' targets change, in the policy's units.
#[derive(Debug, Clone)]
pub struct JointDelta {
    arm: ArmDescription,
    names: Vec<String>,
    units: JointUnits,
    targets: JointValues,
}

impl JointDelta {
    /// With the arm at home.
    ///
    /// # Errors
    /// When the policy's joints are not those of the arm, or a unit means nothing to one of them.
    pub fn new(arm: &ArmDescription, spec: &ActionSpec) -> Result<Self, ControlError> {
        Ok(Self {
            names: spec.names.clone(),
            units: JointUnits::new(arm, &spec.names, &spec.units)?,
            targets: arm.wire_home(),
            arm: arm.clone(),
        })
    }
}

impl ActionSpace for JointDelta {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn begin(&mut self, measured: &[f64]) {
        self.targets = self.arm.clamp_wire(measured);
    }

    fn act(&mut self, action: &[f32]) -> Result<Step, ControlError> {
        check(&self.names, action)?;
        let before = self.targets;
        let changes = self.units.changes(action);
        let wanted: JointValues = before
            .iter()
            .zip(changes.iter())
            .map(|(target, change)| target + change)
            .collect();
        self.targets = self.arm.clamp_wire(&wanted);
        let done: JointValues = self
            .targets
            .iter()
            .zip(before.iter())
            .map(|(target, before)| target - before)
            .collect();
        Ok(Step {
            action: self.units.value_changes(&done).collect(),
            joint_targets: self.targets,
            cut: self.targets != wanted,
        })
    }

    fn targets(&self) -> &JointValues {
        &self.targets
    }

    fn motion(&self, _number: usize) -> Motion {
        Motion::Relative
    }

    fn boxed_clone(&self) -> Box<dyn ActionSpace> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::action_space::tests::so101_spec;
    use crate::policy::manifest::{ActionSpace as Declared, Reference};

    #[test]
    fn changes_add_up_on_the_targets_and_end_at_the_limits() {
        let arm = ArmDescription::so101();
        let spec = so101_spec(Declared::JointDelta, Reference::Relative);
        let mut space = JointDelta::new(&arm, &spec).unwrap();
        let start = arm.wire_home();
        space.begin(&start);
        for _ in 0..4 {
            space.act(&[2.0, 0.0, -1.0, 0.0, 0.0, 0.0]).unwrap();
        }
        let degree = 4095.0 / 4096.0 * 1.0_f64.to_radians();
        assert!((space.targets()[0] - start[0] - 8.0 * degree).abs() < 1e-9);
        assert!((space.targets()[2] - start[2] + 4.0 * degree).abs() < 1e-9);
        let step = space.act(&[0.0, 0.0, 0.0, 0.0, 0.0, -500.0]).unwrap();
        assert_eq!(step.joint_targets[5], arm.gripper().unwrap().min_m);
        assert!(step.cut && step.action[5] > -500.0, "{step:?}");
        assert!(space.act(&[f32::NAN; 6]).is_err());
    }
}
