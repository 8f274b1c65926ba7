//! `wink teleop`, its recordings, and what is made of them.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;
use serde_json::Value;

use common::{names, read, text, wink, wink_ok};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn teleop(dir: &Path, args: &[&str]) -> Output {
    let mut all = vec!["teleop", "--yes", "--json", "--boards", "BOARDS"];
    all.extend(args);
    let boards = format!("{REPOSITORY}/boards");
    let all: Vec<&str> = all
        .into_iter()
        .map(|arg| if arg == "BOARDS" { &boards } else { arg })
        .collect();
    wink(dir, &all)
}

fn last_line(output: &Output) -> Value {
    let told = text(&output.stdout);
    let line = told.lines().last();
    let line = line.unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    serde_json::from_str(line).unwrap()
}

const SIM: [&str; 8] = [
    "--board",
    "sim",
    "--arm",
    "so101",
    "--hz",
    "10",
    "--instruction",
    "wave",
];

#[test]
fn an_episode_in_simulation_becomes_a_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = SIM.to_vec();
    args.extend([
        "--seconds",
        "3",
        "--record",
        "run.mcap",
        "--dataset",
        "data",
    ]);
    let output = teleop(dir.path(), &args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = last_line(&output);
    assert_eq!(told["driven"]["episodes"], 1, "{told}");
    assert_eq!(told["recording"]["lost"]["ticks"], 0, "{told}");
    assert_eq!(told["dataset"]["episodes"], 1, "{told}");
    let root = dir.path().join("data");
    let rows = read(&root.join("data/chunk-000/file-000.parquet"));
    assert_eq!(told["dataset"]["frames"], rows.num_rows() as u64);
    let actions = rows.column_by_name("action").unwrap().as_list::<i32>();
    let values = actions.values().as_primitive::<Float32Type>();
    assert_eq!(values.len(), 6 * rows.num_rows());
    assert!(values.values().iter().all(|value| value.is_finite()));
    let info: Value =
        serde_json::from_str(&fs::read_to_string(root.join("meta/info.json")).unwrap()).unwrap();
    assert_eq!(
        (&info["fps"], &info["robot_type"]),
        (&Value::from(10), &Value::from("so101"))
    );
    for camera in ["observation.images.front", "observation.images.wrist"] {
        assert_eq!(info["features"][camera]["dtype"], "image", "{info}");
    }
    // The same from the recording alone.
    wink_ok(
        dir.path(),
        &["record", "--from", "run.mcap", "--out", "again"],
    );
    let again = fs::read(dir.path().join("again/data/chunk-000/file-000.parquet")).unwrap();
    assert_eq!(
        again,
        fs::read(root.join("data/chunk-000/file-000.parquet")).unwrap()
    );
    let refused = wink(dir.path(), &["record", "--from", "meta", "--out", "x"]);
    assert_eq!(refused.status.code(), Some(2));
}

/// Starts teleoperation that ends only by a signal.
fn started(dir: &Path, record: &str, limit: Option<u64>) -> Child {
    let boards = format!("{REPOSITORY}/boards");
    let mut program = env!("CARGO_BIN_EXE_wink").to_owned();
    if let Some(blocks) = limit {
        // The shell counts in blocks of 512 bytes or more; a file that would grow beyond them is refused with an error.
        program = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} \"$@\"");
    }
    let mut command = match limit {
        None => Command::new(program),
        Some(_) => {
            let mut command = Command::new("sh");
            command.args(["-c", &program, "wink"]);
            command
        }
    };
    command
        .current_dir(dir)
        .args([
            "teleop",
            "--yes",
            "--json",
            "--seconds",
            "60",
            "--boards",
            &boards,
        ])
        .args(SIM)
        .args(["--record", record])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until a file has so many bytes.
fn grown(path: &Path, bytes: u64) {
    let start = Instant::now();
    while fs::metadata(path).map_or(0, |data| data.len()) < bytes {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_run_leaves_a_recording_that_is_read_as_far_as_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = started(dir.path(), "run.mcap", None);
    grown(&dir.path().join("run.mcap"), 1_500_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let told = wink_ok(
        dir.path(),
        &["record", "--from", "run.mcap", "--out", "data", "--json"],
    );
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["cut_off"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told["episodes"], 1, "{told}");
    assert!(told["frames"].as_u64().unwrap() > 3, "{told}");
}

#[test]
fn a_full_disk_stops_the_recording_and_not_the_arm() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = started(dir.path(), "run.mcap", Some(2_000));
    let mut told = String::new();
    let start = Instant::now();
    let mut output = child.stdout.take().unwrap();
    let (mut ticks, mut after) = (0, 0);
    while after < 3 {
        let mut bytes = [0; 4096];
        let count = output.read(&mut bytes).unwrap();
        assert!(
            count > 0 && start.elapsed() < Duration::from_secs(120),
            "{told}"
        );
        told += &text(&bytes[..count]);
        let last = told.lines().rfind(|line| line.ends_with('}'));
        let Some(Ok(line)) = last.map(serde_json::from_str::<Value>) else {
            continue;
        };
        let now = line["ticks"].as_u64().unwrap();
        after += u64::from(line["trouble"].is_string() && now > ticks);
        ticks = now;
    }
    let ended = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(ended.unwrap().success());
    output.read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success(), "{told}");
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert!(last["recording"]["trouble"].is_string(), "{last}");
    assert!(
        last["recording"]["lost"]["ticks"].as_u64().unwrap() > 0,
        "{last}"
    );
    wink_ok(
        dir.path(),
        &["record", "--from", "run.mcap", "--out", "data"],
    );
}

#[test]
fn bad_input_is_one_line_and_arms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (
            &["--board", "sim", "--arm", "so102", "--seconds", "1"],
            "so101",
        ),
        (
            &["--board", "sim", "--id", "x", "--seconds", "1"],
            "leave --calibration",
        ),
        (&["--board", "sim"], "--leader"),
        (&["--board", "sim", "--seconds", "0"], "above 0"),
    ];
    for (args, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_wink"))
            .current_dir(dir.path())
            .env("XDG_CONFIG_HOME", dir.path())
            .args([
                "teleop",
                "--yes",
                "--boards",
                &format!("{REPOSITORY}/boards"),
            ])
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(
            told.contains(expected) && told.lines().count() == 1,
            "{args:?}: {told}"
        );
    }
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
}

/// Both arms simulated behind pseudo-terminals; calibrated as their file has it.
#[test]
fn an_arm_follows_a_leader_arm_and_holds_when_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let kit = |link: &str| {
        Command::new(env!("CARGO_BIN_EXE_wink"))
            .current_dir(REPOSITORY)
            .env("XDG_CONFIG_HOME", path.join("config"))
            .args(["kit", "--link"])
            .arg(path.join(link))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (mut leader, mut follower) = (kit("leader"), kit("follower"));
    let start = Instant::now();
    while !(path.join("leader").exists() && path.join("follower").exists()) {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let calibration = path.join("so101.json");
    let ticks: Value = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let range = if *name == "gripper" { [2000, 3400] } else { [800, 3300] };
            ((*name).to_owned(), serde_json::json!({
                "id": place + 1, "drive_mode": 0, "homing_offset": 0, "range_min": range[0], "range_max": range[1],
            }))
        })
        .collect::<serde_json::Map<String, Value>>()
        .into();
    fs::write(&calibration, ticks.to_string()).unwrap();
    let calibrated = Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(REPOSITORY)
        .env("XDG_CONFIG_HOME", path.join("config"))
        .args(["arm", "calibrate", "--arm", "so101", "--lerobot"])
        .arg(&calibration)
        .output()
        .unwrap();
    assert!(calibrated.status.success(), "{}", text(&calibrated.stderr));
    let output = Command::new(env!("CARGO_BIN_EXE_wink"))
        .current_dir(REPOSITORY)
        .env("XDG_CONFIG_HOME", path.join("config"))
        .args([
            "teleop",
            "--yes",
            "--json",
            "--arm",
            "so101",
            "--seconds",
            "6",
            "--port",
        ])
        .arg(path.join("follower"))
        .arg("--leader")
        .arg(path.join("leader"))
        .arg("--record")
        .arg(path.join("run.mcap"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    for kit in [&mut leader, &mut follower] {
        kit.kill().unwrap();
        kit.wait().unwrap();
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = last_line(&output);
    assert_eq!(told["driven"]["aligned"], true, "{told}");
    assert!(told["driven"]["ticks"].as_u64().unwrap() > 30, "{told}");
}
