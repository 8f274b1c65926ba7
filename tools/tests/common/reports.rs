//! A small tree of stored reports, with the same columns and keys as `wink eval` writes.
#![allow(dead_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    UInt64Array,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

use crate::common::{text, wink};

/// Episodes of one split or control, each with one letter: `r` right, `w` on a wrong card, `x` not executed.
pub type Endings<'a> = (&'a str, &'a str);

/// What is wrong, how it is made so in a folder, and what must be told.
pub type Case = (&'static str, fn(&Path), &'static [&'static str]);

/// Makes a `tree` for each case, harms its folder, and expects `wink results` to tell so in one line and to write nothing.
pub fn each_is_told(table: &[Case], tree: fn(&Path), folder: &str) {
    for (what, harm, told) in table {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        harm(&dir.path().join(folder));
        let output = wink(dir.path(), &["results"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{what}: {stderr}");
        for word in *told {
            assert!(stderr.contains(word), "{what}: no `{word}` in {stderr}");
        }
        assert!(!dir.path().join("models/RESULTS.md").exists(), "{what}");
    }
}

/// Writes report.json and episodes.parquet of a training run; returns its folder.
pub fn write_run(reports: &Path, way: &str, seed: u64, groups: &[Endings<'_>]) -> PathBuf {
    let dir = reports.join(way).join(format!("seed-{seed}"));
    write_evaluation(&dir, way, "int8", groups);
    dir
}

/// Writes report.json and episodes.parquet into a folder.
pub fn write_evaluation(dir: &Path, policy: &str, precision: &str, groups: &[Endings<'_>]) {
    fs::create_dir_all(dir).unwrap();
    let (mut splits, mut controls) = (Map::new(), Map::new());
    for &(group, endings) in groups {
        let n = endings.len();
        let right = endings.matches('r').count();
        let executed = n - endings.matches('x').count();
        let into = if is_split(group) {
            &mut splits
        } else {
            &mut controls
        };
        into.insert(
            group.to_owned(),
            json!({
                "split": "val",
                "sr": {"k": right, "n": n, "value": null, "low": null, "high": null},
                "execution": {"k": executed, "n": n, "value": null, "low": null, "high": null},
            }),
        );
    }
    let episodes = groups.first().map_or(0, |(_, endings)| endings.len());
    let report = json!({
        "policy": policy,
        "precision": precision,
        "seed": 0,
        "wink": "0.1.0",
        "episodes": episodes,
        "splits": splits,
        "controls": controls,
        "jobs": 1,
        "latency_us": {"policy": {"p50": 12_345}},
    });
    fs::write(dir.join("report.json"), report.to_string()).unwrap();
    write_rows(&dir.join("episodes.parquet"), &batch(groups));
}

/// The rows of a report.
pub fn batch(groups: &[Endings<'_>]) -> RecordBatch {
    let episodes: Vec<(&str, usize, char)> = groups
        .iter()
        .flat_map(|&(group, endings)| {
            endings
                .chars()
                .enumerate()
                .map(move |(index, ending)| (group, index, ending))
        })
        .collect();
    let text = |of: &dyn Fn(&str, usize) -> String| -> ArrayRef {
        let values = episodes.iter().map(|&(group, index, _)| of(group, index));
        Arc::new(StringArray::from_iter_values(values))
    };
    let flag = |letters: &str| -> ArrayRef {
        let values = episodes
            .iter()
            .map(|&(_, _, end)| Some(letters.contains(end)));
        Arc::new(values.collect::<BooleanArray>())
    };
    let mut cards = ListBuilder::new(StringBuilder::new());
    for &(_, index, _) in &episodes {
        cards.append_value((0..3).map(|card| Some(format!("U+{}", 3 * index + card))));
    }
    let split = |group: &str| if is_split(group) { group } else { "val" }.to_owned();
    let control = |group: &str| if is_split(group) { "none" } else { group }.to_owned();
    let index = episodes.iter().map(|&(_, index, _)| index);
    RecordBatch::try_from_iter([
        ("split", text(&|group, _| split(group))),
        ("control", text(&|group, _| control(group))),
        (
            "episode",
            Arc::new(
                index
                    .clone()
                    .map(|index| Some(index as i64))
                    .collect::<Int64Array>(),
            ) as _,
        ),
        (
            "seed",
            Arc::new(
                index
                    .map(|index| Some(index as u64))
                    .collect::<UInt64Array>(),
            ) as _,
        ),
        ("card_codes", Arc::new(cards.finish()) as _),
        (
            "instruction",
            text(&|group, index| format!("{group} {index}")),
        ),
        ("executed", flag("rw")),
        ("success", flag("r")),
        ("judged_label", text(&|_, index| format!("label {index}"))),
    ])
    .unwrap()
}

/// A parquet file.
pub fn write_rows(path: &Path, batch: &RecordBatch) {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Writes train.json of a run.
pub fn write_train(dir: &Path, way: &str, seed: u64, trained: u64, minutes: f64) {
    let train = json!({
        "way": way,
        "title": format!("{way} by train.json"),
        "seed": seed,
        "parameters_total": 6_300_000,
        "parameters_trained": trained,
        "steps": 3000,
        "samples": 48_000,
        "minutes": minutes,
        "device": "one GPU",
        "config": {"rate": 0.001},
    });
    fs::write(dir.join("train.json"), train.to_string()).unwrap();
}

/// Writes probe.json of a run with one group of layers.
pub fn write_probe(dir: &Path, before: f64, after: f64) {
    let probe = json!({"groups": [
        {"group": "vision.0", "linear_probe": {"before": before, "after": after, "n": 100}},
        {"group": "fusion", "zero_shot": {"before": 0.5, "after": null, "n": 100}},
    ]});
    fs::write(dir.join("probe.json"), probe.to_string()).unwrap();
}

/// Changes a JSON file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn is_split(group: &str) -> bool {
    ["id", "train", "val"].contains(&group)
}
