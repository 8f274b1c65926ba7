//! `meta/info.json` of a LeRobotDataset: rate, names of joints, sizes of images.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::json::{self, Entries};
use crate::bad_input::bad_input;

/// What a data set says of itself.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    /// Frames a second.
    pub fps: f64,
    features: Entries<DatasetFeature>,
}

/// A feature of a data set.
#[derive(Debug, Deserialize)]
struct DatasetFeature {
    dtype: String,
    shape: Vec<usize>,
    #[serde(default)]
    names: Value,
}

#[derive(Deserialize)]
struct Info {
    fps: f64,
    features: Entries<DatasetFeature>,
}

impl Dataset {
    /// Reads `meta/info.json` below `dir`.
    ///
    /// # Errors
    /// Where it is not there, or is none.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("meta/info.json");
        let Info { fps, features } = json::read(&path)?;
        Ok(Self {
            path,
            fps,
            features,
        })
    }

    /// Names of its observations, and whether they are images.
    pub fn observations(&self) -> impl Iterator<Item = (&str, bool)> {
        let features = self.features.0.iter();
        features
            .filter(|(name, feature)| feature.is_image() || name.starts_with("observation."))
            .map(|(name, feature)| (name.as_str(), feature.is_image()))
    }

    /// Whether it has a feature of this name.
    pub fn has(&self, name: &str) -> bool {
        self.features.get(name).is_some()
    }

    /// Whether it says what the numbers of a vector are called.
    pub fn has_names(&self, name: &str) -> bool {
        let feature = self.features.get(name);
        feature.is_some_and(|feature| !feature.names.is_null())
    }

    /// Names of the numbers of a vector.
    ///
    /// # Errors
    /// Where the feature is missing, holds no vector of `count` numbers, or has no names.
    pub fn names(&self, name: &str, count: usize) -> Result<Vec<String>> {
        let feature = self.feature(name)?;
        if feature.shape != [count] {
            return Err(self.wrong(format!(
                "feature `{name}` has the shape {:?}, the policy takes {count} numbers",
                feature.shape
            )));
        }
        let names = match &feature.names {
            // Older data sets keep the list under a name of its axis.
            Value::Object(axes) if axes.len() == 1 => axes.values().next(),
            names => Some(names),
        };
        let names = names.and_then(|names| Vec::<String>::deserialize(names).ok());
        match names {
            Some(names) if names.len() == count => Ok(names),
            Some(names) => Err(self.wrong(format!(
                "feature `{name}` has {} names for {count} numbers",
                names.len()
            ))),
            None => Err(self.wrong(format!(
                "feature `{name}` has no list of names; give them with --names {name}=NAME,NAME,..."
            ))),
        }
    }

    /// Width and height of an image.
    ///
    /// # Errors
    /// Where the feature is missing, is no image, or its axes are not known.
    pub fn image(&self, name: &str) -> Result<[usize; 2]> {
        let feature = self.feature(name)?;
        if !feature.is_image() {
            return Err(self.wrong(format!(
                "feature `{name}` is {}, no image",
                feature.dtype.escape_debug()
            )));
        }
        let axes = Vec::<String>::deserialize(&feature.names).unwrap_or_default();
        let axes: Vec<&str> = axes.iter().map(String::as_str).collect();
        match (&feature.shape[..], &axes[..]) {
            ([height, width, 3], ["height", "width", ..] | []) => Ok([*width, *height]),
            ([3, height, width], [_, "height", "width"] | []) => Ok([*width, *height]),
            (shape, _) => Err(self.wrong(format!(
                "image `{name}` has the shape {shape:?} and the axes {axes:?}"
            ))),
        }
    }

    fn feature(&self, name: &str) -> Result<&DatasetFeature> {
        self.features.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.features.0.iter().map(|(n, _)| n.as_str()).collect();
            self.wrong(format!(
                "has no feature `{name}`, it has {}; if one of them is meant, say --rename ITS_NAME={name}",
                names.join(", ")
            ))
        })
    }

    fn wrong(&self, message: impl std::fmt::Display) -> anyhow::Error {
        bad_input(format!("{}: {message}", self.path.display()))
    }
}

impl DatasetFeature {
    fn is_image(&self) -> bool {
        matches!(self.dtype.as_str(), "image" | "video")
    }
}
