//! The shipped policy quantised in every scheme: what may change, and by how much.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use wink_engine::{BareGraph, Execution};
use wink_quantize::calibrate::calibrate;
use wink_quantize::emit::{Part, Rounding};
use wink_quantize::graph::to_bytes;
use wink_quantize::range::Method;
use wink_quantize::sensitivity::{HeldOut, Policy};
use wink_quantize::{
    Graph, Layer, Precision, QuantizeError, Sample, Scheme, feed, reshape, with_text,
};

const ROUNDING: Rounding = Rounding {
    method: Method::Mse,
    gptq: false,
    bias_correction: false,
};

fn graph(name: &str, inputs: &[&str], outputs: &[&str]) -> Result<Graph, QuantizeError> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/wink-s");
    let bytes = std::fs::read(dir.join(name)).unwrap();
    let same = |names: &[&str]| -> BTreeMap<String, String> {
        names
            .iter()
            .map(|n| (n.to_string(), n.to_string()))
            .collect()
    };
    Graph::parse(&bytes, same(inputs), same(outputs))
}

fn text() -> Graph {
    graph("text.onnx", &["tokens"], &["text", "text_mask"]).unwrap()
}

fn act() -> Graph {
    graph(
        "act.onnx",
        &["image", "state", "text", "text_mask"],
        &["action"],
    )
    .unwrap()
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
                ("image".to_owned(), feed(&[1, 3, 80, 112], &image).unwrap()),
                ("state".to_owned(), feed(&[1, 7], &state).unwrap()),
                ("tokens".to_owned(), feed(&[1, 16], &tokens).unwrap()),
            ])
        })
        .collect()
}

fn part(graph: Graph, samples: &[Sample]) -> Part {
    let layers = Layer::of(&graph).unwrap();
    let activations = calibrate(&graph, &layers, samples, true, || {}).unwrap();
    Part {
        graph,
        layers,
        activations,
    }
}

fn policy(samples: &[Sample]) -> Policy {
    let text = text();
    let told = with_text(text.model(), &text, samples).unwrap();
    Policy {
        text: Some(part(text, samples)),
        act: part(act(), &told),
    }
}

#[test]
fn every_scheme_stays_near_float_and_float_stays_float() {
    let samples = samples(3);
    let policy = policy(&samples);
    let held_out = HeldOut::new(&policy, samples).unwrap();
    let untouched = vec![Precision::F32; policy.plan(Scheme::Int8).len()];
    let emitted = policy.emit(&untouched, ROUNDING).unwrap();
    assert_eq!(policy.error(&emitted, &held_out).unwrap(), (0.0, 0.0));

    let error = |scheme, rounding| {
        let emitted = policy.emit(&policy.plan(scheme), rounding).unwrap();
        policy.error(&emitted, &held_out).unwrap().0
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
        for (name, model) in [("text", emitted.text.unwrap()), ("act", emitted.act)] {
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
    let held_out = HeldOut::new(&plain, samples.clone()).unwrap();
    let told = with_text(text().model(), &text(), &samples).unwrap();
    let (mut smoothed, mut equalised) = (act(), act());
    let layers = Layer::of(&smoothed).unwrap();
    let norms = reshape::smooth(&mut smoothed, &layers, &plain.act.activations, 0.5);
    let pairs = reshape::equalise(&mut equalised, &layers);
    assert!(norms >= 8, "{norms} norms");
    assert!(pairs >= 8, "{pairs} pairs");
    for graph in [smoothed, equalised] {
        assert_ne!(graph.model(), act().model());
        let changed = Policy {
            text: Some(plain.text.clone().unwrap()),
            act: part(graph, &told),
        };
        let untouched = vec![Precision::F32; changed.plan(Scheme::Int8).len()];
        let emitted = changed.emit(&untouched, ROUNDING).unwrap();
        let (_, largest) = plain.error(&emitted, &held_out).unwrap();
        assert!(largest < 2e-3, "{largest}");
    }
}

#[test]
fn what_is_quantised_already_is_refused_by_name() {
    let error = graph("act.int8.onnx", &["image"], &["action"]).unwrap_err();
    assert!(matches!(error, QuantizeError::Quantised { .. }), "{error}");
    assert!(error.to_string().contains("QuantizeLinear"), "{error}");
}

#[test]
fn samples_of_another_policy_are_refused_by_name() {
    let graph = act();
    let layers = Layer::of(&graph).unwrap();
    let error = calibrate(&graph, &layers, &samples(1), false, || {}).unwrap_err();
    assert!(error.to_string().contains("text"), "{error}");
    assert!(calibrate(&graph, &layers, &[], false, || {}).is_err());
}

#[test]
fn an_activation_that_is_not_finite_is_named() {
    let mut samples = samples(2);
    samples[1].insert("state".to_owned(), feed(&[1, 7], &[f32::NAN; 7]).unwrap());
    let text = text();
    let told = with_text(text.model(), &text, &samples).unwrap();
    let graph = act();
    let layers = Layer::of(&graph).unwrap();
    let error = calibrate(&graph, &layers, &told, false, || {}).unwrap_err();
    assert!(
        matches!(error, QuantizeError::NotFinite { sample: 1, .. }),
        "{error}"
    );
}
