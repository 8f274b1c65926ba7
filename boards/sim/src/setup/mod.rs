//! Cells as data: an arm on a table, its cameras and the script that demonstrates on it. One file for each.

pub mod body;
mod so101;
mod wx250s;

use std::fmt;

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use wink_runtime::arm::ArmDescription;
use wink_runtime::control::{ControlConfig, EndEffectorUnits, Workspace};

use crate::world::shape::Hand;
use body::Part;

pub use so101::SO101;
pub use wx250s::WX250S;

/// Actions a second of the benchmark's scripts.
pub const CONTROL_HZ: f64 = WX250S.control_hz;

/// What 1 means in an action's dx, dy, dz (0.1 m), its droll, dpitch, dyaw (0.1 rad), and in the state's gripper (0.08 m).
pub const UNITS: EndEffectorUnits = EndEffectorUnits {
    translation_m: 0.1,
    rotation_rad: 0.1,
    finger_distance_m: 0.08,
};

/// Every cell, the benchmark's first.
pub const ALL: [&Setup; 2] = [&WX250S, &SO101];

/// An arm on a table.
pub struct Setup {
    /// The arm's name, by which the cell is chosen.
    pub name: &'static str,
    /// The arm's file: joints, limits, servos.
    pub arm_toml: &'static str,
    /// From the last joint's frame to the tool, as the arm's file has it, metres.
    pub tool_m: [f64; 3],
    /// Where the arm's base is in the world, metres; it is not turned.
    pub base_in_world_m: [f64; 3],
    /// The box that the tool is kept in, metres in the world.
    pub workspace_m: [[f64; 3]; 2],
    /// Control steps a second.
    pub control_hz: f64,
    /// Steps after which an episode ends in any case.
    pub max_steps: usize,
    /// Step of the physics and of the firmware, microseconds.
    pub substep_us: u64,
    /// What stands between the firmware and the joints.
    pub drives: Drives,
    /// Where cube and cards lie.
    pub layout: Layout,
    /// What touches objects.
    pub hand: Hand,
    /// Frames whose surroundings are kept off the table, by index.
    pub low_links: &'static [usize],
    /// Radius around those frames, metres.
    pub link_radius_m: f64,
    /// What the arm looks like.
    pub body: &'static [Part],
    /// Its cameras, at least one.
    pub cameras: &'static [CameraMount],
    /// How the scripted expert works on it.
    pub script: Script,
}

/// What stands between the firmware and the joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drives {
    /// Nothing: the firmware commands the joints, without limits that spare a real arm's gears and windings.
    Ideal,
    /// The servos that the arm's file names, on their bus, with the limits and the guards of the file.
    Bus,
}

/// Where things lie on a table, metres in the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    /// The middle of the cube's spawn area.
    pub cube_centre_xy: [f64; 2],
    /// The cube is spawned within this distance of it in x and in y.
    pub cube_jitter_m: f64,
    /// The middles of the three places for cards.
    pub card_centres_xy: [[f64; 2]; 3],
    /// A card's centre lies within this distance of its place in x and in y.
    pub card_jitter_m: f64,
    /// Half the side of a card.
    pub card_half_size_m: f64,
    /// Cards that move go so far to either side of where they were laid, on arcs around the base, clear of the cube.
    pub card_swing_m: f64,
}

/// A camera and where it is mounted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraMount {
    /// Name of the camera in observations and data sets.
    pub name: &'static str,
    /// What it is fixed to.
    pub mount: Mount,
    /// Vertical field of view.
    pub vertical_fov_rad: f64,
    /// Width and height of its frames, pixels, unless others are asked for.
    pub frame_px: (u32, u32),
}

/// What a camera is fixed to. Points in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mount {
    /// The world; upright with respect to z.
    World {
        /// Where the camera is.
        eye_m: [f64; 3],
        /// What it looks at.
        look_at_m: [f64; 3],
    },
    /// A frame of the arm, by index: 0 the base, then each joint's after its rotation.
    Link {
        /// The frame.
        link: usize,
        /// Where the camera is, in the frame.
        eye_m: [f64; 3],
        /// What it looks at, in the frame.
        look_at_m: [f64; 3],
        /// What is up in its pictures, in the frame.
        up: [f64; 3],
    },
}

/// The scripted expert's measures: reach, close, lift, carry, release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Script {
    /// Steps of reach and of carry.
    pub way_steps: usize,
    /// Steps of close.
    pub close_steps: usize,
    /// Steps of lift.
    pub lift_steps: usize,
    /// Share of the remaining way per step and stage length, in action units per metre.
    pub gain: f64,
    /// Height of the tool at which the reach waits until it is above the cube; `None` where it may come from the side.
    pub hover_m: Option<f64>,
    /// The reach descends no further below this height of the tool.
    pub reach_floor_m: f64,
    /// Height of the tool at the end of the lift.
    pub lift_m: f64,
    /// Height of the tool over the card's centre at the end of the carry.
    pub carry_m: f64,
    /// From the tool to where the cube is held, in the world, at the gripper's rotation at home.
    pub grip_from_tool_m: [f64; 3],
    /// The gripper's action that lets the cube in and out, 0 to 1.
    pub open: f32,
}

impl Setup {
    /// The cell of an arm, by the arm's name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|setup| setup.name == name)
    }

    /// The arm.
    ///
    /// # Panics
    /// Never: the files built into this crate are read by its tests.
    #[must_use]
    pub fn arm(&self) -> ArmDescription {
        ArmDescription::from_toml(self.arm_toml)
            .expect("the arms built into this crate are read by its tests")
    }

    /// From the last joint's frame to the tool.
    #[must_use]
    pub fn tool(&self) -> Isometry3<f64> {
        let [x, y, z] = self.tool_m;
        Isometry3::translation(x, y, z)
    }

    /// The base of the arm in the world frame.
    #[must_use]
    pub fn base_in_world(&self) -> Isometry3<f64> {
        let [x, y, z] = self.base_in_world_m;
        Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::identity())
    }

    /// Where the arm stands and may work.
    #[must_use]
    pub fn control_config(&self) -> ControlConfig {
        let [min_m, max_m] = self.workspace_m.map(Vector3::from);
        let workspace = Workspace { min_m, max_m };
        ControlConfig::new(self.base_in_world(), workspace, UNITS, self.control_hz)
    }

    /// Step of the physics and of the firmware, seconds.
    #[must_use]
    pub fn substep_s(&self) -> f64 {
        self.substep_us as f64 / 1e6
    }
}

impl PartialEq for Setup {
    /// Cells differ by their names.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Setup").field(&self.name).finish()
    }
}

/// The benchmark's arm: the WidowX 250S.
#[must_use]
pub fn arm() -> ArmDescription {
    WX250S.arm()
}

/// Where the benchmark's arm stands and may work.
#[must_use]
pub fn control_config() -> ControlConfig {
    WX250S.control_config()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_sound() {
        for setup in ALL {
            let (arm, layout) = (setup.arm(), setup.layout);
            assert_eq!(arm.name(), setup.name);
            assert_eq!(*arm.tool(), setup.tool());
            assert_eq!(Setup::of(setup.name), Some(setup));
            assert!(!setup.cameras.is_empty());
            // The time of a control step is whole substeps.
            let steps = 1e6 / setup.control_hz / setup.substep_us as f64;
            assert!((steps - steps.round()).abs() < 1e-3, "{steps}");
            // No cube begins where it counts as placed.
            let placed_m = layout.card_half_size_m * std::f64::consts::SQRT_2;
            for card in layout.card_centres_xy {
                let near: f64 = (0..2)
                    .map(|axis| {
                        let apart = (card[axis] - layout.cube_centre_xy[axis]).abs();
                        (apart - layout.card_jitter_m - layout.cube_jitter_m).max(0.0)
                    })
                    .map(|apart| apart * apart)
                    .sum();
                assert!(near.sqrt() > placed_m, "{} {near}", setup.name);
            }
            // The frames that are named exist.
            let frames = arm.joints().len() + 1;
            assert!(setup.low_links.iter().all(|link| *link < frames));
            assert!(setup.body.iter().all(|part| part.link <= frames));
        }
        assert_eq!(Setup::of("so100"), None);
    }
}
