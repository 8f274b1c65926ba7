//! `policy.json`, format 2 (docs/policy-package.md): a type for each part, and the checks that need no other file.

mod action;
mod cameras;
mod fault;
mod files;
mod floats;
mod loops;
mod noise;
mod normalisation;
mod stages;
mod states;
mod text;
mod unit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use action::{
    ActionSpace, ActionSpec, AuxiliarySpec, EE_DELTA_NAMES, EE_DELTA_UNITS, Meaning, Reference,
};
pub use cameras::{
    CameraSpec, Channels, Filter, Fit, Horizontal, Layout, Pad, Part, Resize, Scale, Size,
    Transform, Vertical,
};
pub(crate) use fault::FieldFault;
use fault::{check_range, fault, listed};
pub use files::FileRecord;
pub(crate) use files::hex;
use files::{check_files, check_listed};
pub use loops::{
    Betas, CacheSpec, DctFit, Decode, DiffusionSpec, FirstToken, FlowSpec, LoopSpec, Method,
    Prediction, SampleSpec, Sampler, TimeShape, TokensSpec, Utf8,
};
pub use noise::{Noise, NoiseSpec};
pub use normalisation::Normalisation;
pub use stages::{Run, StageSpec};
pub use states::StateSpec;
pub use text::{Clean, MaskElement, MaskSpec, Padding, StateText, TextSpec, TokenElement};
#[cfg(feature = "onnx")]
pub(crate) use text::{INSTRUCTION, STATE};
pub use unit::Unit;

/// The format version this crate reads.
pub const FORMAT: u32 = 2;
/// Precision names a package may use.
pub const PRECISIONS: [&str; 6] = ["f32", "f16", "int8", "int8-dynamic", "w4a8", "w4"];

const MAX_OBSERVED: usize = 8;
/// Numbers of all image tensors together, 256 MB.
const MAX_IMAGE_VALUES: usize = 1 << 26;

/// The content of `policy.json`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version, [`FORMAT`].
    pub format: u32,
    /// Name of the policy.
    pub name: String,
    /// Version of the policy.
    pub version: String,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Rate of the control loop, Hz: observations and actions are 1 / `control_hz` apart.
    pub control_hz: f64,
    /// What the policy is given.
    pub observations: Observations,
    /// Graphs, in the order in which they run.
    pub stages: Vec<StageSpec>,
    /// Actions.
    pub action: ActionSpec,
    /// Values for tools.
    pub auxiliary: Vec<AuxiliarySpec>,
    /// The precision that runs when none is asked for.
    pub default_precision: String,
    /// The file of each stage, for each precision.
    pub precisions: BTreeMap<String, BTreeMap<String, String>>,
    /// File with golden values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<String>,
    /// Size and hash of every file but `policy.json`.
    pub files: BTreeMap<String, FileRecord>,
}

/// What a policy is given at every observation, and the instruction.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Observations {
    /// Cameras.
    pub cameras: Vec<CameraSpec>,
    /// State vectors.
    pub states: Vec<StateSpec>,
    /// The instruction, where the policy reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextSpec>,
    /// Noise that graphs take as an input, drawn anew for each observation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<NoiseSpec>,
}

impl Manifest {
    /// The stage of this name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageSpec> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The files of a precision's stages, in the order in which they run; empty where the package does not hold it.
    pub fn stage_files(&self, precision: &str) -> impl Iterator<Item = (&StageSpec, &str)> {
        let files = self.precisions.get(precision);
        self.stages.iter().filter_map(move |stage| {
            let file = files?.get(&stage.name)?;
            Some((stage, file.as_str()))
        })
    }

    /// Checks everything that can be checked without opening another file.
    pub(crate) fn check(&self) -> Result<(), FieldFault> {
        for (field, value) in [
            ("name", &self.name),
            ("version", &self.version),
            ("licence", &self.licence),
        ] {
            if value.trim().is_empty() {
                return Err(fault(field, "is empty"));
            }
        }
        check_range("control_hz", self.control_hz, 1.0, 1000.0)?;
        self.observations
            .check()
            .map_err(|fault| fault.under("observations"))?;
        self.action.check().map_err(|fault| fault.under("action"))?;
        self.check_wiring()?;
        check_files(&self.files)?;
        if let Some(text) = &self.observations.text {
            let field = "observations.text.tokenizer";
            check_listed(&self.files, field, &text.tokenizer)?;
        }
        if let Some(golden) = &self.golden {
            check_listed(&self.files, "golden", golden)?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            if let Some(Method::Tokens(tokens)) = stage.method()
                && let Decode::Dct { table, .. } = &tokens.decode
            {
                let field = format!("stages[{index}].loop.tokens.decode.dct.table");
                check_listed(&self.files, &field, table)?;
            }
        }
        self.check_precisions()
    }

    fn check_precisions(&self) -> Result<(), FieldFault> {
        for (name, files) in &self.precisions {
            let field = format!("precisions.{}", name.escape_debug());
            if !PRECISIONS.contains(&name.as_str()) {
                let known = PRECISIONS.join(", ");
                let message = format!("is no known precision; known are {known}");
                return Err(fault(field, message));
            }
            for stage in &self.stages {
                if !files.contains_key(&stage.name) {
                    let message = format!("has no file for the stage \"{}\"", stage.name);
                    return Err(fault(field, message));
                }
            }
            for (stage, file) in files {
                let field = format!("{field}.{}", stage.escape_debug());
                if self.stage(stage).is_none() {
                    let held = listed(self.stages.iter().map(|stage| stage.name.as_str()));
                    return Err(fault(field, format!("is no stage; stages are {held}")));
                }
                check_listed(&self.files, &field, file)?;
            }
        }
        if self.precisions.contains_key(&self.default_precision) {
            return Ok(());
        }
        let name = self.default_precision.escape_debug();
        let message = format!("is \"{name}\", which `precisions` does not hold");
        Err(fault("default_precision", message))
    }
}

impl Observations {
    fn check(&self) -> Result<(), FieldFault> {
        for (field, count) in [
            ("cameras", self.cameras.len()),
            ("states", self.states.len()),
            ("noise", self.noise.len()),
        ] {
            if count > MAX_OBSERVED {
                let message = format!("has {count} entries, at most {MAX_OBSERVED} are taken");
                return Err(fault(field, message));
            }
        }
        let mut values = 0_usize;
        for (index, camera) in self.cameras.iter().enumerate() {
            let at = format!("cameras[{index}]");
            camera.check().map_err(|fault| fault.under(&at))?;
            let count: usize = camera.shape().iter().product();
            values = values.saturating_add(count);
            if values > MAX_IMAGE_VALUES {
                let message = format!(
                    "brings the image tensors to {values} numbers, at most {MAX_IMAGE_VALUES} are taken"
                );
                return Err(fault(at, message));
            }
        }
        for (index, state) in self.states.iter().enumerate() {
            let at = format!("states[{index}]");
            state.check().map_err(|fault| fault.under(&at))?;
        }
        for (index, noise) in self.noise.iter().enumerate() {
            let at = format!("noise[{index}]");
            noise.check().map_err(|fault| fault.under(&at))?;
        }
        match &self.text {
            None => Ok(()),
            Some(text) => text.check().map_err(|fault| fault.under("text")),
        }
    }
}
