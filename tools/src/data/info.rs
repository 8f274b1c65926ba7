//! `meta/info.json`: which features a data set has, their names, and its frame rate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use super::layout::{INFO, VERSION};
use crate::bad_input::bad_input;

/// Versions that differ in the last number are read alike.
const MAJOR: &str = "v3.";
/// Larger files are refused.
const MOST_BYTES: u64 = 16 << 20;
const MOST_FEATURES: usize = 512;
/// Values of one vector.
const MOST_VALUES: usize = 4096;
/// Width and height of an image.
const MOST_PIXELS: usize = 8192;

/// The parts of the file that a reader needs.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    /// The layout's version.
    codebase_version: String,
    /// Frames a second.
    pub fps: f64,
    /// Number of episodes.
    pub total_episodes: u64,
    /// Number of frames.
    pub total_frames: u64,
    /// Where the data files stand.
    data_path: String,
    /// Where the videos stand; `None` where there are none.
    #[serde(default)]
    video_path: Option<String>,
    /// What each frame holds.
    pub features: BTreeMap<String, Feature>,
}

/// One column.
#[derive(Debug, Clone, Deserialize)]
pub struct Feature {
    /// Type of its values, or `image` or `video`.
    pub dtype: String,
    /// Size of each axis.
    pub shape: Vec<usize>,
    /// Names of the values, or of the axes of an image.
    #[serde(default)]
    names: Value,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pictures in the data files.
    Image,
    /// Pictures in video files.
    Video,
    /// One or more numbers.
    Vector,
    /// Text and other things that no policy reads.
    Other,
}

impl Info {
    /// Reads the file of the data set in the folder `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(INFO);
        let told = path.display();
        if !path.is_file() {
            return Err(bad_input(format!(
                "{}: is not a LeRobotDataset: there is no {INFO} in it",
                root.display()
            )));
        }
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| bad_input(format!("{told}: {error}")))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(bad_input(format!(
                "{told}: is larger than {MOST_BYTES} bytes"
            )));
        }
        let info: Self =
            serde_json::from_str(&text).map_err(|error| bad_input(format!("{told}: {error}")))?;
        info.check()
            .map_err(|wrong| bad_input(format!("{told}: {wrong}")))?;
        Ok(info)
    }

    fn check(&self) -> Result<(), String> {
        if !self.codebase_version.starts_with(MAJOR) {
            return Err(format!(
                "codebase_version {} is not {VERSION}; convert the data set with LeRobot (convert_dataset_v21_to_v30)",
                self.codebase_version
            ));
        }
        if !(self.fps.is_finite() && self.fps > 0.0 && self.fps <= 1000.0) {
            return Err(format!("fps {} is not above 0 and at most 1000", self.fps));
        }
        if self.features.len() > MOST_FEATURES {
            return Err(format!("more than {MOST_FEATURES} features"));
        }
        for (name, feature) in &self.features {
            let fits = match feature.kind() {
                Kind::Image | Kind::Video => {
                    feature.shape.len() == 3 && feature.shape.iter().all(|&n| n <= MOST_PIXELS)
                }
                Kind::Vector => feature
                    .shape
                    .iter()
                    .try_fold(1_usize, |all, &n| all.checked_mul(n))
                    .is_some_and(|all| all <= MOST_VALUES),
                Kind::Other => true,
            };
            if !fits {
                return Err(format!(
                    "features.{name}.shape {:?} is not that of a {}",
                    feature.shape, feature.dtype
                ));
            }
        }
        Ok(())
    }

    /// Names of the features of one kind, in alphabetical order.
    pub fn named(&self, kinds: &[Kind]) -> Vec<&str> {
        let features = self.features.iter();
        features
            .filter(|(_, feature)| kinds.contains(&feature.kind()))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// A data file below the data set's folder.
    pub fn data_file(&self, chunk: u64, file: u64) -> Result<PathBuf> {
        expand(&self.data_path, None, chunk, file)
            .map_err(|wrong| bad_input(format!("{INFO}: data_path: {wrong}")))
    }

    /// A video below the data set's folder.
    pub fn video_file(&self, camera: &str, chunk: u64, file: u64) -> Result<PathBuf> {
        let template = self.video_path.as_deref().ok_or_else(|| {
            bad_input(format!(
                "{INFO}: has no video_path, but feature {camera} is a video"
            ))
        })?;
        expand(template, Some(camera), chunk, file)
            .map_err(|wrong| bad_input(format!("{INFO}: video_path: {wrong}")))
    }
}

impl Feature {
    /// What the column holds.
    pub fn kind(&self) -> Kind {
        match self.dtype.as_str() {
            "image" => Kind::Image,
            "video" => Kind::Video,
            "float16" | "float32" | "float64" | "int8" | "int16" | "int32" | "int64" | "uint8"
            | "uint16" | "uint32" | "uint64" | "bool" => Kind::Vector,
            _ => Kind::Other,
        }
    }

    /// Number of values of a vector.
    pub fn values(&self) -> usize {
        self.shape.iter().product()
    }

    /// The name of each value of a vector: a list, or a list in an object with one key, as LeRobot writes both.
    pub fn value_names(&self) -> Option<Vec<String>> {
        let list = match &self.names {
            Value::Object(groups) if groups.len() == 1 => groups.values().next()?,
            names => names,
        };
        let names: Vec<String> = list
            .as_array()?
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()?;
        (names.len() == self.values()).then_some(names)
    }

    /// Width and height of an image, where its axes are named.
    pub fn image_size(&self) -> Option<(u32, u32)> {
        let axes = self.names.as_array()?;
        let axis = |name: &str| {
            let place = axes.iter().position(|axis| axis.as_str() == Some(name))?;
            u32::try_from(*self.shape.get(place)?).ok()
        };
        Some((axis("width")?, axis("height")?))
    }
}

/// Fills in a path template, and refuses one that leaves the data set's folder.
fn expand(template: &str, camera: Option<&str>, chunk: u64, file: u64) -> Result<PathBuf, String> {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        let (field, after) = after
            .split_once('}')
            .ok_or_else(|| format!("`{template}` has a brace that is not closed"))?;
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let number = |value: u64| match format {
            "" | "d" => Ok(value.to_string()),
            "03d" => Ok(format!("{value:03}")),
            "06d" => Ok(format!("{value:06}")),
            _ => Err(format!("`{{{field}}}` has a format that is not known")),
        };
        match (name, camera) {
            ("chunk_index", _) => path.push_str(&number(chunk)?),
            ("file_index", _) => path.push_str(&number(file)?),
            ("video_key", Some(camera)) => path.push_str(camera),
            _ => return Err(format!("`{{{field}}}` is not known")),
        }
        rest = after;
    }
    path.push_str(rest);
    let path = PathBuf::from(path);
    if !is_below(&path) {
        return Err(format!("{} leaves the data set's folder", path.display()));
    }
    Ok(path)
}

/// Whether a relative path stays below the folder that it starts from.
pub fn is_below(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::layout::DATA_TEMPLATE;
    use super::*;

    fn feature(dtype: &str, shape: &[usize], names: Value) -> Feature {
        Feature {
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            names,
        }
    }

    #[test]
    fn templates_stay_below_the_data_set() {
        let video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4";
        assert_eq!(
            expand(video, Some("observation.images.top"), 1, 1234).unwrap(),
            Path::new("videos/observation.images.top/chunk-001/file-1234.mp4")
        );
        assert_eq!(
            expand(DATA_TEMPLATE, None, 0, 12).unwrap(),
            Path::new("data/chunk-000/file-012.parquet")
        );
        for wrong in [
            "/etc/{file_index}",
            "../{file_index}",
            "a/../../b",
            "{episode_index}",
            "{file_index:x}",
            "{file_index",
        ] {
            assert!(expand(wrong, None, 0, 0).is_err(), "{wrong}");
        }
        assert!(expand(video, Some("../../secret"), 0, 0).is_err());
    }

    #[test]
    fn names_are_a_list_or_a_list_below_one_key() {
        let want = Some(vec!["a".to_owned(), "b".to_owned()]);
        for (names, want) in [
            (json!(["a", "b"]), want.clone()),
            (json!({"motors": ["a", "b"]}), want),
            (json!({"x": ["a"], "y": ["b"]}), None),
            (json!(["a"]), None),
            (json!(null), None),
            (json!([1, 2]), None),
        ] {
            assert_eq!(
                feature("float32", &[2], names.clone()).value_names(),
                want,
                "{names}"
            );
        }
    }

    #[test]
    fn the_size_of_an_image_goes_by_the_names_of_its_axes() {
        for (shape, names) in [
            ([48, 64, 3], json!(["height", "width", "channels"])),
            ([3, 48, 64], json!(["channels", "height", "width"])),
        ] {
            assert_eq!(feature("image", &shape, names).image_size(), Some((64, 48)));
        }
        assert_eq!(
            feature("image", &[48, 64, 3], json!(null)).image_size(),
            None
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let info = |change: &dyn Fn(&mut Value)| {
            let mut value = json!({
                "codebase_version": "v3.0", "fps": 30, "total_episodes": 1, "total_frames": 10,
                "data_path": DATA_TEMPLATE, "video_path": null,
                "features": {"action": {"dtype": "float32", "shape": [2], "names": ["a", "b"]}},
            });
            change(&mut value);
            serde_json::from_value::<Info>(value)
                .map_err(|error| error.to_string())
                .and_then(|info| info.check())
        };
        assert_eq!(info(&|_| {}), Ok(()));
        for (field, value, told) in [
            ("codebase_version", json!("v2.1"), "codebase_version v2.1"),
            ("fps", json!(0), "fps 0"),
            ("fps", json!("x"), "invalid type"),
            (
                "features",
                json!({"action": {"dtype": "float32", "shape": [100_000]}}),
                "features.action.shape",
            ),
            (
                "features",
                json!({"top": {"dtype": "image", "shape": [3]}}),
                "features.top.shape",
            ),
        ] {
            let wrong = info(&|info| info[field] = value.clone()).unwrap_err();
            assert!(wrong.contains(told), "{field}: {wrong}");
        }
    }
}
