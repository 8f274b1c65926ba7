//! `wink record`: what it wrote is read back and checked against the layout of LeRobotDataset v3.0.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Int64Type, UInt64Type};
use serde_json::Value;

use common::{names, read, wink_ok};

const FRAME: usize = 64;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn ints(column: &ArrayRef) -> Vec<i64> {
    column.as_primitive::<Int64Type>().values().to_vec()
}

/// Every file of a folder with its content.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for name in names(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            files.extend(
                contents(&path)
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn two_demonstrations_as_lerobot_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    wink_ok(
        dir.path(),
        &[
            "record",
            "--episodes",
            "2",
            "--out",
            "demos",
            "--frame",
            "64",
            "--jobs",
            "2",
        ],
    );
    wink_ok(
        dir.path(),
        &[
            "record",
            "--episodes",
            "2",
            "--out",
            "again",
            "--frame",
            "64",
            "--jobs",
            "1",
        ],
    );
    assert_eq!(names(dir.path()), ["again", "demos"]);
    let root = dir.path().join("demos");
    let files = contents(&root);
    assert!(
        files == contents(&dir.path().join("again")),
        "the same demonstrations, whatever the number of threads"
    );
    let expected = [
        "data/chunk-000/file-000.parquet",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/replay.json",
        "meta/stats.json",
        "meta/tasks.parquet",
    ];
    assert_eq!(files.keys().collect::<Vec<_>>(), expected);

    let info = json(&root.join("meta/info.json"));
    let rows = read(&root.join("data/chunk-000/file-000.parquet"));
    let frames = rows.num_rows();
    assert_eq!(info["codebase_version"], "v3.0");
    assert_eq!(info["total_episodes"], 2);
    assert_eq!(info["total_frames"], frames);
    assert_eq!(info["fps"], 20);
    assert_eq!(info["splits"]["train"], "0:2");
    assert!(info["video_path"].is_null());

    // Each feature is a column of its type and size.
    for (name, feature) in info["features"].as_object().unwrap() {
        let column = rows
            .column_by_name(name)
            .unwrap_or_else(|| panic!("no column {name}"));
        assert_eq!(column.null_count(), 0, "{name}");
        let size = feature["shape"][0].as_u64().unwrap() as usize;
        match (feature["dtype"].as_str().unwrap(), column.data_type()) {
            ("image", DataType::Struct(_)) => {
                assert_eq!(feature["shape"], serde_json::json!([FRAME, FRAME, 3]))
            }
            ("float32", DataType::List(_)) => {
                let lists = column.as_list::<i32>();
                assert!(
                    (0..frames).all(|row| lists.value(row).len() == size),
                    "{name}"
                );
                assert!(
                    lists
                        .values()
                        .as_primitive::<Float32Type>()
                        .values()
                        .iter()
                        .all(|value| value.is_finite())
                );
            }
            ("float32", DataType::Float32) | ("int64", DataType::Int64) => {
                assert_eq!(size, 1, "{name}")
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(
        rows.num_columns(),
        info["features"].as_object().unwrap().len()
    );

    // Indices count up, across episodes and within them.
    let column = |name: &str| rows.column_by_name(name).unwrap();
    assert_eq!(
        ints(column("index")),
        (0..frames as i64).collect::<Vec<_>>()
    );
    let episodes = read(&root.join("meta/episodes/chunk-000/file-000.parquet"));
    let episode = |name: &str| ints(episodes.column_by_name(name).unwrap());
    assert_eq!(episode("episode_index"), [0, 1]);
    let lengths = episode("length");
    assert_eq!(episode("dataset_from_index"), [0, lengths[0]]);
    assert_eq!(episode("dataset_to_index"), [lengths[0], frames as i64]);
    for name in [
        "data/chunk_index",
        "data/file_index",
        "meta/episodes/chunk_index",
        "meta/episodes/file_index",
    ] {
        assert_eq!(episode(name), [0, 0], "{name}");
    }
    let frame_index: Vec<i64> = lengths.iter().flat_map(|&length| 0..length).collect();
    assert_eq!(ints(column("frame_index")), frame_index);
    let timestamps = column("timestamp").as_primitive::<Float32Type>().values();
    for (time, frame) in timestamps.iter().zip(&frame_index) {
        assert!((time - *frame as f32 / 20.0).abs() < 1e-5);
    }
    assert_eq!(
        episodes
            .column_by_name("seed")
            .unwrap()
            .as_primitive::<UInt64Type>()
            .values(),
        &[0, 1]
    );

    // Tasks: their text is the pandas index, and episodes name them.
    let tasks = read(&root.join("meta/tasks.parquet"));
    let pandas: Value = serde_json::from_str(&tasks.schema().metadata()["pandas"]).unwrap();
    assert_eq!(
        pandas["index_columns"],
        serde_json::json!(["__index_level_0__"])
    );
    let texts = tasks
        .column_by_name("__index_level_0__")
        .unwrap()
        .as_string::<i32>();
    assert_eq!(
        ints(tasks.column_by_name("task_index").unwrap()),
        (0..texts.len() as i64).collect::<Vec<_>>()
    );
    let told = episodes.column_by_name("tasks").unwrap().as_list::<i32>();
    let first_rows = [0, lengths[0] as usize];
    for (number, first) in first_rows.into_iter().enumerate() {
        let task = ints(column("task_index"))[first];
        let lists = told.value(number);
        assert_eq!(
            lists.as_string::<i32>().value(0),
            texts.value(task as usize)
        );
        assert!(
            texts
                .value(task as usize)
                .starts_with("pick the block and place it on ")
        );
    }

    // Frames are PNG files of the size asked for, and not all the same.
    let pngs = column("observation.images.front")
        .as_struct()
        .column_by_name("bytes")
        .unwrap()
        .as_binary::<i32>();
    for row in [0, frames - 1] {
        let picture =
            image::load_from_memory_with_format(pngs.value(row), image::ImageFormat::Png).unwrap();
        assert_eq!(
            (picture.width() as usize, picture.height() as usize),
            (FRAME, FRAME)
        );
    }
    assert_ne!(pngs.value(0), pngs.value(frames / 4));

    // The demonstration ends where it should: the cube on the card that the task names.
    let last = |name: &str| {
        let list = column(name).as_list::<i32>().value(frames - 1);
        list.as_primitive::<Float32Type>().values().to_vec()
    };
    let (cube, card) = (
        last("observation.cube_position"),
        last("observation.target_card_position"),
    );
    let distance = cube
        .iter()
        .zip(&card)
        .map(|(a, b)| (a - b) * (a - b))
        .sum::<f32>()
        .sqrt();
    assert!(distance < 0.1, "{cube:?} {card:?}");

    let stats = json(&root.join("meta/stats.json"));
    for name in info["features"].as_object().unwrap().keys() {
        let feature = &stats[name];
        for key in [
            "min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99",
        ] {
            assert!(feature[key].is_array(), "no {key} of {name}");
        }
        assert_eq!(feature["count"][0], frames, "{name}");
        let number = |key: &str| {
            let mut value = &feature[key][0];
            while value.is_array() {
                value = &value[0];
            }
            value.as_f64().unwrap()
        };
        let order = ["min", "q01", "q10", "q50", "q90", "q99", "max"].map(number);
        assert!(order.is_sorted(), "{name}: {order:?}");
    }
    assert_eq!(
        stats["observation.images.front"]["mean"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(stats["action"]["min"].as_array().unwrap().len(), 7);
}

#[test]
fn noise_disturbs_the_course_and_not_the_first_wish() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["record", "--episodes", "1", "--frame", "32", "--seed", "3"];
    wink_ok(dir.path(), &[&args[..], &["--out", "calm"]].concat());
    wink_ok(
        dir.path(),
        &[&args[..], &["--out", "shaken", "--noise", "0.003"]].concat(),
    );
    wink_ok(
        dir.path(),
        &[&args[..], &["--out", "painted", "--randomise"]].concat(),
    );
    let list = |run: &str, name: &str, row: usize| {
        let rows = read(&dir.path().join(run).join("data/chunk-000/file-000.parquet"));
        let values = rows
            .column_by_name(name)
            .unwrap()
            .as_list::<i32>()
            .value(row);
        values.as_primitive::<Float32Type>().values().to_vec()
    };
    assert_eq!(list("calm", "action", 0), list("shaken", "action", 0));
    assert_ne!(
        list("calm", "observation.state", 10),
        list("shaken", "observation.state", 10)
    );
    // Paint changes what is seen, not what happens.
    assert_eq!(
        list("calm", "observation.state", 10),
        list("painted", "observation.state", 10)
    );
    let frame = |run: &str| {
        let rows = read(&dir.path().join(run).join("data/chunk-000/file-000.parquet"));
        let images = rows
            .column_by_name("observation.images.front")
            .unwrap()
            .as_struct()
            .clone();
        images
            .column_by_name("bytes")
            .unwrap()
            .as_binary::<i32>()
            .value(0)
            .to_vec()
    };
    assert_ne!(frame("calm"), frame("painted"));
}
