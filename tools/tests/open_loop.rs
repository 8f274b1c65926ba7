//! `wink eval --data`: predicted against recorded actions of small data sets.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/lerobot.rs"]
mod lerobot;

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;

use common::{names, text, wink, wink_ok};
use lerobot::{Fixture, Recording, Storage, has_ffmpeg};

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/policies");
const JOINTS: [&str; 6] = [
    "shoulder_pan.pos",
    "shoulder_lift.pos",
    "elbow_flex.pos",
    "wrist_flex.pos",
    "wrist_roll.pos",
    "gripper.pos",
];
const STATE: &str = "observation.state";
const FRONT: &str = "observation.images.front";
const WRIST: &str = "observation.images.wrist";
const LENGTHS: [usize; 2] = [14, 9];

/// A recording that the fixture policies fit, with these actions.
fn fixture(action: impl Fn(usize, usize) -> f32 + Copy) -> Fixture {
    let picture = |camera: u8, frame: usize| {
        let colour = |x: u32, y: u32| Rgb([(x * 3) as u8, (y * 5) as u8, camera + frame as u8]);
        RgbImage::from_fn(64, 48, colour)
    };
    let episodes = LENGTHS.map(|length| Recording {
        task: "pick the block",
        vectors: [
            (STATE, (0..length).map(|f| vec![f as f32; 6]).collect()),
            (
                "action",
                (0..length)
                    .map(|f| (0..6).map(|joint| action(f, joint)).collect())
                    .collect(),
            ),
        ]
        .into(),
        pictures: [(FRONT, 0), (WRIST, 100)]
            .map(|(name, camera)| (name, (0..length).map(|f| picture(camera, f)).collect()))
            .into(),
    });
    Fixture {
        fps: 30,
        vectors: vec![(STATE, JOINTS.to_vec()), ("action", JOINTS.to_vec())],
        cameras: vec![(FRONT, Storage::Png), (WRIST, Storage::Png)],
        episodes: episodes.into(),
        per_file: 2,
    }
}

fn report(dir: &Path, policy: &str, args: &[&str]) -> Value {
    let policy = format!("{POLICIES}/{policy}");
    let all = [
        &["eval", "--json", "--policy", &policy, "--data", "data"],
        args,
    ]
    .concat();
    serde_json::from_str(&wink_ok(dir, &all)).unwrap()
}

fn mae(report: &Value, joint: usize, step: usize) -> f64 {
    report["numbers"][joint]["by_step"][step]["mae"]
        .as_f64()
        .unwrap()
}

#[test]
fn each_predicted_step_is_compared_with_the_frame_it_is_meant_for() {
    let dir = tempfile::tempdir().unwrap();
    // Far from anything that the policies predict: the errors tell which recorded frame and joint they were taken from.
    fixture(|frame, joint| 1e4 * frame as f32 + 1e6 * joint as f32).write(&dir.path().join("data"));
    for (policy, stride) in [("act", 3), ("diffusion", 4)] {
        let report = report(dir.path(), policy, &["--stride", &stride.to_string()]);
        let chunk = report["chunk"].as_u64().unwrap() as usize;
        assert!(chunk >= 4, "{chunk}");
        for step in 0..chunk {
            let meant: Vec<usize> = LENGTHS
                .iter()
                .flat_map(|&length| (0..length).step_by(stride).map(move |f| (f + step, length)))
                .filter(|(frame, length)| frame < length)
                .map(|(frame, _)| frame)
                .collect();
            for joint in 0..6 {
                let error = &report["numbers"][joint]["by_step"][step];
                assert_eq!(error["n"], meant.len(), "{policy}: step {step}");
                if meant.is_empty() {
                    continue;
                }
                let mean = meant.iter().sum::<usize>() as f64 / meant.len() as f64;
                let wanted = 1e4 * mean + 1e6 * joint as f64;
                let found = mae(&report, joint, step);
                assert!(
                    (found - wanted).abs() < 1e3,
                    "{policy}: step {step}, joint {joint}: {found}, not {wanted}"
                );
            }
        }
    }
}

#[test]
fn joints_are_matched_by_name_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let order = [4, 2, 0, 5, 1, 3];
    let in_order = fixture(|frame, joint| (frame * joint) as f32);
    in_order.write(&dir.path().join("data"));
    let wanted = report(dir.path(), "act", &[]);
    let mut permuted = fixture(|frame, joint| (frame * order[joint]) as f32);
    let names = order.map(|joint| JOINTS[joint]).to_vec();
    permuted.vectors = vec![(STATE, names.clone()), ("action", names)];
    fs::remove_dir_all(dir.path().join("data")).unwrap();
    permuted.write(&dir.path().join("data"));
    assert_eq!(report(dir.path(), "act", &[]), wanted);
}

#[test]
fn a_report_holds_a_table_figures_and_plots() {
    let dir = tempfile::tempdir().unwrap();
    fixture(|frame, joint| (frame + joint) as f32).write(&dir.path().join("data"));
    let policy = format!("{POLICIES}/act");
    let args = ["eval", "--policy", &policy, "--data", "data"];
    let table = wink_ok(dir.path(), &[&args[..], &["--out", "r"]].concat());
    for joint in JOINTS {
        assert!(table.contains(joint), "{table}");
    }
    assert_eq!(names(&dir.path().join("r")), ["report.html", "report.json"]);
    let stored = fs::read_to_string(dir.path().join("r/report.json")).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["frames"], 23);
    assert_eq!(stored["episodes"], 2);
    assert_eq!(stored["stride"], stored["execute"]);
    let page = fs::read_to_string(dir.path().join("r/report.html")).unwrap();
    // A plot by step, and one for each of the two episodes.
    assert_eq!(page.matches("<svg").count(), 3 * JOINTS.len());
    let one = wink_ok(
        dir.path(),
        &[&args[..], &["--episodes", "1", "--json"]].concat(),
    );
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["frames"], 14);
}

#[test]
fn a_video_gives_the_same_actions_as_its_pictures() {
    if !has_ffmpeg() {
        eprintln!("skipped: ffmpeg is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let reports = [Storage::Png, Storage::Video].map(|storage| {
        let root = dir.path().join("data");
        let mut recording = fixture(|frame, joint| (frame + joint) as f32);
        recording.cameras = vec![(FRONT, storage), (WRIST, storage)];
        recording.write(&root);
        let report = report(dir.path(), "diffusion", &[]);
        fs::remove_dir_all(root).unwrap();
        report
    });
    assert_eq!(reports[0], reports[1]);
}

#[test]
fn what_does_not_fit_is_named_with_what_there_is() {
    type Change = dyn Fn(&mut Fixture);
    let cases: [(&Change, &[&str]); 5] = [
        (
            &|f| f.cameras.retain(|(name, _)| *name != WRIST),
            &[
                "no camera `observation.images.wrist`",
                "data set's are observation.images.front",
            ],
        ),
        (
            &|f| f.vectors.retain(|(name, _)| *name != STATE),
            &[
                "no state `observation.state`",
                "data set's vectors are action",
            ],
        ),
        (
            &|f| f.vectors[1].1[2] = "elbow",
            &[
                "action has no `elbow_flex.pos`",
                "shoulder_lift.pos, elbow, wrist_flex.pos",
            ],
        ),
        (
            &|f| f.fps = 50,
            &["50 frames a second", "30 Hz (control_hz)"],
        ),
        (
            &|f| {
                for picture in f.episodes[0].pictures.get_mut(FRONT).unwrap() {
                    *picture = RgbImage::new(32, 32);
                }
                f.episodes.truncate(1);
            },
            &["observation.images.front", "32 x 32"],
        ),
    ];
    for (change, told) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut recording = fixture(|_, _| 0.0);
        change(&mut recording);
        recording.write(&dir.path().join("data"));
        let policy = format!("{POLICIES}/act");
        let output = wink(dir.path(), &["eval", "--policy", &policy, "--data", "data"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        for part in told {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
