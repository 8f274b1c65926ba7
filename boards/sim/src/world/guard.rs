//! Keeps a kinematic arm from pushing with infinite force: what table and cube push back.
//!
//! A kinematic body moves whatever is in its way. So before the arm moves, its joint steps lose the part that would press a
//! fingertip, the palm or a link into the table, or the hand further against a contact that already pushes with more than
//! the servos' force. What is left of the step slides along.

use super::contact::Contacts;
use crate::setup::Setup;
use nalgebra::{Isometry3, Point3, Vector3};
use wink_runtime::arm::{ArmDescription, JointValues, LinkPoses};

/// Nothing of the arm comes lower than this: a millimetre over the face of a card.
const GUARD_HEIGHT_M: f64 = 0.003;
/// Deeper than this after [`ROUNDS`] corrections, the arm stands still for the substep.
const TOLERANCE_M: f64 = 1e-4;
const ROUNDS: usize = 4;

/// The arm's frames at one set of joint angles, in the world.
pub(crate) struct ArmPose {
    /// The base, then each joint's frame after its rotation.
    pub links: LinkPoses,
    /// The tool frame.
    pub tool: Isometry3<f64>,
}

impl ArmPose {
    pub(crate) fn new(
        arm: &ArmDescription,
        base_in_world: &Isometry3<f64>,
        angles: &[f64],
    ) -> Self {
        let in_base = arm.link_poses(angles);
        let links: LinkPoses = in_base.iter().map(|link| base_in_world * link).collect();
        Self {
            tool: links.last().copied().unwrap_or(*base_in_world) * arm.tool(),
            links,
        }
    }

    /// How fast a point fixed to the hand (or to the link after `joints` joints) moves along `direction` with each joint.
    fn gradient(
        &self,
        arm: &ArmDescription,
        joints: usize,
        point: &Point3<f64>,
        direction: &Vector3<f64>,
    ) -> JointValues {
        let mut row = JointValues::filled(0.0, arm.joints().len());
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
    setup: &Setup,
    arm: &ArmDescription,
    base_in_world: &Isometry3<f64>,
    angles: &[f64],
    finger_m: f64,
    mut step: JointValues,
    contacts: &Contacts,
) -> JointValues {
    let joints = arm.joints().len();
    let here = ArmPose::new(arm, base_in_world, angles);
    let tool = Point3::from(here.tool.translation.vector);
    if let Some(way_out) = contacts.way_out() {
        project(&mut step, &here.gradient(arm, joints, &tool, &way_out), 0.0);
    }
    for _ in 0..ROUNDS {
        let target = JointValues::from_fn(joints, |joint| angles[joint] + step[joint]);
        let there = ArmPose::new(arm, base_in_world, &target);
        let Some((depth, low)) = deepest(setup, &here, &there, finger_m) else {
            return step;
        };
        if depth < TOLERANCE_M * 0.1 {
            return step;
        }
        let row = here.gradient(arm, low.joints, &low.point, &Vector3::z());
        let reached = dot(&row, &step);
        project(&mut step, &row, reached + depth);
    }
    let target = JointValues::from_fn(joints, |joint| angles[joint] + step[joint]);
    let there = ArmPose::new(arm, base_in_world, &target);
    match deepest(setup, &here, &there, finger_m) {
        Some((depth, _)) if depth > TOLERANCE_M => JointValues::filled(0.0, joints),
        _ => step,
    }
}

/// Changes `step` as little as possible so that it moves at least `least` along `row`.
fn project(step: &mut [f64], row: &[f64], least: f64) {
    let norm_squared = dot(row, row);
    let missing = least - dot(row, step);
    if missing > 0.0 && norm_squared > 1e-9 {
        for (value, slope) in step.iter_mut().zip(row) {
            *value += slope * missing / norm_squared;
        }
    }
}

/// By how much the point that goes furthest below what is allowed does so, and where it is now.
fn deepest(
    setup: &Setup,
    here: &ArmPose,
    there: &ArmPose,
    finger_m: f64,
) -> Option<(f64, LowPoint)> {
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
    for &joints in setup.low_links {
        let lowest = |pose: &ArmPose| {
            let mut centre = Point3::from(pose.links[joints].translation.vector);
            centre.z -= setup.link_radius_m;
            centre
        };
        visit(joints, lowest(here), lowest(there).z);
    }
    const REACH_M: f64 = 0.15;
    if there.tool.translation.z > REACH_M {
        return worst;
    }
    let joints = here.links.len() - 1;
    setup.hand.each_corner(finger_m, |corner| {
        visit(joints, here.tool * corner, (there.tool * corner).z);
    });
    worst.filter(|(_, low)| low.z < GUARD_HEIGHT_M)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::base_in_world;
    use crate::setup::WX250S;

    /// The hand low over the table: about 25 mm between tool and table.
    fn low(arm: &ArmDescription) -> JointValues {
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

    fn lowest_tip(arm: &ArmDescription, angles: &[f64]) -> f64 {
        let tool = ArmPose::new(arm, &base_in_world(), angles).tool;
        let mut lowest = f64::INFINITY;
        WX250S
            .hand
            .each_corner(0.02, |corner| lowest = lowest.min((tool * corner).z));
        lowest
    }

    #[test]
    fn pressed_down_the_fingertips_stay_over_the_table_and_slide() {
        let arm = crate::arm();
        let mut angles = low(&arm);
        let start = angles;
        for _ in 0..100 {
            let step = JointValues::from([0.004, 0.01, 0.0, 0.0, 0.0, 0.0]);
            let step = yield_to_contact(
                &WX250S,
                &arm,
                &base_in_world(),
                &angles,
                0.02,
                step,
                &Contacts::default(),
            );
            angles = JointValues::from_fn(6, |joint| angles[joint] + step[joint]);
            let tip = lowest_tip(&arm, &angles);
            assert!(tip > GUARD_HEIGHT_M - 2.0 * TOLERANCE_M, "tip at {tip}");
        }
        assert!(
            angles[0] - start[0] > 0.2,
            "the waist turned by {} only",
            angles[0] - start[0]
        );
        let up = JointValues::from([0.0, -0.01, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            yield_to_contact(
                &WX250S,
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
        let step = JointValues::from([0.01, -0.02, 0.03, 0.01, 0.01, -0.03]);
        let left = yield_to_contact(
            &WX250S,
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
        let down = JointValues::from([0.0, 0.01, 0.0, 0.0, 0.0, 0.0]);
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
            let step = yield_to_contact(&WX250S, &arm, &base, &angles, 0.037, down, &contacts);
            let angles = JointValues::from_fn(6, |joint| angles[joint] + step[joint]);
            let fallen = here.z - ArmPose::new(&arm, &base, &angles).tool.translation.z;
            assert_eq!(fallen < 1e-4, yields, "fell by {fallen}");
        }
    }

    #[test]
    fn the_guard_knows_the_hand_that_physics_moves() {
        let mut corners = vec![];
        WX250S.hand.each_corner(0.0, |corner| corners.push(corner));
        for shape in WX250S.hand.shapes() {
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
