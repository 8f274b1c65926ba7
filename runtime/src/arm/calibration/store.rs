//! Where calibrations are kept: a file for each arm in the user's configuration folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Calibration, CalibrationError};
use crate::arm::ArmDescription;
use crate::arm::files::{read_text, write_whole};

/// The id of a calibration that is given none: there is one arm of its model.
pub const DEFAULT_ID: &str = "default";

/// Where the calibration of an arm (the model's name) with this id is kept:
/// `$XDG_CONFIG_HOME/wink/calibration/ARM/ID.toml`, and below `$HOME/.config` where that variable is not set.
///
/// # Errors
/// When either name cannot be a file's, or the environment names no folder.
pub fn calibration_path(arm: &str, id: &str) -> Result<PathBuf, CalibrationError> {
    let id = plain(id)?;
    Ok(folder(arm)?.join(format!("{id}.toml")))
}

impl Calibration {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file: it cannot be read, or is no calibration.
    pub fn load(path: &Path) -> Result<Self, CalibrationError> {
        let text = read_text(path)?;
        Self::from_toml(&text).map_err(|error| error.of(path))
    }

    /// Writes a file whole or not at all, through symbolic links, and makes the folders that it lies in.
    ///
    /// # Errors
    /// Names the file and what is in the way.
    pub fn save(&self, path: &Path) -> Result<(), CalibrationError> {
        Ok(write_whole(path, self.to_toml().as_bytes())?)
    }

    /// The file of the calibration that goes with an arm: `file`; else the one that is kept under this id; else the default one.
    /// `None` where the arm has none at all.
    ///
    /// # Errors
    /// When no calibration has this id; when there are some, and none is asked for nor the default one.
    pub fn locate(
        arm: &ArmDescription,
        file: Option<&Path>,
        id: Option<&str>,
    ) -> Result<Option<PathBuf>, CalibrationError> {
        if let Some(file) = file {
            return Ok(Some(file.to_owned()));
        }
        let path = match calibration_path(arm.name(), id.unwrap_or(DEFAULT_ID)) {
            Ok(path) if path.exists() => return Ok(Some(path)),
            // An arm whose name is no file's has nothing stored.
            Err(_) if id.is_none() => return Ok(None),
            path => path?,
        };
        let (arm, known) = (arm.name().to_owned(), known(arm.name()));
        match id {
            Some(id) => Err(CalibrationError::NoSuch {
                id: id.to_owned(),
                arm,
                path,
                known,
            }),
            None if known.is_empty() => Ok(None),
            None => Err(CalibrationError::Choose { arm, known }),
        }
    }

    /// What there is to say of an arm that has no calibration and needs one.
    #[must_use]
    pub fn lack(arm: &ArmDescription) -> String {
        format!(
            "the arm {0} is not calibrated: its zeros are taken to be in the middle of its servos' turns; calibrate it with `wink arm \
             calibrate --arm {0}`",
            arm.name()
        )
    }

    /// The arm with the calibration that goes with it, as [`locate`](Self::locate) finds it; the arm as it is where there is none.
    ///
    /// # Errors
    /// As [`locate`](Self::locate); when the file cannot be read or does not fit the arm.
    pub fn applied(
        arm: ArmDescription,
        file: Option<&Path>,
        id: Option<&str>,
    ) -> Result<ArmDescription, CalibrationError> {
        match Self::locate(&arm, file, id)? {
            Some(path) => Self::load(&path)?
                .apply(&arm)
                .map_err(|error| error.of(&path)),
            None => Ok(arm),
        }
    }
}

/// Ids of the calibrations that are there.
fn known(arm: &str) -> Vec<String> {
    let Ok(Ok(entries)) = folder(arm).map(fs::read_dir) else {
        return Vec::new();
    };
    let id = |entry: fs::DirEntry| {
        Some(
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".toml")?
                .to_owned(),
        )
    };
    let mut ids: Vec<String> = entries
        .flatten()
        .filter_map(id)
        .filter(|id| plain(id).is_ok())
        .collect();
    ids.sort();
    ids
}

fn folder(arm: &str) -> Result<PathBuf, CalibrationError> {
    // A relative path in this variable is to be ignored, says its specification.
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path: &PathBuf| path.is_absolute())
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let config = config.ok_or(CalibrationError::NoFolder)?;
    Ok(config.join("wink").join("calibration").join(plain(arm)?))
}

/// A name that is a file's, and no path.
fn plain(name: &str) -> Result<&str, CalibrationError> {
    let fits =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if (1..=64).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.') {
        return Ok(name);
    }
    Err(CalibrationError::BadName {
        name: name.to_owned(),
    })
}
