//! Trained real-time chunking: the actions that are executed while inference runs are given to the flow, which completes them
//! (arXiv 2512.05964).

use super::guided::Conditioned;
use super::{Accepted, Horizon, Scheduler};
use crate::policy::{ActionChunk, Condition, Conditioning};

/// See the module.
#[derive(Debug, Default)]
pub struct Trained(Conditioned);

impl Scheduler for Trained {
    fn begin(&mut self, horizon: &Horizon<'_>) {
        self.0.begin(horizon);
    }

    fn wants_chunk(&self) -> bool {
        self.0.wants_chunk()
    }

    fn ask(&mut self, condition: &mut Condition) {
        self.0.ask(Conditioning::Prefix, condition);
    }

    fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        self.0.accept(chunk)
    }

    fn next(&mut self, action: &mut [f32]) -> bool {
        self.0.next(action)
    }
}
