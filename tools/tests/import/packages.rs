//! What is imported is what the exporter writes from the same checkpoint.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wink_runtime::policy::manifest::FileRecord;

use crate::checkpoint::{Checkpoint, policies, policy, read};
use crate::common::{names, wink, wink_ok};
use crate::running::{ANSWERS, command, graph, import, import_stages, import_with, refused, same};

#[test]
fn act_is_the_exporters_package() {
    let manifest = import(&Checkpoint::act(), &[]).unwrap();
    same(&manifest, &policy("act"));
    assert_eq!(manifest["name"], "act");
}

#[test]
fn diffusion_is_the_exporters_package() {
    let manifest = import_stages(
        "diffusion",
        &Checkpoint::diffusion(),
        &["vision", "step"],
        &[],
    );
    same(&manifest.unwrap(), &policy("diffusion"));
}

#[test]
fn smolvla_is_the_exporters_package() {
    let folder = policies().join("smolvla");
    let folder = folder.to_str().unwrap();
    let text = ["--tokenizer", folder, "--pad-id", "0"];
    let answers = [&text[..], &["--pixels", "signed"]].concat();
    let checkpoint = Checkpoint::smolvla();
    // As a shell lists the files.
    let stages = ["prefix", "step", "vision"];
    let import = |checkpoint, more: &[&str]| import_stages("smolvla", checkpoint, &stages, more);
    same(&import(&checkpoint, &answers).unwrap(), &policy("smolvla"));

    refused(
        import(&checkpoint, &text),
        &["--pixels unit", "--pixels signed"],
    );
    refused(
        import(&checkpoint, &answers[4..]),
        &["tokenizer", "--tokenizer DIR"],
    );
    let without_id = [&text[..2], &["--pixels", "signed"]].concat();
    refused(import(&checkpoint, &without_id), &["--pad-id"]);
    let mut other = Checkpoint::smolvla();
    other.before.as_mut().unwrap()["steps"][5]["config"]["padding_side"] = json!("left");
    refused(
        import(&other, &answers),
        &["policy_preprocessor.json", "left", "right"],
    );
    let mut other = Checkpoint::smolvla();
    let steps = other.before.as_mut().unwrap()["steps"]
        .as_array_mut()
        .unwrap();
    steps.remove(4);
    refused(import(&other, &answers), &["does not prepare the prompt"]);
    let mut other = Checkpoint::smolvla();
    other.config["normalization_mapping"]["VISUAL"] = json!("MEAN_STD");
    other.normaliser()["norm_map"]["VISUAL"] = json!("MEAN_STD");
    refused(
        import(&other, &answers),
        &["MeanStd", "before it is resized"],
    );
}

#[test]
fn pi_is_the_exporters_package() {
    for name in ["pi0", "pi05"] {
        let folder = policies().join(name);
        let folder = folder.to_str().unwrap();
        let answers = ["--pixels", "signed", "--tokenizer", folder, "--pad-id", "0"];
        let stages = ["vision", "prefix", "step"];
        let manifest = import_stages(name, &Checkpoint::pi(name), &stages, &answers);
        same(&manifest.unwrap(), &policy(name));
    }
    // openpi's prompt writes the state after it is normalised.
    let mut early = Checkpoint::pi("pi05");
    early.before.as_mut().unwrap()["steps"]
        .as_array_mut()
        .unwrap()
        .swap(3, 4);
    refused(
        import_stages("pi05", &early, &["vision", "prefix", "step"], &[]),
        &[
            "pi05_prepare_state_tokenizer_processor_step",
            "before it is normalised",
        ],
    );
}

#[test]
fn imported_packages_give_the_exporters_golden_values() {
    for (name, checkpoint, stages) in [
        ("act", Checkpoint::act(), &["act"][..]),
        ("diffusion", Checkpoint::diffusion(), &["vision", "step"]),
        (
            "smolvla",
            Checkpoint::smolvla(),
            &["vision", "prefix", "step"],
        ),
        ("pi0", Checkpoint::pi("pi0"), &["vision", "prefix", "step"]),
        (
            "pi05",
            Checkpoint::pi("pi05"),
            &["vision", "prefix", "step"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        checkpoint.write(dir.path());
        let files = stages
            .iter()
            .map(|stage| graph(name, &format!("{stage}.onnx")));
        let files: Vec<String> = files.collect();
        let folder = policies().join(name);
        let mut args = vec!["import", "--out", "out", "--onnx"];
        args.extend(files.iter().map(String::as_str));
        args.extend(ANSWERS);
        if name.starts_with("pi") || name == "smolvla" {
            args.extend(["--pixels", "signed", "--pad-id", "0"]);
            args.extend(["--tokenizer", folder.to_str().unwrap()]);
        }
        wink_ok(dir.path(), &args);
        let out = dir.path().join("out");
        let golden = fs::read(folder.join("golden.json")).unwrap();
        fs::write(out.join("golden.json"), &golden).unwrap();
        let mut manifest = read(&out.join("policy.json"));
        manifest["golden"] = json!("golden.json");
        manifest["files"]["golden.json"] = serde_json::to_value(FileRecord::of(&golden)).unwrap();
        fs::write(out.join("policy.json"), manifest.to_string()).unwrap();
        let told = wink_ok(dir.path(), &["inspect", "out"]);
        assert!(told.contains(": passed"), "{name}: {told}");
    }
}

#[test]
fn statistics_inside_an_old_model_give_the_same_package() {
    let manifest = import(&Checkpoint::act().into_old(), &[]).unwrap();
    same(&manifest, &policy("act"));
}

#[test]
fn answers_in_place_of_the_data_set() {
    let joints = "shoulder_pan.pos,shoulder_lift.pos,elbow_flex.pos,wrist_flex.pos,wrist_roll.pos,gripper.pos";
    let (state, action) = (
        format!("observation.state={joints}"),
        format!("action={joints}"),
    );
    let mut answers = ANSWERS.to_vec();
    answers.drain(2..4);
    answers.extend(["--names", &state, "--names", &action]);
    refused(
        import_with(&Checkpoint::act(), &answers),
        &["rate", "--control-hz HZ"],
    );
    answers.extend(["--control-hz", "30"]);
    let manifest = import_with(&Checkpoint::act(), &answers).unwrap();
    same(&manifest, &policy("act"));
}

#[test]
fn graphs_that_normalise_themselves_are_fed_with_units() {
    let mut answers = ANSWERS.to_vec();
    answers[5] = "inside";
    let manifest = import_with(&Checkpoint::act(), &answers).unwrap();
    let identity = json!({"identity": {}});
    assert_eq!(manifest["action"]["normalisation"], identity);
    assert_eq!(
        manifest["observations"]["states"][0]["normalisation"],
        identity
    );
    assert_eq!(
        manifest["observations"]["cameras"][1]["normalisation"],
        identity
    );
}

#[test]
fn the_epsilon_and_the_licence_are_the_checkpoints() {
    let mut checkpoint = Checkpoint::act();
    checkpoint.normaliser()["eps"] = json!(1e-6);
    checkpoint.config["license"] = json!("MIT");
    let manifest = import_with(&checkpoint, &ANSWERS[..10]).unwrap();
    let epsilon = &manifest["observations"]["states"][0]["normalisation"]["mean_std"]["epsilon"];
    assert_eq!(epsilon.as_f64().unwrap() as f32, 1e-6);
    assert_eq!(manifest["licence"], "MIT");
}

#[test]
fn what_was_written_is_told_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    Checkpoint::act().write(dir.path());
    let act = graph("act", "act.onnx");
    let told = wink_ok(dir.path(), &command(&ANSWERS, &act));
    for words in [
        "camera observation.images.wrist (64 x 48 only)",
        "shoulder_pan.pos [lerobot_degrees]",
        "gripper.pos [percent]",
        "observation.images.front -> image_front",
        "executed at 30 Hz",
        "licence Apache-2.0",
    ] {
        assert!(told.contains(words), "no `{words}` in {told}");
    }
    let again = wink(dir.path(), &command(&ANSWERS, &act));
    assert_eq!(again.status.code(), Some(2));
    let mut json = command(&ANSWERS, &act);
    json.extend(["--force", "--json"]);
    let told: Value = serde_json::from_str(&wink_ok(dir.path(), &json)).unwrap();
    let written = read(&dir.path().join("out/act/policy.json"));
    assert_eq!(told, written);
    assert_eq!(
        names(&dir.path().join("out/act")),
        ["act.onnx", "policy.json"]
    );
    let bytes = |path: &Path| fs::read(path).unwrap();
    assert_eq!(
        bytes(&dir.path().join("out/act/act.onnx")),
        bytes(Path::new(&act))
    );
}
