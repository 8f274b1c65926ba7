//! Where the arm stands, where it may work, and how fast control runs.

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

/// What the controller needs to know beyond the arm itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlConfig {
    /// The arm's base in the world. The world's z axis points up.
    pub base_in_world: Isometry3<f64>,
    /// Where target poses of the tool are kept.
    pub workspace: Workspace,
    /// Time between two actions.
    pub control_period_us: u64,
    /// After so long without telemetry the arm is given up.
    pub telemetry_timeout_us: u64,
    /// How long the board may take to answer the handshake.
    pub connect_timeout_us: u64,
}

impl Default for ControlConfig {
    /// The GrinningFace table: the base 0.1 m above the table at (-0.25, 0.7), 20 Hz, and a box
    /// around everything that the task touches. The tool may go down to the table top at z = 0,
    /// since the cube on it is 0.03 m high.
    fn default() -> Self {
        Self {
            base_in_world: Isometry3::translation(-0.25, 0.7, 0.1),
            workspace: Workspace {
                min_m: Vector3::new(-0.2, 0.2, 0.0),
                max_m: Vector3::new(0.5, 1.2, 0.6),
            },
            control_period_us: 50_000,
            telemetry_timeout_us: 150_000,
            connect_timeout_us: 2_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_points_inside_and_moves_others_to_its_face() {
        let workspace = ControlConfig::default().workspace;
        let inside = Point3::new(0.1, 0.7, 0.05);
        assert_eq!(workspace.clamp(&inside), inside);
        assert_eq!(
            workspace.clamp(&Point3::new(0.1, 9.0, -1.0)),
            Point3::new(0.1, 1.2, 0.0)
        );
    }
}
