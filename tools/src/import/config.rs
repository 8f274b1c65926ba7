//! `config.json`: what a LeRobot policy takes and gives, and how its loop runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::json::{self, Entries};
use crate::bad_input::bad_input;

/// Values of `type` that can be imported.
const TYPES: [&str; 5] = ["act", "diffusion", "smolvla", "pi0", "pi05"];

/// What kind of numbers a feature holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// What the arm measures of itself.
    State,
    /// An image.
    Visual,
    /// The state of a simulated environment.
    Env,
    /// An action.
    Action,
}

impl Kind {
    /// LeRobot's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Visual => "VISUAL",
            Self::Env => "ENV",
            Self::Action => "ACTION",
        }
    }
}

/// How the numbers of a feature are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Not at all.
    Identity,
    /// By mean and standard deviation.
    MeanStd,
    /// To -1 .. 1 between minimum and maximum.
    MinMax,
    /// To -1 .. 1 between the quantiles 0.01 and 0.99.
    Quantiles,
    /// To -1 .. 1 between the quantiles 0.1 and 0.9.
    Quantile10,
}

/// A feature of a policy.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Feature {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its shape without batch and history; an image's is channels, height, width.
    pub shape: Vec<usize>,
}

/// Normalisation by kind of feature.
pub type Modes = BTreeMap<Kind, Mode>;

/// What `config.json` says.
#[derive(Debug)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// `type`.
    pub name: String,
    /// What is particular to the `type`.
    pub family: Family,
    /// Features that go in, in the order of the file.
    pub inputs: Entries<Feature>,
    /// Name and feature of what comes out.
    pub action: (String, Feature),
    /// How each kind of feature is normalised.
    pub modes: Modes,
    /// Observations that go in at once.
    pub history: usize,
    /// Actions executed before the policy is asked again.
    pub execute: usize,
    /// Weight of LeRobot's temporal ensembling.
    pub ensembling: Option<f64>,
    /// The licence that the checkpoint names.
    pub licence: Option<String>,
    /// Names of the action's numbers, where the file has them.
    pub action_names: Option<Vec<String>>,
}

/// What is particular to a kind of policy.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// One graph from observation to chunk.
    Act {
        /// Steps of a chunk.
        chunk: usize,
    },
    /// A diffusion loop over a horizon.
    Diffusion(Diffusion),
    /// A flow-matching loop that reads text.
    Flow(Flow),
}

/// Diffusion policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    /// Steps that are refined at once.
    pub horizon: usize,
    /// Size (height, width) to which the policy resizes its images.
    pub resize: Option<[u32; 2]>,
    /// Size (height, width) of the middle that the policy cuts out of its images.
    pub crop: Option<[u32; 2]>,
    /// DDPM or DDIM.
    pub scheduler: Scheduler,
    /// Steps of training.
    pub train_steps: usize,
    /// Steps of inference.
    pub steps: usize,
    /// How the noise grows.
    pub betas: Betas,
    /// What the graph predicts.
    pub prediction: Prediction,
    /// The bound to which the predicted sample is cut.
    pub clip: Option<f32>,
}

/// Noise schedulers of diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scheduler {
    /// `DDPMScheduler`.
    Ddpm,
    /// `DDIMScheduler`.
    Ddim,
}

/// Schedules of the noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Betas {
    /// `squaredcos_cap_v2`.
    SquaredCos,
    /// `linear`, with the first and the last beta.
    Linear(f64, f64),
}

/// What a diffusion graph predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The sample.
    Sample,
}

/// SmolVLA, pi0 and pi0.5.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Steps of a chunk.
    pub chunk: usize,
    /// Width to which actions are filled up.
    pub action_width: usize,
    /// Width to which the state is filled up.
    pub state_width: usize,
    /// Steps of the loop, from time 1 to 0.
    pub steps: usize,
    /// Size (width, height) to which images are resized, with padding, and the padding.
    pub resize: Option<([u32; 2], Padding)>,
    /// Length of the token tensor.
    pub max_tokens: usize,
    /// How state and instruction become a prompt.
    pub prompt: Prompt,
}

/// Where and with what an image is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// SmolVLA: at the left and the top, with 0.
    LeftTop,
    /// openpi: on both sides, with -1 before the image is brought to -1 .. 1.
    Middle,
}

/// How an instruction becomes the text that is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// The instruction and a line end.
    Line,
    /// "Task: ..., State: ...;\nAction: ".
    TaskAndState,
}

/// The fields that are read. Each kind of policy has some of them.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: Option<String>,
    n_obs_steps: Option<usize>,
    input_features: Option<Entries<Feature>>,
    output_features: Option<Entries<Feature>>,
    normalization_mapping: Option<Modes>,
    chunk_size: Option<usize>,
    n_action_steps: Option<usize>,
    horizon: Option<usize>,
    temporal_ensemble_coeff: Option<f64>,
    resize_shape: Option<[u32; 2]>,
    crop_shape: Option<[u32; 2]>,
    noise_scheduler_type: Option<Scheduler>,
    num_train_timesteps: Option<usize>,
    num_inference_steps: Option<usize>,
    beta_schedule: Option<String>,
    beta_start: Option<f64>,
    beta_end: Option<f64>,
    prediction_type: Option<Prediction>,
    clip_sample: Option<bool>,
    clip_sample_range: Option<f32>,
    num_steps: Option<usize>,
    max_state_dim: Option<usize>,
    max_action_dim: Option<usize>,
    resize_imgs_with_padding: Option<[u32; 2]>,
    image_resolution: Option<[u32; 2]>,
    tokenizer_max_length: Option<usize>,
    #[serde(default)]
    use_peft: bool,
    #[serde(default)]
    adapt_to_pi_aloha: bool,
    #[serde(default)]
    use_delta_joint_actions_aloha: bool,
    #[serde(default)]
    use_relative_actions: bool,
    license: Option<String>,
    action_feature_names: Option<Vec<String>>,
}

impl Config {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// Where the file is not there, is no policy of a known `type`, or lacks a field that this type needs.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let mut raw: Raw = json::read(&path)?;
        let Some(name) = raw.kind.take() else {
            return Err(bad_input(format!(
                "{}: has no `type`; a LeRobot policy has one of {}",
                path.display(),
                TYPES.join(", ")
            )));
        };
        let file = Fields { path: &path };
        file.refuse_adaptations(&raw)?;
        let family = file.family(&name, &raw)?;
        let inputs = file.need(raw.input_features, "input_features")?;
        let outputs = file.need(raw.output_features, "output_features")?;
        let action = file.action(outputs)?;
        for (name, feature) in &inputs.0 {
            file.check_feature(name, feature)?;
        }
        let execute = file.positive(raw.n_action_steps, "n_action_steps")?;
        Ok(Self {
            modes: file.need(raw.normalization_mapping, "normalization_mapping")?,
            history: file.positive(raw.n_obs_steps, "n_obs_steps")?,
            ensembling: raw.temporal_ensemble_coeff,
            licence: raw.license,
            action_names: raw.action_feature_names,
            name,
            family,
            inputs,
            action,
            execute,
            path,
        })
    }

    /// An error about this file.
    pub fn wrong(&self, message: impl std::fmt::Display) -> anyhow::Error {
        bad_input(format!("{}: {message}", self.path.display()))
    }
}

/// The file whose fields are read, for errors.
struct Fields<'a> {
    path: &'a Path,
}

impl Fields<'_> {
    fn wrong(&self, message: impl std::fmt::Display) -> anyhow::Error {
        bad_input(format!("{}: {message}", self.path.display()))
    }

    fn need<T>(&self, value: Option<T>, field: &str) -> Result<T> {
        value.ok_or_else(|| self.wrong(format!("`{field}` is missing")))
    }

    /// A count between 1 and a million.
    fn positive(&self, value: Option<usize>, field: &str) -> Result<usize> {
        match self.need(value, field)? {
            count @ 1..=1_000_000 => Ok(count),
            count => Err(self.wrong(format!("`{field}` is {count}, must be 1 to 1000000"))),
        }
    }

    /// What LeRobot does between processors and graph and no package can say.
    fn refuse_adaptations(&self, raw: &Raw) -> Result<()> {
        if raw.use_peft {
            return Err(self.wrong(
                "`use_peft` is true: the checkpoint holds an adapter only; merge it into its base policy and export that",
            ));
        }
        let table = [
            (raw.adapt_to_pi_aloha, "adapt_to_pi_aloha"),
            (
                raw.use_delta_joint_actions_aloha,
                "use_delta_joint_actions_aloha",
            ),
            (raw.use_relative_actions, "use_relative_actions"),
        ];
        match table.iter().find(|(set, _)| *set) {
            None => Ok(()),
            Some((_, field)) => Err(self.wrong(format!(
                "`{field}` is true: it changes joints outside the graph in a way that a package cannot hold"
            ))),
        }
    }

    fn family(&self, name: &str, raw: &Raw) -> Result<Family> {
        match name {
            "act" => Ok(Family::Act {
                chunk: self.positive(raw.chunk_size, "chunk_size")?,
            }),
            "diffusion" => Ok(Family::Diffusion(self.diffusion(raw)?)),
            "smolvla" => {
                let resize = raw.resize_imgs_with_padding;
                let resize = resize.map(|size| (size, Padding::LeftTop));
                let steps = self.positive(raw.num_steps, "num_steps")?;
                Ok(Family::Flow(self.flow(raw, steps, resize, Prompt::Line)?))
            }
            "pi0" | "pi05" => {
                let [height, width] = self.need(raw.image_resolution, "image_resolution")?;
                let resize = Some(([width, height], Padding::Middle));
                let steps = self.positive(raw.num_inference_steps, "num_inference_steps")?;
                let prompt = match name {
                    "pi0" => Prompt::Line,
                    _ => Prompt::TaskAndState,
                };
                Ok(Family::Flow(self.flow(raw, steps, resize, prompt)?))
            }
            other => Err(self.wrong(format!(
                "policies of type \"{}\" cannot be imported, those of type {} can",
                other.escape_debug(),
                TYPES.join(", ")
            ))),
        }
    }

    fn flow(
        &self,
        raw: &Raw,
        steps: usize,
        resize: Option<([u32; 2], Padding)>,
        prompt: Prompt,
    ) -> Result<Flow> {
        Ok(Flow {
            chunk: self.positive(raw.chunk_size, "chunk_size")?,
            action_width: self.positive(raw.max_action_dim, "max_action_dim")?,
            state_width: self.positive(raw.max_state_dim, "max_state_dim")?,
            max_tokens: self.positive(raw.tokenizer_max_length, "tokenizer_max_length")?,
            steps,
            resize,
            prompt,
        })
    }

    fn diffusion(&self, raw: &Raw) -> Result<Diffusion> {
        let train_steps = self.positive(raw.num_train_timesteps, "num_train_timesteps")?;
        let steps = match raw.num_inference_steps {
            None => train_steps,
            some => self.positive(some, "num_inference_steps")?,
        };
        let schedule = self.need(raw.beta_schedule.as_deref(), "beta_schedule")?;
        let betas = match schedule {
            "squaredcos_cap_v2" => Betas::SquaredCos,
            "linear" => Betas::Linear(
                self.need(raw.beta_start, "beta_start")?,
                self.need(raw.beta_end, "beta_end")?,
            ),
            other => {
                return Err(self.wrong(format!(
                    "`beta_schedule` is \"{}\"; squaredcos_cap_v2 and linear are known",
                    other.escape_debug()
                )));
            }
        };
        let clip = match self.need(raw.clip_sample, "clip_sample")? {
            true => Some(self.need(raw.clip_sample_range, "clip_sample_range")?),
            false => None,
        };
        Ok(Diffusion {
            horizon: self.positive(raw.horizon, "horizon")?,
            resize: raw.resize_shape,
            crop: raw.crop_shape,
            scheduler: self.need(raw.noise_scheduler_type, "noise_scheduler_type")?,
            prediction: self.need(raw.prediction_type, "prediction_type")?,
            train_steps,
            steps,
            betas,
            clip,
        })
    }

    fn action(&self, outputs: Entries<Feature>) -> Result<(String, Feature)> {
        let mut outputs = outputs.0.into_iter();
        let (Some((name, feature)), None) = (outputs.next(), outputs.next()) else {
            return Err(self.wrong("`output_features` must hold one feature, the action"));
        };
        self.check_feature(&name, &feature)?;
        if feature.kind != Kind::Action {
            let kind = feature.kind.name();
            return Err(self.wrong(format!("output feature `{name}` is {kind}, not ACTION")));
        }
        Ok((name, feature))
    }

    fn check_feature(&self, name: &str, feature: &Feature) -> Result<()> {
        let shape = &feature.shape;
        let fits = match feature.kind {
            Kind::Visual => matches!(shape[..], [3, 1..=4096, 1..=4096]),
            _ => matches!(shape[..], [1..=1024]),
        };
        if fits {
            return Ok(());
        }
        let wants = match feature.kind {
            Kind::Visual => "[3, height, width] of a colour image",
            _ => "[count] of a vector",
        };
        Err(self.wrong(format!(
            "feature `{}` of type {} has the shape {shape:?}, not {wants}",
            name.escape_debug(),
            feature.kind.name()
        )))
    }
}
