//! `wink check` on the command line: exit codes, what is compared and how, and what is written.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::path::Path;

use half::f16;
use npyz::npz::NpzArchive;
use serde_json::Value;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, ValueInfoProto};
use wink_engine::OnnxElement as Element;

use common::onnx::{self, Npz, node, tensor};
use common::{text, wink};

fn write(
    dir: &Path,
    node: Vec<NodeProto>,
    input: Vec<ValueInfoProto>,
    output: Vec<ValueInfoProto>,
) {
    let graph = GraphProto {
        node,
        input,
        output,
        ..GraphProto::default()
    };
    onnx::write(&dir.join("m.onnx"), 17, graph);
}

/// `y = -x`, `n = not m`, `i = k + k`, with an open first axis.
fn three(dir: &Path) {
    write(
        dir,
        vec![
            node("Neg", &["x"], "y"),
            node("Not", &["m"], "n"),
            node("Add", &["k", "k"], "i"),
        ],
        vec![
            tensor("x", Element::F32, &[0, 2]),
            tensor("m", Element::Bool, &[2]),
            tensor("k", Element::I64, &[2]),
        ],
        vec![
            tensor("y", Element::F32, &[0, 2]),
            tensor("n", Element::Bool, &[2]),
            tensor("i", Element::I64, &[2]),
        ],
    );
    given(dir, vec![1.0, f32::NAN, f32::INFINITY, -2.0]);
}

fn given(dir: &Path, x: Vec<f32>) {
    Npz::create(dir, "in.npz")
        .add("x", &[x.len() as u64 / 2, 2], x)
        .add("m", &[2], vec![true, false])
        .add("k", &[2], vec![3_i64, i64::MAX / 2]);
}

fn expected(dir: &Path, y: [f32; 4], n: [bool; 2], i: [i64; 2]) {
    Npz::create(dir, "out.npz")
        .add("y", &[2, 2], y.to_vec())
        .add("n", &[2], n.to_vec())
        .add("i", &[2], i.to_vec());
}

const RIGHT: [f32; 4] = [-1.0, f32::NAN, f32::NEG_INFINITY, 2.0];
const WHOLE: [i64; 2] = [6, i64::MAX / 2 * 2];

/// Runs the check; exit code, output and errors.
fn check(dir: &Path, more: &[&str]) -> (i32, String, String) {
    let args = [&["check", "m.onnx", "--inputs", "in.npz"], more].concat();
    let ran = wink(dir, &args);
    let code = ran.status.code().unwrap();
    (code, text(&ran.stdout), text(&ran.stderr))
}

const EXPECT: [&str; 2] = ["--expect", "out.npz"];

#[test]
fn equal_tensors_are_within_and_each_other_one_is_above() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    three(dir);
    let cases = [
        (RIGHT, [false, true], WHOLE, 0, "y  f32[2, 2]  0.000e0"),
        (
            [-1.00005, RIGHT[1], RIGHT[2], 2.0],
            [false, true],
            WHOLE,
            0,
            "y  f32[2, 2]  4.995e-5",
        ),
        (
            [-1.5, RIGHT[1], RIGHT[2], 2.0],
            [false, true],
            WHOLE,
            1,
            "5.000e-1  above",
        ),
        (
            [-1.0, 0.0, RIGHT[2], 2.0],
            [false, true],
            WHOLE,
            1,
            "inf  above",
        ),
        (
            [f32::NAN, f32::NAN, RIGHT[2], 2.0],
            [false, true],
            WHOLE,
            1,
            "inf  above",
        ),
        (
            [-1.0, RIGHT[1], f32::INFINITY, 2.0],
            [false, true],
            WHOLE,
            1,
            "inf  above",
        ),
        (RIGHT, [true, true], WHOLE, 1, "n  bool[2]  1.000e0  above"),
        (
            RIGHT,
            [false, true],
            [6, WHOLE[1] - 1],
            1,
            "i  i64[2]  1.000e0  above",
        ),
    ];
    for (y, n, i, code, said) in cases {
        expected(dir, y, n, i);
        let (found, out, error) = check(dir, &EXPECT);
        assert_eq!(found, code, "{out}{error}");
        assert!(out.contains(said), "{said} in {out}");
    }
    // The tolerance is of floats: bools and integers have none.
    expected(dir, [-1.5, RIGHT[1], RIGHT[2], 2.0], [false, true], WHOLE);
    assert_eq!(
        check(dir, &[&EXPECT[..], &["--tolerance", "0.5"]].concat()).0,
        0
    );
    expected(dir, RIGHT, [false, true], [6, WHOLE[1] - 1]);
    assert_eq!(
        check(dir, &[&EXPECT[..], &["--tolerance", "5"]].concat()).0,
        1
    );
}

#[test]
fn json_names_each_output() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    three(dir);
    expected(
        dir,
        [-1.25, RIGHT[1], f32::INFINITY, 2.0],
        [false, true],
        WHOLE,
    );
    let (code, out, _) = check(dir, &[&EXPECT[..], &["--json"]].concat());
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["within"], false);
    assert_eq!(report["tolerance"], 1e-4);
    let rows = report["outputs"].as_array().unwrap();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["y", "n", "i"]);
    assert_eq!(rows[0]["difference"], "inf");
    assert_eq!(rows[1]["difference"], 0.0);
    assert_eq!(rows[2]["element"], "i64");
    assert_eq!(rows[2]["shape"], serde_json::json!([2]));
}

#[track_caller]
fn refused(dir: &Path, more: &[&str], words: &[&str]) {
    let (code, out, error) = check(dir, more);
    assert_eq!(code, 2, "{out}{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
    assert!(error.trim().len() <= 300, "{} bytes: {error}", error.len());
    for word in words {
        assert!(error.contains(word), "{word} in {error}");
    }
}

#[test]
fn what_does_not_fit_is_bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    three(dir);
    expected(dir, RIGHT, [false, true], WHOLE);
    refused(dir, &[], &["--expect", "--out"]);
    refused(
        dir,
        &[&EXPECT[..], &["--tolerance=-1"]].concat(),
        &["--tolerance"],
    );
    refused(
        dir,
        &[&EXPECT[..], &["--batch", "1"]].concat(),
        &["m.onnx", "\"x\"", "axis 0", "--batch 1"],
    );
    assert_eq!(check(dir, &[&EXPECT[..], &["--batch", "2"]].concat()).0, 0);
    Npz::create(dir, "out.npz").add("y", &[2, 2], RIGHT.to_vec());
    refused(dir, &EXPECT, &["out.npz", "\"n\""]);
    Npz::create(dir, "out.npz")
        .add("y", &[2, 2], RIGHT.to_vec())
        .add("n", &[2], vec![false, true])
        .add("i", &[2], WHOLE.to_vec())
        .add("z", &[1], vec![0.0_f32]);
    refused(dir, &EXPECT, &["m.onnx", "\"z\""]);
    // Another shape or type is a difference.
    Npz::create(dir, "out.npz")
        .add("y", &[4], RIGHT.to_vec())
        .add("n", &[2], vec![false, true])
        .add("i", &[2], vec![6_i32, 0]);
    let (code, out, _) = check(dir, &EXPECT);
    assert_eq!(code, 1);
    assert!(
        out.contains("f32[4] is expected") && out.contains("i32[2] is expected"),
        "{out}"
    );

    expected(dir, RIGHT, [false, true], WHOLE);
    Npz::create(dir, "in.npz").add("x", &[2, 2], RIGHT.to_vec());
    refused(dir, &EXPECT, &["m.onnx", "\"m\"", "in.npz"]);
    given(dir, vec![1.0; 4]);
    let more = Npz::create(dir, "in.npz").add("x", &[2, 2], RIGHT.to_vec());
    more.add("m", &[2], vec![true, false])
        .add("k", &[2], vec![3_i64, 4])
        .add("w", &[1], vec![1.0_f32]);
    refused(dir, &EXPECT, &["in.npz", "\"w\"", "m.onnx"]);
    Npz::create(dir, "in.npz")
        .add("x", &[2, 2], vec![1.0_f64; 4])
        .add("m", &[2], vec![true, false])
        .add("k", &[2], vec![3_i64, 4]);
    refused(dir, &EXPECT, &["m.onnx", "\"x\"", "f32", "f64"]);
    std::fs::write(dir.join("in.npz"), "no archive").unwrap();
    refused(dir, &EXPECT, &["in.npz"]);
    three(dir);
    std::fs::write(dir.join("m.onnx"), "no graph").unwrap();
    refused(dir, &EXPECT, &["m.onnx"]);
}

#[test]
fn without_expectation_the_outputs_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    three(dir);
    let (code, out, error) = check(dir, &["--out", "made.npz"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("n  bool[2]"), "{out}");
    let mut made = NpzArchive::new(File::open(dir.join("made.npz")).unwrap()).unwrap();
    let y: Vec<f32> = made.by_name("y").unwrap().unwrap().into_vec().unwrap();
    assert!(y[1].is_nan() && y[0] == -1.0 && y[2] == f32::NEG_INFINITY);
    let n: Vec<bool> = made.by_name("n").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(n, [false, true]);
    // What was written is what is expected.
    assert_eq!(check(dir, &["--expect", "made.npz"]).0, 0);
    // Nothing is left of a run that fails.
    std::fs::write(dir.join("m.onnx"), "no graph").unwrap();
    std::fs::remove_file(dir.join("made.npz")).unwrap();
    refused(dir, &["--out", "made.npz"], &["m.onnx"]);
    assert!(!dir.join("made.npz").exists());
}

#[test]
fn half_precision_goes_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let halves = |values: &[f32]| values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>();
    write(
        dir,
        vec![node("Mul", &["x", "x"], "y")],
        vec![tensor("x", Element::F16, &[2])],
        vec![tensor("y", Element::F16, &[2])],
    );
    Npz::create(dir, "in.npz").add("x", &[2], halves(&[1.5, 0.1]));
    let square = f16::from_f32(0.1).to_f32().powi(2);
    Npz::create(dir, "out.npz").add("y", &[2], halves(&[2.25, square]));
    let (code, out, error) = check(dir, &[&EXPECT[..], &["--tolerance", "0"]].concat());
    assert_eq!(code, 0, "{out}{error}");
    // NumPy has no bf16 that a file could hold.
    write(
        dir,
        vec![node("Neg", &["x"], "y")],
        vec![tensor("x", Element::BF16, &[2])],
        vec![tensor("y", Element::BF16, &[2])],
    );
    refused(dir, &EXPECT, &["m.onnx", "\"x\"", "bf16"]);
}

/// The roundings of the file are kept, or left out as for policies.
#[test]
fn fused_leaves_roundings_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let cast = |from: &str, to: &str, element: Element| NodeProto {
        attribute: vec![AttributeProto {
            name: "to".into(),
            r#type: 2,
            i: i64::from(element.onnx()),
            ..AttributeProto::default()
        }],
        ..node("Cast", &[from], to)
    };
    // Behind the transposition of halves, the sum is rounded; in single it is not.
    write(
        dir,
        vec![
            cast("x", "h", Element::F16),
            node("Add", &["h", "h"], "a"),
            node("Transpose", &["a"], "t"),
            node("Transpose", &["t"], "u"),
            node("Mul", &["u", "u"], "b"),
            cast("b", "y", Element::F32),
        ],
        vec![tensor("x", Element::F32, &[1, 2])],
        vec![tensor("y", Element::F32, &[1, 2])],
    );
    let x = [0.1_f32, 0.7];
    Npz::create(dir, "in.npz").add("x", &[1, 2], x.to_vec());
    let rounded = x.map(|v| f16::from_f32(v + v).to_f32().powi(2));
    Npz::create(dir, "out.npz").add("y", &[1, 2], rounded.to_vec());
    let exact = [&EXPECT[..], &["--tolerance", "1e-7"]].concat();
    let (code, out, error) = check(dir, &exact);
    assert_eq!(code, 0, "{out}{error}");
    let (code, out, _) = check(dir, &[&exact[..], &["--fused"]].concat());
    assert_eq!(code, 1, "{out}");
}
