//! From an instruction to token ids.

use std::path::PathBuf;

use tokenizers::Tokenizer;
use wink_engine::contain;

use super::manifest::TextSpec;
use super::{Package, PolicyError};

/// The package's tokenizer with the length that the text graph takes.
#[derive(Debug)]
pub(crate) struct TextEncoder {
    tokenizer: Tokenizer,
    file: PathBuf,
    max_tokens: usize,
    pad_id: u32,
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
                max_tokens: spec.max_tokens,
                pad_id: spec.pad_id,
            }),
            Err(message) => Err(PolicyError::Tokenizer { file, message }),
        }
    }

    /// Token ids, filled up with the padding id.
    pub(crate) fn encode(&self, instruction: &str) -> Result<Vec<i64>, PolicyError> {
        if instruction.trim().is_empty() {
            return Err(PolicyError::EmptyInstruction);
        }
        let encoding = contain(|| {
            self.tokenizer
                .encode(instruction, true)
                .map_err(|e| e.to_string())
        })
        .map_err(|message| PolicyError::Tokenizer {
            file: self.file.clone(),
            message,
        })?;
        let ids = encoding.get_ids();
        match ids.len() {
            0 => Err(PolicyError::EmptyInstruction),
            tokens if tokens > self.max_tokens => Err(PolicyError::InstructionTooLong {
                instruction: instruction.chars().take(80).collect(),
                tokens,
                max_tokens: self.max_tokens,
            }),
            tokens => {
                let padding = std::iter::repeat_n(self.pad_id, self.max_tokens - tokens);
                Ok(ids.iter().copied().chain(padding).map(i64::from).collect())
            }
        }
    }
}
