//! `wink quantize` on the command line: a package comes out that runs, and bad input is told in one line.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use serde_json::Value;

use common::{text, wink, wink_ok};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s");

#[test]
fn a_package_of_two_schemes_runs_and_says_how_far_off_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "quantize",
        "--policy",
        SHIPPED,
        "--scheme",
        "int8,w4",
        "--episodes",
        "2",
        "--held-out",
        "1",
        "--every",
        "48",
        "--out",
        "q",
        "--json",
    ];
    let report: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    let schemes = report["schemes"].as_array().unwrap();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let rms = scheme["action_rms"].as_f64().unwrap();
        assert!(rms > 0.0 && rms < 0.5, "{rms}");
        assert!(scheme["bytes"].as_u64() < report["float_bytes"].as_u64());
        assert_eq!(scheme["layers"].as_array().unwrap().len(), 93);
    }
    let inspected: Value =
        serde_json::from_str(&wink_ok(dir.path(), &["inspect", "q", "--json"])).unwrap();
    assert_eq!(inspected["manifest"]["default_precision"], "int8");
    for precision in ["f32", "int8", "w4"] {
        assert!(
            inspected["precisions"].get(precision).is_some(),
            "{precision}"
        );
    }
    let ran = wink_ok(
        dir.path(),
        &[
            "eval",
            "--policy",
            "q",
            "--precision",
            "w4",
            "--split",
            "id",
            "--episodes",
            "1",
            "--controls",
            "none",
            "--json",
        ],
    );
    assert!(ran.contains("\"precision\": \"w4\""), "{ran}");
}

#[test]
fn bad_input_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--policy", "nowhere", "--scheme", "int8"], "nowhere"),
        (
            &["--policy", SHIPPED, "--scheme", "int8", "--from", "int8"],
            "is quantised already",
        ),
        (
            &["--policy", SHIPPED, "--scheme", "int8", "--data", "nowhere"],
            "--data",
        ),
        (
            &["--policy", SHIPPED, "--scheme", "int8", "--smooth", "2"],
            "must be 0 to 1",
        ),
        (&["--policy", SHIPPED, "--scheme", "int7"], "int7"),
    ];
    for (args, told) in cases {
        let args: Vec<&str> = [
            "quantize",
            "--out",
            "q",
            "--episodes",
            "1",
            "--held-out",
            "1",
        ]
        .iter()
        .chain(args)
        .copied()
        .collect();
        let output = wink(dir.path(), &args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains(told) && said.trim().lines().count() == 1,
            "{args:?}: {said}"
        );
        assert!(!Path::new(dir.path()).join("q").exists());
    }
}
