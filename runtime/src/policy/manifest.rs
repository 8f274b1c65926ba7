//! `policy.json`: what a package says about itself, and the checks that need no other file.
//!
//! ```json
//! { "format": 1, "name": "...", "version": "...", "licence": "...", "control_hz": 20,
//!   "image": {"feature": "observation.images.front", "width": 224, "height": 224, "crop": null,
//!             "channels": "rgb", "layout": "nchw", "mean": [3 numbers], "std": [3 numbers]},
//!   "state": {"feature": "observation.state", "names": ["x", ...], "mean": [7], "std": [7]},
//!   "action": {"space": "ee_delta", "names": ["dx", ...], "mean": [7], "std": [7],
//!              "chunk": 16, "execute": 8, "threshold": {"gripper": 0.5}},
//!   "text": {"tokenizer": "tokenizer.json", "max_tokens": 24, "pad_id": 0},
//!   "default_precision": "int8",
//!   "precisions": {"f32": {"graphs": [
//!      {"role": "text", "file": "text.onnx", "inputs": {"tokens": "tokens"}, "outputs": {"text": "text"}},
//!      {"role": "act", "file": "act.onnx", "inputs": {"image": "image", "state": "state", "text": "text"},
//!       "outputs": {"action": "action"}}]}},
//!   "files": {"act.onnx": {"bytes": 123, "sha256": "..."}} }
//! ```
//!
//! In `inputs` and `outputs` the key is the feed (`image`, `state`, `tokens`, or an output of the text graph), the value
//! the name of the tensor in the ONNX file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format version this crate reads.
pub const FORMAT: u32 = 1;
/// Precision names a package may use.
pub const PRECISIONS: [&str; 6] = ["f32", "f16", "int8", "int8-dynamic", "w4a8", "w4"];
/// Names and order of the state vector that the runtime measures.
pub const STATE_NAMES: [&str; 7] = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"];
/// Names and order of an `ee_delta` action.
pub const EE_DELTA_NAMES: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

const MAX_IMAGE_SIDE: u32 = 4096;
const MAX_CHUNK: usize = 1024;
const MAX_TOKENS: usize = 4096;
const MAX_FILES: usize = 256;
/// ONNX is protobuf, which ends at 2 GiB.
const MAX_FILE_BYTES: u64 = 2 << 30;
const MAX_PACKAGE_BYTES: u64 = 8 << 30;

/// The content of `policy.json`.
#[derive(Debug, Clone, Deserialize, Serialize)]
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
    /// Rate of the control loop that the policy was trained for.
    pub control_hz: f64,
    /// The camera image, where the policy looks.
    pub image: Option<ImageSpec>,
    /// Proprioception.
    pub state: StateSpec,
    /// Actions.
    pub action: ActionSpec,
    /// The instruction, where the policy reads.
    pub text: Option<TextSpec>,
    /// The precision that runs when none is asked for.
    pub default_precision: String,
    /// Graphs of each precision.
    pub precisions: BTreeMap<String, Precision>,
    /// Size and hash of every file but `policy.json`.
    pub files: BTreeMap<String, FileRecord>,
}

/// How a camera frame becomes the image tensor.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Name of the feature in the training data.
    pub feature: String,
    /// Width of the tensor in pixels.
    pub width: u32,
    /// Height of the tensor in pixels.
    pub height: u32,
    /// The part of the frame that is used; all of it where absent.
    pub crop: Option<Crop>,
    /// Order of the colour channels.
    pub channels: Channels,
    /// Order of the tensor's axes.
    pub layout: Layout,
    /// Mean of each channel on a scale of 0 to 1, in the order of `channels`.
    pub mean: [f32; 3],
    /// Standard deviation of each channel on a scale of 0 to 1.
    pub std: [f32; 3],
}

/// A part of the frame, as fractions of its width and height, so that it fits any resolution.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// Left edge, 0 to 1.
    pub left: f64,
    /// Top edge, 0 to 1.
    pub top: f64,
    /// Width, above 0 to 1.
    pub width: f64,
    /// Height, above 0 to 1.
    pub height: f64,
}

/// Order of the colour channels in the image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Order of the axes of the image tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Batch, channel, row, column.
    Nchw,
    /// Batch, row, column, channel.
    Nhwc,
}

/// Proprioception: normalised as (x - mean) / std.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StateSpec {
    /// Name of the feature in the training data.
    pub feature: String,
    /// Names of the values, [`STATE_NAMES`].
    pub names: Vec<String>,
    /// Mean of each value.
    pub mean: Vec<f32>,
    /// Standard deviation of each value.
    pub std: Vec<f32>,
}

/// Actions: the graph's output times std plus mean.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// What the numbers mean.
    pub space: ActionSpace,
    /// Names of the values.
    pub names: Vec<String>,
    /// Mean of each value.
    pub mean: Vec<f32>,
    /// Standard deviation of each value.
    pub std: Vec<f32>,
    /// Actions predicted at once, T.
    pub chunk: usize,
    /// Actions executed before the policy is asked again.
    pub execute: usize,
    /// Values that become 0 or 1: 1 where the value lies above the number.
    #[serde(default)]
    pub threshold: BTreeMap<String, f32>,
}

/// What the values of an action mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// Change of the tool's target pose, [`EE_DELTA_NAMES`].
    EeDelta,
}

/// How an instruction becomes tokens.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// File name of the tokenizer (Hugging Face `tokenizer.json`).
    pub tokenizer: String,
    /// Length of the token tensor, L.
    pub max_tokens: usize,
    /// What the tensor is filled up with.
    pub pad_id: u32,
}

/// The graphs of one precision.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// One `act` graph and at most one `text` graph.
    pub graphs: Vec<GraphSpec>,
}

impl Precision {
    /// The graph of a role.
    #[must_use]
    pub fn graph(&self, role: Role) -> Option<&GraphSpec> {
        self.graphs.iter().find(|graph| graph.role == role)
    }
}

/// One ONNX file and how it is wired.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// When it runs.
    pub role: Role,
    /// File name.
    pub file: String,
    /// Tensor name of each feed.
    pub inputs: BTreeMap<String, String>,
    /// Tensor name of each output.
    pub outputs: BTreeMap<String, String>,
}

/// When a graph runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Once per episode.
    Text,
    /// Once per chunk.
    Act,
}

impl Role {
    /// The name in `policy.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Text => "text",
            Role::Act => "act",
        }
    }
}

/// Size and hash of a file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl FileRecord {
    /// The record of a file with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self {
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A field of `policy.json` and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldFault {
    pub(crate) field: String,
    pub(crate) message: String,
}

fn fault(field: impl Into<String>, message: impl Into<String>) -> FieldFault {
    FieldFault {
        field: field.into(),
        message: message.into(),
    }
}

impl Manifest {
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
        if !(1.0..=1000.0).contains(&self.control_hz) {
            return Err(fault(
                "control_hz",
                format!("is {}, must lie between 1 and 1000", self.control_hz),
            ));
        }
        if let Some(image) = &self.image {
            check_image(image)?;
        }
        check_names("state.names", &self.state.names, &STATE_NAMES)?;
        check_statistics(
            "state",
            self.state.names.len(),
            &self.state.mean,
            &self.state.std,
        )?;
        check_action(&self.action)?;
        if let Some(text) = &self.text
            && !(1..=MAX_TOKENS).contains(&text.max_tokens)
        {
            return Err(fault(
                "text.max_tokens",
                format!(
                    "is {}, must lie between 1 and {MAX_TOKENS}",
                    text.max_tokens
                ),
            ));
        }
        self.check_files()?;
        self.check_precisions()
    }

    fn check_files(&self) -> Result<(), FieldFault> {
        if self.files.len() > MAX_FILES {
            return Err(fault(
                "files",
                format!(
                    "lists {} files, at most {MAX_FILES} are taken",
                    self.files.len()
                ),
            ));
        }
        let mut total = 0_u64;
        for (name, record) in &self.files {
            let field = format!("files.{}", name.escape_debug());
            check_file_name(&field, name)?;
            if record.bytes == 0 || record.bytes > MAX_FILE_BYTES {
                return Err(fault(
                    field,
                    format!(
                        "has {} bytes, must have 1 to {MAX_FILE_BYTES}",
                        record.bytes
                    ),
                ));
            }
            total = total.saturating_add(record.bytes);
            if record.sha256.len() != 64 || !record.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(fault(
                    format!("{field}.sha256"),
                    "is not 64 hexadecimal digits",
                ));
            }
        }
        if total > MAX_PACKAGE_BYTES {
            return Err(fault(
                "files",
                format!("sum up to {total} bytes, at most {MAX_PACKAGE_BYTES} are taken"),
            ));
        }
        if let Some(text) = &self.text {
            self.check_listed("text.tokenizer", &text.tokenizer)?;
        }
        Ok(())
    }

    fn check_listed(&self, field: &str, name: &str) -> Result<(), FieldFault> {
        check_file_name(field, name)?;
        if self.files.contains_key(name) {
            Ok(())
        } else {
            Err(fault(
                field,
                format!("names \"{name}\", which `files` does not list"),
            ))
        }
    }

    fn check_precisions(&self) -> Result<(), FieldFault> {
        for (name, precision) in &self.precisions {
            let field = format!("precisions.{}", name.escape_debug());
            if !PRECISIONS.contains(&name.as_str()) {
                return Err(fault(
                    field,
                    format!("is no known precision; known are {}", PRECISIONS.join(", ")),
                ));
            }
            self.check_graphs(&field, precision)?;
        }
        if self.precisions.contains_key(&self.default_precision) {
            Ok(())
        } else {
            let name = self.default_precision.escape_debug();
            Err(fault(
                "default_precision",
                format!("is \"{name}\", which `precisions` does not hold"),
            ))
        }
    }

    fn check_graphs(&self, field: &str, precision: &Precision) -> Result<(), FieldFault> {
        for role in [Role::Text, Role::Act] {
            if precision
                .graphs
                .iter()
                .filter(|graph| graph.role == role)
                .count()
                > 1
            {
                return Err(fault(
                    field,
                    format!("has two graphs of the role \"{}\"", role.name()),
                ));
            }
        }
        let Some(act) = precision.graph(Role::Act) else {
            return Err(fault(field, "has no graph of the role \"act\""));
        };
        let text = precision.graph(Role::Text);
        let mut feeds: BTreeSet<&str> = BTreeSet::from(["image", "state", "tokens"]);
        if let Some(text) = text {
            let field = format!("{field}.graphs[role text]");
            self.check_wiring(&field, text, &BTreeSet::from(["tokens"]))?;
            if text.outputs.is_empty() {
                return Err(fault(format!("{field}.outputs"), "is empty"));
            }
            for name in text.outputs.keys() {
                if !feeds.insert(name) {
                    return Err(fault(
                        format!("{field}.outputs"),
                        format!("\"{name}\" is already the name of an input"),
                    ));
                }
            }
        }
        let field = format!("{field}.graphs[role act]");
        self.check_wiring(&field, act, &feeds)?;
        if act.outputs.len() != 1 || !act.outputs.contains_key("action") {
            return Err(fault(
                format!("{field}.outputs"),
                "must hold \"action\" and nothing else",
            ));
        }
        Ok(())
    }

    fn check_wiring(
        &self,
        field: &str,
        graph: &GraphSpec,
        feeds: &BTreeSet<&str>,
    ) -> Result<(), FieldFault> {
        self.check_listed(&format!("{field}.file"), &graph.file)?;
        if graph.inputs.is_empty() {
            return Err(fault(format!("{field}.inputs"), "is empty"));
        }
        for feed in graph.inputs.keys() {
            let known = feeds.contains(feed.as_str());
            let missing = match feed.as_str() {
                "image" if self.image.is_none() => Some("image"),
                "tokens" if self.text.is_none() => Some("text"),
                _ => None,
            };
            let feed = feed.escape_debug();
            if !known {
                let known = feeds.iter().copied().collect::<Vec<_>>().join(", ");
                return Err(fault(
                    format!("{field}.inputs"),
                    format!("nothing feeds \"{feed}\"; there is {known}"),
                ));
            }
            if let Some(section) = missing {
                return Err(fault(
                    format!("{field}.inputs"),
                    format!("\"{feed}\" needs the section \"{section}\""),
                ));
            }
        }
        for (side, wires) in [("inputs", &graph.inputs), ("outputs", &graph.outputs)] {
            let tensors: BTreeSet<_> = wires.values().collect();
            if tensors.len() != wires.len() {
                return Err(fault(format!("{field}.{side}"), "uses one tensor twice"));
            }
        }
        Ok(())
    }
}

fn check_image(image: &ImageSpec) -> Result<(), FieldFault> {
    for (field, side) in [("image.width", image.width), ("image.height", image.height)] {
        if !(1..=MAX_IMAGE_SIDE).contains(&side) {
            return Err(fault(
                field,
                format!("is {side}, must lie between 1 and {MAX_IMAGE_SIDE}"),
            ));
        }
    }
    check_statistics("image", 3, &image.mean, &image.std)?;
    if let Some(crop) = &image.crop {
        let inside =
            |start: f64, length: f64| start >= 0.0 && length > 0.0 && start + length <= 1.0 + 1e-9;
        if !inside(crop.left, crop.width) || !inside(crop.top, crop.height) {
            return Err(fault(
                "image.crop",
                "does not lie inside the frame (fractions of 0 to 1)",
            ));
        }
    }
    Ok(())
}

fn check_action(action: &ActionSpec) -> Result<(), FieldFault> {
    match action.space {
        ActionSpace::EeDelta => check_names("action.names", &action.names, &EE_DELTA_NAMES)?,
    }
    check_statistics("action", action.names.len(), &action.mean, &action.std)?;
    if !(1..=MAX_CHUNK).contains(&action.chunk) {
        return Err(fault(
            "action.chunk",
            format!("is {}, must lie between 1 and {MAX_CHUNK}", action.chunk),
        ));
    }
    if !(1..=action.chunk).contains(&action.execute) {
        let message = format!(
            "is {}, must lie between 1 and the chunk's {}",
            action.execute, action.chunk
        );
        return Err(fault("action.execute", message));
    }
    for (name, threshold) in &action.threshold {
        let field = format!("action.threshold.{}", name.escape_debug());
        if !action.names.contains(name) {
            return Err(fault(field, "is not one of action.names"));
        }
        if !threshold.is_finite() {
            return Err(fault(field, "is not finite"));
        }
    }
    Ok(())
}

/// The runtime hands over and takes values by position, so names must come in its order.
fn check_names(field: &str, names: &[String], expected: &[&str]) -> Result<(), FieldFault> {
    if names
        .iter()
        .map(String::as_str)
        .eq(expected.iter().copied())
    {
        Ok(())
    } else {
        Err(fault(
            field,
            format!("must be {} in this order", expected.join(", ")),
        ))
    }
}

fn check_statistics(
    section: &str,
    count: usize,
    mean: &[f32],
    std: &[f32],
) -> Result<(), FieldFault> {
    for (name, values) in [("mean", mean), ("std", std)] {
        if values.len() != count {
            return Err(fault(
                format!("{section}.{name}"),
                format!("has {} values instead of {count}", values.len()),
            ));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(fault(format!("{section}.{name}[{index}]"), "is not finite"));
        }
    }
    match std
        .iter()
        .position(|&value| value <= 0.0 || !value.recip().is_finite())
    {
        None => Ok(()),
        Some(index) => Err(fault(
            format!("{section}.std[{index}]"),
            format!("is {:?}, must be above 0", std[index]),
        )),
    }
}

/// A file name is one plain component: nothing that leads out of the folder on any system.
fn check_file_name(field: &str, name: &str) -> Result<(), FieldFault> {
    let plain = !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && name != "policy.json"
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '\\' | ':') || c.is_control());
    if plain {
        Ok(())
    } else {
        Err(fault(
            field,
            format!(
                "\"{}\" is not a plain file name inside the package",
                name.escape_debug()
            ),
        ))
    }
}
