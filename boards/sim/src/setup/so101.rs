//! An SO-101 on a table of its own: its reach of 0.28 m with the gripper down asks for smaller cards, nearer to it.
//!
//! Shapes are simplified from the makers' drawings to what a camera at half a metre tells apart. Link frames are those of the
//! arm's file: x along the arm when it is stretched out, y to its left; joints 2 to 4 lie 18 mm to the right of the arm's middle.

use super::body::{Along, Material, Part, block, disc};
use super::{CameraMount, Drives, Layout, Mount, Script, Setup};
use crate::world::shape::{Fingers, Hand, HandBox};

/// The base on the table.
const BASE_M: [f64; 3] = [-0.02, 0.7, 0.0];

/// A place in the world from one that is seen from the base.
const fn from_base(x: f64, y: f64, z: f64) -> [f64; 3] {
    [BASE_M[0] + x, BASE_M[1] + y, BASE_M[2] + z]
}

const fn on_table(x: f64, y: f64) -> [f64; 2] {
    let [x, y, _] = from_base(x, y, 0.0);
    [x, y]
}

/// From wrist_roll to the tool, as the arm's file has it.
const TOOL_M: [f64; 3] = [0.098_127_4, -0.000_218_121, -0.0079];
/// The moving jaw's axis, in the frame of wrist_roll (so101_new_calib).
const PIVOT_M: [f64; 3] = [0.0234, 0.0, 0.0202];
/// From the jaw's axis to its tip.
const LEVER_M: f64 = 0.0747;
/// The inner face of the moving jaw lies so far beside the line from its axis to its tip: closed, at -10 degrees, it then meets
/// the fixed jaw's.
const FACE_M: f64 = 0.0153;
/// Frame of the moving jaw.
const JAW: usize = 6;

/// The SO-101's cell.
pub const SO101: Setup = Setup {
    name: "so101",
    arm_toml: include_str!("../../../arms/so101.toml"),
    tool_m: TOOL_M,
    base_in_world_m: BASE_M,
    workspace_m: [from_base(0.06, -0.27, 0.0), from_base(0.32, 0.27, 0.30)],
    control_hz: 30.0,
    max_steps: 300,
    // Four of them are a control step but for 1 us.
    substep_us: 8_333,
    drives: Drives::Bus,
    layout: Layout {
        cube_centre_xy: on_table(0.135, 0.0),
        cube_jitter_m: 0.018,
        card_centres_xy: [
            on_table(0.165, 0.165),
            on_table(0.245, 0.0),
            on_table(0.165, -0.165),
        ],
        card_jitter_m: 0.010,
        card_half_size_m: 0.045,
        card_swing_m: 0.08,
    },
    hand: Hand {
        palm: HandBox {
            centre_m: [-0.078, 0.0, 0.012],
            half_m: [0.014, 0.020, 0.024],
        },
        fingers: Fingers::OneJaw {
            fixed: HandBox {
                centre_m: [-0.030, 0.0, -0.005],
                half_m: [0.030, 0.009, 0.005],
            },
            moving: HandBox {
                centre_m: [0.045, 0.0, 0.004 - FACE_M],
                half_m: [LEVER_M - 0.045, 0.009, 0.004],
            },
            pivot_m: [
                PIVOT_M[0] - TOOL_M[0],
                PIVOT_M[1] - TOOL_M[1],
                PIVOT_M[2] - TOOL_M[2],
            ],
            lever_m: LEVER_M,
        },
        radius_m: 0.15,
        pads_meet_m: -0.013_04,
    },
    low_links: &[3, 4, 5],
    link_radius_m: 0.03,
    body: BODY,
    cameras: &[
        CameraMount {
            name: "observation.images.front",
            mount: Mount::World {
                eye_m: from_base(-0.06, -0.10, 0.70),
                look_at_m: from_base(0.18, 0.0, 0.0),
            },
            vertical_fov_rad: 0.70,
            frame_px: (224, 224),
        },
        CameraMount {
            name: "observation.images.wrist",
            mount: Mount::Link {
                link: 5,
                eye_m: [0.005, 0.0, -0.075],
                look_at_m: [0.12, 0.0, 0.02],
                up: [0.0, 0.0, 1.0],
            },
            vertical_fov_rad: 1.2,
            frame_px: (112, 112),
        },
    ],
    script: Script {
        way_steps: 75,
        close_steps: 16,
        lift_steps: 22,
        gain: 60.0,
        // The fixed jaw stands beside the cube before it comes down.
        hover_m: Some(0.05),
        reach_floor_m: 0.012,
        lift_m: 0.06,
        carry_m: 0.05,
        grip_from_tool_m: [0.018, 0.0, 0.0],
        open: 0.45,
    },
};

/// Base, shoulder_pan, shoulder_lift, elbow_flex, wrist_flex, wrist_roll, jaw.
const BODY: &[Part] = {
    use Along::{X, Y, Z};
    use Material::{Print, Servo};
    &[
        // Base: foot, servo, collar.
        block(0, Print, [-0.015, 0.0, 0.012], [0.055, 0.045, 0.012]),
        block(0, Servo, [-0.010, 0.0, 0.044], [0.023, 0.0125, 0.020]),
        disc(0, Print, [0.0, 0.0, 0.072], Z, 0.032, 0.012),
        // Pan: the shoulder's bracket and servo.
        disc(1, Print, [0.0, 0.0, 0.0], Z, 0.030, 0.010),
        block(1, Print, [0.014, 0.0, 0.028], [0.028, 0.024, 0.022]),
        block(1, Servo, [0.030, 0.0, 0.054], [0.012, 0.0175, 0.023]),
        // Upper arm, to the left of its joint.
        disc(2, Print, [0.0, 0.018, 0.0], Y, 0.018, 0.024),
        block(2, Print, [0.014, 0.018, 0.056], [0.013, 0.020, 0.058]),
        block(2, Servo, [0.028, 0.018, 0.1126], [0.023, 0.0175, 0.012]),
        // Forearm.
        disc(3, Print, [0.0, 0.018, 0.0], Y, 0.018, 0.024),
        block(3, Print, [0.066, 0.018, 0.003], [0.058, 0.016, 0.012]),
        block(3, Servo, [0.128, 0.018, 0.005], [0.014, 0.0175, 0.021]),
        // Wrist.
        disc(4, Print, [0.0, 0.018, 0.0], Y, 0.015, 0.022),
        block(4, Servo, [0.036, 0.018, 0.0], [0.022, 0.012, 0.018]),
        // Gripper: case, servo, fixed jaw.
        disc(5, Print, [0.004, 0.0, 0.0], X, 0.020, 0.008),
        block(5, Print, [0.024, 0.0, 0.004], [0.014, 0.020, 0.024]),
        block(5, Servo, [0.022, 0.024, 0.012], [0.013, 0.012, 0.020]),
        block(
            5,
            Print,
            [TOOL_M[0] - 0.030, TOOL_M[1], TOOL_M[2] - 0.005],
            [0.030, 0.009, 0.005],
        ),
        // Moving jaw.
        disc(JAW, Print, [0.0, 0.0, 0.0], Y, 0.012, 0.016),
        block(
            JAW,
            Print,
            [0.045, 0.0, 0.004 - FACE_M],
            [LEVER_M - 0.045, 0.009, 0.004],
        ),
        block(JAW, Print, [0.012, 0.0, -0.006], [0.010, 0.009, 0.006]),
    ]
};
