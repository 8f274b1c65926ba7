//! `wink quantize` on the command line: a package comes out that runs, and bad input is told in one line.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use serde_json::Value;
use tract_onnx::pb::GraphProto;
use wink_engine::OnnxElement as Element;

use common::onnx::{self, Npz, floats, node, tensor};
use common::{text, tokens, wink, wink_ok};

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

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/policies");

fn scheme<'a>(report: &'a Value, name: &str) -> &'a Value {
    let schemes = report["schemes"].as_array().unwrap();
    schemes.iter().find(|s| s["scheme"] == name).unwrap()
}

/// Policies of other shapes, calibrated on a recording: every stage has layers, and the error is that of the actions after the loop.
#[test]
fn every_stage_of_any_package_is_quantised() {
    let dir = tempfile::tempdir().unwrap();
    for (policy, stages) in [("act", &["act"][..]), ("diffusion", &["vision", "step"])] {
        let policy = format!("{POLICIES}/{policy}");
        let data = format!("{POLICIES}/dataset");
        let args = [
            "quantize",
            "--policy",
            &policy,
            "--data",
            &data,
            "--episodes",
            "1",
            "--held-out",
            "1",
            "--every",
            "4",
            "--scheme",
            "int8,f16",
            "--out",
            "q",
            "--force",
            "--json",
        ];
        let report: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
        let layers = scheme(&report, "int8")["layers"].as_array().unwrap();
        for stage in stages {
            let of_stage = |layer: &&Value| {
                let name = layer["layer"].as_str().unwrap();
                name.starts_with(&format!("{stage}/")) && layer["precision"] == "int8"
            };
            assert!(
                layers.iter().filter(of_stage).count() > 2,
                "{policy}: {stage}"
            );
        }
        let rms = |name| scheme(&report, name)["action_rms"].as_f64().unwrap();
        assert!(rms("f16") > 0.0 && rms("f16") < rms("int8") && rms("int8") < 0.5);
        let numbers = scheme(&report, "int8")["numbers"].as_array().unwrap();
        assert_eq!(numbers.len(), 6);
        assert_eq!(numbers[5]["unit"], "percent");
        let ran = wink_ok(
            dir.path(),
            &[
                "eval",
                "--policy",
                "q",
                "--precision",
                "int8",
                "--data",
                &data,
                "--json",
            ],
        );
        assert!(ran.contains("\"precision\": \"int8\""), "{ran}");
    }
}

#[test]
fn a_budget_keeps_the_layers_that_hurt_in_float() {
    let dir = tempfile::tempdir().unwrap();
    let policy = format!("{POLICIES}/act");
    let data = format!("{POLICIES}/dataset");
    let quantise = |extra: &[&str]| -> Value {
        let args = [
            &[
                "quantize",
                "--policy",
                &policy,
                "--data",
                &data,
                "--episodes",
                "1",
                "--held-out",
                "1",
                "--every",
                "6",
                "--scheme",
                "int8",
                "--out",
                "q",
                "--force",
                "--json",
            ],
            extra,
        ]
        .concat();
        serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap()
    };
    let free = quantise(&[]);
    let free = scheme(&free, "int8");
    let budget = free["action_rms"].as_f64().unwrap() / 2.0;
    let kept = quantise(&["--max-action-error", &budget.to_string()]);
    let kept = scheme(&kept, "int8");
    assert!(kept["action_rms"].as_f64().unwrap() <= budget * 1.01);
    assert!(kept["float_layers"].as_u64() > free["float_layers"].as_u64());
    let by_name = quantise(&["--keep-float", "act/"]);
    let by_name = scheme(&by_name, "int8");
    let all = by_name["layers"].as_array().unwrap().len();
    assert_eq!(by_name["float_layers"], all);
    // Large float weights are stored as halves.
    assert!(by_name["action_rms"].as_f64().unwrap() < budget / 10.0);
}

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s/text.onnx");

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&wink_ok(dir, args)).unwrap()
}

#[test]
fn a_bare_file_is_quantised_on_tensors_and_its_errors_are_those_of_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (file, first) in [("a.npz", 3), ("b.npz", 11), ("c.npz", 25)] {
        tokens(dir, file, "tokens", 16, first);
    }
    let args = [
        "quantize",
        TEXT,
        "--inputs",
        "a.npz",
        "--inputs",
        "b.npz",
        "--test-inputs",
        "c.npz",
        "--scheme",
        "int8,w4",
        "--out",
        "q",
        "--json",
    ];
    let report = json(dir, &args);
    assert_eq!(report["calibration_samples"], 2);
    assert_eq!(report["test_samples"], 1);
    assert_eq!(report["tested_on_calibration"], false);
    wink_ok(
        dir,
        &["check", TEXT, "--inputs", "c.npz", "--out", "float.npz"],
    );
    for scheme in report["schemes"].as_array().unwrap() {
        let file = scheme["file"].as_str().unwrap();
        let bytes = std::fs::metadata(dir.join(file)).unwrap().len();
        assert_eq!(scheme["bytes"], bytes);
        let outputs = scheme["outputs"].as_array().unwrap();
        let names: Vec<&str> = outputs
            .iter()
            .map(|o| o["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["text", "text_mask"]);
        let number = |key: &str| outputs[0][key].as_f64().unwrap();
        assert!(number("rms") > 0.0 && number("max") >= number("rms"));
        assert!(number("rms") < 0.5 * number("float_rms"), "{scheme}");
        assert_eq!(outputs[1]["max"], 0.0);
        // Another command, on the file itself.
        let expect = [
            "--inputs",
            "c.npz",
            "--expect",
            "float.npz",
            "--fused",
            "--json",
        ];
        let check = [&["check", file, "--tolerance", "1e9"], &expect[..]].concat();
        assert_eq!(
            json(dir, &check)["outputs"][0]["difference"],
            outputs[0]["max"]
        );
    }
}

#[test]
fn one_scheme_goes_into_the_file_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tokens(dir, "in.npz", "tokens", 16, 3);
    let args = [
        "quantize",
        TEXT,
        "--inputs",
        "in.npz",
        "--scheme",
        "int8-dynamic",
        "--out",
        "text.int8.onnx",
    ];
    let told = wink_ok(dir, &args);
    assert!(
        told.contains("the same samples") && told.contains("text.int8.onnx"),
        "{told}"
    );
    let ops = json(dir, &["inspect", "text.int8.onnx", "--json"]).to_string();
    assert!(ops.contains("MatMulInteger"), "{ops}");
    let again = wink(dir, &args);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--force"));
    wink_ok(dir, &[&args[..], &["--force"]].concat());
}

/// A scale for each channel came with opset 13: an older file is refused before it is calibrated, and what needs none is written.
#[test]
fn an_opset_that_lacks_the_operators_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let values: Vec<f32> = (0..64 * 8).map(|v| (v % 7) as f32 / 8.0 - 0.4).collect();
    Npz::create(dir, "x.npz").add("x", &[1, 64], vec![0.25_f32; 64]);
    for (version, scheme, taken) in [
        (11, "int8", false),
        (12, "w4", false),
        (11, "int8-dynamic", true),
        (10, "int8-dynamic", false),
        (13, "int8", true),
    ] {
        let graph = GraphProto {
            node: vec![node("MatMul", &["x", "w"], "y")],
            initializer: vec![floats("w", &[64, 8], &values)],
            input: vec![tensor("x", Element::F32, &[1, 64])],
            output: vec![tensor("y", Element::F32, &[1, 8])],
            ..GraphProto::default()
        };
        onnx::write(&dir.join("old.onnx"), version, graph);
        let args = [
            "quantize", "old.onnx", "--inputs", "x.npz", "--force", "--out", "q.onnx", "--scheme",
            scheme,
        ];
        let output = wink(dir, &args);
        let said = text(&output.stderr);
        let wanted = if taken { Some(0) } else { Some(2) };
        assert_eq!(output.status.code(), wanted, "{version} {scheme}: {said}");
        if !taken {
            let words = format!("of opset {version}, and {scheme} writes");
            assert!(said.contains(&words) && said.lines().count() == 1, "{said}");
        }
    }
}

#[test]
fn tensors_that_do_not_fit_a_bare_file_are_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tokens(dir, "in.npz", "tokens", 16, 3);
    tokens(dir, "short.npz", "tokens", 12, 3);
    tokens(dir, "other.npz", "words", 16, 3);
    std::fs::write(dir.join("junk.npz"), "junk").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&[TEXT], "--inputs"),
        (
            &[TEXT, "--inputs", "other.npz"],
            "input \"tokens\" is not in",
        ),
        (&[TEXT, "--inputs", "junk.npz"], "junk.npz"),
        (&[TEXT, "--inputs", "short.npz"], "tokens"),
        (
            &[TEXT, "--inputs", "in.npz", "--test-inputs", "short.npz"],
            "all samples have the same shapes",
        ),
        (
            &[TEXT, "--inputs", "in.npz", "--policy", SHIPPED],
            "--policy",
        ),
        (&["--inputs", "in.npz"], "FILE.onnx"),
    ];
    for (args, told) in cases {
        let rest = ["--scheme", "int8", "--out", "q.onnx"];
        let output = wink(dir, &[&["quantize"], args, &rest].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(
            said.contains(told) && said.trim().lines().count() == 1,
            "{args:?}: {said}"
        );
        assert!(!dir.join("q.onnx").exists());
    }
    let several = [
        "quantize", TEXT, "--inputs", "in.npz", "--scheme", "int8,w4", "--out", "q.onnx",
    ];
    let output = wink(dir, &several);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("name a folder"));
}
