//! The cases. Each gets a freshly loaded policy.

use wink_runtime::camera::{FRONT_CAMERA, Frame};
use wink_runtime::control::proprio_state;
use wink_runtime::policy::preprocess::Normaliser;
use wink_runtime::policy::{
    ActionChunk, CameraFrame, Execution, Observation, OnnxPolicy, Package, Policy,
};
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};

type Case = (&'static str, fn(&Package, OnnxPolicy));

/// Every case by name.
pub const CASES: &[Case] = &[
    (
        "agrees_with_the_reference_engine",
        agrees_with_the_reference_engine,
    ),
    ("agrees_with_the_engine_alone", agrees_with_the_engine_alone),
    ("quantised_products_are_fused", quantised_products_are_fused),
    (
        "the_same_observation_gives_the_same_bits",
        the_same_observation_gives_the_same_bits,
    ),
    (
        "extreme_frames_give_finite_actions",
        extreme_frames_give_finite_actions,
    ),
    (
        "the_instruction_changes_the_actions",
        the_instruction_changes_the_actions,
    ),
    (
        "an_over_long_instruction_is_refused",
        an_over_long_instruction_is_refused,
    ),
];

/// At home over the cube, gripper open.
const PROPRIO: [f32; 7] = [0.05, 0.7, 0.4, 0.0, 0.0, 0.0, 0.925];

fn benchmark_frame(scene: &Scene) -> Frame {
    let mut frame = Frame::default();
    let mut board = SimBoard::new(scene, SimOptions::default()).expect("the benchmark's own board");
    board.render(&mut frame).expect("a frame");
    frame
}

fn act(policy: &mut OnnxPolicy, frame: &Frame) -> ActionChunk {
    let shape = policy.chunk_shape();
    let mut chunk = ActionChunk::default();
    chunk.reset(shape.steps, shape.dim);
    let camera = CameraFrame {
        name: FRONT_CAMERA,
        frame,
    };
    policy
        .act(
            &Observation {
                cameras: &[camera],
                states: &[proprio_state(&PROPRIO)],
            },
            &mut chunk,
        )
        .expect("actions");
    chunk
}

fn agrees_with_the_reference_engine(package: &Package, policy: OnnxPolicy) {
    let report = policy
        .check(package)
        .expect("readable golden values")
        .expect("golden values of this precision");
    assert!(report.passed(), "{report:?}");
}

/// The fused ops keep more of the float model's precision than strict ONNX; 0.05 standard deviations of an action is what
/// one or two steps of its 8-bit tensors come to. Thresholded values are 0 or 1 and say nothing about distance.
fn agrees_with_the_engine_alone(package: &Package, mut policy: OnnxPolicy) {
    let precision = policy.precision().to_owned();
    let mut plain =
        OnnxPolicy::load_with(package, Some(&precision), Execution::Plain).expect("it loads");
    let spec = package.manifest().action.clone();
    let normaliser = Normaliser::new(&spec.normalisation, spec.names.len());
    for seed in 0..4 {
        let scene = Scene::new(Split::Val, seed);
        let frame = benchmark_frame(&scene);
        for engine in [&mut policy, &mut plain] {
            engine
                .begin_episode(&scene.instruction())
                .expect("an instruction");
        }
        let (ours, theirs) = (act(&mut policy, &frame), act(&mut plain, &frame));
        for (index, (ours, theirs)) in ours.data.iter().zip(&theirs.data).enumerate() {
            let axis = index % spec.names.len();
            if !spec.threshold.contains_key(&spec.names[axis]) {
                let off = ((ours - theirs) / normaliser.unit(axis)).abs();
                assert!(
                    off < 0.05,
                    "{precision} {}: {ours} instead of {theirs}",
                    spec.names[axis]
                );
            }
        }
    }
}

fn quantised_products_are_fused(_: &Package, policy: OnnxPolicy) {
    for graph in policy.stages() {
        let fusion = graph.fusion.expect("a fused engine says what it fused");
        let quantised = graph
            .info
            .ops
            .keys()
            .any(|op| op.ends_with("QuantizeLinear"));
        let products = fusion.fused.get("FusedLinear").copied().unwrap_or(0);
        assert_eq!(products > 0, quantised, "{}: {fusion:?}", graph.file);
    }
}

fn the_same_observation_gives_the_same_bits(_: &Package, mut policy: OnnxPolicy) {
    let scene = Scene::new(Split::Val, 3);
    let frame = benchmark_frame(&scene);
    let mut other = policy.clone();
    policy
        .begin_episode(&scene.instruction())
        .expect("an instruction");
    other
        .begin_episode(&scene.instruction())
        .expect("an instruction");
    let first = act(&mut policy, &frame);
    assert_eq!(first.data, act(&mut policy, &frame).data, "asked twice");
    assert_eq!(first.data, act(&mut other, &frame).data, "asked of a clone");
}

fn extreme_frames_give_finite_actions(_: &Package, mut policy: OnnxPolicy) {
    policy
        .begin_episode("pick the block and place it on goat")
        .expect("an instruction");
    for value in [0, 255] {
        let frame = Frame {
            width: 224,
            height: 224,
            rgb: vec![value; 224 * 224 * 3],
            ..Frame::default()
        };
        let chunk = act(&mut policy, &frame);
        assert!(
            chunk.data.iter().all(|action| action.is_finite()),
            "a frame of {value} only"
        );
    }
}

fn the_instruction_changes_the_actions(_: &Package, mut policy: OnnxPolicy) {
    let scene = Scene::new(Split::Train, 11);
    let frame = benchmark_frame(&scene);
    let mut chunks = Vec::new();
    for card in [scene.target, (scene.target + 1) % 3] {
        policy
            .begin_episode(&scene.instruction_for(card))
            .expect("an instruction");
        chunks.push(act(&mut policy, &frame).data);
    }
    assert_ne!(chunks[0], chunks[1], "a policy deaf to its instruction");
}

fn an_over_long_instruction_is_refused(_: &Package, mut policy: OnnxPolicy) {
    let error = policy
        .begin_episode(&"block ".repeat(500))
        .expect_err("500 words fit no shipped policy");
    assert!(
        error.to_string().contains("token"),
        "the error says what is too long: {error}"
    );
}
