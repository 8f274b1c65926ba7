//! One episode on a simulated or emulated board: the same control loop, wire and firmware as on an arm.

use anyhow::{Context, Result};
use wink_emulate::EmulatedBoard;
use wink_runtime::camera::Frame;
use wink_runtime::control::ActionSpace;
use wink_runtime::episode::{Board, ControlLoop, RuntimeError, TickReport};
use wink_runtime::policy::Policy;
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::Expert;
use wink_sim::render::RenderError;
use wink_sim::{Outcome, Setup, SimBoard, Truth};

use crate::bad_input::as_bad_input;

/// A policy that may be shown what only a script is allowed to know.
pub trait Pilot: Policy {
    /// Whether it looks at the world's truth.
    fn wants_truth(&self) -> bool {
        false
    }

    /// Called before each tick with the world's truth. A policy that uses the camera ignores it.
    fn show(&mut self, _truth: &Truth) {}
}

impl Pilot for Expert {
    fn wants_truth(&self) -> bool {
        true
    }

    fn show(&mut self, truth: &Truth) {
        self.observe(truth);
    }
}

impl Pilot for TaskExpert {
    fn wants_truth(&self) -> bool {
        true
    }

    fn show(&mut self, truth: &Truth) {
        self.observe(truth);
    }
}

/// A board with a table before it, of which everything can be told.
pub trait World: Board {
    /// The cell: arm, table and cameras.
    fn setup(&self) -> &'static Setup;
    /// The seed of the table.
    fn seed(&self) -> u64;
    /// The true state of the table.
    fn truth(&self) -> Truth;
    /// How things stand, and what has happened so far.
    fn outcome(&self) -> Outcome;
    /// A digest over every state so far.
    fn state_hash(&self) -> u64;
    /// Draws what one of the cell's cameras sees now, by its place among them.
    fn render(&mut self, camera: usize, frame: &mut Frame) -> Result<(), RenderError>;
    /// Why the board no longer answers, where the emulator knows.
    fn failure(&mut self) -> Option<anyhow::Error> {
        None
    }
}

/// Both kinds of boards say the same of their tables.
macro_rules! told_by_itself {
    () => {
        fn setup(&self) -> &'static Setup {
            self.table().setup
        }

        fn seed(&self) -> u64 {
            self.table().seed
        }

        fn truth(&self) -> Truth {
            self.truth()
        }

        fn outcome(&self) -> Outcome {
            self.outcome()
        }

        fn state_hash(&self) -> u64 {
            self.state_hash()
        }

        fn render(&mut self, camera: usize, frame: &mut Frame) -> Result<(), RenderError> {
            self.render_camera(camera, frame)
        }
    };
}

impl World for SimBoard {
    told_by_itself!();
}

impl World for EmulatedBoard {
    told_by_itself!();

    fn failure(&mut self) -> Option<anyhow::Error> {
        self.take_failure().map(anyhow::Error::from)
    }
}

/// An episode under way.
pub struct Rollout {
    board: Box<dyn World>,
    control: ControlLoop,
    steps: usize,
}

impl Rollout {
    /// Arms the arm of a table that is laid, and gives the pilot its instruction.
    pub fn begin_on(
        mut board: Box<dyn World>,
        pilot: &mut dyn Pilot,
        instruction: &str,
    ) -> Result<Self> {
        let (setup, seed) = (board.setup(), board.seed());
        let told = || format!("beginning the episode of seed {seed}");
        let mut control = ControlLoop::new(setup.arm(), setup.control_config());
        let begun = control
            .connect(&mut *board)
            .and_then(|()| control.begin(&mut *board, pilot, instruction));
        begun
            .map_err(|error| match error {
                // The policy's rate or its actions do not fit this board.
                RuntimeError::Control(_) => as_bad_input(error),
                error => because(&mut *board, error.into()),
            })
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
        let report = self.control.tick(&mut *self.board, pilot);
        let report = report
            .map_err(|error| because(&mut *self.board, error.into()))
            .with_context(|| format!("seed {}, step {}", self.board.seed(), self.steps))?;
        self.steps += 1;
        Ok(report)
    }

    /// Whether the cube has been set down on a card, or the time is up.
    pub fn is_over(&self) -> bool {
        self.steps >= self.setup().max_steps || self.outcome().executed().is_some()
    }

    /// The cell that the episode is in.
    pub fn setup(&self) -> &'static Setup {
        self.board.setup()
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

    /// What one of the cell's cameras sees now, by its place among them.
    pub fn look_through(&mut self, camera: usize, frame: &mut Frame) -> Result<()> {
        Ok(self.board.render(camera, frame)?)
    }

    /// What actions mean to the arm, with the targets that the last one led to.
    pub fn space(&self) -> Option<&dyn ActionSpace> {
        self.control.space()
    }
}

/// A board that is gone says why; the link only says that it is.
pub fn because(board: &mut dyn World, error: anyhow::Error) -> anyhow::Error {
    match board.failure() {
        Some(failure) => failure.context(error),
        None => error,
    }
}
