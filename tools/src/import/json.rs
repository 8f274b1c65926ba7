//! JSON files that others wrote: of limited size, and their errors name the file.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::bad_input::bad_input;

/// `meta/info.json` of a large data set is a few kilobytes; a tokenizer of 256,000 tokens is 33 MB.
const MAX_BYTES: u64 = 128 << 20;

/// Reads a JSON file.
///
/// # Errors
/// Where it cannot be read, is larger than 128 MiB, or does not hold what `T` needs: file, line and field.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let wrong = |message: &dyn fmt::Display| bad_input(format!("{}: {message}", path.display()));
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| wrong(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(wrong(&format!("larger than {MAX_BYTES} bytes")));
    }
    serde_json::from_slice(&text).map_err(|error| wrong(&error))
}

/// Reads a JSON file that may be absent.
///
/// # Errors
/// As [`read`], where there is such a file.
pub fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    path.is_file().then(|| read(path)).transpose()
}

/// A JSON object in the order of the file, each key once.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Entries::default();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if entries.get(&key).is_some() {
                        let message = format!("\"{}\" occurs twice", key.escape_debug());
                        return Err(serde::de::Error::custom(message));
                    }
                    entries.0.push((key, value));
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}
