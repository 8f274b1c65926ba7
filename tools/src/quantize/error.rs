//! What a policy in another precision does differently, in the runtime that will run it.

use anyhow::Result;
use wink_runtime::policy::manifest::{ActionSpace, ActionSpec};
use wink_runtime::policy::preprocess::Normaliser;
use wink_runtime::policy::{ActionChunk, OnnxPolicy};

use super::moments::{Moment, Source};
use super::record::{ActionError, NumberError};
use super::{EPISODES, EVERY, HELD_OUT};
use crate::cell::CellArm;
use crate::progress;

/// A unit of an `ee_delta` translation, millimetres.
const UNIT_MM: f64 = wink_sim::setup::UNITS.translation_m * 1e3;
/// The translations among the numbers of an `ee_delta` action.
const TRANSLATIONS: usize = 3;

/// The actions of a policy at each moment.
pub fn actions(policy: &OnnxPolicy, moments: &[Moment]) -> Result<Vec<ActionChunk>> {
    let mut policy = policy.clone();
    moments
        .iter()
        .map(|moment| {
            let mut chunk = ActionChunk::default();
            moment.begin(&mut policy)?;
            moment.act(&mut policy, &mut chunk)?;
            Ok(chunk)
        })
        .collect()
}

/// How far the actions of a policy are from those `wanted`, of the same package in float, at the same moments.
pub fn measure(
    policy: &OnnxPolicy,
    wanted: &[ActionChunk],
    moments: &[Moment],
) -> Result<(ActionError, Vec<NumberError>)> {
    let got = actions(policy, moments)?;
    let spec = &policy.manifest().action;
    Ok(compare(spec, &got, wanted))
}

/// The error of some chunks against others.
fn compare(
    spec: &ActionSpec,
    got: &[ActionChunk],
    wanted: &[ActionChunk],
) -> (ActionError, Vec<NumberError>) {
    let normaliser = Normaliser::new(&spec.normalisation, spec.names.len());
    let mut numbers = vec![Sum::default(); spec.names.len()];
    let (mut all, mut translations) = (Sum::default(), Sum::default());
    let (mut flips, mut switches) = (0, 0);
    for (got, wanted) in got.iter().zip(wanted) {
        for (index, (a, b)) in got.data.iter().zip(&wanted.data).enumerate() {
            let (step, place) = (index / spec.names.len(), index % spec.names.len());
            let executed = step < spec.execute;
            if spec.threshold.contains_key(&spec.names[place]) {
                if executed {
                    switches += 1;
                    flips += usize::from(a != b);
                }
                continue;
            }
            let error = f64::from(a - b);
            numbers[place].add(error);
            all.add(error / f64::from(normaliser.unit(place)));
            if executed && place < TRANSLATIONS {
                translations.add(error * UNIT_MM);
            }
        }
    }
    let ee_delta = spec.space == ActionSpace::EeDelta;
    // The length of a vector, of which each number is a part.
    let length = (TRANSLATIONS as f64).sqrt();
    let error = ActionError {
        action_rms: all.rms() as f32,
        action_max: all.max as f32,
        translation_rms_mm: ee_delta.then(|| (translations.rms() * length) as f32),
        gripper_flips: (switches > 0).then_some((flips, switches)),
    };
    let named = spec.names.iter().zip(&spec.units).zip(&numbers);
    let numbers = named
        .filter(|(_, sum)| sum.count > 0)
        .map(|((name, unit), sum)| NumberError {
            name: name.clone(),
            unit: unit.name().to_owned(),
            rms: sum.rms() as f32,
            max: sum.max as f32,
        });
    (error, numbers.collect())
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    squares: f64,
    max: f64,
    count: usize,
}

impl Sum {
    fn add(&mut self, error: f64) {
        self.squares += error * error;
        self.max = self.max.max(error.abs());
        self.count += 1;
    }

    fn rms(&self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }
}

/// How far the actions of precisions are from those of the first, on up to `most` of the demonstrations in an arm's cell that
/// `wink quantize` holds out by default. One result for each of the others, and how many moments they were measured on.
pub fn errors_against_first(
    policies: &[&OnnxPolicy],
    arm: CellArm,
    most: u64,
) -> Result<(Vec<ActionError>, usize)> {
    let Some((first, others)) = policies.split_first() else {
        return Ok((Vec::new(), 0));
    };
    let held_out = EPISODES..EPISODES + most.clamp(1, HELD_OUT);
    let bar = progress::bar(held_out.end - held_out.start, "demonstrations");
    let source = Source::Simulator(arm);
    let moments = source.moments(held_out, usize::from(EVERY), || bar.inc(1))?;
    bar.finish_and_clear();
    let bar = progress::bar(others.len() as u64, "errors of actions");
    let wanted = actions(first, &moments)?;
    let errors = others
        .iter()
        .map(|policy| {
            let (error, _) = measure(policy, &wanted, &moments)?;
            bar.inc(1);
            Ok(error)
        })
        .collect::<Result<_>>()?;
    bar.finish_and_clear();
    Ok((errors, moments.len()))
}
