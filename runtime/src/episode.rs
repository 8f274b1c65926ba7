//! The control loop: look, think, move, wait, on any board.
//!
//! What a board is to the loop is three traits: a [`Camera`], a [`Link`] to the firmware, and a
//! [`Clock`]. On a real machine the clock sleeps; in simulation sleeping advances the physics and
//! the firmware in it.

use std::time::{Duration, Instant};

use crate::arm::{ArmClient, ArmClientError, ArmDescription, JointValues, Link, Row};
use crate::camera::{Camera, CameraError, FRONT_CAMERA, Frame};
use crate::clock::Clock;
use crate::control::{
    ActionSpace, ControlConfig, ControlError, Controller, PROPRIO_DIM, StateReader, Step,
    action_space, period_us, proprio,
};
use crate::policy::{CameraFrame, Observation, Policy, PolicyError, PolicyTimes};
use crate::telemetry::{LoopTelemetry, StageTimes};

/// Everything a policy can live on.
pub trait Board: Camera + Link + Clock {}

impl<B: Camera + Link + Clock> Board for B {}

/// Why the loop stopped. The arm holds its pose: it was told to, or no setpoint reaches it any
/// more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The arm or the link to it.
    #[error(transparent)]
    Arm(#[from] ArmClientError),
    /// The camera.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The policy gave no actions.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy gave actions that are not executed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// `tick` without `begin`, or after it failed.
    #[error("no episode is running: begin one (after an error, begin anew)")]
    NoEpisode,
    /// The policy panicked.
    #[error(
        "the thread of the policy has ended: the policy failed in a way that it does not report"
    )]
    WorkerGone,
    /// The operating system gives no thread.
    #[error("the thread of the policy cannot be started: {0}")]
    Thread(std::io::Error),
}

/// What one tick did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickReport {
    /// Number of the tick in the episode, from 0.
    pub index: u64,
    /// What the policy was told of the arm, or would have been: see
    /// [`proprio`].
    pub proprio: [f32; PROPRIO_DIM],
    /// Measured joints (rad), then the travel of one finger (m).
    pub measured: JointValues,
    /// The action executed, its targets and what cut them.
    pub step: Step,
    /// Whether the policy was asked for a new chunk.
    pub inferred: bool,
    /// Whether a frame was captured for it; the loop's [`frame`](ControlLoop::frame) then is that
    /// one.
    pub captured: bool,
    /// Whether the work of this tick took longer than the control period.
    pub overrun: bool,
    /// How long each stage took.
    pub times: StageTimes,
    /// How the policy's time was spent, where it asked and the policy measures; else zero.
    pub policy_times: PolicyTimes,
}

impl TickReport {
    /// The action executed, in its range.
    #[must_use]
    pub fn action(&self) -> &Row<f32> {
        &self.step.action
    }

    /// The joint targets sent: angles (rad), then the travel of one finger (m).
    #[must_use]
    pub fn joint_targets(&self) -> &JointValues {
        &self.step.joint_targets
    }
}

/// Drives one arm with one policy at a time. After the first ticks of an episode it allocates
/// nothing itself.
#[derive(Debug)]
pub struct ControlLoop {
    arm: ArmDescription,
    config: ControlConfig,
    client: ArmClient,
    /// What an episode needs of its policy; `None` where none is running.
    episode: Option<Driven>,
    frame: Frame,
    telemetry: LoopTelemetry,
    index: u64,
    /// Time without a setpoint after which the arm's firmware holds.
    hold_after_us: u64,
    /// From one action to the next, as the policy of this episode has it.
    period_us: u64,
    next_tick_us: u64,
}

/// A policy's actions and states as the arm has them.
#[derive(Debug)]
struct Driven {
    controller: Controller,
    states: StateReader,
}

impl ControlLoop {
    /// A loop that is not connected yet.
    #[must_use]
    pub fn new(arm: ArmDescription, config: ControlConfig) -> Self {
        Self {
            client: ArmClient::new(&arm),
            episode: None,
            frame: Frame::default(),
            telemetry: LoopTelemetry::default(),
            index: 0,
            hold_after_us: arm.firmware_config().hold_after_us,
            period_us: 0,
            next_tick_us: 0,
            arm,
            config,
        }
    }

    /// Shakes hands with the firmware and arms; see [`ArmClient::connect`]. The arm stays where it
    /// is.
    ///
    /// # Errors
    /// When the board does not answer, was flashed for another arm or version, or is in a fault.
    pub fn connect<B: Board + ?Sized>(&mut self, board: &mut B) -> Result<(), RuntimeError> {
        self.episode = None;
        Ok(self.client.connect(board, self.config.connect_timeout_us)?)
    }

    /// Asks a board to leave its fault state, after what broke was seen to. Connect again
    /// afterwards.
    ///
    /// # Errors
    /// When the link is broken.
    pub fn clear_fault<B: Board + ?Sized>(&mut self, board: &mut B) -> Result<(), RuntimeError> {
        self.episode = None;
        Ok(self.client.clear_fault(board)?)
    }

    /// Begins an episode where the arm is now: hands the policy its instruction and arms anew after
    /// a hold. Ticks then follow each other at the policy's rate.
    ///
    /// # Errors
    /// When the arm cannot be driven, the board's clock or firmware cannot keep the policy's rate,
    /// the policy refuses the instruction, or its actions and states are not those of the arm.
    pub fn begin<B: Board + ?Sized>(
        &mut self,
        board: &mut B,
        policy: &mut dyn Policy,
        instruction: &str,
    ) -> Result<(), RuntimeError> {
        self.episode = None;
        let hz = policy.control_hz().unwrap_or(self.config.control_hz);
        self.period_us = period_us(hz, board.step_us(), self.hold_after_us)?;
        let declared = policy.manifest();
        let space = action_space(
            &self.arm,
            &self.config,
            declared.as_ref().map(|manifest| &manifest.action),
        )?;
        let states = declared.as_ref();
        let states = states.map(|manifest| manifest.observations.states.as_slice());
        let states = StateReader::new(&self.arm, &self.config, states)?;
        policy.begin_episode(instruction)?;
        self.client.arm(board, self.config.connect_timeout_us)?;
        let measured = self.measure(board)?;
        let controller = Controller::begin(space, &measured, policy.chunk_shape())?;
        self.episode = Some(Driven { controller, states });
        self.index = 0;
        self.next_tick_us = board.now_us();
        Ok(())
    }

    /// One tick: reads the arm, asks the policy where its last chunk is used up (capturing a frame
    /// first where it looks), sends the next setpoint, due one control period from now, and waits
    /// for the next tick's time.
    ///
    /// # Errors
    /// Whatever goes wrong ends the episode, and the arm is told to hold.
    pub fn tick<B: Board + ?Sized>(
        &mut self,
        board: &mut B,
        policy: &mut dyn Policy,
    ) -> Result<TickReport, RuntimeError> {
        let mut driven = self.episode.take().ok_or(RuntimeError::NoEpisode)?;
        let report = self.work(board, policy, &mut driven);
        if report.is_err() {
            // Where the link is what failed this cannot help; the firmware then holds for want of
            // setpoints.
            let _ = self.client.hold(board);
        }
        let mut report = report?;
        self.episode = Some(driven);
        let wait = Stopwatch::start();
        self.wait(board, &mut report);
        report.times.wait = wait.time();
        self.telemetry
            .record(&report.times, report.captured, report.inferred);
        self.index += 1;
        Ok(report)
    }

    /// Ends the episode: the arm holds its pose until the next [`begin`](Self::begin).
    ///
    /// # Errors
    /// When the link is broken; the firmware then holds for want of setpoints.
    pub fn end<B: Board + ?Sized>(&mut self, board: &mut B) -> Result<(), RuntimeError> {
        self.episode = None;
        Ok(self.client.hold(board)?)
    }

    /// The frame captured last; empty before the first.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The times of all ticks so far.
    #[must_use]
    pub fn telemetry(&self) -> &LoopTelemetry {
        &self.telemetry
    }

    /// The host's end of the wire, for its counters and the board's own telemetry.
    #[must_use]
    pub fn client(&self) -> &ArmClient {
        &self.client
    }

    /// What actions mean to the arm, with the targets that the last one led to; `None` where no episode is running.
    #[must_use]
    pub fn space(&self) -> Option<&dyn ActionSpace> {
        self.episode
            .as_ref()
            .map(|driven| driven.controller.space())
    }

    /// Everything of a tick but the wait.
    fn work<B: Board + ?Sized>(
        &mut self,
        board: &mut B,
        policy: &mut dyn Policy,
        Driven { controller, states }: &mut Driven,
    ) -> Result<TickReport, RuntimeError> {
        let mut times = StageTimes::default();

        let watch = Stopwatch::start();
        let measured = self.measure(board)?;
        times.measure = watch.time();
        times.link = times.measure;

        let watch = Stopwatch::start();
        let proprio = proprio(&self.arm, &self.config, &measured);
        states.measure(&measured);
        times.proprio = watch.time();
        times.control = times.proprio;

        let inferred = controller.needs_chunk();
        let observed = inferred || policy.keeps_history();
        let captured = observed && policy.needs_frame();
        let mut policy_times = PolicyTimes::default();
        if captured {
            let watch = Stopwatch::start();
            board.capture(&mut self.frame)?;
            times.capture = watch.time();
        }
        if observed {
            let watch = Stopwatch::start();
            let camera = CameraFrame {
                name: FRONT_CAMERA,
                frame: &self.frame,
            };
            let observation = Observation {
                cameras: if captured { &[camera] } else { &[] },
                states: &states.vectors(),
            };
            if inferred {
                policy.act(&observation, controller.chunk_mut())?;
                policy_times = policy.times();
            } else {
                policy.see(&observation)?;
            }
            times.policy = watch.time();
        }

        let watch = Stopwatch::start();
        if inferred {
            controller.accept_chunk(&measured)?;
        }
        let step = controller.step()?;
        times.control += watch.time();

        let watch = Stopwatch::start();
        self.client
            .send_setpoint(board, board.now_us(), self.period_us, &step.joint_targets)?;
        times.link += watch.time();

        let index = self.index;
        Ok(TickReport {
            index,
            proprio,
            measured,
            step,
            inferred,
            captured,
            overrun: false,
            times,
            policy_times,
        })
    }

    /// The measured joints, fresh off the link.
    fn measure<B: Board + ?Sized>(&mut self, board: &mut B) -> Result<JointValues, RuntimeError> {
        let now_us = board.now_us();
        self.client.poll(board, now_us)?;
        self.client
            .check(now_us, self.config.telemetry_timeout_us)?;
        Ok(self.client.positions().ok_or(ArmClientError::NotMeasured)?)
    }

    /// Sleeps until the next tick is due. A late tick moves all later ones: none is hurried to make
    /// up for it.
    fn wait<B: Board + ?Sized>(&mut self, board: &mut B, report: &mut TickReport) {
        self.next_tick_us += self.period_us;
        let now_us = board.now_us();
        if now_us > self.next_tick_us {
            report.overrun = true;
            self.telemetry.record_overrun();
            self.next_tick_us = now_us;
        }
        board.sleep_until(self.next_tick_us);
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
