//! Everything that can be wrong with a package, each with the words that must be in the one line the user gets.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{
    FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
};

use super::loops;
use super::tiny::{Tiny, integers, node, value};
use crate::policy::manifest::Manifest;
use crate::policy::{OnnxPolicy, Package, Policy, PolicyError};

fn load(tiny: &Tiny) -> Result<OnnxPolicy, PolicyError> {
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    OnnxPolicy::load(&Package::open(dir.path())?, None)
}

fn assert_told(case: &str, result: Result<OnnxPolicy, PolicyError>, words: &[&str]) {
    let message = result
        .err()
        .unwrap_or_else(|| panic!("{case}: was accepted"))
        .to_string();
    for word in words {
        assert!(
            message.contains(word),
            "{case}: {word:?} is not in: {message}"
        );
    }
    assert!(
        !message.contains('\n'),
        "{case}: more than one line: {message}"
    );
    assert!(message.len() < 600, "{case}: too long: {message}");
}

#[test]
fn the_package_without_a_fault_loads() {
    load(&Tiny::new()).unwrap();
}

type Edit<T> = fn(&mut T);
type FolderEdit = fn(&Path);

#[test]
fn manifests() {
    let cases: &[(&str, Edit<Value>, &[&str])] = &[
        (
            "other format",
            |m| m["format"] = json!(1),
            &["policy.json", "format 1", "format 2"],
        ),
        (
            "no format",
            |m| drop(m.as_object_mut().unwrap().remove("format")),
            &["format"],
        ),
        (
            "missing field",
            |m| drop(m.as_object_mut().unwrap().remove("action")),
            &["`action`"],
        ),
        (
            "unknown field",
            |m| m["observations"]["cameras"][0]["widht"] = json!(1),
            &["widht", "line 1 column"],
        ),
        (
            "empty name",
            |m| m["name"] = json!(" "),
            &["`name`", "empty"],
        ),
        ("rate", |m| m["control_hz"] = json!(0), &["`control_hz`"]),
        (
            "image too large",
            |m| resize(m)["width"] = json!(100_000),
            &[
                "`observations.cameras[0].transform[0].resize.width`",
                "100000",
            ],
        ),
        (
            "image of nothing",
            |m| resize(m)["height"] = json!(0),
            &["transform[0].resize.height`"],
        ),
        (
            "channel order",
            |m| m["observations"]["cameras"][0]["channels"] = json!("rbg"),
            &["rbg", "rgb"],
        ),
        (
            "crop",
            |m| resize(m)["box"] = json!({"left": 0.6, "top": 0, "width": 0.5, "height": 1}),
            &["transform[0].resize.box`"],
        ),
        (
            "image std 0",
            |m| m["observations"]["cameras"][0]["normalisation"]["mean_std"]["std"][1] = json!(0),
            &[
                "`observations.cameras[0].normalisation.mean_std.std[1]`",
                "divided",
            ],
        ),
        (
            "a name twice",
            |m| m["observations"]["states"][0]["names"][0] = json!("y"),
            &["`observations.states[0].names[1]`", "\"y\""],
        ),
        (
            "short mean",
            |m| {
                drop(
                    state(m)["normalisation"]["mean_std"]["mean"]
                        .as_array_mut()
                        .unwrap()
                        .pop(),
                )
            },
            &[
                "states[0].normalisation.mean_std.mean`",
                "6 values instead of 7",
            ],
        ),
        (
            "infinite mean",
            |m| m["action"]["normalisation"]["mean_std"]["mean"][3] = json!(1e39),
            &["action.normalisation.mean_std.mean[3]", "not finite"],
        ),
        (
            "negative std",
            |m| m["action"]["normalisation"]["mean_std"]["std"][6] = json!(-0.5),
            &["action.normalisation.mean_std.std[6]`", "-0.5"],
        ),
        (
            "denormal std",
            |m| m["action"]["normalisation"]["mean_std"]["std"][6] = json!(1e-44),
            &["action.normalisation.mean_std.std[6]`"],
        ),
        (
            "chunk of nothing",
            |m| m["action"]["chunk"] = json!(0),
            &["`action.chunk`"],
        ),
        (
            "execute past the chunk",
            |m| m["action"]["execute"] = json!(3),
            &["`action.execute`", "chunk's 2"],
        ),
        (
            "action space",
            |m| m["action"]["space"] = json!("telepathy"),
            &["telepathy", "ee_delta"],
        ),
        (
            "threshold of nothing",
            |m| m["action"]["threshold"] = json!({"nose": 1}),
            &["threshold.nose"],
        ),
        (
            "no tokens",
            |m| text(m)["max_tokens"] = json!(0),
            &["`observations.text.max_tokens`"],
        ),
        (
            "precision name",
            |m| m["precisions"]["int9"] = m["precisions"]["f32"].clone(),
            &["precisions.int9", "int8"],
        ),
        (
            "default precision",
            |m| m["default_precision"] = json!("int8"),
            &["`default_precision`", "int8"],
        ),
        (
            "no stages",
            |m| m["stages"] = json!([]),
            &["`stages`", "0 entries"],
        ),
        (
            "two stages of a name",
            |m| m["stages"][0]["name"] = json!("act"),
            &["`stages[1].name`", "\"act\""],
        ),
        (
            "unknown rate",
            |m| m["stages"][0]["run"] = json!("dream"),
            &["dream", "`episode`"],
        ),
        (
            "unknown value",
            |m| m["stages"][1]["inputs"]["smell"] = json!("x"),
            &["`stages[1].inputs.smell`", "\"x\"", "front"],
        ),
        (
            "a camera that is gone",
            |m| m["observations"]["cameras"] = json!([]),
            &["`stages[1].inputs.image`", "\"front\""],
        ),
        (
            "unlisted file",
            |m| text(m)["tokenizer"] = json!("other.json"),
            &["`observations.text.tokenizer`", "other.json", "not list"],
        ),
        (
            "path escape",
            |m| m["files"]["../../etc/passwd"] = json!({"bytes": 1, "sha256": "0"}),
            &["../../etc/passwd", "plain file name"],
        ),
        (
            "absolute path",
            |m| m["files"]["/etc/passwd"] = json!({"bytes": 1, "sha256": "0"}),
            &["/etc/passwd"],
        ),
        (
            "huge file",
            |m| m["files"]["act.onnx"] = json!({"bytes": 1_u64 << 40, "sha256": "0"}),
            &["files.act.onnx", "1099511627776"],
        ),
        (
            "odd hash",
            |m| m["files"]["act.onnx"] = json!({"bytes": 9, "sha256": "xyz"}),
            &["act.onnx.sha256", "64"],
        ),
    ];
    for (case, edit, words) in cases {
        let mut tiny = Tiny::new();
        edit(&mut tiny.manifest);
        assert_told(case, load(&tiny), words);
    }
}

/// Every field of a manifest, one at a time, is left out or becomes something else. What is refused is refused in one line that
/// names the field or its place.
#[test]
fn one_changed_field_is_accepted_or_refused_in_one_line() {
    let odd = [
        Value::Null,
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("a\nb"),
        json!([]),
        json!({}),
        json!({"a\nb": 1}),
        json!([[1]]),
        json!(true),
    ];
    let manifests = [
        Tiny::new().manifest,
        loops::flow(loops::ones()).manifest,
        loops::summing(Value::Null).manifest,
    ];
    let mut refused = 0;
    for whole in manifests {
        let mut paths = Vec::new();
        leaves(&whole, String::new(), &mut paths);
        assert!(paths.len() > 60, "{paths:?}");
        for path in &paths {
            for value in &odd {
                let mut manifest = whole.clone();
                *manifest.pointer_mut(path).unwrap() = value.clone();
                let bytes = manifest.to_string();
                if let Err(error) = Manifest::parse(bytes.as_bytes(), Path::new("policy.json")) {
                    let message = error.to_string();
                    assert!(
                        !message.contains('\n') && message.len() < 700,
                        "{path}: {message}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// JSON pointers to everything in a value.
fn leaves(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, format!("{path}/{index}"), paths);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                leaves(item, format!("{path}/{name}"), paths);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

fn resize(manifest: &mut Value) -> &mut Value {
    &mut manifest["observations"]["cameras"][0]["transform"][0]["resize"]
}

fn state(manifest: &mut Value) -> &mut Value {
    &mut manifest["observations"]["states"][0]
}

fn text(manifest: &mut Value) -> &mut Value {
    &mut manifest["observations"]["text"]
}

#[test]
fn files_on_disk() {
    let cases: [(&str, FolderEdit, &[&str]); 8] = [
        (
            "no folder",
            |dir| fs::remove_dir_all(dir).unwrap(),
            &["No such file"],
        ),
        (
            "no manifest",
            |dir| fs::remove_file(dir.join("policy.json")).unwrap(),
            &["policy.json", "No such file"],
        ),
        (
            "missing graph",
            |dir| fs::remove_file(dir.join("act.onnx")).unwrap(),
            &["act.onnx", "No such file"],
        ),
        (
            "cut manifest",
            |dir| cut(dir, "policy.json"),
            &["policy.json", "EOF", "column"],
        ),
        (
            "cut graph",
            |dir| cut(dir, "act.onnx"),
            &["act.onnx", "bytes instead of", "truncated"],
        ),
        (
            "changed graph",
            |dir| {
                let mut bytes = fs::read(dir.join("text.onnx")).unwrap();
                bytes[40] ^= 1;
                fs::write(dir.join("text.onnx"), bytes).unwrap();
            },
            &["text.onnx", "SHA-256"],
        ),
        (
            "folder for a file",
            |dir| {
                fs::remove_file(dir.join("act.onnx")).unwrap();
                fs::create_dir(dir.join("act.onnx")).unwrap();
            },
            &["act.onnx", "not a plain file"],
        ),
        (
            "manifest of megabytes",
            |dir| fs::write(dir.join("policy.json"), vec![b' '; 2 << 20]).unwrap(),
            &["policy.json", "larger than"],
        ),
    ];
    for (case, edit, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        Tiny::new().write(dir.path());
        edit(dir.path());
        let result = Package::open(dir.path())
            .map_err(PolicyError::from)
            .and_then(|p| OnnxPolicy::load(&p, None));
        assert_told(case, result, words);
    }
}

fn cut(dir: &Path, name: &str) {
    let bytes = fs::read(dir.join(name)).unwrap();
    fs::write(dir.join(name), &bytes[..bytes.len() / 2]).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    Tiny::new().write(dir.path());
    fs::rename(dir.path().join("act.onnx"), outside.path().join("act.onnx")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("act.onnx"), dir.path().join("act.onnx"))
        .unwrap();
    let result = Package::open(dir.path())
        .map_err(PolicyError::from)
        .and_then(|p| OnnxPolicy::load(&p, None));
    assert_told(
        "link",
        result,
        &["act.onnx", "not a plain file inside the package"],
    );
}

#[test]
fn a_file_that_changes_after_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Tiny::new().write(dir.path());
    let package = Package::open(dir.path()).unwrap();
    cut(dir.path(), "act.onnx");
    assert_told(
        "changed later",
        OnnxPolicy::load(&package, None),
        &["act.onnx", "truncated"],
    );
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// Puts a node before the graph's last one, whose result nothing needs.
fn add_node(model: &mut ModelProto, op: &str, inputs: &[&str]) {
    graph(model).node.insert(0, node(op, inputs, "extra", &[]));
}

/// A call of a function that calls itself.
fn call_endless(model: &mut ModelProto) {
    let call = |output: &str| NodeProto {
        domain: "own".into(),
        ..node("endless", &["image"], output, &[])
    };
    graph(model).node.insert(0, call("extra"));
    model.functions.push(FunctionProto {
        name: Some("endless".into()),
        domain: Some("own".into()),
        input: vec!["image".into()],
        output: vec!["result".into()],
        node: vec![call("result")],
        ..FunctionProto::default()
    });
    model.opset_import.push(OperatorSetIdProto {
        domain: "own".into(),
        version: 1,
    });
}

#[test]
fn graphs() {
    let cases: [(&str, Edit<ModelProto>, &[&str]); 21] = [
        ("no graph", |m| m.graph = None, &["act.onnx", "no graph"]),
        (
            "no operator set",
            |m| m.opset_import.clear(),
            &["act.onnx", "operator set"],
        ),
        (
            "unknown op",
            |m| add_node(m, "Frobnicate", &["image"]),
            &["act.onnx", "Frobnicate", "make_extra"],
        ),
        (
            "foreign domain",
            |m| {
                add_node(m, "Attention", &["image"]);
                graph(m).node[0].domain = "com.microsoft".to_owned();
            },
            &["act.onnx", "make_extra", "Attention", "com.microsoft"],
        ),
        (
            "random op",
            |m| add_node(m, "RandomNormalLike", &["image"]),
            &["make_extra", "random"],
        ),
        ("function", call_endless, &["function", "endless"]),
        (
            "external data",
            |m| {
                let weight = &mut graph(m).initializer[0];
                weight.raw_data.clear();
                weight.data_location = Some(DataLocation::External as i32);
                let entry = StringStringEntryProto {
                    key: "location".into(),
                    value: "/etc/passwd".into(),
                };
                weight.external_data.push(entry);
            },
            &[
                "act.onnx",
                "weight \"weight\"",
                "only files beside the graph are read",
            ],
        ),
        (
            "missing input",
            |m| drop(graph(m).input.remove(1)),
            &["act.onnx", "no input \"state\""],
        ),
        (
            "unfed input",
            |m| graph(m).input.push(value("noise", DataType::Float, &[1])),
            &["\"noise\"", "fed by nothing"],
        ),
        (
            "missing output",
            |m| graph(m).output[0].name = "flat".to_owned(),
            &["no output \"action\""],
        ),
        (
            "output of nothing",
            |m| graph(m).output[0].name = "ghost".to_owned(),
            &["\"ghost\"", "no node"],
        ),
        (
            "wrong input shape",
            |m| graph(m).input[0] = value("image", DataType::Float, &[1, 3, 8, 8]),
            &["\"image\"", "f32[1, 3, 8, 8]", "f32[1, 3, 2, 2]"],
        ),
        (
            "wrong input type",
            |m| graph(m).input[1] = value("state", DataType::Double, &[1, 7]),
            &["act.onnx", "Concat", "f64"],
        ),
        (
            "wrong output shape",
            |m| graph(m).initializer[1] = integers("shape", &[3], &[2, 1, 7]),
            &["action"],
        ),
        (
            "weight without data",
            |m| graph(m).initializer[0].raw_data.truncate(8),
            &["weight \"weight\"", "does not fit"],
        ),
        (
            "impossible weight",
            |m| graph(m).initializer[0].dims = vec![i64::MAX, 16],
            &["weight \"weight\"", "impossible shape"],
        ),
        (
            "weight type",
            |m| graph(m).initializer[0].data_type = 99,
            &["weight \"weight\"", "number 99"],
        ),
        (
            "broken wiring",
            |m| graph(m).node[2].input[1] = "nowhere".to_owned(),
            &["act.onnx", "nowhere"],
        ),
        (
            "shapes that do not multiply",
            |m| graph(m).initializer[0].dims.swap(0, 1),
            &["act.onnx", "flat"],
        ),
        (
            "a range without end",
            |m| {
                add_node(m, "Range", &["zero", "huge", "one"]);
                for (name, value) in [("zero", 0), ("huge", i64::MAX), ("one", 1)] {
                    graph(m).initializer.push(integers(name, &[], &[value]));
                }
            },
            &["act.onnx", "make_extra", "Range", "9223372036854775807"],
        ),
        (
            "a tensor of terabytes",
            |m| {
                add_node(m, "ConstantOfShape", &["huge"]);
                graph(m)
                    .initializer
                    .push(integers("huge", &[2], &[1 << 20, 1 << 20]));
            },
            &["act.onnx", "make_extra", "ConstantOfShape", "1099511627776"],
        ),
    ];
    for (case, edit, words) in cases {
        let mut tiny = Tiny::new();
        tiny.edit("act.onnx", edit);
        assert_told(case, load(&tiny), words);
    }
}

#[test]
fn files_that_are_something_else() {
    let cases: [(&str, &str, &[u8], &[&str]); 4] = [
        (
            "text for a graph",
            "act.onnx",
            b"this is no protobuf",
            &["act.onnx", "ONNX"],
        ),
        (
            "zeros for a graph",
            "text.onnx",
            &[0; 64],
            &["text.onnx", "ONNX"],
        ),
        (
            "broken tokenizer",
            "tokenizer.json",
            b"{\"model\": ",
            &["tokenizer.json", "no tokenizer"],
        ),
        (
            "other JSON for a tokenizer",
            "tokenizer.json",
            b"{\"model\": {\"type\": \"Oracle\"}}",
            &["tokenizer.json"],
        ),
    ];
    for (case, name, content, words) in cases {
        let mut tiny = Tiny::new();
        tiny.files.insert(name.to_owned(), content.to_vec());
        assert_told(case, load(&tiny), words);
    }
}

/// No damage to a graph, with a hash that fits it, gets past the loader as anything but an error or a policy.
#[test]
fn damaged_graphs_never_panic() {
    let whole = Tiny::new();
    for name in ["act.onnx", "text.onnx"] {
        let length = whole.files[name].len();
        let mut seed = 1_u32;
        for round in 0..150 {
            let mut tiny = Tiny::new();
            let bytes = tiny.files.get_mut(name).unwrap();
            if round < 50 {
                bytes.truncate(length * round / 50);
                bytes.push(0);
            }
            for _ in 0..round % 4 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let index = (seed >> 8) as usize % bytes.len();
                bytes[index] ^= (seed >> 3) as u8;
            }
            if let Ok(mut policy) = load(&tiny) {
                let _ = policy.begin_episode("pick the block");
            }
        }
    }
}

#[test]
fn an_unknown_precision_is_told_with_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    Tiny::new().write(dir.path());
    let package = Package::open(dir.path()).unwrap();
    assert_told(
        "precision",
        OnnxPolicy::load(&package, Some("int8")),
        &["\"int8\"", "f32"],
    );
}
