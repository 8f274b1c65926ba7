//! What the seven numbers of an end-effector delta mean.

use nalgebra::{UnitQuaternion, Vector3};

use super::EndEffectorUnits;
use crate::arm::Gripper;

/// Values per action.
pub const ACTION_DIM: usize = 7;

/// Their names, in order.
pub const ACTION_NAMES: [&str; ACTION_DIM] =
    ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

/// `action` with the deltas brought into -1 .. 1 and the gripper into 0 .. 1. Values must be
/// finite.
pub(super) fn clamped(action: &[f32; ACTION_DIM]) -> [f32; ACTION_DIM] {
    let mut clamped = *action;
    let (gripper, deltas) = clamped
        .split_last_mut()
        .expect("an action has seven values");
    for delta in deltas {
        *delta = delta.clamp(-1.0, 1.0);
    }
    *gripper = gripper.clamp(0.0, 1.0);
    clamped
}

/// The translation of an action, in metres along the world's axes.
pub(super) fn translation_m(action: &[f32; ACTION_DIM], units: &EndEffectorUnits) -> Vector3<f64> {
    Vector3::new(
        f64::from(action[0]),
        f64::from(action[1]),
        f64::from(action[2]),
    ) * units.translation_m
}

/// The rotation of an action: roll about the world's x axis, then pitch about its y, then yaw about
/// its z.
pub(super) fn rotation(
    action: &[f32; ACTION_DIM],
    units: &EndEffectorUnits,
) -> UnitQuaternion<f64> {
    let [roll, pitch, yaw] =
        [action[3], action[4], action[5]].map(|angle| f64::from(angle) * units.rotation_rad);
    UnitQuaternion::from_euler_angles(roll, pitch, yaw)
}

/// The finger travel of an action: 0 is the gripper's least command, 1 its greatest.
pub(super) fn finger_m(action: &[f32; ACTION_DIM], gripper: &Gripper) -> f64 {
    gripper.min_m + f64::from(action[6]) * (gripper.max_m - gripper.min_m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::ArmDescription;

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
            let finger_m = finger_m(&[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, gripper], arm.gripper());
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
