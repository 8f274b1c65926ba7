//! `wink eval` with latency: charged to the board's clock, the same on every machine.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use serde_json::Value;

use common::{names, wink_ok};

const RUN: &[&str] = &[
    "eval",
    "--policy",
    "expert",
    "--split",
    "val",
    "--controls",
    "none",
    "--episodes",
    "2",
    "--no-html",
];

#[test]
fn the_same_latency_gives_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let charged = ["--latency", "40ms", "--jitter", "20ms"];
    for (out, jobs) in [("one", "1"), ("two", "2")] {
        wink_ok(
            dir,
            &[RUN, &charged, &["--jobs", jobs, "--out", out]].concat(),
        );
    }
    wink_ok(dir, &[RUN, &["--out", "free"]].concat());
    let file = |run: &str, name: &str| fs::read(dir.join(run).join(name)).unwrap();
    assert!(file("one", "episodes.parquet") == file("two", "episodes.parquet"));
    assert!(file("one", "episodes.parquet") != file("free", "episodes.parquet"));
    let report =
        |run: &str| -> Value { serde_json::from_slice(&file(run, "report.json")).unwrap() };
    assert_eq!(report("free").get("timing"), None);
    let timing = &report("one")["timing"];
    assert_eq!(timing["scheduler"], "synchronous");
    assert_eq!(timing["latency_us"], 40_000);
    assert_eq!(timing["jitter_us"], 20_000);
    // The expert gives an action at a time, and the arm holds while it thinks.
    assert!(timing["late"]["policy"].as_u64().unwrap() > 100, "{timing}");
    assert_eq!(timing["late"]["camera"], 0);
}

#[test]
fn a_measured_latency_can_be_charged_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    wink_ok(
        dir,
        &[RUN, &["--latency", "measured", "--out", "here"]].concat(),
    );
    let here = dir.join("here");
    assert_eq!(
        names(&here),
        ["episodes.parquet", "latency.json", "report.json"]
    );
    let again = ["--latency", "here/latency.json", "--out", "again"];
    wink_ok(dir, &[RUN, &again].concat());
    let rows = |run: &str| fs::read(dir.join(run).join("episodes.parquet")).unwrap();
    assert!(rows("here") == rows("again"));
}

#[test]
fn a_sweep_plots_what_can_be_and_says_what_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let args = "eval --policy random --split val --episodes 1 --sweep-latency 0,50ms --scheduler synchronous,naive --out x";
    let told = wink_ok(dir, &args.split(' ').collect::<Vec<_>>());
    assert!(told.contains("n/a"), "{told}");
    let sweep: Value =
        serde_json::from_slice(&fs::read(dir.join("x/sweep.json")).unwrap()).unwrap();
    let cells = sweep["cells"].as_array().unwrap();
    let possible: Vec<bool> = cells
        .iter()
        .map(|cell| !cell["figures"].is_null())
        .collect();
    // Chunks of one action do not last while inference runs.
    assert_eq!(possible, [true, true, true, false]);
    let why = cells[3]["not_possible"].as_str().unwrap();
    assert!(why.contains("H - s = 1 - 1 = 0"), "{why}");
    let html = fs::read_to_string(dir.join("x/report.html")).unwrap();
    assert_eq!(html.matches("<svg").count(), 5);
    assert!(html.contains("n/a") && !html.contains("{{"));
    assert_eq!(
        names(&dir.join("x")),
        [
            "naive-none-0us",
            "report.html",
            "sweep.json",
            "synchronous-none-0us",
            "synchronous-none-50000us"
        ]
    );
}

#[test]
fn cards_that_slide_change_the_rows_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (out, arm, speed) in [
        ("one", "wx250s", "50mm/s"),
        ("two", "wx250s", "5cm/s"),
        ("still", "wx250s", "0m/s"),
        ("free", "wx250s", ""),
        ("other", "so101", "50mm/s"),
    ] {
        let mut args = [RUN, &["--arm", arm, "--out", out]].concat();
        if !speed.is_empty() {
            args.extend(["--moving-cards", speed]);
        }
        wink_ok(dir, &args);
    }
    let file = |run: &str, name: &str| fs::read(dir.join(run).join(name)).unwrap();
    let same = |one, other| file(one, "episodes.parquet") == file(other, "episodes.parquet");
    assert!(same("one", "two"));
    assert!(same("still", "free"));
    assert!(!same("one", "free"));
    let report =
        |run: &str| -> Value { serde_json::from_slice(&file(run, "report.json")).unwrap() };
    assert_eq!(report("free").get("card_speed_m_s"), None);
    for run in ["one", "other"] {
        assert_eq!(report(run)["card_speed_m_s"], 0.05, "{run}");
        // The script sees where the cards are at every step.
        assert_eq!(report(run)["splits"]["val"]["execution"]["k"], 2, "{run}");
    }
}
