//! Keeps a kinematic arm from pushing with infinite force: what table and cube push back.
//!
//! A kinematic body moves whatever is in its way. So before the arm moves, its joint steps lose the part that would press a
//! fingertip, the palm or a link into the table, or the hand further against a contact that already pushes with more than
//! the servos' force. What is left of the step slides along.

use super::contact::Contacts;
use super::shape::{FINGERTIP_REACH_M, HandBox, LEFT_FINGER, LINK_RADIUS_M, PALM};
use nalgebra::{Isometry3, Point3, Vector3};
use wink_runtime::arm::{ARM_JOINTS, ArmDescription};

/// Nothing of the arm comes lower than this: a millimetre over the face of a card.
const GUARD_HEIGHT_M: f64 = 0.003;
/// Deeper than this after [`ROUNDS`] corrections, the arm stands still for the substep.
const TOLERANCE_M: f64 = 1e-4;
const ROUNDS: usize = 4;

/// The arm's frames at one set of joint angles, in the world.
pub(crate) struct ArmPose {
    /// The base, then each joint's frame after its rotation.
    pub links: [Isometry3<f64>; ARM_JOINTS + 1],
    /// The tool frame.
    pub tool: Isometry3<f64>,
}

impl ArmPose {
    pub(crate) fn new(
        arm: &ArmDescription,
        base_in_world: &Isometry3<f64>,
        angles: &[f64; ARM_JOINTS],
    ) -> Self {
        let links = arm.link_poses(angles).map(|link| base_in_world * link);
        Self {
            links,
            tool: links[ARM_JOINTS] * arm.tool(),
        }
    }

    /// How fast a point fixed to the hand (or to the link after `joints` joints) moves along `direction` with each joint.
    fn gradient(
        &self,
        arm: &ArmDescription,
        joints: usize,
        point: &Point3<f64>,
        direction: &Vector3<f64>,
    ) -> [f64; ARM_JOINTS] {
        let mut row = [0.0; ARM_JOINTS];
        for (index, joint) in arm.joints().iter().enumerate().take(joints) {
            let link = &self.links[index + 1];
            let axis = link.rotation * joint.axis.into_inner();
            row[index] = axis
                .cross(&(point - Point3::from(link.translation.vector)))
                .dot(direction);
        }
        row
    }
}

/// A point of the arm that can touch the table: the number of joints before it, and its height.
struct LowPoint {
    joints: usize,
    point: Point3<f64>,
    z: f64,
}

/// The joint step that is left of `step` when table and contacts have pushed back.
pub(crate) fn yield_to_contact(
    arm: &ArmDescription,
    base_in_world: &Isometry3<f64>,
    angles: &[f64; ARM_JOINTS],
    finger_m: f64,
    mut step: [f64; ARM_JOINTS],
    contacts: &Contacts,
) -> [f64; ARM_JOINTS] {
    let here = ArmPose::new(arm, base_in_world, angles);
    let tool = Point3::from(here.tool.translation.vector);
    if let Some(way_out) = contacts.way_out() {
        project(
            &mut step,
            &here.gradient(arm, ARM_JOINTS, &tool, &way_out),
            0.0,
        );
    }
    for _ in 0..ROUNDS {
        let target = std::array::from_fn(|joint| angles[joint] + step[joint]);
        let there = ArmPose::new(arm, base_in_world, &target);
        let Some((depth, low)) = deepest(&here, &there, finger_m) else {
            return step;
        };
        if depth < TOLERANCE_M * 0.1 {
            return step;
        }
        let row = here.gradient(arm, low.joints, &low.point, &Vector3::z());
        let reached = dot(&row, &step);
        project(&mut step, &row, reached + depth);
    }
    let target = std::array::from_fn(|joint| angles[joint] + step[joint]);
    let there = ArmPose::new(arm, base_in_world, &target);
    match deepest(&here, &there, finger_m) {
        Some((depth, _)) if depth > TOLERANCE_M => [0.0; ARM_JOINTS],
        _ => step,
    }
}

/// Changes `step` as little as possible so that it moves at least `least` along `row`.
fn project(step: &mut [f64; ARM_JOINTS], row: &[f64; ARM_JOINTS], least: f64) {
    let norm_squared = dot(row, row);
    let missing = least - dot(row, step);
    if missing > 0.0 && norm_squared > 1e-9 {
        for (value, slope) in step.iter_mut().zip(row) {
            *value += slope * missing / norm_squared;
        }
    }
}

/// By how much the point that goes furthest below what is allowed does so, and where it is now.
fn deepest(here: &ArmPose, there: &ArmPose, finger_m: f64) -> Option<(f64, LowPoint)> {
    // Far above the table nothing has to be looked at.
    let mut worst: Option<(f64, LowPoint)> = None;
    let mut visit = |joints: usize, now: Point3<f64>, then: f64| {
        let depth = now.z.min(GUARD_HEIGHT_M) - then;
        if depth > 0.0 && worst.as_ref().is_none_or(|(most, _)| depth > *most) {
            worst = Some((
                depth,
                LowPoint {
                    joints,
                    point: now,
                    z: then,
                },
            ));
        }
    };
    for joints in [3, 4, 5, 6] {
        let lowest = |pose: &ArmPose| {
            let mut centre = Point3::from(pose.links[joints].translation.vector);
            centre.z -= LINK_RADIUS_M;
            centre
        };
        visit(joints, lowest(here), lowest(there).z);
    }
    const REACH_M: f64 = 0.15;
    if there.tool.translation.z > REACH_M {
        return worst;
    }
    for corner in hand_corners(finger_m) {
        visit(ARM_JOINTS, here.tool * corner, (there.tool * corner).z);
    }
    worst.filter(|(_, low)| low.z < GUARD_HEIGHT_M)
}

/// The corners of fingertips and palm in the tool frame.
fn hand_corners(finger_m: f64) -> impl Iterator<Item = Point3<f64>> {
    let HandBox {
        centre_m: [_, finger_y, _],
        half_m: [_, half_y, half_z],
    } = LEFT_FINGER;
    let outside = finger_m + finger_y + half_y;
    let tips = [finger_m, outside]
        .into_iter()
        .map(move |y| (FINGERTIP_REACH_M, y, half_z));
    let palm = [PALM.half_m[0], -PALM.half_m[0]]
        .into_iter()
        .map(|x| (PALM.centre_m[0] + x, PALM.half_m[1], PALM.half_m[2]));
    tips.chain(palm).flat_map(|(x, y, z)| {
        [(y, z), (y, -z), (-y, z), (-y, -z)]
            .into_iter()
            .map(move |(y, z)| Point3::new(x, y, z))
    })
}

fn dot(a: &[f64; ARM_JOINTS], b: &[f64; ARM_JOINTS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::base_in_world;
    use crate::world::shape::right_finger;

    /// The hand low over the table: about 25 mm between tool and table.
    fn low(arm: &ArmDescription) -> [f64; ARM_JOINTS] {
        let base = base_in_world();
        let mut angles = arm.home();
        for _ in 0..4000 {
            if ArmPose::new(arm, &base, &angles).tool.translation.z < 0.025 {
                break;
            }
            angles[1] += 1e-4;
            angles[4] -= 1e-4;
            angles[2] += 5e-5;
        }
        angles
    }

    fn lowest_tip(arm: &ArmDescription, angles: &[f64; ARM_JOINTS]) -> f64 {
        let tool = ArmPose::new(arm, &base_in_world(), angles).tool;
        hand_corners(0.02)
            .map(|corner| (tool * corner).z)
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn pressed_down_the_fingertips_stay_over_the_table_and_slide() {
        let arm = crate::arm();
        let mut angles = low(&arm);
        let start = angles;
        for _ in 0..100 {
            let step = [0.004, 0.01, 0.0, 0.0, 0.0, 0.0];
            let step = yield_to_contact(
                &arm,
                &base_in_world(),
                &angles,
                0.02,
                step,
                &Contacts::default(),
            );
            angles = std::array::from_fn(|joint| angles[joint] + step[joint]);
            let tip = lowest_tip(&arm, &angles);
            assert!(tip > GUARD_HEIGHT_M - 2.0 * TOLERANCE_M, "tip at {tip}");
        }
        assert!(
            angles[0] - start[0] > 0.2,
            "the waist turned by {} only",
            angles[0] - start[0]
        );
        let up = [0.0, -0.01, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(
            yield_to_contact(
                &arm,
                &base_in_world(),
                &angles,
                0.02,
                up,
                &Contacts::default()
            ),
            up
        );
    }

    #[test]
    fn high_over_the_table_steps_pass_unchanged() {
        let arm = crate::arm();
        let step = [0.01, -0.02, 0.03, 0.01, 0.01, -0.03];
        let left = yield_to_contact(
            &arm,
            &base_in_world(),
            &arm.home(),
            0.037,
            step,
            &Contacts::default(),
        );
        assert_eq!(left, step);
    }

    #[test]
    fn a_hand_that_pushes_too_hard_goes_no_further_that_way() {
        let arm = crate::arm();
        let base = base_in_world();
        let angles = arm.home();
        let here = ArmPose::new(&arm, &base, &angles).tool.translation.vector;
        let contacts = Contacts {
            hand_n: Vector3::new(0.0, 0.0, 31.0),
            ..Contacts::default()
        };
        let down = [0.0, 0.01, 0.0, 0.0, 0.0, 0.0];
        for (contacts, yields) in [
            (contacts, true),
            (
                Contacts {
                    hand_n: contacts.hand_n * 0.9,
                    ..contacts
                },
                false,
            ),
        ] {
            let step = yield_to_contact(&arm, &base, &angles, 0.037, down, &contacts);
            let angles = std::array::from_fn(|joint| angles[joint] + step[joint]);
            let fallen = here.z - ArmPose::new(&arm, &base, &angles).tool.translation.z;
            assert_eq!(fallen < 1e-4, yields, "fell by {fallen}");
        }
    }

    #[test]
    fn the_guard_knows_the_hand_that_physics_moves() {
        let corners: Vec<_> = hand_corners(0.0).collect();
        for shape in [LEFT_FINGER, right_finger(), PALM] {
            let front = shape.centre_m[0] + shape.half_m[0];
            for y in [
                shape.centre_m[1] - shape.half_m[1],
                shape.centre_m[1] + shape.half_m[1],
            ] {
                let known = corners.iter().any(|corner| {
                    (corner.x - front).abs() < 1e-12
                        && (corner.y - y).abs() < 1e-12
                        && corner.z == shape.half_m[2]
                });
                assert!(known, "no corner at x {front}, y {y}");
            }
        }
    }
}
