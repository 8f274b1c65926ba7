//! What a policy is told about the arm.

use nalgebra::{UnitQuaternion, Vector3};

use super::ControlConfig;
use crate::arm::ArmDescription;
use crate::policy::manifest::Unit;
use crate::policy::{Name, StateVector};

/// Values of the proprioception.
pub const PROPRIO_DIM: usize = 7;

/// Their names, in order.
pub const PROPRIO_NAMES: [&str; PROPRIO_DIM] = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"];

/// Name of the state vector that they are.
pub const PROPRIO_STATE: &str = "observation.state";

pub(super) const NAMES: [Name; PROPRIO_DIM] = {
    let [x, y, z, roll, pitch, yaw, gripper] = PROPRIO_NAMES;
    [
        Name::Borrowed(x),
        Name::Borrowed(y),
        Name::Borrowed(z),
        Name::Borrowed(roll),
        Name::Borrowed(pitch),
        Name::Borrowed(yaw),
        Name::Borrowed(gripper),
    ]
};

pub(super) const UNITS: [Unit; PROPRIO_DIM] = [
    Unit::M,
    Unit::M,
    Unit::M,
    Unit::Rad,
    Unit::Rad,
    Unit::Rad,
    Unit::Fraction,
];

/// The proprioception as a policy is given it.
#[must_use]
pub fn proprio_state(values: &[f32]) -> StateVector<'_> {
    StateVector {
        name: PROPRIO_STATE,
        names: &NAMES,
        units: &UNITS,
        values,
    }
}

/// The tool's x, y, z (m, world), roll, pitch, yaw (rad), and the distance of the fingers in its
/// unit, from `measured` joints (rad, the gripper in metres of one finger's travel).
///
/// Angles are about the world's fixed axes: roll about x first, then pitch about y, then yaw about
/// z. They are **zero where the gripper points straight down** with its sides along the world's
/// axes: the tool's own x axis, which runs along the gripper, then
/// points down, and angles taken from that frame as it is would sit in their singularity (pitch =
/// 90 deg) all the time. Measured so, a roll action of 0.1 rad raises roll by 0.1 rad, and the
/// singularity lies where the gripper points level along the world's x.
#[must_use]
pub fn proprio(
    arm: &ArmDescription,
    config: &ControlConfig,
    measured: &[f64],
) -> [f32; PROPRIO_DIM] {
    let (angles, finger_m) = match measured.split_last() {
        Some((finger_m, angles)) => (angles, *finger_m),
        None => (measured, 0.0),
    };
    let tool = config.base_in_world * arm.forward(angles);
    let position = tool.translation.vector;
    let (roll, pitch, yaw) = upright(&tool.rotation).euler_angles();
    let fingers = 2.0 * finger_m / config.units.finger_distance_m;
    [
        position.x, position.y, position.z, roll, pitch, yaw, fingers,
    ]
    .map(|value| value as f32)
}

/// The tool's rotation counted from gripper-down instead of from "x ahead".
fn upright(tool: &UnitQuaternion<f64>) -> UnitQuaternion<f64> {
    tool * UnitQuaternion::from_axis_angle(&Vector3::y_axis(), -std::f64::consts::FRAC_PI_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::on_a_table;

    fn with(arm: &ArmDescription, change: impl Fn(&mut [f64])) -> [f32; PROPRIO_DIM] {
        let mut measured = arm.wire_home();
        change(&mut measured);
        proprio(arm, &on_a_table(), &measured)
    }

    fn assert_near(found: [f32; PROPRIO_DIM], expected: [f32; PROPRIO_DIM]) {
        for ((found, expected), name) in found.iter().zip(expected).zip(PROPRIO_NAMES) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{name} is {found}, not {expected}"
            );
        }
    }

    #[test]
    fn at_home_the_gripper_is_down_and_all_angles_are_zero() {
        let arm = ArmDescription::wx250s();
        assert_near(
            with(&arm, |_| {}),
            [0.04975, 0.7, 0.302_075, 0.0, 0.0, 0.0, 0.925],
        );
    }

    #[test]
    fn angles_are_continuous_and_their_own_around_gripper_down() {
        let arm = ArmDescription::wx250s();
        for angle in [-0.3_f32, -1e-3, 1e-3, 0.3] {
            let delta = f64::from(angle);
            // The waist yaws, the wrist pitches; wrist_rotate turns about the gripper's axis, which
            // points down.
            assert!((with(&arm, |joints| joints[0] += delta)[5] - angle).abs() < 1e-6);
            assert!((with(&arm, |joints| joints[4] += delta)[4] - angle).abs() < 1e-6);
            assert!((with(&arm, |joints| joints[5] -= delta)[5] - angle).abs() < 1e-6);
            // forearm_roll turns about the world's x.
            assert!((with(&arm, |joints| joints[3] += delta)[3] - angle).abs() < 1e-6);
        }
    }
}
