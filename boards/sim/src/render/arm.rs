//! The WidowX 250S's shapes, link by link.
//!
//! Joint offsets and servo sizes (XM430: 28.5 x 46.5 x 34 mm) are the maker's; brackets are simplified to what a camera at half a metre
//! tells apart. Link frames are those of the arm description: x along the arm when it is stretched out, y to its left.

use nalgebra::Isometry3;

use super::primitive::{Primitive, Shape};
use super::vector::{Pose, V3};
use crate::world::shape::{LEFT_FINGER, PALM};

/// What the moving things are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Material {
    /// Black anodised aluminium.
    Tube,
    /// Black plastic of servo cases.
    Servo,
    /// Bare metal: brackets, horns, rail.
    Metal,
    /// Printed finger body.
    Finger,
    /// Rubber of the finger pads.
    Pad,
}

impl Material {
    pub const ALL: [Self; 5] = [
        Self::Tube,
        Self::Servo,
        Self::Metal,
        Self::Finger,
        Self::Pad,
    ];
}

/// Along which axis of its link a round part lies.
#[derive(Clone, Copy)]
enum Along {
    X,
    Y,
    Z,
}

struct Part {
    link: usize,
    centre: [f64; 3],
    shape: PartShape,
    material: Material,
}

#[derive(Clone, Copy)]
enum PartShape {
    Box([f64; 3]),
    Cylinder {
        along: Along,
        radius: f64,
        half_length: f64,
    },
    Capsule {
        along: Along,
        radius: f64,
        half_length: f64,
    },
}

const fn block(link: usize, material: Material, centre: [f64; 3], half: [f64; 3]) -> Part {
    Part {
        link,
        centre,
        shape: PartShape::Box(half),
        material,
    }
}

const fn disc(
    link: usize,
    material: Material,
    centre: [f64; 3],
    along: Along,
    radius: f64,
    half_length: f64,
) -> Part {
    Part {
        link,
        centre,
        shape: PartShape::Cylinder {
            along,
            radius,
            half_length,
        },
        material,
    }
}

const fn rod(
    link: usize,
    material: Material,
    centre: [f64; 3],
    along: Along,
    radius: f64,
    half_length: f64,
) -> Part {
    Part {
        link,
        centre,
        shape: PartShape::Capsule {
            along,
            radius,
            half_length,
        },
        material,
    }
}

/// Base, waist, shoulder, elbow, forearm roll, wrist angle, wrist rotate.
const PARTS: &[Part] = {
    use Along::{X, Y, Z};
    use Material::{Metal, Servo, Tube};
    &[
        // Base: foot plate, case, turntable.
        block(0, Tube, [0.0, 0.0, 0.004], [0.058, 0.052, 0.004]),
        block(0, Servo, [-0.006, 0.0, 0.031], [0.042, 0.030, 0.023]),
        disc(0, Metal, [0.0, 0.0, 0.058], Z, 0.040, 0.004),
        // Waist: turntable top, the pair of shoulder servos, their side plates.
        disc(1, Tube, [0.0, 0.0, -0.004], Z, 0.043, 0.006),
        block(1, Servo, [0.0, 0.019, 0.026], [0.0145, 0.017, 0.024]),
        block(1, Servo, [0.0, -0.019, 0.026], [0.0145, 0.017, 0.024]),
        block(1, Metal, [0.0, 0.0385, 0.022], [0.021, 0.002, 0.020]),
        block(1, Metal, [0.0, -0.0385, 0.022], [0.021, 0.002, 0.020]),
        // Shoulder: horns, the upper arm's twin plates and tube, the offset to the elbow.
        disc(2, Metal, [0.0, 0.0, 0.0], Y, 0.012, 0.045),
        block(2, Tube, [0.0, 0.042, 0.035], [0.015, 0.002, 0.048]),
        block(2, Tube, [0.0, -0.042, 0.035], [0.015, 0.002, 0.048]),
        block(2, Metal, [0.0, 0.0, 0.062], [0.016, 0.042, 0.003]),
        block(2, Tube, [0.0, 0.0, 0.150], [0.0175, 0.0175, 0.088]),
        block(2, Servo, [0.010, 0.0, 0.250], [0.0285, 0.017, 0.0165]),
        rod(2, Tube, [0.04975, 0.0, 0.25], Y, 0.0175, 0.010),
        disc(2, Metal, [0.04975, 0.0, 0.25], Y, 0.011, 0.030),
        // Elbow: fork plates, the forearm's tube, the roll servo.
        block(3, Tube, [0.026, 0.0255, 0.0], [0.038, 0.002, 0.0145]),
        block(3, Tube, [0.026, -0.0255, 0.0], [0.038, 0.002, 0.0145]),
        block(3, Metal, [0.060, 0.0, 0.0], [0.003, 0.0255, 0.0145]),
        block(3, Tube, [0.097, 0.0, 0.0], [0.036, 0.015, 0.015]),
        block(3, Servo, [0.146, 0.0, 0.0], [0.022, 0.017, 0.0145]),
        // Forearm roll: horn, neck, fork around the wrist.
        disc(4, Metal, [-0.003, 0.0, 0.0], X, 0.013, 0.005),
        block(4, Servo, [0.026, 0.0, 0.0], [0.024, 0.0145, 0.017]),
        block(4, Tube, [0.056, 0.0195, 0.0], [0.030, 0.002, 0.013]),
        block(4, Tube, [0.056, -0.0195, 0.0], [0.030, 0.002, 0.013]),
        // Wrist angle: axle and the rotating servo.
        disc(5, Metal, [0.0, 0.0, 0.0], Y, 0.010, 0.024),
        rod(5, Tube, [0.0, 0.0, 0.0], Y, 0.0145, 0.003),
        block(5, Servo, [0.031, 0.0, 0.0], [0.0235, 0.0165, 0.0145]),
        disc(5, Metal, [0.058, 0.0, 0.0], X, 0.014, 0.006),
        // Wrist rotate: the gripper's servo; rail and palm are added below where the physics has them.
        block(6, Servo, [0.016, 0.0, 0.0], [0.014, 0.0235, 0.017]),
    ]
};

/// The tool point along x of the last link: `ee_arm`, fingers and gripper frames of the maker's description.
const TOOL_X_M: f64 = 0.043 + 0.023 + 0.027_575;

/// How many primitives [`assemble`] makes.
pub(super) const COUNT: usize = PARTS.len() + GRIPPER_PARTS;
/// Palm, two rails, and four parts a finger.
const GRIPPER_PARTS: usize = 3 + 2 * 4;

/// Lists the arm and its gripper in the world.
pub(super) fn assemble(
    links_in_world: &[Isometry3<f64>; 7],
    fingers_m: [f64; 2],
    out: &mut Vec<Primitive>,
) {
    out.clear();
    let links = links_in_world.each_ref().map(Pose::from_isometry);
    let mut add = |part: &Part| out.push(part.in_world(&links[part.link]));
    PARTS.iter().for_each(&mut add);
    gripper(fingers_m).iter().for_each(&mut add);
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

impl Part {
    fn in_world(&self, link: &Pose) -> Primitive {
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
        let (axes, shape) = match self.shape {
            PartShape::Box(half) => ([x, y, z], Shape::Box(single(half))),
            PartShape::Cylinder {
                along,
                radius,
                half_length,
            } => (
                turned(along),
                Shape::Cylinder {
                    radius: radius as f32,
                    half_length: half_length as f32,
                },
            ),
            PartShape::Capsule {
                along,
                radius,
                half_length,
            } => (
                turned(along),
                Shape::Capsule {
                    radius: radius as f32,
                    half_length: half_length as f32,
                },
            ),
        };
        let local = Pose {
            axes,
            origin: single(self.centre),
        };
        Primitive {
            shape,
            pose: link.then(&local),
            material: self.material as usize,
        }
    }
}
