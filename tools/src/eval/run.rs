//! Runs the episodes of an evaluation, side by side, and keeps what came of them in order.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::Result;
use wink_runtime::camera::Frame;
use wink_runtime::session::TickReport;
use wink_sim::outcome::Failure;
use wink_sim::{CardSpeed, Scene, Setup, SimOptions, emoji};

use super::board::{BoardChoice, LinkStats};
use super::episode::{CardName, Episode, Timing};
use super::instruction::instruct;
use super::motion::Smoothness;
use super::picture::{EVERY_STEPS, small_jpeg};
use super::plan::Group;
use super::policy::{Choice, Pilots};
use super::shard::Shard;
use super::timing::Plan;
use crate::ordered::for_each_ordered;
use crate::progress;
use crate::rollout::Rollout;

/// Beyond the first few of a group, this many of each ending keep their pictures.
const PICTURED_OF_AN_ENDING: usize = 10;

/// What to run.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Splits and controls.
    pub groups: &'a [Group],
    /// Episodes in each.
    pub episodes: usize,
    /// Seed of the first episode of each.
    pub seed: u64,
    /// What they run on.
    pub board: BoardChoice,
    /// The cell that they are in.
    pub setup: &'static Setup,
    /// How fast the cards move.
    pub card_speed: CardSpeed,
    /// What happens while inference runs, and how long it does.
    pub timing: &'a Plan,
    /// Threads.
    pub jobs: usize,
    /// Take pictures for the report, and keep those of this many episodes of each group and of some beyond.
    pub pictures: Option<usize>,
    /// Which of the episodes.
    pub shard: Shard,
}

impl Order<'_> {
    /// Episodes of all groups.
    pub fn total(&self) -> usize {
        self.groups.len() * self.episodes
    }

    /// The group, the place in it and the scene of the shard's piece of work `place`.
    fn piece(&self, place: usize) -> (Group, usize, Scene) {
        let index = self.shard.piece(place);
        let group = self.groups[index / self.episodes];
        let place = index % self.episodes;
        (
            group,
            place,
            Scene::on(self.setup, group.split, self.seed + place as u64),
        )
    }
}

/// The shard's episodes, group by group. Only their timing depends on how many run side by side.
pub fn run(order: &Order<'_>, choice: &Choice) -> Result<Vec<Episode>> {
    let total = order.shard.size(order.total());
    for index in 0..total {
        let (group, _, scene) = order.piece(index);
        choice.check_instruction(&instruct(&scene, group.control).text)?;
    }
    let bar = progress::bar(total as u64, "episodes");
    let mut done: Vec<Episode> = Vec::with_capacity(total);
    for_each_ordered(
        (0..order.jobs.clamp(1, total))
            .map(|_| (choice.pilots(), Frame::default()))
            .collect(),
        total,
        |(pilots, frame), index| {
            let (group, place, scene) = order.piece(index);
            let camera = order.pictures.is_some().then_some(frame);
            run_one(pilots, order, (group, place), &scene, camera)
        },
        |_, mut episode| {
            if !keeps_pictures(&episode, &done, order.pictures.unwrap_or(0)) {
                episode.strip.clear();
            }
            done.push(episode);
            bar.inc(1);
            bar.set_message(tally(&done));
            Ok(ControlFlow::Continue(()))
        },
    )?;
    bar.finish_and_clear();
    Ok(done)
}

/// Drops the pictures that a run of all these episodes, which are in order, would not have kept. Each part of the run has kept
/// at least those that the whole keeps.
pub fn drop_pictures(episodes: &mut [Episode], first: usize) {
    for index in 0..episodes.len() {
        let (done, rest) = episodes.split_at_mut(index);
        if let Some(episode) = rest.first_mut()
            && !keeps_pictures(episode, done, first)
        {
            episode.strip.clear();
        }
    }
}

/// The first `first` episodes of a group keep their pictures, and beyond them some of each ending, so that rare failures are seen.
fn keeps_pictures(episode: &Episode, done: &[Episode], first: usize) -> bool {
    let ending = |episode: &Episode| (episode.success, episode.executed());
    let alike = done
        .iter()
        .rev()
        .take_while(|other| other.group == episode.group && other.index >= first);
    episode.index < first
        || alike
            .filter(|other| ending(other) == ending(episode) && !other.strip.is_empty())
            .count()
            < PICTURED_OF_AN_ENDING
}

/// The running figures of the group that is being run.
fn tally(done: &[Episode]) -> String {
    let Some(last) = done.last() else {
        return String::new();
    };
    let group = || {
        done.iter()
            .rev()
            .take_while(|episode| episode.group == last.group)
    };
    let succeeded = group().filter(|episode| episode.success).count();
    format!(
        "{}: {succeeded} of {} placed right",
        last.group.key(),
        group().count()
    )
}

fn run_one(
    pilots: &Pilots,
    order: &Order<'_>,
    (group, index): (Group, usize),
    scene: &Scene,
    mut camera: Option<&mut Frame>,
) -> Result<Episode> {
    let told = instruct(scene, group.control);
    let options = SimOptions {
        card_speed: order.card_speed,
        ..SimOptions::default()
    };
    let board = order.board.lay(scene, options)?;
    let timing_of = order.timing.of_episode(scene.seed);
    let mut rollout = Rollout::begin_on(board, pilots.of(scene), &told.text, timing_of)?;
    let mut path = Smoothness::default();
    let mut timing = Timing::default();
    let mut strip = Vec::new();
    let mut look = |rollout: &mut Rollout| -> Result<()> {
        if let Some(frame) = camera.as_deref_mut() {
            rollout.look_through(0, frame)?;
            strip.push(small_jpeg(frame)?);
        }
        Ok(())
    };
    while !rollout.is_over() {
        if rollout.steps().is_multiple_of(EVERY_STEPS) {
            look(&mut rollout)?;
        }
        let Some(report) = rollout.tick()? else {
            break;
        };
        record(&mut timing, &report);
        let [x, y, z, ..] = report.proprio;
        path.add([x, y, z]);
    }
    look(&mut rollout)?;

    let outcome = rollout.outcome();
    let held = rollout.held().map(str::to_owned);
    // Wherever the cube lies, an arm that had to be stopped has not done its task.
    let failure = match held {
        Some(_) => Some(Failure::Held),
        None => outcome.failure(told.judged),
    };
    Ok(Episode {
        group,
        index,
        seed: scene.seed,
        cards: scene.cards.map(|card| card_name(card.emoji)),
        target: scene.target,
        judged: told.judged,
        instruction: told.text,
        placed_on: outcome.placed_on,
        executed_on: outcome.executed().filter(|_| held.is_none()),
        success: failure.is_none(),
        failure,
        held,
        ever_grasped: outcome.ever_grasped,
        cube: outcome.cube_m,
        steps: rollout.steps(),
        state_hash: rollout.state_hash(),
        seconds: rollout.steps() as f64 * rollout.period_us() as f64 * 1e-6,
        jerk: path.jerk(rollout.period_us()),
        late: (*rollout.late()).into(),
        link: LinkStats::of(rollout.client()),
        timing,
        strip,
    })
}

fn record(timing: &mut Timing, report: &TickReport) {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let times = &report.times;
    if report.arrived {
        timing.policy_us.push(us(times.policy));
    }
    timing.world_us.push(us(times.capture + times.wait));
    timing.tick_us.push(us(times.work + times.wait));
}

fn card_name(index: usize) -> CardName {
    let text = |value: &dyn Fn(&emoji::Emoji) -> String| {
        emoji::all().get(index).map(value).unwrap_or_default()
    };
    CardName {
        label: text(&|emoji| emoji.label.to_owned()),
        glyph: text(&|emoji| emoji.ch.to_owned()),
        code: text(&|emoji| emoji.code.to_owned()),
    }
}
