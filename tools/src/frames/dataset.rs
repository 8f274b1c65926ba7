//! What a recorded dataset says of its episodes: how to play them again, and the states that must come of it.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Int64Type, UInt64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::bad_input::{as_bad_input, bad_input};
use crate::record::columns::{STATE, STATE_NAMES};
use crate::record::demonstration::Settings;
use crate::record::lerobot::{ATTEMPT, EPISODES, REPLAY, Replay, SEED, data_path};

/// Proprioception of one frame.
pub type State = [f32; STATE_NAMES.len()];

/// A recorded dataset, without its images.
pub struct Dataset {
    /// How its episodes were demonstrated.
    pub settings: Settings,
    /// Its episodes in order.
    pub episodes: Vec<Recorded>,
    states: Vec<State>,
}

/// One episode.
pub struct Recorded {
    /// Which demonstration it is.
    pub number: u64,
    /// At which attempt it succeeded.
    pub attempt: u64,
    rows: Range<usize>,
}

impl Dataset {
    /// Reads the dataset in the folder `root`, as `wink record` left it.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join("meta/info.json").is_file() {
            return Err(bad_input(format!(
                "{}: no dataset, there is no meta/info.json in it",
                root.display()
            )));
        }
        let settings = read_settings(&root.join(REPLAY))?;
        let index = Table::open(root.join(EPISODES), None)?;
        let (numbers, attempts) = (
            index.column::<UInt64Type>(SEED)?,
            index.column::<UInt64Type>(ATTEMPT)?,
        );
        let lengths = index.column::<Int64Type>("length")?;
        let files = index.column::<Int64Type>("data/file_index")?;
        let chunks = index.column::<Int64Type>("data/chunk_index")?;

        let mut dataset = Self {
            settings,
            episodes: Vec::with_capacity(lengths.len()),
            states: Vec::new(),
        };
        let mut file = None;
        for episode in 0..lengths.len() {
            let this = (chunks[episode], files[episode]);
            if file != Some(this) {
                file = Some(this);
                dataset.read_states(root, this)?;
            }
            let start = dataset
                .episodes
                .last()
                .map_or(0, |episode| episode.rows.end);
            let length = usize::try_from(lengths[episode]).unwrap_or(usize::MAX);
            let end = start.saturating_add(length);
            if end > dataset.states.len() {
                return Err(index.wrong(&format!(
                    "episode {episode} has {} frames, but the data files end before",
                    lengths[episode]
                )));
            }
            dataset.episodes.push(Recorded {
                number: numbers[episode],
                attempt: attempts[episode],
                rows: start..end,
            });
        }
        let told = dataset
            .episodes
            .last()
            .map_or(0, |episode| episode.rows.end);
        if told != dataset.states.len() {
            return Err(index.wrong(&format!(
                "names {told} frames, but the data files hold {}",
                dataset.states.len()
            )));
        }
        Ok(dataset)
    }

    /// The states of an episode's frames, in order.
    pub fn states(&self, episode: usize) -> &[State] {
        &self.states[self.episodes[episode].rows.clone()]
    }

    fn read_states(&mut self, root: &Path, (chunk, file): (i64, i64)) -> Result<()> {
        let path = root.join(data_path(chunk, file));
        let table = Table::open(path, Some(&[STATE]))?;
        let lists = table
            .rows
            .column_by_name(STATE)
            .and_then(|column| column.as_list_opt::<i32>())
            .ok_or_else(|| table.wrong(&format!("no lists in column {STATE}")))?;
        let values = lists
            .values()
            .as_primitive_opt::<Float32Type>()
            .filter(|values| values.null_count() == 0)
            .ok_or_else(|| table.wrong(&format!("column {STATE} is no float32")))?;
        let offsets = lists.value_offsets();
        self.states.reserve(lists.len());
        for ends in offsets.windows(2) {
            let state = &values.values()[ends[0] as usize..ends[1] as usize];
            let state = State::try_from(state).map_err(|_| {
                table.wrong(&format!(
                    "column {STATE} has {} values instead of {}",
                    state.len(),
                    STATE_NAMES.len()
                ))
            })?;
            self.states.push(state);
        }
        Ok(())
    }
}

fn read_settings(path: &Path) -> Result<Settings> {
    let told = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        bad_input(format!(
            "{told}: {error}; it says how to play the episodes again, and `wink record` writes it"
        ))
    })?;
    let replay: Replay = serde_json::from_str(&text)
        .with_context(|| told.to_string())
        .map_err(as_bad_input)?;
    if replay.format != Replay::FORMAT {
        return Err(bad_input(format!(
            "{told}: format {} of wink {}, this version plays format {}",
            replay.format,
            replay.wink,
            Replay::FORMAT
        )));
    }
    replay
        .settings
        .check()
        .map_err(|wrong| bad_input(format!("{told}: {wrong}")))?;
    Ok(replay.settings)
}

/// A parquet file in memory.
struct Table {
    path: PathBuf,
    rows: RecordBatch,
}

impl Table {
    /// Reads all columns, or those asked for.
    fn open(path: PathBuf, columns: Option<&[&str]>) -> Result<Self> {
        let read = || -> Result<RecordBatch> {
            let mut builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path)?)?;
            if let Some(columns) = columns {
                // Not by path: names of LeRobot's columns have dots in them.
                let schema = builder.parquet_schema();
                let fields = schema.root_schema().get_fields().iter().enumerate();
                let wanted = fields.filter(|(_, field)| columns.contains(&field.name()));
                let mask = ProjectionMask::roots(schema, wanted.map(|(place, _)| place));
                builder = builder.with_projection(mask);
            }
            let reader = builder.build()?;
            let schema = arrow::array::RecordBatchReader::schema(&reader);
            let batches = reader.collect::<Result<Vec<_>, _>>()?;
            Ok(arrow::compute::concat_batches(&schema, &batches)?)
        };
        let rows =
            read().map_err(|error| as_bad_input(error.context(path.display().to_string())))?;
        Ok(Self { path, rows })
    }

    fn column<T: ArrowPrimitiveType>(&self, name: &str) -> Result<&[T::Native]> {
        self.rows
            .column_by_name(name)
            .and_then(|column| column.as_primitive_opt::<T>())
            .filter(|column| column.null_count() == 0)
            .map(|column| &column.values()[..])
            .ok_or_else(|| {
                self.wrong(&format!(
                    "no column `{name}` of type {}; `wink record` writes it",
                    T::DATA_TYPE
                ))
            })
    }

    fn wrong(&self, what: &str) -> anyhow::Error {
        bad_input(format!("{}: {what}", self.path.display()))
    }
}
