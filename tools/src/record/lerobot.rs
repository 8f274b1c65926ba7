//! Writes a LeRobotDataset v3.0: parquet files, their index and statistics, laid out as `lerobot` loads them.
//!
//! Layout: <https://huggingface.co/docs/lerobot/lerobot-dataset-v3>. Images are PNG bytes inside the data files, or left out.
//! Beside what LeRobot asks for stands what it takes to play every demonstration again: `meta/replay.json`, and seed and attempt of
//! each; of recordings their file, and whether they were marked as a success.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::columns::{
    ACTION, CUBE, GOAL, POSITION_NAMES, RowIndex, STATE, Step, data_batch, data_schema,
    image_column,
};
use super::demonstration::Settings;
use super::episode_stats;
use super::stats::{ImageStats, VectorStats};
use crate::data::layout::{
    DATA_FILE, DATA_TEMPLATE, EPISODE_INDEX, EPISODES, FROM_INDEX, INDEX_COLUMNS, INFO, LENGTH,
    TASK_INDEX, TASK_TEXT, TASKS, TIMESTAMP, TO_INDEX, VERSION, data_path,
};

/// Data files are closed before they grow beyond this.
const DATA_FILE_MB: u64 = 100;
/// Files per folder.
const CHUNK_FILES: usize = 1000;
/// Rows are handed to the disk when this much of them is encoded: bounds the memory.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// Where a dataset says how it was demonstrated.
pub const REPLAY: &str = "meta/replay.json";
/// Columns of that index: which demonstration an episode is, and at which attempt it succeeded.
pub const SEED: &str = "seed";
pub const ATTEMPT: &str = "attempt";

/// The content of [`REPLAY`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// [`Replay::FORMAT`], or another version's.
    pub format: u32,
    /// The version of the tool.
    pub wink: String,
    /// How to demonstrate the same again.
    pub settings: Settings,
}

impl Replay {
    /// What this version of the tool writes and reads.
    pub const FORMAT: u32 = 1;

    fn of(settings: &Settings) -> Self {
        Self {
            format: Self::FORMAT,
            wink: env!("CARGO_PKG_VERSION").to_owned(),
            settings: *settings,
        }
    }
}

/// One demonstration.
pub struct Episode {
    /// The task in words.
    pub instruction: String,
    /// Every control step in order.
    pub steps: Vec<Step>,
    /// Statistics of each camera's frames, taken while their pixels were at hand.
    pub image_stats: Vec<ImageStats>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an episode comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A script's demonstration in simulation.
    Demonstration {
        /// Which demonstration this is.
        seed: u64,
        /// What it is of.
        kind: &'static str,
        /// At which attempt it succeeded.
        attempt: u64,
        /// Labels of the cards on the table.
        cards: [String; 3],
        /// Which of them the task is about, if it is about one.
        target: Option<usize>,
    },
    /// The recording of a run.
    Recording {
        /// Its file's name.
        file: String,
        /// Whether it was marked as a success or a failure.
        success: Option<bool>,
    },
}

/// What a whole dataset has in common.
pub struct DatasetInfo {
    /// As LeRobot names arms.
    pub robot_type: String,
    /// Control steps, and frames, a second.
    pub fps: u32,
    /// Names of a state's values.
    pub state: Vec<String>,
    /// Names of an action's values.
    pub action: Vec<String>,
    /// The cameras whose frames are in it.
    pub cameras: Vec<CameraInfo>,
    /// How its episodes were demonstrated; `None` of recordings.
    pub demonstrated: Option<Settings>,
}

/// A camera of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraInfo {
    /// The name of its feature.
    pub name: String,
    /// Width and height of its frames.
    pub size_px: (u32, u32),
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// Demonstrations.
    pub episodes: usize,
    /// Control steps.
    pub frames: usize,
    /// Different instructions.
    pub tasks: usize,
    /// Bytes of the data files.
    pub bytes: u64,
}

/// Streams episodes into a dataset folder; nothing is complete before [`DatasetWriter::finish`].
pub struct DatasetWriter {
    root: PathBuf,
    info: DatasetInfo,
    schema: Arc<Schema>,
    data: Option<DataFile>,
    closed_bytes: u64,
    files: usize,
    /// Instructions in order of appearance: the place is the task index.
    tasks: Vec<String>,
    episodes: Vec<EpisodeRow>,
    frames: usize,
    /// Cameras whose frames are in the dataset.
    cameras: Vec<String>,
    image_stats: Vec<ImageStats>,
    vector_stats: Vec<(&'static str, VectorStats)>,
}

struct DataFile {
    writer: ArrowWriter<File>,
    /// Place in the whole dataset; folder and name follow from it.
    number: usize,
    /// Bytes of the episodes in it, before the index and metadata that parquet adds.
    payload: u64,
}

struct EpisodeRow {
    instruction: String,
    length: usize,
    file: usize,
    from: usize,
    origin: Origin,
    stats: Map<String, Value>,
}

impl DatasetWriter {
    /// Starts a dataset in the folder `root`.
    pub fn create(root: &Path, info: DatasetInfo) -> Result<Self> {
        let cameras = info.cameras.iter().map(|camera| camera.name.clone());
        let cameras: Vec<String> = cameras.collect();
        Ok(Self {
            root: root.to_owned(),
            schema: Arc::new(data_schema(&cameras, info.demonstrated.is_some())),
            image_stats: vec![ImageStats::new(); cameras.len()],
            vector_stats: vector_stats(&info),
            cameras,
            info,
            data: None,
            closed_bytes: 0,
            files: 0,
            tasks: Vec::new(),
            episodes: Vec::new(),
            frames: 0,
        })
    }

    /// Appends one demonstration.
    pub fn add(&mut self, episode: &Episode) -> Result<()> {
        let length = episode.steps.len();
        let task = self.task_index(&episode.instruction);
        let episode_index = self.episodes.len();
        let rows: Vec<RowIndex> = (0..length)
            .map(|frame| RowIndex {
                timestamp: frame as f32 / self.info.fps as f32,
                indices: [
                    frame as i64,
                    episode_index as i64,
                    (self.frames + frame) as i64,
                    task as i64,
                ],
            })
            .collect();
        let batch = data_batch(&self.schema, self.cameras.len(), &episode.steps, &rows)?;
        let payload: u64 = episode
            .steps
            .iter()
            .map(|step| step.pictures.iter().map(Vec::len).sum::<usize>() as u64 + 120)
            .sum();

        let full = |file: &DataFile| file.payload + payload > DATA_FILE_MB << 20;
        if self.data.as_ref().is_some_and(full) {
            self.close_data()?;
        }
        let mut file = match self.data.take() {
            Some(file) => file,
            None => self.open_data()?,
        };
        file.writer.write(&batch)?;
        file.payload += payload;
        if file.writer.in_progress_size() > ROW_GROUP_BYTES {
            file.writer.flush()?;
        }
        let number = file.number;
        self.data = Some(file);

        count(&mut self.vector_stats, &episode.steps, &rows);
        for (all, these) in self.image_stats.iter_mut().zip(&episode.image_stats) {
            all.merge(these);
        }
        let mut own = vector_stats(&self.info);
        count(&mut own, &episode.steps, &rows);
        self.episodes.push(EpisodeRow {
            instruction: episode.instruction.clone(),
            length,
            file: number,
            from: self.frames,
            origin: episode.origin.clone(),
            stats: stats_json(&self.cameras, &episode.image_stats, &own),
        });
        self.frames += length;
        Ok(())
    }

    /// Closes the data files and writes everything under `meta/`.
    pub fn finish(mut self) -> Result<Totals> {
        self.close_data()?;
        let meta = self.root.join("meta");
        fs::create_dir_all(&meta).with_context(|| format!("creating {}", meta.display()))?;
        self.write_tasks(&self.root.join(TASKS))?;
        self.write_episodes(&self.root.join(EPISODES))?;
        let stats = stats_json(&self.cameras, &self.image_stats, &self.vector_stats);
        write_json(&meta.join("stats.json"), &Value::Object(stats))?;
        if let Some(settings) = &self.info.demonstrated {
            write_json(&self.root.join(REPLAY), &json!(Replay::of(settings)))?;
        }
        write_json(&self.root.join(INFO), &self.info_json())?;
        Ok(Totals {
            episodes: self.episodes.len(),
            frames: self.frames,
            tasks: self.tasks.len(),
            bytes: self.closed_bytes,
        })
    }

    fn task_index(&mut self, instruction: &str) -> usize {
        if let Some(index) = self.tasks.iter().position(|task| task == instruction) {
            return index;
        }
        self.tasks.push(instruction.to_owned());
        self.tasks.len() - 1
    }

    fn open_data(&mut self) -> Result<DataFile> {
        let number = self.files;
        self.files += 1;
        let path = self
            .root
            .join(data_path(number / CHUNK_FILES, number % CHUNK_FILES));
        let mut properties = properties();
        for camera in &self.cameras {
            let column = image_column(camera, "bytes");
            // PNG does not shrink again, and no two frames are alike.
            properties = properties
                .set_column_compression(column.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_statistics_enabled(
                    column,
                    parquet::file::properties::EnabledStatistics::None,
                );
        }
        let writer = ArrowWriter::try_new(
            create(&path)?,
            self.schema.clone(),
            Some(properties.build()),
        )?;
        Ok(DataFile {
            writer,
            number,
            payload: 0,
        })
    }

    fn close_data(&mut self) -> Result<()> {
        if let Some(file) = self.data.take() {
            let path = self.root.join(data_path(
                file.number / CHUNK_FILES,
                file.number % CHUNK_FILES,
            ));
            file.writer
                .close()
                .with_context(|| format!("writing {}", path.display()))?;
            self.closed_bytes += fs::metadata(&path)?.len();
        }
        Ok(())
    }

    /// Task texts are the pandas index of their table. Without pandas' own metadata LeRobot would not find the index,
    /// and every frame would silently belong to task 0.
    fn write_tasks(&self, path: &Path) -> Result<()> {
        let pandas = json!({
            "index_columns": [TASK_TEXT],
            "column_indexes": [{"name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
                                "metadata": {"encoding": "UTF-8"}}],
            "columns": [
                {"name": TASK_INDEX, "field_name": TASK_INDEX, "pandas_type": "int64", "numpy_type": "int64", "metadata": null},
                {"name": null, "field_name": TASK_TEXT, "pandas_type": "unicode", "numpy_type": "object", "metadata": null},
            ],
            "creator": {"library": "wink", "version": env!("CARGO_PKG_VERSION")},
            "pandas_version": "2.3.3",
        })
        .to_string();
        let schema = Schema::new(vec![
            Field::new(TASK_INDEX, DataType::Int64, true),
            Field::new(TASK_TEXT, DataType::Utf8, true),
        ])
        .with_metadata([("pandas".to_owned(), pandas.clone())]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(
                (0..self.tasks.len()).map(|index| index as i64),
            )),
            Arc::new(StringArray::from_iter_values(&self.tasks)),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
        let properties = properties()
            .set_key_value_metadata(Some(vec![KeyValue::new("pandas".to_owned(), pandas)]));
        write_parquet(path, &batch, properties)
    }

    fn write_episodes(&self, path: &Path) -> Result<()> {
        let rows = &self.episodes;
        let int = |value: &dyn Fn(usize, &EpisodeRow) -> usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                rows.iter()
                    .enumerate()
                    .map(|(index, row)| value(index, row) as i64),
            ))
        };
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            (EPISODE_INDEX, int(&|index, _| index)),
            ("tasks", strings(rows, |row| vec![row.instruction.clone()])),
            (LENGTH, int(&|_, row| row.length)),
            (DATA_FILE[0], int(&|_, row| row.file / CHUNK_FILES)),
            (DATA_FILE[1], int(&|_, row| row.file % CHUNK_FILES)),
            (FROM_INDEX, int(&|_, row| row.from)),
            (TO_INDEX, int(&|_, row| row.from + row.length)),
            ("meta/episodes/chunk_index", int(&|_, _| 0)),
            ("meta/episodes/file_index", int(&|_, _| 0)),
        ];
        columns.extend(match self.info.demonstrated {
            Some(_) => of_demonstrations(rows),
            None => of_recordings(rows),
        });
        let stats: Vec<&Map<String, Value>> = rows.iter().map(|row| &row.stats).collect();
        let stats = episode_stats::columns(&stats);
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns
                .into_iter()
                .map(|(name, column)| (name.to_owned(), column))
                .chain(stats)
                .map(|(name, column)| (name, column, true)),
        )?;
        write_parquet(path, &batch, properties())
    }

    fn info_json(&self) -> Value {
        fn vector<N: Serialize>(names: &[N]) -> Value {
            json!({"dtype": "float32", "shape": [names.len()], "names": names})
        }
        let mut features = json!({
            STATE: vector(&self.info.state),
            ACTION: vector(&self.info.action),
            TIMESTAMP: {"dtype": "float32", "shape": [1], "names": null},
        });
        if self.info.demonstrated.is_some() {
            features[CUBE] = vector(&POSITION_NAMES);
            features[GOAL] = vector(&POSITION_NAMES);
        }
        for camera in &self.info.cameras {
            let (width, height) = camera.size_px;
            features[&camera.name] = json!({"dtype": "image", "shape": [height, width, 3], "names": ["height", "width", "channels"]});
        }
        for name in INDEX_COLUMNS {
            features[name] = json!({"dtype": "int64", "shape": [1], "names": null});
        }
        json!({
            "codebase_version": VERSION,
            "robot_type": self.info.robot_type,
            "total_episodes": self.episodes.len(),
            "total_frames": self.frames,
            "total_tasks": self.tasks.len(),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_FILE_MB,
            "video_files_size_in_mb": 200,
            "fps": self.info.fps,
            "splits": {"train": format!("0:{}", self.episodes.len())},
            "data_path": DATA_TEMPLATE,
            "video_path": null,
            "features": features,
        })
    }
}

/// Statistics of every vector and counting column, with nothing counted yet.
fn vector_stats(info: &DatasetInfo) -> Vec<(&'static str, VectorStats)> {
    let mut vectors = vec![(STATE, info.state.len()), (ACTION, info.action.len())];
    if info.demonstrated.is_some() {
        vectors.extend([CUBE, GOAL].map(|name| (name, POSITION_NAMES.len())));
    }
    vectors.push((TIMESTAMP, 1));
    let indices = INDEX_COLUMNS.map(|name| (name, 1));
    let all = vectors.into_iter().chain(indices);
    all.map(|(name, dims)| (name, VectorStats::new(dims)))
        .collect()
}

fn count(all: &mut [(&'static str, VectorStats)], steps: &[Step], rows: &[RowIndex]) {
    for (step, row) in steps.iter().zip(rows) {
        for (name, stats) in all.iter_mut() {
            match *name {
                STATE => stats.add(&step.state),
                ACTION => stats.add(&step.action),
                CUBE => step.truth.iter().for_each(|places| stats.add(&places.cube)),
                GOAL => step.truth.iter().for_each(|places| stats.add(&places.goal)),
                TIMESTAMP => stats.add(&[row.timestamp]),
                index => {
                    let place = INDEX_COLUMNS
                        .iter()
                        .position(|name| *name == index)
                        .unwrap_or_default();
                    stats.add(&[row.indices[place] as f32]);
                }
            }
        }
    }
}

/// A column of lists of texts.
fn strings(rows: &[EpisodeRow], values: impl Fn(&EpisodeRow) -> Vec<String>) -> ArrayRef {
    let lists: Vec<Vec<String>> = rows.iter().map(values).collect();
    Arc::new(ListArray::new(
        Arc::new(Field::new("element", DataType::Utf8, true)),
        OffsetBuffer::from_lengths(lists.iter().map(Vec::len)),
        Arc::new(StringArray::from_iter_values(lists.iter().flatten())),
        None,
    ))
}

/// What the index holds of demonstrations, so that each can be made again.
fn of_demonstrations(rows: &[EpisodeRow]) -> Vec<(&'static str, ArrayRef)> {
    let (mut seeds, mut attempts, mut kinds, mut targets) = (vec![], vec![], vec![], vec![]);
    for row in rows {
        if let Origin::Demonstration {
            seed,
            kind,
            attempt,
            target,
            ..
        } = &row.origin
        {
            seeds.push(*seed);
            attempts.push(*attempt);
            kinds.push(*kind);
            targets.push(target.map(|card| card as i64));
        }
    }
    let cards = strings(rows, |row| match &row.origin {
        Origin::Demonstration { cards, .. } => cards.to_vec(),
        Origin::Recording { .. } => vec![],
    });
    vec![
        (SEED, Arc::new(UInt64Array::from(seeds))),
        (ATTEMPT, Arc::new(UInt64Array::from(attempts))),
        ("cards", cards),
        ("task_kind", Arc::new(StringArray::from(kinds))),
        ("target", Arc::new(Int64Array::from(targets))),
    ]
}

/// What the index holds of recordings: the file, and whether an episode was marked as a success.
fn of_recordings(rows: &[EpisodeRow]) -> Vec<(&'static str, ArrayRef)> {
    let (mut files, mut successes) = (vec![], vec![]);
    for row in rows {
        if let Origin::Recording { file, success } = &row.origin {
            files.push(file.as_str());
            successes.push(*success);
        }
    }
    vec![
        ("recording", Arc::new(StringArray::from(files))),
        ("success", Arc::new(BooleanArray::from(successes))),
    ]
}

fn stats_json(
    cameras: &[String],
    image_stats: &[ImageStats],
    vector_stats: &[(&'static str, VectorStats)],
) -> Map<String, Value> {
    let images = cameras.iter().cloned();
    let images = images.zip(image_stats.iter().map(ImageStats::to_json));
    let vectors = vector_stats
        .iter()
        .map(|(name, stats)| ((*name).to_owned(), stats.to_json()));
    images.chain(vectors).collect()
}

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("wink ", env!("CARGO_PKG_VERSION")).to_owned())
}

fn write_parquet(
    path: &Path,
    batch: &RecordBatch,
    properties: WriterPropertiesBuilder,
) -> Result<()> {
    let mut writer = ArrowWriter::try_new(create(path)?, batch.schema(), Some(properties.build()))?;
    writer.write(batch)?;
    writer
        .close()
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

fn create(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    }
    File::create(path).with_context(|| format!("creating {}", path.display()))
}
