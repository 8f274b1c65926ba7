//! How to quantise, as arguments.

use std::str::FromStr;

use anyhow::Result;
use clap::ValueEnum;
use wink_quantize::Scheme;
use wink_quantize::emit::Rounding;
use wink_quantize::range::Method;

/// Schemes, ranges, reshaping and budgets.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Schemes, with a comma between
    #[arg(
        long,
        value_name = "S",
        value_enum,
        value_delimiter = ',',
        required = true
    )]
    pub scheme: Vec<SchemeName>,

    /// How the ranges of activations are found
    #[arg(long, value_enum, default_value_t = Calibration::Mse)]
    pub calibration: Calibration,

    /// With --calibration percentile: the percentage of values that lies within
    #[arg(long, value_name = "PERCENT", default_value_t = 99.99, value_parser = percentile)]
    pub percentile: f64,

    /// Move this part of the difficulty from activations to weights (SmoothQuant), 0 to 1
    #[arg(long, value_name = "ALPHA", value_parser = fraction)]
    pub smooth: Option<f32>,

    /// Give neighbouring layers channels of like range
    #[arg(long)]
    pub equalise: bool,

    /// Let biases make up for the mean error of the rounded weights
    #[arg(long)]
    pub bias_correction: bool,

    /// Round 4-bit weights by GPTQ, instead of each to the nearest
    #[arg(long)]
    pub gptq: bool,

    /// Keep layers float, the most sensitive first, until the root mean square error of the normalised actions is at most E;
    /// with FILE, that of the worst output relative to its own root mean square
    #[arg(long, value_name = "E", value_parser = positive)]
    pub max_action_error: Option<f32>,

    /// Quantise layers, the least sensitive first, until one inference (all stages, all steps) takes at most MS on this machine
    #[arg(long, value_name = "MS", value_parser = positive, conflicts_with = "max_action_error")]
    pub max_latency: Option<f32>,

    /// Keep layers float whose STAGE/NODE holds TEXT; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub keep_float: Vec<String>,

    /// Measure each layer's sensitivity and print a table of the layers
    #[arg(long)]
    pub layers: bool,
}

/// The schemes as arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum SchemeName {
    /// int8 weights per channel, uint8 activations of fixed range (QDQ)
    Int8,
    /// int8 weights per channel, uint8 activations of the range of each inference
    Int8Dynamic,
    /// 4-bit weights in blocks of 32, uint8 activations
    #[value(name = "w4a8")]
    W4a8,
    /// 4-bit weights in blocks of 32, float activations
    W4,
    /// f16 weights and activations, f32 sums
    F16,
}

impl SchemeName {
    /// The scheme.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::Int8 => Scheme::Int8,
            Self::Int8Dynamic => Scheme::Int8Dynamic,
            Self::W4a8 => Scheme::W4a8,
            Self::W4 => Scheme::W4,
            Self::F16 => Scheme::F16,
        }
    }
}

/// The ways to find a range, as arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Calibration {
    /// From the smallest to the largest value seen
    Minmax,
    /// Leaves the rarest values out
    Percentile,
    /// Least squared error
    Mse,
    /// Least Kullback-Leibler divergence
    Entropy,
}

impl Options {
    /// How values are rounded.
    pub fn rounding(&self) -> Rounding {
        Rounding {
            method: match self.calibration {
                Calibration::Minmax => Method::MinMax,
                Calibration::Percentile => Method::Percentile(1.0 - self.percentile / 100.0),
                Calibration::Mse => Method::Mse,
                Calibration::Entropy => Method::Entropy,
            },
            gptq: self.gptq,
            bias_correction: self.bias_correction,
        }
    }

    /// How ranges are found, in words.
    pub fn method_name(&self) -> String {
        match self.calibration {
            Calibration::Minmax => "min-max".to_owned(),
            Calibration::Percentile => format!("percentile {}", self.percentile),
            Calibration::Mse => "least squared error".to_owned(),
            Calibration::Entropy => "entropy".to_owned(),
        }
    }

    /// Whether layers are kept float by what they do to the result.
    pub fn has_budget(&self) -> bool {
        self.max_action_error.is_some() || self.max_latency.is_some()
    }
}

fn percentile(text: &str) -> Result<f64, String> {
    number(text, |value| (50.0..=100.0).contains(value), "50 to 100")
}

fn fraction(text: &str) -> Result<f32, String> {
    number(text, |value| (0.0..=1.0).contains(value), "0 to 1")
}

fn positive(text: &str) -> Result<f32, String> {
    let fits = |value: &f32| value.is_finite() && *value > 0.0;
    number(text, fits, "above 0")
}

fn number<T: FromStr>(text: &str, fits: impl Fn(&T) -> bool, range: &str) -> Result<T, String> {
    let value: T = text.parse().map_err(|_| "is not a number".to_owned())?;
    if fits(&value) {
        Ok(value)
    } else {
        Err(format!("must be {range}"))
    }
}
