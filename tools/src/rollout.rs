//! One episode on a simulated or emulated board: a session drives the arm of a table, with the same control loop, wire and
//! firmware as on an arm.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context, Result};
use wink_emulate::EmulatedBoard;
use wink_runtime::arm::ArmClient;
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::control::ActionSpace;
use wink_runtime::policy::Policy;
use wink_runtime::rig::{Board, NamedCamera, Rig, Shared};
use wink_runtime::session::{LateTicks, RuntimeError, Session, TickReport, Timing};
use wink_sim::diverse::TaskExpert;
use wink_sim::expert::Expert;
use wink_sim::render::RenderError;
use wink_sim::{Outcome, Setup, Shown, SimBoard, Truth};

use crate::bad_input::as_bad_input;
use crate::real_time::RealTime;

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

/// A world that a session and its owner share.
pub fn shared(world: impl World + 'static) -> Shared<dyn World> {
    let world: Rc<RefCell<dyn World>> = Rc::new(RefCell::new(world));
    world.into()
}

/// What drives an arm: a policy, and where a script looks at what only a script is allowed to know.
pub struct Pilot {
    /// Moves to a thread of its own.
    pub policy: Box<dyn Policy>,
    /// `None` for a policy that uses cameras.
    pub shown: Option<Shown>,
}

impl Pilot {
    /// A policy that is not shown the truth.
    pub fn unshown(policy: impl Policy + 'static) -> Self {
        Self {
            policy: Box::new(policy),
            shown: None,
        }
    }
}

impl From<Expert> for Pilot {
    fn from(expert: Expert) -> Self {
        Self {
            shown: Some(expert.shown()),
            policy: Box::new(expert),
        }
    }
}

impl From<TaskExpert> for Pilot {
    fn from(expert: TaskExpert) -> Self {
        Self {
            shown: Some(expert.shown()),
            policy: Box::new(expert),
        }
    }
}

/// One of the cameras of a world's cell.
struct CellCamera {
    world: Shared<dyn World>,
    place: usize,
}

impl Camera for CellCamera {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        let drawn = self.world.borrow_mut().render(self.place, frame);
        drawn.map_err(|error| CameraError::Device {
            message: error.to_string(),
        })
    }
}

/// All cameras of a world's cell.
pub fn cameras(world: &Shared<dyn World>) -> Vec<NamedCamera> {
    let cameras = world.borrow().setup().cameras.iter().enumerate();
    let cameras = cameras.map(|(place, camera)| NamedCamera {
        name: camera.name.into(),
        camera: Box::new(CellCamera {
            world: world.clone(),
            place,
        }),
    });
    cameras.collect()
}

/// An episode under way.
pub struct Rollout {
    world: Shared<dyn World>,
    session: Session,
    shown: Option<Shown>,
    steps: usize,
    /// What the board said when it held the arm.
    held: Option<String>,
}

impl Rollout {
    /// Arms the arm of a table that is laid, and gives the pilot its instruction. The world's own clock passes only as the session
    /// waits.
    pub fn begin_on(
        world: Shared<dyn World>,
        pilot: Pilot,
        instruction: &str,
        timing: Timing,
    ) -> Result<Self> {
        let rig = Rig {
            cameras: cameras(&world),
            link: Box::new(world.clone()),
            clock: Box::new(world.clone()),
        };
        Self::begin_with(world, rig, pilot, instruction, timing)
    }

    /// The same with the world kept in step with the time of this machine, as a real one is.
    pub fn begin_in_real_time(
        world: Shared<dyn World>,
        pilot: Pilot,
        instruction: &str,
        timing: Timing,
    ) -> Result<Self> {
        let real = RealTime::new(world.clone());
        let rig = Rig {
            cameras: cameras(&world),
            link: Box::new(real.clone()),
            clock: Box::new(real),
        };
        Self::begin_with(world, rig, pilot, instruction, timing)
    }

    fn begin_with(
        world: Shared<dyn World>,
        rig: Rig,
        pilot: Pilot,
        instruction: &str,
        timing: Timing,
    ) -> Result<Self> {
        let (setup, seed) = (world.borrow().setup(), world.borrow().seed());
        let (arm, config) = (setup.arm(), setup.control_config());
        let begin = || -> Result<Session, RuntimeError> {
            let mut session = Session::new(arm, config, rig, pilot.policy, timing)?;
            session.connect()?;
            session.begin(instruction)?;
            Ok(session)
        };
        let session = begin()
            .map_err(|error| match error {
                // The policy's rate or its actions do not fit this board.
                RuntimeError::Control(_) => as_bad_input(error),
                error => because(&mut *world.borrow_mut(), error.into()),
            })
            .with_context(|| format!("beginning the episode of seed {seed}"))?;
        Ok(Self {
            world,
            session,
            shown: pilot.shown,
            steps: 0,
            held: None,
        })
    }

    /// One control step; `None` where the board holds the arm, which ends the episode.
    ///
    /// # Errors
    /// When the link is gone or the policy breaks.
    pub fn tick(&mut self) -> Result<Option<TickReport>> {
        if let Some(shown) = &self.shown {
            // What a script knows is the truth of the tick at which it is asked, however fast it is.
            self.session.rest();
            shown.show(self.world.borrow().truth());
        }
        match self.session.tick() {
            Ok(report) => {
                self.steps += 1;
                Ok(Some(report))
            }
            Err(RuntimeError::Arm(error)) if error.is_held() => {
                self.held = Some(error.to_string());
                Ok(None)
            }
            Err(error) => {
                let world = &mut *self.world.borrow_mut();
                let told = format!("seed {}, step {}", world.seed(), self.steps);
                Err(because(world, error.into()).context(told))
            }
        }
    }

    /// Whether the cube has been set down on a card, the board holds the arm, or the time is up.
    pub fn is_over(&self) -> bool {
        self.held.is_some()
            || self.steps >= self.world.borrow().setup().max_steps
            || self.outcome().executed().is_some()
    }

    /// What the board said when it held the arm, if it did.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Control steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// From step to step.
    pub fn period_us(&self) -> u64 {
        self.session.period_us()
    }

    /// How things stand.
    pub fn outcome(&self) -> Outcome {
        self.world.borrow().outcome()
    }

    /// The world's truth.
    pub fn truth(&self) -> Truth {
        self.world.borrow().truth()
    }

    /// A digest of every state so far, bit for bit.
    pub fn state_hash(&self) -> u64 {
        self.world.borrow().state_hash()
    }

    /// What one of the cell's cameras sees now, by its place among them.
    pub fn look_through(&mut self, camera: usize, frame: &mut Frame) -> Result<()> {
        Ok(self.world.borrow_mut().render(camera, frame)?)
    }

    /// What actions mean to the arm, with the targets that the last one led to.
    pub fn space(&self) -> &dyn ActionSpace {
        self.session.space()
    }

    /// The host's end of the wire, for its counters.
    pub fn client(&self) -> &ArmClient {
        self.session.client()
    }

    /// Ticks and chunks that were late so far.
    pub fn late(&self) -> &LateTicks {
        self.session.late()
    }
}

/// A board that is gone says why; the link only says that it is.
fn because(board: &mut dyn World, error: anyhow::Error) -> anyhow::Error {
    match board.failure() {
        Some(failure) => failure.context(error),
        None => error,
    }
}
