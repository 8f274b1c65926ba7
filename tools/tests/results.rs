//! `wink results`: the figures of a small tree of reports, by hand; the same bytes twice; broken reports.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/reports.rs"]
mod reports;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use common::{names, text, wink, wink_ok};
use reports::{Case, batch, each_is_told, edit, write_probe, write_rows, write_run, write_train};

const WAYS: &str = r#"
baseline = "full"

[[way]]
folder = "full"
title = "Full | fine-tuning"
main = true

[[way]]
folder = "lora"
main = true

[[way]]
folder = "later"
title = "Not run yet"

[[finding]]
says = "LoRA keeps more."
tests = [{ ways = ["lora", "full"], metric = "recognition", expect = "higher" }]

[[finding]]
says = "LoRA keeps less, and executes the same."
tests = [
  { ways = ["lora", "full"], metric = "success", on = "val", expect = "lower" },
  { ways = ["lora", "full"], metric = "execution", expect = "same", margin = 0.1 },
]

[[finding]]
says = "Later is better."
tests = [{ ways = ["later", "full"], metric = "success", expect = "higher" }]
"#;

/// Two ways with two training seeds each, ten episodes a split, and a third that nobody planned.
fn tree(dir: &Path) {
    let reports = dir.join("models/reports");
    fs::create_dir_all(&reports).unwrap();
    fs::write(reports.join("ways.toml"), WAYS).unwrap();
    let all = "rrrrrrrrrr";
    let groups = |val, paraphrase| [("val", val), ("train", all), ("paraphrase", paraphrase)];
    let full = ["rrrrrrwwww", "rrrrrwwwwx"];
    for (seed, val) in (0..).zip(full) {
        let run = write_run(&reports, "full", seed, &groups(val, "rrrrrwwwww"));
        write_train(&run, "full", seed, 6_300_000, 30.0 + seed as f64);
        write_probe(&run, 0.9, 0.7 + 0.1 * seed as f64);
        write_run(&reports, "lora", seed, &groups(all, all));
    }
    let run = write_run(&reports, "odd", 7, &[("val", "xxxxxxxxxx")]);
    write_train(&run, "odd", 7, 640, 0.5);
}

fn near(value: &Value, want: f64) {
    let got = value.as_f64().unwrap_or(f64::NAN);
    assert!((got - want).abs() < 1e-6, "{got}, not {want}");
}

#[test]
fn figures_are_those_counted_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let tables: Value = serde_json::from_str(&wink_ok(dir.path(), &["results", "--json"])).unwrap();
    assert_eq!(names(dir.path()), ["models"]);
    assert_eq!(names(&dir.path().join("models")), ["reports"]);

    let order: Vec<&Value> = tables["ways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| &way["way"])
        .collect();
    assert_eq!(order, ["full", "lora", "odd"]);
    assert_eq!(tables["without_reports"], json!(["later"]));
    assert_eq!(tables["control_split"], "val");

    // Pooled over the seeds; intervals from the beta quantiles of scipy.
    let full = &tables["ways"][0];
    let val = &full["rates"]["val"];
    for (rate, k, n, low, high) in [
        ("success", 11, 20, 0.315278133, 0.769422103),
        ("execution", 19, 20, 0.751267237, 0.998734910),
        ("recognition", 11, 19, 0.334997844, 0.797478561),
    ] {
        assert_eq!(
            (&val[rate]["k"], &val[rate]["n"]),
            (&json!(k), &json!(n)),
            "{rate}"
        );
        near(&val[rate]["low"], low);
        near(&val[rate]["high"], high);
    }
    near(&val["recognition"]["by_seed"]["0"], 0.6);
    near(&val["recognition"]["by_seed"]["1"], 5.0 / 9.0);
    near(&val["grounding"]["value"], (11.0 / 19.0 - 1.0 / 3.0) * 1.5);
    near(&val["grounding"]["by_seed"]["0"], 0.4);
    assert_eq!(full["rates"]["paraphrase"]["recognition"]["k"], 10);
    assert!(full["rates"].get("nonsense").is_none());
    // Newcombe's interval of 20/20 minus 11/19.
    near(&full["gap"]["value"], 1.0 - 11.0 / 19.0);
    near(&full["gap"]["low"], 0.172210787);
    near(&full["gap"]["high"], 0.637240965);
    assert_eq!(
        full["training"]["minutes"],
        json!({"min": 30.0, "max": 31.0})
    );
    assert_eq!(full["against_baseline"], json!({}));

    // Nothing executed, nothing recognised or not.
    let odd = &tables["ways"][2];
    assert_eq!(odd["title"], "odd by train.json");
    assert_eq!(odd["rates"]["val"]["recognition"]["value"], Value::Null);
    assert_eq!(odd["rates"]["val"]["recognition"]["by_seed"], json!({}));
    // It shares no training seed with the baseline.
    assert_eq!(odd["against_baseline"], json!({}));

    // p values are tails of a fair coin, corrected over the three tests of the split.
    let against = &tables["ways"][1]["against_baseline"]["val"];
    for (metric, pairs, first, second, p, holm) in [
        ("success", 20, 9, 0, 2.0 / 512.0, 6.0 / 512.0),
        ("execution", 20, 1, 0, 1.0, 1.0),
        ("recognition", 19, 8, 0, 2.0 / 256.0, 4.0 / 256.0),
    ] {
        let one = &against[metric];
        assert_eq!(
            (&one["pairs"], &one["only_first"], &one["only_second"]),
            (&json!(pairs), &json!(first), &json!(second)),
            "{metric}"
        );
        near(&one["p"], p);
        near(&one["p_holm"], holm);
    }
    // Tango's interval from maximising the likelihood numerically.
    near(&against["success"]["difference"]["low"], 0.216368522);
    near(&against["success"]["difference"]["high"], 0.657914657);
    near(&against["success"]["by_seed"]["1"], 0.5);

    let verdicts: Vec<&Value> = tables["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["verdict"])
        .collect();
    assert_eq!(verdicts, ["holds", "does not hold", "not resolved"]);
    let same = &tables["findings"][1]["tests"][1];
    assert_eq!(same["verdict"], "not resolved");
    near(&same["margin"], 0.1);
    assert_eq!(tables["findings"][2]["tests"][0]["comparison"], Value::Null);
    // Holm over the three tests that have figures.
    near(
        &tables["findings"][0]["tests"][0]["comparison"]["p_holm"],
        4.0 / 256.0,
    );

    let probe = &tables["probes"][0];
    assert_eq!(probe["way"], "full");
    near(&probe["groups"][0]["linear_probe"]["after"], 0.75);
    assert_eq!(probe["groups"][1]["linear_probe"]["before"], Value::Null);
}

#[test]
fn the_published_page_is_what_the_stored_reports_give() {
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    wink_ok(repository.as_ref(), &["results", "--check"]);
}

#[test]
fn the_page_is_the_same_bytes_twice_and_check_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let stale = wink(dir.path(), &["results", "--check"]);
    assert_eq!(stale.status.code(), Some(1));
    wink_ok(dir.path(), &["results"]);
    wink_ok(dir.path(), &["results", "--out", "other/RESULTS.md"]);
    wink_ok(dir.path(), &["results", "--check"]);

    let models = dir.path().join("models");
    let plots = ["recognition_execution.svg", "train_val.svg"];
    assert_eq!(names(&models), ["RESULTS.md", "reports", "results"]);
    assert_eq!(names(&models.join("results")), plots);
    let page = fs::read_to_string(models.join("RESULTS.md")).unwrap();
    assert_eq!(
        page,
        fs::read_to_string(dir.path().join("other/RESULTS.md")).unwrap()
    );
    for plot in plots {
        let svg = fs::read_to_string(models.join("results").join(plot)).unwrap();
        assert_eq!(
            svg,
            fs::read_to_string(dir.path().join("other/results").join(plot)).unwrap()
        );
        assert!(
            svg.starts_with("<svg ") && svg.contains("Full | fine-tuning"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(page.contains(&format!("](results/{plot})")));
    }

    for told in [
        "| Full \\| fine-tuning (baseline) | 2 | **55.0%** [31.5, 76.9]<br><sub>11/20, seeds 50.0 .. 60.0</sub> |",
        "**57.9%** [33.5, 79.7]<br><sub>11/19, seeds 55.6 .. 60.0</sub>",
        "| lora | 2 | **100.0%** [83.2, 100.0]<br><sub>20/20, seeds 100.0 .. 100.0</sub> |",
        "| odd by train.json | 1 | **0.0%** [0.0, 30.8]<br><sub>0/10</sub> | **0.0%** [0.0, 30.8]<br><sub>0/10</sub> | undefined<br><sub>0/0</sub> |",
        "Planned, without reports: Not run yet.",
        "| LoRA keeps more. | **holds** |",
        "| LoRA keeps less, and executes the same. | **does not hold** |",
        "| Later is better. | **not resolved** |",
        "| Full \\| fine-tuning (baseline) | 100.0% | 57.9% | +42.1 [+17.2, +63.7] |",
        "| lora | **+45.0 [+21.6, +65.8]**<br><sub>9 / 0 of 20, p 0.0039</sub> | +5.0",
        "90.0 → 75.0<br><sub>n 100</sub>",
        "50.0 → -",
        "| Full \\| fine-tuning (baseline) | 0, 1 | 6.3 M | 6.3 M | 3.0 k | 48 k | 30 .. 31 | one GPU | int8 |",
        "| lora | 0, 1 | - | - | - | - | - | - | int8 |",
    ] {
        assert!(page.contains(told), "no `{told}` in\n{page}");
    }
    // Main rows come first.
    let place = |words: &str| page.find(words).unwrap();
    assert!(place("**57.9%**") < place("## Further rows"));
    assert!(place("## Further rows") < place("| odd by train.json | 1 |"));

    let plot = models.join("results/train_val.svg");
    fs::write(&plot, "<svg/>").unwrap();
    let stale = wink(dir.path(), &["results", "--check"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(text(&stale.stderr).contains("train_val.svg"));
    assert!(!text(&stale.stderr).contains("RESULTS.md"));
    assert_eq!(fs::read_to_string(plot).unwrap(), "<svg/>");
}

#[test]
fn reads_what_eval_writes() {
    let dir = tempfile::tempdir().unwrap();
    for (way, policy) in [("expert", "expert"), ("chance", "random")] {
        let out = format!("models/reports/{way}/seed-0");
        let args = [
            "eval",
            "--policy",
            policy,
            "--episodes",
            "2",
            "--no-html",
            "--out",
            &out,
        ];
        wink_ok(dir.path(), &args);
    }
    wink_ok(dir.path(), &["results"]);
    wink_ok(dir.path(), &["results", "--check"]);
    let page = fs::read_to_string(dir.path().join("models/RESULTS.md")).unwrap();
    assert!(
        page.contains("| expert | 1 | **100.0%** [15.8, 100.0]<br><sub>2/2</sub> |"),
        "{page}"
    );
    assert!(
        page.contains("| chance | 1 | **0.0%** [0.0, 84.2]<br><sub>0/2</sub> |"),
        "{page}"
    );
}

#[test]
fn broken_reports_are_told_by_name() {
    let table: &[Case] = &[
        (
            "no reports",
            |reports| fs::remove_dir_all(reports).unwrap(),
            &["models/reports"],
        ),
        (
            "no ways",
            |reports| {
                for way in ["full", "lora", "odd"] {
                    fs::remove_dir_all(reports.join(way)).unwrap();
                }
            },
            &["models/reports", "wink eval"],
        ),
        (
            "no run",
            |reports| fs::create_dir(reports.join("empty")).unwrap(),
            &["models/reports/empty", "seed-0"],
        ),
        (
            "no seed in the name",
            |reports| fs::rename(reports.join("odd/seed-7"), reports.join("odd/run-7")).unwrap(),
            &["odd/run-7", "seed-0"],
        ),
        (
            "no rows",
            |reports| fs::remove_file(reports.join("lora/seed-1/episodes.parquet")).unwrap(),
            &["lora/seed-1/episodes.parquet"],
        ),
        (
            "half the rows' file",
            |reports| {
                let path = reports.join("lora/seed-1/episodes.parquet");
                let bytes = fs::read(&path).unwrap();
                fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["lora/seed-1/episodes.parquet"],
        ),
        (
            "a column is missing",
            |reports| {
                let rows = batch(&[("val", "xxxxxxxxxx")])
                    .project(&[0, 1, 2, 3, 4, 5, 6, 8])
                    .unwrap();
                write_rows(&reports.join("odd/seed-7/episodes.parquet"), &rows);
            },
            &["odd/seed-7/episodes.parquet", "`success`"],
        ),
        (
            "rows of another run",
            |reports| {
                let rows = batch(&[("val", "rrrrrrrrrr")]);
                write_rows(&reports.join("odd/seed-7/episodes.parquet"), &rows);
            },
            &["odd/seed-7/episodes.parquet", "val, SR", "10/10", "0/10"],
        ),
        (
            "no JSON",
            |reports| fs::write(reports.join("full/seed-0/report.json"), "{ \"policy\"").unwrap(),
            &["full/seed-0/report.json", "line 1"],
        ),
        (
            "a count is no number",
            |reports| {
                edit(&reports.join("full/seed-0/report.json"), |report| {
                    report["splits"]["val"]["sr"]["k"] = json!("many");
                });
            },
            &["full/seed-0/report.json", "many"],
        ),
        (
            "other episodes",
            |reports| {
                edit(&reports.join("lora/seed-1/report.json"), |report| {
                    report["episodes"] = json!(300)
                });
            },
            &["full/seed-0", "lora/seed-1", "10 and 300"],
        ),
        (
            "another base seed",
            |reports| {
                edit(&reports.join("lora/seed-1/report.json"), |report| {
                    report["seed"] = json!(5)
                });
            },
            &["full/seed-0", "lora/seed-1", "0 and 5"],
        ),
        (
            "another precision",
            |reports| {
                edit(&reports.join("lora/seed-1/report.json"), |report| {
                    report["precision"] = json!("f32")
                });
            },
            &["lora/seed-0", "lora/seed-1", "int8 and f32"],
        ),
        (
            "another table under the same seed",
            |reports| {
                let rows = batch(&[("val", "xxxxxxxxxx")]);
                let words = arrow::array::StringArray::from(vec!["elsewhere"; 10]);
                let mut columns = rows.columns().to_vec();
                columns[5] = std::sync::Arc::new(words);
                let rows =
                    arrow::record_batch::RecordBatch::try_new(rows.schema(), columns).unwrap();
                write_rows(&reports.join("odd/seed-7/episodes.parquet"), &rows);
            },
            &["full/seed-0", "odd/seed-7", "elsewhere"],
        ),
        (
            "train.json of another run",
            |reports| write_train(&reports.join("lora/seed-1"), "lora", 0, 1, 1.0),
            &["lora/seed-1/train.json", "seed 0"],
        ),
        (
            "train.json of another way",
            |reports| write_train(&reports.join("lora/seed-1"), "full", 1, 1, 1.0),
            &["lora/seed-1/train.json", "`full`"],
        ),
        (
            "an accuracy in percent",
            |reports| write_probe(&reports.join("lora/seed-1"), 90.0, 0.5),
            &["lora/seed-1/probe.json", "vision.0", "90"],
        ),
        (
            "a key that does not exist",
            |reports| fs::write(reports.join("ways.toml"), "base = \"full\"").unwrap(),
            &["ways.toml", "base"],
        ),
        (
            "a way that is not listed",
            |reports| {
                let ways = WAYS.replacen("\"lora\", \"full\"", "\"loar\", \"full\"", 1);
                fs::write(reports.join("ways.toml"), ways).unwrap();
            },
            &["ways.toml", "loar"],
        ),
        (
            "a split that does not exist",
            |reports| {
                let ways = WAYS.replace("on = \"val\"", "on = \"test\"");
                fs::write(reports.join("ways.toml"), ways).unwrap();
            },
            &["ways.toml", "LoRA keeps less", "test", "paraphrase"],
        ),
    ];
    each_is_told(table, tree, "models/reports");
}

/// A sweep of one scheduler: success of ten at each latency of 0, 100 and 200 ms, in f32 and int8; 0 stands for n/a.
fn sweep(speed: f64, f32: [u64; 3], int8: [u64; 3]) -> Value {
    let rate =
        |k: u64| json!({ "k": k, "n": 10, "value": k as f64 / 10.0, "low": 0.1, "high": 0.9 });
    let cell = |latency_ms: u64, precision: &str, k: u64| {
        let figures = json!({
            "sr": rate(k), "execution": rate(k), "recognition": rate(10), "jerk_m_s3": 20.0, "finish_s": 5.0,
            "late": { "policy": 0, "camera": 0, "link": 0, "chunks": 0 },
            "policy_p50_us": if precision == "f32" { 2_000 } else { 1_000 },
        });
        json!({
            "latency_us": 1_000 * latency_ms, "delay_steps": 0, "scheduler": "naive", "precision": precision,
            "figures": if k > 0 { figures } else { Value::Null },
            "not_possible": if k > 0 { Value::Null } else { json!("d > H - s") },
        })
    };
    let mut cells = Vec::new();
    for (place, latency_ms) in [0, 100, 200].into_iter().enumerate() {
        cells.push(cell(latency_ms, "f32", f32[place]));
        cells.push(cell(latency_ms, "int8", int8[place]));
    }
    json!({
        "policy": "tiny 1", "seed": 3, "wink": "0", "episodes": 10, "splits": ["val"], "card_speed_m_s": speed, "cells": cells,
    })
}

#[test]
fn stored_sweeps_are_shown_with_what_a_precision_buys() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tree(dir);
    let put = |name: &str, sweep: &Value| {
        let folder = dir.join("models/latency").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sweep.json"), sweep.to_string()).unwrap();
    };
    put("a-moving", &sweep(0.1, [9, 5, 0], [9, 4, 3]));
    put("standing", &sweep(0.0, [10, 8, 5], [10, 9, 6]));
    wink_ok(dir, &["results"]);
    wink_ok(dir, &["results", "--check"]);
    let page = fs::read_to_string(dir.join("models/RESULTS.md")).unwrap();
    let (standing, moving) = (
        page.find("### standing: standing cards").unwrap(),
        page.find("### a-moving: cards that slide").unwrap(),
    );
    assert!(standing < moving);
    assert!(page.contains("cards sliding at 100 mm/s"), "{page}");
    assert!(
        page.contains("took 2.00 times as long as in int8"),
        "{page}"
    );
    // int8 is counted at 100 ms where f32 takes 200.
    assert!(
        page.contains(
            "| naive | 200 ms | **50.0%** [10.0, 90.0] | 100 ms | **90.0%** [10.0, 90.0] | +40.0"
        ),
        "{page}"
    );
    assert!(
        page.contains("| naive | 200 ms | n/a | 100 ms | **40.0%** [10.0, 90.0] | - |"),
        "{page}"
    );
    assert!(
        page.contains(
            "--sweep-latency 0,100,200ms --scheduler naive --moving-cards 100mm/s --out DIR"
        ),
        "{page}"
    );
    let json: Value = serde_json::from_str(&wink_ok(dir, &["results", "--json"])).unwrap();
    assert_eq!(json["latency"][0]["name"], "standing");
    assert_eq!(json["latency"][0]["speeds"][0]["ratio"], 2.0);
    let plots = names(&dir.join("models/results"));
    assert!(
        plots.contains(&"latency-standing-success.svg".to_owned()),
        "{plots:?}"
    );

    let mut broken = sweep(0.0, [10, 8, 5], [10, 9, 6]);
    broken["cells"][3]["not_possible"] = json!("both");
    put("standing", &broken);
    let told = wink(dir, &["results"]);
    assert_eq!(told.status.code(), Some(2));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(
        told.contains("standing/sweep.json") && told.contains("cells[3]"),
        "{told}"
    );
}
