//! The control loop: look, think, move, wait, on any rig.
//!
//! Every tick sends one setpoint, whatever the policy's worker does meanwhile. A setpoint is due at its tick's time plus a lead
//! of one period. On a real machine the clock sleeps; in simulation sleeping advances the physics and the firmware in it.

mod by_hand;
mod error;
mod frame_guard;
mod inference;
mod observe;
mod pace;
mod report;
mod tick;
mod timing;
mod worker;

pub use error::RuntimeError;
pub use pace::StartGuard;
pub use report::{LateTicks, StageTimes, TickReport};
pub use timing::{Latency, LatencySource, Timing};

use crate::arm::{ArmClient, ArmDescription, JointValues};
use crate::camera::Frame;
use crate::control::schedule::{Horizon, Motion, Scheduler};
use crate::control::{
    ActionSpace, ControlConfig, StateReader, action_space, check_shape, period_us,
};
use crate::policy::{ActionChunk, ChunkShape, Condition, Policy};
use crate::rig::Rig;

use frame_guard::FrameGuard;
use inference::UnderWay;
use observe::Observer;
use pace::Pace;
use worker::{Task, Worker};

/// What the loop has to know of its policy, which the worker owns.
#[derive(Debug, Clone, Copy)]
struct Facts {
    shape: ChunkShape,
    hz: f64,
    looks: bool,
    keeps_history: bool,
}

/// Whether the policy is being told another instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retold {
    /// It is not.
    No,
    /// As soon as it is not at work.
    Wanted,
    /// It is at it.
    Asked,
}

/// Drives one arm with one policy. After the first ticks of an episode it allocates nothing, on no thread.
#[derive(Debug)]
pub struct Session {
    arm: ArmDescription,
    config: ControlConfig,
    rig: Rig,
    client: ArmClient,
    worker: Worker,
    facts: Facts,
    timing: Timing,
    scheduler: Box<dyn Scheduler>,
    space: Box<dyn ActionSpace>,
    observer: Observer,
    frames: FrameGuard,
    condition: Condition,
    chunk: ActionChunk,
    action: Vec<f32>,
    under_way: Option<UnderWay>,
    /// What the policy is to be told while it runs.
    retold: Retold,
    instruction: String,
    pace: Pace,
    guard: Option<StartGuard>,
    /// The targets that were sent last; `None` before the first.
    sent: Option<JointValues>,
    /// Nothing is sent that makes the arm move.
    shadow: bool,
    late: LateTicks,
    running: bool,
    index: u64,
    /// From tick to tick.
    period_us: u64,
    /// Of the tick that is due.
    tick_us: u64,
}

impl Session {
    /// A session that is not connected yet. The policy moves to a thread of its own.
    ///
    /// # Errors
    /// When the policy's actions or states are not those of the arm, or the policy cannot do what the scheduler asks of it.
    pub fn new(
        arm: ArmDescription,
        config: ControlConfig,
        rig: Rig,
        policy: Box<dyn Policy>,
        timing: Timing,
    ) -> Result<Self, RuntimeError> {
        policy.check_conditioning(timing.scheduler.conditioning(), 0)?;
        let declared = policy.manifest();
        let spec = declared.as_ref().map(|manifest| &manifest.action);
        let space = action_space(&arm, &config, spec)?;
        let states = declared
            .as_ref()
            .map(|manifest| &*manifest.observations.states);
        let states = StateReader::new(&arm, &config, states)?;
        let shape = policy.chunk_shape();
        check_shape(shape, space.names())?;
        let facts = Facts {
            shape,
            hz: policy.control_hz().unwrap_or(config.control_hz),
            looks: policy.needs_frame(),
            keeps_history: policy.keeps_history(),
        };
        let names = rig.cameras.iter().map(|camera| camera.name.clone());
        let cameras = if facts.looks {
            names.collect()
        } else {
            Vec::new()
        };
        Ok(Self {
            client: ArmClient::new(&arm),
            worker: Worker::start(policy, cameras, states).map_err(RuntimeError::Thread)?,
            scheduler: timing.scheduler.scheduler(),
            observer: Observer::default(),
            frames: FrameGuard::default(),
            condition: Condition::default(),
            chunk: ActionChunk::default(),
            action: Vec::new(),
            under_way: None,
            retold: Retold::No,
            instruction: String::new(),
            pace: Pace::new(&arm, None),
            guard: None,
            sent: None,
            shadow: false,
            late: LateTicks::default(),
            running: false,
            index: 0,
            period_us: 0,
            tick_us: 0,
            arm,
            config,
            rig,
            facts,
            timing,
            space,
        })
    }

    /// Shakes hands with the firmware and arms; see [`ArmClient::connect`]. The arm stays where it
    /// is.
    ///
    /// # Errors
    /// When the board does not answer, was flashed for another arm or version, or is in a fault.
    pub fn connect(&mut self) -> Result<(), RuntimeError> {
        self.running = false;
        let timeout_us = self.config.connect_timeout_us;
        Ok(self.client.connect(&mut self.rig.wire(), timeout_us)?)
    }

    /// Asks a board to leave its fault state, after what broke was seen to. Connect again
    /// afterwards.
    ///
    /// # Errors
    /// When the link is broken.
    pub fn clear_fault(&mut self) -> Result<(), RuntimeError> {
        self.running = false;
        Ok(self.client.clear_fault(&mut *self.rig.link)?)
    }

    /// Shakes hands with the firmware; an armed arm holds. See [`ArmClient::greet`].
    ///
    /// # Errors
    /// When the board does not answer, was flashed for another arm or version, or does not know where the arm is.
    pub fn greet(&mut self) -> Result<(), RuntimeError> {
        self.running = false;
        let timeout_us = self.config.connect_timeout_us;
        Ok(self.client.greet(&mut self.rig.wire(), timeout_us)?)
    }

    /// Approaches a target slowly that is far from where the arm is, after every [`begin`](Self::begin) and
    /// [`rise`](Self::rise).
    pub fn set_start_guard(&mut self, guard: StartGuard) {
        self.guard = Some(guard);
        self.pace.set_guard(self.guard);
    }

    /// From the next episode on nothing is sent that arms or moves the arm; all else is done.
    pub fn set_shadow(&mut self) {
        self.shadow = true;
    }

    /// Begins an episode where the arm is now: hands the policy its instruction and arms anew after
    /// a hold. Ticks then follow each other at the policy's rate. What is under way for an earlier episode is thrown away.
    ///
    /// # Errors
    /// When the arm cannot be driven, the board's clock or firmware cannot keep the policy's rate,
    /// or the policy refuses the instruction.
    pub fn begin(&mut self, instruction: &str) -> Result<(), RuntimeError> {
        self.running = false;
        self.set_period()?;
        self.under_way = None;
        self.retold = Retold::No;
        self.observer.forget();
        self.worker.wait(|job| self.observer.take_back(job))?;
        self.instruction.clear();
        self.instruction.push_str(instruction);
        self.tell()?;
        let refused = self.worker.wait(|job| job.outcome.take())?;
        if let Some(error) = refused.flatten() {
            return Err(error.into());
        }
        self.rise()?;
        self.frames.begin();
        self.begin_schedule();
        self.chunk
            .reset(self.facts.shape.steps, self.facts.shape.dim);
        self.action.clear();
        self.action.resize(self.facts.shape.dim, 0.0);
        self.index = 0;
        Ok(())
    }

    /// Hands the policy its instruction.
    fn tell(&mut self) -> Result<(), RuntimeError> {
        let instruction = &self.instruction;
        self.worker.ask(|job| {
            job.task = Task::Begin;
            job.instruction.clear();
            job.instruction.push_str(instruction);
        })?;
        Ok(())
    }

    /// Has the scheduler forget all chunks.
    fn begin_schedule(&mut self) {
        let shape = self.facts.shape;
        let numbers = 0..shape.dim;
        let motions: Vec<Motion> = numbers.map(|number| self.space.motion(number)).collect();
        self.scheduler.begin(&Horizon {
            shape,
            motions: &motions,
            period_us: self.period_us,
        });
        self.condition.rest.reset(shape.steps, shape.dim);
        self.condition.clear();
    }

    fn set_period(&mut self) -> Result<(), RuntimeError> {
        let hold_after_us = self.arm.firmware_config().hold_after_us;
        self.period_us = period_us(self.facts.hz, self.rig.clock.step_us(), hold_after_us)?;
        Ok(())
    }

    /// Ends the episode: the arm holds its pose until the next [`begin`](Self::begin).
    ///
    /// # Errors
    /// When the link is broken; the firmware then holds for want of setpoints.
    pub fn end(&mut self) -> Result<(), RuntimeError> {
        self.running = false;
        Ok(self.client.hold(&mut *self.rig.link)?)
    }

    /// Waits until the policy is not at work. Its chunk is taken at the tick at which it is there.
    pub fn rest(&self) {
        self.worker.rest();
    }

    /// The frames of the inference that ended last, one of each camera; empty before the first.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        self.observer.frames()
    }

    /// The joints that the inference that ended last was made with, as measured on the wire, and their time on the clock of the
    /// rig: that of its frames.
    #[must_use]
    pub fn observed(&self) -> (&JointValues, u64) {
        self.observer.joints()
    }

    /// The chunk that came last; what its scheduler makes of it is not in it.
    #[must_use]
    pub fn chunk(&self) -> &ActionChunk {
        &self.chunk
    }

    /// How many ticks were late so far, by cause, and how many chunks.
    #[must_use]
    pub fn late(&self) -> &LateTicks {
        &self.late
    }

    /// The host's end of the wire, for its counters and the board's own telemetry.
    #[must_use]
    pub fn client(&self) -> &ArmClient {
        &self.client
    }

    /// What actions mean to the arm, with the targets that the last one led to.
    #[must_use]
    pub fn space(&self) -> &dyn ActionSpace {
        &*self.space
    }

    /// From tick to tick, as the policy of the last episode has it.
    #[must_use]
    pub fn period_us(&self) -> u64 {
        self.period_us
    }
}
