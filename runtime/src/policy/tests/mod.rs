//! The loader and the policy, on a package small enough to compute by hand.

mod bad_input;
mod quantised;
mod tiny;

use tiny::{DIM, FEATURES, STEPS, Tiny, text_features, weight};

use crate::camera::Frame;
use crate::policy::manifest::Role;
use crate::policy::{
    ActionChunk, ChunkShape, Observation, OnnxPolicy, OpTime, Package, Policy, PolicyError,
};

const STATE: [f32; DIM] = [0.5, 1.0, -1.0, 0.25, 0.125, 2.0, -0.5];

fn load(tiny: &Tiny) -> OnnxPolicy {
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    OnnxPolicy::load(&Package::open(dir.path()).unwrap(), None).unwrap()
}

fn frame() -> Frame {
    Frame {
        width: 2,
        height: 2,
        rgb: (0..12).map(|i| i * 20).collect(),
        time_us: 0,
    }
}

fn act(policy: &mut OnnxPolicy, instruction: &str) -> Result<Vec<f32>, PolicyError> {
    let mut out = ActionChunk::default();
    policy.begin_episode(instruction)?;
    policy.act(
        &Observation {
            frame: Some(&frame()),
            proprio: &STATE,
        },
        &mut out,
    )?;
    assert_eq!((out.steps, out.dim), (STEPS, DIM));
    Ok(out.data)
}

/// What the tiny network makes of [`frame`], [`STATE`] and tokens, in the units of the action.
fn by_hand(tokens: [i64; 4]) -> Vec<f32> {
    let bytes = frame().rgb;
    let pixels = (0..12).map(|i| (f32::from(bytes[i % 4 * 3 + i / 4]) / 255.0 - 0.5) / 0.5);
    let state = STATE
        .iter()
        .enumerate()
        .map(|(i, x)| if i == 0 { (x - 0.25) / 0.5 } else { *x });
    let features: Vec<f32> = pixels.chain(state).chain(text_features(tokens)).collect();
    assert_eq!(features.len(), FEATURES);
    let output = |o: usize| {
        (0..FEATURES)
            .map(|f| features[f] * weight(f, o))
            .sum::<f32>()
    };
    (0..STEPS * DIM)
        .map(|o| match o % DIM {
            0 => output(o) * 2.0 + 0.5,
            6 => f32::from(u8::from(output(o) * 0.5 + 0.5 > 0.5)),
            _ => output(o),
        })
        .collect()
}

#[test]
fn actions_are_those_computed_by_hand() {
    let mut policy = load(&Tiny::new());
    assert!(policy.needs_frame());
    assert_eq!(
        policy.chunk_shape(),
        ChunkShape {
            steps: STEPS,
            execute: 1,
            dim: DIM
        }
    );
    let cases = [
        ("pick the block", [2, 3, 4, 0]),
        ("block", [4, 0, 0, 0]),
        ("the nonsense", [3, 1, 0, 0]),
    ];
    let mut grippers = vec![];
    for (instruction, tokens) in cases {
        let data = act(&mut policy, instruction).unwrap();
        for (index, (value, expected)) in data.iter().zip(by_hand(tokens)).enumerate() {
            assert!(
                (value - expected).abs() < 1e-4,
                "{instruction} at {index}: {value} {expected}"
            );
        }
        grippers.extend([data[6], data[13]]);
    }
    assert!(
        grippers.contains(&0.0) && grippers.contains(&1.0),
        "the threshold is not tried: {grippers:?}"
    );
}

#[test]
fn clones_share_the_graphs_and_give_the_same_bits() {
    let mut policy = load(&Tiny::new());
    let alone = act(&mut policy, "pick the block").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut clone = policy.clone();
            let alone = &alone;
            scope.spawn(move || {
                for _ in 0..20 {
                    act(&mut clone, "block").unwrap();
                    assert_eq!(&act(&mut clone, "pick the block").unwrap(), alone);
                }
            });
        }
    });
}

#[test]
fn timing_the_ops_changes_no_bit() {
    let mut policy = load(&Tiny::new());
    let alone = act(&mut policy, "pick the block").unwrap();
    assert!(policy.op_times(Role::Act).is_empty());
    policy.time_ops(true);
    for _ in 0..2 {
        assert_eq!(act(&mut policy, "pick the block").unwrap(), alone);
        for role in [Role::Text, Role::Act] {
            let (ops, times) = (policy.ops(role), policy.op_times(role));
            assert!(!ops.is_empty() && ops.len() == times.len());
            let in_turn = |pair: &[OpTime]| pair[0].start + pair[0].time <= pair[1].start;
            assert!(times.windows(2).all(in_turn));
        }
    }
    let ops = policy.ops(Role::Act);
    let macs: u64 = ops.iter().map(|op| op.macs).sum();
    assert_eq!(macs, (FEATURES * STEPS * DIM) as u64);
    let weights: u64 = ops.iter().map(|op| op.weight_bytes).sum();
    assert!(weights >= 4 * macs, "{weights}");
    policy.time_ops(false);
    assert!(policy.op_times(Role::Act).is_empty());
}

#[test]
fn instructions_are_counted_not_cut() {
    let mut policy = load(&Tiny::new());
    assert_eq!(policy.tokens("pick the block").unwrap(), [2, 3, 4, 0]);
    assert_eq!(policy.tokens("pick the block pick").unwrap(), [2, 3, 4, 2]);
    let error = policy.begin_episode("pick the block pick the").unwrap_err();
    assert!(
        matches!(
            error,
            PolicyError::InstructionTooLong {
                tokens: 5,
                max_tokens: 4,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("5 tokens"), "{error}");
    for empty in ["", "  \n"] {
        assert!(matches!(
            policy.begin_episode(empty),
            Err(PolicyError::EmptyInstruction)
        ));
    }
}

#[test]
fn a_failed_start_leaves_no_episode() {
    let mut policy = load(&Tiny::new());
    let frame = frame();
    let observation = Observation {
        frame: Some(&frame),
        proprio: &STATE,
    };
    let mut out = ActionChunk::default();
    assert!(matches!(
        policy.act(&observation, &mut out),
        Err(PolicyError::NoEpisode)
    ));
    policy.begin_episode("block").unwrap();
    policy.act(&observation, &mut out).unwrap();
    policy.begin_episode("").unwrap_err();
    assert!(matches!(
        policy.act(&observation, &mut out),
        Err(PolicyError::NoEpisode)
    ));
}

#[test]
fn observations_that_do_not_fit_are_refused_and_forgotten() {
    let mut policy = load(&Tiny::new());
    let good = act(&mut policy, "block").unwrap();
    let frame = frame();
    let cut = Frame {
        rgb: vec![0; 11],
        ..frame.clone()
    };
    let mut nan = STATE;
    nan[2] = f32::NAN;
    let cases = [
        (None, &STATE[..], "camera frame"),
        (Some(&cut), &STATE[..], "11 bytes"),
        (Some(&frame), &STATE[..6], "7 state values"),
        (Some(&frame), &nan[..], "state is not finite at index 2"),
    ];
    for (frame, proprio, words) in cases {
        let error = policy
            .act(&Observation { frame, proprio }, &mut ActionChunk::default())
            .unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let mut out = ActionChunk::default();
    policy
        .act(
            &Observation {
                frame: Some(&frame),
                proprio: &STATE,
            },
            &mut out,
        )
        .unwrap();
    assert_eq!(out.data, good);
}

#[test]
fn an_action_that_is_not_a_number_never_leaves() {
    let mut tiny = Tiny::new();
    tiny.edit("act.onnx", |model| {
        let bytes = &mut model.graph.as_mut().unwrap().initializer[0].raw_data;
        bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let error = act(&mut load(&tiny), "block").unwrap_err();
    assert!(
        matches!(
            error,
            PolicyError::NotFinite {
                what: "action",
                index: 0
            }
        ),
        "{error}"
    );
}

#[test]
fn a_frame_of_another_size_is_resized() {
    let mut policy = load(&Tiny::new());
    policy.begin_episode("block").unwrap();
    let big = Frame {
        width: 8,
        height: 6,
        rgb: vec![100; 144],
        time_us: 0,
    };
    let small = Frame {
        width: 2,
        height: 2,
        rgb: vec![100; 12],
        time_us: 0,
    };
    let [mut a, mut b] = [ActionChunk::default(), ActionChunk::default()];
    policy
        .act(
            &Observation {
                frame: Some(&big),
                proprio: &STATE,
            },
            &mut a,
        )
        .unwrap();
    policy
        .act(
            &Observation {
                frame: Some(&small),
                proprio: &STATE,
            },
            &mut b,
        )
        .unwrap();
    for (a, b) in a.data.iter().zip(&b.data) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn the_self_check_tells_right_from_wrong() {
    let mut tiny = Tiny::new();
    tiny.edit("act.onnx", |model| {
        // Without weights the normalised action is 0 whatever is fed.
        model.graph.as_mut().unwrap().initializer[0]
            .raw_data
            .fill(0);
    });
    for (value, passes) in [(0.0, true), (0.01, false)] {
        let golden = serde_json::json!({
            "engine": "by hand", "instruction": "pick block", "tokens": [2, 4, 0, 0], "image_seed": 1, "state_seed": 2,
            "action": {"f32": vec![value; STEPS * DIM]}
        });
        tiny.files
            .insert("golden.json".to_owned(), golden.to_string().into_bytes());
        let dir = tempfile::tempdir().unwrap();
        tiny.write(dir.path());
        let package = Package::open(dir.path()).unwrap();
        let report = OnnxPolicy::load(&package, None)
            .unwrap()
            .check(&package)
            .unwrap()
            .unwrap();
        assert_eq!(
            (report.passed(), report.count),
            (passes, STEPS * DIM),
            "{report:?}"
        );
        assert!((report.max_error - value).abs() < 1e-7, "{report:?}");
    }
    let wrong = serde_json::json!({
        "engine": "by hand", "instruction": "pick the block", "tokens": [2, 4, 0, 0], "image_seed": 1, "state_seed": 2,
        "action": {"f32": vec![0.0; STEPS * DIM]}
    });
    tiny.files
        .insert("golden.json".to_owned(), wrong.to_string().into_bytes());
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    let package = Package::open(dir.path()).unwrap();
    let error = OnnxPolicy::load(&package, None)
        .unwrap()
        .check(&package)
        .unwrap_err();
    assert!(
        error.to_string().contains("tokenizer makes [2, 3, 4, 0]"),
        "{error}"
    );
}

/// Once a chunk was inferred, the next one is written into the same memory: nothing else holds the buffers.
#[test]
fn input_buffers_are_written_in_place() {
    let mut policy = load(&Tiny::new());
    act(&mut policy, "block").unwrap();
    let mut addresses = vec![];
    for _ in 0..3 {
        for feed in ["image", "state"] {
            let index = policy.input_position(feed).unwrap();
            policy
                .fill_input(index, |values| {
                    addresses.push(values.as_ptr() as usize);
                    Ok(())
                })
                .unwrap();
        }
        let mut out = ActionChunk::default();
        let frame = frame();
        policy
            .act(
                &Observation {
                    frame: Some(&frame),
                    proprio: &STATE,
                },
                &mut out,
            )
            .unwrap();
    }
    assert_eq!(addresses[..2], addresses[2..4]);
    assert_eq!(addresses[..2], addresses[4..]);
}
