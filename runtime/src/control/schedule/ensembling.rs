//! Temporal ensembling: every tick is the weighted mean of all chunks that cover it, the oldest weighing most.

use std::collections::VecDeque;

use super::{Accepted, Horizon, Scheduler};
use crate::policy::{ActionChunk, Condition};

/// m of the weights exp(-m i), i counted from the oldest chunk, as in ACT.
const DECAY: f64 = 0.01;

/// See the module.
#[derive(Debug, Default)]
pub struct Ensembling {
    /// Chunks that are not used up, the oldest first, each with the action that is due.
    chunks: VecDeque<(ActionChunk, usize)>,
    /// Buffers for later ones.
    spare: Vec<ActionChunk>,
    sums: Vec<f64>,
    taken: usize,
    under_way: bool,
}

impl Scheduler for Ensembling {
    fn begin(&mut self, horizon: &Horizon<'_>) {
        let shape = horizon.shape;
        self.spare
            .extend(self.chunks.drain(..).map(|(chunk, _)| chunk));
        // One comes each tick at most, and each lasts H ticks.
        self.spare
            .resize_with(shape.steps + 1, ActionChunk::default);
        self.chunks.reserve(shape.steps + 1);
        for chunk in &mut self.spare {
            chunk.reset(shape.steps, shape.dim);
        }
        self.sums.clear();
        self.sums.resize(shape.dim, 0.0);
        self.taken = 0;
        self.under_way = false;
    }

    fn wants_chunk(&self) -> bool {
        !self.under_way
    }

    fn ask(&mut self, condition: &mut Condition) {
        self.under_way = true;
        self.taken = 0;
        condition.clear();
    }

    fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        self.under_way = false;
        let Some(mut copy) = self.spare.pop() else {
            return Accepted::TooLate;
        };
        copy.data.copy_from_slice(&chunk.data);
        self.chunks.push_back((copy, self.taken));
        Accepted::Used
    }

    fn next(&mut self, action: &mut [f32]) -> bool {
        while let Some((chunk, due)) = self.chunks.pop_front() {
            if due < chunk.steps {
                self.chunks.push_front((chunk, due));
                break;
            }
            self.spare.push(chunk);
        }
        self.sums.fill(0.0);
        let mut total = 0.0;
        for (place, (chunk, due)) in self.chunks.iter_mut().enumerate() {
            let weight = libm::exp(-DECAY * place as f64);
            let Some(values) = chunk.step(*due) else {
                continue;
            };
            for (sum, value) in self.sums.iter_mut().zip(values) {
                *sum += weight * f64::from(*value);
            }
            total += weight;
            *due += 1;
        }
        if total == 0.0 {
            return false;
        }
        for (value, sum) in action.iter_mut().zip(&self.sums) {
            *value = (sum / total) as f32;
        }
        self.taken += 1;
        true
    }
}
