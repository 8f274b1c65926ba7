//! Asynchronous replacement: the old chunk goes on while inference runs; of the new one the first d actions are dropped.
//!
//! With alignment the new chunk begins at the command of the old one, and the difference fades. A gripper is not aligned: half a
//! grip holds nothing, and fading would only close or open it late.

use super::current::Current;
use super::{Accepted, Horizon, Motion, Scheduler};
use crate::policy::{ActionChunk, Condition};

/// How long it takes to go over from the old chunk's commands to the new one's.
const FADE_US: u64 = 200_000;

/// See the module.
#[derive(Debug)]
pub struct Asynchronous {
    align: bool,
    current: Current,
    motions: Vec<Motion>,
    /// Steps of the fade.
    fade: usize,
}

impl Asynchronous {
    /// Chunks replace each other as they are.
    pub fn naive() -> Self {
        Self::new(false)
    }

    /// Chunks are aligned.
    pub fn aligned() -> Self {
        Self::new(true)
    }

    fn new(align: bool) -> Self {
        Self {
            align,
            current: Current::default(),
            motions: Vec::new(),
            fade: 1,
        }
    }
}

/// Changes the actions of `chunk` from `taken` on so that they begin where the old chunk stands and end where the new one does.
/// `command` is what the old chunk commands now, `moved` the sum of what was executed since the new one's observation.
fn align(
    chunk: &mut ActionChunk,
    taken: usize,
    [command, moved]: [&[f32]; 2],
    motions: &[Motion],
    fade: usize,
) {
    let dim = chunk.dim;
    let ramp = |step: usize| 1.0 - step.min(fade) as f32 / fade as f32;
    for (number, motion) in motions.iter().enumerate() {
        let value = |step: usize| step * dim + number;
        match motion {
            Motion::Grip => {}
            Motion::Absolute => {
                let Some(first) = chunk.data.get(value(taken)) else {
                    continue;
                };
                let offset = command[number] - first;
                for step in taken..chunk.steps {
                    chunk.data[value(step)] += offset * ramp(step - taken);
                }
            }
            Motion::Relative => {
                let planned: f32 = (0..taken.min(chunk.steps))
                    .map(|step| chunk.data[value(step)])
                    .sum();
                let offset = moved[number] - planned;
                for step in taken..chunk.steps {
                    let after = step - taken;
                    chunk.data[value(step)] += offset * (ramp(after + 1) - ramp(after));
                }
            }
        }
    }
}

impl Scheduler for Asynchronous {
    fn begin(&mut self, horizon: &Horizon<'_>) {
        self.current.begin(horizon.shape);
        self.motions.clear();
        self.motions.extend_from_slice(horizon.motions);
        self.fade = super::delay_steps(FADE_US, horizon.period_us).max(1);
    }

    fn wants_chunk(&self) -> bool {
        self.current.wants_chunk()
    }

    fn ask(&mut self, condition: &mut Condition) {
        self.current.ask();
        condition.clear();
    }

    fn accept(&mut self, chunk: &ActionChunk) -> Accepted {
        let taken = self.current.arrived();
        let Self {
            align: align_chunks,
            current,
            motions,
            fade,
            ..
        } = self;
        if !*align_chunks || !current.has_begun() {
            current.replace(chunk, taken);
            return Accepted::Used;
        }
        current.replace_aligned(chunk, taken, |new, command, moved| {
            align(new, taken, [command, moved], motions, *fade);
        });
        Accepted::Used
    }

    fn next(&mut self, action: &mut [f32]) -> bool {
        self.current.next(action)
    }
}
