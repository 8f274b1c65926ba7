//! Reading files that anybody may have written: small, and told by name where they are broken.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Error, Result};
use serde::de::DeserializeOwned;

use crate::bad_input::{as_bad_input, bad_input};

/// No file of a report comes near this.
const MAX_BYTES: u64 = 32 << 20;

/// What is wrong with the file at `path`.
pub fn told(path: &Path, error: impl Into<Error>) -> Error {
    as_bad_input(error.into().context(path.display().to_string()))
}

/// Opens a file of sensible size.
pub fn open(path: &Path) -> Result<File> {
    let open = || -> Result<File> {
        let file = File::open(path)?;
        if file.metadata()?.len() > MAX_BYTES {
            return Err(bad_input(format!("larger than {} MB", MAX_BYTES >> 20)));
        }
        Ok(file)
    };
    open().map_err(|error| told(path, error))
}

/// A file's text.
pub fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    open(path)?
        .read_to_string(&mut text)
        .map_err(|error| told(path, error))?;
    Ok(text)
}

/// A JSON file's content.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_text(path)?).map_err(|error| told(path, error))
}

/// A JSON file's content; `None` where there is no such file.
pub fn read_optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    path.exists().then(|| read_json(path)).transpose()
}

/// Names of the folders in a folder, sorted; hidden ones are left out.
pub fn folders(path: &Path) -> Result<Vec<String>> {
    let list = || -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    };
    list().map_err(|error| told(path, error))
}
