//! Inferences: what goes to the policy's worker, and the chunks that come from it.

use std::time::Duration;

use super::worker::{Gone, Job, Task};
use super::{RuntimeError, Session};
use crate::arm::JointValues;
use crate::control::check_chunk;
use crate::control::schedule::Accepted;
use crate::policy::PolicyTimes;

impl From<Gone> for RuntimeError {
    fn from(_: Gone) -> Self {
        Self::WorkerGone
    }
}

/// An inference under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnderWay {
    /// When its chunk is there, where that is charged.
    visible_us: Option<u64>,
    /// The joints that the observation showed.
    measured: JointValues,
}

/// A chunk that has come.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    pub(super) arrived: bool,
    pub(super) took: Duration,
    pub(super) times: PolicyTimes,
}

impl Session {
    /// Hands what was observed to the worker and asks for a chunk, which is there at `visible_us` where that is charged.
    pub(super) fn ask(&mut self, visible_us: Option<u64>) -> Result<(), RuntimeError> {
        // What a policy with a history is being shown comes first.
        self.settle()?;
        let measured = self.observer.newest().unwrap_or_default();
        let (condition, observer) = (&mut self.condition, &mut self.observer);
        self.worker.ask(|job| {
            job.task = Task::Act;
            std::mem::swap(&mut job.condition, condition);
            observer.hand_over(job);
        })?;
        self.under_way = Some(UnderWay {
            visible_us,
            measured,
        });
        Ok(())
    }

    /// Shows a policy with a history what was observed, if it is not at work.
    pub(super) fn show(&mut self) -> Result<(), RuntimeError> {
        if self.under_way.is_some() {
            return Ok(());
        }
        self.settle()?;
        let observer = &mut self.observer;
        self.worker.ask(|job| {
            job.task = Task::See;
            observer.hand_over(job);
        })?;
        Ok(())
    }

    /// Waits for the worker to have seen what it was shown.
    pub(super) fn settle(&mut self) -> Result<(), RuntimeError> {
        let observer = &mut self.observer;
        let seen = self.worker.wait(|job| {
            observer.take_back(job);
            job.outcome.take()
        })?;
        seen.flatten().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Throws away what the policy is thinking about, and what was observed for it. Whether it has come to its end: where that costs
    /// none of the board's time, it is waited for.
    pub(super) fn forget_chunk(&mut self) -> Result<bool, RuntimeError> {
        let Some(UnderWay { visible_us, .. }) = self.under_way else {
            self.settle()?;
            self.observer.forget();
            return Ok(true);
        };
        let (observer, condition) = (&mut self.observer, &mut self.condition);
        let take = |job: &mut Job| {
            observer.take_back(job);
            std::mem::swap(&mut job.condition, condition);
            job.outcome.take()
        };
        let done = match visible_us {
            Some(_) => self.worker.wait(take)?,
            None => self.worker.collect(take)?,
        };
        let Some(refused) = done else {
            return Ok(false);
        };
        self.under_way = None;
        self.observer.forget();
        refused.map_or(Ok(true), |error| Err(error.into()))
    }

    /// Takes the chunk that is there, if one is.
    pub(super) fn collect(&mut self, arrival: &mut Arrival) -> Result<(), RuntimeError> {
        let Some(UnderWay {
            visible_us,
            measured,
        }) = self.under_way
        else {
            return Ok(());
        };
        let Self {
            worker,
            observer,
            chunk,
            condition,
            ..
        } = self;
        let take = |job: &mut Job| {
            observer.take_back(job);
            std::mem::swap(&mut job.chunk, chunk);
            std::mem::swap(&mut job.condition, condition);
            (job.outcome.take(), job.took, job.times)
        };
        let done = match visible_us {
            Some(time_us) if time_us > self.rig.clock.now_us() => None,
            Some(_) => worker.wait(take)?,
            None => worker.collect(take)?,
        };
        let Some((refused, took, times)) = done else {
            return Ok(());
        };
        self.under_way = None;
        if let Some(error) = refused {
            return Err(error.into());
        }
        check_chunk(&self.chunk, self.facts.shape, self.space.names())?;
        self.space.ground(&measured, &mut self.chunk.data);
        if self.scheduler.accept(&self.chunk) == Accepted::TooLate {
            self.late.chunks += 1;
        }
        *arrival = Arrival {
            arrived: true,
            took,
            times,
        };
        Ok(())
    }
}
