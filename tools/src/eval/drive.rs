//! An episode of an evaluation: a session drives the arm of a table, on the board's clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use wink_runtime::arm::{ArmClient, Link, LinkError};
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::clock::Clock;
use wink_runtime::episode::RuntimeError;
use wink_runtime::rig::{NamedCamera, Rig, Shared};
use wink_runtime::session::{LateTicks, Session, TickReport, Timing};
use wink_sim::{Outcome, Setup};

use super::policy::AnyPilot;
use crate::bad_input::as_bad_input;
use crate::rollout::{Pilot, World, because};

/// A pilot that a session's worker flies, and that its owner looks at in between.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<AnyPilot>>);

impl Handle {
    /// Shares a pilot.
    pub fn new(pilot: AnyPilot) -> Self {
        Self(Arc::new(Mutex::new(pilot)))
    }

    /// The pilot, once the worker has done with it.
    pub fn lock(&self) -> MutexGuard<'_, AnyPilot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A world behind a box, as a board.
struct Boxed(Box<dyn World>);

impl Camera for Boxed {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        self.0.capture(frame)
    }
}

impl Link for Boxed {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write(bytes)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        self.0.read(buffer)
    }
}

impl Clock for Boxed {
    fn now_us(&self) -> u64 {
        self.0.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.0.sleep_until(time_us);
    }

    fn step_us(&self) -> u64 {
        self.0.step_us()
    }
}

/// One of the cameras of a world's cell.
struct CellCamera {
    world: Shared<Boxed>,
    place: usize,
}

impl Camera for CellCamera {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        let drawn = self.world.borrow_mut().0.render(self.place, frame);
        drawn.map_err(|error| CameraError::Device {
            message: error.to_string(),
        })
    }
}

/// All cameras of a world's cell, its link and its clock.
fn rig(setup: &Setup, world: &Shared<Boxed>) -> Rig {
    let cameras = setup.cameras.iter().enumerate();
    let cameras = cameras.map(|(place, camera)| NamedCamera {
        name: camera.name.into(),
        camera: Box::new(CellCamera {
            world: world.clone(),
            place,
        }),
    });
    Rig {
        cameras: cameras.collect(),
        ..world.rig()
    }
}

/// An episode under way.
pub struct Drive {
    world: Shared<Boxed>,
    pilot: Handle,
    session: Session,
    shows: bool,
    steps: usize,
}

impl Drive {
    /// Arms the arm of a table that is laid, and gives the pilot its instruction.
    pub fn begin_on(
        world: Box<dyn World>,
        pilot: &Handle,
        instruction: &str,
        timing: Timing,
    ) -> Result<Self> {
        let (setup, seed) = (world.setup(), world.seed());
        let world = Shared::new(Boxed(world));
        let begin = || -> Result<Session, RuntimeError> {
            let mut session = Session::new(
                setup.arm(),
                setup.control_config(),
                rig(setup, &world),
                Box::new(Arc::clone(&pilot.0)),
                timing,
            )?;
            session.connect()?;
            session.begin(instruction)?;
            Ok(session)
        };
        let session = begin()
            .map_err(|error| match error {
                // The policy's rate or its actions do not fit this board.
                RuntimeError::Control(_) => as_bad_input(error),
                error => because(&mut *world.borrow_mut().0, error.into()),
            })
            .with_context(|| format!("beginning the episode of seed {seed}"))?;
        Ok(Self {
            shows: pilot.lock().wants_truth(),
            pilot: pilot.clone(),
            world,
            session,
            steps: 0,
        })
    }

    /// One control step.
    pub fn tick(&mut self) -> Result<TickReport> {
        if self.shows {
            // What a script knows is the truth of the tick at which it is asked, however fast it is.
            self.session.rest();
            let truth = self.world.borrow().0.truth();
            self.pilot.lock().show(&truth);
        }
        let report = self.session.tick().map_err(|error| {
            let world = &mut *self.world.borrow_mut().0;
            let told = format!("seed {}, step {}", world.seed(), self.steps);
            because(world, error.into()).context(told)
        })?;
        self.steps += 1;
        Ok(report)
    }

    /// The host's end of the wire, for its counters.
    pub fn client(&self) -> &ArmClient {
        self.session.client()
    }

    /// Ticks and chunks that were late so far.
    pub fn late(&self) -> &LateTicks {
        self.session.late()
    }

    /// From step to step.
    pub fn period_us(&self) -> u64 {
        self.session.period_us()
    }

    /// Whether the cube has been set down on a card, or the time is up.
    pub fn is_over(&self) -> bool {
        self.steps >= self.world.borrow().0.setup().max_steps || self.outcome().executed().is_some()
    }

    /// Control steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How things stand.
    pub fn outcome(&self) -> Outcome {
        self.world.borrow().0.outcome()
    }

    /// A digest of every state so far, bit for bit.
    pub fn state_hash(&self) -> u64 {
        self.world.borrow().0.state_hash()
    }

    /// What the cell's first camera sees now.
    pub fn look(&mut self, frame: &mut Frame) -> Result<()> {
        Ok(self.world.borrow_mut().0.render(0, frame)?)
    }
}
