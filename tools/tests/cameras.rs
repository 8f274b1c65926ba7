//! `wink cameras` on commands, the simulator and recorded episodes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod common;

use std::fs;
use std::path::Path;

use common::{names, text, wink, wink_ok};
use serde_json::Value;

const FRAME: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../boards/camera/tests/fixtures/webcam-64x48.jpg"
);

fn pipe() -> String {
    format!("while :; do cat {FRAME}; sleep 0.02; done")
}

/// Its one line on standard error, after exit code 2 and nothing written.
fn refused(dir: &Path, args: &[&str]) -> String {
    let output = wink(dir, args);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn a_command_is_measured_and_its_still_saved() {
    let dir = tempfile::tempdir().unwrap();
    // Two stills in turn, so that it is not frozen.
    let other = dir.path().join("other.jpg");
    let mut bytes = fs::read(FRAME).unwrap();
    let comment = [0xff, 0xfe, 0, 3, 7];
    bytes.splice(2..2, comment);
    fs::write(&other, bytes).unwrap();
    let command = format!(
        "while :; do cat {FRAME}; sleep 0.02; cat {}; sleep 0.02; done",
        other.display()
    );
    let args = [
        "cameras",
        "--pipe",
        &command,
        "--size",
        "64x48",
        "--seconds",
        "1",
        "--json",
    ];
    let report: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    let camera = &report["cameras"][0];
    assert_eq!(camera["name"], "pipe");
    assert_eq!(
        (&camera["width"], &camera["height"]),
        (&64.into(), &48.into())
    );
    assert!(camera["fps"].as_f64().unwrap() > 1.0, "{camera}");
    assert!(camera["age_us"]["p50"].is_u64() && camera["age_us"]["p99"].is_u64());
    assert_eq!(camera["counts"]["damaged"], 0);
    let still = dir.path().join(camera["still"].as_str().unwrap());
    let still = image::open(still).unwrap().to_rgb8();
    assert_eq!(still.dimensions(), (64, 48));
    assert_eq!(names(&dir.path().join("out/cameras")), ["pipe.png"]);
    let table = wink_ok(
        dir.path(),
        &[
            "cameras",
            "--pipe",
            &command,
            "--size",
            "64x48",
            "--seconds",
            "0.5",
        ],
    );
    for word in ["camera", "age p50 ms", "64 x 48", "mjpg"] {
        assert!(table.contains(word), "{word}: {table}");
    }
}

#[test]
fn a_frozen_camera_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "cameras",
        "--pipe",
        &pipe(),
        "--size",
        "64x48",
        "--seconds",
        "2",
    ];
    let line = refused(dir.path(), &args);
    assert!(line.contains("it is frozen: all "), "{line}");
}

#[test]
fn the_simulator_and_a_recorded_episode_are_cameras() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["cameras", "--sim", "--seconds", "0.5", "--json"];
    let report: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    assert_eq!(report["cameras"][0]["name"], "sim");
    assert!(report["cameras"][0]["frames"].as_u64().unwrap() > 0);

    wink_ok(dir.path(), &["record", "--episodes", "1", "--out", "demos"]);
    let args = ["cameras", "--episode", "demos", "--seconds", "1", "--json"];
    let report: Value = serde_json::from_str(&wink_ok(dir.path(), &args)).unwrap();
    let camera = &report["cameras"][0];
    assert!(
        camera["name"]
            .as_str()
            .unwrap()
            .starts_with("observation.images.")
    );
    let (fps, wanted) = (&camera["fps"], &camera["wanted_fps"]);
    let ratio = fps.as_f64().unwrap() / wanted.as_f64().unwrap();
    assert!((0.7..1.05).contains(&ratio), "{fps} of {wanted}");
    let line = refused(
        dir.path(),
        &["cameras", "--episode", "demos", "--number", "7"],
    );
    assert!(line.contains("--number 7: demos has 1 episodes"), "{line}");
}

#[test]
fn what_cannot_be_had_is_one_line_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let board = dir.path().join("bench.toml");
    fs::write(
        &board,
        "format = 1\nname = \"bench\"\nrate_hz = 100\n[cameras.front]\npipe = \"cat\"\nformat = \"mjpg\"\nwidht = 640\nheight = 480\nfps = 30\n",
    )
    .unwrap();
    let board = board.display().to_string();
    let cases: [(&[&str], &str); 7] = [
        (
            &["cameras", "--pipe", "echo no camera here >&2; exit 1"],
            "no camera here",
        ),
        (
            &["cameras", "--pipe", "cat", "--format", "h264"],
            "mjpg, yuyv, nv12, rgb",
        ),
        (
            &["cameras", "--pipe", "cat", "--size", "640"],
            "is not WIDTHxHEIGHT",
        ),
        (
            &["cameras", "--pipe", "cat", "--seconds", "0"],
            "--seconds 0: give 0.1 to 3600",
        ),
        (
            &["cameras", "--board", &board],
            "line 7: unknown field `widht`",
        ),
        (&["cameras", "--board", &board], "did you mean `width`?"),
        (
            &["cameras", "--board", "no-such", "--boards", "."],
            "no-such.toml: ",
        ),
    ];
    for (args, expected) in cases {
        let line = refused(dir.path(), args);
        assert!(line.contains(expected), "{line}");
    }
    assert_eq!(names(dir.path()), ["bench.toml"]);
}

/// Without the feature `camera` the tool says how to get it; with it, a device that is not there is told.
#[test]
fn a_device_needs_the_feature_and_has_to_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let device = ["cameras", "--device", "/dev/v4l/by-id/usb-none"];
    let line = refused(dir.path(), &device);
    let expected = if wink_camera::HAS_DEVICES {
        "no such camera: is it plugged in?"
    } else {
        "--features camera"
    };
    assert!(line.contains(expected), "{line}");
}
