//! `quantize.json`: what graphs of other precisions take, and how far their actions are from the float ones.

use serde::{Deserialize, Serialize};
use wink_runtime::policy::manifest::Manifest;

/// The file, which `wink quantize` puts beside the package that it writes. What else is in it is of no use to readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Moments that the errors were measured on.
    pub held_out_samples: u64,
    /// How the ranges of activations were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<String>,
    /// Bytes of the float graphs.
    pub float_bytes: u64,
    /// Each precision.
    pub schemes: Vec<SchemeRecord>,
}

/// One precision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemeRecord {
    /// Its name in `policy.json`.
    pub scheme: String,
    /// Bytes of its graphs.
    pub bytes: u64,
    /// How far its actions are from the float ones.
    #[serde(flatten)]
    pub error: ActionError,
    /// Each layer; `None` where nobody recorded them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerRecord>>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Name of the node.
    pub layer: String,
    /// How it computes; `f32` where it stayed float.
    pub precision: String,
}

impl SchemeRecord {
    /// Layers that stayed float, and all; `None` where nobody recorded them.
    pub fn float_layers(&self) -> Option<(usize, usize)> {
        let layers = self.layers.as_ref()?;
        let float = layers.iter().filter(|layer| layer.precision == "f32");
        Some((float.count(), layers.len()))
    }
}

/// How far actions are from those of the float policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionError {
    /// Root mean square of the normalised actions' error.
    pub action_rms: f32,
    /// The largest error of a normalised action.
    pub action_max: f32,
    /// Root mean square error of the translations that would be executed, millimetres a step; for end-effector deltas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translation_rms_mm: Option<f32>,
    /// Numbers with a threshold that became 0 instead of 1, or the other way round; of all that would be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gripper_flips: Option<(usize, usize)>,
}

/// How far one number of the actions is from the float policy's, over the whole chunk.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberError {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Root mean square error.
    pub rms: f32,
    /// The largest error.
    pub max: f32,
}

/// Bytes of the graphs of a precision; 0 where the package does not hold it.
pub fn graph_bytes(manifest: &Manifest, precision: &str) -> u64 {
    let files = manifest.stage_files(precision);
    files
        .filter_map(|(_, file)| manifest.files.get(file))
        .map(|file| file.bytes)
        .sum()
}
