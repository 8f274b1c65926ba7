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
/// Damped least squares after Wampler (1986) and Nakamura and Hanafusa (1986), with the damping raised while a step makes
/// things worse, as Levenberg and Marquardt do. Joints at a limit that a step would leave take no part in it.
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

    /// Angles that put the tool at `tool_in_base`, or as near as can be from `start`: of two errors, 0.3 m of position weigh as
    /// much as 1 rad of rotation, so the tool tilts where that helps to get there. Never farther from the target than `start` is (after that was brought inside
    /// of the limits), never NaN: a target or start that is not finite changes nothing but what the limits ask.
    #[must_use]
    pub fn solve(&self, tool_in_base: &Isometry3<f64>, start: &[f64; ARM_JOINTS]) -> Solution {
        let mut angles = self.arm.clamp(&start.map(|angle| if angle.is_finite() { angle } else { 0.0 }));
        let mut look = self.look(tool_in_base, &angles);
        let mut damping = DAMPING;
        let mut iterations = 0;
        while look.cost > TOLERANCE_M * TOLERANCE_M && iterations < MOST_ITERATIONS {
            iterations += 1;
            let Some(candidate) = self.step(&look, &angles, damping) else { break };
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
        error.fixed_rows_mut::<3>(0).copy_from(&(target.translation.vector - tool.translation.vector));
        let turn = (target.rotation * tool.rotation.inverse()).scaled_axis();
        error.fixed_rows_mut::<3>(3).copy_from(&(turn * ROTATION_WEIGHT_M));
        jacobian.fixed_rows_mut::<3>(3).scale_mut(ROTATION_WEIGHT_M);
        Look { error, jacobian, cost: error.norm_squared() }
    }

    /// The angles after one damped step, or `None` where there is no finite one.
    fn step(&self, look: &Look, angles: &[f64; ARM_JOINTS], damping: f64) -> Option<[f64; ARM_JOINTS]> {
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
        let scale = if longest > MOST_STEP_RAD { MOST_STEP_RAD / longest } else { 1.0 };
        Some(self.arm.clamp(&std::array::from_fn(|joint| angles[joint] + step[joint] * scale)))
    }

    /// Which joints stand at a limit that `step` would leave.
    fn blocked(&self, angles: &[f64; ARM_JOINTS], step: &Vector6<f64>) -> [bool; ARM_JOINTS] {
        std::array::from_fn(|index| {
            let joint = &self.arm.joints()[index];
            (angles[index] <= joint.min_rad && step[index] < 0.0) || (angles[index] >= joint.max_rad && step[index] > 0.0)
        })
    }
}
