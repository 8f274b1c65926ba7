//! The physics of the table: a cube that is free, an arm that is moved, everything else fixed.
//!
//! The arm's hand is kinematic: servos decide where it goes (see [`crate::servos`]), contact decides when it must stop
//! (`guard`, [`Contacts::fingers_hold`]). The cube is held by friction alone. rapier's single-precision
//! glam types stay inside this folder.

mod build;
mod contact;
pub(crate) mod guard;
pub mod shape;

pub use contact::Contacts;

use crate::scene::Scene;
use build::Handles;
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use rapier3d::math::{Pose, Rotation, Vector};
use rapier3d::prelude::PhysicsWorld;

/// Physics substep in microseconds; five make one control step.
pub const SUBSTEP_US: u64 = 10_000;
/// Physics substep in seconds.
pub const SUBSTEP_S: f64 = 0.01;

/// No part of the hand is further than this from the tool point and near enough to touch the cube's centre.
const HAND_RADIUS_M: f32 = 0.13;

/// The table with everything on it.
pub struct World {
    physics: PhysicsWorld,
    handles: Handles,
    contacts: Contacts,
}

/// Where the moved parts of the arm are, in the world frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandPose {
    /// The tool frame: x points out between the fingertips, y from the right finger to the left.
    pub tool: Isometry3<f64>,
    /// Travel of each finger from the middle, metres.
    pub finger_m: f64,
}

impl World {
    /// Sets the table: the cube at rest, the hand at its pose.
    #[must_use]
    pub fn new(scene: &Scene, hand: &HandPose) -> Self {
        let (physics, handles) = build::build(scene, hand);
        Self {
            physics,
            handles,
            contacts: Contacts::default(),
        }
    }

    /// Moves the hand to `hand` over one substep of [`SUBSTEP_US`], and everything it touches.
    pub fn step(&mut self, hand: &HandPose) {
        for (handle, pose) in self.handles.hand.into_iter().zip(hand.bodies()) {
            if let Some(body) = self.physics.bodies.get_mut(handle) {
                body.set_next_kinematic_position(pose_of(&pose));
            }
        }
        self.physics.step();
        self.contacts = contact::read(&self.physics, &self.handles);
    }

    /// The cube's centre and orientation in the world.
    #[must_use]
    pub fn cube(&self) -> Isometry3<f64> {
        isometry_of(self.cube_body().position())
    }

    /// The cube's speed in metres per second.
    #[must_use]
    pub fn cube_speed(&self) -> f64 {
        f64::from(self.cube_body().linvel().length())
    }

    /// The forces of the last substep.
    #[must_use]
    pub const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// How deep each finger sinks into the cube, metres; 0 where they do not overlap.
    #[must_use]
    pub fn finger_penetration_m(&self) -> [f64; 2] {
        let hand = self
            .handles
            .hand
            .map(|part| *self.physics.bodies[part].position());
        let [_, left, right] = contact::depths_m(
            &self.physics,
            &self.handles,
            &hand,
            self.cube_body().position(),
        );
        [left, right]
    }

    /// How deep the hand, moved to `hand`, would sink into the cube if the cube kept its velocity for a substep, metres.
    #[must_use]
    pub fn depth_m(&self, hand: &HandPose) -> f64 {
        let cube = self.cube_body();
        let ahead = cube.position().translation + cube.linvel() * SUBSTEP_S as f32;
        let tool = hand.tool.translation.vector.cast::<f32>();
        if (ahead - Vector::new(tool.x, tool.y, tool.z)).length() > HAND_RADIUS_M {
            return 0.0;
        }
        let cube_pose = Pose::from_parts(ahead, cube.position().rotation);
        contact::depths_m(
            &self.physics,
            &self.handles,
            &hand.bodies().map(|part| pose_of(&part)),
            &cube_pose,
        )
        .into_iter()
        .fold(0.0, f64::max)
    }

    /// Calls `visit` with every number that decides what happens next, in a fixed order.
    pub fn visit_state(&self, mut visit: impl FnMut(f32)) {
        let body = self.cube_body();
        let pose = body.position();
        for value in pose
            .translation
            .to_array()
            .into_iter()
            .chain(pose.rotation.to_array())
        {
            visit(value);
        }
        for value in body
            .linvel()
            .to_array()
            .into_iter()
            .chain(body.angvel().to_array())
        {
            visit(value);
        }
        for value in self.contacts.finger_n {
            visit(value as f32);
        }
    }

    fn cube_body(&self) -> &rapier3d::prelude::RigidBody {
        &self.physics.bodies[self.handles.cube]
    }
}

impl HandPose {
    /// Poses of palm, left and right finger.
    fn bodies(&self) -> [Isometry3<f64>; 3] {
        [
            self.tool,
            self.tool * Translation3::new(0.0, self.finger_m, 0.0),
            self.tool * Translation3::new(0.0, -self.finger_m, 0.0),
        ]
    }
}

fn pose_of(isometry: &Isometry3<f64>) -> Pose {
    let t = isometry.translation.vector;
    let r = isometry.rotation;
    Pose::from_parts(
        Vector::new(t.x as f32, t.y as f32, t.z as f32),
        Rotation::from_xyzw(r.i as f32, r.j as f32, r.k as f32, r.w as f32).normalize(),
    )
}

fn isometry_of(pose: &Pose) -> Isometry3<f64> {
    let t = pose.translation;
    let r = pose.rotation;
    Isometry3::from_parts(
        Translation3::new(f64::from(t.x), f64::from(t.y), f64::from(t.z)),
        UnitQuaternion::from_quaternion(Quaternion::new(
            f64::from(r.w),
            f64::from(r.x),
            f64::from(r.y),
            f64::from(r.z),
        )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{CUBE_EDGE_M, Split};
    use std::f64::consts::FRAC_PI_2;

    fn hand(x: f64, y: f64, z: f64, finger_m: f64) -> HandPose {
        let down = UnitQuaternion::from_axis_angle(&nalgebra::Vector3::y_axis(), FRAC_PI_2);
        HandPose {
            tool: Isometry3::from_parts(Translation3::new(x, y, z), down),
            finger_m,
        }
    }

    #[test]
    fn left_alone_the_cube_lies_still_and_weighs_27_g() {
        let scene = Scene::new(Split::Train, 1);
        let away = hand(0.0, 0.7, 0.4, 0.037);
        let mut world = World::new(&scene, &away);
        for _ in 0..500 {
            world.step(&away);
        }
        let cube = world.cube().translation.vector;
        assert!(
            (cube.x - scene.cube_xy[0]).abs() < 1e-4 && (cube.y - scene.cube_xy[1]).abs() < 1e-4,
            "{cube}"
        );
        assert!((cube.z - CUBE_EDGE_M / 2.0).abs() < 5e-4, "{cube}");
        assert!(world.cube_speed() < 1e-3);
        let weight_n: f64 = world
            .physics
            .narrow_phase
            .contact_pairs_with(world.handles.cube_collider)
            .map(|pair| f64::from(pair.total_impulse().z).abs() / SUBSTEP_S)
            .sum();
        assert!(
            (weight_n - 0.027 * 9.81).abs() < 0.01,
            "impulses say {weight_n} N"
        );
    }

    #[test]
    fn closing_around_the_cube_grasps_it_and_one_finger_alone_only_pushes() {
        let scene = Scene::new(Split::Train, 2);
        let [x, y] = scene.cube_xy;
        // The hand's offset along the opening direction, and how far the fingers close.
        for (offset_m, closed_m, grasped) in [(0.0, 0.01, true), (0.012, 0.024, false)] {
            let mut finger_m = 0.03;
            let mut world = World::new(&scene, &hand(x, y + offset_m, 0.027, finger_m));
            let mut touched = false;
            for _ in 0..60 {
                if finger_m > closed_m && !world.contacts().fingers_hold() {
                    finger_m -= 0.0005;
                }
                world.step(&hand(x, y + offset_m, 0.027, finger_m));
                touched |= world.contacts().fingers_touch();
            }
            assert!(touched, "offset {offset_m}");
            assert_eq!(
                world.contacts().grasped(),
                grasped,
                "offset {offset_m}: {:?}",
                world.contacts()
            );
        }
    }

    #[test]
    fn depth_is_that_of_the_hand_moved() {
        let scene = Scene::new(Split::Train, 3);
        let [x, y] = scene.cube_xy;
        let world = World::new(&scene, &hand(x, y, 0.2, 0.037));
        assert_eq!(world.depth_m(&hand(x, y, 0.2, 0.037)), 0.0);
        assert_eq!(world.depth_m(&hand(x, y, 0.03, 0.02)), 0.0);
        let depth_m = world.depth_m(&hand(x, y, 0.03, 0.013));
        assert!((depth_m - 0.002).abs() < 1e-5, "{depth_m}");
        assert_eq!(world.finger_penetration_m(), [0.0; 2]);
    }
}
