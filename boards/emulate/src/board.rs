//! The emulated board: camera, link and clock in front of the image, the simulated table behind it.

use std::collections::VecDeque;
use std::io::Read;

use wink_firmware::wire::{BoardMessage, BoardReader, State, Telemetry};
use wink_runtime::arm::{Link, LinkError};
use wink_runtime::camera::{Camera, CameraError, Frame};
use wink_runtime::clock::Clock;
use wink_sim::bus::{LineNoise, ServoBus, ServoFaults};
use wink_sim::render::RenderError;
use wink_sim::{Outcome, Scene, SimOptions, Table, Truth, Workcell};

use crate::machine::{Feed, Machine};
use crate::witness::Witness;
use crate::{Emulator, EmulatorError, Image, Images, LinkNoise};

/// An answer that is further off than this comes too late for the board. A board without a clock is given it once it is due.
const IN_TIME_US: u64 = 3_000;
/// One byte at 1 Mbaud.
const BYTE_US: u64 = 10;
/// Bytes for the host that are kept; the oldest are dropped, as in a serial port's buffer.
const OUTBOX_BYTES: usize = 64 * 1024;
/// A board that was just powered does not listen yet.
const BOOT_US: u64 = 50_000;
/// Exchanges without any time passing after which the board is taken to be stuck.
const MOST_STANDSTILL: u32 = 2_000;

/// What can be made to go wrong. The board is left to itself with all of it.
pub trait Faults {
    /// What is wrong with the servo of this id, to be changed.
    fn servo(&mut self, id: u8) -> Option<&mut ServoFaults>;
    /// Damages bytes on the servo bus from now on.
    fn set_bus_noise(&mut self, noise: LineNoise);
    /// Damages bytes between host and board from now on.
    fn set_link_noise(&mut self, noise: LinkNoise);
    /// Takes the supply away for a moment: from the board, and from its servos as well where `servos` says so.
    ///
    /// # Errors
    /// When the emulator has ended.
    fn brown_out(&mut self, servos: bool) -> Result<(), EmulatorError>;
    /// Lets the board's program hang as after a hard fault; `false` where the emulator cannot.
    ///
    /// # Errors
    /// When the emulator has ended, or the image has no handler of hard faults.
    fn hang(&mut self) -> Result<bool, EmulatorError>;
}

/// The table behind an image in its emulator. Time passes only in [`Clock::sleep_until`].
pub struct EmulatedBoard {
    machine: Box<dyn Machine>,
    image: Image,
    cell: Workcell,
    bus: ServoBus,
    /// World time as far as the board's clock tells.
    now_us: u64,
    /// World time at which the board's clock was zero.
    origin_us: u64,
    /// Time on the bus, which its traffic takes forward where the board's clock is known only now and then.
    bus_us: u64,
    to_board: Vec<u8>,
    /// On its way from the servos to the board: microseconds from now, and the byte.
    from_servos: Vec<(u64, u8)>,
    /// The same, too late for the board, with the time on the bus.
    from_servos_late: VecDeque<(u64, u8)>,
    outbox: VecDeque<u8>,
    listener: BoardReader,
    telemetry: Option<Telemetry>,
    noise: LinkNoise,
    witness: Witness,
    failure: Option<EmulatorError>,
}

impl EmulatedBoard {
    /// The scene's table with its arm at home, and the board with that arm's image powered for as long as it takes to start.
    ///
    /// # Errors
    /// When the arm has no servos on a bus, the image was not built, or its emulator is not installed or does not start.
    pub fn new(
        emulator: Emulator,
        images: &Images,
        scene: &Scene,
        options: SimOptions,
    ) -> Result<Self, EmulatorError> {
        let (name, arm) = (scene.setup.name, scene.setup.arm());
        let bus = ServoBus::for_arm(&arm).ok_or(EmulatorError::NoBus { arm: name })?;
        let (machine, image) = emulator.start(name, images)?;
        let mut board = Self {
            machine,
            image,
            cell: Workcell::new(Table::from(scene), options),
            bus,
            now_us: 0,
            origin_us: 0,
            bus_us: 0,
            to_board: vec![],
            from_servos: vec![],
            from_servos_late: VecDeque::new(),
            outbox: VecDeque::new(),
            listener: BoardReader::new(),
            telemetry: None,
            noise: LinkNoise::none(),
            witness: Witness::new(&arm, scene.setup.substep_us),
            failure: None,
        };
        // The servos feel their joints before anybody asks.
        board.bus.exchange(board.cell.servos_mut());
        board.sleep_until(BOOT_US);
        match board.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(board),
        }
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

    /// A digest over every state that the table has gone through, bit for bit.
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

    /// What the board said last, undamaged.
    #[must_use]
    pub fn telemetry(&self) -> Option<&Telemetry> {
        self.telemetry.as_ref()
    }

    /// What the board is doing, by what it said last.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.telemetry.as_ref().map(|telemetry| telemetry.state)
    }

    /// What the arm did.
    pub const fn witness(&mut self) -> &mut Witness {
        &mut self.witness
    }

    /// What went over the servo bus.
    #[must_use]
    pub const fn bus(&self) -> &ServoBus {
        &self.bus
    }

    /// The emulator's failure, where it failed. The world then goes on without a board.
    #[must_use]
    pub const fn failure(&self) -> Option<&EmulatorError> {
        self.failure.as_ref()
    }

    /// The same, handed over. The world then stands still.
    pub fn take_failure(&mut self) -> Option<EmulatorError> {
        self.failure.take()
    }

    /// Takes one servo's supply away and gives it back.
    pub fn restart_servo(&mut self, id: u8) {
        self.bus.power_cycle_servo(id);
    }

    /// The words of a variable in the board's memory, by its symbol.
    ///
    /// # Errors
    /// When the emulator has ended, or the image has no such symbol.
    pub fn variable(&mut self, name: &str) -> Result<Vec<u32>, EmulatorError> {
        let (address, size) = self.symbol(name)?;
        self.words(address, size)
    }

    /// The words of the board's stack as it is now, from its end (where it must not reach) to its start.
    ///
    /// # Errors
    /// When the emulator has ended, or the image does not tell where its stack is.
    pub fn stack(&mut self) -> Result<Vec<u32>, EmulatorError> {
        let (end, _) = self.symbol("_stack_end")?;
        let (start, _) = self.symbol("_stack_start")?;
        self.words(end, start.saturating_sub(end) as usize)
    }

    fn symbol(&self, name: &str) -> Result<(u32, usize), EmulatorError> {
        self.image
            .symbol(name)
            .ok_or_else(|| EmulatorError::BadImage {
                path: self.image.path().to_owned(),
                why: format!("it has no symbol {name}"),
            })
    }

    fn words(&mut self, address: u32, size: usize) -> Result<Vec<u32>, EmulatorError> {
        let bytes = self.machine.peek(address, size)?;
        let words = bytes.chunks_exact(4);
        Ok(words
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect())
    }

    /// Lets the board run until it has told its servos something, or the next step of the physics is due.
    fn pass(&mut self) -> Result<(), EmulatorError> {
        let due_us = (self.cell.now_us() + self.cell.substep_us()).saturating_sub(self.now_us);
        let to_board = std::mem::take(&mut self.to_board);
        let from_servos = std::mem::take(&mut self.from_servos);
        let feed = Feed {
            host: &to_board,
            servo: &from_servos,
        };
        let heard = self.machine.exchange(feed, due_us.max(1))?;
        if let Some(passed_us) = heard.passed_us {
            self.now_us += passed_us;
        }
        self.hear_board(heard.host, heard.passed_us.is_some());
        self.hear_bus(&heard.servo, heard.passed_us.is_some());
        while self.cell.now_us() + self.cell.substep_us() <= self.now_us {
            self.step();
        }
        Ok(())
    }

    /// One step of the physics.
    fn step(&mut self) {
        self.bus.exchange(self.cell.servos_mut());
        self.cell.substep();
        self.witness.look(self.cell.servos(), &self.bus);
    }

    /// Reads the lines for the host before anything happens to them.
    fn hear_board(&mut self, mut bytes: Vec<u8>, has_clock: bool) {
        let Self {
            listener,
            telemetry,
            now_us,
            origin_us,
            ..
        } = self;
        listener.push(&bytes, |message| {
            if let Ok(BoardMessage::Telemetry(heard)) = message {
                if !has_clock {
                    *now_us = (*now_us).max(*origin_us + heard.time_us);
                }
                *telemetry = Some(heard);
            }
        });
        self.noise.towards_host(&mut bytes);
        self.outbox.extend(bytes);
        let excess = self.outbox.len().saturating_sub(OUTBOX_BYTES);
        self.outbox.drain(..excess);
    }

    fn hear_bus(&mut self, bytes: &[u8], has_clock: bool) {
        let asked_us = if has_clock {
            self.now_us
        } else {
            self.now_us.max(self.bus_us)
        };
        if !bytes.is_empty() {
            let sent_us = asked_us + bytes.len() as u64 * BYTE_US;
            self.bus.receive(sent_us, bytes);
            self.bus_us = sent_us;
        }
        self.hear_late_answers(asked_us);
        let mut byte = vec![];
        while let Some(due_us) = self.bus.next_due_us() {
            self.bus.send(due_us, &mut byte);
            let after_us = due_us.saturating_sub(asked_us);
            let bytes = byte.drain(..);
            if has_clock {
                self.from_servos.extend(bytes.map(|byte| (after_us, byte)));
            } else if after_us <= IN_TIME_US {
                // The board's next packet comes after the answers that it waited for.
                self.bus_us = self.bus_us.max(due_us);
                self.from_servos.extend(bytes.map(|byte| (after_us, byte)));
            } else {
                self.from_servos_late
                    .extend(bytes.map(|byte| (due_us, byte)));
            }
        }
    }

    fn hear_late_answers(&mut self, now_us: u64) {
        while let Some((_, byte)) = self
            .from_servos_late
            .pop_front_if(|(due_us, _)| *due_us <= now_us)
        {
            self.from_servos.push((0, byte));
        }
    }

    /// The board is gone; the world goes on.
    fn fail(&mut self, error: EmulatorError) {
        self.failure.get_or_insert(error);
    }
}

impl Faults for EmulatedBoard {
    fn servo(&mut self, id: u8) -> Option<&mut ServoFaults> {
        self.bus.faults_mut(id)
    }

    fn set_bus_noise(&mut self, noise: LineNoise) {
        self.bus.set_noise(noise);
    }

    fn set_link_noise(&mut self, noise: LinkNoise) {
        self.noise = noise;
    }

    fn brown_out(&mut self, servos: bool) -> Result<(), EmulatorError> {
        self.machine.power_cycle()?;
        if servos {
            self.bus.power_cycle();
        }
        self.to_board.clear();
        self.from_servos.clear();
        self.from_servos_late.clear();
        self.listener = BoardReader::new();
        self.telemetry = None;
        self.origin_us = self.now_us;
        Ok(())
    }

    fn hang(&mut self) -> Result<bool, EmulatorError> {
        let (address, _) = self.symbol("HardFault_")?;
        self.machine.jump(address)
    }
}

impl Camera for EmulatedBoard {
    fn capture(&mut self, frame: &mut Frame) -> Result<(), CameraError> {
        self.render(frame).map_err(|error| CameraError::Device {
            message: error.to_string(),
        })
    }
}

impl Link for EmulatedBoard {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.failure.is_some() {
            return Err(LinkError::Closed);
        }
        let mut bytes = bytes.to_vec();
        self.noise.towards_board(&mut bytes);
        self.to_board.extend(bytes);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        if self.failure.is_some() && self.outbox.is_empty() {
            return Err(LinkError::Closed);
        }
        Ok(self.outbox.read(buffer)?)
    }
}

impl Clock for EmulatedBoard {
    fn now_us(&self) -> u64 {
        self.cell.now_us()
    }

    fn step_us(&self) -> u64 {
        self.cell.substep_us()
    }

    fn sleep_until(&mut self, time_us: u64) {
        let (mut seen_us, mut standstill) = (self.now_us, 0);
        while self.cell.now_us() < time_us {
            if self.failure.is_some() {
                self.step();
                continue;
            }
            if let Err(error) = self.pass() {
                self.fail(error);
            }
            standstill = if self.now_us > seen_us {
                0
            } else {
                standstill + 1
            };
            seen_us = self.now_us;
            if standstill > MOST_STANDSTILL {
                self.fail(EmulatorError::Protocol {
                    program: "the board",
                    what: "its clock stands still".to_owned(),
                });
            }
        }
    }
}
