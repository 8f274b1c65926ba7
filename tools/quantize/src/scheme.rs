//! What a user asks for, and what becomes of one layer.

use serde::Serialize;

/// How a whole policy is quantised. The names are those of the precisions in `policy.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Weights and what enters a product as f16, sums in f32.
    F16,
    /// Weights int8 per output channel, activations uint8 with fixed ranges; products of two activations too.
    Int8,
    /// Weights int8 per output channel, activations uint8, quantised dynamically (range per inference).
    Int8Dynamic,
    /// Weights 4-bit in blocks of 32, activations uint8 with fixed ranges; convolutions as in `Int8`.
    W4a8,
    /// Weights 4-bit in blocks of 32, activations float; convolutions with int8 weights.
    W4,
}

impl Scheme {
    /// The name in `policy.json` and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Int8Dynamic => "int8-dynamic",
            Self::W4a8 => "w4a8",
            Self::W4 => "w4",
        }
    }

    /// The oldest opset that has what the scheme writes: a scale for each channel came with opset 13.
    #[must_use]
    pub fn opset(self) -> i64 {
        match self {
            Self::F16 => 1,
            Self::Int8Dynamic => 11,
            Self::Int8 | Self::W4a8 | Self::W4 => 13,
        }
    }
}

/// How one layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// As it was.
    F32,
    /// Both sides rounded to f16.
    F16,
    /// int8 weights, uint8 activations of fixed range.
    Int8,
    /// int8 weights, uint8 activations, quantised dynamically (range per inference).
    Int8Dynamic,
    /// int8 weights, float activations.
    W8,
    /// 4-bit weights, uint8 activations of fixed range.
    W4a8,
    /// 4-bit weights, float activations.
    W4,
}

impl Precision {
    /// Whether activations have fixed ranges, which calibration must find.
    #[must_use]
    pub fn is_static(self) -> bool {
        matches!(self, Self::Int8 | Self::W4a8)
    }
}
