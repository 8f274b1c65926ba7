//! Golden values of an import: kept in the package, compared before it is there.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::checkpoint::{Checkpoint, policies, policy, read};
use crate::common::onnx::Npz;
use crate::common::{names, text, wink, wink_ok};
use crate::whole::{answers, step, whole};

const JOINTS: usize = 6;
const STEPS: usize = 8;
/// Numbers of a step before LeRobot cuts them.
const WIDTH: usize = 8;

fn pixels(value: f32) -> Vec<f32> {
    vec![value; 3 * 48 * 64]
}

fn noise() -> Vec<f32> {
    (0..STEPS * WIDTH)
        .map(|place| place as f32 / 16.0 - 2.0)
        .collect()
}

fn tokens() -> Vec<i64> {
    let golden = read(&policies().join("smolvla/golden.json"));
    let tokens = golden["tokens"].as_array().unwrap();
    tokens.iter().map(|token| token.as_i64().unwrap()).collect()
}

fn state() -> Vec<f32> {
    (0..JOINTS).map(|place| place as f32 / 4.0).collect()
}

/// The observation that [`whole`] and [`step`] are given; the names are those of values and of tensors.
fn given(dir: &Path, refined: &str) -> Npz {
    Npz::create(dir, "in.npz")
        .add("front", &[1, 3, 48, 64], pixels(0.25))
        .add("observation.images.wrist", &[1, 3, 48, 64], pixels(0.5))
        .add("observation.state", &[1, JOINTS as u64], state())
        .add(refined, &[1, STEPS as u64, WIDTH as u64], noise())
}

fn with_text(npz: Npz) -> Npz {
    let mask: Vec<bool> = tokens().iter().map(|token| *token != 0).collect();
    npz.add("tokens", &[1, 16], tokens())
        .add("lang_masks", &[1, 16], mask)
}

/// What the graph gives where each number of the noise is scaled and the sum of what was observed added.
fn normalised(scale: f32, added: bool) -> Vec<f32> {
    let words: i64 = tokens().iter().sum();
    let sum = 0.25 + 0.5 + words as f32 / 16.0;
    let rows = noise();
    let rows = rows.chunks(WIDTH);
    let joints = state();
    let value =
        |(noise, state): (&f32, &f32)| noise * scale + if added { sum + state } else { 0.0 };
    rows.flat_map(|row| row.iter().zip(&joints).map(value).collect::<Vec<f32>>())
        .collect()
}

/// Brought back to units.
fn in_units(normalised: &[f32]) -> Vec<f32> {
    let policy = policy("smolvla");
    let numbers = |name: &str| -> Vec<f32> {
        let list = policy["action"]["normalisation"]["mean_std"][name]
            .as_array()
            .unwrap();
        list.iter()
            .map(|number| number.as_f64().unwrap() as f32)
            .collect()
    };
    let (mean, std) = (numbers("mean"), numbers("std"));
    let back = |(place, value): (usize, &f32)| value * std[place % JOINTS] + mean[place % JOINTS];
    normalised.iter().enumerate().map(back).collect()
}

fn expected(dir: &Path, name: &str, shape: &[u64], values: Vec<f32>) {
    Npz::create(dir, "out.npz").add(name, shape, values);
}

fn import(dir: &Path, graph: fn(&Path), more: &[&str]) -> Output {
    Checkpoint::smolvla().write(dir);
    graph(&dir.join("policy.onnx"));
    let answers = answers();
    let mut args = vec!["import", "--onnx", "policy.onnx", "--out", "out", "--force"];
    args.extend(["--golden", "in.npz", "--expect", "out.npz"]);
    args.extend(answers.iter().map(String::as_str));
    args.extend(more);
    wink(dir, &args)
}

const CHUNK: [u64; 3] = [1, STEPS as u64, JOINTS as u64];

#[test]
fn a_whole_graph_is_checked_on_given_tensors_and_again_by_inspect() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_text(given(dir, "noise"));
    let values = normalised(1.0, true);
    Npz::create(dir, "out.npz")
        .add("action", &CHUNK, in_units(&values))
        .add("actions", &CHUNK, values.clone());
    let ran = import(dir, whole, &["--loop", "inside"]);
    let told = text(&ran.stdout);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(told.contains("golden action: largest difference"), "{told}");
    assert!(
        told.contains("golden policy.actions: largest difference"),
        "{told}"
    );
    let files = [
        "golden-0.bin",
        "golden-1.bin",
        "golden.json",
        "policy.json",
        "policy.onnx",
        "tokenizer.json",
    ];
    assert_eq!(names(&dir.join("out")), files);
    assert!(wink_ok(dir, &["inspect", "out", "--check"]).contains(": passed"));
    let wired = wink_ok(dir, &["inspect", "out"]);
    assert!(
        wired.contains("noise, once an observation") && wired.contains("N(0, 1)"),
        "{wired}"
    );
    // One file of numbers was exchanged, and no longer is what policy.json lists.
    std::fs::write(dir.join("out/golden-0.bin"), [0; 4]).unwrap();
    assert_eq!(
        wink(dir, &["inspect", "out", "--check"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_loop_is_checked_with_the_noise_that_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_text(given(dir, "x_t"));
    // Four steps of x -= x / 4.
    let values = normalised(0.75_f32.powi(4), false);
    expected(dir, "action", &CHUNK[1..], in_units(&values));
    let ran = import(dir, step, &[]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(wink_ok(dir, &["inspect", "out", "--check"]).contains(": passed"));

    // More numbers than are drawn.
    let more: Vec<f32> = noise().into_iter().chain([0.0]).collect();
    with_text(
        Npz::create(dir, "in.npz")
            .add("front", &[1, 3, 48, 64], pixels(0.25))
            .add("observation_images_wrist", &[1, 3, 48, 64], pixels(0.5))
            .add("observation.state", &[1, JOINTS as u64], state())
            .add("noise", &[65], more),
    );
    let said = text(&import(dir, step, &[]).stderr);
    assert!(said.contains("65 numbers, the policy draws 64"), "{said}");
}

#[test]
fn an_instruction_in_place_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    given(dir, "noise");
    expected(dir, "actions", &CHUNK, normalised(1.0, true));
    let inside = [
        "--loop",
        "inside",
        "--instruction",
        "put the red cube into the box",
    ];
    let ran = import(dir, whole, &inside);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    // Tokens that the tokenizer does not make.
    let others: Vec<i64> = tokens().into_iter().map(|token| token + 1).collect();
    given(dir, "noise").add("tokens", &[1, 16], others);
    let said = text(&import(dir, whole, &inside).stderr);
    assert!(said.contains("the tokenizer makes [290, "), "{said}");
    let ran = import(dir, whole, &inside[..2]);
    let said = text(&ran.stderr);
    assert!(
        ran.status.code() == Some(2)
            && said.contains("lacks \"mask\"")
            && said.contains("--instruction"),
        "{said}"
    );
}

#[test]
fn other_values_than_expected_are_no_package() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    with_text(given(dir, "noise"));
    let mut values = in_units(&normalised(1.0, true));
    let largest = values
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    values[17] += 3e-4 * largest;
    expected(dir, "action", &CHUNK, values);
    let inside = ["--loop", "inside"];
    let ran = import(dir, whole, &inside);
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains("\"action\" differs by") && said.lines().count() == 1,
        "{said}"
    );
    assert!(!dir.join("out").exists());
    let ran = import(dir, whole, &["--loop", "inside", "--tolerance", "1e-3"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = |value: f32| vec![value; STEPS * JOINTS];
    type Given = fn(&Path) -> Npz;
    let whole_given: Given = |dir| with_text(given(dir, "noise"));
    type Case<'a> = (Given, &'a str, &'a [u64], Vec<f32>, &'a str);
    let cases: [Case<'_>; 8] = [
        (
            |dir| given(dir, "noise"),
            "action",
            &CHUNK,
            row(0.0),
            "lacks \"tokens\" i64[1, 16]",
        ),
        (
            |dir| with_text(given(dir, "noise")).add("depth", &[1], vec![0.5_f32]),
            "action",
            &CHUNK,
            row(0.0),
            "\"depth\" is nothing that the policy is fed with",
        ),
        (
            |dir| with_text(given(dir, "noise")).add("wrist", &[1], vec![0.5_f32]),
            "action",
            &CHUNK,
            row(0.0),
            "\"wrist\" is nothing",
        ),
        (
            |dir| {
                with_text(given(dir, "noise")).add(
                    "observation_images_wrist",
                    &[1, 3, 48, 64],
                    pixels(0.0),
                )
            },
            "action",
            &CHUNK,
            row(0.0),
            "are one value",
        ),
        (
            whole_given,
            "chunk",
            &CHUNK,
            row(0.0),
            "\"chunk\" is nothing that the policy computes; it computes action, policy.actions",
        ),
        (
            whole_given,
            "action",
            &[6, 8],
            row(0.0),
            "has the shape [6, 8], the policy gives 8 steps of 6 numbers",
        ),
        (
            whole_given,
            "action",
            &CHUNK,
            row(f32::NAN),
            "\"action\" has NaN at 0",
        ),
        (
            |dir| with_text(given(dir, "noise")).add("noise", &[1, 8, 8], vec![0.0_f64; 64]),
            "action",
            &CHUNK,
            row(0.0),
            "noise",
        ),
    ];
    for (inputs, name, shape, values, told) in cases {
        inputs(dir);
        expected(dir, name, shape, values);
        let ran = import(dir, whole, &["--loop", "inside"]);
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(2), "{told}: {said}");
        assert!(
            said.contains(told) && said.lines().count() == 1,
            "{told}: {said}"
        );
        assert!(!dir.join("out").exists());
    }
    let manifest: Value = policy("smolvla");
    assert!(manifest["observations"].get("noise").is_none());
}
