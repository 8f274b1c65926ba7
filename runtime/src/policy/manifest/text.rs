//! How an instruction becomes tokens.

use serde::{Deserialize, Serialize};

use super::fault::{FieldFault, check_range, fault};

const MAX_TOKENS: usize = 4096;
const MAX_BINS: u32 = 1 << 16;
const MAX_TEMPLATE: usize = 4096;
/// What the template replaces by the instruction.
pub(crate) const INSTRUCTION: &str = "{instruction}";
/// What the template replaces by the bins of the state.
pub(crate) const STATE: &str = "{state}";

/// How an instruction becomes tokens.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TextSpec {
    /// Name of the value that stages read.
    pub name: String,
    /// File name of the tokenizer (Hugging Face `tokenizer.json`).
    pub tokenizer: String,
    /// The text that is encoded: `{instruction}` and `{state}` are replaced.
    pub template: String,
    /// How `{state}` is written; where the template holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateText>,
    /// Applied to the instruction in this order.
    pub clean: Vec<Clean>,
    /// Whether the tokenizer adds its own tokens (BOS, EOS).
    pub special_tokens: bool,
    /// Length of the token tensor.
    pub max_tokens: usize,
    /// The side that is filled up.
    pub padding: Padding,
    /// What it is filled up with.
    pub pad_id: u32,
    /// Element type of the tensor.
    pub element: TokenElement,
    /// The tensor that says where there are tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskSpec>,
}

/// How a state is written in a template: each value as the number of its bin, separated by spaces.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StateText {
    /// Name of a state, whose value is written as it is fed: normalised, filled up, the newest observation.
    pub name: String,
    /// Bins between `low` and `high`. A value below `low` has the number -1, one above `high` the last, as numpy's `digitize` - 1.
    pub bins: u32,
    /// Lower edge of the first bin.
    pub low: f64,
    /// Upper edge of the last bin.
    pub high: f64,
}

/// What is done to an instruction before it enters the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clean {
    /// Cuts white space at both ends.
    Strip,
    /// Cuts one line end at the end, where there is one.
    StripFinalNewline,
    /// Every `_` becomes a space.
    UnderscoresToSpaces,
    /// Every line end becomes a space.
    NewlinesToSpaces,
    /// All letters become lower case.
    Lowercase,
}

/// The side of the token tensor that is filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Tokens come last.
    Left,
    /// Tokens come first.
    Right,
}

/// Element type of the token tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenElement {
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
}

/// A tensor that is 1 where there is a token and 0 elsewhere.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskSpec {
    /// Name of the value that stages read.
    pub name: String,
    /// Element type of the tensor.
    pub element: MaskElement,
}

/// Element type of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskElement {
    /// True and false.
    Bool,
    /// 64-bit integers.
    I64,
    /// 32-bit integers.
    I32,
    /// Floats.
    F32,
}

impl TextSpec {
    /// Whether the text changes with every observation.
    #[must_use]
    pub fn holds_state(&self) -> bool {
        self.template.contains(STATE)
    }

    pub(super) fn check(&self) -> Result<(), FieldFault> {
        check_range("max_tokens", self.max_tokens, 1, MAX_TOKENS)?;
        if self.template.len() > MAX_TEMPLATE {
            let message = format!(
                "has {} bytes, at most {MAX_TEMPLATE} are taken",
                self.template.len()
            );
            return Err(fault("template", message));
        }
        if self.template.matches(INSTRUCTION).count() != 1 {
            let message = format!("must hold {INSTRUCTION} once");
            return Err(fault("template", message));
        }
        match (&self.state, self.template.matches(STATE).count()) {
            (Some(state), 1) => state.check().map_err(|fault| fault.under("state")),
            (None, 0) => Ok(()),
            (None, _) => Err(fault(
                "state",
                format!("is missing, and `template` holds {STATE}"),
            )),
            (Some(_), count) => {
                let message = format!("is given, and `template` holds {STATE} {count} times");
                Err(fault("state", message))
            }
        }
    }
}

impl StateText {
    fn check(&self) -> Result<(), FieldFault> {
        check_range("bins", self.bins, 1, MAX_BINS)?;
        if self.low.is_finite() && self.high.is_finite() && self.low < self.high {
            Ok(())
        } else {
            let message = format!("is {:?}, must be above `low` {:?}", self.high, self.low);
            Err(fault("high", message))
        }
    }
}
