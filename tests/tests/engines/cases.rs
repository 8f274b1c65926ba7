//! The cases. Each gets a freshly loaded policy.

use wink_runtime::camera::Frame;
use wink_runtime::control::StateReader;
use wink_runtime::policy::manifest::ActionSpace;
use wink_runtime::policy::preprocess::Normaliser;
use wink_runtime::policy::{
    ActionChunk, CameraFrame, Execution, Observation, OnnxPolicy, Package, Policy,
};
use wink_sim::board::{SimBoard, SimOptions};
use wink_sim::scene::{Scene, Split};
use wink_sim::setup::{ALL, Setup};

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

/// What a policy is given on the table of its arm, with the arm at home.
struct Seat {
    setup: &'static Setup,
    states: StateReader,
    frames: Vec<Frame>,
}

impl Seat {
    /// The first cell whose arm and cameras are those of the policy.
    fn of(policy: &OnnxPolicy) -> Self {
        let observations = &policy.manifest().observations;
        let cameras = observations.cameras.iter().map(|camera| &*camera.name);
        let fits = |setup: &&'static Setup| {
            let states = StateReader::new(
                &setup.arm(),
                &setup.control_config(),
                Some(&observations.states),
            );
            let own = setup.cameras.iter().map(|camera| camera.name);
            Some((*setup, states.ok().filter(|_| own.eq(cameras.clone()))?))
        };
        let cell = ALL.iter().find_map(fits);
        let (setup, mut states) = cell.expect("a cell for a shipped package");
        let arm = setup.arm();
        let home = arm.joints().iter().map(|joint| joint.home_rad);
        let wire: Vec<f64> = home
            .chain(arm.gripper().map(|gripper| gripper.home_m))
            .collect();
        states.measure(&wire);
        let frames = vec![Frame::default(); setup.cameras.len()];
        Self {
            setup,
            states,
            frames,
        }
    }

    fn scene(&self, split: Split, seed: u64) -> Scene {
        Scene::on(self.setup, split, seed)
    }

    /// Looks at a table through every camera.
    fn look(&mut self, scene: &Scene) {
        let mut board = SimBoard::new(scene, SimOptions::default()).expect("the cell's own board");
        for (place, frame) in self.frames.iter_mut().enumerate() {
            board.render_camera(place, frame).expect("a frame");
        }
    }

    fn act(&self, policy: &mut OnnxPolicy) -> ActionChunk {
        let shape = policy.chunk_shape();
        let mut chunk = ActionChunk::default();
        chunk.reset(shape.steps, shape.dim);
        let cameras = self.setup.cameras.iter().zip(&self.frames);
        let cameras: Vec<CameraFrame<'_>> = cameras
            .map(|(camera, frame)| CameraFrame {
                name: camera.name,
                frame,
            })
            .collect();
        let observation = Observation {
            cameras: &cameras,
            states: &self.states.vectors(),
        };
        policy.act(&observation, &mut chunk).expect("actions");
        chunk
    }
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
    // A flow carries what its 8-bit stage tells over several steps, and joint angles over the whole reach.
    let most = match spec.space {
        ActionSpace::EeDelta => 0.05,
        ActionSpace::JointPosition | ActionSpace::JointDelta => 0.1,
    };
    let mut seat = Seat::of(&policy);
    for seed in 0..4 {
        let scene = seat.scene(Split::Val, seed);
        seat.look(&scene);
        for engine in [&mut policy, &mut plain] {
            engine
                .begin_episode(&scene.instruction())
                .expect("an instruction");
        }
        let (ours, theirs) = (seat.act(&mut policy), seat.act(&mut plain));
        for (index, (ours, theirs)) in ours.data.iter().zip(&theirs.data).enumerate() {
            let axis = index % spec.names.len();
            if !spec.threshold.contains_key(&spec.names[axis]) {
                let off = ((ours - theirs) / normaliser.unit(axis)).abs();
                assert!(
                    off < most,
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

fn the_same_observation_gives_the_same_bits(_: &Package, policy: OnnxPolicy) {
    let mut seat = Seat::of(&policy);
    let scene = seat.scene(Split::Val, 3);
    seat.look(&scene);
    // Clones, since a loop draws other noise at its second inference.
    let chunks: Vec<ActionChunk> = [policy.clone(), policy]
        .iter_mut()
        .map(|policy| {
            policy
                .begin_episode(&scene.instruction())
                .expect("an instruction");
            seat.act(policy)
        })
        .collect();
    assert_eq!(chunks[0].data, chunks[1].data);
}

fn extreme_frames_give_finite_actions(_: &Package, mut policy: OnnxPolicy) {
    let mut seat = Seat::of(&policy);
    policy
        .begin_episode("pick the block and place it on goat")
        .expect("an instruction");
    for value in [0, 255] {
        for (camera, frame) in seat.setup.cameras.iter().zip(&mut seat.frames) {
            frame.resize(camera.frame_px.0, camera.frame_px.1);
            frame.rgb.fill(value);
        }
        let chunk = seat.act(&mut policy);
        assert!(
            chunk.data.iter().all(|action| action.is_finite()),
            "a frame of {value} only"
        );
    }
}

fn the_instruction_changes_the_actions(_: &Package, mut policy: OnnxPolicy) {
    let mut seat = Seat::of(&policy);
    let scene = seat.scene(Split::Train, 11);
    seat.look(&scene);
    let mut chunks = Vec::new();
    for card in [scene.target, (scene.target + 1) % 3] {
        policy
            .begin_episode(&scene.instruction_for(card))
            .expect("an instruction");
        chunks.push(seat.act(&mut policy).data);
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
