//! Inverse kinematics by damped least squares.

use nalgebra::{Isometry3, Matrix3, Matrix6, SMatrix, SVector, Vector3, Vector6};

use crate::arm::{ArmDescription, JointValues, MOST_JOINTS, Row};

/// Metres of position error that one radian of rotation error counts as, of an arm that can take any pose nearby.
const ROTATION_WEIGHT_M: f64 = 0.3;

/// The same of an arm of fewer than six joints: rotation hardly counts, so that a rotation that the arm cannot have does not
/// keep it from the position.
const FEW_JOINTS_ROTATION_WEIGHT_M: f64 = 0.01;

/// Joints that it takes to reach any pose nearby.
const POSE_JOINTS: usize = 6;

/// Damping (lambda squared) near a solution. It bounds the step in singular poses.
const DAMPING: f64 = 1e-4;

/// Damping of the projection onto the joint space that a position leaves free. It bounds the projection in singular poses.
const FREE_DAMPING: f64 = 1e-7;

/// Longest turn of a joint for the sake of rotation, where position comes first.
const MOST_TURN_RAD: f64 = 0.15;

/// Damping beyond which no step gets better: the nearest pose is found.
const MOST_DAMPING: f64 = 1e2;

/// A pose this near (m, rotation weighted) is reached; a 12-bit encoder resolves ten times as much.
const TOLERANCE_M: f64 = 1e-5;

/// A step that takes away less than this share of the squared error does not get nearer any more.
const LEAST_GAIN: f64 = 1e-4;

/// Longest step of one joint, so that a far target cannot throw the arm into another branch.
const MOST_STEP_RAD: f64 = 0.5;

/// Steps per call. A stream of targets goes on from where the last call stopped.
const MOST_ITERATIONS: usize = 24;

/// A step of every joint, zero past the last.
type JointStep = SVector<f64, MOST_JOINTS>;

/// Finds joint angles for poses of the tool.
///
/// Damped least squares after Wampler (1986) and Nakamura and Hanafusa (1986), with the damping
/// raised while a step makes things worse, as Levenberg and Marquardt do. Joints at a limit that a
/// step would leave take no part in it.
///
/// Of an arm of fewer than six joints the step serves the position first; what it leaves of the joint space (the null space
/// of the position's Jacobian) serves the rotation, after Nakamura, Hanafusa and Yoshikawa (1987).
#[derive(Debug, Clone)]
pub struct InverseKinematics {
    arm: ArmDescription,
    rotation_weight_m: f64,
}

/// Joint angles, and how far the tool is from the target there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solution {
    /// Angles (rad) of the arm's joints, finite and inside of their limits.
    pub angles: JointValues,
    /// Distance to the target's position.
    pub position_error_m: f64,
    /// Angle to the target's rotation.
    pub rotation_error_rad: f64,
    /// Linear systems solved.
    pub iterations: usize,
}

/// The arm at some angles, as seen from the target.
struct Look {
    /// Position error (m) and rotation error (weighted to m), in base axes.
    error: Vector6<f64>,
    /// Derivative of the tool's weighted pose.
    jacobian: SMatrix<f64, 6, MOST_JOINTS>,
    /// Squared length of `error`.
    cost: f64,
}

impl InverseKinematics {
    /// For one arm.
    #[must_use]
    pub fn new(arm: &ArmDescription) -> Self {
        Self {
            arm: arm.clone(),
            rotation_weight_m: if arm.joints().len() < POSE_JOINTS {
                FEW_JOINTS_ROTATION_WEIGHT_M
            } else {
                ROTATION_WEIGHT_M
            },
        }
    }

    /// Angles that put the tool at `tool_in_base`, or as near as can be from `start`. Of two errors of an arm of six joints or
    /// more, 0.3 m of position weigh as much as 1 rad of rotation, so the tool tilts where that
    /// helps to get there; of an arm of fewer joints the position comes first, and 1 rad of rotation weighs as 0.01 m.
    /// Never farther from the target than `start` is (after that was brought
    /// inside of the limits), never NaN: a target or start that is not finite changes nothing but
    /// what the limits ask.
    #[must_use]
    pub fn solve(&self, tool_in_base: &Isometry3<f64>, start: &[f64]) -> Solution {
        let finite = start
            .iter()
            .map(|angle| if angle.is_finite() { *angle } else { 0.0 });
        let mut angles = self.arm.clamp(&finite.collect::<JointValues>());
        let mut look = self.look(tool_in_base, &angles);
        let mut damping = DAMPING;
        let mut iterations = 0;
        while look.cost > TOLERANCE_M * TOLERANCE_M && iterations < MOST_ITERATIONS {
            iterations += 1;
            let Some(candidate) = self.step(&look, &angles, damping) else {
                break;
            };
            let ahead = self.look(tool_in_base, &candidate);
            // False for a NaN, too.
            if ahead.cost < look.cost {
                let gain = 1.0 - ahead.cost / look.cost;
                (angles, look) = (candidate, ahead);
                if gain < LEAST_GAIN {
                    break;
                }
                damping = DAMPING.max(damping * 0.1);
            } else {
                damping *= 10.0;
                if damping > MOST_DAMPING {
                    break;
                }
            }
        }
        Solution {
            angles,
            position_error_m: look.error.fixed_rows::<3>(0).norm(),
            rotation_error_rad: look.error.fixed_rows::<3>(3).norm() / self.rotation_weight_m,
            iterations,
        }
    }

    fn look(&self, target: &Isometry3<f64>, angles: &[f64]) -> Look {
        let (tool, mut jacobian) = self.arm.forward_and_jacobian(angles);
        let mut error = Vector6::zeros();
        error
            .fixed_rows_mut::<3>(0)
            .copy_from(&(target.translation.vector - tool.translation.vector));
        let turn = (target.rotation * tool.rotation.inverse()).scaled_axis();
        error
            .fixed_rows_mut::<3>(3)
            .copy_from(&(turn * self.rotation_weight_m));
        jacobian
            .fixed_rows_mut::<3>(3)
            .scale_mut(self.rotation_weight_m);
        Look {
            error,
            jacobian,
            cost: error.norm_squared(),
        }
    }

    /// The angles after one damped step, or `None` where there is no finite one.
    fn step(&self, look: &Look, angles: &[f64], damping: f64) -> Option<JointValues> {
        let mut jacobian = look.jacobian;
        // Each round takes at least one joint out, so this ends.
        let step = loop {
            let step = if angles.len() < POSE_JOINTS {
                position_first(&jacobian, &look.error, self.rotation_weight_m, damping)?
            } else {
                all_at_once(&jacobian, &look.error, damping)?
            };
            let blocked = self.blocked(angles, &step);
            if blocked.iter().all(|blocked| !blocked) {
                break step;
            }
            for (joint, blocked) in blocked.iter().enumerate() {
                if *blocked {
                    jacobian.column_mut(joint).fill(0.0);
                }
            }
        };
        let longest = step.amax();
        if !longest.is_finite() {
            return None;
        }
        let scale = if longest > MOST_STEP_RAD {
            MOST_STEP_RAD / longest
        } else {
            1.0
        };
        let moved = angles.iter().zip(&step);
        let moved: JointValues = moved.map(|(angle, step)| angle + step * scale).collect();
        Some(self.arm.clamp(&moved))
    }

    /// Which joints stand at a limit that `step` would leave.
    fn blocked(&self, angles: &[f64], step: &JointStep) -> Row<bool> {
        let joints = self.arm.joints().iter().zip(angles).zip(step);
        joints
            .map(|((joint, angle), step)| {
                (*angle <= joint.min_rad && *step < 0.0) || (*angle >= joint.max_rad && *step > 0.0)
            })
            .collect()
    }
}

/// The damped step that serves position and rotation by their weights.
fn all_at_once(
    jacobian: &SMatrix<f64, 6, MOST_JOINTS>,
    error: &Vector6<f64>,
    damping: f64,
) -> Option<JointStep> {
    let system = jacobian * jacobian.transpose() + Matrix6::from_diagonal_element(damping);
    Some(jacobian.transpose() * system.cholesky()?.solve(error))
}

/// The damped step that serves the position, and the rotation with what the position leaves free. More damping takes away
/// from the rotation first.
fn position_first(
    jacobian: &SMatrix<f64, 6, MOST_JOINTS>,
    error: &Vector6<f64>,
    rotation_weight_m: f64,
    damping: f64,
) -> Option<JointStep> {
    type Half = SMatrix<f64, 3, MOST_JOINTS>;
    let position: Half = jacobian.fixed_rows::<3>(0).into_owned();
    // The damping is made for entries of about a metre: weighted ones would drown in it.
    let rotation: Half = jacobian.fixed_rows::<3>(3) / rotation_weight_m;
    let position_error: Vector3<f64> = error.fixed_rows::<3>(0).into_owned();
    let rotation_error: Vector3<f64> = error.fixed_rows::<3>(3) / rotation_weight_m;
    let damped = |half: &Half, damping: f64| {
        (half * half.transpose() + Matrix3::from_diagonal_element(damping)).cholesky()
    };

    let step = position.transpose() * damped(&position, damping)?.solve(&position_error);
    // What is free stays free however the step is damped.
    let free = SMatrix::<f64, MOST_JOINTS, MOST_JOINTS>::identity()
        - position.transpose() * damped(&position, FREE_DAMPING)?.solve(&position);

    let rotation_left = rotation_error - rotation * step;
    let rotation_free = rotation * free;
    let turn = rotation_free.transpose() * damped(&rotation_free, DAMPING)?.solve(&rotation_left);
    // A long turn leads away from the position, although its beginning does not.
    let longest = turn.amax();
    let share = (MOST_TURN_RAD / longest).min(1.0) * DAMPING / damping;
    Some(step + turn * share)
}

#[cfg(test)]
mod tests {
    use nalgebra::{UnitQuaternion, Vector3};
    use proptest::prelude::*;

    use super::*;

    /// Gripper down at a point of the base.
    fn down_at(x: f64, y: f64, z: f64) -> Isometry3<f64> {
        let down = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), std::f64::consts::FRAC_PI_2);
        Isometry3::from_parts(Vector3::new(x, y, z).into(), down)
    }

    /// Squared error as the solver weighs it.
    fn cost(solution: &Solution) -> f64 {
        let rotation_m = solution.rotation_error_rad * ROTATION_WEIGHT_M;
        solution.position_error_m * solution.position_error_m + rotation_m * rotation_m
    }

    fn assert_within_limits(arm: &ArmDescription, angles: &[f64]) {
        for (joint, angle) in arm.joints().iter().zip(angles) {
            assert!(
                (joint.min_rad..=joint.max_rad).contains(angle),
                "{}: {angle}",
                joint.name
            );
        }
    }

    #[test]
    fn poses_over_the_table_are_reached_from_home() {
        let arm = ArmDescription::wx250s();
        let ik = InverseKinematics::new(&arm);
        for x in [0.2, 0.3, 0.4] {
            for y in [-0.2, 0.0, 0.2] {
                for z in [-0.08, 0.0, 0.1] {
                    let target = down_at(x, y, z);
                    let solution = ik.solve(&target, &arm.home());
                    assert!(
                        solution.position_error_m < 2e-5,
                        "{x} {y} {z}: {solution:?}"
                    );
                    assert!(
                        solution.rotation_error_rad < 1e-4,
                        "{x} {y} {z}: {solution:?}"
                    );
                    let tool = arm.forward(&solution.angles);
                    assert!((tool.translation.vector - target.translation.vector).norm() < 2e-5);
                    assert_within_limits(&arm, &solution.angles);
                }
            }
        }
    }

    #[test]
    fn a_reached_target_changes_nothing() {
        let arm = ArmDescription::wx250s();
        let solution = InverseKinematics::new(&arm).solve(&arm.forward(&arm.home()), &arm.home());
        assert_eq!((solution.angles, solution.iterations), (arm.home(), 0));
    }

    #[test]
    fn a_card_beyond_the_reach_of_a_vertical_gripper_is_reached_by_tilting() {
        let arm = ArmDescription::wx250s();
        let ik = InverseKinematics::new(&arm);
        // The farthest corner card of the benchmark, 0.05 m above it: 0.519 m from the waist's
        // axis.
        let target = down_at(0.47, 0.22, -0.05);
        let solution = ik.solve(&target, &arm.home());
        assert!(
            solution.rotation_error_rad > 0.01,
            "it lies within reach: {solution:?}"
        );
        assert!(solution.position_error_m < 0.02, "{solution:?}");
        // A target that asks for more, as a policy does that sees the error, is followed.
        let farther = ik.solve(&down_at(0.50, 0.234, -0.05), &solution.angles);
        let tool = arm.forward(&farther.angles).translation.vector;
        let reach = |point: &Vector3<f64>| point.xy().norm();
        assert!(
            reach(&tool) > reach(&arm.forward(&solution.angles).translation.vector) + 0.005,
            "{farther:?}"
        );
    }

    #[test]
    fn far_targets_end_at_a_nearest_pose() {
        let arm = ArmDescription::wx250s();
        let ik = InverseKinematics::new(&arm);
        let target = down_at(2.0, 1.0, 0.5);
        let mut solution = ik.solve(&target, &arm.home());
        for _ in 0..50 {
            solution = ik.solve(&target, &solution.angles);
        }
        // No small change of any joint brings it nearer.
        for joint in 0..6 {
            for change in [-1e-3, 1e-3] {
                let mut angles = solution.angles;
                angles[joint] += change;
                let angles = arm.clamp(&angles);
                let nearby = ik.look(&target, &angles).cost;
                assert!(
                    nearby >= cost(&solution) - 1e-6,
                    "joint {joint}: {nearby} < {}",
                    cost(&solution)
                );
            }
        }
    }

    #[test]
    fn what_is_not_finite_leaves_the_arm_where_it_is() {
        let arm = ArmDescription::wx250s();
        let ik = InverseKinematics::new(&arm);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(
                ik.solve(&down_at(bad, 0.0, 0.0), &arm.home()).angles,
                arm.home()
            );
            let mut start = arm.home();
            start[2] = bad;
            let solution = ik.solve(&down_at(0.3, 0.0, 0.0), &start);
            assert!(
                solution.angles.iter().all(|angle| angle.is_finite()),
                "{solution:?}"
            );
        }
    }

    #[test]
    fn five_joints_reach_positions_exactly_and_the_rotation_that_is_left() {
        let arm = ArmDescription::so101();
        let ik = InverseKinematics::new(&arm);
        let down = |x, y, z, yaw: f64| {
            let pose = down_at(x, y, z);
            let yaw = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), yaw);
            Isometry3::from_parts(pose.translation, yaw * pose.rotation)
        };
        for x in [0.15, 0.18, 0.22] {
            for y in [-0.12, 0.0, 0.1] {
                for yaw in [-0.5, 0.0, 0.7] {
                    // A gripper that points down can be turned to any yaw by five joints.
                    let aim = down(x, y, 0.05, yaw);
                    let mut solution = ik.solve(&aim, &arm.home());
                    assert!(
                        solution.position_error_m < 1e-3,
                        "{x} {y} {yaw}: {solution:?}"
                    );
                    for _ in 0..3 {
                        solution = ik.solve(&aim, &solution.angles);
                    }
                    let told = format!("{x} {y} {yaw}: {solution:?}");
                    assert!(solution.position_error_m < 1e-4, "{told}");
                    assert!(solution.rotation_error_rad < 1e-2, "{told}");
                    assert_within_limits(&arm, &solution.angles);
                }
                // Leaned to the side it cannot: the position is reached all the same.
                let lean = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), 0.6);
                let aim = down(x, y, 0.05, 0.0);
                let aim = Isometry3::from_parts(aim.translation, lean * aim.rotation);
                let mut solution = ik.solve(&aim, &arm.home());
                for _ in 0..10 {
                    solution = ik.solve(&aim, &solution.angles);
                }
                assert!(solution.position_error_m < 1e-3, "{x} {y}: {solution:?}");
                assert!(solution.rotation_error_rad > 0.05, "{x} {y}: {solution:?}");
                assert!(solution.rotation_error_rad < 0.61, "{x} {y}: {solution:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn five_joints_never_get_farther_from_a_target_and_stay_in_limits(
            position in prop::array::uniform3(-0.6..0.6_f64),
            turn in prop::array::uniform3(-3.2..3.2_f64),
            start in prop::array::uniform5(-4.0..4.0_f64),
        ) {
            let arm = ArmDescription::so101();
            let ik = InverseKinematics::new(&arm);
            let target = Isometry3::new(Vector3::from(position), Vector3::from(turn));
            let solution = ik.solve(&target, &start);
            assert_within_limits(&arm, &solution.angles);
            let before = ik.look(&target, &arm.clamp(&start)).cost;
            prop_assert!(ik.look(&target, &solution.angles).cost <= before * (1.0 + 1e-9));
        }

        #[test]
        fn any_target_from_anywhere_gives_angles_in_limits_and_no_worse_pose(
            position in prop::array::uniform3(-3.0..3.0_f64),
            turn in prop::array::uniform3(-3.2..3.2_f64),
            start in prop::array::uniform6(-4.0..4.0_f64),
        ) {
            let arm = ArmDescription::wx250s();
            let ik = InverseKinematics::new(&arm);
            let target = Isometry3::new(Vector3::from(position), Vector3::from(turn));
            let solution = ik.solve(&target, &start);
            assert_within_limits(&arm, &solution.angles);
            let before = ik.look(&target, &arm.clamp(&start)).cost;
            prop_assert!(cost(&solution) <= before * (1.0 + 1e-9));
        }

        #[test]
        fn poses_the_arm_can_take_are_found_from_nearby(
            angles in prop::array::uniform6(-1.0..1.0_f64),
            offset in prop::array::uniform6(-0.1..0.1_f64),
        ) {
            let arm = ArmDescription::wx250s();
            let home = arm.home();
            let target = arm.clamp(&JointValues::from_fn(6, |joint| home[joint] + angles[joint]));
            let start = JointValues::from_fn(6, |joint| target[joint] + offset[joint]);
            let solution = InverseKinematics::new(&arm).solve(&arm.forward(&target), &start);
            prop_assert!(cost(&solution).sqrt() < 1e-3, "{solution:?}");
        }
    }
}
