//! The loader and the policy, on a package small enough to compute by hand.

mod bad_input;
mod loops;
mod quantised;
mod tiny;

use std::borrow::Cow;

use tiny::{DIM, FEATURES, STEPS, Tiny, text_features, weight};

use crate::camera::Frame;
use crate::policy::manifest::Unit;
use crate::policy::{
    ActionChunk, CameraFrame, ChunkShape, GoldenReport, Name, Observation, OnnxPolicy, OpTime,
    Package, Policy, PolicyError, StateVector,
};

const NAMES: [Name; DIM] = [
    Cow::Borrowed("x"),
    Cow::Borrowed("y"),
    Cow::Borrowed("z"),
    Cow::Borrowed("roll"),
    Cow::Borrowed("pitch"),
    Cow::Borrowed("yaw"),
    Cow::Borrowed("gripper"),
];
const UNITS: [Unit; DIM] = [
    Unit::M,
    Unit::M,
    Unit::M,
    Unit::Rad,
    Unit::Rad,
    Unit::Rad,
    Unit::Fraction,
];

fn camera(frame: &Frame) -> CameraFrame<'_> {
    let name = "front";
    CameraFrame { name, frame }
}

fn state(values: &[f32]) -> StateVector<'_> {
    StateVector {
        name: "state",
        names: &NAMES,
        units: &UNITS,
        values,
    }
}

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
        ..Frame::default()
    }
}

fn act(policy: &mut OnnxPolicy, instruction: &str) -> Result<Vec<f32>, PolicyError> {
    let mut out = ActionChunk::default();
    policy.begin_episode(instruction)?;
    policy.act(
        &Observation {
            cameras: &[camera(&frame())],
            states: &[state(&STATE)],
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
    assert!(policy.op_times("act").is_empty());
    policy.time_ops(true);
    for _ in 0..2 {
        assert_eq!(act(&mut policy, "pick the block").unwrap(), alone);
        for stage in ["text", "act"] {
            let (ops, times) = (policy.ops(stage), policy.op_times(stage));
            assert!(!ops.is_empty() && ops.len() == times.len());
            let in_turn = |pair: &[OpTime]| pair[0].start + pair[0].time <= pair[1].start;
            assert!(times.windows(2).all(in_turn));
        }
    }
    let ops = policy.ops("act");
    let macs: u64 = ops.iter().map(|op| op.macs).sum();
    assert_eq!(macs, (FEATURES * STEPS * DIM) as u64);
    let weights: u64 = ops.iter().map(|op| op.weight_bytes).sum();
    assert!(weights >= 4 * macs, "{weights}");
    policy.time_ops(false);
    assert!(policy.op_times("act").is_empty());
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
        cameras: &[camera(&frame)],
        states: &[state(&STATE)],
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
    let good_frame = [camera(&frame)];
    let good_state = [state(&STATE)];
    let mut renamed = NAMES;
    renamed.swap(0, 1);
    let mut degrees = UNITS;
    degrees[4] = Unit::Degrees;
    let other = CameraFrame {
        name: "wrist",
        frame: &frame,
    };
    let swapped = StateVector {
        names: &renamed,
        ..state(&STATE)
    };
    let in_degrees = StateVector {
        units: &degrees,
        ..state(&STATE)
    };
    let cases: [(&[CameraFrame<'_>], &[StateVector<'_>], &str); 10] = [
        (&[], &good_state, "needs the camera \"front\""),
        (
            &[other],
            &good_state,
            "needs the camera \"front\" and was given wrist",
        ),
        (
            &[good_frame[0], other],
            &good_state,
            "does not read the camera \"wrist\"; it reads front",
        ),
        (&[camera(&cut)], &good_state, "11 bytes"),
        (
            &good_frame,
            &[],
            "needs the state \"state\" and was given none",
        ),
        (
            &good_frame,
            &[
                good_state[0],
                StateVector {
                    name: "effort",
                    ..good_state[0]
                },
            ],
            "\"effort\"",
        ),
        (&good_frame, &[state(&STATE[..6])], "7 values"),
        (
            &good_frame,
            &[state(&nan)],
            "state is not finite at index 2",
        ),
        (
            &good_frame,
            &[swapped],
            "value 0 is \"x\" to the policy and \"y\" to the arm",
        ),
        (
            &good_frame,
            &[in_degrees],
            "\"pitch\" is in rad to the policy and in degrees",
        ),
    ];
    for (cameras, states, words) in cases {
        let observation = Observation { cameras, states };
        let error = policy
            .act(&observation, &mut ActionChunk::default())
            .unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let mut out = ActionChunk::default();
    policy
        .act(
            &Observation {
                cameras: &[camera(&frame)],
                states: &[state(&STATE)],
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
    assert_eq!(error.to_string(), "act.action is not finite at index 0");
}

#[test]
fn a_frame_of_another_size_is_resized() {
    let mut policy = load(&Tiny::new());
    policy.begin_episode("block").unwrap();
    let big = Frame {
        width: 8,
        height: 6,
        rgb: vec![100; 144],
        ..Frame::default()
    };
    let small = Frame {
        width: 2,
        height: 2,
        rgb: vec![100; 12],
        ..Frame::default()
    };
    let [mut a, mut b] = [ActionChunk::default(), ActionChunk::default()];
    policy
        .act(
            &Observation {
                cameras: &[camera(&big)],
                states: &[state(&STATE)],
            },
            &mut a,
        )
        .unwrap();
    policy
        .act(
            &Observation {
                cameras: &[camera(&small)],
                states: &[state(&STATE)],
            },
            &mut b,
        )
        .unwrap();
    for (a, b) in a.data.iter().zip(&b.data) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

/// A package without weights, whose normalised action is 0 for every input, with golden values.
fn golden(edit: impl FnOnce(&mut serde_json::Value)) -> Result<GoldenReport, PolicyError> {
    let mut tiny = Tiny::new();
    tiny.edit("act.onnx", |model| {
        model.graph.as_mut().unwrap().initializer[0]
            .raw_data
            .fill(0);
    });
    let zeros = vec![0.0; STEPS * DIM];
    let row = [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let mut golden = serde_json::json!({
        "reference": "by hand", "instruction": "pick block", "tokens": [2, 4, 0, 0],
        "frames": {"front": {"width": 2, "height": 2, "seeds": [1]}},
        "inputs": {"state": {"shape": [1, DIM], "seed": 2, "low": -1, "high": 1}},
        "precisions": {"f32": {
            "values": {"act.action": {"shape": [1, STEPS, DIM], "every": 1, "values": zeros, "tolerance": 1e-6},
                       "text.text": {"shape": [1, 4], "every": 3, "values": [3, 2], "tolerance": 0}},
            "action": {"shape": [STEPS, DIM], "values": row.repeat(STEPS), "tolerance": 1e-6}}}
    });
    edit(&mut golden);
    tiny.files
        .insert("golden.json".to_owned(), golden.to_string().into_bytes());
    tiny.manifest["golden"] = "golden.json".into();
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    let package = Package::open(dir.path()).unwrap();
    let report = OnnxPolicy::load(&package, None).unwrap().check(&package);
    report.map(|report| report.unwrap())
}

#[test]
fn golden_values_tell_right_from_wrong() {
    let report = golden(|_| {}).unwrap();
    assert!(report.passed(), "{report:?}");
    let named: Vec<(&str, usize)> = report
        .values
        .iter()
        .map(|row| (row.value.as_str(), row.count))
        .collect();
    assert_eq!(
        named,
        [("text.text", 2), ("act.action", 14), ("action", 14)]
    );
    for (value, index) in [("act.action", 5), ("text.text", 1)] {
        let report = golden(|golden| {
            let values = &mut golden["precisions"]["f32"]["values"][value]["values"];
            values[index] = (values[index].as_f64().unwrap() + 0.01).into();
        })
        .unwrap();
        assert!(!report.passed());
        let worst = report.worst().unwrap();
        assert_eq!(worst.value, value);
        assert!((worst.max_error - 0.01).abs() < 1e-6, "{report:?}");
    }
}

/// Golden values with a list of noise, and an input that lies in a file.
fn listed(
    inputs: &serde_json::Value,
    noise: &serde_json::Value,
    action: &[f32],
) -> Result<GoldenReport, PolicyError> {
    let mut tiny = loops::noisy();
    let golden = serde_json::json!({
        "reference": "by hand", "inputs": inputs, "noise": noise,
        "precisions": {"f32": {"action": {"shape": [STEPS, DIM], "values": action, "tolerance": 1e-5}}}
    });
    tiny.files
        .insert("golden.json".to_owned(), golden.to_string().into_bytes());
    let state = STATE.iter().flat_map(|value| value.to_le_bytes());
    tiny.files.insert("state.bin".to_owned(), state.collect());
    tiny.manifest["golden"] = "golden.json".into();
    let dir = tempfile::tempdir().unwrap();
    tiny.write(dir.path());
    let package = Package::open(dir.path())?;
    let report = OnnxPolicy::load(&package, None)?.check(&package)?;
    Ok(report.unwrap())
}

#[test]
fn golden_noise_is_a_list_and_golden_inputs_may_lie_in_files() {
    let list: Vec<f32> = (0..STEPS * DIM).map(|place| place as f32 / 8.0).collect();
    let state = serde_json::json!({"state": {"shape": [1, DIM], "file": "state.bin"}});
    let values = |list: &[f32]| serde_json::json!({"values": list});
    let action: Vec<f32> = list
        .iter()
        .zip(STATE.iter().cycle())
        .map(|(noise, state)| noise + state)
        .collect();
    let report = listed(&state, &values(&list), &action).unwrap();
    assert!(report.passed(), "{report:?}");
    assert!(!listed(&state, &values(&action), &action).unwrap().passed());
    // As an input, the noise is fed and not drawn.
    let both = serde_json::json!({"state": state["state"], "noise": {"shape": [1, STEPS, DIM], "values": list}});
    let unused = serde_json::json!({"seed": 1, "low": 0, "high": 1});
    assert!(listed(&both, &unused, &action).unwrap().passed());
    for (inputs, noise, words) in [
        (
            &state,
            values(&list[1..]),
            "13 numbers, the policy draws 14",
        ),
        (&both, values(&list), "14 numbers, the policy draws 0"),
        (
            &state,
            serde_json::json!({"values": list, "seed": 1}),
            "`noise` must hold either",
        ),
        (
            &serde_json::json!({"state": {"shape": [1, DIM], "file": "golden.json"}}),
            values(&list),
            "`inputs.state` has",
        ),
        (
            &serde_json::json!({"state": {"shape": [1, DIM], "file": "gone.bin"}}),
            values(&list),
            "gone.bin",
        ),
    ] {
        let error = listed(inputs, &noise, &action).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn golden_values_that_fit_no_package_are_refused_by_name() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(Edit, &str); 9] = [
        (
            |g| g["tokens"] = serde_json::json!([2, 3, 0, 0]),
            "tokenizer makes [2, 4, 0, 0]",
        ),
        (
            |g| g["tokens"] = serde_json::json!([2]),
            "`tokens` has 1 values instead of 4",
        ),
        (
            |g| g["inputs"] = serde_json::json!({}),
            "gives no value to \"state\"",
        ),
        (
            |g| g["inputs"]["state"]["shape"] = serde_json::json!([7]),
            "`inputs.state` has the shape [7]",
        ),
        (
            |g| g["frames"]["wrist"] = g["frames"]["front"].clone(),
            "`frames.wrist` is no camera",
        ),
        (
            |g| g["frames"]["front"]["width"] = 0.into(),
            "impossible size",
        ),
        (
            |g| g["precisions"]["f32"]["action"]["shape"][0] = 1.into(),
            "golden `action`",
        ),
        (
            |g| g["precisions"]["f32"]["values"]["act.action"]["every"] = 2.into(),
            "\"act.action\"",
        ),
        (|g| g["unknown"] = 1.into(), "unknown"),
    ];
    for (edit, words) in cases {
        let error = golden(edit).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains("golden.json"),
            "{words}: {error}"
        );
    }
}
