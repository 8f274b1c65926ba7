//! What a policy sees, for calibration and for measuring errors: moments of demonstrations.

use std::collections::VecDeque;
use std::ops::Range;

use anyhow::{Context, Result};
use wink_runtime::camera::Frame;
use wink_runtime::control::PROPRIO_STATE;
use wink_runtime::policy::manifest::Unit;
use wink_runtime::policy::{
    ActionChunk, CameraFrame, Name, Observation, OnnxPolicy, Policy, StageRun, StateVector,
};

use crate::bad_input::{as_bad_input, bad_input};
use crate::cell::CellArm;
use crate::data::Dataset;
use crate::data::walk::Matching;
use crate::frames::dataset::Dataset as Replayed;
use crate::frames::replay::same_bits;
use crate::record::course::{Course, Tasks};
use crate::record::demonstration::{Attempt, Settings};
use crate::record::features::Features;

/// Standard deviation of the expert's disturbance, metres a step: the states around the straight way count too.
const NOISE_M: f64 = 0.0015;
/// Pixels of all moments in memory.
const MOST_BYTES: usize = 4 << 30;

/// Where demonstrations come from.
pub enum Source {
    /// Made on the spot in the cell of an arm; those of the benchmark are 0 to 499 and show train cards only.
    Simulator(CellArm),
    /// Recorded by `wink record` without pictures, and played again.
    Replayed(Box<Replayed>),
    /// Any LeRobotDataset that has the policy's cameras and states.
    Recorded(Box<Dataset>, Matching),
}

/// One moment.
pub struct Moment {
    /// What was asked for.
    pub task: String,
    /// What the policy looks back on, the oldest first; as much as there is of its history.
    before: Vec<Seen>,
    now: Seen,
}

/// What was seen at one tick.
#[derive(Clone)]
struct Seen {
    cameras: Vec<(String, Frame)>,
    states: Vec<State>,
}

#[derive(Clone)]
struct State {
    name: String,
    names: Vec<Name>,
    units: Vec<Unit>,
    values: Vec<f32>,
}

impl Source {
    /// Number of demonstrations; `None` where there is no end of them.
    pub fn demonstrations(&self) -> Option<u64> {
        match self {
            Self::Simulator(_) => None,
            Self::Replayed(dataset) => Some(dataset.episodes.len() as u64),
            Self::Recorded(dataset, _) => Some(dataset.episodes.len() as u64),
        }
    }

    /// Every `every`th moment of the demonstrations in `range`.
    pub fn moments(
        &self,
        range: Range<u64>,
        every: usize,
        mut step: impl FnMut(),
    ) -> Result<Vec<Moment>> {
        let mut moments = Vec::new();
        let mut bytes = 0;
        for number in range {
            let known = moments.len();
            match self {
                Self::Recorded(dataset, matching) => {
                    recorded(dataset, matching, number, every, &mut moments)?;
                }
                Self::Simulator(_) | Self::Replayed(_) => {
                    self.demonstrate(number, every, &mut moments)?;
                }
            }
            bytes += moments[known..].iter().map(Moment::bytes).sum::<usize>();
            if bytes > MOST_BYTES {
                return Err(bad_input(format!(
                    "--every {every}: the pictures of {} moments take more than {} GB of memory; choose a larger one, or fewer --episodes",
                    moments.len(),
                    MOST_BYTES >> 30
                )));
            }
            step();
        }
        Ok(moments)
    }

    fn demonstrate(&self, number: u64, every: usize, moments: &mut Vec<Moment>) -> Result<()> {
        let (settings, seed, attempt, states) = match self {
            Self::Replayed(dataset) => {
                let index = number as usize;
                let episode = &dataset.episodes[index];
                let states = Some(dataset.states(index));
                (dataset.settings, episode.number, episode.attempt, states)
            }
            Self::Simulator(arm) => (on_the_spot(*arm), number, 0, None),
            // Those are read, not demonstrated.
            Self::Recorded(..) => return Ok(()),
        };
        let features = Features::of(settings.arm.setup())?;
        let task = Course::new(settings.arm.setup(), settings.tasks, seed).instruction();
        let mut attempt = Attempt::begin(&settings, None, seed, attempt)?;
        let mut index = 0;
        while attempt.goes_on() {
            let kept = is_kept(index, number, every);
            let mut cameras = Vec::new();
            if kept {
                for (place, name) in features.cameras.iter().enumerate() {
                    let mut frame = Frame::default();
                    attempt.look(place, &mut frame)?;
                    cameras.push(((*name).to_owned(), frame));
                }
            }
            let state = attempt.step()?.map(|(state, _)| state);
            if let Some(states) = states
                && !states
                    .get(index)
                    .zip(state.as_ref())
                    .is_some_and(|(was, state)| same_bits(was, state))
            {
                return Err(bad_input(format!(
                    "--data: demonstration {seed} played again is not what was recorded; record the dataset again with this version"
                )));
            }
            let Some(state) = state else { break };
            if kept {
                let state = State {
                    name: PROPRIO_STATE.to_owned(),
                    names: features.state.iter().cloned().map(Name::from).collect(),
                    units: features.state_units.clone(),
                    values: state,
                };
                moments.push(Moment {
                    task: task.clone(),
                    before: Vec::new(),
                    now: Seen {
                        cameras,
                        states: vec![state],
                    },
                });
            }
            index += 1;
        }
        Ok(())
    }
}

fn on_the_spot(arm: CellArm) -> Settings {
    Settings {
        arm,
        noise_m: NOISE_M,
        tasks: Tasks::Emoji,
        tail: 0,
        randomise: false,
        images: false,
        frame: None,
    }
}

/// Demonstrations do not all begin at the same phase, so that every part of the way is seen.
fn is_kept(frame: usize, demonstration: u64, every: usize) -> bool {
    (frame + demonstration as usize).is_multiple_of(every)
}

fn recorded(
    dataset: &Dataset,
    matching: &Matching,
    number: u64,
    every: usize,
    moments: &mut Vec<Moment>,
) -> Result<()> {
    let episode = usize::try_from(number)?;
    let length = dataset
        .episodes
        .get(episode)
        .map_or(0, |episode| episode.length);
    let kept: Vec<usize> = (0..length)
        .filter(|frame| is_kept(*frame, number, every))
        .collect();
    let mut before: VecDeque<(usize, Seen)> = VecDeque::new();
    matching
        .walk(dataset, episode, &kept, |moment| {
            let now = Seen::of(&moment.observation);
            let first = (moment.frame + 1).saturating_sub(matching.history());
            before.retain(|(frame, _)| *frame >= first);
            if moment.wanted {
                moments.push(Moment {
                    task: moment.task.to_owned(),
                    before: before.iter().map(|(_, seen)| seen.clone()).collect(),
                    now: now.clone(),
                });
            }
            if matching.history() > 1 {
                before.push_back((moment.frame, now));
            }
            Ok(())
        })
        .context("--data")
}

impl Moment {
    /// Begins an episode with the moment's task, and shows the policy its history.
    pub fn begin(&self, policy: &mut OnnxPolicy) -> Result<()> {
        policy.begin_episode(&self.task).map_err(unfit)?;
        for seen in &self.before {
            seen.observe(|observation| policy.see(observation).map_err(unfit))?;
        }
        Ok(())
    }

    /// [`Moment::begin`] and [`Moment::act`], while `watch` sees every run of a graph.
    pub fn watched(
        &self,
        policy: &mut OnnxPolicy,
        out: &mut ActionChunk,
        watch: &mut dyn FnMut(&StageRun<'_>),
    ) -> Result<()> {
        policy.begin_watched(&self.task, watch).map_err(unfit)?;
        for seen in &self.before {
            seen.observe(|observation| policy.see(observation).map_err(unfit))?;
        }
        self.now
            .observe(|observation| policy.act_watched(observation, out, watch).map_err(unfit))
    }

    /// Asks a policy that has begun for its actions.
    pub fn act(&self, policy: &mut OnnxPolicy, out: &mut ActionChunk) -> Result<()> {
        self.now
            .observe(|observation| policy.act(observation, out).map_err(unfit))
    }

    fn bytes(&self) -> usize {
        let seen = self.before.iter().chain([&self.now]);
        let frames = seen.flat_map(|seen| &seen.cameras);
        frames.map(|(_, frame)| frame.rgb.len()).sum()
    }
}

fn unfit(error: wink_runtime::policy::PolicyError) -> anyhow::Error {
    as_bad_input(error).context("the demonstrations do not fit this policy")
}

impl Seen {
    fn of(observation: &Observation<'_>) -> Self {
        let cameras = observation.cameras.iter();
        let states = observation.states.iter().map(|state| State {
            name: state.name.to_owned(),
            names: state.names.to_vec(),
            units: state.units.to_vec(),
            values: state.values.to_vec(),
        });
        Self {
            cameras: cameras
                .map(|camera| (camera.name.to_owned(), camera.frame.clone()))
                .collect(),
            states: states.collect(),
        }
    }

    fn observe<T>(&self, show: impl FnOnce(&Observation<'_>) -> T) -> T {
        let cameras: Vec<CameraFrame<'_>> = self
            .cameras
            .iter()
            .map(|(name, frame)| CameraFrame { name, frame })
            .collect();
        let states: Vec<StateVector<'_>> = self
            .states
            .iter()
            .map(|state| StateVector {
                name: &state.name,
                names: &state.names,
                units: &state.units,
                values: &state.values,
            })
            .collect();
        show(&Observation {
            cameras: &cameras,
            states: &states,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wink_runtime::policy::Package;

    #[test]
    fn moments_of_each_cell_are_what_its_shipped_policy_sees() {
        for (arm, package) in [(CellArm::Wx250s, "wink-s"), (CellArm::So101, "wink-so101")] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
            let package = Package::open(&folder.join(package)).unwrap();
            let source = Source::Simulator(arm);
            let moments = source.moments(0..1, 60, || {}).unwrap();
            assert!(!moments.is_empty());
            for moment in moments {
                let seen = moment.now.observe(|seen| seen.check(package.manifest()));
                seen.unwrap();
            }
        }
    }
}
