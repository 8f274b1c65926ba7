//! The tokenizer's folder: `tokenizer.json`, and the token that fills up.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::json;
use crate::bad_input::bad_input;

/// The tokenizer's file, by this name in its folder and in the package.
pub const FILE: &str = "tokenizer.json";
/// Files that name the padding token, in the order in which `transformers` looks.
const SETTINGS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// A tokenizer.
#[derive(Debug)]
pub struct Tokenizer {
    /// `tokenizer.json`.
    pub path: PathBuf,
    /// What token tensors are filled up with.
    pub pad_id: u32,
}

#[derive(Deserialize)]
struct Settings {
    pad_token: Option<Token>,
}

/// A token, by itself or with its properties.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Plain(String),
    Added { content: String },
}

#[derive(Deserialize)]
struct File {
    padding: Option<Padding>,
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
}

#[derive(Deserialize)]
struct Padding {
    pad_id: u32,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    /// By token to its number; by place in a Unigram model.
    vocab: Option<Value>,
}

impl Tokenizer {
    /// Reads a folder; `pad_id` is what the user gave.
    ///
    /// # Errors
    /// Where there is no usable `tokenizer.json`, or nothing says which token fills up.
    pub fn read(dir: &Path, pad_id: Option<u32>) -> Result<Self> {
        let path = dir.join(FILE);
        let file: File = json::read(&path)?;
        if let Some(pad_id) = pad_id {
            return Ok(Self { path, pad_id });
        }
        for name in SETTINGS {
            let settings: Option<Settings> = json::read_if_there(&dir.join(name))?;
            let Some(token) = settings.and_then(|settings| settings.pad_token) else {
                continue;
            };
            let (Token::Plain(token) | Token::Added { content: token }) = token;
            let Some(pad_id) = file.id(&token) else {
                return Err(bad_input(format!(
                    "{}: does not hold the padding token \"{}\" of {name}",
                    path.display(),
                    token.escape_debug()
                )));
            };
            return Ok(Self { path, pad_id });
        }
        match file.padding {
            Some(Padding { pad_id }) => Ok(Self { path, pad_id }),
            None => Err(bad_input(format!(
                "{}: nothing says with which token it fills up; give its number with --pad-id",
                path.display()
            ))),
        }
    }
}

impl File {
    fn id(&self, token: &str) -> Option<u32> {
        let added = self
            .added_tokens
            .iter()
            .find(|added| added.content == token);
        let vocab = || match &self.model.vocab {
            Some(Value::Object(ids)) => ids.get(token).and_then(Value::as_u64),
            Some(Value::Array(pieces)) => {
                let place = pieces
                    .iter()
                    .position(|piece| piece.get(0) == Some(&token.into()));
                place.map(|place| place as u64)
            }
            _ => None,
        };
        match added {
            Some(added) => Some(added.id),
            None => vocab().and_then(|id| u32::try_from(id).ok()),
        }
    }
}
