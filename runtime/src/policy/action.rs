//! From the chunk that a network made to actions in the policy's units.

use super::manifest::ActionSpec;
use super::preprocess::Normaliser;
use super::{ActionChunk, PolicyError};

/// Cuts, unnormalises and thresholds chunks.
#[derive(Debug)]
pub(super) struct ActionWriter {
    normaliser: Normaliser,
    thresholds: Vec<Option<f32>>,
    chunk: usize,
    first: usize,
    width: usize,
}

impl ActionWriter {
    pub(super) fn new(spec: &ActionSpec) -> Self {
        let thresholds = spec.names.iter();
        Self {
            normaliser: Normaliser::new(&spec.normalisation, spec.names.len()),
            thresholds: thresholds
                .map(|name| spec.threshold.get(name).copied())
                .collect(),
            chunk: spec.chunk,
            first: spec.first,
            width: spec.width,
        }
    }

    /// Brings an action from its units into the numbers of the value.
    pub(super) fn normalise(&self, action: &[f32], out: &mut [f32]) {
        self.normaliser.forward(action, out);
    }

    /// Writes the chunk; `values` are those of `action.from`, row by row.
    pub(super) fn run(&self, values: &[f32], out: &mut ActionChunk) -> Result<(), PolicyError> {
        let dim = self.thresholds.len();
        out.reset(self.chunk, dim);
        let rows = values.chunks_exact(self.width).skip(self.first);
        for (step, row) in out.data.chunks_exact_mut(dim).zip(rows) {
            self.normaliser.back(row, step);
            for (value, threshold) in step.iter_mut().zip(&self.thresholds) {
                if !value.is_finite() {
                    continue;
                }
                if let Some(threshold) = threshold {
                    *value = f32::from(u8::from(*value > *threshold));
                }
            }
        }
        match out.data.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(index) => Err(PolicyError::NotFinite {
                what: "action".to_owned(),
                index,
            }),
        }
    }
}
