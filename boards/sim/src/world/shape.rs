//! The hand's shape, shared by physics and picture. Boxes in the tool frame: x points out between the fingertips, y from
//! the right finger to the left; the tool point lies between the pads.

use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};

/// A box: centre and half extents in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandBox {
    /// Centre in the tool frame.
    pub centre_m: [f64; 3],
    /// Half the edges.
    pub half_m: [f64; 3],
}

/// What of an arm touches objects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hand {
    /// What carries the fingers, in the tool frame.
    pub palm: HandBox,
    /// The fingers.
    pub fingers: Fingers,
    /// No part of the hand is further than this from the tool point.
    pub radius_m: f32,
    /// Position of the gripper (m, as its wire has it) at which the pads meet.
    pub pads_meet_m: f64,
}

/// How two fingers grasp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fingers {
    /// Both slide along y, mirrored; the gripper's position is the travel of one from the middle.
    Parallel {
        /// The left finger at travel 0, in the tool frame: its pad lies in the plane y = 0. The right one is its mirror image.
        left: HandBox,
        /// How far the fingertips reach past the tool point.
        tip_reach_m: f64,
    },
    /// One is fixed, the other turns towards it; the gripper's position is the way of its tip from where it points along x.
    OneJaw {
        /// The fixed one, in the tool frame. It grasps with its face towards z.
        fixed: HandBox,
        /// The moving one, in a frame at its axis whose x points along it. It grasps with its face towards -z.
        moving: HandBox,
        /// The moving one's axis, in the tool frame. It turns about -y: z is where it opens to.
        pivot_m: [f64; 3],
        /// From that axis to the tip.
        lever_m: f64,
    },
}

/// How far the WidowX 250S' fingertips reach past the tool point.
pub const FINGERTIP_REACH_M: f64 = 0.02;

/// The WidowX 250S' left finger when its travel is 0.
pub const LEFT_FINGER: HandBox = HandBox {
    centre_m: [-0.005, 0.005, 0.0],
    half_m: [0.025, 0.005, 0.008],
};

/// The bar that carries the WidowX 250S' fingers.
pub const PALM: HandBox = HandBox {
    centre_m: [-0.05, 0.0, 0.0],
    half_m: [0.02, 0.055, 0.02],
};

impl Hand {
    /// Palm, left or fixed finger, right or moving finger: each in the frame that [`bodies`](Self::bodies) gives it.
    #[must_use]
    pub const fn shapes(&self) -> [HandBox; 3] {
        match self.fingers {
            Fingers::Parallel { left, .. } => [self.palm, left, mirrored(left)],
            Fingers::OneJaw { fixed, moving, .. } => [self.palm, fixed, moving],
        }
    }

    /// Poses in the world of palm, left or fixed, and right or moving finger.
    #[must_use]
    pub fn bodies(&self, tool_in_world: &Isometry3<f64>, gripper_m: f64) -> [Isometry3<f64>; 3] {
        let tool = *tool_in_world;
        match &self.fingers {
            Fingers::Parallel { .. } => [
                tool,
                tool * Translation3::new(0.0, gripper_m, 0.0),
                tool * Translation3::new(0.0, -gripper_m, 0.0),
            ],
            Fingers::OneJaw {
                pivot_m, lever_m, ..
            } => [tool, tool, tool * jaw_in_tool(pivot_m, *lever_m, gripper_m)],
        }
    }

    /// The direction in which each finger opens, in its own frame.
    #[must_use]
    pub fn openings(&self) -> [Vector3<f64>; 2] {
        let axis = match self.fingers {
            Fingers::Parallel { .. } => Vector3::y(),
            Fingers::OneJaw { .. } => -Vector3::z(),
        };
        [axis, -axis]
    }

    /// Calls `visit` with the points of the hand that come lowest when it points down, in the tool frame.
    pub fn each_corner(&self, gripper_m: f64, mut visit: impl FnMut(Point3<f64>)) {
        match &self.fingers {
            Fingers::Parallel { left, tip_reach_m } => {
                let [_, finger_y, _] = left.centre_m;
                let [_, half_y, half_z] = left.half_m;
                let outside = gripper_m + finger_y + half_y;
                let tips = [gripper_m, outside]
                    .into_iter()
                    .map(|y| (*tip_reach_m, y, half_z));
                let palm = self.palm;
                let palm = [palm.half_m[0], -palm.half_m[0]]
                    .into_iter()
                    .map(|x| (palm.centre_m[0] + x, palm.half_m[1], palm.half_m[2]));
                for (x, y, z) in tips.chain(palm) {
                    for (y, z) in [(y, z), (y, -z), (-y, z), (-y, -z)] {
                        visit(Point3::new(x, y, z));
                    }
                }
            }
            Fingers::OneJaw {
                fixed,
                moving,
                pivot_m,
                lever_m,
            } => {
                self.palm.each_corner(&mut visit);
                fixed.each_corner(&mut visit);
                let jaw = jaw_in_tool(pivot_m, *lever_m, gripper_m);
                moving.each_corner(|corner| visit(jaw * corner));
            }
        }
    }
}

/// The frame of a moving jaw.
fn jaw_in_tool([x, y, z]: &[f64; 3], lever_m: f64, gripper_m: f64) -> Isometry3<f64> {
    let turn = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), -gripper_m / lever_m);
    Isometry3::from_parts(Translation3::new(*x, *y, *z), turn)
}

impl HandBox {
    fn each_corner(&self, mut visit: impl FnMut(Point3<f64>)) {
        let [[x, y, z], [hx, hy, hz]] = [self.centre_m, self.half_m];
        for sx in [-hx, hx] {
            for sy in [-hy, hy] {
                for sz in [-hz, hz] {
                    visit(Point3::new(x + sx, y + sy, z + sz));
                }
            }
        }
    }
}

/// A finger's mirror image.
const fn mirrored(finger: HandBox) -> HandBox {
    let HandBox {
        centre_m: [x, y, z],
        half_m,
    } = finger;
    HandBox {
        centre_m: [x, -y, z],
        half_m,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::SO101;

    /// Height above the fixed jaw's face of the moving jaw's inner face, at its tip and half-way, and how far out the tip is.
    fn gap(gripper_m: f64) -> [f64; 3] {
        let [_, _, moving] = SO101.hand.shapes();
        let [tool, _, jaw] = SO101.hand.bodies(&Isometry3::identity(), gripper_m);
        assert_eq!(tool, Isometry3::identity());
        let inner = |x: f64| jaw * Point3::new(x, 0.0, moving.centre_m[2] - moving.half_m[2]);
        let tip = inner(moving.centre_m[0] + moving.half_m[0]);
        [tip.z, inner(moving.centre_m[0]).z, tip.x]
    }

    #[test]
    fn a_closed_jaw_meets_the_fixed_one_at_its_tip_and_an_open_one_lets_a_cube_in() {
        let [tip, _, out] = gap(SO101.hand.pads_meet_m);
        assert!(tip.abs() < 1e-3 && out.abs() < 5e-3, "{tip} {out}");
        // Around a cube of 3 cm.
        let lever_m = 0.0747;
        let [tip, middle, _] = gap(15.0_f64.to_radians() * lever_m);
        assert!(tip > 0.028 && tip < 0.036, "{tip}");
        assert!(middle < tip, "{middle}");
        let [tip, ..] = gap(49.0_f64.to_radians() * lever_m);
        assert!(tip > 0.06, "{tip}");
    }
}
