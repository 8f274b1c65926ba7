//! `wink frames`: what it renders again is what was recorded, and it says so where it is not.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Int64Type};

use common::{names, read, text, wink, wink_ok};

const SIDE: usize = 32;
const DATA: &str = "data/chunk-000/file-000.parquet";

fn record(dir: &Path, out: &str, more: &[&str]) {
    let args = [
        "record",
        "--episodes",
        "2",
        "--frame",
        "32",
        "--tail",
        "3",
        "--noise",
        "0.004",
        "--randomise",
        "--seed",
        "40",
        "--out",
        out,
    ];
    wink_ok(dir, &[&args[..], more].concat());
}

/// Header and data of a .npy file.
fn npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (text(&bytes[10..data]), bytes[data..].to_vec())
}

/// Pairs of a .npy file of int64 [n, 2].
fn pairs(path: &Path) -> Vec<[i64; 2]> {
    let (header, data) = npy(path);
    assert!(header.contains("'<i8'"), "{header}");
    let values: Vec<i64> = data
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&bytes| i64::from_le_bytes(bytes))
        .collect();
    values.as_chunks::<2>().0.to_vec()
}

/// Every frame's place and pixels as the dataset has them.
fn recorded(root: &Path) -> Vec<([i64; 2], Vec<u8>)> {
    let rows = read(&root.join(DATA));
    let column = |name: &str| rows.column_by_name(name).unwrap().clone();
    let ints = |name: &str| column(name).as_primitive::<Int64Type>().values().to_vec();
    let images = column("observation.images.front");
    let pngs = images
        .as_struct()
        .column_by_name("bytes")
        .unwrap()
        .as_binary::<i32>()
        .clone();
    let (episodes, frames) = (ints("episode_index"), ints("frame_index"));
    (0..rows.num_rows())
        .map(|row| {
            let picture =
                image::load_from_memory_with_format(pngs.value(row), image::ImageFormat::Png);
            (
                [episodes[row], frames[row]],
                picture.unwrap().into_rgb8().into_raw(),
            )
        })
        .collect()
}

#[test]
fn rendered_again_is_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "full", &[]);
    record(dir.path(), "lean", &["--no-images"]);
    let want = recorded(&dir.path().join("full"));

    // Without images everything else is the same.
    let (full, lean) = (
        read(&dir.path().join("full").join(DATA)),
        read(&dir.path().join("lean").join(DATA)),
    );
    assert!(lean.column_by_name("observation.images.front").is_none());
    assert_eq!(lean.num_columns() + 1, full.num_columns());
    for field in lean.schema().fields() {
        assert_eq!(
            lean.column_by_name(field.name()),
            full.column_by_name(field.name()),
            "{}",
            field.name()
        );
    }
    for name in ["meta/info.json", "meta/stats.json"] {
        let told = |run: &str| fs::read_to_string(dir.path().join(run).join(name)).unwrap();
        assert!(told("full").contains("observation.images.front"), "{name}");
        assert!(!told("lean").contains("observation.images.front"), "{name}");
    }

    // All frames, from either, whatever the number of threads.
    for (data, jobs) in [("full", "1"), ("lean", "3")] {
        let out = format!("{data}.npy");
        let told = wink_ok(
            dir.path(),
            &["frames", "--data", data, "--out", &out, "--jobs", jobs],
        );
        assert!(told.contains(&format!("{} frames", want.len())), "{told}");
        let (header, pixels) = npy(&dir.path().join(&out));
        let shape = format!("({}, {SIDE}, {SIDE}, 3, )", want.len());
        assert!(
            header.contains("'|u1'") && header.contains(&shape),
            "{header}"
        );
        let index = pairs(&dir.path().join(format!("{data}.index.npy")));
        assert_eq!(
            index,
            want.iter().map(|(place, _)| *place).collect::<Vec<_>>()
        );
        for ((place, png), frame) in want.iter().zip(pixels.chunks_exact(SIDE * SIDE * 3)) {
            assert!(png == frame, "{data}: episode and frame {place:?}");
        }
    }

    // One in three, a part of each, to a file and to a pipe.
    let some = [
        "frames",
        "--data",
        "lean",
        "--every",
        "3",
        "--crop",
        "5,9,20,12",
        "--out",
    ];
    wink_ok(dir.path(), &[&some[..], &["some.npy"]].concat());
    let (_, pixels) = npy(&dir.path().join("some.npy"));
    let kept: Vec<_> = want
        .iter()
        .filter(|(place, _)| (place[0] + place[1]) % 3 == 0)
        .collect();
    assert_eq!(
        pairs(&dir.path().join("some.index.npy")),
        kept.iter().map(|(place, _)| *place).collect::<Vec<_>>()
    );
    let cut: Vec<u8> = kept
        .iter()
        .flat_map(|(_, frame)| frame.chunks_exact(3 * SIDE).skip(9).take(12))
        .flat_map(|row| row[15..75].to_vec())
        .collect();
    assert!(pixels == cut, "cropped frames");
    let piped = wink(dir.path(), &[&some[..], &["-"]].concat());
    assert!(
        piped.status.success() && piped.stdout == cut,
        "{}",
        text(&piped.stderr)
    );

    // What stands there is not overwritten by accident.
    let again = wink(dir.path(), &[&some[..], &["full.npy"]].concat());
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    wink_ok(dir.path(), &[&some[..], &["full.npy", "--force"]].concat());
    assert!(npy(&dir.path().join("full.npy")).1 == cut);
}

#[test]
fn other_tasks_are_rendered_again_too() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = ["--tasks", "diverse", "--episodes", "3"];
    let args = [
        &["record", "--frame", "32", "--randomise", "--noise", "0.002"],
        &tasks[..],
    ]
    .concat();
    let told = wink_ok(dir.path(), &[&args[..], &["--out", "full"]].concat());
    assert!(told.contains(" of "), "how many of each kind: {told}");
    wink_ok(
        dir.path(),
        &[&args[..], &["--out", "lean", "--no-images"]].concat(),
    );
    wink_ok(
        dir.path(),
        &["frames", "--data", "lean", "--out", "lean.npy"],
    );
    let (_, pixels) = npy(&dir.path().join("lean.npy"));
    let want = recorded(&dir.path().join("full"));
    let frames: Vec<&[u8]> = pixels.chunks_exact(SIDE * SIDE * 3).collect();
    assert_eq!(frames.len(), want.len());
    for ((place, png), frame) in want.iter().zip(frames) {
        assert!(png == frame, "episode and frame {place:?}");
    }

    // The object ends where the truth says that it is to be put, a little above for its own height.
    let rows = read(&dir.path().join("lean").join(DATA));
    let episodes = read(
        &dir.path()
            .join("lean/meta/episodes/chunk-000/file-000.parquet"),
    );
    let column = |name: &str| episodes.column_by_name(name).unwrap().clone();
    let ends = column("dataset_to_index")
        .as_primitive::<Int64Type>()
        .values()
        .to_vec();
    let kinds = column("task_kind").as_string::<i32>().clone();
    for (episode, end) in ends.into_iter().enumerate() {
        let last = |name: &str| {
            let list = rows
                .column_by_name(name)
                .unwrap()
                .as_list::<i32>()
                .value(end as usize - 1);
            list.as_primitive::<Float32Type>().values().to_vec()
        };
        let (object, goal) = (
            last("observation.cube_position"),
            last("observation.target_card_position"),
        );
        for axis in 0..3 {
            let off = object[axis] - goal[axis];
            assert!(
                off.abs() < 0.07,
                "{}: {object:?} {goal:?}",
                kinds.value(episode)
            );
        }
    }
}

#[test]
fn another_course_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "lean", &["--no-images"]);
    let replay = dir.path().join("lean/meta/replay.json");
    let settings = fs::read_to_string(&replay).unwrap();
    let cases: [(&str, &str, &[&str]); 5] = [
        (
            "0.004",
            "0.003",
            &["episode 0, frame 2", "demonstration 40"],
        ),
        ("\"tail\": 3", "\"tail\": 2", &["episode 0, frame "]),
        ("\"tail\": 3", "\"tail\": 4", &["episode 0, frame "]),
        (
            "\"format\": 1",
            "\"format\": 99",
            &["replay.json", "format 99"],
        ),
        ("0.004", "1e9", &["replay.json", "noise_m"]),
    ];
    for (old, new, told) in cases {
        fs::write(&replay, settings.replacen(old, new, 1)).unwrap();
        let output = wink(
            dir.path(),
            &[
                "frames", "--data", "lean", "--out", "x.npy", "--every", "50",
            ],
        );
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{new}: {stderr}");
        for word in told {
            assert!(stderr.contains(word), "{new}: no `{word}` in {stderr}");
        }
        assert_eq!(names(dir.path()), ["lean"], "{new}: nothing is left behind");
    }
    fs::remove_file(&replay).unwrap();
    let output = wink(dir.path(), &["frames", "--data", "lean", "--out", "x.npy"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("replay.json"),
        "{}",
        text(&output.stderr)
    );
}
