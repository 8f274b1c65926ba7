//! Runs an episode and looks at the table after every step.

use std::sync::{Arc, Mutex};

use crate::drive::drive;
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};
use wink_runtime::session::TickReport;
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::{Expert, RandomPolicy};
use wink_sim::{Outcome, Scene, Shown, SimBoard, SimOptions, Truth};

/// A policy that may look at the truth before each step.
pub trait Script: Policy + 'static {
    /// Where it looks.
    fn shown(&self) -> Option<Shown> {
        None
    }
}

impl Script for Expert {
    fn shown(&self) -> Option<Shown> {
        Some(Self::shown(self))
    }
}

impl Script for TaskExpert {
    fn shown(&self) -> Option<Shown> {
        Some(Self::shown(self))
    }
}

impl Script for RandomPolicy {}

impl<S: Script> Script for Arc<Mutex<S>> {
    fn shown(&self) -> Option<Shown> {
        self.lock().unwrap().shown()
    }
}

/// A script made of a closure from (step, truth) to an action.
pub struct Scripted<F> {
    action: F,
    step: usize,
    shown: Shown,
}

impl<F: FnMut(usize, &Truth) -> [f32; 7] + Send> Scripted<F> {
    pub fn new(action: F) -> Self {
        Self {
            action,
            step: 0,
            shown: Shown::default(),
        }
    }
}

impl<F: FnMut(usize, &Truth) -> [f32; 7] + Send + 'static> Script for Scripted<F> {
    fn shown(&self) -> Option<Shown> {
        Some(self.shown.clone())
    }
}

impl<F: FnMut(usize, &Truth) -> [f32; 7] + Send> Policy for Scripted<F> {
    fn begin_episode(&mut self, _instruction: &str) -> Result<(), PolicyError> {
        self.step = 0;
        Ok(())
    }

    fn act(
        &mut self,
        _observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        let truth = self.shown.take().expect("the runner shows the truth first");
        out.reset(1, 7);
        out.data.copy_from_slice(&(self.action)(self.step, &truth));
        self.step += 1;
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        false
    }

    fn chunk_shape(&self) -> ChunkShape {
        ChunkShape {
            steps: 1,
            execute: 1,
            dim: 7,
        }
    }
}

pub struct Episode {
    pub outcome: Outcome,
    pub steps: usize,
    pub hash: u64,
}

/// Runs to the end of the episode: something executed, or the cell's most steps.
pub fn run(scene: &Scene, instruction: &str, policy: impl Script) -> Episode {
    run_watched(scene, instruction, policy, true, |_, _| {})
}

/// The same, calling `watch` after every step; goes on past success unless `stop_when_executed`. An arm that its firmware holds
/// ends the episode.
pub fn run_watched(
    scene: &Scene,
    instruction: &str,
    policy: impl Script,
    stop_when_executed: bool,
    mut watch: impl FnMut(&SimBoard, &TickReport),
) -> Episode {
    let board = SimBoard::new(scene, SimOptions::default()).unwrap();
    let mut steps = 0;
    let over = |board: &SimBoard| {
        steps += 1;
        steps > scene.setup.max_steps
            || (stop_when_executed && board.outcome().executed().is_some())
    };
    let shown = policy.shown();
    let board = drive(board, instruction, (policy, shown), over, &mut watch);
    Episode {
        outcome: board.borrow().outcome(),
        steps: steps - 1,
        hash: board.borrow().state_hash(),
    }
}
