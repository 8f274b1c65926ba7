//! `wink eval` end to end, with the expert and with chance.

#![allow(clippy::unwrap_used)]

mod common;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, UInt64Type};
use serde_json::Value;

use common::{names, read, text, wink, wink_ok};

const GROUPS: [&str; 6] = [
    "id",
    "train",
    "val",
    "other_label",
    "nonsense",
    "paraphrase",
];

/// The scores of a split or a control.
fn group<'a>(report: &'a Value, key: &str) -> &'a Value {
    let scores = report["splits"]
        .get(key)
        .or_else(|| report["controls"].get(key));
    scores.unwrap_or_else(|| panic!("no {key} in {report}"))
}

#[test]
fn the_expert_executes_and_follows_the_label() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "eval",
        "--policy",
        "expert",
        "--episodes",
        "3",
        "--seed",
        "7",
    ];
    let tables = wink_ok(
        dir.path(),
        &[&args[..], &["--jobs", "2", "--out", "two"]].concat(),
    );
    let json = wink_ok(
        dir.path(),
        &[&args[..], &["--jobs", "1", "--out", "one", "--json"]].concat(),
    );
    for name in [
        "SR",
        "execution",
        "recognition",
        "grounding",
        "never grasped",
        "wrong card",
        "policy",
        "world",
        "whole tick",
    ] {
        assert!(tables.contains(name), "no {name} in\n{tables}");
    }

    let out = dir.path().join("one");
    assert_eq!(names(dir.path()), ["one", "two"]);
    assert_eq!(
        names(&out),
        ["episodes.parquet", "report.html", "report.json"]
    );
    assert_eq!(
        json,
        std::fs::read_to_string(out.join("report.json")).unwrap()
    );

    // The rows do not depend on how many episodes run side by side: the same file, byte for byte.
    let rows = |run: &str| std::fs::read(dir.path().join(run).join("episodes.parquet")).unwrap();
    assert!(rows("one") == rows("two"));

    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["policy"], "expert");
    assert_eq!(report["precision"], Value::Null);
    assert_eq!(report["seed"], 7);
    for key in GROUPS {
        let scores = group(&report, key);
        for rate in ["sr", "execution", "recognition", "grounding"] {
            for field in ["k", "n", "value", "low", "high"] {
                assert!(
                    scores[rate].get(field).is_some(),
                    "no {field} in {rate} of {key}"
                );
            }
        }
        assert_eq!(scores["execution"]["k"], 3, "{key}");
        assert_eq!(scores["execution"]["n"], 3, "{key}");
        if key != "nonsense" {
            assert_eq!(scores["sr"]["k"], 3, "{key}");
            assert_eq!(scores["recognition"]["value"], 1.0, "{key}");
            assert_eq!(scores["grounding"]["value"], 1.0, "{key}");
        }
    }
    for stage in ["policy", "world", "tick"] {
        for field in ["p50", "p95", "p99", "max"] {
            assert!(
                report["latency_us"][stage][field].is_number(),
                "{stage} {field}"
            );
        }
    }

    let rows = read(&out.join("episodes.parquet"));
    assert_eq!(rows.num_rows(), 3 * GROUPS.len());
    let column = |name: &str| {
        rows.column_by_name(name)
            .unwrap_or_else(|| panic!("no column {name}"))
    };
    // Every tick of every episode was timed, and the expert was asked at each.
    let steps = column("steps").as_primitive::<Int64Type>();
    let ticks: i64 = steps.values().iter().sum();
    assert!(ticks > 18 * 100, "{ticks}");
    for stage in ["policy", "world", "tick"] {
        assert_eq!(report["latency_us"][stage]["n"], ticks, "{stage}");
    }
    let controls = column("control").as_string::<i32>();
    let (target, judged) = (
        column("target").as_primitive::<Int64Type>(),
        column("judged").as_primitive::<Int64Type>(),
    );
    for row in 0..rows.num_rows() {
        let control = controls.value(row);
        assert_eq!(
            column("seed").as_primitive::<UInt64Type>().value(row),
            7 + row as u64 % 3
        );
        assert_eq!(
            target.value(row) != judged.value(row),
            control == "other_label",
            "row {row}"
        );
        assert_eq!(
            column("failure").is_null(row),
            column("success").as_boolean().value(row)
        );
        let label = column("judged_label").as_string::<i32>().value(row);
        let instruction = column("instruction").as_string::<i32>().value(row);
        assert_eq!(
            instruction.contains(label),
            control != "nonsense",
            "{instruction}"
        );
        assert_eq!(
            instruction.starts_with("pick the block and place it on "),
            control != "paraphrase",
            "{instruction}"
        );
    }

    let html = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_eq!(html.matches("<article").count(), rows.num_rows());
    assert!(html.matches("data:image/jpeg;base64,").count() >= 5 * rows.num_rows());
    // Opens offline: nothing is fetched from anywhere.
    for reference in ["http://", "https://", "src=\"/", "<link"] {
        assert!(!html.contains(reference), "{reference}");
    }
    assert!(!html.contains("{{"));
    // Nine right ones, none wrong, each with its pictures once: above or in the list.
    assert_eq!(html.matches("class=\"pick\"").count(), 9);
    assert_eq!(html.matches(">pictures above<").count(), 9);
    assert!(html.contains("<h3>Wrong: 0</h3>"));

    for split in ["id", "train", "val"] {
        let confusion = &group(&report, split)["confusion"];
        assert_eq!(confusion["pairs"], Value::Array(Vec::new()));
        let sum = |tallies: Vec<&Value>, of: &str| -> u64 {
            tallies
                .iter()
                .map(|tally| tally[of].as_u64().unwrap())
                .sum()
        };
        let places: Vec<&Value> = confusion["places"].as_array().unwrap().iter().collect();
        let emojis: Vec<&Value> = confusion["emojis"].as_object().unwrap().values().collect();
        for tallies in [places, emojis] {
            for of in ["named", "executed", "right"] {
                assert_eq!(sum(tallies.clone(), of), 3, "{split} {of}");
            }
        }
    }
    assert!(group(&report, "nonsense").get("confusion").is_none());
}

#[test]
fn a_small_report_has_no_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "eval",
        "--policy",
        "random",
        "--split",
        "val",
        "--controls",
        "none",
    ];
    let some = ["--episodes", "14", "--pictures", "1", "--out", "some"];
    wink_ok(dir.path(), &[&args[..], &some].concat());
    let none = ["--episodes", "14", "--no-html", "--out", "none"];
    wink_ok(dir.path(), &[&args[..], &none].concat());
    assert_eq!(
        names(&dir.path().join("none")),
        ["episodes.parquet", "report.json"]
    );
    // The first episode, and ten beyond it that ended alike.
    let html = std::fs::read_to_string(dir.path().join("some/report.html")).unwrap();
    assert_eq!(html.matches("<article").count(), 14);
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 11 * 9);
    assert!(html.contains("<h3>Wrong: 10</h3>") && html.contains("execution failed: "));
}

#[test]
fn chance_executes_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let json = wink_ok(
        dir.path(),
        &[
            "eval",
            "--policy",
            "random",
            "--split",
            "train",
            "--controls",
            "nonsense",
            "--episodes",
            "2",
            "--json",
        ],
    );
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["splits"].as_object().unwrap().len(), 1);
    let scores = group(&report, "train");
    assert_eq!(scores["sr"]["k"], 0);
    assert_eq!(scores["recognition"]["n"], 0);
    assert_eq!(scores["recognition"]["value"], Value::Null);
    assert_eq!(scores["grounding"]["low"], Value::Null);
    let failures: u64 = scores["failures"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(failures, 2);
    assert_eq!(report["controls"].as_object().unwrap().len(), 1);
    assert_eq!(report["controls"]["nonsense"]["split"], "train");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_report_is_replaced_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "eval",
        "--policy",
        "random",
        "--split",
        "id",
        "--episodes",
        "1",
        "--out",
        "out",
    ];
    wink_ok(dir.path(), &args);
    let refused = wink(dir.path(), &args);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--force"));
    wink_ok(
        dir.path(),
        &[&args[..], &["--force", "--seed", "5"]].concat(),
    );
    let report = std::fs::read_to_string(dir.path().join("out/report.json")).unwrap();
    assert!(report.contains("\"seed\": 5"));
    assert_eq!(names(dir.path()), ["out"]);
}
