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
    #[error("the policy executes {execute} of {steps} actions: it must be at least 1 and at most all")]
    Execute {
        /// Actions to execute.
        execute: usize,
        /// Actions in a chunk.
        steps: usize,
    },
    /// A chunk has another size than the policy announced.
    #[error("the policy gave {values} values as {steps} x {dim} actions, it announced {expected_steps} x {ACTION_DIM}")]
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
    #[error("the policy's action is not finite: {name} of step {step} is {value}; the arm holds its pose")]
    NotFinite {
        /// The first bad step of the chunk.
        step: usize,
        /// The value's name.
        name: &'static str,
        /// What it is.
        value: f32,
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

/// Executes chunks of end-effector deltas: each delta is added to the last TARGET pose (not the measured one), the pose is
/// kept in the workspace, and inverse kinematics, starting from the last joint targets, keeps the joints in their limits.
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
            shape: ChunkShape { steps: 1, execute: 1, dim: ACTION_DIM },
            chunk: ActionChunk::default(),
            next: None,
        }
    }

    /// Starts an episode: targets become what is `measured` (rad, m of one finger), brought inside of the limits, and chunks
    /// of `shape` are expected. Room for them is made here.
    ///
    /// # Errors
    /// When actions have not seven values, or `execute` is not between 1 and `steps`.
    pub fn begin(&mut self, measured: &[f64; WIRE_JOINTS], shape: ChunkShape) -> Result<(), ControlError> {
        self.next = None;
        if shape.dim != ACTION_DIM {
            return Err(ControlError::ActionDim { found: shape.dim });
        }
        if shape.execute == 0 || shape.execute > shape.steps {
            return Err(ControlError::Execute { execute: shape.execute, steps: shape.steps });
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
        proprio(&self.arm, &self.config.base_in_world, measured)
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
        if (*steps, *dim, data.len()) != (self.shape.steps, self.shape.dim, self.shape.steps * self.shape.dim) {
            return Err(ControlError::ChunkSize {
                values: data.len(),
                steps: *steps,
                dim: *dim,
                expected_steps: self.shape.steps,
            });
        }
        if let Some(index) = data.iter().position(|value| !value.is_finite()) {
            let name = ACTION_NAMES[index % ACTION_DIM];
            return Err(ControlError::NotFinite { step: index / ACTION_DIM, name, value: data[index] });
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
        let action: [f32; ACTION_DIM] =
            self.chunk.step(index).and_then(|action| action.try_into().ok()).ok_or(ControlError::NoAction)?;
        self.next = Some(index + 1).filter(|&next| next < self.shape.execute);
        Ok(self.execute(&action))
    }

    /// Executes one action, whatever the chunk holds. Its values must be finite.
    fn execute(&mut self, action: &[f32; ACTION_DIM]) -> Step {
        let action = clamped(action);
        let moved = self.target_in_world.translation.vector + translation_m(&action);
        let position = self.config.workspace.clamp(&moved.into());
        let mut turned = rotation(&action) * self.target_in_world.rotation;
        // Hundreds of products would otherwise add up their rounding.
        turned.renormalize();
        self.target_in_world = Isometry3::from_parts(Translation3::from(position), turned);

        let target_in_base = self.config.base_in_world.inv_mul(&self.target_in_world);
        let solution = self.ik.solve(&target_in_base, &arm_part(&self.joint_targets));
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
