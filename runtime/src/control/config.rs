//! Where the arm stands, where it may work, and the units of its actions.

use nalgebra::{Isometry3, Point3, Vector3};

/// An upright box in the world that target poses are kept in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workspace {
    /// Lowest x, y, z (m).
    pub min_m: Vector3<f64>,
    /// Highest x, y, z (m).
    pub max_m: Vector3<f64>,
}

impl Workspace {
    /// The point of the box nearest to `point`.
    #[must_use]
    pub fn clamp(&self, point: &Point3<f64>) -> Point3<f64> {
        Point3::from(point.coords.sup(&self.min_m).inf(&self.max_m))
    }
}

/// What 1 means in an end-effector delta and in the proprioception.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndEffectorUnits {
    /// In dx, dy and dz.
    pub translation_m: f64,
    /// In droll, dpitch and dyaw.
    pub rotation_rad: f64,
    /// In the proprioception's gripper: the distance between the fingers.
    pub finger_distance_m: f64,
}

/// What the controller needs to know beyond the arm itself and the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlConfig {
    /// The arm's base in the world. The world's z axis points up.
    pub base_in_world: Isometry3<f64>,
    /// Where target poses of the tool are kept.
    pub workspace: Workspace,
    /// The units of actions and proprioception.
    pub units: EndEffectorUnits,
    /// Actions a second of a policy that takes any rate.
    pub control_hz: f64,
    /// After so long without telemetry the arm is given up.
    pub telemetry_timeout_us: u64,
    /// A frame that is so old when it comes is not acted on.
    pub frame_timeout_us: u64,
    /// How long the board may take to answer the handshake.
    pub connect_timeout_us: u64,
    /// How long the arm holds for cameras whose frames are too old or repeat before the episode ends; 0: it ends at once.
    pub frame_patience_us: u64,
    /// A camera that gives the same picture for so long is frozen; `None` where equal pictures are right, as in simulation.
    pub frozen_after_us: Option<u64>,
}

impl ControlConfig {
    /// Telemetry may be missing for 150 ms, a frame be 500 ms old, the answer to the handshake be missing for 2 s. Cameras
    /// are not waited for, and may repeat pictures.
    #[must_use]
    pub const fn new(
        base_in_world: Isometry3<f64>,
        workspace: Workspace,
        units: EndEffectorUnits,
        control_hz: f64,
    ) -> Self {
        Self {
            base_in_world,
            workspace,
            units,
            control_hz,
            telemetry_timeout_us: 150_000,
            frame_timeout_us: 500_000,
            connect_timeout_us: 2_000_000,
            frame_patience_us: 0,
            frozen_after_us: None,
        }
    }
}

/// An arm on a table, for tests.
#[cfg(test)]
pub(crate) fn on_a_table() -> ControlConfig {
    ControlConfig::new(
        Isometry3::translation(-0.25, 0.7, 0.1),
        Workspace {
            min_m: Vector3::new(-0.2, 0.2, 0.0),
            max_m: Vector3::new(0.5, 1.2, 0.6),
        },
        EndEffectorUnits {
            translation_m: 0.1,
            rotation_rad: 0.1,
            finger_distance_m: 0.08,
        },
        20.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_points_inside_and_moves_others_to_its_face() {
        let workspace = on_a_table().workspace;
        let inside = Point3::new(0.1, 0.7, 0.05);
        assert_eq!(workspace.clamp(&inside), inside);
        assert_eq!(
            workspace.clamp(&Point3::new(0.1, 9.0, -1.0)),
            Point3::new(0.1, 1.2, 0.0)
        );
    }
}
