//! An inference allocates nothing once the first is over, on any of its threads. Alone in its binary, since it counts the
//! allocations of all threads.

#![cfg(feature = "onnx")]

mod counting;

use std::num::NonZeroUsize;
use std::path::Path;

use counting::allocations;
use wink_runtime::camera::Frame;
use wink_runtime::policy::{
    ActionChunk, CameraFrame, Name, Observation, OnnxPolicy, Package, Policy, StateVector, Threads,
};

/// One camera and a text, and one of each family: once per observation, diffusion, and flow with a prefix.
const PACKAGES: [&str; 5] = [
    "models/wink-s",
    "tests/fixtures/policies/act",
    "tests/fixtures/policies/diffusion",
    "tests/fixtures/policies/smolvla",
    "tests/fixtures/policies/pi0",
];

/// Its prompt holds the state: the tokenizer, which allocates, runs with each observation.
const STATE_IN_PROMPT: &str = "tests/fixtures/policies/pi05";

/// One test: another one beside it would allocate on its own thread, which is counted, too.
#[test]
fn tract_runs_nothing_and_inferences_allocate_nothing_after_the_first() {
    tract_runs_nothing_of_the_fixtures();
    for folder in PACKAGES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let package = Package::open(&root.join(folder)).unwrap();
        for precision in package.manifest().precisions.keys() {
            for count in [1, 2] {
                let mut policy = OnnxPolicy::load(&package, Some(precision)).unwrap();
                let threads = Threads {
                    count: NonZeroUsize::new(count).unwrap(),
                    pinned: false,
                };
                policy.use_threads(threads).unwrap();
                check(policy, &format!("{folder}, {precision}, {count} threads"));
            }
        }
    }
}

fn tract_runs_nothing_of_the_fixtures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in PACKAGES.iter().chain([&STATE_IN_PROMPT]) {
        let package = Package::open(&root.join(folder)).expect("a fixture");
        let policy = OnnxPolicy::load(&package, None).expect("a fixture");
        for stage in policy.stages() {
            let left = stage.fusion.expect("a report").engine;
            assert!(left.is_empty(), "{folder}, {}: {left:?}", stage.stage);
        }
    }
}

fn check(mut policy: OnnxPolicy, case: &str) {
    let observations = policy.manifest().observations.clone();
    let mut frame = Frame::default();
    // The size that the fixtures without a resize take.
    frame.resize(64, 48);
    frame.rgb.fill(90);
    let cameras: Vec<CameraFrame<'_>> = observations
        .cameras
        .iter()
        .map(|camera| CameraFrame {
            name: &camera.name,
            frame: &frame,
        })
        .collect();
    let [state] = &observations.states[..] else {
        panic!("{case}: these packages have one state");
    };
    let names: Vec<Name> = state.names.iter().cloned().map(Name::Owned).collect();
    policy
        .begin_episode("Place the cube on the red apple.")
        .expect("an episode");
    let mut chunk = ActionChunk::default();
    let mut act = |value: f32| {
        let values = [value; 16];
        let vector = StateVector {
            name: &state.name,
            names: &names,
            units: &state.units,
            values: &values[..names.len()],
        };
        let observation = Observation {
            cameras: &cameras,
            states: &[vector],
        };
        policy.act(&observation, &mut chunk).expect("actions");
        chunk.data[0]
    };
    let first = act(0.1);
    let (_, before) = allocations();
    assert!(before > 0, "the counter counts");
    let others: [f32; 20] = std::array::from_fn(|index| act(0.01 * index as f32));
    assert_eq!(allocations().1 - before, 0, "{case}");
    assert!(others.iter().any(|&x| x != first), "{case}: it computes");
}
