//! `wink eval --shard` and `wink merge`: the parts of a run are the run.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use serde_json::Value;

use common::{names, text, wink, wink_ok};

const RUN: &[&str] = &[
    "eval",
    "--policy",
    "random",
    "--split",
    "val",
    "--controls",
    "nonsense",
    "--episodes",
    "7",
    "--seed",
    "3",
];
const PICTURES: &[&str] = &["--pictures", "1"];

/// Runs a shard into a folder of its name.
fn shard(dir: &Path, more: &[&str], shard: &str, out: &str) {
    let args = [RUN, more, &["--shard", shard, "--out", out]].concat();
    let told = wink_ok(dir, &args);
    assert!(told.contains(&format!("shard {shard}")), "{told}");
}

fn refused(dir: &Path, args: &[&str], told: &[&str]) {
    let before = names(dir);
    let output = wink(dir, args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    for word in told {
        assert!(stderr.contains(word), "{args:?}: no `{word}` in {stderr}");
    }
    assert_eq!(names(dir), before, "{args:?}");
}

#[test]
fn merged_shards_are_the_run_without_shards() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    wink_ok(
        dir,
        &[RUN, PICTURES, &["--out", "whole", "--jobs", "2"]].concat(),
    );
    shard(dir, PICTURES, "1/3", "a");
    shard(dir, &[PICTURES, &["--jobs", "1"]].concat(), "3/3", "c");
    // The folder of a shard that was killed before it was done.
    fs::create_dir(dir.join(".b.x.partial")).unwrap();
    shard(dir, PICTURES, "2/3", "b");
    // A shard that is run again, because its machine died, is the same shard.
    let first = fs::read_to_string(dir.join("b/episodes.jsonl")).unwrap();
    shard(dir, &[PICTURES, &["--force"]].concat(), "2/3", "b");
    let without_times = |lines: &str| -> Vec<Value> {
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines
            .map(|mut line: Value| {
                line.as_object_mut().unwrap().remove("timing").unwrap();
                line
            })
            .collect()
    };
    let again = fs::read_to_string(dir.join("b/episodes.jsonl")).unwrap();
    assert_eq!(without_times(&first), without_times(&again));

    wink_ok(dir, &["merge", "c", "a", "b", "--out", "all"]);
    let all = dir.join("all");
    assert_eq!(
        names(&all),
        ["episodes.parquet", "report.html", "report.json"]
    );
    let bytes = |run: &str, file: &str| fs::read(dir.join(run).join(file)).unwrap();
    assert!(bytes("whole", "episodes.parquet") == bytes("all", "episodes.parquet"));
    let report = |run: &str| {
        let mut report: Value = serde_json::from_slice(&bytes(run, "report.json")).unwrap();
        let report = report.as_object_mut().unwrap();
        let latency = report.remove("latency_us").unwrap();
        report.remove("jobs").unwrap();
        (report.clone(), latency["tick"]["n"].clone())
    };
    assert_eq!(report("whole"), report("all"));
    let episodes = |run: &str| {
        let html = text(&bytes(run, "report.html"));
        let from = html.find("<article").unwrap();
        html[from..].to_owned()
    };
    assert_eq!(episodes("whole"), episodes("all"));
}

#[test]
fn what_is_not_one_whole_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (of, out) in [("1/3", "a"), ("2/3", "b"), ("3/3", "c"), ("1/2", "half")] {
        shard(dir, &[], of, out);
    }
    shard(dir, &["--no-html"], "2/3", "plain");
    fs::create_dir(dir.join("empty")).unwrap();
    fs::create_dir(dir.join("torn")).unwrap();
    fs::copy(dir.join("c/shard.json"), dir.join("torn/shard.json")).unwrap();
    let episodes = fs::read_to_string(dir.join("c/episodes.jsonl")).unwrap();
    let (kept, _) = episodes.split_at(episodes.len() - 100);
    fs::write(dir.join("torn/episodes.jsonl"), kept).unwrap();
    fs::create_dir(dir.join("other")).unwrap();
    let other = fs::read_to_string(dir.join("b/shard.json")).unwrap();
    let other = other.replacen("\"policy_sha256\": null", "\"policy_sha256\": \"ab\"", 1);
    fs::write(dir.join("other/shard.json"), other).unwrap();

    let merge = |shards: &[&'static str]| [&["merge"], shards, &["--out", "x"]].concat();
    let cases: &[(&[&str], &[&str])] = &[
        (&["a", "c"], &["of 3 shards 2/3 is missing"]),
        (&["a"], &["2/3, 3/3 are missing"]),
        (&["a", "b", "c", "b"], &["b and b are both shard 2/3"]),
        (&["a", "half"], &["a and half", "1/3 and 1/2"]),
        (&["a", "plain", "c"], &["different runs", "pictures is 20"]),
        (&["a", "other", "c"], &["policy_sha256 is null", "\"ab\""]),
        (&["a", "b", "torn"], &["torn/episodes.jsonl, line 4"]),
        (&["a", "empty"], &["empty/shard.json"]),
        (&["a", "nowhere"], &["nowhere/shard.json"]),
    ];
    for (shards, told) in cases {
        refused(dir, &merge(shards), told);
    }
    let eval = |shard: &'static str| [RUN, &["--shard", shard, "--out", "x"]].concat();
    for (shard, told) in [
        ("0/3", "K is 0"),
        ("4/3", "K is 4, not 1 to 3"),
        ("1/15", "there are 14 episodes"),
        ("one", "K/N"),
    ] {
        refused(dir, &eval(shard), &["--shard", told]);
    }
    refused(dir, &[RUN, &["--shard", "1/3"]].concat(), &["--out"]);
    let args = "eval --precision f32,int8 --shard 1/2 --out x";
    let args: Vec<&str> = args.split(' ').collect();
    refused(dir, &args, &["--shard 1/2", "f32,int8"]);
}
