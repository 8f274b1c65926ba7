//! Noise: distributions, and the noise that graphs take as an input.

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, fault};

/// Most numbers of a tensor of noise.
pub(super) const MAX_NUMBERS: usize = 1 << 20;
const MAX_AXES: usize = 6;

/// Noise that graphs take as an input, drawn anew for each observation.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseSpec {
    /// Name of the value that stages read.
    pub name: String,
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// What its numbers are drawn from.
    pub draw: Noise,
}

/// A distribution.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Noise {
    /// The normal distribution.
    Normal {
        /// Its mean.
        #[serde(deserialize_with = "super::floats::one")]
        mean: f32,
        /// Its standard deviation.
        #[serde(deserialize_with = "super::floats::one")]
        std: f32,
    },
    /// The uniform distribution, `high` excluded.
    Uniform {
        /// The smallest value.
        #[serde(deserialize_with = "super::floats::one")]
        low: f32,
        /// The end of the range.
        #[serde(deserialize_with = "super::floats::one")]
        high: f32,
    },
}

impl NoiseSpec {
    pub(super) fn check(&self) -> Result<(), FieldFault> {
        if self.shape.len() > MAX_AXES || numbers(&self.shape).is_none() {
            let message = format!(
                "is {:?}, must have at most {MAX_AXES} axes and 1 to {MAX_NUMBERS} numbers",
                self.shape
            );
            return Err(fault("shape", message));
        }
        self.draw.check().map_err(|fault| fault.under("draw"))
    }
}

impl Noise {
    pub(super) fn check(&self) -> Result<(), FieldFault> {
        let (field, fits) = match self {
            Self::Normal { mean, std } => {
                ("normal", mean.is_finite() && std.is_finite() && *std >= 0.0)
            }
            Self::Uniform { low, high } => (
                "uniform",
                low.is_finite() && high.is_finite() && low <= high,
            ),
        };
        if fits {
            Ok(())
        } else {
            Err(fault(field, format!("is no distribution: {self:?}")))
        }
    }
}

/// The numbers of a tensor of this shape; `None` where there are none, or too many.
pub(super) fn numbers(shape: &[usize]) -> Option<usize> {
    let count = shape
        .iter()
        .try_fold(1_usize, |n, &axis| n.checked_mul(axis));
    count.filter(|count| (1..=MAX_NUMBERS).contains(count))
}
