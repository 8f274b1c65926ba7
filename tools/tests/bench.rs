//! `wink bench` on the command line: every engine runs the graph, with times, loading and memory.

#![allow(clippy::unwrap_used)]

mod common;

use serde_json::Value;

use common::{text, tokens, wink, wink_ok};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny");
const INT8: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../models/wink-s/act.int8.onnx"
);

#[test]
fn every_engine_has_a_row_with_times_loading_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["bench", INT8, "--engines", "wink,tract,rten", "--runs", "2"];
    let rows: Value =
        serde_json::from_str(&wink_ok(dir.path(), &[&args[..], &["--json"]].concat())).unwrap();
    let rows = rows.as_array().unwrap();
    let engines: Vec<&str> = rows
        .iter()
        .map(|row| row["engine"].as_str().unwrap())
        .collect();
    assert_eq!(engines, ["wink", "tract", "rten"]);
    for row in rows {
        assert_eq!(row["model"], "act");
        assert_eq!(row["precision"], "int8");
        assert_eq!(row["threads"], 1);
        assert_eq!(row["n"], 2);
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("min_ms") > 0.0 && number("median_ms") >= number("min_ms"));
        assert!(number("load_ms") > 0.0, "{row}");
        if cfg!(target_os = "linux") {
            // Its weights are in there, and no more than a few times what a process may hold of so small a model.
            assert!((5e6..1e9).contains(&number("peak_bytes")), "{row}");
        }
    }
    let table = wink_ok(
        dir.path(),
        &["bench", FIXTURE, "--engines", "wink", "--runs", "1"],
    );
    assert!(
        table.contains("load ms") && table.contains("peak MB"),
        "{table}"
    );
}

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s/text.onnx");

/// What `wink quantize` writes loads in another engine, which gives the same outputs: floats of `text` and its mask.
#[test]
fn every_scheme_runs_in_rten_and_all_outputs_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tokens(dir, "in.npz", "tokens", 16, 3);
    let schemes = ["int8", "int8-dynamic", "w4a8", "w4", "f16"];
    let all = schemes.join(",");
    let args = [
        "quantize", TEXT, "--inputs", "in.npz", "--out", "q", "--scheme",
    ];
    wink_ok(dir, &[&args[..], &[&all]].concat());
    for scheme in schemes {
        let file = format!("q/text.{scheme}.onnx");
        let args = [
            "bench", &file, "--inputs", "in.npz", "--runs", "1", "--json",
        ];
        let rows = wink_ok(dir, &[&args[..], &["--engines", "wink,rten"]].concat());
        let rows: Value = serde_json::from_str(&rows).unwrap();
        assert_eq!(rows[0]["difference"], Value::Null);
        let rten = &rows[1];
        assert_eq!(rten["refused"], Value::Null, "{rten}");
        assert!(rten["compared"].as_u64() > Some(16), "{rten}");
        // Activations that lie between two steps of 8 bits fall to either side, and rten computes halves in single precision.
        assert!(
            rten["difference"].as_f64().unwrap() < 0.1,
            "{scheme}: {rten}"
        );
    }
}

#[test]
fn one_engine_alone_compares_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["bench", TEXT, "--runs", "1", "--engines"];
    let alone = wink_ok(dir.path(), &[&args[..], &["tract"]].concat());
    assert!(alone.contains("nothing compared"), "{alone}");
    let both = wink_ok(dir.path(), &[&args[..], &["wink,tract"]].concat());
    assert!(!both.contains("nothing compared"), "{both}");
    let inputs = ["--inputs", "in.npz"];
    tokens(dir.path(), "in.npz", "words", 16, 3);
    let output = wink(dir.path(), &[&args[..], &["wink"], &inputs].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("tokens"));
}

#[test]
fn a_file_that_is_no_graph_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("notes.onnx"), "not a graph").unwrap();
    for file in ["notes.onnx", "missing.onnx"] {
        let output = wink(dir.path(), &["bench", file]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(file) && said.trim().lines().count() == 1,
            "{said}"
        );
    }
}
