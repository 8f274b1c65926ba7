//! Decoding token by token, and what tokens stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::fault::{FieldFault, check_range, fault};
use super::super::{action, states};
use super::MAX_STEPS;

const MAX_CACHES: usize = 128;
/// Most tokens of a sequence that is looked for.
const MAX_SEQUENCE: usize = 64;

/// Greedy decoding, token by token.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokensSpec {
    /// Most tokens that are decoded.
    pub max_tokens: usize,
    /// The token that ends the decoding; `null` where exactly `max_tokens` are decoded.
    #[serde(deserialize_with = "Option::deserialize")]
    pub end: Option<u32>,
    /// Whether `max_tokens` tokens without `end` among them are taken; else they are an error.
    #[serde(default, skip_serializing_if = "is_false")]
    pub open_end: bool,
    /// Where the first token comes from.
    pub first: FirstToken,
    /// The graph's output whose largest value is the next token: f32, the vocabulary being its last axis.
    pub logits: String,
    /// What the graph keeps from token to token: the graph reads `loop.NAME`.
    pub cache: BTreeMap<String, CacheSpec>,
    /// The decoded tokens must begin with these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<u32>,
    /// A sequence of tokens that is taken out wherever it stands among the decoded ones, before they become actions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<u32>,
    /// How tokens become actions.
    pub decode: Decode,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Where the first token comes from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstToken {
    /// It is the largest of the last row of this value.
    Logits(String),
    /// It is this token, which is fed but no action.
    Token(u32),
}

/// A tensor that a token loop keeps; its shape is that of the graph's input.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// The value it begins with, at the start of `axis`, the rest being 0; all 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The graph's output that is kept.
    pub output: String,
    /// The axis along which the output is appended; where absent the output is the whole new tensor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<usize>,
}

/// How tokens become a chunk of actions. The index of a token is its distance from `first_token`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Decode {
    /// Each token is one value: the middle of its bin.
    Bins {
        /// The token of index 0.
        first_token: u32,
        /// Whether the index grows as the token falls.
        descending: bool,
        /// Bins between `low` and `high`.
        bins: u32,
        /// Lower edge of the first bin.
        low: f32,
        /// Upper edge of the last bin.
        high: f32,
        /// Steps of the chunk.
        steps: usize,
        /// Values of a step.
        dim: usize,
    },
    /// Tokens stand for runs of integers, which divided by `scale` are the coefficients of an orthonormal DCT over the steps, row by row.
    Dct {
        /// The token of index 0.
        first_token: u32,
        /// Whether the index grows as the token falls.
        descending: bool,
        /// File with the integers of each index, a JSON array of arrays.
        table: String,
        /// Where the integers of all tokens together are the bytes of a text, each of whose characters is one coefficient.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        utf8: Option<Utf8>,
        /// What another number of coefficients than `steps` x `dim` means.
        #[serde(default, skip_serializing_if = "DctFit::is_exact")]
        fit: DctFit,
        /// What the integers are divided by.
        scale: f32,
        /// Steps of the chunk.
        steps: usize,
        /// Values of a step.
        dim: usize,
    },
}

/// How a text stands for integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Utf8 {
    /// Added to the code point of each character.
    pub offset: i32,
}

/// What another number of coefficients than are needed means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DctFit {
    /// An error.
    #[default]
    Exact,
    /// Those that lack are 0, those past the end are left out.
    Fill,
}

impl DctFit {
    fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

impl TokensSpec {
    pub(super) fn check(&self) -> Result<(), FieldFault> {
        check_range("max_tokens", self.max_tokens, 1, MAX_STEPS)?;
        if self.cache.len() > MAX_CACHES {
            let message = format!(
                "has {} entries, at most {MAX_CACHES} are taken",
                self.cache.len()
            );
            return Err(fault("cache", message));
        }
        for name in self.cache.keys() {
            if ["sample", "time", "token", "index"].contains(&name.as_str()) {
                let message = "is the name of another value of the loop";
                return Err(fault(format!("cache.{name}"), message));
            }
        }
        if self.open_end && self.end.is_none() {
            return Err(fault("open_end", "is true, and there is no `end`"));
        }
        for (field, tokens) in [("starts_with", &self.starts_with), ("remove", &self.remove)] {
            if tokens.len() > MAX_SEQUENCE {
                let message = format!(
                    "has {} tokens, at most {MAX_SEQUENCE} are taken",
                    tokens.len()
                );
                return Err(fault(field, message));
            }
        }
        self.decode
            .check(self)
            .map_err(|fault| fault.under("decode"))
    }
}

impl Decode {
    /// Steps and values of a step.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Bins { steps, dim, .. } | Self::Dct { steps, dim, .. } => [*steps, *dim],
        }
    }

    fn check(&self, tokens: &TokensSpec) -> Result<(), FieldFault> {
        let [steps, dim] = self.shape();
        check_range("steps", steps, 1, action::MAX_CHUNK)?;
        check_range("dim", dim, 1, states::MAX_VALUES)?;
        match self {
            Self::Bins {
                bins, low, high, ..
            } => {
                check_range("bins.bins", *bins, 1, 1 << 16)?;
                if !(low.is_finite() && high.is_finite() && low < high) {
                    let message = format!("is {high:?}, must be above `low` {low:?}");
                    return Err(fault("bins.high", message));
                }
                let fits = match tokens.end {
                    None => steps * dim == tokens.max_tokens,
                    Some(_) => steps * dim <= tokens.max_tokens,
                };
                if fits {
                    return Ok(());
                }
                let message = format!(
                    "needs {} tokens, `max_tokens` is {}",
                    steps * dim,
                    tokens.max_tokens
                );
                Err(fault("bins.steps", message))
            }
            Self::Dct { scale, .. } => {
                if scale.is_finite() && *scale > 0.0 {
                    Ok(())
                } else {
                    let message = format!("is {scale:?}, must be above 0");
                    Err(fault("dct.scale", message))
                }
            }
        }
    }
}
