//! Graphs that take everything and give the chunk: the whole policy in one file, its loop inside.

use std::path::Path;

use serde_json::{Value, json};
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};
use wink_engine::OnnxElement as Element;

use crate::checkpoint::{Checkpoint, policies};
use crate::common::onnx::{floats, int, integers, node, tensor, write};
use crate::running::{ANSWERS, refused, run};

/// What is asked of tiny SmolVLA beyond [`ANSWERS`].
pub fn answers() -> Vec<String> {
    let folder = policies().join("smolvla");
    let folder = folder.to_str().unwrap();
    let more = ["--pixels", "unit", "--tokenizer", folder, "--pad-id", "0"];
    ANSWERS
        .iter()
        .chain(&more)
        .map(|a| (*a).to_owned())
        .collect()
}

/// The inputs that LeRobot's `predict_action_chunk` takes, by names that exporters give them.
fn observed() -> Vec<ValueInfoProto> {
    vec![
        tensor("front", Element::F32, &[1, 3, 48, 64]),
        tensor("observation_images_wrist", Element::F32, &[1, 3, 48, 64]),
        tensor("observation.state", Element::F32, &[1, 6]),
        tensor("lang_tokens", Element::I64, &[1, 16]),
        tensor("lang_masks", Element::Bool, &[1, 16]),
    ]
}

/// `sum` [1, 1, 6] is the state, plus the means of both images and of the tokens that are not masked.
fn summed() -> Vec<NodeProto> {
    let mean = |from: &str, to: &str| NodeProto {
        attribute: vec![int("keepdims", 0)],
        ..node("ReduceMean", &[from], to)
    };
    let cast = |from: &str, to: &str| NodeProto {
        attribute: vec![int("to", i64::from(Element::F32.onnx()))],
        ..node("Cast", &[from], to)
    };
    vec![
        mean("front", "one"),
        mean("observation_images_wrist", "two"),
        cast("lang_tokens", "words"),
        cast("lang_masks", "there"),
        node("Mul", &["words", "there"], "text"),
        mean("text", "three"),
        node("Reshape", &["observation.state", "cube"], "joints"),
        node("Add", &["joints", "one"], "sum1"),
        node("Add", &["sum1", "two"], "sum2"),
        node("Add", &["sum2", "three"], "sum"),
    ]
}

/// The sum plus the first 6 of the noise's 8 numbers, as LeRobot cuts the chunk: `actions` [1, 8, 6].
pub fn whole(path: &Path) {
    let mut nodes = summed();
    nodes.push(node("Slice", &["noise", "zero", "six", "last"], "cut"));
    nodes.push(node("Add", &["cut", "sum"], "actions"));
    let mut input = observed();
    input.push(tensor("noise", Element::F32, &[1, 8, 8]));
    let graph = GraphProto {
        node: nodes,
        input,
        output: vec![tensor("actions", Element::F32, &[1, 8, 6])],
        initializer: vec![
            integers("cube", &[1, 1, 6]),
            integers("zero", &[0]),
            integers("six", &[6]),
            integers("last", &[2]),
        ],
        ..GraphProto::default()
    };
    write(path, 17, graph);
}

/// The graph of one step of a loop: its velocity `v` [1, 8, 8] is the sample, and no observation changes it.
pub fn step(path: &Path) {
    let mut nodes = summed();
    nodes.extend([
        NodeProto {
            attribute: vec![int("keepdims", 0)],
            ..node("ReduceMean", &["sum"], "all")
        },
        node("Mul", &["all", "nothing"], "none1"),
        node("Mul", &["time", "nothing"], "none2"),
        node("Add", &["x_t", "none1"], "v1"),
        node("Add", &["v1", "none2"], "v"),
    ]);
    let mut input = observed();
    input.push(tensor("x_t", Element::F32, &[1, 8, 8]));
    input.push(tensor("time", Element::F32, &[1]));
    let graph = GraphProto {
        node: nodes,
        input,
        output: vec![tensor("v", Element::F32, &[1, 8, 8])],
        initializer: vec![
            integers("cube", &[1, 1, 6]),
            floats("nothing", &[1], &[0.0]),
        ],
        ..GraphProto::default()
    };
    write(path, 17, graph);
}

/// Imports a graph as tiny SmolVLA with further answers.
fn import(graph: fn(&Path), more: &[&str]) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    Checkpoint::smolvla().write(dir.path());
    graph(&dir.path().join("policy.onnx"));
    let answers = answers();
    let mut args = vec!["import", "--onnx", "policy.onnx", "--out", "out"];
    args.extend(answers.iter().map(String::as_str));
    args.extend(more);
    run(dir.path(), &args, &dir.path().join("out"))
}

#[test]
fn one_graph_from_frames_and_noise_to_the_chunk() {
    let manifest = import(whole, &["--loop", "inside"]).unwrap();
    let [stage] = &manifest["stages"].as_array().unwrap()[..] else {
        panic!("{manifest}")
    };
    assert_eq!(stage["run"], "observation");
    assert!(stage.get("loop").is_none());
    let inputs = json!({
        "front": "observation.images.front", "observation_images_wrist": "observation.images.wrist",
        "observation.state": "observation.state", "lang_tokens": "tokens", "lang_masks": "mask", "noise": "noise",
    });
    assert_eq!(stage["inputs"], inputs);
    let noise = json!([{"name": "noise", "shape": [1, 8, 8], "draw": {"normal": {"mean": 0.0, "std": 1.0}}}]);
    assert_eq!(manifest["observations"]["noise"], noise);
    let action = &manifest["action"];
    assert_eq!(action["from"], "policy.actions");
    assert_eq!(
        (&action["width"], &action["chunk"], &action["first"]),
        (&json!(6), &json!(8), &json!(0))
    );
    // The graph resizes frames itself.
    let camera = &manifest["observations"]["cameras"][0];
    assert_eq!(camera["frame"], json!({"width": 64, "height": 48}));
    assert_eq!(camera["transform"], json!([]));
}

#[test]
fn noise_of_another_distribution_is_said() {
    let evo = ["--loop", "inside", "--noise", "noise=uniform:-1:1"];
    let manifest = import(whole, &evo).unwrap();
    assert_eq!(
        manifest["observations"]["noise"][0]["draw"],
        json!({"uniform": {"low": -1.0, "high": 1.0}})
    );
    for (noise, words) in [
        ("noise=uniform:-1", "--noise noise=uniform:-1"),
        ("noise=cauchy:0:1", "normal:MEAN:STD"),
        ("depth=normal:0:1", "0 inputs of the graphs are called so"),
        ("lang_tokens=normal:0:1", "is not f32"),
        ("noise=normal:0:-1", "noise[0].draw.normal"),
    ] {
        refused(
            import(whole, &["--loop", "inside", "--noise", noise]),
            &[words],
        );
    }
}

#[test]
fn whether_a_graph_holds_the_loop_is_asked_and_not_guessed() {
    refused(import(whole, &[]), &["loop.time", "--loop inside"]);
    refused(import(whole, &["--loop", "outside"]), &["loop.time"]);
    // A step of the loop is no whole loop: its time is fed with nothing.
    refused(
        import(step, &["--loop", "inside"]),
        &["`time` f32[1]", "no value has this shape"],
    );
    import(step, &[]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    Checkpoint::act().write(dir.path());
    let act = crate::running::graph("act", "act.onnx");
    let mut args = crate::running::command(&ANSWERS, &act);
    args.extend(["--loop", "inside"]);
    refused(
        run(dir.path(), &args, &dir.path().join("out/act")),
        &["act has no loop"],
    );
}

#[test]
fn a_diffusion_chunk_begins_with_the_newest_observation_or_with_the_oldest() {
    for (steps, first) in [(4, 0), (8, 1)] {
        let dir = tempfile::tempdir().unwrap();
        Checkpoint::diffusion().write(dir.path());
        let mean = |from: &str, to: &str| NodeProto {
            attribute: vec![int("keepdims", 0)],
            ..node("ReduceMean", &[from], to)
        };
        let graph = GraphProto {
            node: vec![
                mean("front", "one"),
                mean("wrist", "two"),
                mean("state", "three"),
                node("Add", &["one", "two"], "four"),
                node("Add", &["three", "four"], "five"),
                node("Slice", &["noise", "zero", "count", "rows"], "cut"),
                node("Add", &["cut", "five"], "action"),
            ],
            input: vec![
                tensor("front", Element::F32, &[1, 2, 3, 48, 64]),
                tensor("wrist", Element::F32, &[1, 2, 3, 48, 64]),
                tensor("state", Element::F32, &[1, 2, 6]),
                tensor("noise", Element::F32, &[1, 8, 6]),
            ],
            output: vec![tensor("action", Element::F32, &[1, steps, 6])],
            initializer: vec![
                integers("zero", &[0]),
                integers("count", &[steps]),
                integers("rows", &[1]),
            ],
            ..GraphProto::default()
        };
        write(&dir.path().join("policy.onnx"), 17, graph);
        let mut args = vec![
            "import",
            "--onnx",
            "policy.onnx",
            "--loop",
            "inside",
            "--out",
            "out",
        ];
        args.extend(ANSWERS);
        let manifest = run(dir.path(), &args, &dir.path().join("out")).unwrap();
        let action = &manifest["action"];
        assert_eq!(
            (action["first"].as_i64(), action["chunk"].as_i64()),
            (Some(first), Some(steps - first))
        );
    }
}
