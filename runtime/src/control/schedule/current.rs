//! The chunk that is being executed.

use crate::policy::{ActionChunk, ChunkShape};

/// A chunk, the action of it that is due, and what has been executed since the last inference began.
#[derive(Debug, Default)]
pub(super) struct Current {
    chunk: ActionChunk,
    /// `None` before the first chunk.
    due: Option<usize>,
    taken: usize,
    /// Ticks since then, those at which the arm held its target among them.
    ticks: usize,
    /// Sum of the actions taken, number by number.
    moved: Vec<f32>,
    /// The action taken last.
    last: Vec<f32>,
    under_way: bool,
    execute: usize,
}

impl Current {
    pub(super) fn begin(&mut self, shape: ChunkShape) {
        self.chunk.reset(shape.steps, shape.dim);
        self.due = None;
        (self.taken, self.ticks) = (0, 0);
        self.under_way = false;
        self.execute = shape.execute;
        for sums in [&mut self.moved, &mut self.last] {
            sums.clear();
            sums.resize(shape.dim, 0.0);
        }
    }

    /// The actions that are left, the one due first; `None` where there are none.
    pub(super) fn rest(&self) -> Option<&[f32]> {
        let due = self.due.filter(|&due| due < self.chunk.steps)?;
        self.chunk.data.get(due * self.chunk.dim..)
    }

    /// Whether s actions were executed since the last inference began, or none is left, and no inference is under way.
    pub(super) fn wants_chunk(&self) -> bool {
        !self.under_way && (self.taken >= self.execute || self.rest().is_none())
    }

    /// An inference begins.
    pub(super) fn ask(&mut self) {
        self.under_way = true;
        (self.taken, self.ticks) = (0, 0);
        self.moved.fill(0.0);
    }

    /// The inference is over: how many actions were executed meanwhile.
    pub(super) fn arrived(&mut self) -> usize {
        self.under_way = false;
        self.taken
    }

    /// How many ticks went by since the last inference began.
    pub(super) fn ticks(&self) -> usize {
        self.ticks
    }

    /// The chunk that arrived is not used: another one is wanted now.
    pub(super) fn ask_again(&mut self) {
        self.taken = self.execute;
    }

    /// Goes on with another chunk, of which the first `taken` actions are not executed any more.
    pub(super) fn replace(&mut self, chunk: &ActionChunk, taken: usize) {
        self.chunk.data.copy_from_slice(&chunk.data);
        self.due = Some(taken);
    }

    /// Whether there was a chunk before.
    pub(super) fn has_begun(&self) -> bool {
        self.due.is_some()
    }

    /// [`replace`](Self::replace), after which `align` changes the chunk: it is given what the old chunk commands now, or did last,
    /// and the sum of the actions taken since the inference began.
    pub(super) fn replace_aligned(
        &mut self,
        chunk: &ActionChunk,
        taken: usize,
        align: impl FnOnce(&mut ActionChunk, &[f32], &[f32]),
    ) {
        let due = self.due.and_then(|due| self.chunk.step(due));
        if let Some(command) = due {
            self.last.copy_from_slice(command);
        }
        self.replace(chunk, taken);
        align(&mut self.chunk, &self.last, &self.moved);
    }

    /// Takes the action that is due.
    pub(super) fn next(&mut self, action: &mut [f32]) -> bool {
        self.ticks += 1;
        let due = self.due.and_then(|due| Some((due, self.chunk.step(due)?)));
        let Some((due, next)) = due else {
            return false;
        };
        action.copy_from_slice(next);
        self.last.copy_from_slice(next);
        for (sum, value) in self.moved.iter_mut().zip(next) {
            *sum += value;
        }
        self.due = Some(due + 1);
        self.taken += 1;
        true
    }
}
