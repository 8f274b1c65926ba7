//! The line that all servos share: which servo hears what, which answers, and when.

use std::collections::VecDeque;

use super::faults::{LineNoise, ServoFaults};
use super::instruction::{Action, BROADCAST, Framed, Instruction};
use super::servo::BusServo;
use super::{dynamixel, feetech};
use crate::servos::Servos;

/// The speed of a line of which nothing else is said, bits a second.
const BAUD: u32 = 1_000_000;
/// A packet whose next byte does not come for so long is given up.
const IDLE_US: u64 = 5_000;
/// Between two servos' answers to a sync read.
const GAP_US: u64 = 2;

/// What came over the line so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusCounters {
    /// Good packets from the board.
    pub packets: u64,
    /// Packets whose check sum was wrong.
    pub damaged: u64,
    /// Bytes that were part of no packet.
    pub garbage_bytes: u64,
    /// Status packets sent.
    pub answers: u64,
}

/// A bus of simulated servos, all of one protocol.
#[derive(Debug, Clone)]
pub struct ServoBus {
    servos: Vec<BusServo>,
    received: Vec<u8>,
    received_us: u64,
    /// Bytes on their way to the board, each with the time at which it is there; in order of time.
    answers: VecDeque<(u64, u8)>,
    line_free_us: u64,
    baud: u32,
    echo: bool,
    noise: LineNoise,
    counters: BusCounters,
}

impl ServoBus {
    /// A bus with these servos, without noise, that does not repeat to the board what the board says.
    ///
    /// Servos of one id answer at the same time, and what the board hears is what is left of both.
    ///
    /// # Panics
    /// When the servos speak different protocols.
    #[must_use]
    pub fn new(servos: impl IntoIterator<Item = BusServo>) -> Self {
        let servos: Vec<BusServo> = servos.into_iter().collect();
        for (index, servo) in servos.iter().enumerate() {
            let others = &servos[..index];
            assert!(
                others
                    .iter()
                    .all(|other| other.model.is_dynamixel() == servo.model.is_dynamixel()),
                "servos of two protocols on one bus"
            );
        }
        Self {
            servos,
            received: vec![],
            received_us: 0,
            answers: VecDeque::new(),
            line_free_us: 0,
            baud: BAUD,
            echo: false,
            noise: LineNoise::none(),
            counters: BusCounters::default(),
        }
    }

    /// Whether the board hears itself, as on an adapter that ties both directions to one wire.
    pub fn set_echo(&mut self, echo: bool) {
        self.echo = echo;
    }

    /// At which speed the board talks and listens from now on, bits a second; 1 Mbaud at first. Servos that are set to another
    /// speed understand nothing and say nothing.
    pub fn set_baud(&mut self, baud: u32) {
        self.baud = baud;
    }

    /// The time that one byte of ten bits takes.
    pub(super) fn byte_us(&self) -> u64 {
        (10_000_000 / u64::from(self.baud.max(1))).max(1)
    }

    /// Damages bytes from now on.
    pub fn set_noise(&mut self, noise: LineNoise) {
        self.noise = noise;
    }

    /// What is wrong with the servo of this id, to be changed.
    pub fn faults_mut(&mut self, id: u8) -> Option<&mut ServoFaults> {
        self.servos
            .iter_mut()
            .find(|servo| servo.id() == id)
            .map(|servo| &mut servo.faults)
    }

    /// A servo by its place on the bus, to be changed.
    pub fn servo_mut(&mut self, index: usize) -> Option<&mut BusServo> {
        self.servos.get_mut(index)
    }

    /// All servos lose their power and get it back.
    pub fn power_cycle(&mut self) {
        self.servos.iter_mut().for_each(BusServo::power_cycle);
        self.received.clear();
        self.answers.clear();
    }

    /// One servo loses its power and gets it back.
    pub fn power_cycle_servo(&mut self, id: u8) {
        if let Some(servo) = self.servos.iter_mut().find(|servo| servo.id() == id) {
            servo.power_cycle();
        }
    }

    /// The servos.
    #[must_use]
    pub fn servos(&self) -> &[BusServo] {
        &self.servos
    }

    /// What came over the line so far.
    #[must_use]
    pub const fn counters(&self) -> BusCounters {
        self.counters
    }

    /// Takes bytes that the board has sent, the last of which arrived at `now_us`. Times never go back.
    pub fn receive(&mut self, now_us: u64, bytes: &[u8]) {
        if now_us > self.received_us + IDLE_US && !self.received.is_empty() {
            self.counters.garbage_bytes += self.received.len() as u64;
            self.received.clear();
        }
        self.received_us = now_us;
        if self.echo {
            for byte in bytes {
                let heard = self.noise.towards_board(*byte);
                self.answers.push_back((now_us, heard));
            }
        }
        for byte in bytes {
            let heard = self.noise.towards_servos(*byte);
            self.received.push(heard);
        }
        self.line_free_us = self.line_free_us.max(now_us);
        self.read_packets();
    }

    /// Appends every byte that is complete at `now_us` to `out`.
    pub fn send(&mut self, now_us: u64, out: &mut Vec<u8>) {
        while let Some((due_us, byte)) = self.answers.front().copied() {
            if due_us > now_us {
                break;
            }
            out.push(byte);
            self.answers.pop_front();
        }
    }

    /// When the next byte for the board is complete, if any is on its way.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        self.answers.front().map(|(due_us, _)| *due_us)
    }

    /// Lets the servos feel the joints they are on, and the joints the servos. Call it once for every step of the physics.
    ///
    /// A joint with two servos is driven by the first of them that has torque.
    pub fn exchange(&mut self, joints: &mut Servos) {
        for servo in &mut self.servos {
            let Some(coupling) = servo.coupling else {
                continue;
            };
            let position = joints.position(coupling.joint);
            let rate = coupling.tick_rate(position, joints.velocity(coupling.joint));
            let tick = coupling.tick(position);
            let effort = match servo.model.motor() {
                Some(motor) => {
                    let gap = joints.resisted_gap(coupling.joint);
                    let gap_ticks = gap.map(|gap| coupling.tick(position + gap) - tick);
                    servo.exert(motor, rate, gap_ticks)
                }
                None => {
                    let load = joints.load(coupling.joint);
                    let load = if coupling.reversed { -load } else { load };
                    servo.strain(load)
                }
            };
            servo.feel(tick, rate, effort);
        }
        for joint in 0..joints.count() {
            let driver = self.servos.iter().find_map(|servo| {
                let coupling = servo.coupling.filter(|coupling| coupling.joint == joint)?;
                servo
                    .has_torque()
                    .then(|| coupling.position(servo.goal_encoder()))
            });
            joints.drive_joint(joint, driver);
        }
    }

    fn read_packets(&mut self) {
        let dynamixel = self
            .servos
            .first()
            .is_some_and(|servo| servo.model.is_dynamixel());
        loop {
            let framed = if dynamixel {
                dynamixel::frame(&self.received)
            } else {
                feetech::frame(&self.received)
            };
            match framed {
                Framed::Incomplete => return,
                Framed::Garbage(length) => {
                    self.counters.garbage_bytes += length as u64;
                    self.received.drain(..length);
                }
                Framed::Damaged(length) => {
                    self.counters.damaged += 1;
                    self.received.drain(..length);
                }
                Framed::Packet(length, instruction) => {
                    self.counters.packets += 1;
                    self.received.drain(..length);
                    self.obey(&instruction);
                }
            }
        }
    }

    fn obey(&mut self, instruction: &Instruction) {
        match &instruction.action {
            Action::SyncWrite { address, parts } => {
                let baud = self.baud;
                for servo in self.servos.iter_mut().filter(|servo| servo.hears(baud)) {
                    if let Some(data) = servo.sync_part(parts) {
                        servo.write(*address, data);
                    }
                }
            }
            Action::SyncRead {
                address,
                length,
                ids,
            } => {
                for id in ids {
                    self.answer_sync_read(*id, *address, *length);
                }
            }
            action => {
                let mut answers = vec![];
                for index in 0..self.servos.len() {
                    let servo = &self.servos[index];
                    let meant = servo.is_meant(instruction.id);
                    let Some(own) = meant.filter(|_| servo.hears(self.baud)) else {
                        continue;
                    };
                    let (status, data) = self.servos[index].obey(action);
                    let answer = (index, status, data);
                    if own {
                        answers.push(answer);
                    } else if instruction.id == BROADCAST && *action == Action::Ping {
                        self.answer(&[answer]);
                    }
                }
                self.answer(&answers);
            }
        }
    }

    fn answer_sync_read(&mut self, id: u8, address: usize, length: usize) {
        let asked = self
            .servos
            .iter()
            .enumerate()
            .filter(|(_, servo)| servo.id() == id && servo.hears(self.baud));
        let answers: Vec<_> = asked
            .map(|(index, servo)| {
                let (status, data) = servo.sync_read(address, length);
                (index, status, data)
            })
            .collect();
        if answers.is_empty() {
            // The others wait for as long as its answer would have taken.
            self.line_free_us += (length as u64 + 6) * self.byte_us();
        }
        self.answer(&answers);
    }

    /// Sends what servos (by their place on the bus) say at the same time: a status byte and data each.
    fn answer(&mut self, answers: &[(usize, u8, Vec<u8>)]) {
        let Some(first) = answers.first().map(|(index, ..)| &self.servos[*index]) else {
            return;
        };
        let start_us = self.line_free_us + first.return_delay_us() + GAP_US;
        let late_us = first.faults.late_us;
        let mut line: Vec<u8> = vec![];
        let mut longest = 0;
        for (index, status, data) in answers {
            let servo = &self.servos[*index];
            let id = servo.faults.answers_as.unwrap_or_else(|| servo.id());
            let bytes = if servo.model.is_dynamixel() {
                dynamixel::status(id, *status, data)
            } else {
                feetech::status(id, *status, data)
            };
            longest = longest.max(bytes.len());
            if servo.faults.mute {
                continue;
            }
            self.counters.answers += 1;
            line.resize(line.len().max(bytes.len()), 0xff);
            // A line that rests high carries a 0 wherever any servo pulls it low.
            for (heard, said) in line.iter_mut().zip(bytes) {
                *heard &= said;
            }
        }
        self.line_free_us = start_us + longest as u64 * self.byte_us();
        for (count, byte) in (1..).zip(line) {
            let due_us = start_us + late_us + count * self.byte_us();
            let heard = self.noise.towards_board(byte);
            let at = self.answers.partition_point(|(other, _)| *other <= due_us);
            self.answers.insert(at, (due_us, heard));
        }
    }
}
