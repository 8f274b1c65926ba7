//! Inverse kinematics by damped least squares.

use nalgebra::{Isometry3, Matrix6, Vector6};

use crate::arm::{ARM_JOINTS, ArmDescription};

/// Metres of position error that one radian of rotation error counts as.
const ROTATION_WEIGHT_M: f64 = 0.3;

/// Damping (lambda squared) near a solution. It bounds the step in singular poses.
const DAMPING: f64 = 1e-4;

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

/// Finds joint angles for poses of the tool.
///
/// Damped least squares after Wampler (1986) and Nakamura and Hanafusa (1986), with the damping
/// raised while a step makes things worse, as Levenberg and Marquardt do. Joints at a limit that a
/// step would leave take no part in it.
#[derive(Debug, Clone)]
pub struct InverseKinematics {
    arm: ArmDescription,
}

/// Joint angles, and how far the tool is from the target there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solution {
    /// Angles (rad), finite and inside of the joint limits.
    pub angles: [f64; ARM_JOINTS],
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
    jacobian: Matrix6<f64>,
    /// Squared length of `error`.
    cost: f64,
}

impl InverseKinematics {
    /// For one arm.
    #[must_use]
    pub fn new(arm: &ArmDescription) -> Self {
        Self { arm: arm.clone() }
    }

    /// Angles that put the tool at `tool_in_base`, or as near as can be from `start`: of two
    /// errors, 0.3 m of position weigh as much as 1 rad of rotation, so the tool tilts where that
    /// helps to get there. Never farther from the target than `start` is (after that was brought
    /// inside of the limits), never NaN: a target or start that is not finite changes nothing but
    /// what the limits ask.
    #[must_use]
    pub fn solve(&self, tool_in_base: &Isometry3<f64>, start: &[f64; ARM_JOINTS]) -> Solution {
        let mut angles = self
            .arm
            .clamp(&start.map(|angle| if angle.is_finite() { angle } else { 0.0 }));
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
            rotation_error_rad: look.error.fixed_rows::<3>(3).norm() / ROTATION_WEIGHT_M,
            iterations,
        }
    }

    fn look(&self, target: &Isometry3<f64>, angles: &[f64; ARM_JOINTS]) -> Look {
        let (tool, mut jacobian) = self.arm.forward_and_jacobian(angles);
        let mut error = Vector6::zeros();
        error
            .fixed_rows_mut::<3>(0)
            .copy_from(&(target.translation.vector - tool.translation.vector));
        let turn = (target.rotation * tool.rotation.inverse()).scaled_axis();
        error
            .fixed_rows_mut::<3>(3)
            .copy_from(&(turn * ROTATION_WEIGHT_M));
        jacobian.fixed_rows_mut::<3>(3).scale_mut(ROTATION_WEIGHT_M);
        Look {
            error,
            jacobian,
            cost: error.norm_squared(),
        }
    }

    /// The angles after one damped step, or `None` where there is no finite one.
    fn step(
        &self,
        look: &Look,
        angles: &[f64; ARM_JOINTS],
        damping: f64,
    ) -> Option<[f64; ARM_JOINTS]> {
        let mut jacobian = look.jacobian;
        // Each round takes at least one joint out, so this ends.
        let step = loop {
            let system = jacobian * jacobian.transpose() + Matrix6::from_diagonal_element(damping);
            let step = jacobian.transpose() * system.cholesky()?.solve(&look.error);
            let blocked = self.blocked(angles, &step);
            if blocked.iter().all(|blocked| !blocked) {
                break step;
            }
            for (joint, blocked) in blocked.into_iter().enumerate() {
                if blocked {
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
        Some(self.arm.clamp(&std::array::from_fn(|joint| {
            angles[joint] + step[joint] * scale
        })))
    }

    /// Which joints stand at a limit that `step` would leave.
    fn blocked(&self, angles: &[f64; ARM_JOINTS], step: &Vector6<f64>) -> [bool; ARM_JOINTS] {
        std::array::from_fn(|index| {
            let joint = &self.arm.joints()[index];
            (angles[index] <= joint.min_rad && step[index] < 0.0)
                || (angles[index] >= joint.max_rad && step[index] > 0.0)
        })
    }
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

    fn assert_within_limits(arm: &ArmDescription, angles: &[f64; ARM_JOINTS]) {
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
        for joint in 0..ARM_JOINTS {
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

    proptest! {
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
            let target: [f64; ARM_JOINTS] = arm.clamp(&std::array::from_fn(|joint| home[joint] + angles[joint]));
            let start: [f64; ARM_JOINTS] = std::array::from_fn(|joint| target[joint] + offset[joint]);
            let solution = InverseKinematics::new(&arm).solve(&arm.forward(&target), &start);
            prop_assert!(cost(&solution).sqrt() < 1e-3, "{solution:?}");
        }
    }
}
