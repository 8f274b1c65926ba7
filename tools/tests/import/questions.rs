//! What the files do not say is asked for; answers that mean nothing are refused.

use crate::checkpoint::Checkpoint;
use crate::running::{ANSWERS, import, import_with, refused};

#[test]
fn whatever_is_not_known_is_asked_for_with_the_option_that_answers() {
    let checkpoint = Checkpoint::act();
    for (option, words) in [
        ("--normalisation", &["--normalisation inside"][..]),
        ("--joint-units", &["shoulder_pan.pos", "--joint-units UNIT"]),
        ("--action-space", &["--action-space joint_position"]),
        (
            "--dataset",
            &["names", "observation.state", "--dataset DIR", "--names"],
        ),
        ("--licence", &["licence", "--licence SPDX"]),
        ("--config", &["--config"]),
    ] {
        let mut answers = ANSWERS.to_vec();
        let place = answers.iter().position(|answer| *answer == option).unwrap();
        answers.drain(place..place + 2);
        refused(import_with(&checkpoint, &answers), words);
    }
}

#[test]
fn answers_that_contradict_or_mean_nothing_are_named() {
    for (more, words) in [
        (&["--control-hz", "50"][..], &["--control-hz 50", "30"][..]),
        (&["--joint-units", "m"], &["--joint-units", "second unit"]),
        (
            &["--joint-units", "tail.pos=rad"],
            &["tail.pos", "shoulder_pan.pos"],
        ),
        (
            &["--joint-units", "elbow_flex.pos=ells"],
            &["ells", "lerobot_degrees"],
        ),
        (
            &["--feed", "image_front=observation.state"],
            &["image_front", "observation.state", "f32[1, 6]"],
        ),
        (
            &["--feed", "nothing=observation.state"],
            &["--feed nothing", "act.image_front"],
        ),
        (
            &["--feed", "image_front=depth"],
            &["--feed image_front=depth", "observation.images.front"],
        ),
        (
            &["--feed", "image_front"],
            &["--feed image_front", "KEY=VALUE"],
        ),
        (&["--rename", "a=b"], &["--rename", "no feature b"]),
        (&["--names", "b=c"], &["--names", "no feature b"]),
        (
            &["--output", "values"],
            &["--output values", "act.`actions`"],
        ),
        (
            &["--tokenizer", "dataset"],
            &["--tokenizer", "reads no text"],
        ),
        (&["--precision", "f33"], &["f33", "f32"]),
        (&["--execute", "9"], &["9 actions"]),
        (
            &["--stage", "act=other.onnx"],
            &["two graphs are the stage `act`"],
        ),
        (
            &["--stage", "loop=other.onnx"],
            &["--stage loop=other.onnx"],
        ),
        (&["--stage", "other=other.onnx"], &["other.onnx"]),
    ] {
        refused(import(&Checkpoint::act(), more), words);
    }
}

#[test]
fn one_camera_fed_twice_leaves_the_other_unread() {
    let swapped = [
        "--feed",
        "image_front=observation.images.wrist",
        "--feed",
        "image_wrist=observation.images.front",
    ];
    let manifest = import(&Checkpoint::act(), &swapped).unwrap();
    assert_eq!(
        manifest["stages"][0]["inputs"]["image_front"],
        "observation.images.wrist"
    );
    refused(
        import(&Checkpoint::act(), &swapped[..2]),
        &["no graph reads observation.images.front"],
    );
}
