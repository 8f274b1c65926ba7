//! An arm's shapes, link by link, where the arm is.

use nalgebra::Isometry3;

use super::primitive::{Primitive, Shape};
use super::vector::{Pose, V3};
use crate::setup::Setup;
use crate::setup::body::{Along, Material, Part, PartShape, block, rod};
use crate::world::shape::{Fingers, LEFT_FINGER, PALM};

/// The base, up to seven joints, and a moving jaw.
const MAX_FRAMES: usize = 9;

/// The WidowX 250S' tool point along x of the last link: `ee_arm`, fingers and gripper frames of the maker's description.
const TOOL_X_M: f64 = 0.043 + 0.023 + 0.027_575;

/// Palm, two rails, and four parts a finger of a parallel gripper.
const GRIPPER_PARTS: usize = 3 + 2 * 4;

/// Most primitives of a cell's arm.
pub(super) const fn count(setup: &Setup) -> usize {
    setup.body.len()
        + match setup.hand.fingers {
            Fingers::Parallel { .. } => GRIPPER_PARTS,
            Fingers::OneJaw { .. } => 0,
        }
}

/// Lists the arm and its gripper in the world. `fingers_m` is the travel of the left and right finger from the middle; of a
/// gripper with one moving jaw the first is the position of its tip.
pub(super) fn assemble(
    setup: &Setup,
    links_in_world: &[Isometry3<f64>],
    fingers_m: [f64; 2],
    out: &mut Vec<Primitive>,
) {
    out.clear();
    let mut links: heapless::Vec<Pose, MAX_FRAMES> =
        links_in_world.iter().map(Pose::from_isometry).collect();
    if let (Fingers::OneJaw { .. }, Some(last)) = (&setup.hand.fingers, links_in_world.last()) {
        let [_, _, jaw] = setup.hand.bodies(&(last * setup.tool()), fingers_m[0]);
        // A frame that there is no room for would be one past those of seven joints.
        let _ = links.push(Pose::from_isometry(&jaw));
    }
    let mut add = |part: &Part| {
        if let Some(link) = links.get(part.link) {
            out.push(in_world(part, link));
        }
    };
    setup.body.iter().for_each(&mut add);
    if let Fingers::Parallel { .. } = setup.hand.fingers {
        gripper(fingers_m).iter().for_each(&mut add);
    }
}

/// Palm, rail and the two fingers at their travel, in the last link's frame. Pads lie where the physics has the fingers' inner faces.
fn gripper([left_m, right_m]: [f64; 2]) -> [Part; GRIPPER_PARTS] {
    use Material::{Finger, Metal, Pad, Tube};
    let palm_x = TOOL_X_M + PALM.centre_m[0];
    let [palm_half_x, palm_half_y, palm_half_z] = PALM.half_m;
    let finger_x = TOOL_X_M + LEFT_FINGER.centre_m[0];
    let [finger_half_x, finger_half_y, finger_half_z] = LEFT_FINGER.half_m;
    let pad_half_y = 0.3 * finger_half_y;
    let finger = |side: f64, travel_m: f64| {
        let y = |from_pad: f64| side * (travel_m + from_pad);
        [
            // Carriage on the rail, knuckle, finger, pad.
            block(
                6,
                Tube,
                [palm_x + 0.4 * palm_half_x, y(0.011), 0.0],
                [0.010, 0.011, 0.8 * palm_half_z],
            ),
            block(
                6,
                Metal,
                [finger_x - 0.72 * finger_half_x, y(0.011), 0.0],
                [0.28 * finger_half_x, 0.007, finger_half_z],
            ),
            block(
                6,
                Finger,
                [finger_x, y(finger_half_y + pad_half_y), 0.0],
                [finger_half_x, finger_half_y - pad_half_y, finger_half_z],
            ),
            block(
                6,
                Pad,
                [finger_x + 0.3 * finger_half_x, y(pad_half_y), 0.0],
                [0.7 * finger_half_x, pad_half_y, finger_half_z],
            ),
        ]
    };
    let [a, b, c, d] = finger(1.0, left_m);
    let [e, f, g, h] = finger(-1.0, right_m);
    [
        block(
            6,
            Tube,
            [palm_x - 0.35 * palm_half_x, 0.0, 0.0],
            [0.65 * palm_half_x, 0.6 * palm_half_y, palm_half_z],
        ),
        rod(
            6,
            Metal,
            [palm_x + 0.5 * palm_half_x, 0.0, 0.45 * palm_half_z],
            Along::Y,
            0.003,
            palm_half_y - 0.003,
        ),
        rod(
            6,
            Metal,
            [palm_x + 0.5 * palm_half_x, 0.0, -0.45 * palm_half_z],
            Along::Y,
            0.003,
            palm_half_y - 0.003,
        ),
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ]
}

/// A part of a link at this pose.
fn in_world(part: &Part, link: &Pose) -> Primitive {
    let single = |v: [f64; 3]| V3::new(v[0] as f32, v[1] as f32, v[2] as f32);
    let (x, y, z) = (
        V3::new(1.0, 0.0, 0.0),
        V3::new(0.0, 1.0, 0.0),
        V3::new(0.0, 0.0, 1.0),
    );
    // Local z of a round part is its axis.
    let turned = |along: Along| match along {
        Along::X => [y, z, x],
        Along::Y => [z, x, y],
        Along::Z => [x, y, z],
    };
    let (axes, shape) = match part.shape {
        PartShape::Box(half) => ([x, y, z], Shape::Box(single(half))),
        PartShape::Cylinder {
            along,
            radius_m,
            half_length_m,
        } => (
            turned(along),
            Shape::Cylinder {
                radius: radius_m as f32,
                half_length: half_length_m as f32,
            },
        ),
        PartShape::Capsule {
            along,
            radius_m,
            half_length_m,
        } => (
            turned(along),
            Shape::Capsule {
                radius: radius_m as f32,
                half_length: half_length_m as f32,
            },
        ),
    };
    let local = Pose {
        axes,
        origin: single(part.centre_m),
    };
    Primitive {
        shape,
        pose: link.then(&local),
        material: part.material as usize,
    }
}
