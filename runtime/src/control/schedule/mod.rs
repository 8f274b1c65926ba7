//! Schedulers turn the chunks of a policy into one action a tick while inference takes time.
//!
//! Pure logic in ticks: H actions in a chunk, s executed from one inference to the next, d executed while one runs. A
//! scheduler says when to ask, what the inference is conditioned on, and what is due at each tick. No clock, no thread.

mod asynchronous;
mod current;
mod delay;
mod ensembling;
mod guided;
mod synchronous;
#[cfg(test)]
mod tests;
mod trained;

use std::fmt;
use std::str::FromStr;

pub use delay::{DelayEstimate, delay_steps};

use crate::policy::{ActionChunk, ChunkShape, Condition, Conditioning};

/// What a number of an action is measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// From a fixed zero: the command itself.
    Absolute,
    /// From the command before: a change.
    Relative,
    /// From a fixed zero, of a gripper: a grip or a release, between which there is no way to fade along.
    Grip,
}

/// What a scheduler works on.
#[derive(Debug, Clone, Copy)]
pub struct Horizon<'a> {
    /// H, s and the numbers of an action.
    pub shape: ChunkShape,
    /// Of each number of an action.
    pub motions: &'a [Motion],
    /// From tick to tick.
    pub period_us: u64,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Its actions are executed.
    Used,
    /// It came later than what it was conditioned on, and is not used.
    TooLate,
}

/// Turns chunks into actions. A tick is: accept the chunk that has come, ask where one is wanted, take the next action.
pub trait Scheduler: fmt::Debug + Send {
    /// Begins an episode: forgets all chunks. Room for later ones is made here.
    fn begin(&mut self, horizon: &Horizon<'_>);

    /// Whether an inference shall begin at this tick.
    fn wants_chunk(&self) -> bool;

    /// An inference begins: writes what it is conditioned on.
    fn ask(&mut self, condition: &mut Condition);

    /// The chunk of the inference under way has come. Its values are finite.
    fn accept(&mut self, chunk: &ActionChunk) -> Accepted;

    /// Writes the action of this tick. `false`: there is none, and the arm holds its target.
    fn next(&mut self, action: &mut [f32]) -> bool;
}

/// The schedulers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub enum SchedulerKind {
    /// The arm holds its target while inference runs.
    #[default]
    Synchronous,
    /// The old chunk goes on while inference runs; the new one replaces it without alignment.
    Naive,
    /// The old chunk goes on while inference runs; the new one is aligned with it.
    Asynchronous,
    /// All chunks that cover a tick are averaged.
    Ensembling,
    /// A flow is steered towards the old chunk.
    Guided,
    /// A flow completes the first actions of the old chunk.
    Trained,
}

impl SchedulerKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Synchronous,
        Self::Naive,
        Self::Asynchronous,
        Self::Ensembling,
        Self::Guided,
        Self::Trained,
    ];

    /// The name on command lines and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synchronous => "synchronous",
            Self::Naive => "naive",
            Self::Asynchronous => "asynchronous",
            Self::Ensembling => "ensembling",
            Self::Guided => "guided",
            Self::Trained => "trained",
        }
    }

    /// What a policy must be able to do for it.
    #[must_use]
    pub const fn conditioning(self) -> Conditioning {
        match self {
            Self::Guided => Conditioning::Guided,
            Self::Trained => Conditioning::Prefix,
            _ => Conditioning::None,
        }
    }

    /// A scheduler of this kind.
    #[must_use]
    pub fn scheduler(self) -> Box<dyn Scheduler> {
        match self {
            Self::Synchronous => Box::<synchronous::Synchronous>::default(),
            Self::Naive => Box::new(asynchronous::Asynchronous::naive()),
            Self::Asynchronous => Box::new(asynchronous::Asynchronous::aligned()),
            Self::Ensembling => Box::<ensembling::Ensembling>::default(),
            Self::Guided => Box::<guided::Guided>::default(),
            Self::Trained => Box::<trained::Trained>::default(),
        }
    }

    /// Whether chunks of this shape last while an inference of `delay` steps runs: d <= H - s, and s is at least d.
    ///
    /// # Errors
    /// With the numbers where they do not.
    pub fn check_delay(self, shape: ChunkShape, delay: usize) -> Result<(), ScheduleError> {
        let execute = match self {
            // The arm waits as long as it takes.
            Self::Synchronous => return Ok(()),
            // A new inference begins as soon as the last has ended.
            Self::Ensembling => delay.max(1),
            _ => shape.execute.max(delay),
        };
        if delay + execute <= shape.steps {
            return Ok(());
        }
        Err(ScheduleError::TooLong {
            scheduler: self,
            delay,
            steps: shape.steps,
            execute,
            most: shape.steps.saturating_sub(execute),
        })
    }
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchedulerKind {
    type Err = ScheduleError;

    fn from_str(name: &str) -> Result<Self, ScheduleError> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.name() == name)
            .ok_or_else(|| ScheduleError::Unknown {
                name: name.chars().take(40).collect(),
            })
    }
}

/// Why a scheduler cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// There is none of this name.
    #[error(
        "there is no scheduler \"{}\"; there are {}",
        name.escape_debug(),
        SchedulerKind::ALL.map(SchedulerKind::name).join(", ")
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// The chunk ends before the next one is there.
    #[error(
        "{scheduler}: inference takes d = {delay} steps, more than H - s = {steps} - {execute} = {most}: the chunk ends before the next one \
         is there"
    )]
    TooLong {
        /// The scheduler.
        scheduler: SchedulerKind,
        /// d.
        delay: usize,
        /// H.
        steps: usize,
        /// s.
        execute: usize,
        /// H - s.
        most: usize,
    },
}
