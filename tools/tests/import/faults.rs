//! Faults that run silently elsewhere, and broken files: each is one line that names it.

use std::fs;

use serde_json::json;

use crate::checkpoint::{Checkpoint, policy};
use crate::common::{text, wink};
use crate::running::{ANSWERS, command, graph, import, refused, same};

#[test]
fn a_missing_statistic_is_named() {
    for key in [
        "observation.images.wrist.mean",
        "observation.state.std",
        "action.mean",
    ] {
        let mut checkpoint = Checkpoint::act();
        checkpoint.inputs.remove(key);
        checkpoint.outputs.remove(key);
        refused(import(&checkpoint, &[]), &[key, "missing", "safetensors"]);
    }
    let mut old = Checkpoint::act().into_old();
    let model = old.model.as_mut().unwrap();
    model.remove("normalize_inputs.buffer_observation_state.mean");
    refused(
        import(&old, &[]),
        &["observation.state.mean", "missing", "model.safetensors"],
    );
    old.model = None;
    refused(
        import(&old, &[]),
        &["policy_preprocessor.json", "model.safetensors"],
    );
}

#[test]
fn statistics_under_other_keys_are_named_and_taken_on_request() {
    let mut checkpoint = Checkpoint::act();
    for tensors in [&mut checkpoint.inputs, &mut checkpoint.outputs] {
        let tagged = std::mem::take(tensors).into_iter();
        *tensors = tagged
            .map(|(key, tensor)| (format!("so100.buffer.{key}"), tensor))
            .collect();
    }
    refused(
        import(&checkpoint, &[]),
        &[
            "so100.buffer.observation.images.front.mean",
            "--statistics so100",
        ],
    );
    let manifest = import(&checkpoint, &["--statistics", "so100"]).unwrap();
    same(&manifest, &policy("act"));
    refused(
        import(&checkpoint, &["--statistics", "so101"]),
        &["missing", "so101"],
    );

    let mut old = Checkpoint::act().into_old();
    let tagged = old.model.take().unwrap().into_iter();
    let tagged =
        tagged.map(|(key, tensor)| (key.replace(".buffer_", ".so100-red_buffer_"), tensor));
    old.model = Some(tagged.collect());
    refused(import(&old, &[]), &["--statistics so100-red"]);
    let manifest = import(&old, &["--statistics", "so100-red"]).unwrap();
    same(&manifest, &policy("act"));
}

#[test]
fn statistics_that_cannot_be_are_named() {
    let mut checkpoint = Checkpoint::act();
    let (_, values) = checkpoint.inputs.get_mut("observation.state.std").unwrap();
    values[2] = f32::INFINITY;
    refused(
        import(&checkpoint, &[]),
        &["observation.state.std", "[2]", "inf"],
    );

    let mut checkpoint = Checkpoint::act();
    let short = (vec![5], vec![0.0; 5]);
    checkpoint
        .inputs
        .insert("observation.state.mean".to_owned(), short);
    refused(
        import(&checkpoint, &[]),
        &["observation.state.mean", "5 numbers", "6"],
    );
}

#[test]
fn permuted_joints_are_named() {
    let mut checkpoint = Checkpoint::act();
    let mut names = checkpoint.info["features"]["action"]["names"].clone();
    names.as_array_mut().unwrap().swap(1, 2);
    checkpoint.config["action_feature_names"] = names;
    refused(
        import(&checkpoint, &[]),
        &[
            "number 2 of action",
            "shoulder_lift.pos",
            "elbow_flex.pos",
            "action_feature_names",
        ],
    );
    let swapped = "action=shoulder_lift.pos,shoulder_pan.pos,elbow_flex.pos,wrist_flex.pos,wrist_roll.pos,gripper.pos";
    refused(
        import(&Checkpoint::act(), &["--names", swapped]),
        &["number 1 of action", "--names", "the data set"],
    );
}

#[test]
fn another_number_of_joints_is_named() {
    let mut checkpoint = Checkpoint::act();
    let state = &mut checkpoint.info["features"]["observation.state"];
    state["shape"] = json!([7]);
    state["names"]
        .as_array_mut()
        .unwrap()
        .push(json!("seventh.pos"));
    refused(import(&checkpoint, &[]), &["observation.state", "[7]", "6"]);
}

#[test]
fn cameras_match_by_name_or_by_answer() {
    let mut checkpoint = Checkpoint::act();
    let features = checkpoint.info["features"].as_object_mut().unwrap();
    let wrist = features.remove("observation.images.wrist").unwrap();
    refused(
        import(&checkpoint, &[]),
        &["observation.images.wrist", "info.json", "--rename"],
    );
    let features = checkpoint.info["features"].as_object_mut().unwrap();
    features.insert("observation.images.hand".to_owned(), wrist);
    let rename = "observation.images.hand=observation.images.wrist";
    refused(
        import(&checkpoint, &[]),
        &[
            "camera observation.images.hand",
            "--rename",
            "observation.images.wrist",
        ],
    );
    for renamed in [import(&checkpoint, &["--rename", rename]), {
        let steps = &mut checkpoint.before.as_mut().unwrap()["steps"];
        steps[0]["config"]["rename_map"] =
            json!({"observation.images.hand": "observation.images.wrist"});
        import(&checkpoint, &[])
    }] {
        let manifest = renamed.unwrap();
        assert_eq!(
            manifest["stages"][0]["inputs"]["image_wrist"],
            "observation.images.hand"
        );
        let exported = policy("act");
        assert_eq!(
            manifest["observations"]["cameras"][1]["normalisation"],
            exported["observations"]["cameras"][1]["normalisation"]
        );
    }
}

#[test]
fn a_camera_too_many_or_too_few_is_named() {
    let mut checkpoint = Checkpoint::act();
    let extra = checkpoint.info["features"]["observation.images.front"].clone();
    checkpoint.info["features"]["observation.images.side"] = extra;
    let side = ["--leave-out", "observation.images.side"];
    refused(
        import(&checkpoint, &[]),
        &["observation.images.side", "--leave-out"],
    );
    same(&import(&checkpoint, &side).unwrap(), &policy("act"));

    // The policy's own third camera, which the graph does not read.
    let feature = json!({"type": "VISUAL", "shape": [3, 48, 64]});
    checkpoint.config["input_features"]["observation.images.side"] = feature.clone();
    checkpoint.normaliser()["features"]["observation.images.side"] = feature;
    refused(
        import(&checkpoint, &[]),
        &[
            "no graph reads observation.images.side",
            "--feed",
            "--leave-out",
        ],
    );
    same(&import(&checkpoint, &side).unwrap(), &policy("act"));
    refused(
        import(&checkpoint, &["--leave-out", "observation.images.top"]),
        &["--leave-out observation.images.top"],
    );

    // A camera of the graph that the policy does not have.
    let mut checkpoint = Checkpoint::act();
    let inputs = checkpoint.config["input_features"].as_object_mut().unwrap();
    inputs.remove("observation.images.wrist");
    let wrist = ["--leave-out", "observation.images.wrist"];
    refused(
        import(&checkpoint, &wrist),
        &[
            "image_wrist",
            "f32[1, 3, 48, 64]",
            "--feed act.image_wrist=VALUE",
        ],
    );
}

#[test]
fn images_of_another_size_are_not_stretched() {
    let mut checkpoint = Checkpoint::act();
    checkpoint.info["features"]["observation.images.front"]["shape"] = json!([96, 128, 3]);
    refused(
        import(&checkpoint, &[]),
        &["observation.images.front", "128 x 96", "64 x 48"],
    );
}

#[test]
fn steps_that_a_package_cannot_hold_are_named() {
    let mut checkpoint = Checkpoint::act();
    let steps = checkpoint.before.as_mut().unwrap()["steps"]
        .as_array_mut()
        .unwrap();
    steps.insert(
        2,
        json!({"registry_name": "relative_actions_processor", "config": {}}),
    );
    refused(
        import(&checkpoint, &[]),
        &[
            "policy_preprocessor.json",
            "steps[2]",
            "relative_actions_processor",
        ],
    );

    let mut checkpoint = Checkpoint::act();
    checkpoint.after.as_mut().unwrap()["steps"][0]["state_file"] = json!("../outputs.safetensors");
    refused(
        import(&checkpoint, &[]),
        &["../outputs.safetensors", "plain file name"],
    );

    let mut checkpoint = Checkpoint::act();
    let features = checkpoint.normaliser()["features"].as_object_mut().unwrap();
    features.remove("observation.images.wrist");
    refused(
        import(&checkpoint, &[]),
        &["observation.images.wrist", "LeRobot would skip it"],
    );

    let mut checkpoint = Checkpoint::act();
    checkpoint.normaliser()["norm_map"]["STATE"] = json!("MIN_MAX");
    refused(import(&checkpoint, &[]), &["STATE", "MinMax", "MeanStd"]);
}

#[test]
fn policies_that_a_package_cannot_hold_are_named() {
    for (field, value, words) in [
        (
            "type",
            json!("tdmpc"),
            &["tdmpc", "act, diffusion, smolvla, pi0, pi05"][..],
        ),
        ("type", json!("pi0_fast"), &["pi0_fast", "act, diffusion"]),
        ("type", json!(null), &["no `type`"]),
        (
            "temporal_ensemble_coeff",
            json!(0.01),
            &["temporal_ensemble_coeff", "--execute"],
        ),
        ("use_peft", json!(true), &["use_peft"]),
        (
            "use_relative_actions",
            json!(true),
            &["use_relative_actions"],
        ),
        ("chunk_size", json!(9), &["[1, 9, 6]", "actions"]),
        ("n_action_steps", json!(9), &["9 actions", "gives 8"]),
        ("n_action_steps", json!(0), &["n_action_steps", "0"]),
        (
            "n_action_steps",
            json!(null),
            &["n_action_steps", "missing"],
        ),
        (
            "normalization_mapping",
            json!({"VISUAL": "MEAN_STD"}),
            &["STATE"],
        ),
        (
            "normalization_mapping",
            json!({"VISUAL": "CUBIC"}),
            &["CUBIC", "config.json"],
        ),
    ] {
        let mut checkpoint = Checkpoint::act();
        checkpoint.config[field] = value;
        refused(import(&checkpoint, &[]), words);
    }
    let mut ensembled = Checkpoint::act();
    ensembled.config["temporal_ensemble_coeff"] = json!(0.01);
    let manifest = import(&ensembled, &["--execute", "2"]).unwrap();
    assert_eq!(manifest["action"]["execute"], 2);
}

#[test]
fn broken_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    Checkpoint::act().write(dir.path());
    let whole = fs::read(dir.path().join("checkpoint/inputs.safetensors")).unwrap();
    let act = graph("act", "act.onnx");
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut far = whole.clone();
    far[..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let deep = "[".repeat(100_000);
    for (file, bytes) in [
        ("inputs.safetensors", &huge[..]),
        ("inputs.safetensors", &far),
        ("inputs.safetensors", &whole[..whole.len() - 4]),
        ("inputs.safetensors", &whole[..40]),
        ("inputs.safetensors", b""),
        ("outputs.safetensors", b"\x02\0\0\0\0\0\0\0{}more"),
        ("config.json", b"{"),
        ("config.json", deep.as_bytes()),
        ("policy_postprocessor.json", b"[]"),
        ("policy_preprocessor.json", b"{\"steps\": 3}"),
    ] {
        Checkpoint::act().write(dir.path());
        fs::write(dir.path().join("checkpoint").join(file), bytes).unwrap();
        let output = wink(dir.path(), &command(&ANSWERS, &act));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{file}: {stderr}");
        assert!(stderr.contains(file), "{file}: {stderr}");
    }
    Checkpoint::act().write(dir.path());
    fs::remove_file(dir.path().join("checkpoint/policy_postprocessor.json")).unwrap();
    let output = wink(dir.path(), &command(&ANSWERS, &act));
    assert!(text(&output.stderr).contains("policy_postprocessor.json is missing"));
}
