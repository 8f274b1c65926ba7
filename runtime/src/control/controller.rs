//! Chunks of actions in, joint targets out.

use nalgebra::{Isometry3, Translation3};

use super::action::{ACTION_DIM, ACTION_NAMES, clamped, finger_m, rotation, translation_m};
use super::{ControlConfig, InverseKinematics, PROPRIO_DIM, proprio};
use crate::arm::{ARM_JOINTS, ArmDescription, GRIPPER, WIRE_JOINTS};
use crate::policy::{ActionChunk, ChunkShape};

/// Why an action is not executed. The arm must hold its pose.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The policy's actions are not end-effector deltas.
    #[error("the policy's actions have {found} values, an end-effector delta has {ACTION_DIM}")]
    ActionDim {
        /// What the policy has.
        found: usize,
    },
    /// The policy's chunks cannot be executed as it says.
    #[error(
        "the policy executes {execute} of {steps} actions: it must be at least 1 and at most all"
    )]
    Execute {
        /// Actions to execute.
        execute: usize,
        /// Actions in a chunk.
        steps: usize,
    },
    /// A chunk has another size than the policy announced.
    #[error(
        "the policy gave {values} values as {steps} x {dim} actions, it announced {expected_steps} x {ACTION_DIM}"
    )]
    ChunkSize {
        /// Values in the chunk.
        values: usize,
        /// Steps it claims.
        steps: usize,
        /// Values per step it claims.
        dim: usize,
        /// Steps announced.
        expected_steps: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "the policy's action is not finite: {name} of step {step} is {value}; the arm holds its pose"
    )]
    NotFinite {
        /// The first bad step of the chunk.
        step: usize,
        /// The value's name.
        name: &'static str,
        /// What it is.
        value: f32,
    },
    /// The policy's rate is no number of actions a second.
    #[error("the policy's control rate is {hz} Hz: it must be a positive number")]
    NoRate {
        /// The rate.
        hz: f64,
    },
    /// The board's clock cannot keep the policy's rate.
    #[error(
        "the policy runs at {hz} Hz, one action every {period_us} us, but the clock of this board advances in steps of {step_us} us: the rate must be {fastest_hz} Hz or that divided by a whole number",
        period_us = (1e6 / hz).round(),
        fastest_hz = 1e6 / *step_us as f64
    )]
    Rate {
        /// The rate.
        hz: f64,
        /// The clock's step.
        step_us: u64,
    },
    /// The board would hold the arm between two setpoints.
    #[error(
        "the policy runs at {hz} Hz, one action every {period_us} us, but the firmware holds the arm after {hold_after_us} us without a setpoint",
        period_us = (1e6 / hz).round()
    )]
    TooSlow {
        /// The rate.
        hz: f64,
        /// Time without a setpoint after which the firmware holds.
        hold_after_us: u64,
    },
    /// No episode was begun, no chunk accepted, or the last one is used up.
    #[error("there is no action to execute")]
    NoAction,
}

/// What one action led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The action as executed, brought into its range.
    pub action: [f32; ACTION_DIM],
    /// Targets on the wire: joint angles (rad), then the travel of one finger (m).
    pub joint_targets: [f64; WIRE_JOINTS],
    /// Whether the workspace box cut the target pose.
    pub cut: bool,
    /// How far the joint targets leave the tool from the target position.
    pub position_error_m: f64,
    /// How far they leave it from the target rotation.
    pub rotation_error_rad: f64,
}

/// Executes chunks of end-effector deltas: each delta is added to the last TARGET pose (not the
/// measured one), the pose is kept in the workspace, and inverse kinematics, starting from the last
/// joint targets, keeps the joints in their limits.
#[derive(Debug, Clone)]
pub struct Controller {
    arm: ArmDescription,
    ik: InverseKinematics,
    config: ControlConfig,
    target_in_world: Isometry3<f64>,
    joint_targets: [f64; WIRE_JOINTS],
    shape: ChunkShape,
    chunk: ActionChunk,
    /// The next action of the chunk; `None` where a new chunk is needed.
    next: Option<usize>,
}

impl Controller {
    /// A controller at the arm's home.
    #[must_use]
    pub fn new(arm: &ArmDescription, config: &ControlConfig) -> Self {
        let mut joint_targets = [0.0; WIRE_JOINTS];
        joint_targets[..ARM_JOINTS].copy_from_slice(&arm.home());
        joint_targets[GRIPPER] = arm.gripper().home_m;
        Self {
            arm: arm.clone(),
            ik: InverseKinematics::new(arm),
            config: config.clone(),
            target_in_world: config.base_in_world * arm.forward(&arm.home()),
            joint_targets,
            shape: ChunkShape {
                steps: 1,
                execute: 1,
                dim: ACTION_DIM,
            },
            chunk: ActionChunk::default(),
            next: None,
        }
    }

    /// Starts an episode: targets become what is `measured` (rad, m of one finger), brought inside
    /// of the limits, and chunks of `shape` are expected. Room for them is made here.
    ///
    /// # Errors
    /// When actions have not seven values, or `execute` is not between 1 and `steps`.
    pub fn begin(
        &mut self,
        measured: &[f64; WIRE_JOINTS],
        shape: ChunkShape,
    ) -> Result<(), ControlError> {
        self.next = None;
        if shape.dim != ACTION_DIM {
            return Err(ControlError::ActionDim { found: shape.dim });
        }
        if shape.execute == 0 || shape.execute > shape.steps {
            return Err(ControlError::Execute {
                execute: shape.execute,
                steps: shape.steps,
            });
        }
        let gripper = self.arm.gripper();
        let angles = self.arm.clamp(&arm_part(measured));
        self.joint_targets[..ARM_JOINTS].copy_from_slice(&angles);
        self.joint_targets[GRIPPER] = measured[GRIPPER].clamp(gripper.min_m, gripper.max_m);
        self.target_in_world = self.config.base_in_world * self.arm.forward(&angles);
        self.shape = shape;
        self.chunk.reset(shape.steps, shape.dim);
        Ok(())
    }

    /// The proprioception at `measured` joints (rad, m of one finger), as [`proprio`] has it.
    #[must_use]
    pub fn proprio(&self, measured: &[f64; WIRE_JOINTS]) -> [f32; PROPRIO_DIM] {
        proprio(&self.arm, &self.config, measured)
    }

    /// Whether the chunk is executed as far as it shall be.
    #[must_use]
    pub fn needs_chunk(&self) -> bool {
        self.next.is_none()
    }

    /// Where the policy writes its next chunk. What was in there is not executed any more.
    pub fn chunk_mut(&mut self) -> &mut ActionChunk {
        self.next = None;
        &mut self.chunk
    }

    /// Checks the chunk that was written and makes it the one to execute.
    ///
    /// # Errors
    /// When its size is not the announced one, or any of its values is not finite.
    pub fn accept_chunk(&mut self) -> Result<(), ControlError> {
        self.next = None;
        let ActionChunk { steps, dim, data } = &self.chunk;
        if (*steps, *dim, data.len())
            != (
                self.shape.steps,
                self.shape.dim,
                self.shape.steps * self.shape.dim,
            )
        {
            return Err(ControlError::ChunkSize {
                values: data.len(),
                steps: *steps,
                dim: *dim,
                expected_steps: self.shape.steps,
            });
        }
        if let Some(index) = data.iter().position(|value| !value.is_finite()) {
            let name = ACTION_NAMES[index % ACTION_DIM];
            return Err(ControlError::NotFinite {
                step: index / ACTION_DIM,
                name,
                value: data[index],
            });
        }
        self.next = Some(0);
        Ok(())
    }

    /// Executes the next action of the chunk.
    ///
    /// # Errors
    /// When there is none.
    pub fn step(&mut self) -> Result<Step, ControlError> {
        let index = self.next.ok_or(ControlError::NoAction)?;
        let action: [f32; ACTION_DIM] = self
            .chunk
            .step(index)
            .and_then(|action| action.try_into().ok())
            .ok_or(ControlError::NoAction)?;
        self.next = Some(index + 1).filter(|&next| next < self.shape.execute);
        Ok(self.execute(&action))
    }

    /// Executes one action, whatever the chunk holds. Its values must be finite.
    fn execute(&mut self, action: &[f32; ACTION_DIM]) -> Step {
        let action = clamped(action);
        let moved =
            self.target_in_world.translation.vector + translation_m(&action, &self.config.units);
        let position = self.config.workspace.clamp(&moved.into());
        let mut turned = rotation(&action, &self.config.units) * self.target_in_world.rotation;
        // Hundreds of products would otherwise add up their rounding.
        turned.renormalize();
        self.target_in_world = Isometry3::from_parts(Translation3::from(position), turned);

        let target_in_base = self.config.base_in_world.inv_mul(&self.target_in_world);
        let solution = self
            .ik
            .solve(&target_in_base, &arm_part(&self.joint_targets));
        self.joint_targets[..ARM_JOINTS].copy_from_slice(&solution.angles);
        self.joint_targets[GRIPPER] = finger_m(&action, self.arm.gripper());
        Step {
            action,
            joint_targets: self.joint_targets,
            cut: position.coords != moved,
            position_error_m: solution.position_error_m,
            rotation_error_rad: solution.rotation_error_rad,
        }
    }

    /// The pose that the last action aimed the tool at.
    #[must_use]
    pub fn target_in_world(&self) -> &Isometry3<f64> {
        &self.target_in_world
    }

    /// The arm being controlled.
    #[must_use]
    pub fn arm(&self) -> &ArmDescription {
        &self.arm
    }
}

/// The arm's joints out of those on the wire.
fn arm_part(joints: &[f64; WIRE_JOINTS]) -> [f64; ARM_JOINTS] {
    std::array::from_fn(|index| joints[index])
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;
    use crate::control::on_a_table;

    const SHAPE: ChunkShape = ChunkShape {
        steps: 4,
        execute: 2,
        dim: ACTION_DIM,
    };

    fn home(arm: &ArmDescription) -> [f64; WIRE_JOINTS] {
        let mut joints = [0.0; WIRE_JOINTS];
        joints[..ARM_JOINTS].copy_from_slice(&arm.home());
        joints[GRIPPER] = arm.gripper().home_m;
        joints
    }

    fn begun(shape: ChunkShape) -> Controller {
        let arm = ArmDescription::wx250s();
        let mut controller = Controller::new(&arm, &on_a_table());
        controller.begin(&home(&arm), shape).unwrap();
        controller
    }

    /// A controller whose chunks hold one action.
    fn stepper() -> impl FnMut([f32; ACTION_DIM]) -> (Step, Isometry3<f64>) {
        let mut controller = begun(ChunkShape {
            steps: 1,
            execute: 1,
            dim: ACTION_DIM,
        });
        move |action| {
            controller.chunk_mut().data.copy_from_slice(&action);
            controller.accept_chunk().unwrap();
            (controller.step().unwrap(), *controller.target_in_world())
        }
    }

    #[test]
    fn of_a_chunk_as_many_actions_are_executed_as_the_policy_says() {
        let mut controller = begun(SHAPE);
        assert_eq!(controller.step(), Err(ControlError::NoAction));
        for _ in 0..3 {
            assert!(controller.needs_chunk());
            for (index, value) in controller.chunk_mut().data.iter_mut().enumerate() {
                *value = index as f32 / 100.0;
            }
            controller.accept_chunk().unwrap();
            for step in 0..2 {
                assert!(!controller.needs_chunk());
                let action = controller.step().unwrap().action;
                assert_eq!(
                    action,
                    std::array::from_fn(|index| (step * ACTION_DIM + index) as f32 / 100.0)
                );
            }
        }
        assert!(controller.needs_chunk());
        assert_eq!(controller.step(), Err(ControlError::NoAction));
    }

    #[test]
    fn deltas_add_up_on_the_target_pose() {
        let mut step = stepper();
        let start = step([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).1;
        assert!((start.translation.vector - Vector3::new(0.049_75, 0.7, 0.302_075)).norm() < 1e-9);
        for _ in 0..4 {
            step([0.25, -0.5, -0.125, 0.0, 0.0, 0.5, 1.0]);
        }
        let (report, target) = step([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let moved = target.translation.vector - start.translation.vector;
        assert!(
            (moved - Vector3::new(0.1, -0.2, -0.05)).norm() < 1e-9,
            "{moved}"
        );
        let turned = (target.rotation * start.rotation.inverse()).scaled_axis();
        assert!(
            (turned - Vector3::new(0.0, 0.0, 0.2)).norm() < 1e-6,
            "{turned}"
        );
        assert!(
            report.position_error_m < 2e-5 && report.rotation_error_rad < 1e-4,
            "{report:?}"
        );
        assert!((report.joint_targets[GRIPPER] + 0.01).abs() < 1e-9);
    }

    #[test]
    fn actions_out_of_range_are_executed_as_the_nearest_in_range() {
        let action = stepper()([9.0, -9.0, 0.0, 0.0, 0.0, 0.0, 9.0]);
        assert_eq!(action.0.action, [1.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert!((action.0.joint_targets[GRIPPER] - 0.04).abs() < 1e-9);
    }

    #[test]
    fn the_target_stays_in_the_workspace_and_joints_in_their_limits() {
        let arm = ArmDescription::wx250s();
        let workspace = on_a_table().workspace;
        // Each face of the box, with a turn that no wrist can follow for long.
        for axis in 0..3 {
            for direction in [-1.0, 1.0] {
                let mut step = stepper();
                let mut action = [0.0, 0.0, 0.0, direction, 1.0, -direction, 1.0];
                action[axis] = direction;
                let mut was_cut = false;
                for _ in 0..60 {
                    let (report, target) = step(action);
                    was_cut |= report.cut;
                    let point = target.translation.vector;
                    assert!(
                        (0..3)
                            .all(|i| (workspace.min_m[i]..=workspace.max_m[i]).contains(&point[i])),
                        "{point}"
                    );
                    for (joint, angle) in arm.joints().iter().zip(&report.joint_targets) {
                        assert!(
                            (joint.min_rad..=joint.max_rad).contains(angle),
                            "{}: {angle}",
                            joint.name
                        );
                    }
                }
                assert!(was_cut, "axis {axis} {direction}");
            }
        }
    }

    #[test]
    fn bad_chunks_are_refused_by_name_and_nothing_of_them_is_executed() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut controller = begun(SHAPE);
            let before = *controller.target_in_world();
            controller.chunk_mut().data[3 * ACTION_DIM + 2] = bad;
            let error = controller.accept_chunk().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains(&format!("dz of step 3 is {bad}")),
                "{error}"
            );
            assert_eq!(controller.step(), Err(ControlError::NoAction));
            assert_eq!(controller.target_in_world(), &before);
        }
        let mut controller = begun(SHAPE);
        controller.chunk_mut().data.pop();
        assert!(matches!(
            controller.accept_chunk(),
            Err(ControlError::ChunkSize { values: 27, .. })
        ));
    }

    #[test]
    fn shapes_that_cannot_be_executed_are_refused() {
        let arm = ArmDescription::wx250s();
        let mut controller = Controller::new(&arm, &on_a_table());
        let cases = [
            (
                ChunkShape { dim: 6, ..SHAPE },
                ControlError::ActionDim { found: 6 },
            ),
            (
                ChunkShape {
                    execute: 0,
                    ..SHAPE
                },
                ControlError::Execute {
                    execute: 0,
                    steps: 4,
                },
            ),
            (
                ChunkShape {
                    execute: 5,
                    ..SHAPE
                },
                ControlError::Execute {
                    execute: 5,
                    steps: 4,
                },
            ),
        ];
        for (shape, expected) in cases {
            assert_eq!(controller.begin(&home(&arm), shape), Err(expected));
        }
    }

    #[test]
    fn an_episode_starts_where_the_arm_is() {
        let arm = ArmDescription::wx250s();
        let mut controller = begun(SHAPE);
        let measured = [0.3, 0.1, -0.2, 0.1, 1.4, -0.1, 0.02];
        controller.begin(&measured, SHAPE).unwrap();
        let expected = on_a_table().base_in_world * arm.forward(&arm_part(&measured));
        assert_eq!(controller.target_in_world(), &expected);
        controller.chunk_mut().data.fill(0.0);
        controller.accept_chunk().unwrap();
        let targets = controller.step().unwrap().joint_targets;
        for (target, measured) in targets.iter().zip(&measured).take(ARM_JOINTS) {
            assert!((target - measured).abs() < 1e-4, "{targets:?}");
        }
    }
}
