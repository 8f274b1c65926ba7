//! The shipped policy gives the same actions, to the bit, on every processor: these digests hold on x86-64 and on aarch64, so that
//! an evaluation of either is one of the other.

#![cfg(feature = "onnx")]

use std::path::Path;

use sha2::{Digest, Sha256};
use wink_runtime::camera::{FRONT_CAMERA, Frame};
use wink_runtime::control::proprio_state;
use wink_runtime::policy::{ActionChunk, CameraFrame, Observation, OnnxPolicy, Package, Policy};

/// A picture with edges, gradients and noise.
fn picture(seed: u32) -> Frame {
    let mut frame = Frame::default();
    frame.resize(224, 224);
    let mut state = seed;
    for (index, value) in frame.rgb.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (index / 3 % 224, index / 3 / 224);
        let shape = if (x / 32 + y / 48) % 2 == 0 { 40 } else { 160 };
        let [noise, ..] = state.to_be_bytes();
        *value = shape + noise / 8 + (x / 8 % 32) as u8;
    }
    frame
}

fn digest(precision: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/wink-s");
    let package = Package::open(&folder).expect("the shipped package");
    let mut policy = OnnxPolicy::load(&package, Some(precision)).expect("it loads");
    let mut hash = Sha256::new();
    for (instruction, seed) in [
        ("pick the block and place it on red apple", 1),
        ("pick the block and place it on goat", 2),
    ] {
        policy.begin_episode(instruction).expect("words it knows");
        for step in 0..3 {
            let frame = picture(seed * 10 + step);
            let proprio = [0.2, 0.01 * step as f32, 0.1, 0.0, 1.5, -0.3, 1.0];
            let camera = CameraFrame {
                name: FRONT_CAMERA,
                frame: &frame,
            };
            let observation = Observation {
                cameras: &[camera],
                states: &[proprio_state(&proprio)],
            };
            let mut chunk = ActionChunk::default();
            policy.act(&observation, &mut chunk).expect("it acts");
            for value in &chunk.data {
                hash.update(value.to_bits().to_le_bytes());
            }
        }
    }
    let digest = hash.finalize();
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_shipped_policy_acts_alike_everywhere() {
    let found = ["f32", "int8"].map(digest);
    assert_eq!(found, ["1ae86a833f89623b", "c48defa364060df3"]);
}
