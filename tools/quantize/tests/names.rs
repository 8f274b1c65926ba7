//! What nodes are called, and which names a graph holds already, changes nothing.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto};

use wink_quantize::calibrate::calibrate;
use wink_quantize::emit::{Part, Rounding};
use wink_quantize::graph::to_bytes;
use wink_quantize::range::Method;
use wink_quantize::sensitivity::{HeldOut, Policy};
use wink_quantize::{Graph, Layer, QuantizeError, Sample, Scheme, feed};

const SCHEMES: [Scheme; 5] = [
    Scheme::F16,
    Scheme::Int8,
    Scheme::Int8Dynamic,
    Scheme::W4a8,
    Scheme::W4,
];

fn text() -> ModelProto {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/wink-s/text.onnx");
    ModelProto::decode(&*std::fs::read(file).unwrap()).unwrap()
}

/// The text encoder, whose first output is measured as if it were actions.
fn parse(model: &ModelProto) -> Result<Graph, QuantizeError> {
    let same = |name: &str| BTreeMap::from([(name.to_owned(), name.to_owned())]);
    Graph::parse(&model.encode_to_vec(), same("tokens"), same("text"))
}

fn samples() -> Vec<Sample> {
    let tokens = |i: i64| [2 + i, 40 + 3 * i, 7, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    (0..3)
        .map(|i| Sample::from([("tokens".to_owned(), feed(&[1, 16], &tokens(i)).unwrap())]))
        .collect()
}

fn policy(model: &ModelProto) -> Policy {
    let graph = parse(model).unwrap();
    let layers = Layer::of(&graph).unwrap();
    let activations = calibrate(&graph, &layers, &samples(), false, || {}).unwrap();
    Policy {
        text: None,
        act: Part {
            graph,
            layers,
            activations,
        },
    }
}

/// How far each scheme moves the outputs; the emitted graphs hold each name once.
fn errors(policy: &Policy) -> Vec<(f32, f32)> {
    let held_out = HeldOut::new(policy, samples()).unwrap();
    let rounding = Rounding {
        method: Method::MinMax,
        gptq: false,
        bias_correction: false,
    };
    let error = |scheme| {
        let emitted = policy.emit(&policy.plan(scheme), rounding).unwrap();
        let stored = ModelProto::decode(&*to_bytes(emitted.act.clone())).unwrap();
        let graph = stored.graph.unwrap();
        let made = graph.node.iter().flat_map(|node| &node.output);
        let held = graph.initializer.iter().map(|tensor| &tensor.name);
        let mut names = HashSet::new();
        for name in made.chain(held) {
            assert!(names.insert(name), "{scheme:?}: {name}");
        }
        policy.error(&emitted, &held_out).unwrap()
    };
    SCHEMES.map(error).to_vec()
}

fn with_nodes(change: impl Fn(&mut NodeProto)) -> ModelProto {
    let mut model = text();
    model
        .graph
        .as_mut()
        .unwrap()
        .node
        .iter_mut()
        .for_each(change);
    model
}

#[test]
fn nodes_without_a_name_or_of_the_same_name_are_told_apart() {
    let usual = policy(&text());
    let wanted = errors(&usual);
    assert!(wanted.iter().all(|(rms, _)| *rms > 0.0), "{wanted:?}");
    for name in ["", "product"] {
        let policy = policy(&with_nodes(|node| node.name = name.to_owned()));
        let names: HashSet<&String> = policy.act.layers.iter().map(|layer| &layer.name).collect();
        assert_eq!(names.len(), usual.act.layers.len());
        assert!(names.iter().all(|layer| layer.contains(name)));
        assert_eq!(errors(&policy), wanted, "\"{name}\"");
    }
}

#[test]
fn a_graph_may_hold_the_names_of_what_is_made() {
    let usual = policy(&text());
    let wanted = errors(&usual);
    let layers = &usual.act.layers;
    let first = &layers[0];
    let taken = [
        format!("{}_quantized", first.input),
        format!("{}_dequantized", first.weight),
        format!("{}_rounded", first.weight),
        format!("{}_moment_scale", first.input),
        format!("{}_sums", first.name),
        format!("{}_weight_4bit", first.name),
    ];
    let renamed: BTreeMap<&String, &String> =
        layers[1..].iter().map(|l| &l.output).zip(&taken).collect();
    assert_eq!(renamed.len(), taken.len());
    let model = with_nodes(|node| {
        for tensor in node.input.iter_mut().chain(&mut node.output) {
            if let Some(name) = renamed.get(tensor) {
                tensor.clone_from(name);
            }
        }
    });
    assert_eq!(errors(&policy(&model)), wanted);
}

#[test]
fn a_tensor_that_is_made_twice_is_refused_by_name() {
    let mut model = text();
    let nodes = &mut model.graph.as_mut().unwrap().node;
    let last = nodes.last().unwrap().clone();
    nodes.push(last.clone());
    let error = parse(&model).unwrap_err();
    assert!(matches!(error, QuantizeError::Twice { .. }), "{error}");
    assert!(error.to_string().contains(&last.output[0]), "{error}");
}
