//! A board for tests: the real firmware core, servos that do what they are told at once, and a link
//! that can be spoilt.

#![allow(clippy::unwrap_used, reason = "a test may fail")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nalgebra::{Isometry3, Vector3};

use wink_firmware::servo::{ServoBus, ServoState};
use wink_firmware::wire::MAX_LINE;
use wink_firmware::{Config, Core};
use wink_runtime::arm::{ArmDescription, Link, LinkError};
use wink_runtime::camera::{Camera, CameraError, Frame, Freshness};
use wink_runtime::clock::Clock;
use wink_runtime::control::{ACTION_DIM, ControlConfig, EndEffectorUnits, Workspace};
use wink_runtime::policy::{ActionChunk, ChunkShape, Observation, Policy, PolicyError};

/// Rate of policies that take any.
pub const CONTROL_HZ: f64 = 50.0;

/// Time between two firmware ticks.
pub const FIRMWARE_TICK_US: u64 = 10_000;

/// The arm that is driven.
pub fn arm() -> ArmDescription {
    ArmDescription::from_toml(include_str!("../../../boards/arms/wx250s.toml")).unwrap()
}

/// Where it stands, and the units of its actions.
pub fn control_config() -> ControlConfig {
    ControlConfig::new(
        Isometry3::translation(-0.25, 0.7, 0.1),
        Workspace {
            min_m: Vector3::new(-0.2, 0.2, 0.0),
            max_m: Vector3::new(0.5, 1.2, 0.6),
        },
        EndEffectorUnits {
            translation_m: 0.1,
            rotation_rad: 0.1,
            finger_distance_m: 0.08,
        },
        CONTROL_HZ,
    )
}

pub struct MockBoard {
    pub core: Core,
    pub servos: PerfectServos,
    /// How far the board's clock is ahead of the host's.
    pub board_ahead_us: u64,
    /// Garbage is put into both directions of the link.
    pub noise: Option<Noise>,
    /// Nothing of the board reaches the host.
    pub mute: bool,
    /// Nothing reaches the other end of the link, in either direction.
    pub cut_off: bool,
    /// Writing to the link takes so long.
    pub write_us: u64,
    /// Taking a picture takes so long.
    pub capture_us: u64,
    /// Pictures are so old when they come.
    pub frame_age_us: u64,
    /// The camera fails.
    pub blind: bool,
    /// The camera streams and tells how fresh its frames are.
    pub streams: bool,
    /// So many of its pictures in a row are equal.
    pub repeated: u64,
    /// The link is gone.
    pub unplugged: bool,
    /// Time from one firmware tick to the next.
    pub step_us: u64,
    /// Time that has passed while the host did something else; the firmware catches up at the host's next look.
    pub elapsed_us: Arc<AtomicU64>,
    now_us: u64,
    to_host: VecDeque<u8>,
}

impl MockBoard {
    pub fn new() -> Self {
        Self::with_config(arm().firmware_config())
    }

    /// Of another arm.
    pub fn of(arm: &ArmDescription) -> Self {
        Self {
            servos: PerfectServos::at_home(arm),
            ..Self::with_config(arm.firmware_config())
        }
    }

    pub fn with_config(config: Config) -> Self {
        Self {
            core: Core::new(config).unwrap(),
            servos: PerfectServos::at_home(&arm()),
            board_ahead_us: 0,
            noise: None,
            mute: false,
            cut_off: false,
            write_us: 0,
            capture_us: 0,
            frame_age_us: 0,
            blind: false,
            streams: false,
            repeated: 0,
            unplugged: false,
            step_us: FIRMWARE_TICK_US,
            elapsed_us: Arc::default(),
            now_us: 0,
            to_host: VecDeque::with_capacity(1 << 16),
        }
    }

    pub fn board_time_us(&self) -> u64 {
        self.now_us + self.board_ahead_us
    }

    /// Restarts the firmware; its clock begins anew.
    pub fn restart(&mut self) {
        self.core = Core::new(arm().firmware_config()).unwrap();
        self.board_ahead_us = 0;
    }

    /// Lets the firmware run for the time that passed meanwhile.
    fn catch_up(&mut self) {
        let until_us = self.now_us();
        self.elapsed_us.store(0, Ordering::Relaxed);
        while self.now_us < until_us {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now_us += self.step_us;
        let time_us = self.board_time_us();
        self.core.tick(time_us, &mut self.servos);
        let mut line = [0; MAX_LINE];
        while let Some(count) = self.core.telemetry(time_us, &mut line) {
            if !self.mute && !self.cut_off {
                self.to_host.extend(&line[..count]);
                if let Some(noise) = &mut self.noise {
                    self.to_host.extend(noise.bytes());
                }
            }
        }
    }
}

impl Clock for MockBoard {
    fn now_us(&self) -> u64 {
        self.now_us + self.elapsed_us.load(Ordering::Relaxed)
    }

    fn step_us(&self) -> u64 {
        self.step_us
    }

    fn sleep_until(&mut self, time_us: u64) {
        self.catch_up();
        while self.now_us < time_us {
            self.tick();
        }
    }
}

impl Link for MockBoard {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.unplugged {
            return Err(LinkError::Closed);
        }
        self.catch_up();
        self.sleep_until(self.now_us + self.write_us);
        if self.cut_off {
            return Ok(());
        }
        let time_us = self.board_time_us();
        if let Some(noise) = &mut self.noise {
            self.core.receive(&noise.bytes(), time_us);
        }
        self.core.receive(bytes, time_us);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        if self.unplugged {
            return Err(LinkError::Closed);
        }
        self.catch_up();
        let count = buffer.len().min(self.to_host.len());
        for (slot, byte) in buffer.iter_mut().zip(self.to_host.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }
}

impl Camera for MockBoard {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        if self.blind {
            return Err(CameraError::TimedOut { waited_us: 1_000 });
        }
        frame.resize(4, 3);
        frame.rgb.fill(7);
        frame.time_us = self.now_us.saturating_sub(self.frame_age_us);
        self.sleep_until(self.now_us + self.capture_us);
        Ok(())
    }

    fn freshness(&self) -> Freshness {
        Freshness {
            newest_us: self
                .streams
                .then(|| self.now_us.saturating_sub(self.frame_age_us)),
            repeated: self.repeated,
            repeated_us: self.repeated * 50_000,
        }
    }
}

/// Servos that are where they shall be as soon as they are told.
pub struct PerfectServos {
    pub positions: Vec<f32>,
    pub torque: bool,
    /// The furthest that one of them moved from one firmware tick to the next.
    pub leap: f32,
    /// Reading them fails.
    pub broken: bool,
    /// As hot as they say they are.
    pub temperature_c: Option<f32>,
}

impl PerfectServos {
    fn at_home(arm: &ArmDescription) -> Self {
        let positions = arm.wire_home().iter().map(|at| *at as f32).collect();
        Self {
            positions,
            torque: false,
            leap: 0.0,
            broken: false,
            temperature_c: None,
        }
    }
}

#[derive(Debug)]
pub struct Broken;

impl ServoBus for PerfectServos {
    type Error = Broken;

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Broken> {
        if self.broken {
            return Err(Broken);
        }
        for (state, position) in states.iter_mut().zip(&self.positions) {
            *state = ServoState {
                position: *position,
                temperature_c: self.temperature_c,
                ..ServoState::default()
            };
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), Broken> {
        if self.broken {
            return Err(Broken);
        }
        for (position, goal) in self.positions.iter_mut().zip(goals) {
            self.leap = self.leap.max((goal - *position).abs());
            *position = *goal;
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), Broken> {
        self.torque = on;
        Ok(())
    }
}

/// Seeded garbage: any bytes, newlines and braces among them.
pub struct Noise {
    state: u64,
}

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 40;
        (0..length).map(|_| self.next()).collect()
    }

    /// Xorshift64* (Vigna 2016).
    fn next(&mut self) -> u8 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 56) as u8
    }
}

/// Gives the same action for ever.
pub struct Constant {
    pub action: [f32; ACTION_DIM],
    pub shape: ChunkShape,
    pub hz: Option<f64>,
    /// An inference takes so long, on the clock of the board that shares its `elapsed_us`.
    pub inference_us: u64,
    pub elapsed_us: Arc<AtomicU64>,
    pub looks: bool,
    pub asked: usize,
    pub saw_frame: bool,
    pub instruction: String,
}

impl Constant {
    pub fn new(action: [f32; ACTION_DIM]) -> Self {
        let shape = ChunkShape {
            steps: 4,
            execute: 2,
            dim: ACTION_DIM,
        };
        Self {
            action,
            shape,
            hz: Some(20.0),
            inference_us: 0,
            elapsed_us: Arc::default(),
            looks: false,
            asked: 0,
            saw_frame: false,
            instruction: String::new(),
        }
    }
}

impl Policy for Constant {
    fn begin_episode(&mut self, instruction: &str) -> Result<(), PolicyError> {
        self.asked = 0;
        self.instruction.clear();
        self.instruction.push_str(instruction);
        if instruction.is_empty() {
            Err(PolicyError::EmptyInstruction)
        } else {
            Ok(())
        }
    }

    fn act(
        &mut self,
        observation: &Observation<'_>,
        out: &mut ActionChunk,
    ) -> Result<(), PolicyError> {
        self.asked += 1;
        self.elapsed_us
            .fetch_add(self.inference_us, Ordering::Relaxed);
        self.saw_frame = !observation.cameras.is_empty();
        out.reset(self.shape.steps, self.shape.dim);
        for step in out.data.chunks_exact_mut(ACTION_DIM) {
            step.copy_from_slice(&self.action);
        }
        Ok(())
    }

    fn needs_frame(&self) -> bool {
        self.looks
    }

    fn chunk_shape(&self) -> ChunkShape {
        self.shape
    }

    fn control_hz(&self) -> Option<f64> {
        self.hz
    }
}
