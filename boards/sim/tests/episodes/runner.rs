//! Runs an episode and looks at the table after every step.

use wink_runtime::episode::{ControlLoop, TickReport};
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};
use wink_sim::expert::Expert;
use wink_sim::{Outcome, Scene, SimBoard, SimOptions, Truth};

/// A policy that may look at the truth before each step.
pub trait Script: Policy {
    fn observe(&mut self, _truth: &Truth) {}
}

impl Script for Expert {
    fn observe(&mut self, truth: &Truth) {
        Expert::observe(self, truth);
    }
}

impl Script for wink_sim::expert::RandomPolicy {}

/// A script made of a closure from (step, truth) to an action.
pub struct Scripted<F> {
    action: F,
    step: usize,
    truth: Option<Truth>,
}

impl<F: FnMut(usize, &Truth) -> [f32; 7] + Send> Scripted<F> {
    pub fn new(action: F) -> Self {
        Self {
            action,
            step: 0,
            truth: None,
        }
    }
}

impl<F: FnMut(usize, &Truth) -> [f32; 7] + Send> Script for Scripted<F> {
    fn observe(&mut self, truth: &Truth) {
        self.truth = Some(truth.clone());
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
        let truth = self
            .truth
            .as_ref()
            .expect("the runner shows the truth first");
        out.reset(1, 7);
        out.data.copy_from_slice(&(self.action)(self.step, truth));
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
pub fn run<S: Script>(scene: &Scene, instruction: &str, policy: &mut S) -> Episode {
    run_watched(scene, instruction, policy, true, |_, _| {})
}

/// The same, calling `watch` after every step; goes on past success unless `stop_when_executed`.
pub fn run_watched<S: Script>(
    scene: &Scene,
    instruction: &str,
    policy: &mut S,
    stop_when_executed: bool,
    mut watch: impl FnMut(&SimBoard, &TickReport),
) -> Episode {
    let mut board = SimBoard::new(scene, SimOptions::default()).unwrap();
    let mut control = ControlLoop::new(scene.setup.arm(), scene.setup.control_config());
    control.connect(&mut board).unwrap();
    control.begin(&mut board, policy, instruction).unwrap();
    let mut steps = 0;
    while steps < scene.setup.max_steps
        && !(stop_when_executed && board.outcome().executed().is_some())
    {
        policy.observe(&board.truth());
        let report = control.tick(&mut board, policy).unwrap();
        watch(&board, &report);
        steps += 1;
    }
    Episode {
        outcome: board.outcome(),
        steps,
        hash: board.state_hash(),
    }
}
