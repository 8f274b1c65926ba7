//! The numbers that normalise, from `safetensors` files: of the processors, or of the model itself in older checkpoints.
//!
//! LeRobot skips a feature whose key is not found, and the policy then runs on numbers that it was not trained with. Here
//! a key is found or its absence is an error; a key of another spelling is named in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Result;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::bad_input::bad_input;

/// Weights of an older checkpoint, which hold the statistics as buffers.
pub const MODEL: &str = "model.safetensors";

/// Headers of models with 10,000 tensors are 1 MB.
const MAX_HEADER: u64 = 32 << 20;
/// A feature has at most 1024 numbers; more is a weight.
const MAX_VALUES: usize = 4096;
/// How many keys an error lists.
const LISTED: usize = 12;

/// Which of a policy's two normalisers a statistic belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Observations.
    Input,
    /// Actions.
    Output,
}

/// The statistics of a file.
#[derive(Debug)]
pub struct Statistics {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// A tensor whose key looks like a statistic.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    key: String,
    side: Option<Side>,
    /// What a key has before `buffer`, as `so100` in `so100.buffer.action.mean`.
    tag: Option<String>,
    /// Name of the feature with `_` for `.`.
    feature: String,
    /// `mean`, `std`, `min`, ...
    name: String,
    /// What is wrong with the tensor, where it cannot be a statistic.
    values: Result<Vec<f32>, String>,
}

impl Statistics {
    /// No statistics, where a file of processors names none.
    pub fn none(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            entries: Vec::new(),
        }
    }

    /// Reads a processor's statistics.
    ///
    /// # Errors
    /// Where the file is no safetensors file, or a tensor is larger than a statistic can be.
    pub fn read(path: &Path) -> Result<Self> {
        Self::scan(path, |_| true)
    }

    /// Reads the buffers of a model's weights; `None` where it has none, or where there is no such file.
    ///
    /// # Errors
    /// As [`Statistics::read`].
    pub fn of_model(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(MODEL);
        if !path.is_file() {
            return Ok(None);
        }
        let found = Self::scan(&path, |key| section(key).0.is_some())?;
        Ok((!found.entries.is_empty()).then_some(found))
    }

    fn scan(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let mut file = Tensors::open(path)?;
        let mut entries = Vec::new();
        for key in file.keys() {
            if let Some(mut entry) = wanted(&key).then(|| parse(&key)).flatten() {
                entry.values = file.values(&key);
                entries.push(entry);
            }
        }
        Ok(Self {
            path: path.to_owned(),
            entries,
        })
    }

    /// The numbers of one statistic of a feature.
    ///
    /// # Errors
    /// Where it is not there under exactly one key, has another length than `count`, or is not finite.
    pub fn get(
        &self,
        feature: &str,
        name: &str,
        side: Side,
        tag: Option<&str>,
        count: usize,
    ) -> Result<Vec<f32>> {
        let spelt = feature.replace('.', "_");
        let of_feature = |entry: &&Entry| {
            entry.feature == spelt
                && entry.name == name
                && entry.side.is_none_or(|found| found == side)
        };
        let alike: Vec<&Entry> = self.entries.iter().filter(of_feature).collect();
        let tagged = |entry: &&&Entry| entry.tag.as_deref() == tag;
        let found: Vec<&Entry> = alike.iter().filter(tagged).copied().collect();
        let entry = match found[..] {
            [entry] => entry,
            [first, second, ..] => {
                return Err(self.wrong(format!(
                    "`{}` and `{}` are both the statistic {feature}.{name}",
                    first.key, second.key
                )));
            }
            [] => return Err(self.missing(&format!("{feature}.{name}"), &alike, tag)),
        };
        let key = &entry.key;
        let values = entry.values.as_ref();
        let values = values.map_err(|message| self.wrong(format!("`{key}` {message}")))?;
        if values.len() != count {
            return Err(self.wrong(format!(
                "`{key}` has {} numbers, feature {feature} has {count}",
                values.len()
            )));
        }
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values.clone()),
            Some(index) => Err(self.wrong(format!(
                "`{key}`[{index}] is {}: the checkpoint was saved before its statistics were known",
                values[index]
            ))),
        }
    }

    /// The error about a statistic that is not there, with what resembles it.
    fn missing(&self, wanted: &str, alike: &[&Entry], tag: Option<&str>) -> anyhow::Error {
        let tags: BTreeSet<&str> = alike.iter().filter_map(|e| e.tag.as_deref()).collect();
        if let (None, Some(first)) = (tag, tags.first()) {
            let keys: Vec<&str> = alike.iter().map(|entry| entry.key.as_str()).collect();
            return self.wrong(format!(
                "the statistic {wanted} is missing, there is {}; take it with --statistics {first}",
                keys.join(", ")
            ));
        }
        let mut keys: Vec<&str> = self.entries.iter().map(|e| e.key.as_str()).collect();
        keys.sort_unstable();
        let rest = keys.len().saturating_sub(LISTED);
        keys.truncate(LISTED);
        let mut has = match keys.is_empty() {
            true => "there are no statistics at all".to_owned(),
            false => format!("there are {}", keys.join(", ")),
        };
        if rest > 0 {
            has.push_str(&format!(" and {rest} more"));
        }
        let of = tag.map(|tag| format!(" of --statistics {tag}"));
        self.wrong(format!(
            "the statistic {wanted}{} is missing; {has}",
            of.unwrap_or_default()
        ))
    }

    fn wrong(&self, message: impl std::fmt::Display) -> anyhow::Error {
        bad_input(format!("{}: {message}", self.path.display()))
    }
}

/// What a key begins with where it is a buffer of a model, and what follows.
fn section(key: &str) -> (Option<Side>, &str) {
    let table = [
        ("normalize_inputs.", Side::Input),
        ("unnormalize_outputs.", Side::Output),
    ];
    let own = key.strip_prefix("model.").unwrap_or(key);
    for (prefix, side) in table {
        if let Some(rest) = own.strip_prefix(prefix) {
            return (Some(side), rest);
        }
    }
    (None, key)
}

fn parse(key: &str) -> Option<Entry> {
    let (side, rest) = section(key);
    let (rest, name) = rest.rsplit_once('.')?;
    let (tag, feature) = match rest.split_once("buffer") {
        Some((before, after))
            if after.starts_with(['.', '_'])
                && (before.is_empty() || before.ends_with(['.', '_'])) =>
        {
            let tag = before.trim_end_matches(['.', '_']);
            ((!tag.is_empty()).then(|| tag.to_owned()), &after[1..])
        }
        _ => (None, rest),
    };
    Some(Entry {
        key: key.to_owned(),
        side,
        tag,
        feature: feature.replace('.', "_"),
        name: name.to_owned(),
        values: Ok(Vec::new()),
    })
}

/// A safetensors file of any size, of which only the header and single tensors are read.
struct Tensors {
    file: File,
    header: Metadata,
    /// Where the data begins.
    start: u64,
}

impl Tensors {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |message: &dyn std::fmt::Display| {
            bad_input(format!(
                "{}: not a usable safetensors file: {message}",
                path.display()
            ))
        };
        let mut file = File::open(path).map_err(|error| wrong(&error))?;
        let total = file.metadata().map_err(|error| wrong(&error))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length)
            .map_err(|error| wrong(&error))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > total {
            return Err(wrong(&format!("its header has {length} bytes")));
        }
        let mut header = Vec::new();
        (&file)
            .take(length)
            .read_to_end(&mut header)
            .map_err(|error| wrong(&error))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| wrong(&error))?;
        let start = length + 8;
        if start.checked_add(header.data_len() as u64) != Some(total) {
            return Err(wrong(&format!(
                "it has {total} bytes, its header describes {}",
                start.saturating_add(header.data_len() as u64)
            )));
        }
        Ok(Self {
            file,
            header,
            start,
        })
    }

    fn keys(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// A tensor's numbers as floats, or why they are no statistic.
    fn values(&mut self, key: &str) -> Result<Vec<f32>, String> {
        let Some(info) = self.header.info(key) else {
            return Err("is missing".to_owned());
        };
        let TensorInfo { dtype, shape, .. } = info;
        let count = shape
            .iter()
            .try_fold(1_usize, |count, axis| count.checked_mul(*axis));
        let Some(count) = count.filter(|count| *count <= MAX_VALUES) else {
            return Err(format!(
                "has the shape {shape:?}, too large for a statistic"
            ));
        };
        let (from, to) = info.data_offsets;
        let length = to.saturating_sub(from);
        if length > 8 * MAX_VALUES {
            return Err("has more bytes than its shape".to_owned());
        }
        let mut bytes = vec![0; length];
        self.file
            .seek(SeekFrom::Start(self.start + from as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| format!("cannot be read: {error}"))?;
        let values = floats(*dtype, &bytes);
        let values =
            values.ok_or_else(|| format!("is of type {dtype:?}, statistics are floats"))?;
        match values.len() == count {
            true => Ok(values),
            false => Err("has more or fewer bytes than its shape".to_owned()),
        }
    }
}

/// Little-endian numbers as `f32`; `None` for types that hold no statistics.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], float: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|part| float(*part))
            .collect()
    }
    match dtype {
        Dtype::F32 => Some(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F16 => Some(each(bytes, |b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Some(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        // `count` and the like.
        Dtype::I64 => Some(each(bytes, |b| i64::from_le_bytes(b) as f32)),
        Dtype::I32 => Some(each(bytes, |b| i32::from_le_bytes(b) as f32)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_ages() {
        for (key, side, tag, feature) in [
            ("observation.state.mean", None, None, "observation_state"),
            ("so100.buffer.action.mean", None, Some("so100"), "action"),
            (
                "so100-red_buffer.action.mean",
                None,
                Some("so100-red"),
                "action",
            ),
            (
                "normalize_inputs.buffer_observation_images_top.mean",
                Some(Side::Input),
                None,
                "observation_images_top",
            ),
            (
                "unnormalize_outputs.so100_buffer_action.mean",
                Some(Side::Output),
                Some("so100"),
                "action",
            ),
            (
                "model.normalize_inputs.buffer_observation_state.mean",
                Some(Side::Input),
                None,
                "observation_state",
            ),
            (
                "observation.rebuffered.mean",
                None,
                None,
                "observation_rebuffered",
            ),
        ] {
            let entry = parse(key).unwrap();
            let found = (entry.side, entry.tag.as_deref(), entry.feature.as_str());
            assert_eq!(found, (side, tag, feature), "{key}");
            assert_eq!(entry.name, "mean");
        }
        assert_eq!(parse("mean"), None);
    }

    #[test]
    fn numbers_of_every_width() {
        assert_eq!(floats(Dtype::F16, &[0, 0x3c]), Some(vec![1.0]));
        assert_eq!(floats(Dtype::BF16, &[0x80, 0x3f]), Some(vec![1.0]));
        assert_eq!(floats(Dtype::F64, &2.5_f64.to_le_bytes()), Some(vec![2.5]));
        assert_eq!(floats(Dtype::I64, &3_i64.to_le_bytes()), Some(vec![3.0]));
        assert_eq!(floats(Dtype::U8, &[1]), None);
    }
}
