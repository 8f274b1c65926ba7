//! How physical values become the numbers a network was trained on, and back.

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_finite, fault};

/// A map between physical values x and normalised values, with one number per name or colour channel.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Normalisation {
    /// x.
    Identity {},
    /// (x - mean) / (std + epsilon), back x * std + mean.
    MeanStd {
        /// Mean of each value.
        #[serde(deserialize_with = "super::floats::list")]
        mean: Vec<f32>,
        /// Standard deviation of each value, 0 or more.
        #[serde(deserialize_with = "super::floats::list")]
        std: Vec<f32>,
        /// Added to `std` before it divides.
        #[serde(deserialize_with = "super::floats::one")]
        epsilon: f32,
    },
    /// 2 (x - min) / (max - min) - 1, where the range is `epsilon` if it is 0.
    MinMax {
        /// Smallest value.
        #[serde(deserialize_with = "super::floats::list")]
        min: Vec<f32>,
        /// Largest value.
        #[serde(deserialize_with = "super::floats::list")]
        max: Vec<f32>,
        /// The range of a value whose `min` is its `max`.
        #[serde(deserialize_with = "super::floats::one")]
        epsilon: f32,
    },
    /// As [`Normalisation::MinMax`], between two quantiles.
    Quantiles {
        /// The lower quantile.
        #[serde(deserialize_with = "super::floats::list")]
        low: Vec<f32>,
        /// The upper quantile.
        #[serde(deserialize_with = "super::floats::list")]
        high: Vec<f32>,
        /// The range of a value whose quantiles are equal.
        #[serde(deserialize_with = "super::floats::one")]
        epsilon: f32,
    },
    /// x * scale + offset.
    Affine {
        /// Factor of each value, not 0.
        #[serde(deserialize_with = "super::floats::list")]
        scale: Vec<f32>,
        /// Added to each value.
        #[serde(deserialize_with = "super::floats::list")]
        offset: Vec<f32>,
    },
}

impl Normalisation {
    /// The name in `policy.json`.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self {
            Self::Identity {} => "identity",
            Self::MeanStd { .. } => "mean_std",
            Self::MinMax { .. } => "min_max",
            Self::Quantiles { .. } => "quantiles",
            Self::Affine { .. } => "affine",
        }
    }

    /// Checks that there is one usable number per value.
    pub(crate) fn check(&self, count: usize) -> Result<(), FieldFault> {
        let mode = self.mode();
        let check = || match self {
            Self::Identity {} => Ok(()),
            Self::MeanStd { mean, std, epsilon } => {
                check_count("mean", mean, count)?;
                check_count("std", std, count)?;
                check_epsilon(*epsilon)?;
                check_divisor("std", std, |std| (std >= 0.0).then_some(std + epsilon))
            }
            Self::MinMax { min, max, epsilon } => {
                check_bounds(["min", "max"], [min, max], count, *epsilon)
            }
            Self::Quantiles { low, high, epsilon } => {
                check_bounds(["low", "high"], [low, high], count, *epsilon)
            }
            Self::Affine { scale, offset } => {
                check_count("scale", scale, count)?;
                check_count("offset", offset, count)?;
                check_divisor("scale", scale, Some)
            }
        };
        check().map_err(|fault| fault.under(mode))
    }
}

fn check_count(field: &str, values: &[f32], count: usize) -> Result<(), FieldFault> {
    if values.len() != count {
        let message = format!("has {} values instead of {count}", values.len());
        return Err(fault(field, message));
    }
    check_finite(field, values)
}

fn check_epsilon(epsilon: f32) -> Result<(), FieldFault> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        Ok(())
    } else {
        Err(fault(
            "epsilon",
            format!("is {epsilon:?}, must be 0 or more"),
        ))
    }
}

fn check_bounds(
    names: [&str; 2],
    [low, high]: [&[f32]; 2],
    count: usize,
    epsilon: f32,
) -> Result<(), FieldFault> {
    check_count(names[0], low, count)?;
    check_count(names[1], high, count)?;
    check_epsilon(epsilon)?;
    let ranges: Vec<f32> = low
        .iter()
        .zip(high)
        .map(|(low, high)| if high == low { epsilon } else { high - low })
        .collect();
    if let Some(index) = low.iter().zip(high).position(|(low, high)| low > high) {
        let message = format!(
            "is {:?}, below {}[{index}] {:?}",
            high[index], names[0], low[index]
        );
        return Err(fault(format!("{}[{index}]", names[1]), message));
    }
    match ranges.iter().position(|range| !divides(*range)) {
        None => Ok(()),
        Some(index) => Err(fault(
            format!("{}[{index}]", names[1]),
            format!("leaves a range of {:?}, which cannot divide", ranges[index]),
        )),
    }
}

/// `divisor` gives what a value divides by, or `None` where the value is out of range.
fn check_divisor(
    field: &str,
    values: &[f32],
    divisor: impl Fn(f32) -> Option<f32>,
) -> Result<(), FieldFault> {
    match values
        .iter()
        .position(|value| divisor(*value).is_none_or(|divisor| !divides(divisor)))
    {
        None => Ok(()),
        Some(index) => Err(fault(
            format!("{field}[{index}]"),
            format!("is {:?}, by which nothing can be divided", values[index]),
        )),
    }
}

/// Whether a division by the number stays finite.
fn divides(divisor: f32) -> bool {
    divisor.is_finite() && divisor != 0.0 && divisor.recip().is_finite()
}
