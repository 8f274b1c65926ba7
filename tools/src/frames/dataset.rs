//! What a recorded dataset says of its episodes: how to play them again, and the states that must come of it.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};
use arrow::datatypes::{Int64Type, UInt64Type};

use crate::bad_input::{as_bad_input, bad_input};
use crate::data::layout::{DATA_FILE, EPISODES, INFO, LENGTH, data_path};
use crate::data::table::Table;
use crate::record::columns::STATE;
use crate::record::demonstration::Settings;
use crate::record::features::Features;
use crate::record::lerobot::{ATTEMPT, REPLAY, Replay, SEED};

/// What was measured of the arm at one frame.
pub type State = Vec<f32>;

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
        if !root.join(INFO).is_file() {
            return Err(bad_input(format!(
                "{}: no dataset, there is no meta/info.json in it",
                root.display()
            )));
        }
        let settings = read_settings(&root.join(REPLAY))?;
        let index = Table::open(&root.join(EPISODES), None)?;
        let (numbers, attempts) = (
            index.numbers::<UInt64Type>(SEED)?,
            index.numbers::<UInt64Type>(ATTEMPT)?,
        );
        let lengths = index.numbers::<Int64Type>(LENGTH)?;
        let files = index.numbers::<Int64Type>(DATA_FILE[1])?;
        let chunks = index.numbers::<Int64Type>(DATA_FILE[0])?;

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
        let table = Table::open(&root.join(data_path(chunk, file)), Some(&[STATE]))?;
        let length = Features::of(self.settings.arm.setup())?.state.len();
        let values = table.vectors(STATE, length)?;
        self.states
            .extend(values.chunks_exact(length).map(<[f32]>::to_vec));
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
