//! From an instruction, and the state where the template holds it, to token ids.

use std::fmt::Write;
use std::path::PathBuf;

use tokenizers::Tokenizer;
use wink_engine::contain;

use super::manifest::{Clean, INSTRUCTION, Padding, STATE, StateText, TextSpec};
use super::{Package, PolicyError};

/// The package's tokenizer with the template and the length that the graphs take.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    file: PathBuf,
    spec: TextSpec,
}

/// Token ids, filled up, and where there are tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<i64>,
    pub(crate) mask: Vec<bool>,
}

impl TextEncoder {
    pub(crate) fn load(package: &Package, spec: &TextSpec) -> Result<Self, PolicyError> {
        let file = package.path(&spec.tokenizer);
        let bytes = package.read(&spec.tokenizer)?;
        let tokenizer = contain(|| {
            let mut tokenizer =
                Tokenizer::from_bytes(&bytes).map_err(|e| format!("is no tokenizer: {e}"))?;
            // A tokenizer that cuts would hide instructions that are too long.
            tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
            tokenizer.with_padding(None);
            Ok(tokenizer)
        });
        match tokenizer {
            Ok(tokenizer) => Ok(Self {
                tokenizer,
                file,
                spec: spec.clone(),
            }),
            Err(message) => Err(PolicyError::Tokenizer { file, message }),
        }
    }

    /// Whether an instruction can be encoded at all; how long it is depends on the state.
    pub(crate) fn check(&self, instruction: &str) -> Result<(), PolicyError> {
        match instruction.trim().is_empty() {
            true => Err(PolicyError::EmptyInstruction),
            false => Ok(()),
        }
    }

    /// Encodes an instruction; `state` is the value as it is fed, where the template holds it.
    pub(crate) fn encode(
        &self,
        instruction: &str,
        state: Option<&[f32]>,
    ) -> Result<Tokens, PolicyError> {
        self.check(instruction)?;
        let prompt = self.prompt(instruction, state);
        let encoding = contain(|| {
            self.tokenizer
                .encode(prompt, self.spec.special_tokens)
                .map_err(|e| e.to_string())
        })
        .map_err(|message| PolicyError::Tokenizer {
            file: self.file.clone(),
            message,
        })?;
        let ids = encoding.get_ids();
        let (count, max_tokens) = (ids.len(), self.spec.max_tokens);
        if count == 0 {
            return Err(PolicyError::EmptyInstruction);
        }
        if count > max_tokens {
            return Err(PolicyError::InstructionTooLong {
                instruction: instruction.chars().take(80).collect(),
                tokens: count,
                max_tokens,
            });
        }
        let start = match self.spec.padding {
            Padding::Right => 0,
            Padding::Left => max_tokens - count,
        };
        let mut tokens = Tokens {
            ids: vec![i64::from(self.spec.pad_id); max_tokens],
            mask: vec![false; max_tokens],
        };
        for (target, id) in tokens.ids[start..].iter_mut().zip(ids) {
            *target = i64::from(*id);
        }
        tokens.mask[start..start + count].fill(true);
        Ok(tokens)
    }

    /// The text that the tokenizer is given.
    fn prompt(&self, instruction: &str, state: Option<&[f32]>) -> String {
        let mut text = instruction.to_owned();
        for step in &self.spec.clean {
            text = clean(*step, &text);
        }
        let mut prompt = self.spec.template.clone();
        if let (Some(spec), Some(values)) = (&self.spec.state, state) {
            prompt = prompt.replace(STATE, &bins(spec, values));
        }
        // Last, so that an instruction with braces is taken as it is.
        prompt.replace(INSTRUCTION, &text)
    }
}

fn clean(step: Clean, text: &str) -> String {
    match step {
        Clean::Strip => text.trim().to_owned(),
        Clean::StripFinalNewline => text.strip_suffix('\n').unwrap_or(text).to_owned(),
        Clean::UnderscoresToSpaces => text.replace('_', " "),
        Clean::NewlinesToSpaces => text.replace('\n', " "),
        Clean::Lowercase => text.to_lowercase(),
    }
}

/// Each value as the number of its bin: how many lower edges are at most the value, minus 1.
fn bins(spec: &StateText, values: &[f32]) -> String {
    let width = (spec.high - spec.low) / f64::from(spec.bins);
    let mut text = String::with_capacity(values.len() * 4);
    for (index, value) in values.iter().enumerate() {
        let value = f64::from(*value);
        let edge = |bin: i64| spec.low + bin as f64 * width;
        let last = i64::from(spec.bins) - 1;
        // The division may land one bin off; the edges decide.
        let mut bin = (((value - spec.low) / width).floor() as i64).clamp(-1, last);
        if bin >= 0 && edge(bin) > value {
            bin -= 1;
        } else if bin < last && edge(bin + 1) <= value {
            bin += 1;
        }
        let separator = if index == 0 { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}{bin}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: numpy.digitize(values, numpy.linspace(-1, 1, 257)[:-1]) - 1.
    #[test]
    fn states_are_written_as_numpy_digitizes_them() {
        let spec = StateText {
            name: "observation.state".to_owned(),
            bins: 256,
            low: -1.0,
            high: 1.0,
        };
        let values = [
            -1.5, -1.0, -0.9999, -0.5, 0.0, 0.0078125, 0.3, 0.99999, 1.0, 7.0,
        ];
        assert_eq!(bins(&spec, &values), "-1 0 0 64 128 129 166 255 255 255");
        assert_eq!(bins(&spec, &[]), "");
    }

    #[test]
    fn instructions_are_cleaned_in_the_given_order() {
        let all = [
            Clean::Strip,
            Clean::UnderscoresToSpaces,
            Clean::NewlinesToSpaces,
            Clean::Lowercase,
        ];
        let text = all.iter().fold(" Pick_up\nIt \n".to_owned(), |text, step| {
            clean(*step, &text)
        });
        assert_eq!(text, "pick up it");
        assert_eq!(clean(Clean::StripFinalNewline, "a\n\n"), "a\n");
        assert_eq!(clean(Clean::StripFinalNewline, "a"), "a");
    }
}
