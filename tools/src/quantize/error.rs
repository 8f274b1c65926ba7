//! What a policy in another precision does differently, in the runtime that will run it.

use anyhow::Result;
use wink_quantize::Scheme;
use wink_quantize::sensitivity::Emitted;
use wink_runtime::camera::FRONT_CAMERA;
use wink_runtime::control::proprio_state;
use wink_runtime::policy::preprocess::Normaliser;
use wink_runtime::policy::{ActionChunk, CameraFrame, Observation, OnnxPolicy, Package, Policy};

use super::package::Writer;
use super::record::ActionError;
use super::samples::{Moment, Source};
use super::{EPISODES, EVERY, HELD_OUT, timed};
use crate::out_dir::OutDir;
use crate::progress;

/// A unit of an `ee_delta` translation, millimetres.
const UNIT_MM: f64 = wink_runtime::control::TRANSLATION_SCALE_M * 1e3;
const GRIPPER: usize = 6;
/// Timed runs, after one that is not.
const RUNS: usize = 21;

/// Runs both policies, of the same package but for their precision, on the same moments.
pub fn measure(policy: &OnnxPolicy, float: &OnnxPolicy, moments: &[Moment]) -> Result<ActionError> {
    let (mut policy, mut float) = (policy.clone(), float.clone());
    let spec = float.manifest().action.clone();
    let normaliser = Normaliser::new(&spec.normalisation, spec.names.len());
    let (mut wanted, mut got) = (ActionChunk::default(), ActionChunk::default());
    let (mut squares, mut count, mut largest) = (0.0, 0_usize, 0.0_f32);
    let (mut translation, mut translations) = (0.0, 0_usize);
    let (mut flips, mut grips) = (0, 0);
    for moment in moments {
        let observation = Observation {
            cameras: &[moment.camera()],
            states: &[proprio_state(&moment.state)],
        };
        float.begin_episode(&moment.instruction)?;
        float.act(&observation, &mut wanted)?;
        policy.begin_episode(&moment.instruction)?;
        policy.act(&observation, &mut got)?;
        for (index, (a, b)) in got.data.iter().zip(&wanted.data).enumerate() {
            let (step, value) = (index / spec.names.len(), index % spec.names.len());
            let executed = step < spec.execute;
            if spec.threshold.contains_key(&spec.names[value]) {
                if executed && value == GRIPPER {
                    grips += 1;
                    flips += usize::from(a != b);
                }
                continue;
            }
            let error = (a - b) / normaliser.unit(value);
            squares += f64::from(error * error);
            largest = largest.max(error.abs());
            count += 1;
            if executed && value < 3 {
                translation += (f64::from(a - b) * UNIT_MM).powi(2);
                translations += usize::from(value == 0);
            }
        }
    }
    Ok(ActionError {
        action_rms: (squares / count.max(1) as f64).sqrt() as f32,
        action_max: largest,
        translation_rms_mm: (translation / translations.max(1) as f64).sqrt() as f32,
        gripper_flips: (flips, grips),
    })
}

/// How far the actions of precisions are from those of the first, on up to `most` of the demonstrations that `wink
/// quantize` holds out by default. One result for each of the others, and how many moments they were measured on.
pub fn errors_against_first(
    policies: &[&OnnxPolicy],
    most: u64,
) -> Result<(Vec<ActionError>, usize)> {
    let Some((first, others)) = policies.split_first() else {
        return Ok((Vec::new(), 0));
    };
    let held_out = EPISODES..EPISODES + most.clamp(1, HELD_OUT);
    let bar = progress::bar(held_out.end - held_out.start, "demonstrations");
    let moments = Source::Simulator.moments(held_out, usize::from(EVERY), || bar.inc(1))?;
    bar.finish_and_clear();
    let bar = progress::bar(others.len() as u64, "errors of actions");
    let errors = others
        .iter()
        .map(|policy| {
            let error = measure(policy, first, &moments);
            bar.inc(1);
            error
        })
        .collect::<Result<_>>()?;
    bar.finish_and_clear();
    Ok((errors, moments.len()))
}

/// Median time of one action of emitted graphs in the runtime, milliseconds.
pub fn latency_ms(package: &Package, from: &str, emitted: Emitted) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let out = OutDir::create(&folder.path().join("timed"), true, "policy.json")?;
    let mut writer = Writer::new(package, out, from)?;
    writer.add(Scheme::Int8, emitted)?;
    let staged = writer.finish(Scheme::Int8)?;
    let package = Package::open(staged.path())?;
    let mut policy = OnnxPolicy::load(&package, None)?;
    let side = 224;
    let frame = wink_runtime::camera::Frame {
        width: side,
        height: side,
        rgb: vec![128; (side * side * 3) as usize],
        ..Default::default()
    };
    let state = [0.0; 7];
    let camera = CameraFrame {
        name: FRONT_CAMERA,
        frame: &frame,
    };
    let observation = Observation {
        cameras: &[camera],
        states: &[proprio_state(&state)],
    };
    let mut chunk = ActionChunk::default();
    policy.begin_episode("pick the block and place it on star")?;
    policy.act(&observation, &mut chunk)?;
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let (done, ms) = timed(|| policy.act(&observation, &mut chunk));
        done?;
        times.push(ms);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
