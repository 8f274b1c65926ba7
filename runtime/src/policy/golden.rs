//! The self-check of a package: seed-made inputs and what a reference engine answered to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wink_engine::fill;

use super::{OnnxPolicy, Package, PackageError, Policy, PolicyError};

/// File name of the self-check in a package.
const GOLDEN: &str = "golden.json";

#[derive(Deserialize)]
struct Golden {
    engine: String,
    instruction: Option<String>,
    tokens: Vec<i64>,
    image_seed: u32,
    state_seed: u32,
    /// Normalised action chunk of each precision, row-major.
    action: BTreeMap<String, Vec<f32>>,
}

/// How far this engine is from the reference engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenReport {
    /// The reference engine.
    pub engine: String,
    /// Largest difference of a normalised action value.
    pub max_error: f32,
    /// Root mean square of the differences.
    pub rms_error: f32,
    /// Values compared.
    pub count: usize,
    /// Largest difference that passes: rounding for f32, a few quantisation steps otherwise.
    pub tolerance: f32,
}

impl GoldenReport {
    /// Whether the difference is small enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.max_error <= self.tolerance
    }
}

impl OnnxPolicy {
    /// Runs the package's self-check; `None` where it has none for this precision.
    ///
    /// # Errors
    /// When `golden.json` is broken or does not fit the graphs, or the tokenizer gives other tokens than it lists.
    pub fn check(&mut self, package: &Package) -> Result<Option<GoldenReport>, PolicyError> {
        if !package.manifest().files.contains_key(GOLDEN) {
            return Ok(None);
        }
        let content = package.read(GOLDEN)?;
        let refused = |message: String| PackageError::Manifest {
            file: package.path(GOLDEN),
            message,
        };
        let golden: Golden =
            serde_json::from_slice(&content).map_err(|e| refused(e.to_string()))?;
        let Some(expected) = golden.action.get(self.precision()) else {
            return Ok(None);
        };
        let shape = self.chunk_shape();
        if expected.len() != shape.steps * shape.dim {
            let message = format!(
                "`action` has {} values instead of {}",
                expected.len(),
                shape.steps * shape.dim
            );
            return Err(refused(message).into());
        }
        if let Some(instruction) = &golden.instruction {
            let tokens = self.tokens(instruction)?;
            if tokens != golden.tokens {
                return Err(
                    refused(format!("the tokenizer makes {tokens:?} of `instruction`")).into(),
                );
            }
        }
        if let Some(text) = &package.manifest().text
            && golden.tokens.len() != text.max_tokens
        {
            return Err(refused(format!(
                "`tokens` has {} values instead of {}",
                golden.tokens.len(),
                text.max_tokens
            ))
            .into());
        }
        self.set_tokens(&golden.tokens)?;
        for (feed, seed) in [("image", golden.image_seed), ("state", golden.state_seed)] {
            if let Some(index) = self.input_position(feed) {
                self.fill_input(index, |values| {
                    fill(values, seed);
                    Ok(())
                })?;
            }
        }
        let (mut max_error, mut sum) = (0.0_f32, 0.0_f32);
        self.infer(|action| {
            for (value, expected) in action.iter().zip(expected) {
                let error = (value - expected).abs();
                max_error = max_error.max(error);
                sum += error * error;
            }
        })?;
        let tolerance = if self.precision() == "f32" {
            1e-4
        } else {
            0.05
        };
        let rms_error = (sum / expected.len() as f32).sqrt();
        Ok(Some(GoldenReport {
            engine: golden.engine,
            max_error,
            rms_error,
            count: expected.len(),
            tolerance,
        }))
    }
}
