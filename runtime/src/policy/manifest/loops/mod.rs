//! Loops: stages whose graph runs several times for one observation; a file for each method.

mod diffusion;
mod flow;
mod tokens;

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, fault};
use super::noise::{MAX_NUMBERS, Noise, numbers};

pub use diffusion::{Betas, DiffusionSpec, Prediction, Sampler};
pub use flow::{FlowSpec, TimeShape};
pub use tokens::{CacheSpec, DctFit, Decode, FirstToken, TokensSpec, Utf8};

/// Most steps of a loop.
pub(super) const MAX_STEPS: usize = 1000;
const MAX_AXES: usize = 4;

/// What a loop refines and how. Exactly one of `flow`, `diffusion` and `tokens`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoopSpec {
    /// Flow matching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowSpec>,
    /// Diffusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diffusion: Option<DiffusionSpec>,
    /// Token by token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensSpec>,
    /// What flow and diffusion refine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
}

/// The one method that a checked loop has.
#[derive(Debug, Clone, Copy)]
pub enum Method<'a> {
    /// Flow matching of a sample.
    Flow(&'a FlowSpec, &'a SampleSpec),
    /// Diffusion of a sample.
    Diffusion(&'a DiffusionSpec, &'a SampleSpec),
    /// Token by token.
    Tokens(&'a TokensSpec),
}

/// What a loop starts from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSpec {
    /// Shape; the first axis is the batch of 1, the second the chunk.
    pub shape: Vec<usize>,
    /// What its values are drawn from.
    pub noise: Noise,
}

impl LoopSpec {
    /// The method; `None` before the check where there is not exactly one, or it lacks its sample.
    #[must_use]
    pub fn method(&self) -> Option<Method<'_>> {
        match (&self.flow, &self.diffusion, &self.tokens, &self.sample) {
            (Some(flow), None, None, Some(sample)) => Some(Method::Flow(flow, sample)),
            (None, Some(diffusion), None, Some(sample)) => {
                Some(Method::Diffusion(diffusion, sample))
            }
            (None, None, Some(tokens), None) => Some(Method::Tokens(tokens)),
            _ => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), FieldFault> {
        match self.method() {
            Some(Method::Flow(flow, sample)) => {
                flow.check().map_err(|fault| fault.under("flow"))?;
                sample.check().map_err(|fault| fault.under("sample"))
            }
            Some(Method::Diffusion(diffusion, sample)) => {
                diffusion.check().map_err(|f| f.under("diffusion"))?;
                sample.check().map_err(|fault| fault.under("sample"))
            }
            Some(Method::Tokens(tokens)) => tokens.check().map_err(|fault| fault.under("tokens")),
            None => Err(fault(
                "",
                "must hold one of `flow`, `diffusion` and `tokens`; the first two with `sample`, the last without",
            )),
        }
    }
}

impl SampleSpec {
    fn check(&self) -> Result<(), FieldFault> {
        let axes = self.shape.len();
        if !(2..=MAX_AXES).contains(&axes) || self.shape[0] != 1 || numbers(&self.shape).is_none() {
            let message = format!(
                "is {:?}, must be [1, steps, ...] with 2 to {MAX_AXES} axes and at most {MAX_NUMBERS} values",
                self.shape
            );
            return Err(fault("shape", message));
        }
        self.noise.check().map_err(|fault| fault.under("noise"))
    }
}
