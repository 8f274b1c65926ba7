//! The shipped policy quantised in every scheme: what may change, and by how much.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tract_onnx::pb::ModelProto;
use wink_engine::{BareGraph, Execution, Tensor, View};
use wink_quantize::calibrate::calibrate;
use wink_quantize::emit::{Part, Rounding};
use wink_quantize::graph::to_bytes;
use wink_quantize::range::Method;
use wink_quantize::sensitivity::{Emitted, Parts, Stage};
use wink_quantize::{Graph, Layer, Precision, QuantizeError, Runner, Sample, Scheme, reshape};

const ROUNDING: Rounding = Rounding {
    method: Method::Mse,
    gptq: false,
    bias_correction: false,
};

fn graph(name: &str) -> Result<Graph, QuantizeError> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/wink-s");
    Graph::parse(&std::fs::read(dir.join(name)).unwrap())
}

fn text() -> Graph {
    graph("text.onnx").unwrap()
}

fn act() -> Graph {
    graph("act.onnx").unwrap()
}

fn tensor(view: View<'_>) -> Tensor {
    Tensor::copy_of(view).unwrap()
}

/// Smooth pictures, states and words that no table ever showed: enough to tell one function from another.
fn samples(count: usize) -> Vec<Sample> {
    (0..count)
        .map(|i| {
            let wave =
                |x: usize| ((x as f32 * 0.013 * (i + 1) as f32).sin() * 0.8).clamp(-1.0, 1.0);
            let image: Vec<f32> = (0..3 * 80 * 112).map(wave).collect();
            let state: Vec<f32> = (0..7).map(|x| wave(97 * x + i)).collect();
            let mut tokens = [0_i64; 16];
            for (place, token) in tokens.iter_mut().take(7 + i % 3).enumerate() {
                *token = 2 + (place * 37 + i * 11) as i64 % 200;
            }
            Sample::from([
                (
                    "image".to_owned(),
                    tensor(View::of(&[1, 3, 80, 112], &image).unwrap()),
                ),
                (
                    "state".to_owned(),
                    tensor(View::of(&[1, 7], &state).unwrap()),
                ),
                (
                    "tokens".to_owned(),
                    tensor(View::of(&[1, 16], &tokens).unwrap()),
                ),
            ])
        })
        .collect()
}

/// What the text graph is fed, and what the act graph is when `model` encodes the text.
fn fed(model: &ModelProto, samples: &[Sample]) -> (Vec<Sample>, Vec<Sample>) {
    let tokens =
        |sample: &Sample| -> Sample { [("tokens".to_owned(), sample["tokens"].clone())].into() };
    let outputs = ["text", "text_mask"].map(str::to_owned);
    let mut runner = Runner::new(model.clone(), &outputs, &tokens(&samples[0])).unwrap();
    let told = samples.iter().map(|sample| {
        runner.run(&tokens(sample)).unwrap();
        let mut told = sample.clone();
        told.remove("tokens");
        for (place, name) in outputs.iter().enumerate() {
            told.insert(name.clone(), tensor(runner.view(place, sample).unwrap()));
        }
        told
    });
    let told = told.collect();
    (samples.iter().map(tokens).collect(), told)
}

fn part(stage: &str, graph: Graph, samples: &[Sample]) -> Part {
    let layers = Layer::of(&graph);
    let activations = calibrate(&graph, &layers, samples, true).unwrap();
    Part {
        stage: stage.to_owned(),
        graph,
        layers,
        activations,
    }
}

fn policy(samples: &[Sample]) -> Parts {
    let (text_fed, act_fed) = fed(&text().model(), samples);
    Parts(vec![
        part("text", text(), &text_fed),
        part("act", act(), &act_fed),
    ])
}

/// Actions of the two graphs.
fn actions(text: &ModelProto, act: &ModelProto, samples: &[Sample]) -> Vec<f32> {
    let (_, fed) = fed(text, samples);
    let mut runner = Runner::new(act.clone(), &["action".to_owned()], &fed[0]).unwrap();
    let mut actions = Vec::new();
    for sample in &fed {
        runner.run(sample).unwrap();
        actions.extend(runner.output(0, sample).unwrap().0);
    }
    actions
}

/// Root mean square and largest error of the actions against the float graphs.
fn error(emitted: &Emitted, samples: &[Sample]) -> (f32, f32) {
    let [text_stage, act_stage] = &emitted.stages[..] else {
        panic!("two stages");
    };
    let got = actions(&text_stage.model, &act_stage.model, samples);
    let wanted = actions(&text().model(), &act().model(), samples);
    let errors: Vec<f32> = got
        .iter()
        .zip(&wanted)
        .map(|(a, b)| (a - b).abs())
        .collect();
    let squares: f32 = errors.iter().map(|e| e * e).sum();
    let rms = (squares / errors.len() as f32).sqrt();
    (rms, errors.iter().copied().fold(0.0, f32::max))
}

#[test]
fn every_scheme_stays_near_float_and_float_stays_float() {
    let samples = samples(3);
    let policy = policy(&samples);
    let untouched = vec![Precision::F32; policy.layers()];
    let emitted = policy.emit(&untouched, ROUNDING).unwrap();
    assert_eq!(error(&emitted, &samples), (0.0, 0.0));

    let error = |scheme, rounding| {
        let emitted = policy.emit(&policy.plan(scheme), rounding).unwrap();
        error(&emitted, &samples).0
    };
    let cases = [
        (Scheme::F16, 0.002),
        (Scheme::Int8Dynamic, 0.1),
        (Scheme::Int8, 0.1),
        (Scheme::W4, 0.4),
        (Scheme::W4a8, 0.4),
    ];
    for (scheme, most) in cases {
        let error = error(scheme, ROUNDING);
        assert!(error > 0.0 && error < most, "{scheme:?}: {error}");
    }
    let gptq = error(
        Scheme::W4,
        Rounding {
            gptq: true,
            ..ROUNDING
        },
    );
    let nearest = error(Scheme::W4, ROUNDING);
    assert!(gptq < nearest, "GPTQ {gptq}, nearest {nearest}");
}

/// What each scheme makes runs in fused ops, and says what it says in the engine alone.
#[test]
fn the_fast_path_takes_every_product_of_every_scheme() {
    let policy = policy(&samples(2));
    let dir = tempfile::tempdir().unwrap();
    for scheme in [
        Scheme::F16,
        Scheme::Int8Dynamic,
        Scheme::Int8,
        Scheme::W4,
        Scheme::W4a8,
    ] {
        let emitted = policy.emit(&policy.plan(scheme), ROUNDING).unwrap();
        for Stage { name, model } in emitted.stages {
            let file = dir.path().join(format!("{name}.onnx"));
            std::fs::write(&file, to_bytes(model)).unwrap();
            let mut fused = BareGraph::load(&file, Execution::Fused).unwrap();
            let fusion = fused.fusion().unwrap();
            let mut left = fusion.unmatched.iter();
            assert!(
                left.all(|left| left.op == "Softmax"),
                "{scheme:?}: {fusion:?}"
            );
            let convolutions = fusion.fused.get("FusedConv").copied().unwrap_or(0);
            let in_8_bits = name == "act" && ![Scheme::F16, Scheme::W4].contains(&scheme);
            assert_eq!(convolutions, if in_8_bits { 11 } else { 0 }, "{scheme:?}");
            let mut plain = BareGraph::load(&file, Execution::Plain).unwrap();
            let [found, wanted] = [&mut fused, &mut plain].map(|graph| {
                graph.run().unwrap();
                graph.output(0).unwrap().values::<f32>().unwrap()
            });
            let squares = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2));
            let rms = (squares.sum::<f32>() / found.len() as f32).sqrt();
            assert!(rms < 0.05, "{scheme:?} {name}: {rms}");
        }
    }
}

#[test]
fn reshaping_leaves_the_function_as_it_is() {
    let samples = samples(2);
    let plain = policy(&samples);
    let (_, act_fed) = fed(&text().model(), &samples);
    let (mut smoothed, mut equalised) = (act(), act());
    let layers = Layer::of(&smoothed);
    let norms = reshape::smooth(&mut smoothed, &layers, &plain.0[1].activations, 0.5);
    let pairs = reshape::equalise(&mut equalised, &layers);
    assert!(norms >= 8, "{norms} norms");
    assert!(pairs >= 8, "{pairs} pairs");
    for graph in [smoothed, equalised] {
        assert_ne!(graph.model(), act().model());
        let changed = Parts(vec![plain.0[0].clone(), part("act", graph, &act_fed)]);
        let untouched = vec![Precision::F32; changed.layers()];
        let emitted = changed.emit(&untouched, ROUNDING).unwrap();
        let (_, largest) = error(&emitted, &samples);
        assert!(largest < 2e-3, "{largest}");
    }
}

#[test]
fn what_is_quantised_already_is_refused_by_name() {
    let error = graph("act.int8.onnx").unwrap_err();
    assert!(matches!(error, QuantizeError::Quantised { .. }), "{error}");
    assert!(error.to_string().contains("QuantizeLinear"), "{error}");
}

#[test]
fn samples_of_another_graph_are_refused_by_name() {
    let graph = act();
    let layers = Layer::of(&graph);
    let error = calibrate(&graph, &layers, &samples(1), false).unwrap_err();
    assert!(error.to_string().contains("text"), "{error}");
    assert!(calibrate(&graph, &layers, &[], false).is_err());
}

#[test]
fn an_activation_that_is_not_finite_is_named() {
    let mut samples = samples(2);
    let broken = View::of(&[1, 7], &[f32::NAN; 7]).unwrap();
    samples[1].insert("state".to_owned(), tensor(broken));
    let (_, fed) = fed(&text().model(), &samples);
    let graph = act();
    let layers = Layer::of(&graph);
    let error = calibrate(&graph, &layers, &fed, false).unwrap_err();
    assert!(
        matches!(error, QuantizeError::NotFinite { sample: 1, .. }),
        "{error}"
    );
}

/// Each layer alone moves the actions by something, and the graphs that are handed out are those of its stage.
#[test]
fn sensitivity_goes_layer_by_layer_through_all_stages() {
    let policy = policy(&samples(1));
    let mut plan = policy.plan(Scheme::Int8);
    plan[1] = Precision::F32;
    let mut stages = Vec::new();
    let errors = policy
        .sensitivity(&plan, ROUNDING, |stage| {
            stages.push(stage.name);
            Ok::<_, QuantizeError>(stages.len() as f32)
        })
        .unwrap();
    assert_eq!(errors.len(), policy.layers());
    assert_eq!(errors[..3], [1.0, 0.0, 2.0]);
    let text = policy.0[0].layers.len();
    assert_eq!(stages.iter().filter(|s| *s == "text").count(), text - 1);
    assert_eq!(stages.len(), policy.layers() - 1);
}
