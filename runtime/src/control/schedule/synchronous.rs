//! Synchronous: the arm holds its target while inference runs, then executes s actions.

use super::{Accepted, Horizon, Scheduler};
use crate::policy::{ActionChunk, Condition};

/// See the module.
#[derive(Debug, Default)]
pub struct Synchronous {
    chunk: ActionChunk,
    execute: usize,
    due: Option<usize>,
    under_way: bool,
}

impl Scheduler for Synchronous {
    fn begin(&mut self, horizon: &Horizon<'_>) {
        self.chunk.reset(horizon.shape.steps, horizon.shape.dim);
        self.execute = horizon.shape.execute;
        self.due = None;
        self.under_way = false;
    }

    fn wants_chunk(&self) -> bool {
        self.due.is_none() && !self.under_way
    }

    fn ask(&mut self, condition: &mut Condition) {
        self.under_way = true;
        condition.clear();
    }

    fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        self.under_way = false;
        self.chunk.data.copy_from_slice(&chunk.data);
        self.due = Some(0);
        Accepted::Used
    }

    fn next(&mut self, action: &mut [f32]) -> bool {
        let due = self.due.and_then(|due| Some((due, self.chunk.step(due)?)));
        let Some((due, next)) = due else {
            return false;
        };
        action.copy_from_slice(next);
        self.due = Some(due + 1).filter(|&next| next < self.execute);
        true
    }
}
