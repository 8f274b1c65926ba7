//! The benchmark's arm, where it stands, and how its policies drive it.

use crate::scene::base_in_world;
use nalgebra::Vector3;
use wink_runtime::arm::ArmDescription;
use wink_runtime::control::{ControlConfig, EndEffectorUnits, Workspace};

/// Actions a second of the scripts.
pub const CONTROL_HZ: f64 = 20.0;

/// What 1 means in an action's dx, dy, dz (0.1 m), its droll, dpitch, dyaw (0.1 rad), and in the state's gripper (0.08 m).
pub const UNITS: EndEffectorUnits = EndEffectorUnits {
    translation_m: 0.1,
    rotation_rad: 0.1,
    finger_distance_m: 0.08,
};

/// The table's arm: the WidowX 250S of `boards/arms/wx250s.toml`.
#[must_use]
pub fn arm() -> ArmDescription {
    const TEXT: &str = include_str!("../../arms/wx250s.toml");
    ArmDescription::from_toml(TEXT).expect("the arm built into this crate is read by its tests")
}

/// The arm stands 0.1 m above the table top, which is at z = 0, and its tool keeps to a box around everything that the task
/// touches. It may go down to the table top, since the cube on it is 0.03 m high.
#[must_use]
pub fn control_config() -> ControlConfig {
    let workspace = Workspace {
        min_m: Vector3::new(-0.2, 0.2, 0.0),
        max_m: Vector3::new(0.5, 1.2, 0.6),
    };
    ControlConfig::new(base_in_world(), workspace, UNITS, CONTROL_HZ)
}
