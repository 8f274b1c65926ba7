//! A policy's actions on a recording, compared with the recorded ones.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use wink_runtime::control::{ActionSpace, StateReader, action_space};
use wink_runtime::policy::manifest::{ActionSpace as Space, Reference};
use wink_runtime::policy::{ActionChunk, OnnxPolicy, Policy};

use super::arm::RecordedArm;
use super::observed::Seen;
use crate::bad_input::{as_bad_input, bad_input};
use crate::progress;
use crate::recording::{Chunk, Entry, Event, Facts, Reader, Tick};

/// Ticks at which a policy with a history looked and that no chunk was made of yet.
const MOST_WAITING: usize = 1024;

/// How far the actions of a policy are from the recorded ones.
#[derive(Debug)]
pub struct Comparison {
    /// Names of the numbers of an action.
    pub names: Vec<String>,
    /// One for each of them.
    pub numbers: Vec<Difference>,
    /// Chunks of the policy that were compared.
    pub chunks: u64,
    /// Recorded chunks that could not be: frames were not recorded, or came too late.
    pub skipped: u64,
    /// With what: chunks of a policy, or the commands of a person.
    pub against: Against,
    /// Why the recording ends before its end was written, where it does.
    pub cut_off: Option<String>,
}

/// What the actions of a policy are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The chunks that were recorded.
    Chunks,
    /// The commands that were sent at the ticks that an action is for.
    Commands,
}

/// How far one number is off.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Difference {
    /// The largest, without its sign.
    pub largest: f64,
    /// The sum of all.
    #[serde(skip)]
    sum: f64,
    /// How many there are.
    pub count: u64,
}

impl Difference {
    fn add(&mut self, one: f32, other: f32) {
        let off = (f64::from(one) - f64::from(other)).abs();
        self.largest = self.largest.max(off);
        self.sum += off;
        self.count += 1;
    }

    /// The mean, without signs.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

impl Comparison {
    /// The largest difference of all numbers.
    pub fn largest(&self) -> f64 {
        self.numbers
            .iter()
            .fold(0.0, |most, one| most.max(one.largest))
    }

    /// For programs.
    pub fn json(&self, file: &Path, policy: &str, tolerance: Option<f64>, within: bool) -> Value {
        let numbers = self.names.iter().zip(&self.numbers).map(|(name, number)| {
            json!({"name": name, "largest": number.largest, "mean": number.mean(), "count": number.count})
        });
        json!({
            "file": file, "policy": policy, "against": self.against, "chunks": self.chunks, "skipped": self.skipped,
            "cut_off": self.cut_off, "numbers": numbers.collect::<Vec<_>>(), "largest": self.largest(),
            "tolerance": tolerance, "within": within,
        })
    }
}

/// Feeds a recording to a policy.
///
/// # Errors
/// When the policy's cameras, joints or actions are not those of the recording, it refuses an observation, or nothing can be
/// compared.
pub fn compare<R: Read>(
    mut reader: Reader<R>,
    recorded: RecordedArm,
    policy: OnnxPolicy,
    seed: u64,
    instruction: Option<&str>,
) -> Result<Comparison> {
    let facts = reader.facts().clone();
    let mut replay = Replay::new(&facts, recorded, policy, seed)?;
    if let Some(text) = instruction {
        replay.begin(text)?;
    }
    let bar = progress::waiting("replaying");
    for entry in &mut reader {
        match entry? {
            Entry::Picture(picture) => replay.seen.keep(picture),
            Entry::Event {
                event: Event::Instruction { text },
                ..
            } if instruction.is_none() => replay.begin(&text)?,
            Entry::Event { .. } => {}
            Entry::Tick(tick) => replay.tick(*tick)?,
            Entry::Chunk(chunk) => replay.chunk(&chunk)?,
        }
    }
    bar.finish_and_clear();
    let cut_off = reader.cut_off().map(str::to_owned);
    replay.end(cut_off)
}

struct Replay {
    policy: OnnxPolicy,
    seen: Seen,
    states: StateReader,
    space: Box<dyn ActionSpace>,
    names: Vec<String>,
    begun: bool,
    actions: ActionChunk,
    numbers: Vec<Difference>,
    chunks: u64,
    skipped: u64,
    against: Against,
    /// Looks of a policy with a history that it was not shown yet: measured joints and frame times.
    waiting: VecDeque<Tick>,
    /// Actions of the policy that commands are still to come for, and how many ticks ago the first of them was due.
    due: Option<usize>,
}

impl Replay {
    fn new(
        facts: &Facts,
        recorded: RecordedArm,
        mut policy: OnnxPolicy,
        seed: u64,
    ) -> Result<Self> {
        let manifest = policy.manifest().clone();
        let against = match &facts.policy {
            Some(_) => Against::Chunks,
            None => Against::Commands,
        };
        let RecordedArm { arm, config } = recorded;
        let config = config.with_context(|| {
            format!(
                "the arm {} stands nowhere: there is no cell of its name",
                arm.name()
            )
        });
        let config = config.map_err(as_bad_input)?;
        let told = |error| as_bad_input(anyhow::Error::from(error).context("--policy"));
        let states = StateReader::new(&arm, &config, Some(&manifest.observations.states));
        let space = action_space(&arm, &config, Some(&manifest.action)).map_err(told)?;
        let names = space.names().to_vec();
        let of_recording = match &facts.policy {
            Some(policy) => &policy.actions,
            None => &facts.lerobot_names,
        };
        if *of_recording != names {
            return Err(bad_input(format!(
                "the policy's actions are {}, the recorded ones {}: they cannot be compared",
                names.join(", "),
                of_recording.join(", ")
            )));
        }
        let positions = manifest.action.space == Space::JointPosition;
        let absolute = manifest.action.reference == Reference::Absolute;
        if against == Against::Commands
            && (!positions || manifest.action.units != facts.lerobot_units)
        {
            return Err(bad_input(format!(
                "a person drove in this recording: its commands are joint positions in LeRobot's units, the policy's actions are not{}",
                if absolute { "" } else { " (relative)" }
            )));
        }
        policy.seed(seed);
        Ok(Self {
            seen: Seen::of(&manifest, facts)?,
            states: states.map_err(told)?,
            space,
            numbers: vec![Difference::default(); names.len()],
            names,
            begun: false,
            actions: ActionChunk::default(),
            chunks: 0,
            skipped: 0,
            against,
            waiting: VecDeque::new(),
            due: None,
            policy,
        })
    }

    fn begin(&mut self, instruction: &str) -> Result<()> {
        let begun = self.policy.begin_episode(instruction);
        begun.map_err(|error| as_bad_input(anyhow::Error::from(error).context("--policy")))?;
        self.begun = true;
        self.waiting.clear();
        self.due = None;
        Ok(())
    }

    fn act(&mut self, measured: &[f64]) -> Result<()> {
        if !self.begun {
            return Err(bad_input(
                "the recording has no instruction before its first actions: give one with --instruction",
            ));
        }
        let Self {
            policy,
            seen,
            states,
            actions,
            ..
        } = self;
        let acted = seen.observe(states, measured, |observation| {
            policy.act(observation, actions)
        });
        acted.map_err(|error| as_bad_input(anyhow::Error::from(error).context("--policy")))?;
        self.space.ground(measured, &mut self.actions.data);
        self.chunks += 1;
        Ok(())
    }

    /// A recorded chunk: the policy makes its own of the same observation.
    fn chunk(&mut self, recorded: &Chunk) -> Result<()> {
        if self.against != Against::Chunks {
            return Ok(());
        }
        while let Some(tick) = self.waiting.pop_front() {
            if tick.start_us >= recorded.observed_us {
                self.waiting.push_front(tick);
                break;
            }
            self.show(&tick)?;
        }
        if !self.seen.look(Some(&recorded.frames_us))? {
            self.skipped += 1;
            return Ok(());
        }
        self.act(&recorded.measured)?;
        let rows = recorded.data.chunks_exact(recorded.dim.max(1));
        for (row, own) in rows.zip(self.actions.data.chunks_exact(self.actions.dim.max(1))) {
            for (number, (own, recorded)) in self.numbers.iter_mut().zip(own.iter().zip(row)) {
                number.add(*own, *recorded);
            }
        }
        Ok(())
    }

    fn show(&mut self, tick: &Tick) -> Result<()> {
        let Self {
            policy,
            seen,
            states,
            ..
        } = self;
        let shown = seen.observe(states, &tick.measured, |observation| {
            policy.see(observation)
        });
        shown.map_err(|error| as_bad_input(anyhow::Error::from(error).context("--policy")))
    }

    /// A tick: a look of a policy with a history, or a command to compare an action with.
    fn tick(&mut self, tick: Tick) -> Result<()> {
        match self.against {
            Against::Chunks if self.policy.keeps_history() && tick.captured && !tick.inferred => {
                if self.waiting.len() < MOST_WAITING {
                    self.waiting.push_back(tick);
                }
                Ok(())
            }
            Against::Chunks => Ok(()),
            Against::Commands => self.command(&tick),
        }
    }

    fn command(&mut self, tick: &Tick) -> Result<()> {
        if self.due.is_none() {
            if !self.seen.all() {
                return Ok(());
            }
            self.seen.look(None)?;
            self.act(&tick.measured)?;
            self.due = Some(0);
        }
        let step = self.due.unwrap_or_default();
        if let Some(own) = self.actions.step(step) {
            for (number, (own, sent)) in self.numbers.iter_mut().zip(own.iter().zip(&tick.command))
            {
                number.add(*own, *sent);
            }
        }
        let execute = self.policy.chunk_shape().execute;
        self.due = (step + 1 < execute).then_some(step + 1);
        Ok(())
    }

    fn end(self, cut_off: Option<String>) -> Result<Comparison> {
        if self.chunks == 0 {
            return Err(bad_input(match (&cut_off, self.skipped) {
                (Some(why), _) => {
                    format!("the recording is cut off before its first actions: {why}")
                }
                (None, 0) => "the recording has no actions".to_owned(),
                (None, skipped) => {
                    format!(
                        "none of the recording's {skipped} chunks has its frames: they were not recorded"
                    )
                }
            }));
        }
        Ok(Comparison {
            names: self.names,
            numbers: self.numbers,
            chunks: self.chunks,
            skipped: self.skipped,
            against: self.against,
            cut_off,
        })
    }
}
