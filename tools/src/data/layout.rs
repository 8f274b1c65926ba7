//! Names and places that LeRobotDataset v3 fixes, for its reader and its writer.

use std::fmt::Display;

/// The version that is read and written.
pub const VERSION: &str = "v3.0";
/// Features, frame rate and totals.
pub const INFO: &str = "meta/info.json";
/// Task texts by their index.
pub const TASKS: &str = "meta/tasks.parquet";
/// Folder of the episode index.
pub const EPISODES_DIR: &str = "meta/episodes";
/// The first, and often only, file of the episode index.
pub const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";
/// Where data files stand, as `meta/info.json` says it.
pub const DATA_TEMPLATE: &str = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";

/// The column of the task texts, as pandas names an index without a name.
pub const TASK_TEXT: &str = "__index_level_0__";
/// Time within the episode, seconds.
pub const TIMESTAMP: &str = "timestamp";
/// Place within the episode.
pub const FRAME_INDEX: &str = "frame_index";
/// Which episode.
pub const EPISODE_INDEX: &str = "episode_index";
/// Place within the data set.
pub const INDEX: &str = "index";
/// Which task text.
pub const TASK_INDEX: &str = "task_index";
/// Columns that every data set has, after its features.
pub const INDEX_COLUMNS: [&str; 4] = [FRAME_INDEX, EPISODE_INDEX, INDEX, TASK_INDEX];

/// Columns of the episode index.
pub const LENGTH: &str = "length";
/// Folder and file of an episode's rows.
pub const DATA_FILE: [&str; 2] = ["data/chunk_index", "data/file_index"];
/// The episode's first row in the data set.
pub const FROM_INDEX: &str = "dataset_from_index";
/// The row after the episode's last one.
pub const TO_INDEX: &str = "dataset_to_index";

/// Where a data file stands.
pub fn data_path(chunk: impl Display, file: impl Display) -> String {
    format!("data/chunk-{chunk:03}/file-{file:03}.parquet")
}
