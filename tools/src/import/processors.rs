//! `policy_preprocessor.json` and `policy_postprocessor.json`: the steps around a LeRobot policy.
//!
//! Every step is known and carried over, or it is an error: a step that is left out changes the actions silently.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{Feature, Modes, Prompt};
use super::json::{self, Entries};
use super::statistics::Statistics;
use crate::bad_input::bad_input;

/// Steps before the policy.
pub const BEFORE: &str = "policy_preprocessor.json";
/// Steps after the policy.
pub const AFTER: &str = "policy_postprocessor.json";

/// The steps around a policy.
#[derive(Debug, Default)]
pub struct Processors {
    /// Names of the robot's features by which the policy calls them differently: robot's name, policy's name.
    pub rename: BTreeMap<String, String>,
    /// How observations are normalised.
    pub input: Option<Normaliser>,
    /// How actions are brought back to units.
    pub output: Option<Normaliser>,
    /// How the prompt becomes tokens.
    pub tokenizer: Option<TokenizerStep>,
    /// How the instruction becomes a prompt.
    pub prompt: Option<Prompt>,
}

/// A step that normalises, or undoes it.
#[derive(Debug)]
pub struct Normaliser {
    /// The file that holds the step.
    pub path: PathBuf,
    /// Keeps divisions from 0.
    pub epsilon: f32,
    /// The features that it changes.
    pub features: BTreeMap<String, Feature>,
    /// How each kind of feature is changed.
    pub modes: Modes,
    /// The observations that it changes; all of `features` where absent.
    pub only: Option<BTreeSet<String>>,
    /// Its numbers.
    pub statistics: Statistics,
}

/// The step that encodes the prompt.
#[derive(Debug, Deserialize)]
pub struct TokenizerStep {
    /// Length to which tokens are filled up, or cut.
    pub max_length: usize,
    /// `left` or `right`.
    pub padding_side: String,
}

#[derive(Deserialize)]
struct Pipeline {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    registry_name: Option<String>,
    class: Option<String>,
    #[serde(default)]
    config: Value,
    state_file: Option<String>,
}

#[derive(Deserialize)]
struct Rename {
    rename_map: Entries<String>,
}

#[derive(Deserialize)]
struct Normalise {
    eps: f32,
    features: BTreeMap<String, Feature>,
    norm_map: Modes,
    normalize_observation_keys: Option<BTreeSet<String>>,
}

impl Processors {
    /// Reads both files of a folder; `None` where it has neither, as checkpoints of 2025 and older.
    ///
    /// # Errors
    /// Where one of them is missing, holds a step that is not known, or its statistics cannot be read.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let (before, after) = (dir.join(BEFORE), dir.join(AFTER));
        match (before.is_file(), after.is_file()) {
            (false, false) => return Ok(None),
            (true, true) => {}
            (has_before, _) => {
                let (there, missing) = match has_before {
                    true => (&before, AFTER),
                    false => (&after, BEFORE),
                };
                return Err(bad_input(format!(
                    "{}: {missing} is missing beside it",
                    there.display()
                )));
            }
        }
        let mut processors = Self::default();
        for path in [before, after] {
            let pipeline: Pipeline = json::read(&path)?;
            for (index, step) in pipeline.steps.iter().enumerate() {
                let place = Place {
                    path: &path,
                    index,
                    name: step.name(),
                };
                processors.take(step, &place)?;
            }
        }
        Ok(Some(processors))
    }

    fn take(&mut self, step: &Step, place: &Place<'_>) -> Result<()> {
        let after = place.path.ends_with(AFTER);
        match place.name {
            // They move tensors; a package always has one observation, on the CPU.
            "to_batch_processor" | "device_processor" => Ok(()),
            "rename_observations_processor" if !after => {
                let rename: Rename = place.config(step)?;
                self.rename.extend(rename.rename_map.0);
                Ok(())
            }
            "normalizer_processor" if !after => {
                let normaliser = place.normaliser(step)?;
                place.once(&mut self.input, normaliser)
            }
            "unnormalizer_processor" if after => {
                let normaliser = place.normaliser(step)?;
                place.once(&mut self.output, normaliser)
            }
            "smolvla_new_line_processor" | "pi0_new_line_processor" if !after => {
                place.once(&mut self.prompt, Prompt::Line)
            }
            "pi05_prepare_state_tokenizer_processor_step" if !after => {
                if self.input.is_none() {
                    return Err(place.wrong(
                        "writes the state into the prompt before it is normalised; a package writes the normalised state",
                    ));
                }
                place.once(&mut self.prompt, Prompt::TaskAndState)
            }
            "tokenizer_processor" if !after => {
                let tokenizer = place.config(step)?;
                place.once(&mut self.tokenizer, tokenizer)
            }
            _ => Err(place.wrong(
                "is a step that a package cannot hold; put it inside the graph and take it out of the file",
            )),
        }
    }
}

impl Step {
    fn name(&self) -> &str {
        let name = self.registry_name.as_deref().or(self.class.as_deref());
        name.unwrap_or("without a name")
    }
}

/// A step's place, for errors.
struct Place<'a> {
    path: &'a Path,
    index: usize,
    name: &'a str,
}

impl Place<'_> {
    fn wrong(&self, message: impl std::fmt::Display) -> anyhow::Error {
        bad_input(format!(
            "{}: steps[{}] \"{}\" {message}",
            self.path.display(),
            self.index,
            self.name.escape_debug()
        ))
    }

    fn config<T: DeserializeOwned>(&self, step: &Step) -> Result<T> {
        serde_json::from_value(step.config.clone())
            .map_err(|error| self.wrong(format!("has a `config` that cannot be read: {error}")))
    }

    fn once<T>(&self, held: &mut Option<T>, new: T) -> Result<()> {
        match held.replace(new) {
            None => Ok(()),
            Some(_) => Err(self.wrong("is the second step of this kind")),
        }
    }

    fn normaliser(&self, step: &Step) -> Result<Normaliser> {
        let config: Normalise = self.config(step)?;
        let statistics = match &step.state_file {
            None => Statistics::none(self.path),
            Some(name) if is_plain(name) => Statistics::read(&self.path.with_file_name(name))?,
            Some(name) => {
                return Err(self.wrong(format!(
                    "has the `state_file` \"{}\", which is not a plain file name",
                    name.escape_debug()
                )));
            }
        };
        Ok(Normaliser {
            path: self.path.to_owned(),
            epsilon: config.eps,
            features: config.features,
            modes: config.norm_map,
            only: config.normalize_observation_keys,
            statistics,
        })
    }
}

/// Whether a name leads to a file of the same folder.
pub fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '\\' | ':') || c.is_control())
}
