//! One episode on the simulated board: the same control loop, wire and firmware as on an arm.

use anyhow::{Context, Result};
use wink_runtime::arm::ArmDescription;
use wink_runtime::camera::Frame;
use wink_runtime::control::ControlConfig;
use wink_runtime::episode::{ControlLoop, TickReport};
use wink_runtime::policy::Policy;
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::Expert;
use wink_sim::scene::base_in_world;
use wink_sim::{MAX_STEPS, Outcome, Scene, SimBoard, SimOptions, Truth};

/// A policy that may be shown what only a script is allowed to know.
pub trait Pilot: Policy {
    /// Called before each tick with the world's truth. Whoever looks for itself ignores it.
    fn show(&mut self, _truth: &Truth) {}
}

impl Pilot for Expert {
    fn show(&mut self, truth: &Truth) {
        self.observe(truth);
    }
}

impl Pilot for TaskExpert {
    fn show(&mut self, truth: &Truth) {
        self.observe(truth);
    }
}

/// An episode under way.
pub struct Rollout {
    board: SimBoard,
    control: ControlLoop,
    steps: usize,
}

impl Rollout {
    /// Lays the table, arms the arm and gives the pilot its instruction.
    pub fn begin(
        scene: &Scene,
        options: SimOptions,
        pilot: &mut dyn Pilot,
        instruction: &str,
    ) -> Result<Self> {
        let board = SimBoard::new(scene, options)
            .with_context(|| format!("beginning the episode of seed {}", scene.seed))?;
        Self::begin_on(board, pilot, instruction)
    }

    /// Arms the arm of a table that is laid, and gives the pilot its instruction.
    pub fn begin_on(mut board: SimBoard, pilot: &mut dyn Pilot, instruction: &str) -> Result<Self> {
        let seed = board.table().seed;
        let told = || format!("beginning the episode of seed {seed}");
        let config = ControlConfig {
            base_in_world: base_in_world(),
            ..ControlConfig::default()
        };
        let mut control = ControlLoop::new(ArmDescription::wx250s(), config);
        control.connect(&mut board).with_context(told)?;
        control
            .begin(&mut board, pilot, instruction)
            .with_context(told)?;
        Ok(Self {
            board,
            control,
            steps: 0,
        })
    }

    /// One control step.
    pub fn tick(&mut self, pilot: &mut dyn Pilot) -> Result<TickReport> {
        pilot.show(&self.board.truth());
        let report = self
            .control
            .tick(&mut self.board, pilot)
            .with_context(|| format!("seed {}, step {}", self.board.table().seed, self.steps))?;
        self.steps += 1;
        Ok(report)
    }

    /// Whether the cube has been set down on a card, or the time is up.
    pub fn is_over(&self) -> bool {
        self.steps >= MAX_STEPS || self.outcome().executed().is_some()
    }

    /// Control steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How things stand.
    pub fn outcome(&self) -> Outcome {
        self.board.outcome()
    }

    /// The world's truth.
    pub fn truth(&self) -> Truth {
        self.board.truth()
    }

    /// A digest of every state so far, bit for bit.
    pub fn state_hash(&self) -> u64 {
        self.board.state_hash()
    }

    /// What the camera sees now.
    pub fn look(&mut self, frame: &mut Frame) -> Result<()> {
        Ok(self.board.render(frame)?)
    }
}
