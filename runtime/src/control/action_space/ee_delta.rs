//! End-effector deltas: each is added to the last TARGET pose of the tool, not to the measured one.

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};

use super::{ActionSpace, Step, check};
use crate::arm::{ArmDescription, Gripper, JointValues, Row};
use crate::control::schedule::Motion;
use crate::control::{ControlConfig, ControlError, EndEffectorUnits, InverseKinematics};

/// Values per action.
pub const ACTION_DIM: usize = 7;

/// The place of the gripper, which is no change.
const GRIPPER_NUMBER: usize = ACTION_DIM - 1;

/// Their names, in order.
pub const ACTION_NAMES: [&str; ACTION_DIM] =
    ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

/// The target pose is kept in the workspace, and inverse kinematics, starting from the last joint targets, keeps the joints
/// in their limits.
#[derive(Debug, Clone)]
pub struct EeDelta {
    arm: ArmDescription,
    gripper: Gripper,
    ik: InverseKinematics,
    config: ControlConfig,
    names: Vec<String>,
    target_in_world: Isometry3<f64>,
    targets: JointValues,
}

impl EeDelta {
    /// With the arm at home.
    ///
    /// # Errors
    /// When the arm has no gripper.
    pub fn new(arm: &ArmDescription, config: &ControlConfig) -> Result<Self, ControlError> {
        let gripper = arm.gripper().ok_or_else(|| ControlError::NoGripper {
            what: "the policy's action space, end-effector deltas,",
            arm: arm.name().to_owned(),
        })?;
        Ok(Self {
            gripper: gripper.clone(),
            ik: InverseKinematics::new(arm),
            config: config.clone(),
            names: ACTION_NAMES.map(str::to_owned).to_vec(),
            target_in_world: config.base_in_world * arm.forward(&arm.home()),
            targets: arm.wire_home(),
            arm: arm.clone(),
        })
    }

    /// The pose that the last action aimed the tool at.
    #[must_use]
    pub fn target_in_world(&self) -> &Isometry3<f64> {
        &self.target_in_world
    }
}

impl ActionSpace for EeDelta {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn begin(&mut self, measured: &[f64]) {
        self.targets = self.arm.clamp_wire(measured);
        self.target_in_world = self.config.base_in_world * self.arm.forward(&self.targets);
    }

    fn act(&mut self, action: &[f32]) -> Result<Step, ControlError> {
        check(&self.names, action)?;
        let mut wanted = [0.0; ACTION_DIM];
        wanted.copy_from_slice(action);
        let action = clamped(&wanted);
        let moved =
            self.target_in_world.translation.vector + translation_m(&action, &self.config.units);
        let position = self.config.workspace.clamp(&moved.into());
        let mut turned = rotation(&action, &self.config.units) * self.target_in_world.rotation;
        // Hundreds of products would otherwise add up their rounding.
        turned.renormalize();
        self.target_in_world = Isometry3::from_parts(Translation3::from(position), turned);

        let target_in_base = self.config.base_in_world.inv_mul(&self.target_in_world);
        let joints = self.arm.joints().len();
        let start = &self.targets[..joints.min(self.targets.len())];
        let solution = self.ik.solve(&target_in_base, start);
        self.targets = solution.angles.and(finger_m(&action, &self.gripper));
        Ok(Step {
            action: Row::from(action),
            joint_targets: self.targets,
            cut: position.coords != moved || action != wanted,
        })
    }

    fn targets(&self) -> &JointValues {
        &self.targets
    }

    fn motion(&self, number: usize) -> Motion {
        match number {
            GRIPPER_NUMBER => Motion::Grip,
            _ => Motion::Relative,
        }
    }

    fn boxed_clone(&self) -> Box<dyn ActionSpace> {
        Box::new(self.clone())
    }
}

/// `action` with the deltas brought into -1 .. 1 and the gripper into 0 .. 1. Values must be
/// finite.
fn clamped(action: &[f32; ACTION_DIM]) -> [f32; ACTION_DIM] {
    let mut clamped = action.map(|value| value.clamp(-1.0, 1.0));
    clamped[ACTION_DIM - 1] = clamped[ACTION_DIM - 1].max(0.0);
    clamped
}

/// The translation of an action, in metres along the world's axes.
fn translation_m(action: &[f32; ACTION_DIM], units: &EndEffectorUnits) -> Vector3<f64> {
    Vector3::new(
        f64::from(action[0]),
        f64::from(action[1]),
        f64::from(action[2]),
    ) * units.translation_m
}

/// The rotation of an action: roll about the world's x axis, then pitch about its y, then yaw about
/// its z.
fn rotation(action: &[f32; ACTION_DIM], units: &EndEffectorUnits) -> UnitQuaternion<f64> {
    let [roll, pitch, yaw] =
        [action[3], action[4], action[5]].map(|angle| f64::from(angle) * units.rotation_rad);
    UnitQuaternion::from_euler_angles(roll, pitch, yaw)
}

/// The finger travel of an action: 0 is the gripper's least command, 1 its greatest.
fn finger_m(action: &[f32; ACTION_DIM], gripper: &Gripper) -> f64 {
    gripper.min_m + f64::from(action[6]) * (gripper.max_m - gripper.min_m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::on_a_table;

    fn at_home() -> EeDelta {
        let arm = ArmDescription::wx250s();
        let mut space = EeDelta::new(&arm, &on_a_table()).unwrap();
        space.begin(&arm.wire_home());
        space
    }

    /// Where the tool is in the world at joint targets.
    fn tool(space: &EeDelta, step: &Step) -> Isometry3<f64> {
        space.config.base_in_world * space.arm.forward(&step.joint_targets)
    }

    #[test]
    fn deltas_add_up_on_the_target_pose() {
        let mut space = at_home();
        let start = *space.target_in_world();
        assert!((start.translation.vector - Vector3::new(0.049_75, 0.7, 0.302_075)).norm() < 1e-9);
        for _ in 0..4 {
            space
                .act(&[0.25, -0.5, -0.125, 0.0, 0.0, 0.5, 1.0])
                .unwrap();
        }
        let step = space.act(&[0.0; ACTION_DIM]).unwrap();
        let target = *space.target_in_world();
        let moved = target.translation.vector - start.translation.vector;
        assert!(
            (moved - Vector3::new(0.1, -0.2, -0.05)).norm() < 1e-9,
            "{moved}"
        );
        let turned = (target.rotation * start.rotation.inverse()).scaled_axis();
        assert!(
            (turned - Vector3::new(0.0, 0.0, 0.2)).norm() < 1e-6,
            "{turned}"
        );
        let reached = tool(&space, &step);
        assert!((reached.translation.vector - target.translation.vector).norm() < 2e-5);
        assert!(reached.rotation.angle_to(&target.rotation) < 1e-4);
        assert!((step.joint_targets[6] + 0.01).abs() < 1e-9 && !step.cut);
    }

    #[test]
    fn actions_out_of_range_are_executed_as_the_nearest_in_range() {
        let step = at_home()
            .act(&[9.0, -9.0, 0.0, 0.0, 0.0, 0.0, 9.0])
            .unwrap();
        assert_eq!(step.action, [1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert!((step.joint_targets[6] - 0.04).abs() < 1e-9 && step.cut);
    }

    #[test]
    fn the_target_stays_in_the_workspace_and_joints_in_their_limits() {
        let workspace = on_a_table().workspace;
        // Each face of the box, with a turn that no wrist can follow for long.
        for (arm, axis, direction) in [ArmDescription::wx250s(), ArmDescription::so101()]
            .iter()
            .flat_map(|arm| (0..3).flat_map(move |axis| [(arm, axis, -1.0), (arm, axis, 1.0)]))
        {
            let mut space = EeDelta::new(arm, &on_a_table()).unwrap();
            space.begin(&arm.wire_home());
            let mut action = [0.0, 0.0, 0.0, direction, 1.0, -direction, 1.0];
            action[axis] = direction;
            let mut was_cut = false;
            for _ in 0..60 {
                let step = space.act(&action).unwrap();
                was_cut |= step.cut;
                let point = space.target_in_world().translation.vector;
                assert!(
                    (0..3).all(|i| (workspace.min_m[i]..=workspace.max_m[i]).contains(&point[i])),
                    "{point}"
                );
                assert_eq!(step.joint_targets.len(), arm.wire_joints());
                for (joint, angle) in arm.joints().iter().zip(step.joint_targets.iter()) {
                    assert!(
                        (joint.min_rad..=joint.max_rad).contains(angle),
                        "{}: {angle}",
                        joint.name
                    );
                }
            }
            assert!(was_cut, "{} axis {axis} {direction}", arm.name());
        }
    }

    #[test]
    fn a_bad_action_is_refused_by_name_and_moves_nothing() {
        let mut space = at_home();
        let before = (*space.target_in_world(), *space.targets());
        let error = space
            .act(&[0.1, 0.0, f32::NAN, 0.0, 0.0, 0.0, 1.0])
            .unwrap_err();
        assert!(error.to_string().contains("dz is NaN"), "{error}");
        let error = space.act(&[0.1; 6]).unwrap_err();
        assert!(error.to_string().contains("6 values"), "{error}");
        assert_eq!((*space.target_in_world(), *space.targets()), before);
    }

    #[test]
    fn an_episode_starts_where_the_arm_is() {
        let mut space = at_home();
        let measured = [0.3, 0.1, -0.2, 0.1, 1.4, -0.1, 0.02];
        space.begin(&measured);
        assert_eq!(*space.targets(), measured);
        let step = space.act(&[0.0; ACTION_DIM]).unwrap();
        for (target, measured) in step.joint_targets.iter().zip(&measured).take(6) {
            assert!((target - measured).abs() < 1e-4, "{step:?}");
        }
    }

    const UNITS: EndEffectorUnits = EndEffectorUnits {
        translation_m: 0.1,
        rotation_rad: 0.1,
        finger_distance_m: 0.08,
    };

    #[test]
    fn actions_are_brought_into_their_range() {
        let action = clamped(&[2.0, -2.0, 0.5, 1.0, -1.0, -7.0, 1.5]);
        assert_eq!(action, [1.0, -1.0, 0.5, 1.0, -1.0, -1.0, 1.0]);
        assert_eq!(clamped(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5])[6], 0.0);
    }

    #[test]
    fn actions_are_multiples_of_their_units() {
        let action = [1.0, -0.5, 0.25, 0.0, 0.0, 1.0, 0.0];
        assert_eq!(
            translation_m(&action, &UNITS),
            Vector3::new(0.1, -0.05, 0.025)
        );
        let turned = rotation(&action, &UNITS) * Vector3::x();
        assert!((turned - Vector3::new(0.1_f64.cos(), 0.1_f64.sin(), 0.0)).norm() < 1e-12);
        let arm = ArmDescription::wx250s();
        for (gripper, expected_m) in [(0.0, -0.01), (0.5, 0.015), (1.0, 0.04)] {
            let finger_m = finger_m(
                &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, gripper],
                arm.gripper().unwrap(),
            );
            assert!((finger_m - expected_m).abs() < 1e-12);
        }
    }

    #[test]
    fn the_rotation_turns_about_fixed_axes_roll_first() {
        let turn = rotation(&[0.0, 0.0, 0.0, 1.0, -0.5, 0.7, 0.0], &UNITS);
        let by_hand = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), f64::from(0.7_f32) * 0.1)
            * UnitQuaternion::from_axis_angle(&Vector3::y_axis(), -0.05)
            * UnitQuaternion::from_axis_angle(&Vector3::x_axis(), 0.1);
        assert!(turn.angle_to(&by_hand) < 1e-7);
    }
}
