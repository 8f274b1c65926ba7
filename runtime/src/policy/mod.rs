//! A policy turns an observation into a chunk of actions.
//!
//! Here live the trait that the control loop drives, the policy package (a folder with `policy.json`) and its checks and,
//! behind the feature `onnx`, the tokenizer, the stages and the loops that run it. Nothing here knows an arm's joints:
//! actions leave in the units of the package's action space.

#[cfg(feature = "onnx")]
mod action;
mod condition;
mod error;
#[cfg(feature = "onnx")]
mod feeds;
#[cfg(feature = "onnx")]
mod golden;
#[cfg(feature = "onnx")]
mod loops;
pub mod manifest;
mod observation;
#[cfg(feature = "onnx")]
mod onnx;
mod package;
pub mod preprocess;
#[cfg(feature = "onnx")]
mod stages;
#[cfg(test)]
#[cfg(feature = "onnx")]
mod tests;
#[cfg(feature = "onnx")]
mod text;

use std::sync::{Arc, Mutex, MutexGuard};

pub use condition::{Condition, Conditioning};
pub use error::PolicyError;
#[cfg(feature = "onnx")]
pub use golden::{GoldenReport, GoldenValue};
pub use observation::{CameraFrame, Name, Observation, StateVector};
#[cfg(feature = "onnx")]
pub use onnx::{OnnxPolicy, StageReport};
pub use package::{Package, PackageError};
#[cfg(feature = "onnx")]
pub use stages::{StageRun, observed};
#[cfg(feature = "onnx")]
pub use wink_engine::{
    Element, EngineError, Execution, Fusion, GraphInfo, LoadTimes, OpInfo, OpTime, Tensor,
    TensorInfo, TensorSpec, Threads, Unmatched, View,
};

/// A chunk of `steps` x `dim` actions, row-major, in the units of the action space (not normalised).
///
/// For `ee_delta`: dx, dy, dz (times 0.1 m), droll, dpitch, dyaw (times 0.1 rad), gripper 0 (closed) to 1 (open).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActionChunk {
    /// Number of steps, T.
    pub steps: usize,
    /// Values per step, A.
    pub dim: usize,
    /// `steps * dim` values; step `t` is `data[t * dim..(t + 1) * dim]`.
    pub data: Vec<f32>,
}

impl ActionChunk {
    /// Sets the size and zeroes the values. Allocates only where the chunk grows.
    pub fn reset(&mut self, steps: usize, dim: usize) {
        self.steps = steps;
        self.dim = dim;
        self.data.clear();
        self.data.resize(steps * dim, 0.0);
    }

    /// The action of step `index`, or `None` past the end.
    #[must_use]
    pub fn step(&self, index: usize) -> Option<&[f32]> {
        if index < self.steps {
            self.data.get(index * self.dim..(index + 1) * self.dim)
        } else {
            None
        }
    }
}

/// The size of a policy's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkShape {
    /// Actions predicted at once, T.
    pub steps: usize,
    /// How many of them are executed before the policy is asked again, 1 to `steps`.
    pub execute: usize,
    /// Values per action, A.
    pub dim: usize,
}

/// How long the last call of [`Policy::act`] took, by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyTimes {
    /// Crop, resize and normalisation of frame and state.
    pub preprocess_us: u64,
    /// The networks, with their output brought back to units.
    pub inference_us: u64,
}

/// Something that turns observations into actions: a network, a script, a random number generator.
pub trait Policy: Send {
    /// Starts an episode with an instruction. Text is encoded here, once.
    ///
    /// # Errors
    /// When the instruction is empty or longer than the policy takes.
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError>;

    /// Writes the next chunk of actions. On an error `out` must not be executed: the arm holds its pose.
    ///
    /// # Errors
    /// When the observation does not fit, or the output is not finite.
    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError>;

    /// [`Policy::act`] on the rest of the chunk before. Without a condition it is the same.
    ///
    /// # Errors
    /// As for [`Policy::act`], and when the policy cannot be conditioned so.
    fn act_on(
        &mut self,
        observation: &Observation<'_>,
        condition: &Condition,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.check_conditioning(condition.how, condition.delay)?;
        self.act(observation, out)
    }

    /// Whether chunks can be conditioned so, with `delay` actions executed meanwhile.
    ///
    /// # Errors
    /// Says what the policy lacks.
    fn check_conditioning(&self, how: Conditioning, delay: usize) -> Result<(), PolicyError> {
        let _ = delay;
        match how {
            Conditioning::None => Ok(()),
            how => Err(PolicyError::Conditioning {
                how: how.name(),
                message: "needs actions that a flow makes, and this policy has no network"
                    .to_owned(),
            }),
        }
    }

    /// Whether [`Observation::cameras`] are looked at; where false, the loop captures nothing.
    fn needs_frame(&self) -> bool;

    /// The size of the chunks that [`Policy::act`] writes.
    fn chunk_shape(&self) -> ChunkShape;

    /// Rate of the control loop that the policy was trained for, Hz: its actions are 1 / rate apart. `None` where any rate will do.
    fn control_hz(&self) -> Option<f64> {
        None
    }

    /// What the policy's actions and states are. `None` for a script: end-effector deltas from the proprioception.
    fn manifest(&self) -> Option<manifest::Manifest> {
        None
    }

    /// Whether the policy is given a history, so that it must be shown every tick: [`Policy::see`].
    fn keeps_history(&self) -> bool {
        false
    }

    /// Shows the policy a tick at which it is not asked for actions. Called where [`Policy::keeps_history`] is true.
    ///
    /// # Errors
    /// When the observation does not fit.
    fn see(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        let _ = observation;
        Ok(())
    }

    /// Times of the last [`Policy::act`]; zero where a policy does not measure.
    fn times(&self) -> PolicyTimes {
        PolicyTimes::default()
    }
}

/// A policy that a worker and its owner share: each call takes the lock, and blocks while the other holds it.
impl<P: Policy> Policy for Arc<Mutex<P>> {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        locked(self)?.begin_episode(instruction)
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        locked(self)?.act(observation, out)
    }

    fn act_on(
        &mut self,
        observation: &Observation<'_>,
        condition: &Condition,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        locked(self)?.act_on(observation, condition, out)
    }

    fn check_conditioning(&self, how: Conditioning, delay: usize) -> Result<(), PolicyError> {
        locked(self)?.check_conditioning(how, delay)
    }

    fn needs_frame(&self) -> bool {
        locked(self).is_ok_and(|policy| policy.needs_frame())
    }

    fn chunk_shape(&self) -> ChunkShape {
        let none = ChunkShape {
            steps: 0,
            execute: 0,
            dim: 0,
        };
        locked(self).map_or(none, |policy| policy.chunk_shape())
    }

    fn manifest(&self) -> Option<manifest::Manifest> {
        locked(self).ok().and_then(|policy| policy.manifest())
    }

    fn control_hz(&self) -> Option<f64> {
        locked(self).ok().and_then(|policy| policy.control_hz())
    }

    fn keeps_history(&self) -> bool {
        locked(self).is_ok_and(|policy| policy.keeps_history())
    }

    fn see(&mut self, observation: &Observation<'_>) -> Result<(), PolicyError> {
        locked(self)?.see(observation)
    }

    fn times(&self) -> PolicyTimes {
        locked(self).map_or_else(|_| PolicyTimes::default(), |policy| policy.times())
    }
}

fn locked<P>(policy: &Mutex<P>) -> Result<MutexGuard<'_, P>, PolicyError> {
    let poisoned = |_| PolicyError::Other("the policy panicked in an earlier call".to_owned());
    policy.lock().map_err(poisoned)
}
