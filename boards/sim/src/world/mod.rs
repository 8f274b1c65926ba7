//! The physics of the table: objects that are free, an arm that is moved, everything else fixed.
//!
//! The arm's hand is kinematic: servos decide where it goes (see [`crate::servos`]), contact decides when it must stop
//! (`guard`, [`Contacts::fingers_hold`]). An object is held by friction alone. rapier's single-precision
//! glam types stay inside this folder.

mod build;
mod contact;
pub(crate) mod guard;
pub mod shape;

pub use contact::Contacts;

use crate::table::Table;
use build::Handles;
use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use rapier3d::math::{Pose, Rotation, Vector};
use rapier3d::prelude::{PhysicsWorld, RigidBody};
use shape::Hand;

/// The table with everything on it.
pub struct World {
    physics: PhysicsWorld,
    handles: Handles,
    /// For each object: further from the tool point than this, its centre is out of the hand's reach.
    reach_m: Vec<f32>,
    contacts: Contacts,
    hand: Hand,
    substep_s: f64,
}

/// Where the moved parts of the arm are, in the world frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandPose {
    /// The tool frame: x points out between the fingertips.
    pub tool: Isometry3<f64>,
    /// Position of the gripper as its wire has it: the travel of each finger from the middle, or of a jaw's tip, metres.
    pub finger_m: f64,
}

impl World {
    /// Sets the table: the objects at rest, the hand at its pose, the cards fixed unless [`move_cards`](Self::move_cards) is to
    /// move them.
    #[must_use]
    pub fn new(table: &Table, hand: &HandPose, cards_move: bool) -> Self {
        let (physics, handles) = build::build(table, hand, cards_move);
        let reach_m = table.objects.iter().map(|object| {
            let [x, y, z] = object.solid.half_extents_m();
            table.setup.hand.radius_m + (x * x + y * y + z * z).sqrt() as f32
        });
        Self {
            physics,
            handles,
            reach_m: reach_m.collect(),
            contacts: Contacts::default(),
            hand: table.setup.hand,
            substep_s: table.setup.substep_s(),
        }
    }

    /// Lets the cards slide to where the table has them during the next step, with what lies on them.
    pub fn move_cards(&mut self, table: &Table) {
        for (handle, card) in self.handles.cards.iter().zip(&table.cards) {
            if let Some(body) = self.physics.bodies.get_mut(*handle) {
                body.set_next_kinematic_position(build::card_pose(card));
            }
        }
    }

    /// Moves the hand to `hand` over one substep, and everything it touches.
    pub fn step(&mut self, hand: &HandPose) {
        let bodies = self.hand.bodies(&hand.tool, hand.finger_m);
        for (handle, pose) in self.handles.hand.into_iter().zip(bodies) {
            if let Some(body) = self.physics.bodies.get_mut(handle) {
                body.set_next_kinematic_position(pose_of(&pose));
            }
        }
        self.physics.step();
        self.contacts = contact::read(&self.physics, &self.handles, &self.hand, self.substep_s);
    }

    /// The objects' centres and orientations in the world, in the table's order.
    pub fn objects(&self) -> impl Iterator<Item = Isometry3<f64>> + '_ {
        (0..self.handles.objects.len()).map(|object| isometry_of(self.body(object).position()))
    }

    /// The centre and orientation of the object that the episode is about.
    #[must_use]
    pub fn cube(&self) -> Isometry3<f64> {
        isometry_of(self.body(0).position())
    }

    /// Its speed in metres per second.
    #[must_use]
    pub fn cube_speed(&self) -> f64 {
        f64::from(self.body(0).linvel().length())
    }

    /// The forces of the last substep.
    #[must_use]
    pub const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// How deep each finger sinks into the first object, metres; 0 where they do not overlap.
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
            0,
            self.body(0).position(),
        );
        [left, right]
    }

    /// How deep the hand, moved to `hand`, would sink into an object that is not held, if all kept their velocity for a
    /// substep, metres.
    #[must_use]
    pub fn depth_m(&self, hand: &HandPose) -> f64 {
        (0..self.handles.objects.len())
            .filter(|&object| self.contacts.held != Some(object))
            .map(|object| self.depth_in_m(object, hand))
            .fold(0.0, f64::max)
    }

    fn depth_in_m(&self, object: usize, hand: &HandPose) -> f64 {
        let body = self.body(object);
        let ahead = body.position().translation + body.linvel() * self.substep_s as f32;
        let tool = hand.tool.translation.vector.cast::<f32>();
        if (ahead - Vector::new(tool.x, tool.y, tool.z)).length() > self.reach_m[object] {
            return 0.0;
        }
        let pose = Pose::from_parts(ahead, body.position().rotation);
        contact::depths_m(
            &self.physics,
            &self.handles,
            &self
                .hand
                .bodies(&hand.tool, hand.finger_m)
                .map(|part| pose_of(&part)),
            object,
            &pose,
        )
        .into_iter()
        .fold(0.0, f64::max)
    }

    /// Calls `visit` with every number that decides what happens next, in a fixed order.
    pub fn visit_state(&self, mut visit: impl FnMut(f32)) {
        for object in 0..self.handles.objects.len() {
            let body = self.body(object);
            let pose = body.position();
            let place = pose.translation.to_array().into_iter();
            place.chain(pose.rotation.to_array()).for_each(&mut visit);
            let velocity = body.linvel().to_array().into_iter();
            velocity
                .chain(body.angvel().to_array())
                .for_each(&mut visit);
        }
        for value in self.contacts.finger_n {
            visit(value as f32);
        }
    }

    fn body(&self, object: usize) -> &RigidBody {
        &self.physics.bodies[self.handles.objects[object].0]
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
    use crate::scene::{CUBE_EDGE_M, Scene, Split};
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
        let mut world = World::new(&Table::from(&scene), &away, false);
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
            .contact_pairs_with(world.handles.objects[0].1)
            .map(|pair| f64::from(pair.total_impulse().z).abs() / world.substep_s)
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
            let mut world = World::new(
                &Table::from(&scene),
                &hand(x, y + offset_m, 0.027, finger_m),
                false,
            );
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
                world.contacts().held.is_some(),
                grasped,
                "offset {offset_m}: {:?}",
                world.contacts()
            );
        }
    }

    #[test]
    fn a_card_that_slides_takes_the_cube_on_it_along() {
        let scene = Scene::new(Split::Train, 1);
        let away = hand(0.0, 0.7, 0.4, 0.037);
        let mut table = Table::from(&scene);
        table.objects[0].centre_xy = table.cards[1].centre_xy;
        let start_y = table.cards[1].centre_xy[1];
        let mut world = World::new(&table, &away, true);
        for _ in 0..100 {
            for card in &mut table.cards {
                card.centre_xy[1] += 0.05 * world.substep_s;
            }
            world.move_cards(&table);
            world.step(&away);
        }
        let cube = world.cube().translation.vector;
        let slid_m = 100.0 * 0.05 * world.substep_s;
        assert!((cube.y - start_y - slid_m).abs() < 2e-3, "{cube}");
        assert!((cube.z - CUBE_EDGE_M / 2.0).abs() < 5e-3, "{cube}");
    }

    #[test]
    fn depth_is_that_of_the_hand_moved() {
        let scene = Scene::new(Split::Train, 3);
        let [x, y] = scene.cube_xy;
        let world = World::new(&Table::from(&scene), &hand(x, y, 0.2, 0.037), false);
        assert_eq!(world.depth_m(&hand(x, y, 0.2, 0.037)), 0.0);
        assert_eq!(world.depth_m(&hand(x, y, 0.03, 0.02)), 0.0);
        let depth_m = world.depth_m(&hand(x, y, 0.03, 0.013));
        assert!((depth_m - 0.002).abs() < 1e-5, "{depth_m}");
        assert_eq!(world.finger_penetration_m(), [0.0; 2]);
    }
}
