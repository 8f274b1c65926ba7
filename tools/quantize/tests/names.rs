//! What nodes are called, and which names a graph holds already, changes nothing.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto};

use wink_engine::{Tensor, View};
use wink_quantize::calibrate::calibrate;
use wink_quantize::emit::{Part, Rounding, emit, precision};
use wink_quantize::graph::to_bytes;
use wink_quantize::range::Method;
use wink_quantize::{Graph, Layer, QuantizeError, Runner, Sample, Scheme};

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

fn parse(model: &ModelProto) -> Result<Graph, QuantizeError> {
    Graph::parse(&model.encode_to_vec())
}

fn samples() -> Vec<Sample> {
    let tokens = |i: i64| [2 + i, 40 + 3 * i, 7, 90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    (0..3)
        .map(|i| {
            let tokens = tokens(i);
            let view = View::of(&[1, 16], &tokens).unwrap();
            Sample::from([("tokens".to_owned(), Tensor::copy_of(view).unwrap())])
        })
        .collect()
}

fn part(model: &ModelProto) -> Part {
    let graph = parse(model).unwrap();
    let layers = Layer::of(&graph);
    let activations = calibrate(&graph, &layers, &samples(), false).unwrap();
    Part {
        stage: "text".to_owned(),
        graph,
        layers,
        activations,
    }
}

/// The encoded text.
fn outputs(model: &ModelProto) -> Vec<f32> {
    let samples = samples();
    let mut runner = Runner::new(model.clone(), &["text".to_owned()], &samples[0]).unwrap();
    let mut outputs = Vec::new();
    for sample in &samples {
        runner.run(sample).unwrap();
        outputs.extend(runner.output(0, sample).unwrap().0);
    }
    outputs
}

/// How far each scheme moves the output, as a root mean square; the emitted graphs hold each name once.
fn errors(part: &Part) -> Vec<f32> {
    let wanted = outputs(&part.graph.model());
    let rounding = Rounding {
        method: Method::MinMax,
        gptq: false,
        bias_correction: false,
    };
    let error = |scheme| {
        let layers = part.layers.iter();
        let precisions: Vec<_> = layers.map(|layer| precision(scheme, layer)).collect();
        let (model, _) = emit(part, &precisions, rounding).unwrap();
        let stored = ModelProto::decode(&*to_bytes(model.clone())).unwrap();
        let graph = stored.graph.unwrap();
        let made = graph.node.iter().flat_map(|node| &node.output);
        let held = graph.initializer.iter().map(|tensor| &tensor.name);
        let mut names = HashSet::new();
        for name in made.chain(held) {
            assert!(names.insert(name), "{scheme:?}: {name}");
        }
        let got = outputs(&model);
        let squares = got.iter().zip(&wanted).map(|(a, b)| (a - b) * (a - b));
        (squares.sum::<f32>() / wanted.len() as f32).sqrt()
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
    let usual = part(&text());
    let wanted = errors(&usual);
    assert!(wanted.iter().all(|rms| *rms > 0.0), "{wanted:?}");
    for name in ["", "product"] {
        let part = part(&with_nodes(|node| node.name = name.to_owned()));
        let names: HashSet<&String> = part.layers.iter().map(|layer| &layer.name).collect();
        assert_eq!(names.len(), usual.layers.len());
        assert!(names.iter().all(|layer| layer.contains(name)));
        assert_eq!(errors(&part), wanted, "\"{name}\"");
    }
}

#[test]
fn a_graph_may_hold_the_names_of_what_is_made() {
    let usual = part(&text());
    let wanted = errors(&usual);
    let layers = &usual.layers;
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
    assert_eq!(errors(&part(&model)), wanted);
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
