//! One policy in several precisions: what `wink eval` compares, and what `wink results` makes of stored variants.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/reports.rs"]
mod reports;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use common::{names, read, wink, wink_ok};
use reports::{Case, each_is_told, edit, write_evaluation, write_run};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s");

const PLAN: &str = r#"
baseline = "f32"
evaluated = "wink eval"

[[variant]]
folder = "f32"

[[variant]]
folder = "w4"
title = "w4 | naive"
made = "wink quantize --scheme w4"

[[variant]]
folder = "w4-aware"

[[variant]]
folder = "later"

[[pair]]
naive = "w4"
aware = "w4-aware"

[[goal]]
says = "4-bit is near"
variants = ["w4", "w4-aware", "later"]
within = 0.03
"#;

/// A float variant and three others, twenty episodes of val and of train.
fn tree(dir: &Path) {
    let models = dir.join("models");
    write_run(&models.join("reports"), "full", 0, &[("val", "rrrw")]);
    let right = "rrrrrrrrrrrrrrrrrrrr";
    let variants = [
        ("f32", "f32", "rrrrrrrrrrrrrrrrrrwx", right),
        // Ten forgotten, one learnt, one executed that was not.
        ("w4", "w4", "wwwwwwwwwwrrrrrrrrrw", "wrrrrrrrrrrrrrrrrrrr"),
        ("w4-aware", "w4", "rrrrrrrrrrrrrrrrrrwx", right),
        ("odd", "int8", "wrrrrrrrrrrrrrrrrrwx", right),
    ];
    for (folder, precision, val, train) in variants {
        let dir = models.join("precisions").join(folder);
        write_evaluation(
            &dir,
            "small 1",
            precision,
            &[("val", val), ("train", train)],
        );
        if folder.starts_with("w4") {
            write_record(&dir, precision);
            write_bench(&dir, precision);
        }
    }
    fs::write(models.join("precisions/precisions.toml"), PLAN).unwrap();
}

/// What `wink quantize` writes, another scheme's part too.
fn write_record(dir: &Path, scheme: &str) {
    let part = |scheme: &str, bytes: u64| {
        json!({
            "scheme": scheme, "bytes": bytes, "float_layers": 1, "action_rms": 0.0625, "action_max": 0.5,
            "translation_rms_mm": 0.25, "gripper_flips": [1, 384], "latency_ms": null,
            "layers": [{"layer": "a", "precision": "f32", "n": 1}, {"layer": "b", "precision": scheme, "n": 2}],
        })
    };
    let record = json!({
        "policy": "small 1", "calibration_samples": 9, "held_out_samples": 48, "calibration": "min-max", "reshaped": [],
        "float_bytes": 1_600_000, "schemes": [part("f16", 900_000), part(scheme, 400_000)],
    });
    fs::write(dir.join("quantize.json"), record.to_string()).unwrap();
}

/// What `wink bench --json` prints, another engine's rows and another precision's too.
fn write_bench(dir: &Path, precision: &str) {
    let row = |precision: &str, engine: &str, threads: u64, median_ms: f64| {
        json!({
            "model": "small", "precision": precision, "engine": engine, "threads": threads, "median_ms": median_ms,
            "min_ms": 1.0, "n": 5,
        })
    };
    let rows = json!([
        row("f32", "wink", 1, 9.5),
        row(precision, "tract", 1, 8.5),
        row(precision, "wink", 2, 1.5),
        row(precision, "wink", 1, 2.25),
    ]);
    fs::write(dir.join("bench.json"), rows.to_string()).unwrap();
}

fn near(value: &Value, want: f64) {
    let got = value.as_f64().unwrap_or(f64::NAN);
    assert!((got - want).abs() < 1e-6, "{got}, not {want}");
}

#[test]
fn what_is_forgotten_is_counted_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let tables: Value = serde_json::from_str(&wink_ok(dir.path(), &["results", "--json"])).unwrap();
    let precisions = &tables["precisions"];
    let order: Vec<&Value> = precisions["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| &variant["variant"])
        .collect();
    assert_eq!(order, ["f32", "w4", "w4-aware", "odd"]);
    assert_eq!(precisions["without_reports"], json!(["later"]));
    assert_eq!(tables["ways"].as_array().unwrap().len(), 1);

    let [float, naive] = [&precisions["variants"][0], &precisions["variants"][1]];
    assert_eq!(float["bytes"], 1_600_000);
    assert_eq!(float["action"], Value::Null);
    assert_eq!(naive["bytes"], 400_000);
    assert_eq!(naive["float_layers"], json!([1, 2]));
    near(&naive["action"]["action_rms"], 0.0625);
    assert_eq!(naive["policy_p50_us"], 12_345);
    near(&naive["inference_ms"], 2.25);
    assert_eq!(float["inference_ms"], Value::Null);

    // Recognition: nineteen that both executed; ten heads of eleven coins, three variants with three rates each.
    let against = &naive["against_baseline"]["val"]["recognition"];
    assert_eq!(
        (
            &against["pairs"],
            &against["only_first"],
            &against["only_second"]
        ),
        (&json!(19), &json!(1), &json!(10))
    );
    near(&against["p"], 24.0 / 2048.0);
    // Success differs as much; it and recognition are the least of nine.
    near(&against["p_holm"], 9.0 * 24.0 / 2048.0);
    let pair = &precisions["pairs"][0]["aware_against_naive"]["val"]["recognition"];
    assert_eq!(pair["only_first"], 10);
    near(&pair["p_holm"], 3.0 * 24.0 / 2048.0);

    let met: Vec<(&Value, &Value)> = precisions["goals"][0]["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|test| (&test["variant"], &test["is_met"]))
        .collect();
    let want = [
        ("w4", true),
        ("w4", false),
        ("w4-aware", true),
        ("w4-aware", true),
    ];
    assert_eq!(met.len(), want.len());
    for ((variant, is_met), want) in met.into_iter().zip(want) {
        assert_eq!((variant, is_met), (&json!(want.0), &json!(want.1)));
    }

    let forgotten = &precisions["forgotten"];
    let loss = &forgotten["variants"][0];
    assert_eq!(
        (&loss["pairs"], &loss["lost"], &loss["gained"]),
        (&json!(39), &json!(11), &json!(1))
    );
    assert_eq!(loss["emojis_lost"].as_array().unwrap().len(), 10);
    assert_eq!(loss["emojis_gained"], 1);
    // `label 0` alone is also lost by a variant of another precision.
    assert_eq!(loss["shared"], json!(["label 0"]));
    assert_eq!(forgotten["variants"][1]["lost"], 0);
    let first = &forgotten["emojis"][0];
    assert_eq!(first["label"], "label 0");
    assert_eq!(first["splits"], json!(["train", "val"]));
    assert_eq!(first["by_variant"]["w4"]["lost"], 2);
    assert_eq!(first["by_variant"]["odd"]["lost"], 1);
    assert!(first["by_variant"].get("w4-aware").is_none());
}

#[test]
fn the_page_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    wink_ok(dir.path(), &["results"]);
    wink_ok(dir.path(), &["results", "--check"]);
    let page = fs::read_to_string(dir.path().join("models/RESULTS.md")).unwrap();
    for told in [
        "## Which precision forgets what",
        "small 1 in 4 variants of precision, each on the same 20 episodes of every split (base seed 0)",
        "Planned, without reports: later.",
        "  - w4 \\| naive: **surely missed**. On val: execution +5.0 [",
        "  - w4-aware: **met, not surely**. On val: execution 0.0 [",
        "| f32 (baseline) | 1,600,000 | 100% | - | - | - | - | - | - |",
        "| w4 \\| naive | 400,000 | 25% | 1 of 2 | 0.0625 | 0.50 | 0.25 | 1 of 384 | 2.2 |",
        "| w4 \\| naive | **45.0%** [23.1, 68.5]<br><sub>9/20</sub> |",
        "<br><sub>1 / 10 of 19, p 0.0117</sub> |",
        "| w4-aware − w4 \\| naive |",
        "| 0.0625 → 0.0625 | 400,000 → 400,000 |",
        "| w4 \\| naive | 11 of 39 | 1 | 10 | 1 | 1 |",
        "| label 0 | train, val | 2 | −2 |  | −1 |",
        "<summary>Emojis that one variant alone loses: 9</summary>",
        "- w4 \\| naive: `wink quantize --scheme w4`, ranges by min-max",
    ] {
        assert!(page.contains(told), "no `{told}` in\n{page}");
    }
    fs::remove_dir_all(dir.path().join("models/precisions/odd")).unwrap();
    let stale = wink(dir.path(), &["results", "--check"]);
    assert_eq!(stale.status.code(), Some(1));
}

#[test]
fn eval_compares_precisions_and_results_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "eval",
        "--policy",
        SHIPPED,
        "--split",
        "val",
        "--controls",
        "none",
        "--episodes",
        "1",
        "--no-html",
    ];
    let out = ["--precision", "f32,int8", "--out", "models/precisions"];
    let told = wink_ok(dir.path(), &[&args[..], &out].concat());
    for name in [
        "f32",
        "int8",
        "execution − f32",
        "policy p50, ms",
        "6662495",
    ] {
        assert!(told.contains(name), "no {name} in\n{told}");
    }
    let path = dir.path().join("models/precisions");
    assert_eq!(names(&path), ["f32", "int8", "precisions.json"]);
    assert_eq!(
        names(&path.join("f32")),
        ["episodes.parquet", "report.json"]
    );
    assert_eq!(
        names(&path.join("int8")),
        ["episodes.parquet", "quantize.json", "report.json"]
    );

    // Each folder holds what the precision alone gives, but for the time it took.
    wink_ok(
        dir.path(),
        &[&args[..], &["--precision", "int8", "--out", "alone"]].concat(),
    );
    let report = |path: &Path| -> Value {
        let mut report: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        report["latency_us"] = Value::Null;
        report
    };
    let alone = dir.path().join("alone");
    assert_eq!(
        report(&path.join("int8/report.json")),
        report(&alone.join("report.json"))
    );
    assert_eq!(
        read(&path.join("int8/episodes.parquet")),
        read(&alone.join("episodes.parquet"))
    );

    let compared: Value =
        serde_json::from_slice(&fs::read(path.join("precisions.json")).unwrap()).unwrap();
    let [first, second] = [&compared["precisions"][0], &compared["precisions"][1]];
    assert_eq!(first["action"], Value::Null);
    assert_eq!(first["groups"]["val"]["against_first"], json!({}));
    assert!(second["action"]["action_rms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        second["groups"]["val"]["against_first"]["success"]["pairs"],
        1
    );

    write_run(
        &dir.path().join("models/reports"),
        "full",
        0,
        &[("val", "r")],
    );
    let tables: Value = serde_json::from_str(&wink_ok(dir.path(), &["results", "--json"])).unwrap();
    let variants = &tables["precisions"]["variants"];
    assert_eq!(variants[1]["bytes"], second["bytes"]);
    assert_eq!(variants[1]["action"], second["action"]);
}

#[test]
fn broken_variants_are_told_by_name() {
    let table: &[Case] = &[
        (
            "no rows",
            |dir| fs::remove_file(dir.join("w4/episodes.parquet")).unwrap(),
            &["precisions/w4/episodes.parquet"],
        ),
        (
            "quantize.json of another precision",
            |dir| write_record(&dir.join("w4"), "w4a8"),
            &["precisions/w4/quantize.json", "w4"],
        ),
        (
            "bench.json of another precision",
            |dir| write_bench(&dir.join("w4"), "w4a8"),
            &["precisions/w4/bench.json", "w4"],
        ),
        (
            "other float graphs",
            |dir| {
                edit(&dir.join("w4/quantize.json"), |record| {
                    record["float_bytes"] = json!(7)
                })
            },
            &["precisions/w4 ", "precisions/w4-aware", "7 and 1600000"],
        ),
        (
            "another policy",
            |dir| {
                edit(&dir.join("odd/report.json"), |report| {
                    report["policy"] = json!("large 1")
                })
            },
            &["precisions/odd", "small 1 and large 1"],
        ),
        (
            "other episodes",
            |dir| {
                edit(&dir.join("odd/report.json"), |report| {
                    report["episodes"] = json!(300)
                })
            },
            &["precisions/odd", "20 and 300"],
        ),
        (
            "a variant that is not listed",
            |dir| {
                fs::write(
                    dir.join("precisions.toml"),
                    PLAN.replace("aware = \"w4-aware\"", "aware = \"w5\""),
                )
                .unwrap()
            },
            &["precisions.toml", "`w5`"],
        ),
        (
            "a goal without a baseline",
            |dir| {
                fs::write(
                    dir.join("precisions.toml"),
                    PLAN.replace("baseline = \"f32\"", ""),
                )
                .unwrap()
            },
            &["precisions.toml", "4-bit is near", "baseline"],
        ),
        (
            "a goal in percent",
            |dir| fs::write(dir.join("precisions.toml"), PLAN.replace("0.03", "3")).unwrap(),
            &["precisions.toml", "4-bit is near", "within 3"],
        ),
    ];
    each_is_told(table, tree, "models/precisions");
}
