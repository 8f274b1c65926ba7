//! `wink inspect` of a loose ONNX file: what it holds, what is fused, and one line for each way of being broken.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use common::{text, wink, wink_ok};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/wink-s");

fn inspected(dir: &Path, file: &str) -> Value {
    serde_json::from_str(&wink_ok(dir, &["inspect", file, "--json"])).unwrap()
}

/// A field of a protobuf message that is itself a message or a string.
fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u8::try_from(value.len()).unwrap();
    assert!(length < 128);
    [&[number << 3 | 2, length], value].concat()
}

fn integer(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// Two nodes in a row, "first" and "second", from "x" to "z", both of one axis.
fn two_nodes(axis: &[u8]) -> Vec<u8> {
    let shape = field(2, field(1, axis));
    let kind = field(2, field(1, [integer(1, 1), shape].concat()));
    let tensor = |name: &str| [field(1, name), kind.clone()].concat();
    let node = |name: &str, from: &str, to: &str| {
        [
            field(1, from),
            field(2, to),
            field(3, name),
            field(4, "Relu"),
        ]
        .concat()
    };
    let graph = [
        field(1, node("first", "x", "y")),
        field(1, node("second", "y", "z")),
        field(11, tensor("x")),
        field(12, tensor("z")),
    ];
    let opset = integer(2, 17);
    [integer(1, 8), field(7, graph.concat()), field(8, opset)].concat()
}

#[test]
fn a_quantised_file_tells_what_is_fused_and_what_its_weights_take() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("{SHIPPED}/act.int8.onnx");
    let mut report = inspected(dir.path(), &file);
    let package = inspected(dir.path(), SHIPPED);
    let graphs = package["precisions"]["int8"]["graphs"].as_array().unwrap();
    let act = graphs.iter().find(|graph| graph["stage"] == "act").unwrap();
    // A bare graph does not say which inputs stay the same during an episode.
    assert_eq!(report["fast_path"]["once"], 0);
    assert!(act["fast_path"]["once"].as_u64() > Some(0));
    report["fast_path"]["once"] = act["fast_path"]["once"].clone();
    for same in ["bytes", "nodes", "ops", "macs", "fast_path", "weight_bytes"] {
        assert_eq!(report[same], act[same], "{same}");
    }
    assert_eq!(report["outputs"][0]["name"], "action");
    assert_eq!(report["outputs"][0]["element"], "f32");
    let weights = report["weights"].as_object().unwrap();
    let bytes = weights.values().map(|of| of["bytes"].as_u64().unwrap());
    assert_eq!(report["weight_bytes"].as_u64().unwrap(), bytes.sum::<u64>());
    assert_eq!(weights["i8"]["bytes"], weights["i8"]["count"]);
    let told = wink_ok(dir.path(), &["inspect", &file]);
    for word in [
        "image",
        "weights",
        "i8 ",
        "nodes: ",
        "fast path (",
        "FusedLinear",
    ] {
        assert!(told.contains(word), "no `{word}` in {told}");
    }
}

#[test]
fn products_of_a_float_file_are_fused_too() {
    let dir = tempfile::tempdir().unwrap();
    let told = wink_ok(dir.path(), &["inspect", &format!("{SHIPPED}/text.onnx")]);
    assert!(told.contains("FusedLinearF32 18"), "{told}");
}

#[test]
fn open_shapes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("closed.onnx"), two_nodes(&integer(1, 5))).unwrap();
    let closed = inspected(dir.path(), "closed.onnx");
    assert_eq!(closed["ops"], json!({"Relu": 2}));
    assert_eq!(closed["inputs"][0]["shape"], json!([5]));
    assert!(closed["fast_path"].is_object() && closed["not_built"].is_null());

    fs::write(dir.path().join("open.onnx"), two_nodes(&field(2, "batch"))).unwrap();
    let open = inspected(dir.path(), "open.onnx");
    assert_eq!(open["inputs"][0]["shape"], json!([null]));
    assert!(open["fast_path"].is_null() && open["macs"].is_null());
    let told = wink_ok(dir.path(), &["inspect", "open.onnx"]);
    assert!(told.contains("f32[?]"), "{told}");
    assert!(told.contains("input \"x\" has an open shape"), "{told}");
}

#[test]
fn a_file_that_does_not_run_is_told_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(format!("{SHIPPED}/act.int8.onnx")).unwrap();
    let mut odd = two_nodes(&integer(1, 5));
    let op = odd.windows(4).position(|bytes| bytes == b"Relu").unwrap();
    odd[op..op + 4].copy_from_slice(b"Rule");
    for (name, bytes) in [
        ("cut.onnx", &whole[..1000]),
        ("notes.txt", b"not a graph"),
        ("empty.onnx", b""),
        ("odd.onnx", &odd),
        ("policy.json", b"{}"),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let cases: [(&[&str], &[&str]); 8] = [
        (&["missing.onnx"], &["missing.onnx"]),
        (&["cut.onnx"], &["cut.onnx", "truncated"]),
        (&["notes.txt"], &["notes.txt", "not an ONNX file"]),
        (&["empty.onnx"], &["empty.onnx", "not an ONNX file"]),
        (&["odd.onnx"], &["odd.onnx", "Rule", "first"]),
        (&["policy.json"], &["policy.json", "folder"]),
        (&["odd.onnx", "--check"], &["odd.onnx", "--check"]),
        (&["odd.onnx", "--precision", "int8"], &["--precision"]),
    ];
    for (args, words) in cases {
        let args = [&["inspect"], args].concat();
        let output = wink(dir.path(), &args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
        for word in words {
            assert!(said.contains(word), "{args:?}: no `{word}` in {said}");
        }
    }
}

#[test]
fn a_package_shows_its_wiring_and_its_golden_values() {
    let dir = tempfile::tempdir().unwrap();
    let told = wink_ok(dir.path(), &["inspect", SHIPPED]);
    for words in [
        "camera observation.images.front (any size)",
        "resize to 112 x 80 (stretch, Bilinear antialiased, on floats) of the part 71.4% x 50.0% at 14.3%, 21.4%",
        "text.text -> text f32[1, 16, ",
        "gripper becomes 1 above 0.5, else 0",
        "action ee_delta (Relative), chunk of 16, 8 executed at 20 Hz: dx [decimetre]",
        "golden values of onnxruntime: passed",
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    let report = inspected(dir.path(), SHIPPED);
    assert_eq!(
        report["wiring"][0]["to"],
        "observation.images.front f32[1, 3, 80, 112]"
    );
    for precision in ["f32", "int8"] {
        let check = &report["precisions"][precision]["check"];
        assert_eq!(check["passed"], true, "{check}");
        assert_eq!(check["values"][0]["value"], "act.action");
        assert!(
            check["values"][0]["max_error"].as_f64() > Some(0.0),
            "{check}"
        );
    }
}
