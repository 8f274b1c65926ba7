//! The content of `golden.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The content of `golden.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Golden {
    pub(super) reference: String,
    pub(super) instruction: Option<String>,
    pub(super) tokens: Option<Vec<i64>>,
    #[serde(default)]
    pub(super) frames: BTreeMap<String, SeededFrames>,
    #[serde(default)]
    pub(super) states: BTreeMap<String, Vec<Vec<f32>>>,
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Given>,
    pub(super) noise: Option<GivenNoise>,
    pub(super) precisions: BTreeMap<String, Expected>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeededFrames {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) seeds: Vec<u32>,
}

/// What is taken in place of the policy's own noise: `values` one by one, or numbers made from a seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenNoise {
    pub(super) values: Option<Vec<f64>>,
    pub(super) seed: Option<u32>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

/// A value that is fed as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    pub(super) shape: Vec<usize>,
    pub(super) values: Option<Vec<f64>>,
    /// A file of the package with the bytes of the tensor, little-endian.
    pub(super) file: Option<String>,
    pub(super) seed: Option<u32>,
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    #[serde(default)]
    pub(super) values: BTreeMap<String, Sampled>,
    pub(super) action: Option<Whole>,
}

/// Every so many-th element of a tensor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sampled {
    pub(super) shape: Vec<usize>,
    pub(super) every: usize,
    pub(super) values: Vec<f64>,
    pub(super) tolerance: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whole {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
    pub(super) tolerance: f64,
}
