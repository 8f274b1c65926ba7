//! The simulated board: camera, wire and clock in front of the real firmware core, simulated servos behind it.

use crate::bus::{BusEnd, ServoBus};
use crate::moving::CardSpeed;
use crate::outcome::{Outcome, Truth};
use crate::render::{Appearance, RenderError, Window};
use crate::scene::Scene;
use crate::servos::Servos;
use crate::setup;
use crate::table::Table;
use crate::workcell::Workcell;
use std::collections::VecDeque;
use std::io::Read;
use wink_firmware::config::{ConfigError, JointGuard};
use wink_firmware::servo::feetech::FeetechServos;
use wink_firmware::servo::serial::BusOptions;
use wink_firmware::wire::MAX_LINE;
use wink_firmware::{Config, Core};
use wink_runtime::arm::{ArmDescription, ArmServos, Link, LinkError};
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::clock::Clock;

/// How the board is set up.
#[derive(Debug, Clone, PartialEq)]
pub struct SimOptions {
    /// How the world looks.
    pub appearance: Appearance,
    /// Width and height of the frames; `None` for those of each camera.
    pub frame_px: Option<(u32, u32)>,
    /// The part of the frames that is drawn, where not all of it is wanted.
    pub window: Option<Window>,
    /// How fast the cards move.
    pub card_speed: CardSpeed,
    /// Whether the arm starts as a real one does: torque after setpoints at rate, a first target far away approached slowly. The
    /// benchmark's episodes start without.
    pub hardware_start: bool,
}

impl Default for SimOptions {
    /// The benchmark's appearance, each camera's own frames, standing cards.
    fn default() -> Self {
        Self {
            appearance: Appearance::benchmark(),
            frame_px: None,
            window: None,
            card_speed: CardSpeed::STANDING,
            hardware_start: false,
        }
    }
}

/// Why a simulated board cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The firmware core refuses the arm's limits.
    #[error("the firmware refuses this arm: {0}")]
    Firmware(ConfigError),
    /// The servos of the arm's file cannot be set up.
    #[error("the simulated servos of this arm cannot be set up: {0}")]
    Servos(String),
    /// The picture cannot be drawn.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// The limits of the arm's servos, without those that spare a real one's gears and windings: the benchmark's servos have
/// neither, and its gripper squeezes as hard as it can.
fn ideal(mut config: Config) -> Config {
    for joint in &mut config.joints {
        joint.jerk = f32::INFINITY;
    }
    for guard in &mut config.guards {
        *guard = JointGuard::OFF;
    }
    config
}

/// What the firmware core commands.
enum Drives {
    /// The joints themselves.
    Ideal,
    /// STS3215 servos on their bus.
    Feetech(Box<FeetechServos<BusEnd>>),
}

impl Drives {
    /// The bus servos of an arm's file, set up as its driver does it, on these joints.
    fn bus(arm: &ArmDescription, joints: &mut Servos) -> Result<Self, SimError> {
        let refused = |error: &dyn std::fmt::Display| SimError::Servos(error.to_string());
        let none = || refused(&"its file names no servos on a Feetech bus");
        let Some(ArmServos::Bus { servos, settings }) = arm.servos() else {
            return Err(none());
        };
        let mut bus = ServoBus::for_arm(arm).ok_or_else(none)?;
        bus.exchange(joints);
        let mut driver = FeetechServos::new(BusEnd::new(bus), servos, BusOptions::default())
            .map_err(|error| refused(&error))?;
        driver.prepare(settings).map_err(|error| refused(&error))?;
        Ok(Self::Feetech(Box::new(driver)))
    }

    /// A step of the firmware: it reads and commands the joints.
    fn tick(&mut self, core: &mut Core, now_us: u64, joints: &mut Servos) {
        match self {
            Self::Ideal => {
                core.tick(now_us, joints);
            }
            Self::Feetech(driver) => {
                driver.port_mut().sleep_until(now_us);
                driver.port_mut().bus_mut().exchange(joints);
                core.tick(now_us, &mut **driver);
                driver.port_mut().bus_mut().exchange(joints);
            }
        }
    }
}

/// Bytes of telemetry kept when the host does not read; the oldest are dropped, as in a serial port's buffer.
const OUTBOX_BYTES: usize = 64 * 1024;

/// The table, its arm and its camera as one board. Time passes only in [`Clock::sleep_until`].
pub struct SimBoard {
    cell: Workcell,
    core: Core,
    drives: Drives,
    outbox: VecDeque<u8>,
    line: Box<[u8; MAX_LINE]>,
}

impl SimBoard {
    /// A board for an episode of the benchmark, with the arm at home, disarmed, at time 0.
    ///
    /// # Errors
    /// When the firmware refuses the arm.
    pub fn new(scene: &Scene, options: SimOptions) -> Result<Self, SimError> {
        Self::with_table(Table::from(scene), options)
    }

    /// A board with any table.
    ///
    /// # Errors
    /// When the firmware refuses the arm.
    pub fn with_table(table: Table, options: SimOptions) -> Result<Self, SimError> {
        let (setup, arm) = (table.setup, table.setup.arm());
        let config = arm.hardware_config();
        let hardware_start = options.hardware_start;
        let starts: Vec<f32> = config.guards.iter().map(|guard| guard.start).collect();
        let mut cell = Workcell::new(table, options);
        let (mut config, drives) = match setup.drives {
            setup::Drives::Ideal => (ideal(config), Drives::Ideal),
            setup::Drives::Bus => (config, Drives::bus(&arm, cell.servos_mut())?),
        };
        if !hardware_start {
            config.proof = None;
        }
        for (guard, start) in config.guards.iter_mut().zip(starts) {
            guard.start = if hardware_start { start } else { f32::INFINITY };
        }
        Ok(Self {
            cell,
            drives,
            core: Core::new(config).map_err(SimError::Firmware)?,
            outbox: VecDeque::with_capacity(4 * MAX_LINE),
            line: Box::new([0; MAX_LINE]),
        })
    }

    /// The table as it was laid.
    #[must_use]
    pub const fn table(&self) -> &Table {
        self.cell.table()
    }

    /// The true state of the table.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.cell.truth()
    }

    /// How things stand, and what has happened so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.cell.outcome()
    }

    /// What the firmware is doing.
    #[must_use]
    pub fn firmware_state(&self) -> wink_firmware::State {
        self.core.state()
    }

    /// How deep each finger sinks into the cube, metres: how far the contact is from a hard one.
    #[must_use]
    pub fn finger_penetration_m(&self) -> [f64; 2] {
        self.cell.finger_penetration_m()
    }

    /// A digest over every state that the episode has gone through, bit for bit.
    #[must_use]
    pub const fn state_hash(&self) -> u64 {
        self.cell.state_hash()
    }

    /// Draws the table as it is now.
    ///
    /// # Errors
    /// When the frame size cannot be drawn.
    pub fn render(&mut self, frame: &mut Frame) -> Result<(), RenderError> {
        self.cell.render(frame)
    }

    /// Draws what one of the cell's cameras sees now, by its place among them.
    ///
    /// # Errors
    /// When the frame size cannot be drawn, or there is no such camera.
    pub fn render_camera(&mut self, place: usize, frame: &mut Frame) -> Result<(), RenderError> {
        self.cell.render_camera(place, frame)
    }

    fn substep(&mut self) {
        let now_us = self.cell.now_us();
        self.drives
            .tick(&mut self.core, now_us, self.cell.servos_mut());
        while let Some(length) = self.core.telemetry(now_us, &mut self.line[..]) {
            self.outbox.extend(&self.line[..length]);
        }
        let excess = self.outbox.len().saturating_sub(OUTBOX_BYTES);
        self.outbox.drain(..excess);
        self.cell.substep();
    }
}

impl Camera for SimBoard {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        self.render(frame).map_err(|error| CameraError::Device {
            message: error.to_string(),
        })
    }
}

impl Link for SimBoard {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.core.receive(bytes, self.cell.now_us());
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        Ok(self.outbox.read(buffer)?)
    }
}

impl Clock for SimBoard {
    fn now_us(&self) -> u64 {
        self.cell.now_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        while self.cell.now_us() < time_us {
            self.substep();
        }
    }

    fn step_us(&self) -> u64 {
        self.cell.substep_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Split;
    use wink_firmware::State;
    use wink_firmware::wire::{BoardMessage, BoardReader};
    use wink_runtime::arm::{ArmClient, Target};

    fn board() -> SimBoard {
        SimBoard::new(&Scene::new(Split::Val, 0), SimOptions::default()).unwrap()
    }

    #[test]
    fn time_passes_in_whole_substeps_and_never_back() {
        let mut board = board();
        for (until, now) in [
            (0, 0),
            (1, 10_000),
            (10_000, 10_000),
            (5_000, 10_000),
            (60_000, 60_000),
        ] {
            board.sleep_until(until);
            assert_eq!(board.now_us(), now);
        }
    }

    #[test]
    fn the_real_firmware_is_behind_the_wire() {
        let mut board = board();
        assert_eq!(board.firmware_state(), State::Disarmed);
        let mut client = ArmClient::new(&crate::arm());
        client.connect(&mut board, 1_000_000).unwrap();
        assert_eq!(board.firmware_state(), State::Armed);
        let mut targets = client.positions().unwrap();
        targets[0] += 0.2;
        for _ in 0..20 {
            let now_us = board.now_us();
            client
                .send_setpoint(&mut board, now_us, 50_000, &targets, Target::New)
                .unwrap();
            board.sleep_until(now_us + 50_000);
            client.poll(&mut board, now_us + 50_000).unwrap();
        }
        let turned = board.truth().joint_angles[0];
        assert!((turned - 0.2).abs() < 0.002, "{turned}");
        let measured = client.positions().unwrap()[0];
        assert!((measured - turned).abs() < 0.002, "{measured}");
        // No more setpoints: the firmware holds.
        board.sleep_until(board.now_us() + 300_000);
        assert_eq!(board.firmware_state(), State::Holding);
    }

    #[test]
    fn garbage_on_the_wire_moves_nothing() {
        let mut board = board();
        let mut bytes = vec![];
        for index in 0..5000_u32 {
            bytes.push((index.wrapping_mul(2_654_435_761) >> 24) as u8);
        }
        board.write(&bytes).unwrap();
        board.sleep_until(1_000_000);
        assert_eq!(board.truth().joint_angles, crate::arm().home());
        ArmClient::new(&crate::arm())
            .connect(&mut board, 1_000_000)
            .unwrap();
    }

    #[test]
    fn telemetry_that_nobody_reads_is_dropped_from_the_front() {
        let mut board = board();
        ArmClient::new(&crate::arm())
            .connect(&mut board, 1_000_000)
            .unwrap();
        board.sleep_until(60_000_000);
        assert!(board.outbox.len() <= OUTBOX_BYTES, "{}", board.outbox.len());
        // A link may hand over what it has in pieces.
        let (mut all, mut piece) = (vec![], vec![0; OUTBOX_BYTES]);
        loop {
            let count = board.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&piece[..count]);
        }
        assert!(all.len() > OUTBOX_BYTES - MAX_LINE, "{}", all.len());
        assert!(all.ends_with(b"\n"));
        let (mut lines, mut newest_us) = (0, 0);
        BoardReader::new().push(&all, |read| {
            lines += 1;
            if let Ok(BoardMessage::Telemetry(telemetry)) = read {
                newest_us = telemetry.time_us;
            }
        });
        assert!(lines > 100 && newest_us > 59_900_000, "{lines} {newest_us}");
    }

    #[test]
    fn frames_have_the_size_asked_for() {
        let scene = Scene::new(Split::Val, 0);
        let options = SimOptions {
            frame_px: Some((64, 48)),
            ..SimOptions::default()
        };
        let mut board = SimBoard::new(&scene, options).unwrap();
        board.sleep_until(20_000);
        let mut frame = Frame::default();
        board.capture(&mut frame).unwrap();
        assert!(frame.is_consistent());
        assert_eq!((frame.width, frame.height, frame.time_us), (64, 48, 20_000));
        let options = SimOptions {
            frame_px: Some((0, 48)),
            ..SimOptions::default()
        };
        let error = SimBoard::new(&scene, options)
            .unwrap()
            .capture(&mut frame)
            .unwrap_err();
        assert!(error.to_string().contains("0 x 48"), "{error}");
    }
}
