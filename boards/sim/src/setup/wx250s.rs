//! GrinningFace's table with its arm, the WidowX 250S.
//!
//! Joint offsets and servo sizes (XM430: 28.5 x 46.5 x 34 mm) are the maker's; brackets are simplified to what a camera at half a metre
//! tells apart. Link frames are those of the arm description: x along the arm when it is stretched out, y to its left.

use super::body::{Along, Material, Part, block, disc, rod};
use super::{CameraMount, Drives, Layout, Mount, Script, Setup};
use crate::render::PinholeCamera;
use crate::scene;
use crate::world::shape::{FINGERTIP_REACH_M, Fingers, Hand, LEFT_FINGER, PALM};

/// The benchmark's cell. The arm stands 0.1 m above the table top, which is at z = 0, and its tool keeps to a box around
/// everything that the task touches. It may go down to the table top, since the cube on it is 0.03 m high.
pub const WX250S: Setup = Setup {
    name: "wx250s",
    arm_toml: include_str!("../../../arms/wx250s.toml"),
    tool_m: [0.093_575, 0.0, 0.0],
    base_in_world_m: scene::BASE_IN_WORLD_M,
    workspace_m: [[-0.2, 0.2, 0.0], [0.5, 1.2, 0.6]],
    control_hz: 20.0,
    max_steps: crate::MAX_STEPS,
    substep_us: 10_000,
    drives: Drives::Ideal,
    layout: Layout {
        cube_centre_xy: scene::CUBE_CENTRE_XY,
        cube_jitter_m: scene::CUBE_JITTER_M,
        card_centres_xy: scene::CARD_CENTRES_XY,
        card_jitter_m: scene::CARD_JITTER_M,
        card_half_size_m: scene::CARD_HALF_SIZE_M,
        card_swing_m: 0.10,
    },
    hand: Hand {
        palm: PALM,
        fingers: Fingers::Parallel {
            left: LEFT_FINGER,
            tip_reach_m: FINGERTIP_REACH_M,
        },
        radius_m: 0.1,
        pads_meet_m: 0.0,
    },
    low_links: &[3, 4, 5, 6],
    link_radius_m: 0.035,
    body: BODY,
    cameras: &[CameraMount {
        name: "observation.images.front",
        mount: Mount::World {
            eye_m: PinholeCamera::EYE,
            look_at_m: PinholeCamera::TARGET,
        },
        vertical_fov_rad: PinholeCamera::VERTICAL_FOV_RAD,
        frame_px: (224, 224),
    }],
    script: Script {
        way_steps: 50,
        close_steps: 5,
        lift_steps: 20,
        gain: 30.0,
        hover_m: None,
        reach_floor_m: 0.03,
        lift_m: 0.06,
        carry_m: 0.05,
        grip_from_tool_m: [0.0; 3],
        open: 1.0,
    },
};

/// Base, waist, shoulder, elbow, forearm roll, wrist angle, wrist rotate.
const BODY: &[Part] = {
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
