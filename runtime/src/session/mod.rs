//! The control loop: look, think, move, wait, on any rig.
//!
//! Every tick sends one setpoint, whatever the policy's worker does meanwhile. A setpoint is due at its tick's time plus a lead
//! of one period. On a real machine the clock sleeps; in simulation sleeping advances the physics and the firmware in it.

mod latency;
mod observe;
mod report;

pub use latency::{Latency, LatencySource};
pub use report::{LateTicks, TickReport};

use std::time::{Duration, Instant};

use crate::arm::{ArmClient, ArmClientError, ArmDescription, JointValues};
use crate::camera::Frame;
use crate::control::schedule::{Accepted, Horizon, Motion, Scheduler, SchedulerKind};
use crate::control::{
    ActionSpace, ControlConfig, StateReader, Step, action_space, check_chunk, check_shape,
    period_us, proprio,
};
use crate::episode::RuntimeError;
use crate::policy::{ActionChunk, ChunkShape, Condition, Policy, PolicyTimes};
use crate::rig::Rig;
use crate::telemetry::{LoopTelemetry, StageTimes};
use crate::worker::{Gone, Job, Task, Worker};

use observe::Observer;

impl From<Gone> for RuntimeError {
    fn from(_: Gone) -> Self {
        Self::WorkerGone
    }
}

/// How a session spends time.
#[derive(Debug)]
pub struct Timing {
    /// What happens while inference runs.
    pub scheduler: SchedulerKind,
    /// When a chunk is there.
    pub latency: Latency,
}

impl Timing {
    /// Synchronous, and inference takes none of the board's time: for a simulation that measures a policy alone.
    #[must_use]
    pub fn instant() -> Self {
        Self {
            scheduler: SchedulerKind::Synchronous,
            latency: Latency::charged(0),
        }
    }

    /// Synchronous on a real machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            scheduler: SchedulerKind::Synchronous,
            latency: Latency::Real,
        }
    }
}

/// What the loop has to know of its policy, which the worker owns.
#[derive(Debug, Clone, Copy)]
struct Facts {
    shape: ChunkShape,
    hz: f64,
    looks: bool,
    keeps_history: bool,
}

/// An inference under way.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    /// When its chunk is there, where that is charged.
    visible_us: Option<u64>,
    /// The joints that the observation showed.
    measured: JointValues,
}

/// What was sent at a tick.
struct Sent {
    step: Option<Step>,
    joint_targets: JointValues,
}

/// A chunk that has come.
#[derive(Debug, Default)]
struct Arrival {
    arrived: bool,
    took: Duration,
    times: PolicyTimes,
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
    condition: Condition,
    chunk: ActionChunk,
    action: Vec<f32>,
    under_way: Option<UnderWay>,
    telemetry: LoopTelemetry,
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
            condition: Condition::default(),
            chunk: ActionChunk::default(),
            action: Vec::new(),
            under_way: None,
            telemetry: LoopTelemetry::default(),
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

    /// Begins an episode where the arm is now: hands the policy its instruction and arms anew after
    /// a hold. Ticks then follow each other at the policy's rate. What is under way for an earlier episode is thrown away.
    ///
    /// # Errors
    /// When the arm cannot be driven, the board's clock or firmware cannot keep the policy's rate,
    /// or the policy refuses the instruction.
    pub fn begin(&mut self, instruction: &str) -> Result<(), RuntimeError> {
        self.running = false;
        let hold_after_us = self.arm.firmware_config().hold_after_us;
        self.period_us = period_us(self.facts.hz, self.rig.clock.step_us(), hold_after_us)?;
        self.under_way = None;
        self.observer.forget();
        self.worker.wait(|job| self.observer.take_back(job))?;
        self.worker.ask(|job| {
            job.task = Task::Begin;
            job.instruction.clear();
            job.instruction.push_str(instruction);
        })?;
        let refused = self.worker.wait(|job| job.outcome.take())?;
        if let Some(error) = refused.flatten() {
            return Err(error.into());
        }
        let timeout_us = self.config.connect_timeout_us;
        self.client.arm(&mut self.rig.wire(), timeout_us)?;
        let measured = self.measure()?;
        let shape = self.facts.shape;
        self.space.begin(&measured);
        let numbers = 0..shape.dim;
        let motions: Vec<Motion> = numbers.map(|number| self.space.motion(number)).collect();
        self.scheduler.begin(&Horizon {
            shape,
            motions: &motions,
            period_us: self.period_us,
        });
        self.chunk.reset(shape.steps, shape.dim);
        self.condition.rest.reset(shape.steps, shape.dim);
        self.condition.clear();
        self.action.clear();
        self.action.resize(shape.dim, 0.0);
        self.running = true;
        self.index = 0;
        self.tick_us = self.rig.clock.now_us();
        Ok(())
    }

    /// One tick: reads the arm, takes the chunk that has come, asks the policy where its scheduler wants a chunk (capturing frames
    /// first where the policy looks), sends the setpoint of this tick and waits for the next tick's time.
    ///
    /// # Errors
    /// Whatever goes wrong ends the episode, and the arm is told to hold.
    pub fn tick(&mut self) -> Result<TickReport, RuntimeError> {
        if !self.running {
            return Err(RuntimeError::NoEpisode);
        }
        let report = self.work();
        if report.is_err() {
            self.running = false;
            // Where the link is what failed this cannot help; the firmware then holds for want of
            // setpoints.
            let _ = self.client.hold(&mut *self.rig.link);
        }
        let mut report = report?;
        let wait = Stopwatch::start();
        self.rig.clock.sleep_until(self.tick_us);
        report.times.wait = wait.time();
        self.telemetry
            .record(&report.times, report.captured, report.arrived);
        self.index += 1;
        Ok(report)
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

    /// The times of all ticks so far.
    #[must_use]
    pub fn telemetry(&self) -> &LoopTelemetry {
        &self.telemetry
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

    /// From tick to tick, as the policy of the last episode has it.
    #[must_use]
    pub fn period_us(&self) -> u64 {
        self.period_us
    }

    /// Everything of a tick but the wait.
    fn work(&mut self) -> Result<TickReport, RuntimeError> {
        let tick_us = self.tick_us;
        let start_us = self.rig.clock.now_us();
        let mut times = StageTimes::default();

        let watch = Stopwatch::start();
        let measured = self.measure()?;
        times.measure = watch.time();
        times.link = times.measure;
        let watch = Stopwatch::start();
        let proprio = proprio(&self.arm, &self.config, &measured);
        times.proprio = watch.time();
        times.control = times.proprio;

        let mut arrival = Arrival::default();
        self.collect(&mut arrival)?;
        let inferred = self.under_way.is_none() && self.scheduler.wants_chunk();
        let observed = inferred || self.facts.keeps_history;
        let captured = observed && self.facts.looks;
        let charged_us = if inferred {
            self.scheduler.ask(&mut self.condition);
            self.timing.latency.next_us()
        } else {
            None
        };
        // Looking takes time: the setpoint goes first, unless it needs the chunk that is made of this very look.
        let looks_first = inferred && charged_us == Some(0);
        let mut sent = None;
        if !looks_first {
            sent = Some(self.send(tick_us, &mut times)?);
        }
        let looking_us = self.rig.clock.now_us();
        if observed {
            let watch = Stopwatch::start();
            self.observer
                .look(&mut self.rig, self.facts.looks, &measured)?;
            times.capture = if captured {
                watch.time()
            } else {
                Duration::ZERO
            };
        }
        let captured_us = self.rig.clock.now_us();
        if captured {
            self.client.poll(&mut *self.rig.link, captured_us)?;
            self.observer.place_in_time(&self.client);
        }
        if inferred {
            self.ask(charged_us.map(|us| captured_us + us))?;
        } else if observed {
            self.show()?;
        }
        self.collect(&mut arrival)?;
        times.policy = arrival.took;
        let Sent {
            step,
            joint_targets,
        } = match sent {
            Some(sent) => sent,
            None => self.send(tick_us, &mut times)?,
        };

        let now_us = self.rig.clock.now_us();
        let on_camera_us = captured_us - looking_us;
        let on_link_us = (now_us - start_us) - on_camera_us;
        // A late tick moves all later ones: none is hurried to make up for it.
        self.tick_us = (tick_us + self.period_us).max(now_us);
        let late = now_us > tick_us + self.period_us;
        self.late
            .count(step.is_some(), late, on_camera_us >= on_link_us);
        Ok(TickReport {
            index: self.index,
            tick_us,
            proprio,
            measured,
            step,
            joint_targets,
            inferred,
            arrived: arrival.arrived,
            captured,
            overrun: late,
            times,
            policy_times: arrival.times,
        })
    }

    /// Sends the setpoint of this tick: the action that is due, or the targets before.
    fn send(&mut self, tick_us: u64, times: &mut StageTimes) -> Result<Sent, RuntimeError> {
        let watch = Stopwatch::start();
        let step = match self.scheduler.next(&mut self.action) {
            true => Some(self.space.act(&self.action)?),
            false => None,
        };
        let joint_targets = *self.space.targets();
        times.control += watch.time();

        let watch = Stopwatch::start();
        let now_us = self.rig.clock.now_us();
        let lead_us = (tick_us + self.period_us).saturating_sub(now_us);
        self.client
            .send_setpoint(&mut *self.rig.link, now_us, lead_us, &joint_targets)?;
        times.link += watch.time();
        Ok(Sent {
            step,
            joint_targets,
        })
    }

    /// Hands what was observed to the worker and asks for a chunk, which is there at `visible_us` where that is charged.
    fn ask(&mut self, visible_us: Option<u64>) -> Result<(), RuntimeError> {
        // What a policy with a history is being shown comes first.
        self.settle()?;
        let measured = self.observer.newest().unwrap_or_default();
        let (condition, observer) = (&mut self.condition, &mut self.observer);
        self.worker.ask(|job| {
            job.task = Task::Act;
            std::mem::swap(&mut job.condition, condition);
            observer.hand_over(job);
        })?;
        self.under_way = Some(UnderWay {
            visible_us,
            measured,
        });
        Ok(())
    }

    /// Shows a policy with a history what was observed, if it is not at work.
    fn show(&mut self) -> Result<(), RuntimeError> {
        if self.under_way.is_some() {
            return Ok(());
        }
        self.settle()?;
        let observer = &mut self.observer;
        self.worker.ask(|job| {
            job.task = Task::See;
            observer.hand_over(job);
        })?;
        Ok(())
    }

    /// Waits for the worker to have seen what it was shown.
    fn settle(&mut self) -> Result<(), RuntimeError> {
        let observer = &mut self.observer;
        let seen = self.worker.wait(|job| {
            observer.take_back(job);
            job.outcome.take()
        })?;
        seen.flatten().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Takes the chunk that is there, if one is.
    fn collect(&mut self, arrival: &mut Arrival) -> Result<(), RuntimeError> {
        let Some(UnderWay {
            visible_us,
            measured,
        }) = self.under_way
        else {
            return Ok(());
        };
        let Self {
            worker,
            observer,
            chunk,
            condition,
            ..
        } = self;
        let take = |job: &mut Job| {
            observer.take_back(job);
            std::mem::swap(&mut job.chunk, chunk);
            std::mem::swap(&mut job.condition, condition);
            (job.outcome.take(), job.took, job.times)
        };
        let done = match visible_us {
            Some(time_us) if time_us > self.rig.clock.now_us() => None,
            Some(_) => worker.wait(take)?,
            None => worker.collect(take)?,
        };
        let Some((refused, took, times)) = done else {
            return Ok(());
        };
        self.under_way = None;
        if let Some(error) = refused {
            return Err(error.into());
        }
        check_chunk(&self.chunk, self.facts.shape, self.space.names())?;
        self.space.ground(&measured, &mut self.chunk.data);
        if self.scheduler.accept(&self.chunk) == Accepted::TooLate {
            self.late.chunks += 1;
        }
        *arrival = Arrival {
            arrived: true,
            took,
            times,
        };
        Ok(())
    }

    /// The measured joints, fresh off the link.
    fn measure(&mut self) -> Result<JointValues, RuntimeError> {
        let now_us = self.rig.clock.now_us();
        self.client.poll(&mut *self.rig.link, now_us)?;
        self.client
            .check(now_us, self.config.telemetry_timeout_us)?;
        Ok(self.client.positions().ok_or(ArmClientError::NotMeasured)?)
    }
}

/// Wall time, which in simulation is not the board's.
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn time(&self) -> Duration {
        self.0.elapsed()
    }
}
