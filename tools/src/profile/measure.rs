//! Runs episodes on the simulated board, so that what is timed sees real frames.
//!
//! Every episode runs twice for each policy, first as ever, then with every op timed: both see the same frames, and what the
//! timing of ops costs shows. Policies take turns episode by episode, so that what disturbs the machine disturbs all of them.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use wink_runtime::episode::TickReport;
use wink_runtime::policy::manifest::Role;
use wink_runtime::policy::{OpTime, Policy, PolicyTimes};
use wink_sim::{Scene, SimBoard, SimOptions, Split};

use super::subject::Subject;
use super::watched::Span;
use crate::bad_input::as_bad_input;
use crate::rollout::Rollout;

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

    fn scene(&self, episode: u64) -> Scene {
        Scene::new(Split::Val, self.seed.wrapping_add(episode))
    }
}

/// The first episode with every op timed, for a trace.
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

/// Measures all subjects; one course for each.
pub fn run(subjects: &mut [Subject], order: &Order, bar: &ProgressBar) -> Result<Vec<Course>> {
    let first = order.scene(0);
    for subject in &mut *subjects {
        warm_up(subject, order, &first, bar)?;
    }
    for _ in 0..order.runs {
        for subject in &mut *subjects {
            encode(subject, &first.instruction())?;
        }
    }
    let mut courses: Vec<Course> = subjects.iter().map(|_| Course::default()).collect();
    let mut left = vec![order.runs; subjects.len()];
    for episode in 0.. {
        if left.iter().all(|left| *left == 0) {
            break;
        }
        let scene = order.scene(episode);
        let pieces = subjects.iter_mut().zip(&mut courses).zip(&mut left);
        for ((subject, course), left) in pieces {
            if *left > 0 {
                *left -= episode_twice(subject, &scene, *left, course, bar)?;
            }
        }
    }
    Ok(courses)
}

/// The first runs allocate, and find cold caches.
fn warm_up(subject: &mut Subject, order: &Order, scene: &Scene, bar: &ProgressBar) -> Result<()> {
    subject
        .policy
        .begin_episode(&scene.instruction())
        .map_err(as_bad_input)?;
    subject.samples.first_text = subject.policy.text.map_or(Duration::ZERO, |span| span.time);
    let mut done = 0;
    while done < order.warmup {
        let before = done;
        drive(subject, scene, order.warmup - before, |subject, report| {
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
        subject.policy.time_ops(ops);
        subject.policy.begin_episode(instruction)?;
        let Some(span) = subject.policy.text else {
            continue;
        };
        if ops {
            let times = subject.policy.op_times(Role::Text);
            subject.samples.text_ops.run(span.time, times);
        } else {
            subject.samples.text.push(span.time);
        }
    }
    Ok(())
}

/// Runs an episode, or as much of it as `limit` inferences are, in both ways; returns how many inferences that were.
fn episode_twice(
    subject: &mut Subject,
    scene: &Scene,
    limit: usize,
    course: &mut Course,
    bar: &ProgressBar,
) -> Result<usize> {
    let mut inferences = 0;
    subject.policy.time_ops(false);
    drive(subject, scene, limit, |subject, report| {
        subject.samples.tick(report);
        inferences += usize::from(report.inferred);
        bar.inc(u64::from(report.inferred));
    })?;
    if inferences == 0 {
        bail!("the policy was never asked in an episode");
    }
    let fresh = course.ticks.is_empty();
    subject.policy.time_ops(true);
    drive(subject, scene, limit, |subject, report| {
        let end = Instant::now();
        let ops = subject.policy.op_times(Role::Act);
        if report.inferred {
            let whole = Duration::from_micros(report.policy_times.inference_us);
            subject.samples.act_ops.run(whole, ops);
            bar.inc(1);
        }
        if fresh {
            if course.ticks.is_empty() {
                let ops = subject.policy.op_times(Role::Text).to_vec();
                course.text = subject.policy.text.map(|span| (span, ops));
            }
            let act = subject.policy.act.filter(|_| report.inferred);
            course.ticks.push(Tick {
                report: *report,
                end,
                act: act.map(|span| (span, report.policy_times, ops.to_vec())),
            });
        }
    })?;
    subject.policy.time_ops(false);
    Ok(inferences)
}

/// An episode until its end, or until the chunk of the last of `limit` inferences is used up.
fn drive(
    subject: &mut Subject,
    scene: &Scene,
    limit: usize,
    mut see: impl FnMut(&mut Subject, &TickReport),
) -> Result<()> {
    let board = SimBoard::new(scene, SimOptions::default())?;
    let mut rollout =
        Rollout::begin_on(Box::new(board), &mut subject.policy, &scene.instruction())?;
    let execute = subject.policy.chunk_shape().execute.max(1);
    while !rollout.is_over() && rollout.steps() < limit * execute {
        let report = rollout.tick(&mut subject.policy)?;
        see(subject, &report);
    }
    Ok(())
}
