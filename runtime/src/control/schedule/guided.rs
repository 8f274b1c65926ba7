//! Guided real-time chunking: the flow is steered towards the rest of the old chunk (arXiv 2506.07339).

use super::current::Current;
use super::{Accepted, DelayEstimate, Horizon, Scheduler};
use crate::policy::{ActionChunk, Condition, Conditioning};

/// See the module.
#[derive(Debug, Default)]
pub struct Guided(Conditioned);

/// What guided and trained real-time chunking share: a chunk is conditioned on the rest of the one before, and not used where more
/// of that was executed than the condition says.
#[derive(Debug, Default)]
pub(super) struct Conditioned {
    current: Current,
    delay: DelayEstimate,
    execute: usize,
    /// Actions that the chunk under way takes for executed; `None` where it is unconditioned.
    expected: Option<usize>,
}

impl Conditioned {
    pub(super) fn begin(&mut self, horizon: &Horizon<'_>) {
        self.current.begin(horizon.shape);
        self.delay = DelayEstimate::default();
        self.execute = horizon.shape.execute;
        self.expected = None;
    }

    pub(super) fn wants_chunk(&self) -> bool {
        self.current.wants_chunk()
    }

    pub(super) fn ask(&mut self, how: Conditioning, condition: &mut Condition) {
        condition.clear();
        self.expected = None;
        if let Some(rest) = self.current.rest() {
            let dim = condition.rest.dim;
            let left = rest.len() / dim.max(1);
            let delay = self.delay.steps().min(left);
            condition.how = how;
            condition.rest.steps = left;
            condition.rest.data.extend_from_slice(rest);
            condition.delay = delay;
            condition.execute = self.execute.max(delay);
            self.expected = Some(delay);
        }
        self.current.ask();
    }

    pub(super) fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        let taken = self.current.arrived();
        self.delay.took(self.current.ticks());
        if self.expected.is_some_and(|expected| taken > expected) {
            self.current.ask_again();
            return Accepted::TooLate;
        }
        self.current.replace(chunk, taken);
        Accepted::Used
    }

    pub(super) fn next(&mut self, action: &mut [f32]) -> bool {
        self.current.next(action)
    }
}

impl Scheduler for Guided {
    fn begin(&mut self, horizon: &Horizon<'_>) {
        self.0.begin(horizon);
    }

    fn wants_chunk(&self) -> bool {
        self.0.wants_chunk()
    }

    fn ask(&mut self, condition: &mut Condition) {
        self.0.ask(Conditioning::Guided, condition);
    }

    fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        self.0.accept(chunk)
    }

    fn next(&mut self, action: &mut [f32]) -> bool {
        self.0.next(action)
    }
}
