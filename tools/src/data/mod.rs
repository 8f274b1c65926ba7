//! Reading a LeRobotDataset v3: its features, episodes, vectors and pictures.

mod episodes;
mod images;
pub mod info;
pub mod layout;
pub mod pictures;
pub mod table;
#[cfg(test)]
mod tests;
mod video;
pub mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow::datatypes::Int64Type;

use crate::bad_input::bad_input;
use episodes::Episode;
pub use info::{Info, Kind};
use layout::{EPISODE_INDEX, FRAME_INDEX, INFO, TASK_INDEX};
use pictures::Pictures;
use table::Source;

/// A data set on disk, of which only the index is in memory.
pub struct Dataset {
    root: PathBuf,
    /// Its features and frame rate.
    pub info: Info,
    /// Its episodes in order.
    pub episodes: Vec<Episode>,
    tasks: BTreeMap<i64, String>,
}

/// The numbers of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Number of frames.
    pub length: usize,
    vectors: BTreeMap<String, (usize, Vec<f32>)>,
    tasks: Vec<i64>,
}

impl Dataset {
    /// Reads the index of the data set in the folder `root`.
    ///
    /// # Errors
    /// When it is not a LeRobotDataset v3, or its files disagree.
    pub fn open(root: &Path) -> Result<Self> {
        let info = Info::read(root)?;
        Ok(Self {
            episodes: episodes::read(root, &info)?,
            tasks: episodes::tasks(root)?,
            root: root.to_owned(),
            info,
        })
    }

    /// The data set's folder, for messages.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of the values of a vector.
    ///
    /// # Errors
    /// When there is no such vector, or its values have no names.
    pub fn value_names(&self, feature: &str) -> Result<Vec<String>> {
        let wrong = |what: String| bad_input(format!("{}: {what}", self.root.join(INFO).display()));
        let found = self.info.features.get(feature);
        let vector = found.filter(|feature| feature.kind() == Kind::Vector);
        let Some(vector) = vector else {
            return Err(wrong(format!(
                "has no vector `{feature}`; its vectors are {}",
                self.info.named(&[Kind::Vector]).join(", ")
            )));
        };
        vector.value_names().ok_or_else(|| {
            wrong(format!(
                "features.{feature}.names does not name each of its {} values",
                vector.values()
            ))
        })
    }

    /// The vectors `features` of an episode, given by its place, and its tasks.
    ///
    /// # Errors
    /// When a column is missing or of another size, a value is empty or not finite, or the rows are not the episode's.
    pub fn rows(&self, episode: usize, features: &[&str]) -> Result<Rows> {
        let episode = self.episode(episode)?;
        let mut columns = vec![EPISODE_INDEX, FRAME_INDEX, TASK_INDEX];
        columns.extend(features);
        let table = Source::open(&self.data_file(episode)?)?
            .select(&columns)?
            .rows_from(episode.first_row, episode.length)?
            .read(1024)?
            .table()?;
        let belongs = table.numbers::<Int64Type>(EPISODE_INDEX)?;
        let counts = table.numbers::<Int64Type>(FRAME_INDEX)?;
        for (row, (belongs, count)) in belongs.into_iter().zip(counts).enumerate() {
            let found = (u64::try_from(belongs), usize::try_from(count));
            if found != (Ok(episode.index), Ok(row)) {
                let at = episode.first_row + row;
                return Err(table.wrong(&format!(
                    "row {at} is frame {count} of episode {belongs}, the episode index has frame {row} of episode {} there",
                    episode.index
                )));
            }
        }
        let mut vectors = BTreeMap::new();
        for &name in features {
            let size = self.value_names(name)?.len();
            vectors.insert(name.to_owned(), (size, table.vectors(name, size)?));
        }
        let tasks = table.numbers::<Int64Type>(TASK_INDEX)?;
        if let Some(row) = tasks.iter().position(|task| !self.tasks.contains_key(task)) {
            let what = format!("{} is not in meta/tasks.parquet", tasks[row]);
            return Err(table.wrong_at(TASK_INDEX, row, &what));
        }
        Ok(Rows {
            length: episode.length,
            vectors,
            tasks,
        })
    }

    /// The pictures of a camera at the frames `at` of an episode, which ascend.
    ///
    /// # Errors
    /// When the camera is missing, or its file cannot be read.
    pub fn pictures(&self, episode: usize, camera: &str, at: &[usize]) -> Result<Pictures> {
        let episode = self.episode(episode)?;
        let cameras = self.info.named(&[Kind::Image, Kind::Video]);
        let feature = match self.info.features.get(camera) {
            Some(feature) if cameras.contains(&camera) => feature,
            _ => {
                return Err(bad_input(format!(
                    "{}: has no camera `{camera}`; its cameras are {}",
                    self.root.join(INFO).display(),
                    cameras.join(", ")
                )));
            }
        };
        let ascending = at.is_sorted_by(|a, b| a < b);
        if !ascending || at.last().is_some_and(|last| *last >= episode.length) {
            return Err(anyhow::anyhow!(
                "frames {at:?} are not an ascending part of the episode"
            ));
        }
        let size = feature.image_size();
        if feature.kind() == Kind::Video {
            let clip = episode.clips.get(camera).ok_or_else(|| {
                bad_input(format!(
                    "episode {} has no video of {camera}",
                    episode.index
                ))
            })?;
            let file = self.info.video_file(camera, clip.file.0, clip.file.1)?;
            let file = self.root.join(file);
            return Pictures::video(&file, clip.from_s, self.info.fps, at, size);
        }
        let rows: Vec<usize> = at.iter().map(|frame| episode.first_row + frame).collect();
        Pictures::images(&self.root, &self.data_file(episode)?, camera, rows, size)
    }

    /// The text of the task at a frame.
    pub fn task(&self, rows: &Rows, frame: usize) -> &str {
        rows.tasks
            .get(frame)
            .and_then(|task| self.tasks.get(task))
            .map_or("", String::as_str)
    }

    fn episode(&self, episode: usize) -> Result<&Episode> {
        self.episodes.get(episode).ok_or_else(|| {
            bad_input(format!(
                "{}: has {} episodes, there is no episode {episode}",
                self.root.display(),
                self.episodes.len()
            ))
        })
    }

    fn data_file(&self, episode: &Episode) -> Result<PathBuf> {
        let file = self.info.data_file(episode.data.0, episode.data.1)?;
        Ok(self.root.join(file))
    }
}

impl Rows {
    /// A vector's values at a frame.
    pub fn at(&self, feature: &str, frame: usize) -> &[f32] {
        match self.vectors.get(feature) {
            Some((size, values)) if frame < self.length => &values[frame * size..][..*size],
            _ => &[],
        }
    }
}
