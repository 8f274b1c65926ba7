//! What the hand feels of the objects.

use super::build::Handles;
use super::isometry_of;
use super::shape::Hand;
use nalgebra::Vector3;
use rapier3d::math::Pose;
use rapier3d::parry::query;
use rapier3d::parry::shape::Shape;
use rapier3d::prelude::{ColliderHandle, PhysicsWorld};

/// A finger meets resistance from here on.
const TOUCH_FORCE_N: f64 = 0.1;
/// Fingers stop closing when both feel more than this.
const HOLD_FORCE_N: f64 = 1.0;
/// A single finger, or the hand against the table, gives in above this.
const STALL_FORCE_N: f64 = 30.0;
/// An object counts as grasped when both fingers feel at least this.
const GRASP_FORCE_N: f64 = 0.5;
/// cos 85 deg: a grasping force lies within 85 degrees of the finger's opening direction.
const GRASP_COS: f64 = 0.087_155_742_747_658_17;

/// Forces of all objects on the hand, of the last substep, in newtons and the world frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Contacts {
    /// How hard the left and the right finger are pushed on.
    pub finger_n: [f64; 2],
    /// Index of the object that both fingers hold: each feels at least 0.5 N of it, within 85 degrees of its opening direction.
    pub held: Option<usize>,
    /// Sum over palm and fingers.
    pub hand_n: Vector3<f64>,
}

impl Contacts {
    /// Whether a finger feels an object.
    #[must_use]
    pub fn fingers_touch(&self) -> bool {
        self.finger_n.iter().any(|&force| force > TOUCH_FORCE_N)
    }

    /// Whether the fingers must not close any further: something is held, or one of them is blocked.
    #[must_use]
    pub fn fingers_hold(&self) -> bool {
        self.finger_n.iter().all(|&force| force > HOLD_FORCE_N)
            || self.finger_n.iter().any(|&force| force > STALL_FORCE_N)
    }

    /// The direction against which the hand must not move, where it already pushes with more than the servos' force.
    pub(super) fn way_out(&self) -> Option<Vector3<f64>> {
        let force_n = self.hand_n.norm();
        (force_n > STALL_FORCE_N).then(|| self.hand_n / force_n)
    }
}

pub(super) fn read(
    physics: &PhysicsWorld,
    handles: &Handles,
    hand: &Hand,
    substep_s: f64,
) -> Contacts {
    let openings = hand.openings();
    let mut contacts = Contacts::default();
    let mut on_fingers = [Vector3::zeros(); 2];
    for (object, &(_, object_collider)) in handles.objects.iter().enumerate() {
        let mut gripping = 0;
        for (part, collider) in handles.hand_colliders.into_iter().enumerate() {
            let Some(force) = force_on(physics, collider, object_collider, substep_s) else {
                continue;
            };
            contacts.hand_n += force;
            let Some(finger) = part.checked_sub(1) else {
                continue;
            };
            on_fingers[finger] += force;
            let magnitude = force.norm();
            let opening = isometry_of(physics.bodies[handles.hand[part]].position()).rotation
                * openings[finger];
            if magnitude >= GRASP_FORCE_N && force.dot(&opening) / magnitude >= GRASP_COS {
                gripping += 1;
            }
        }
        if gripping == 2 {
            contacts.held = Some(object);
        }
    }
    contacts.finger_n = on_fingers.map(|force| force.norm());
    contacts
}

/// The force of an object on a part of the hand, if they touch.
fn force_on(
    physics: &PhysicsWorld,
    part: ColliderHandle,
    object: ColliderHandle,
    substep_s: f64,
) -> Option<Vector3<f64>> {
    let pair = physics.narrow_phase.contact_pair(part, object)?;
    // The impulse is that on the pair's second collider.
    let sign = if pair.collider1 == part { -1.0 } else { 1.0 };
    let impulse = pair.total_impulse();
    Some(Vector3::new(impulse.x, impulse.y, impulse.z).cast::<f64>() * (sign / substep_s))
}

/// How deep palm, left and right finger sink into an object when the hand's parts and the object are at these poses, metres.
pub(super) fn depths_m(
    physics: &PhysicsWorld,
    handles: &Handles,
    hand: &[Pose; 3],
    object: usize,
    object_pose: &Pose,
) -> [f64; 3] {
    let (shape, in_body) = placed(physics, handles.objects[object].1);
    let object_pose = object_pose * in_body;
    std::array::from_fn(|part| {
        let (part_shape, in_body) = placed(physics, handles.hand_colliders[part]);
        query::contact(
            &(hand[part] * in_body),
            part_shape,
            &object_pose,
            shape,
            0.0,
        )
        .ok()
        .flatten()
        .map_or(0.0, |contact| f64::from(-contact.dist).max(0.0))
    })
}

/// A collider's shape, and where its body has it.
fn placed(physics: &PhysicsWorld, collider: ColliderHandle) -> (&dyn Shape, Pose) {
    let collider = &physics.colliders[collider];
    let in_body = collider
        .position_wrt_parent()
        .copied()
        .unwrap_or(Pose::IDENTITY);
    (collider.shape(), in_body)
}
