//! Diffusion: the schedulers of diffusers.

use serde::{Deserialize, Serialize};

use super::super::fault::{FieldFault, check_range, fault};
use super::MAX_STEPS;

const MAX_TRAIN_STEPS: usize = 10_000;

/// Diffusion as the scheduler of that name in diffusers: timestep spacing `leading`, variance `fixed_small`, eta 0.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionSpec {
    /// The scheduler.
    pub sampler: Sampler,
    /// Steps of the training.
    pub train_steps: usize,
    /// Steps that are taken.
    pub steps: usize,
    /// Variances added by each training step.
    pub betas: Betas,
    /// What the graph predicts.
    pub prediction: Prediction,
    /// The predicted actions are cut to minus and plus this; `null` where they are not.
    #[serde(deserialize_with = "Option::deserialize")]
    pub clip: Option<f32>,
    /// For `ddim`: whether the last step leaves no noise at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_alpha_to_one: Option<bool>,
    /// Added to every timestep.
    pub steps_offset: usize,
    /// The graph's output that is the prediction.
    pub output: String,
}

/// A scheduler of diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// `DDPMScheduler`: noise is added at every step but the last.
    Ddpm,
    /// `DDIMScheduler`: no noise is added.
    Ddim,
}

/// A schedule of variances.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Betas {
    /// `squaredcos_cap_v2`.
    Squaredcos {},
    /// Evenly spaced.
    Linear {
        /// The first.
        start: f32,
        /// The last.
        end: f32,
    },
    /// One for each training step.
    List(Vec<f32>),
}

/// What a diffusion graph predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The actions.
    Sample,
    /// The velocity (`v_prediction`).
    Velocity,
}

impl DiffusionSpec {
    pub(super) fn check(&self) -> Result<(), FieldFault> {
        check_range("train_steps", self.train_steps, 1, MAX_TRAIN_STEPS)?;
        check_range("steps", self.steps, 1, MAX_STEPS.min(self.train_steps))?;
        let last = (self.steps - 1) * (self.train_steps / self.steps) + self.steps_offset;
        if last >= self.train_steps {
            let message = format!(
                "is {}, which makes the first timestep {last} of {}",
                self.steps_offset, self.train_steps
            );
            return Err(fault("steps_offset", message));
        }
        if let Some(clip) = self.clip
            && !(clip.is_finite() && clip > 0.0)
        {
            let message = format!("is {clip:?}, must be above 0 or null");
            return Err(fault("clip", message));
        }
        match (self.sampler, self.set_alpha_to_one) {
            (Sampler::Ddim, None) => {
                return Err(fault(
                    "set_alpha_to_one",
                    "is missing, and `sampler` is ddim",
                ));
            }
            (Sampler::Ddpm, Some(_)) => {
                return Err(fault("set_alpha_to_one", "is given, and `sampler` is ddpm"));
            }
            _ => {}
        }
        self.betas.check(self.train_steps)
    }
}

impl Betas {
    fn check(&self, train_steps: usize) -> Result<(), FieldFault> {
        let inside = |beta: f32| beta > 0.0 && beta < 1.0;
        match self {
            Self::Squaredcos {} => Ok(()),
            Self::Linear { start, end } => {
                if inside(*start) && inside(*end) {
                    return Ok(());
                }
                let message = format!("runs from {start:?} to {end:?}, must lie between 0 and 1");
                Err(fault("betas.linear", message))
            }
            Self::List(betas) => {
                if betas.len() != train_steps {
                    let message = format!("has {} values instead of {train_steps}", betas.len());
                    return Err(fault("betas.list", message));
                }
                match betas.iter().position(|beta| !inside(*beta)) {
                    None => Ok(()),
                    Some(index) => Err(fault(
                        format!("betas.list[{index}]"),
                        format!("is {:?}, must lie between 0 and 1", betas[index]),
                    )),
                }
            }
        }
    }
}
