//! `wink run`: on a simulated table, and on a kit's servos and cameras that are commands.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::text;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn wink(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wink"));
    command
        .current_dir(REPOSITORY)
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .env("XDG_STATE_HOME", folder.path().join("state"));
    command
}

/// The lines of JSON of a program's output.
fn lines(output: &[u8]) -> Vec<Value> {
    text(output)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn summary(lines: &[Value]) -> Value {
    lines
        .iter()
        .find_map(|line| line.get("summary").cloned())
        .unwrap()
}

#[test]
fn both_policies_drive_their_simulated_arms_and_park_them() {
    for policy in ["models/wink-s", "models/wink-so101"] {
        let folder = tempfile::tempdir().unwrap();
        let recording = folder.path().join("run.mcap");
        let output = wink(&folder)
            .args([
                "run",
                "--policy",
                policy,
                "--yes",
                "--seconds",
                "3",
                "--json",
                "--record",
            ])
            .arg(&recording)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told = text(&output.stderr);
        for expected in ["instruction", "camera", "speed        100%"] {
            assert!(told.contains(expected), "{told}");
        }
        let lines = lines(&output.stdout);
        assert_eq!(lines[0]["event"], "episode_begin");
        let summary = summary(&lines);
        assert!(summary["ticks"].as_u64().unwrap() > 30, "{summary}");
        // Parking sends setpoints, too.
        assert!(
            summary["setpoints"].as_u64() > summary["ticks"].as_u64(),
            "{summary}"
        );
        assert!(recording.metadata().unwrap().len() > 10_000);
    }
}

#[test]
fn in_shadow_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let output = wink(&folder)
        .args([
            "run",
            "--yes",
            "--seconds",
            "2",
            "--json",
            "--shadow",
            "--no-record",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = summary(&lines(&output.stdout));
    assert!(summary["ticks"].as_u64().unwrap() > 15, "{summary}");
    assert_eq!(summary["setpoints"], 0);
    assert!(!folder.path().join("state").exists());
}

#[test]
fn a_signal_parks_the_arm() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = wink(&folder)
            .args(["run", "--yes", "--json", "--no-record"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let running = |line: &String| line.contains("\"running\"");
        assert!(
            output
                .by_ref()
                .map_while(Result::ok)
                .any(|line| running(&line))
        );
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let rest: Vec<String> = output.map_while(Result::ok).collect();
        assert!(child.wait().unwrap().success(), "{signal}: {rest:?}");
        assert!(rest.last().unwrap().contains("\"summary\""), "{rest:?}");
    }
}

#[test]
fn what_cannot_run_is_one_line_and_arms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let board = folder.path().join("board.toml");
    fs::write(
        &board,
        "format = 1\nname = \"table\"\nrate_hz = 100\n[serial]\nport = \"/dev/none\"\nbaud = 1000000\nanswer_timeout_us = 4000\n",
    )
    .unwrap();
    let board = board.display().to_string();
    let long = "word ".repeat(400);
    let cases: [(&[&str], &str); 9] = [
        (&["--seconds", "1"], "without a terminal nobody can confirm"),
        (&["--yes", "--policy", "models/none"], "models/none"),
        (&["--yes", "--board", "none"], "which arm is on it"),
        (&["--yes", "--arm", "so101"], "observation.images.wrist"),
        (&["--yes", "--speed", "1.5"], "above 0 and at most 1"),
        (&["--yes", "--speed", "nan"], "above 0 and at most 1"),
        (&["--yes", "--instruction", &long], "instruction"),
        (&["--yes", "--board", &board], "--arm NAME"),
        (
            &[
                "--yes",
                "--board",
                &board,
                "--arm",
                "so101",
                "--policy",
                "models/wink-so101",
                "--instruction",
                "x",
            ],
            "is not calibrated",
        ),
    ];
    for (args, expected) in cases {
        let output = wink(&folder)
            .args(["run", "--json", "--no-record"])
            .args(args)
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(expected), "{args:?}: {told}");
        assert_eq!(told.trim().lines().count(), 1, "{args:?}: {told}");
        assert!(lines(&output.stdout).is_empty(), "{args:?}");
    }
}

/// A board's file whose cameras are commands that write two JPEG files in turn: one picture, and the same with a remark in it. While
/// there is a file `frozen` in the folder of the adapter they write the same again and again, and none once there is a file `gone`.
fn board(folder: &Path, cameras: &[&str]) -> String {
    let picture = Path::new(REPOSITORY).join("boards/camera/tests/fixtures/webcam-640x480.jpg");
    let mut bytes = fs::read(&picture).unwrap();
    bytes.splice(2..2, [0xff, 0xfe, 0, 3, 7]);
    let other = folder.join("other.jpg");
    fs::write(&other, bytes).unwrap();
    let devices = folder.join("devices").display().to_string();
    let mut file = format!(
        "format = 1\nname = \"table\"\nrate_hz = 100\n[serial]\nport = \"{devices}/adapter\"\nbaud = 1000000\nanswer_timeout_us = 20000\n",
    );
    for camera in cameras {
        file += &format!(
            "[cameras.{camera}]\npipe = \"while [ ! -e {devices}/gone ]; do cat {picture}; sleep 0.03; [ -e {devices}/frozen ] || cat {other}; sleep 0.03; done; sleep 1000\"\nformat = \"mjpg\"\nwidth = 640\nheight = 480\nfps = 30\n",
            picture = picture.display(),
            other = other.display()
        );
    }
    let path = folder.join("board.toml");
    fs::write(&path, file).unwrap();
    path.display().to_string()
}

/// Runs a script at a kit that is calibrated first.
fn at_kit(folder: &TempDir, script: &str) -> String {
    fs::create_dir_all(folder.path().join("devices")).unwrap();
    let (first_hour, _) = include_str!("scripts/first-hour.txt")
        .split_once("ends 0")
        .unwrap();
    let file = folder.path().join("script.txt");
    fs::write(&file, format!("{first_hour}ends 0\n{script}")).unwrap();
    let output = wink(folder)
        .args(["kit", "--fresh", "--link"])
        .arg(folder.path().join("devices/adapter"))
        .arg("--script")
        .arg(&file)
        .output()
        .unwrap();
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", text(&output.stderr));
    told
}

#[test]
fn a_policy_drives_an_arm_slowly_the_first_time_and_parks_it_where_it_rests() {
    let folder = tempfile::tempdir().unwrap();
    let board = board(folder.path(), &["front", "wrist"]);
    let run = format!(
        "run run --board {board} --arm so101 --policy models/wink-so101 --instruction ear --yes --seconds 3 --json --no-record\n"
    );
    let told = at_kit(&folder, &format!("{run}ends 0\nshow\n{run}ends 0\nshow\n"));
    let (first, second) = told.split_once("{\"summary\"").unwrap();
    assert!(
        first.contains("for the first time") && first.contains("speed        25%"),
        "{first}"
    );
    assert!(second.contains("speed        100%"), "{second}");
    for line in told.lines().filter(|line| line.starts_with("{\"joints\"")) {
        let shown: Value = serde_json::from_str(line).unwrap();
        for joint in shown["joints"].as_array().unwrap() {
            assert_eq!(joint["torque"], false, "{joint}");
        }
        let at = |joint: usize| shown["joints"][joint]["position"].as_f64().unwrap();
        assert!(
            (at(1) + 1.7).abs() < 0.05 && (at(2) - 1.6).abs() < 0.05,
            "{line}"
        );
    }
}

#[test]
fn what_fails_on_the_way_parks_the_arm_or_holds_it_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let two = board(folder.path(), &["front", "wrist"]);
    let run = format!(
        "run run --board {two} --arm so101 --policy models/wink-so101 --instruction ear --yes --seconds 60 --json --no-record\nexpect running\n"
    );
    let told = at_kit(
        &folder,
        &format!(
            "{run}adapter out\nends 1\nadapter in\nrun arm release --arm so101 --port {{link}} --board adapter\nexpect Hold the arm\nanswer\nends 0\n{run}unplug elbow_flex\nends 1\n"
        ),
    );
    assert!(told.contains("the arm holds where it is"), "{told}");
    let one = board(folder.path(), &["front"]);
    let output = wink(&folder)
        .args([
            "run",
            "--board",
            &one,
            "--arm",
            "so101",
            "--policy",
            "models/wink-so101",
            "--instruction",
            "x",
            "--yes",
        ])
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("the cameras front, wrist, the board table has front"),
        "{told}"
    );
}

/// A run of a policy that is wired as `models/wink-so101`.
fn run_of_tiny(board: &str) -> String {
    format!(
        "run run --board {board} --arm so101 --policy tools/tests/fixtures/tiny-so101 --instruction pick --yes --seconds 60 --json --no-record\n"
    )
}

#[test]
fn a_camera_that_freezes_or_is_gone_makes_the_arm_hold_then_park() {
    let folder = tempfile::tempdir().unwrap();
    let board = board(folder.path(), &["front", "wrist"]);
    let run = run_of_tiny(&board);
    let told = at_kit(
        &folder,
        &format!(
            "sh touch {{folder}}/frozen\n{run}ends 2\nsh rm {{folder}}/frozen\n\
             {run}expect running\nsh touch {{folder}}/frozen\nexpect no fresh frames of\nsh rm {{folder}}/frozen\nexpect resume\n\
             expect running\nsh touch {{folder}}/gone\nexpect no fresh frames of\nends 1\nsh rm {{folder}}/gone\nshow\n\
             {run}expect running\nsignal TERM\nends 0\nshow\n"
        ),
    );
    assert!(told.contains("all the same: it is frozen"), "{told}");
    assert!(told.contains("the arm was parked and let go of"), "{told}");
    let shown: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("{\"joints\""))
        .collect();
    assert_eq!(shown.len(), 2, "{told}");
    for line in shown {
        let shown: Value = serde_json::from_str(line).unwrap();
        for joint in shown["joints"].as_array().unwrap() {
            assert_eq!(joint["torque"], false, "{joint}");
        }
    }
}
