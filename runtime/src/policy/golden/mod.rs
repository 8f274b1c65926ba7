//! Golden values of a package: what the policy that was exported computed, compared with what is computed here.

mod compare;
mod file;
mod inputs;

use serde::Serialize;

use super::stages::{StageRun, ValueRef};
use super::{ActionChunk, OnnxPolicy, Package, PackageError, PolicyError};
use compare::Compared;
use file::Golden;

/// How far this runtime is from the reference, value by value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenReport {
    /// What computed the golden values.
    pub reference: String,
    /// Each value, in the order in which it is computed; `action` is the whole.
    pub values: Vec<GoldenValue>,
}

/// How far one value is from the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoldenValue {
    /// Its name in `policy.json`, or `action`.
    pub value: String,
    /// Largest difference.
    pub max_error: f64,
    /// Root mean square of the differences.
    pub rms_error: f64,
    /// Numbers compared.
    pub count: usize,
    /// Largest difference that passes.
    pub tolerance: f64,
}

impl GoldenValue {
    /// Whether the difference is small enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.max_error <= self.tolerance
    }
}

impl GoldenReport {
    /// Whether every difference is small enough.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.values.iter().all(GoldenValue::passed)
    }

    /// The value that is furthest off, measured in its tolerance.
    #[must_use]
    pub fn worst(&self) -> Option<&GoldenValue> {
        let off = |value: &GoldenValue| value.max_error / value.tolerance.max(f64::MIN_POSITIVE);
        self.values.iter().max_by(|a, b| off(a).total_cmp(&off(b)))
    }
}

impl OnnxPolicy {
    /// Computes the golden values of the package; `None` where it has none for this precision.
    ///
    /// # Errors
    /// When the file of golden values is broken or does not fit the package, or a graph cannot be run on them.
    pub fn check(&self, package: &Package) -> Result<Option<GoldenReport>, PolicyError> {
        let Some(file) = &package.manifest().golden else {
            return Ok(None);
        };
        let content = package.read(file)?;
        let refused = |message: String| PackageError::Manifest {
            file: package.path(file),
            message,
        };
        let golden: Golden =
            serde_json::from_slice(&content).map_err(|e| refused(e.to_string()))?;
        let Some(expected) = golden.precisions.get(self.precision()) else {
            return Ok(None);
        };
        let mut policy = self.clone();
        policy
            .feed(&golden, package)
            .map_err(|fault| fault.told(&refused))?;
        let mut compared = Compared::new(expected);
        let mut chunk = ActionChunk::default();
        for ((name, _), tensor) in policy
            .shared
            .network
            .observed
            .iter()
            .zip(&policy.feeds.tensors)
        {
            compared.see(name, &tensor.view());
        }
        let mut watch = |run: &StageRun<'_>| {
            if run.step() == 0 {
                for (tensor, view) in run.outputs() {
                    compared.see(&format!("{}.{tensor}", run.stage()), &view);
                }
            }
        };
        policy.run_episode(Some(&mut watch))?;
        policy.run_observation(&mut chunk, Some(&mut watch))?;
        policy.check_drawn().map_err(refused)?;
        let network = &policy.shared.network;
        for (index, stage) in network.stages.iter().enumerate() {
            if stage.spec.repeat.is_some() {
                let value = ValueRef::Result(index);
                let view = policy.runs.value(network, &policy.feeds.tensors, value)?;
                compared.see(&format!("{}.sample", stage.spec.name), &view);
            }
        }
        compared.action(&chunk);
        compared
            .report(golden.reference)
            .map(Some)
            .map_err(|message| refused(message).into())
    }
}
