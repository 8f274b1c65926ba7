//! An inference allocates nothing once the first is over, on any of its threads. Alone in its binary, since it counts the
//! allocations of all threads.

#![cfg(feature = "onnx")]

mod counting;

use std::num::NonZeroUsize;
use std::path::Path;

use counting::allocations;
use wink_runtime::camera::{FRONT_CAMERA, Frame};
use wink_runtime::control::proprio_state;
use wink_runtime::policy::{
    ActionChunk, CameraFrame, Observation, OnnxPolicy, Package, Policy, Threads,
};

#[test]
fn inferences_allocate_nothing_after_the_first() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/wink-s");
    let package = Package::open(&folder).unwrap();
    let precisions: Vec<String> = package.manifest().precisions.keys().cloned().collect();
    assert!(precisions.iter().any(|name| name == "int8"));
    for (precision, count) in precisions.iter().flat_map(|name| [(name, 1), (name, 2)]) {
        let mut policy = OnnxPolicy::load(&package, Some(precision)).unwrap();
        let threads = Threads {
            count: NonZeroUsize::new(count).unwrap(),
            pinned: false,
        };
        policy.use_threads(threads).unwrap();
        let instruction = "Place the cube on the red apple.";
        policy.begin_episode(instruction).unwrap();
        let mut frame = Frame::default();
        frame.resize(160, 120);
        frame.rgb.fill(90);
        let mut chunk = ActionChunk::default();
        let mut act = |proprio: f32| {
            let camera = CameraFrame {
                name: FRONT_CAMERA,
                frame: &frame,
            };
            let proprio = [proprio; 7];
            let observation = Observation {
                cameras: &[camera],
                states: &[proprio_state(&proprio)],
            };
            policy.act(&observation, &mut chunk).unwrap();
            chunk.data[0]
        };
        let first = act(0.1);
        let (_, before) = allocations();
        assert!(before > 0, "the counter counts");
        let others: [f32; 20] = std::array::from_fn(|index| act(0.01 * index as f32));
        assert_eq!(allocations().1 - before, 0, "{precision}, {count} threads");
        assert!(others.iter().any(|&x| x != first), "it computes");
    }
}
