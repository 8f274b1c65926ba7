//! Positions of joints.

use super::{ActionSpace, JointUnits, Step, check};
use crate::arm::{ArmDescription, JointValues};
use crate::control::ControlError;
use crate::control::schedule::Motion;
use crate::policy::manifest::{ActionSpec, Reference};

/// An action is where the joints shall be, in the policy's units: absolute, or from where they were observed.
#[derive(Debug, Clone)]
pub struct JointPosition {
    arm: ArmDescription,
    names: Vec<String>,
    units: JointUnits,
    reference: Reference,
    targets: JointValues,
}

impl JointPosition {
    /// With the arm at home.
    ///
    /// # Errors
    /// When the policy's joints are not those of the arm, or a unit means nothing to one of them.
    pub fn new(arm: &ArmDescription, spec: &ActionSpec) -> Result<Self, ControlError> {
        Ok(Self {
            names: spec.names.clone(),
            units: JointUnits::new(arm, &spec.names, &spec.units)?,
            reference: spec.reference,
            targets: arm.wire_home(),
            arm: arm.clone(),
        })
    }
}

impl ActionSpace for JointPosition {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn begin(&mut self, measured: &[f64]) {
        self.targets = self.arm.clamp_wire(measured);
    }

    fn ground(&self, observed: &[f64], actions: &mut [f32]) {
        if self.reference == Reference::Absolute {
            return;
        }
        for action in actions.chunks_exact_mut(self.names.len()) {
            for (value, from) in action.iter_mut().zip(self.units.values(observed)) {
                *value += from;
            }
        }
    }

    fn act(&mut self, action: &[f32]) -> Result<Step, ControlError> {
        check(&self.names, action)?;
        let wanted = self.units.positions(action);
        self.targets = self.arm.clamp_wire(&wanted);
        Ok(Step {
            action: self.units.values(&self.targets).collect(),
            joint_targets: self.targets,
            cut: self.targets != wanted,
        })
    }

    fn targets(&self) -> &JointValues {
        &self.targets
    }

    fn motion(&self, number: usize) -> Motion {
        let gripper = self.arm.joints().len();
        match self.units.joint(number) {
            Some(joint) if joint == gripper => Motion::Grip,
            _ => Motion::Absolute,
        }
    }

    fn boxed_clone(&self) -> Box<dyn ActionSpace> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::action_space::tests::so101_spec;
    use crate::policy::manifest::ActionSpace as Declared;

    fn space(reference: Reference) -> JointPosition {
        let spec = so101_spec(Declared::JointPosition, reference);
        JointPosition::new(&ArmDescription::so101(), &spec).unwrap()
    }

    #[test]
    fn an_action_is_where_the_joints_go_within_their_limits() {
        let arm = ArmDescription::so101();
        let mut space = space(Reference::Absolute);
        space.begin(&arm.wire_home());
        assert_eq!(*space.targets(), arm.wire_home());
        let step = space.act(&[10.0, 0.0, 0.0, 0.0, 0.0, 100.0]).unwrap();
        let pan = arm.joints()[0].clone();
        let middle = (pan.min_rad + pan.max_rad) / 2.0;
        let turned = 10.0_f64.to_radians() * 4095.0 / 4096.0;
        assert!(
            (step.joint_targets[0] - middle - turned).abs() < 1e-9,
            "{step:?}"
        );
        assert!((step.joint_targets[5] - arm.gripper().unwrap().open_m).abs() < 1e-9 && !step.cut);
        let step = space.act(&[-400.0, 0.0, 0.0, 0.0, 0.0, 100.0]).unwrap();
        assert_eq!(step.joint_targets[0], pan.min_rad);
        assert!(step.cut && step.action[0] > -180.0, "{step:?}");
        let error = space
            .act(&[0.0, f32::INFINITY, 0.0, 0.0, 0.0, 0.0])
            .unwrap_err();
        assert!(
            error.to_string().contains("shoulder_lift.pos is inf"),
            "{error}"
        );
        assert_eq!(space.targets()[0], pan.min_rad);
    }

    #[test]
    fn the_gripper_is_a_grip_and_all_other_joints_are_positions() {
        let space = space(Reference::Absolute);
        let motions: Vec<Motion> = (0..6).map(|number| space.motion(number)).collect();
        assert_eq!(motions[..5], [Motion::Absolute; 5]);
        assert_eq!(motions[5], Motion::Grip);
    }

    #[test]
    fn relative_positions_start_from_the_observed_joints() {
        let arm = ArmDescription::so101();
        let mut space = space(Reference::Relative);
        space.begin(&arm.wire_home());
        let mut observed = arm.wire_home();
        observed[1] += 0.2;
        let mut chunk = [0.0; 12];
        chunk[7] = 5.0;
        space.ground(&observed, &mut chunk);
        let first = space.act(&chunk[..6]).unwrap();
        for (target, observed) in first.joint_targets.iter().zip(observed.iter()) {
            assert!((target - observed).abs() < 1e-6, "{first:?}");
        }
        let second = space.act(&chunk[6..]).unwrap();
        let turned = second.joint_targets[1] - observed[1];
        assert!((turned - 5.0_f64.to_radians()).abs() < 1e-4, "{turned}");
    }
}
