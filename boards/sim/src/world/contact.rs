//! What the hand feels of the cube.

use super::build::Handles;
use super::{SUBSTEP_S, isometry_of};
use nalgebra::Vector3;
use rapier3d::math::Pose;
use rapier3d::parry::query;
use rapier3d::prelude::PhysicsWorld;

/// A finger meets resistance from here on.
const TOUCH_FORCE_N: f64 = 0.1;
/// Fingers stop closing when both feel more than this.
const HOLD_FORCE_N: f64 = 1.0;
/// A single finger, or the hand against the table, gives in above this.
const STALL_FORCE_N: f64 = 30.0;
/// The cube counts as grasped when both fingers feel at least this.
const GRASP_FORCE_N: f64 = 0.5;
/// cos 85 deg: a grasping force lies within 85 degrees of the finger's opening direction.
const GRASP_COS: f64 = 0.087_155_742_747_658_17;

/// Forces of the cube on the hand, of the last substep, in newtons and the world frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Contacts {
    /// How hard the cube pushes on the left and on the right finger.
    pub finger_n: [f64; 2],
    /// Cosine of the angle between that push and the finger's opening direction.
    pub(super) finger_cos: [f64; 2],
    /// Sum over palm and fingers.
    pub hand_n: Vector3<f64>,
}

impl Contacts {
    /// Whether both fingers push on the cube with at least 0.5 N within 85 degrees of their opening direction.
    #[must_use]
    pub fn grasped(&self) -> bool {
        (0..2).all(|finger| {
            self.finger_n[finger] >= GRASP_FORCE_N && self.finger_cos[finger] >= GRASP_COS
        })
    }

    /// Whether a finger feels the cube.
    #[must_use]
    pub fn fingers_touch(&self) -> bool {
        self.finger_n.iter().any(|&force| force > TOUCH_FORCE_N)
    }

    /// Whether the fingers must not close any further: the cube is held, or one of them is blocked.
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

pub(super) fn read(physics: &PhysicsWorld, handles: &Handles) -> Contacts {
    let mut contacts = Contacts::default();
    for (part, collider) in handles.hand_colliders.into_iter().enumerate() {
        let Some(pair) = physics
            .narrow_phase
            .contact_pair(collider, handles.cube_collider)
        else {
            continue;
        };
        // The impulse is that on the pair's second collider.
        let sign = if pair.collider1 == collider {
            -1.0
        } else {
            1.0
        };
        let impulse = pair.total_impulse();
        let force =
            Vector3::new(impulse.x, impulse.y, impulse.z).cast::<f64>() * (sign / SUBSTEP_S);
        contacts.hand_n += force;
        let Some(finger) = part.checked_sub(1) else {
            continue;
        };
        let magnitude = force.norm();
        contacts.finger_n[finger] = magnitude;
        if magnitude > 0.0 {
            let y =
                isometry_of(physics.bodies[handles.hand[part]].position()).rotation * Vector3::y();
            let opening = if finger == 0 { y } else { -y };
            contacts.finger_cos[finger] = force.dot(&opening) / magnitude;
        }
    }
    contacts
}

/// How deep palm, left and right finger sink into the cube when the hand's parts and the cube are at these poses, metres.
pub(super) fn depths_m(
    physics: &PhysicsWorld,
    handles: &Handles,
    hand: &[Pose; 3],
    cube: &Pose,
) -> [f64; 3] {
    let cube_shape = &physics.colliders[handles.cube_collider];
    std::array::from_fn(|part| {
        let shape = &physics.colliders[handles.hand_colliders[part]];
        let in_body = shape
            .position_wrt_parent()
            .copied()
            .unwrap_or(Pose::IDENTITY);
        query::contact(
            &(hand[part] * in_body),
            shape.shape(),
            cube,
            cube_shape.shape(),
            0.0,
        )
        .ok()
        .flatten()
        .map_or(0.0, |contact| f64::from(-contact.dist).max(0.0))
    })
}
