//! The episode index and the task texts: `meta/episodes/` and `meta/tasks.parquet`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};
use serde_json::Value;

use super::info::{Info, Kind};
use super::layout::{
    DATA_FILE, EPISODE_INDEX, EPISODES_DIR, FROM_INDEX, LENGTH, TASK_INDEX, TASK_TEXT, TASKS,
};
use super::table::{Source, Table};
use crate::bad_input::bad_input;

const MOST_EPISODES: usize = 10_000_000;
/// Frames of one episode.
const MOST_FRAMES: u64 = 10_000_000;
/// Files of the episode index.
const MOST_FILES: usize = 100_000;

/// Where an episode's rows and pictures are.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Its number in the data set.
    pub index: u64,
    /// Number of frames.
    pub length: usize,
    /// Folder and file of its rows.
    pub data: (u64, u64),
    /// Its first row in that file.
    pub first_row: usize,
    /// Its part of a video, by camera.
    pub clips: BTreeMap<String, Clip>,
}

/// A part of a video file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Folder and file.
    pub file: (u64, u64),
    /// When it begins, seconds from the start of the file.
    pub from_s: f64,
}

/// Reads the index of the data set in the folder `root`, in the order of the episodes.
pub fn read(root: &Path, info: &Info) -> Result<Vec<Episode>> {
    let videos = info.named(&[Kind::Video]);
    let mut starts = Vec::new();
    let mut episodes = Vec::new();
    for path in files(&root.join(EPISODES_DIR))? {
        add(&path, &videos, &mut episodes, &mut starts)?;
    }
    let told = root.join(EPISODES_DIR);
    let frames: u64 = episodes.iter().map(|episode| episode.length as u64).sum();
    if (episodes.len() as u64, frames) != (info.total_episodes, info.total_frames) {
        return Err(bad_input(format!(
            "{}: holds {} episodes of {frames} frames, meta/info.json speaks of {} of {}",
            told.display(),
            episodes.len(),
            info.total_episodes,
            info.total_frames
        )));
    }
    // A data file holds several episodes: an episode's place in it counts from the file's first one.
    let mut first: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for (episode, &start) in episodes.iter().zip(&starts) {
        let first = first.entry(episode.data).or_insert(start);
        *first = start.min(*first);
    }
    for (episode, &start) in episodes.iter_mut().zip(&starts) {
        let row = start - first.get(&episode.data).copied().unwrap_or(0);
        episode.first_row = usize::try_from(row)?;
    }
    episodes.sort_by_key(|episode| episode.index);
    if let Some(pair) = episodes
        .windows(2)
        .find(|pair| pair[0].index == pair[1].index)
    {
        return Err(bad_input(format!(
            "{}: episode {} stands in it twice",
            told.display(),
            pair[0].index
        )));
    }
    Ok(episodes)
}

fn add(
    path: &Path,
    videos: &[&str],
    episodes: &mut Vec<Episode>,
    starts: &mut Vec<u64>,
) -> Result<()> {
    let of_video = |video: &str| {
        ["chunk_index", "file_index", "from_timestamp"]
            .map(|column| format!("videos/{video}/{column}"))
    };
    let video_columns: Vec<[String; 3]> = videos.iter().map(|video| of_video(video)).collect();
    let mut columns = vec![
        EPISODE_INDEX,
        LENGTH,
        FROM_INDEX,
        DATA_FILE[0],
        DATA_FILE[1],
    ];
    columns.extend(video_columns.iter().flatten().map(String::as_str));
    let table = Table::open(path, Some(&columns))?;
    if episodes.len() + table.len() > MOST_EPISODES {
        return Err(table.wrong(&format!("more than {MOST_EPISODES} episodes")));
    }
    let unsigned = |name: &str| table.numbers::<UInt64Type>(name);
    let (index, length) = (unsigned(EPISODE_INDEX)?, unsigned(LENGTH)?);
    let (chunk, file) = (unsigned(DATA_FILE[0])?, unsigned(DATA_FILE[1])?);
    starts.extend(unsigned(FROM_INDEX)?);
    let clips = video_columns
        .iter()
        .map(|[chunk, file, from]| {
            let from_s = table.numbers::<Float64Type>(from)?;
            let bad = from_s.iter().position(|s| !(s.is_finite() && *s >= 0.0));
            if let Some(row) = bad {
                return Err(table.wrong_at(from, row, &format!("{} is no time", from_s[row])));
            }
            Ok((unsigned(chunk)?, unsigned(file)?, from_s))
        })
        .collect::<Result<Vec<_>>>()?;
    for row in 0..table.len() {
        if length[row] == 0 || length[row] > MOST_FRAMES {
            let what = format!("{} is not 1 to {MOST_FRAMES}", length[row]);
            return Err(table.wrong_at(LENGTH, row, &what));
        }
        let clip = |(chunk, file, from_s): &(Vec<u64>, Vec<u64>, Vec<f64>)| Clip {
            file: (chunk[row], file[row]),
            from_s: from_s[row],
        };
        episodes.push(Episode {
            index: index[row],
            length: length[row] as usize,
            data: (chunk[row], file[row]),
            first_row: 0,
            clips: videos
                .iter()
                .map(|video| (*video).to_owned())
                .zip(clips.iter().map(clip))
                .collect(),
        });
    }
    Ok(())
}

/// The files of the index, by the numbers in their names.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (chunk, path) in numbered(dir, "chunk-", "")? {
        for (file, path) in numbered(&path, "file-", ".parquet")? {
            files.push((chunk, file, path));
        }
    }
    files.sort();
    if files.is_empty() || files.len() > MOST_FILES {
        return Err(bad_input(format!(
            "{}: holds {} files of episodes (chunk-000/file-000.parquet and on)",
            dir.display(),
            files.len()
        )));
    }
    Ok(files.into_iter().map(|(_, _, path)| path).collect())
}

fn numbered(dir: &Path, before: &str, after: &str) -> Result<Vec<(u64, PathBuf)>> {
    let wrong = |error: std::io::Error| bad_input(format!("{}: {error}", dir.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Reads the task texts, by their index.
pub fn tasks(root: &Path) -> Result<BTreeMap<i64, String>> {
    let source = Source::open(&root.join(TASKS))?;
    let column = text_column(&source);
    let table = source.select(&[TASK_INDEX, &column])?.read(1024)?.table()?;
    let indices = table.numbers::<Int64Type>(TASK_INDEX)?;
    let mut tasks = BTreeMap::new();
    for (row, (index, text)) in indices.into_iter().zip(table.texts(&column)?).enumerate() {
        if tasks.insert(index, text).is_some() {
            return Err(table.wrong_at(TASK_INDEX, row, &format!("{index} stands in it twice")));
        }
    }
    Ok(tasks)
}

/// The texts are the index of a pandas table, whose metadata names it.
fn text_column(source: &Source) -> String {
    let pandas = source
        .metadata("pandas")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let named = pandas
        .as_ref()
        .and_then(|pandas| pandas["index_columns"][0].as_str());
    named.unwrap_or(TASK_TEXT).to_owned()
}
