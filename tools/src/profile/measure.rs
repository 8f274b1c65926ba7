//! Runs episodes on the simulated board, so that what is timed sees real frames.
//!
//! Every episode runs twice for each policy. Of its inferences every other one is run with every op timed, in the second run
//! those that were not in the first: both kinds see the same frames at nearly the same time, so that what the timing of ops costs
//! shows. Policies take turns episode by episode, so that what disturbs the machine disturbs all of them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use wink_runtime::policy::{OpTime, Policy, PolicyTimes};
use wink_runtime::session::{TickReport, Timing};
use wink_sim::{Scene, Setup, SimBoard, SimOptions, Split};

use super::subject::Subject;
use super::watched::Span;
use crate::bad_input::as_bad_input;
use crate::rollout::{Rollout, shared};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Inferences timed, each way.
    pub runs: usize,
    /// Inferences before them.
    pub warmup: usize,
    /// Seed of the first episode.
    pub seed: u64,
}

impl Order {
    /// Inferences of each policy, for a progress bar.
    pub fn inferences(&self) -> usize {
        self.warmup + 2 * self.runs
    }

    /// That of an episode on the table of a cell.
    pub fn scene(&self, setup: &'static Setup, episode: u64) -> Scene {
        Scene::on(setup, Split::Val, self.seed.wrapping_add(episode))
    }
}

/// An episode with every op timed, for a trace.
#[derive(Debug, Default)]
pub struct Course {
    /// The encoding of the instruction.
    pub text: Option<(Span, Vec<OpTime>)>,
    pub ticks: Vec<Tick>,
}

/// One tick of a [`Course`].
#[derive(Debug)]
pub struct Tick {
    pub report: TickReport,
    /// When it was over, the wait included.
    pub end: Instant,
    /// The policy's part.
    pub act: Option<(Span, PolicyTimes, Vec<OpTime>)>,
}

/// Measures all subjects.
pub fn run(subjects: &mut [Subject], order: &Order, bar: &ProgressBar) -> Result<()> {
    for subject in &mut *subjects {
        warm_up(subject, order, bar)?;
    }
    for _ in 0..order.runs {
        for subject in &mut *subjects {
            let first = order.scene(subject.setup, 0);
            encode(subject, &first.instruction())?;
        }
    }
    let mut left = vec![order.runs; subjects.len()];
    for episode in 0.. {
        if left.iter().all(|left| *left == 0) {
            break;
        }
        for (subject, left) in subjects.iter_mut().zip(&mut left) {
            if *left > 0 {
                let scene = order.scene(subject.setup, episode);
                *left -= episode_twice(subject, &scene, *left, bar)?;
            }
        }
    }
    Ok(())
}

/// The first runs allocate, and find cold caches.
fn warm_up(subject: &mut Subject, order: &Order, bar: &ProgressBar) -> Result<()> {
    let scene = order.scene(subject.setup, 0);
    subject
        .policy()
        .begin_episode(&scene.instruction())
        .map_err(as_bad_input)?;
    let text = subject.policy().text;
    subject.samples.first_text = text.map_or(Duration::ZERO, |span| span.time);
    let mut done = 0;
    while done < order.warmup {
        let before = done;
        drive(subject, &scene, order.warmup - before, |subject, report| {
            if report.inferred {
                if done == 0 {
                    let inference_us = report.policy_times.inference_us;
                    subject.samples.first_inference = Duration::from_micros(inference_us);
                }
                done += 1;
                bar.inc(1);
            }
        })?;
        if done == before {
            bail!("the policy was never asked in an episode");
        }
    }
    Ok(())
}

/// The text stage alone, each way once.
fn encode(subject: &mut Subject, instruction: &str) -> Result<()> {
    for ops in [false, true] {
        let text = {
            let mut policy = subject.policy();
            policy.time_ops(ops);
            policy.begin_episode(instruction)?;
            policy.text
        };
        let Some(span) = text else {
            continue;
        };
        if ops {
            subject.take_ops(true, span.time);
        } else {
            subject.samples.text.push(span.time);
        }
    }
    Ok(())
}

/// Runs an episode, or as much of it as `limit` inferences are, twice; returns how many inferences one run has.
fn episode_twice(
    subject: &mut Subject,
    scene: &Scene,
    limit: usize,
    bar: &ProgressBar,
) -> Result<usize> {
    let mut inferences = 0;
    for first_timed in [false, true] {
        let (mut timed, mut next_timed) = (false, first_timed);
        subject.policy().time_ops(next_timed);
        drive(subject, scene, limit, |subject, report| {
            if report.inferred {
                timed = next_timed;
                inferences += 1;
                bar.inc(1);
            }
            if !timed {
                subject.samples.tick(report);
            } else if report.inferred {
                let whole = Duration::from_micros(report.policy_times.inference_us);
                subject.take_ops(false, whole);
            }
            if report.inferred {
                next_timed = !next_timed;
                subject.policy().time_ops(next_timed);
            }
        })?;
    }
    subject.policy().time_ops(false);
    match inferences / 2 {
        0 => bail!("the policy was never asked in an episode"),
        inferences => Ok(inferences),
    }
}

/// The first episode once more, or as much of it as was measured, with every op of every inference timed.
pub fn follow(subject: &mut Subject, order: &Order) -> Result<Course> {
    let mut course = Course::default();
    subject.policy().time_ops(true);
    let first = order.scene(subject.setup, 0);
    drive(subject, &first, order.runs, |subject, report| {
        let end = Instant::now();
        if course.text.is_none() {
            let ops = subject.op_times(true);
            let text = subject.policy().text;
            course.text = text.map(|span| (span, ops));
        }
        let ops = || subject.op_times(false);
        let act = subject.policy().act.filter(|_| report.inferred);
        course.ticks.push(Tick {
            report: *report,
            end,
            act: act.map(|span| (span, report.policy_times, ops())),
        });
    })?;
    subject.policy().time_ops(false);
    Ok(course)
}

/// An episode until its end, or until the chunk of the last of `limit` inferences is used up.
fn drive(
    subject: &mut Subject,
    scene: &Scene,
    limit: usize,
    mut see: impl FnMut(&mut Subject, &TickReport),
) -> Result<()> {
    let board = SimBoard::new(scene, SimOptions::default())?;
    let told = scene.instruction();
    let mut rollout = Rollout::begin_on(shared(board), subject.pilot(), &told, Timing::instant())?;
    let execute = subject.policy().chunk_shape().execute.max(1);
    while !rollout.is_over() && rollout.steps() < limit * execute {
        let Some(report) = rollout.tick()? else {
            break;
        };
        see(subject, &report);
    }
    Ok(())
}
