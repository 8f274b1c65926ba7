//! Loops: stages whose graph runs several times for one observation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_range, fault};

/// Most steps of a loop.
pub(super) const MAX_STEPS: usize = 1000;
const MAX_TRAIN_STEPS: usize = 10_000;
const MAX_SAMPLE: usize = 1 << 20;
const MAX_AXES: usize = 4;
const MAX_CACHES: usize = 128;

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

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Noise {
    /// The normal distribution.
    Normal {
        /// Its mean.
        mean: f32,
        /// Its standard deviation.
        std: f32,
    },
    /// The uniform distribution, `high` excluded.
    Uniform {
        /// The smallest value.
        low: f32,
        /// The end of the range.
        high: f32,
    },
}

/// Flow matching by Euler's method: x += (t_next - t) * velocity.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// Equal steps between `from` and `to`; absent where `grid` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Time of the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Time of the actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<f64>,
    /// All times, the last one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Vec<f64>>,
    /// The graph's output that is the velocity.
    pub velocity: String,
    /// Shape of the time that the graph takes.
    pub time: TimeShape,
}

/// Shape of a loop's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeShape {
    /// `[1]`.
    Scalar,
    /// `[1, T]`, T being the second axis of the sample.
    Chunk,
}

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

/// Greedy decoding, token by token.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokensSpec {
    /// Most tokens that are decoded.
    pub max_tokens: usize,
    /// The token that ends the decoding; `null` where exactly `max_tokens` are decoded.
    #[serde(deserialize_with = "Option::deserialize")]
    pub end: Option<u32>,
    /// Where the first token comes from.
    pub first: FirstToken,
    /// The graph's output whose largest value is the next token: f32, the vocabulary being its last axis.
    pub logits: String,
    /// What the graph keeps from token to token: the graph reads `loop.NAME`.
    pub cache: BTreeMap<String, CacheSpec>,
    /// How tokens become actions.
    pub decode: Decode,
}

/// Where the first token comes from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstToken {
    /// It is the largest of the last row of this value.
    Logits(String),
    /// It is this token, which is fed but no action.
    Token(u32),
}

/// A tensor that a token loop keeps; its shape is that of the graph's input.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// The value it begins with, at the start of `axis`, the rest being 0; all 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The graph's output that is kept.
    pub output: String,
    /// The axis along which the output is appended; where absent the output is the whole new tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
}

/// How tokens become a chunk of actions. The index of a token is its distance from `first_token`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decode {
    /// Each token is one value: the middle of its bin.
    Bins {
        /// The token of index 0.
        first_token: u32,
        /// Whether the index grows as the token falls.
        descending: bool,
        /// Bins between `low` and `high`.
        bins: u32,
        /// Lower edge of the first bin.
        low: f32,
        /// Upper edge of the last bin.
        high: f32,
        /// Steps of the chunk.
        steps: usize,
        /// Values of a step.
        dim: usize,
    },
    /// Tokens stand for runs of integers, which divided by `scale` are the coefficients of an orthonormal DCT over the steps, row by row.
    Dct {
        /// The token of index 0.
        first_token: u32,
        /// Whether the index grows as the token falls.
        descending: bool,
        /// File with the integers of each index, a JSON array of arrays.
        table: String,
        /// What the integers are divided by.
        scale: f32,
        /// Steps of the chunk.
        steps: usize,
        /// Values of a step.
        dim: usize,
    },
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
        let elements = self
            .shape
            .iter()
            .try_fold(1_usize, |n, &axis| n.checked_mul(axis));
        if !(2..=MAX_AXES).contains(&axes)
            || self.shape[0] != 1
            || elements.is_none_or(|n| n == 0 || n > MAX_SAMPLE)
        {
            let message = format!(
                "is {:?}, must be [1, steps, ...] with 2 to {MAX_AXES} axes and at most {MAX_SAMPLE} values",
                self.shape
            );
            return Err(fault("shape", message));
        }
        let (field, fits) = match self.noise {
            Noise::Normal { mean, std } => (
                "noise.normal",
                mean.is_finite() && std.is_finite() && std >= 0.0,
            ),
            Noise::Uniform { low, high } => (
                "noise.uniform",
                low.is_finite() && high.is_finite() && low <= high,
            ),
        };
        if fits {
            Ok(())
        } else {
            Err(fault(
                field,
                format!("is no distribution: {:?}", self.noise),
            ))
        }
    }
}

impl FlowSpec {
    /// All times, the last one included.
    #[must_use]
    pub fn times(&self) -> Vec<f64> {
        match (&self.grid, self.steps, self.from, self.to) {
            (Some(grid), ..) => grid.clone(),
            (None, Some(steps), Some(from), Some(to)) => (0..=steps)
                .map(|step| from + (to - from) * (step as f64 / steps as f64))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), FieldFault> {
        match (&self.grid, self.steps, self.from, self.to) {
            (Some(grid), None, None, None) => {
                check_range("grid", grid.len(), 2, MAX_STEPS + 1).map_err(|fault| FieldFault {
                    message: format!("has a length that {}", fault.message),
                    ..fault
                })?;
            }
            (None, Some(steps), Some(_), Some(_)) => check_range("steps", steps, 1, MAX_STEPS)?,
            _ => {
                return Err(fault(
                    "",
                    "must hold either `grid` or all of `steps`, `from` and `to`",
                ));
            }
        }
        let times = self.times();
        let rising = times.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = times.windows(2).all(|pair| pair[0] > pair[1]);
        if times.iter().all(|time| time.is_finite()) && (rising || falling) {
            Ok(())
        } else {
            let field = if self.grid.is_some() { "grid" } else { "to" };
            Err(fault(
                field,
                "times must be finite and all rise or all fall",
            ))
        }
    }
}

impl DiffusionSpec {
    fn check(&self) -> Result<(), FieldFault> {
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

impl TokensSpec {
    fn check(&self) -> Result<(), FieldFault> {
        check_range("max_tokens", self.max_tokens, 1, MAX_STEPS)?;
        if self.cache.len() > MAX_CACHES {
            let message = format!(
                "has {} entries, at most {MAX_CACHES} are taken",
                self.cache.len()
            );
            return Err(fault("cache", message));
        }
        for name in self.cache.keys() {
            if ["sample", "time", "token", "index"].contains(&name.as_str()) {
                let message = "is the name of another value of the loop";
                return Err(fault(format!("cache.{name}"), message));
            }
        }
        self.decode
            .check(self)
            .map_err(|fault| fault.under("decode"))
    }
}

impl Decode {
    /// Steps and values of a step.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Bins { steps, dim, .. } | Self::Dct { steps, dim, .. } => [*steps, *dim],
        }
    }

    fn check(&self, tokens: &TokensSpec) -> Result<(), FieldFault> {
        let [steps, dim] = self.shape();
        check_range("steps", steps, 1, super::action::MAX_CHUNK)?;
        check_range("dim", dim, 1, super::states::MAX_VALUES)?;
        match self {
            Self::Bins {
                bins, low, high, ..
            } => {
                check_range("bins.bins", *bins, 1, 1 << 16)?;
                if !(low.is_finite() && high.is_finite() && low < high) {
                    let message = format!("is {high:?}, must be above `low` {low:?}");
                    return Err(fault("bins.high", message));
                }
                let fits = match tokens.end {
                    None => steps * dim == tokens.max_tokens,
                    Some(_) => steps * dim <= tokens.max_tokens,
                };
                if fits {
                    return Ok(());
                }
                let message = format!(
                    "needs {} tokens, `max_tokens` is {}",
                    steps * dim,
                    tokens.max_tokens
                );
                Err(fault("bins.steps", message))
            }
            Self::Dct { scale, .. } => {
                if scale.is_finite() && *scale > 0.0 {
                    Ok(())
                } else {
                    let message = format!("is {scale:?}, must be above 0");
                    Err(fault("dct.scale", message))
                }
            }
        }
    }
}
