//! The SO-101's table through the tool: evaluated, recorded, and refused where it does not fit.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Float64Type, Int64Type};
use serde_json::{Value, json};

use common::{names, read, text, wink, wink_ok};

#[test]
fn the_expert_executes_and_chance_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let told = |policy: &str, out: &str| -> Value {
        let args = [
            "eval",
            "--policy",
            policy,
            "--arm",
            "so101",
            "--split",
            "val",
            "--controls",
            "none",
            "--episodes",
            "3",
            "--seed",
            "20",
            "--json",
            "--no-html",
            "--out",
            out,
        ];
        serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap()
    };
    let expert = told("expert", "expert");
    assert_eq!(expert["splits"]["val"]["execution"]["k"], 3, "{expert}");
    let random = told("random", "random");
    assert_eq!(random["splits"]["val"]["sr"]["k"], 0, "{random}");
    // The same seeds give the same rows.
    told("expert", "again");
    let rows = |run: &str| fs::read(dir.path().join(run).join("episodes.parquet")).unwrap();
    assert!(rows("expert") == rows("again"));
}

#[test]
fn demonstrations_are_joints_in_degrees_and_two_cameras_at_30_hz() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "record",
        "--arm",
        "so101",
        "--episodes",
        "2",
        "--out",
        "demos",
        "--frame",
        "48",
        "--tail",
        "2",
    ];
    wink_ok(dir.path(), &args);
    let root = dir.path().join("demos");
    let file = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let info: Value = serde_json::from_str(&file("meta/info.json")).unwrap();
    assert_eq!(
        (&info["fps"], &info["robot_type"]),
        (&json!(30), &json!("so101"))
    );
    let joints = json!([
        "shoulder_pan.pos",
        "shoulder_lift.pos",
        "elbow_flex.pos",
        "wrist_flex.pos",
        "wrist_roll.pos",
        "gripper.pos"
    ]);
    for feature in ["observation.state", "action"] {
        assert_eq!(info["features"][feature]["names"], joints, "{feature}");
    }
    let rows = read(&root.join("data/chunk-000/file-000.parquet"));
    let vectors = |name: &str| -> Vec<Vec<f32>> {
        let lists = rows.column_by_name(name).unwrap().as_list::<i32>().clone();
        (0..lists.len())
            .map(|row| {
                lists
                    .value(row)
                    .as_primitive::<Float32Type>()
                    .values()
                    .to_vec()
            })
            .collect()
    };
    let (states, actions) = (vectors("observation.state"), vectors("action"));
    // Degrees of a moving arm, and a gripper that opens and closes.
    let range = |values: &[Vec<f32>], joint: usize| {
        let joint = values.iter().map(|value| value[joint]);
        joint.fold((f32::MAX, f32::MIN), |(low, high), at| {
            (low.min(at), high.max(at))
        })
    };
    let (low, high) = range(&states, 1);
    assert!(
        low > -110.0 && high < 110.0 && high - low > 5.0,
        "{low} {high}"
    );
    let (low, high) = range(&states, 5);
    assert!(
        (0.0..30.0).contains(&low) && high < 60.0 && high - low > 15.0,
        "{low} {high}"
    );
    // An action is where the joints soon are.
    for row in 40..60 {
        for joint in 0..5 {
            let ahead = states[row + 4][joint] - actions[row][joint];
            assert!(ahead.abs() < 6.0, "row {row}, joint {joint}: {ahead}");
        }
    }
    // Both cameras, and not the same picture.
    let png = |camera: &str| {
        let column = rows.column_by_name(camera).unwrap().as_struct().clone();
        let bytes = column
            .column_by_name("bytes")
            .unwrap()
            .as_binary::<i32>()
            .clone();
        bytes.value(30).to_vec()
    };
    let (front, wrist) = (
        png("observation.images.front"),
        png("observation.images.wrist"),
    );
    for picture in [&front, &wrist] {
        let picture = image::load_from_memory(picture).unwrap();
        assert_eq!((picture.width(), picture.height()), (48, 48));
    }
    assert_ne!(front, wrist);

    // Each episode's statistics are in the index.
    let episodes = read(&root.join("meta/episodes/chunk-000/file-000.parquet"));
    let means = episodes
        .column_by_name("stats/observation.state/mean")
        .unwrap();
    let means = means.as_list::<i32>().value(1);
    let second: Vec<&Vec<f32>> = {
        let first = episodes.column_by_name("length").unwrap();
        let first = first.as_primitive::<Int64Type>().value(0) as usize;
        states[first..].iter().collect()
    };
    let pan = second.iter().map(|state| f64::from(state[0])).sum::<f64>() / second.len() as f64;
    assert!((means.as_primitive::<Float64Type>().value(0) - pan).abs() < 1e-3);
    for camera in ["front", "wrist"] {
        let name = format!("stats/observation.images.{camera}/mean");
        assert!(episodes.column_by_name(&name).is_some(), "{name}");
    }

    // Without images it can be played again, seen through either camera.
    let bare = [
        "record",
        "--arm",
        "so101",
        "--episodes",
        "1",
        "--out",
        "bare",
        "--no-images",
    ];
    wink_ok(dir.path(), &bare);
    for camera in ["observation.images.front", "observation.images.wrist"] {
        let out = format!("{camera}.npy");
        let frames = [
            "frames", "--data", "bare", "--every", "60", "--frame", "32", "--camera", camera,
            "--out", &out,
        ];
        wink_ok(dir.path(), &frames);
    }
    assert!(names(dir.path()).len() >= 6);
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (args, told) in [
        (
            &[
                "record",
                "--arm",
                "so101",
                "--tasks",
                "diverse",
                "--episodes",
                "1",
                "--out",
                "x",
            ][..],
            "--tasks diverse",
        ),
        (&["eval", "--policy", "expert", "--arm", "so100"], "so100"),
    ] {
        let output = wink(dir.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_image_that_was_not_built_is_named_with_what_builds_it() {
    let dir = tempfile::tempdir().unwrap();
    for (board, image, command) in [
        (
            "qemu",
            "nucleo-f411-so101.elf",
            "`ARMS=so101 boards/build.sh nucleo-f411`",
        ),
        (
            "rp2040js",
            "pico-so101.elf",
            "`ARMS=so101 boards/build.sh pico`",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_wink"))
            .current_dir(dir.path())
            .env("WINK_IMAGES", dir.path())
            .args(["eval", "--policy", "expert", "--arm", "so101"])
            .args(["--board", board, "--episodes", "1"])
            .output()
            .unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(image), "{stderr}");
        assert!(stderr.contains(command), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
}

/// A package whose network says nothing: whatever it sees, its actions are these joint angles (degrees) and gripper (percent).
fn package_that_goes_to(dir: &Path, target: [f64; 6]) {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/policies/act"
    );
    fs::create_dir(dir).unwrap();
    for name in ["act.onnx", "golden.json"] {
        fs::copy(Path::new(source).join(name), dir.join(name)).unwrap();
    }
    let text = fs::read_to_string(Path::new(source).join("policy.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    for camera in manifest["observations"]["cameras"].as_array_mut().unwrap() {
        camera.as_object_mut().unwrap().remove("frame");
        camera["transform"] = json!([{"resize": {
            "width": 64, "height": 48, "fit": "stretch", "filter": "bilinear", "antialias": true, "on": "floats"
        }}]);
    }
    let scale = &mut manifest["action"]["normalisation"]["mean_std"];
    scale["mean"] = json!(target);
    scale["std"] = json!(vec![1e-6; 6]);
    fs::write(dir.join("policy.json"), manifest.to_string()).unwrap();
}

#[test]
fn an_arm_that_its_board_holds_fails_the_episode_and_the_next_one_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    // The shoulder leans forward until the table stops the hand.
    package_that_goes_to(
        &dir.path().join("leaning"),
        [0.0, 80.0, 0.0, 90.0, 0.0, 30.0],
    );
    let args = [
        "eval",
        "--policy",
        "leaning",
        "--split",
        "val",
        "--controls",
        "none",
        "--episodes",
        "2",
        "--json",
        "--out",
        "held",
    ];
    let told: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    let scores = &told["splits"]["val"];
    assert_eq!(scores["sr"]["k"], 0, "{scores}");
    assert_eq!(scores["failures"]["held"], 2, "{scores}");
    let rows = read(&dir.path().join("held/episodes.parquet"));
    let (failures, held) = (
        rows.column_by_name("failure").unwrap().as_string::<i32>(),
        rows.column_by_name("held").unwrap().as_string::<i32>(),
    );
    let steps = rows
        .column_by_name("steps")
        .unwrap()
        .as_primitive::<Int64Type>();
    for row in 0..2 {
        assert_eq!(failures.value(row), "held");
        assert!(held.value(row).contains("stalled"), "{}", held.value(row));
        // It went there, pushed for as long as the guard allows, and no longer.
        let steps = steps.value(row);
        assert!((15..150).contains(&steps), "{steps}");
    }
    let html = fs::read_to_string(dir.path().join("held/report.html")).unwrap();
    assert!(html.contains("a joint was stalled"), "not in the report");
}
