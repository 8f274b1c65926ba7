//! What the two protocols of bus servos have in common: instructions out, status packets in.

use heapless::Vec;

use super::servo::{BusServo, ServoModel, Setting};
use crate::servo::Alerts;

/// Most servos on one bus: every joint with two.
pub const MAX_SERVOS: usize = 16;

/// Longest packet to servos: a sync write of 7 bytes each to all of them, with its frame.
const MAX_PACKET: usize = 160;

/// Most data in a status packet.
pub const MAX_DATA: usize = 32;

/// Every servo on the bus.
pub const BROADCAST: u8 = 0xfe;

/// What is asked of servos. The numbers are the same in both protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Are you there?
    Ping = 0x01,
    /// Read registers of one servo.
    Read = 0x02,
    /// Write registers of one servo.
    Write = 0x03,
    /// Start anew, as if power had come back.
    Reboot = 0x08,
    /// Read the same registers of several servos, which answer one after the other.
    SyncRead = 0x82,
    /// Write the same registers of several servos, none of which answers.
    SyncWrite = 0x83,
}

/// A packet to servos, as it grows.
#[derive(Debug, Clone, Default)]
pub struct Packet {
    bytes: Vec<u8, MAX_PACKET>,
    too_long: bool,
}

impl Packet {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            too_long: false,
        }
    }

    /// Appends bytes as they are. One byte too many and the packet is no good; see
    /// [`bytes`](Self::bytes).
    pub fn push(&mut self, bytes: &[u8]) {
        self.too_long |= self.bytes.extend_from_slice(bytes).is_err();
    }

    /// Its bytes, unless there were too many.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        (!self.too_long).then_some(self.bytes.as_slice())
    }

    /// What is there so far, to be changed.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// A status packet: what one servo said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Whose.
    pub id: u8,
    /// The status byte as it came; what it means is the protocol's matter.
    pub error: u8,
    /// Registers that were asked for.
    pub data: Vec<u8, MAX_DATA>,
}

/// What stands at the front of received bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Perhaps the start of a packet.
    Incomplete,
    /// So many bytes that are no part of one.
    Garbage(usize),
    /// Something that would be a packet but for its check sum; so many bytes can be dropped.
    Damaged(usize),
    /// A packet of so many bytes.
    Packet(usize, Status),
}

/// How a servo moves, in its own frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Motion {
    /// Position.
    pub tick: i32,
    /// Velocity.
    pub ticks_per_s: f32,
    /// 1 at the most the servo can give.
    pub load: f32,
    /// Signed as the load; `None` where the servo does not say, or not here.
    pub current_a: Option<f32>,
}

/// How a servo feels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Health {
    /// Supply.
    pub voltage_v: f32,
    /// Inside.
    pub temperature_c: f32,
    /// `None` where the servo does not say, or says it in its motion.
    pub current_a: Option<f32>,
}

/// What a status byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done; these are the servo's complaints.
    Done(Alerts),
    /// Done, and the servo has complaints: they stand in [`Protocol::COMPLAINTS`].
    Ask,
    /// Not done, for the reason of this number.
    Refused(u8),
}

/// How servos are talked to, and which registers hold what.
pub trait Protocol {
    /// Bytes of a status packet besides its data.
    const STATUS_FRAME: usize;
    /// Where the model number stands: two bytes.
    const MODEL: u16;
    /// Where torque is switched on and off: one byte.
    const TORQUE_ENABLE: u16;
    /// Registers that say how the servo moves: first address and length.
    const MOTION: (u16, usize);
    /// Registers that say how it feels.
    const HEALTH: (u16, usize);
    /// Where complaints stand when a status byte only says that there are some: one byte.
    const COMPLAINTS: u16;
    /// Where the highest and the lowest supply that a servo does not complain of are held, tenths of a volt, one byte each.
    const SUPPLY_LIMITS: [u16; 2];
    /// Where the offset is held that a servo takes off (or adds to) what its encoder says.
    const HOMING_OFFSET: u16;
    /// Where a servo is made to count whole turns, and by which bit, if it can: one byte. Its positions then leave the turn that
    /// an arm is calibrated in.
    const MULTI_TURN: Option<(u16, u8)>;
    /// Where goals are written.
    const GOAL: u16;
    /// Where 1 makes a servo count backwards by itself, if it can: one byte.
    const DRIVE_MODE: Option<u16>;
    /// What every servo must be set to.
    const SETTINGS: &'static [Setting];
    /// Where 0 lets registers that survive without power be written, and 1 does not.
    const LOCK: Option<u16>;
    /// Registers below this address survive without power.
    const EEPROM_END: u16;
    /// What a goal is on the wire.
    type Goal: AsRef<[u8]>;

    /// Starts a packet.
    fn begin(packet: &mut Packet, id: u8, instruction: Instruction);
    /// Appends a parameter that is an address or a length.
    fn number(packet: &mut Packet, number: u16);
    /// Appends data.
    fn data(packet: &mut Packet, data: &[u8]);
    /// Completes the packet.
    fn end(packet: &mut Packet);
    /// Looks at the front of what was received. Any bytes are survived.
    fn parse(bytes: &[u8]) -> Parsed;

    /// What a servo is told to do.
    fn goal(servo: &BusServo, tick: u16) -> Self::Goal;
    /// Where the greatest torque is set, and to what.
    fn torque_limit(servo: &BusServo) -> (u16, [u8; 2]);
    /// Where the greatest speed is set, unless every goal carries it.
    fn speed_limit(servo: &BusServo) -> Option<Setting>;
    /// Registers of [`MOTION`](Self::MOTION).
    fn motion(model: ServoModel, data: &[u8]) -> Option<Motion>;
    /// The offset, ticks, that the register at [`HOMING_OFFSET`](Self::HOMING_OFFSET) holds.
    fn offset(register: u32) -> i32;
    /// Registers of [`HEALTH`](Self::HEALTH).
    fn health(data: &[u8]) -> Option<Health>;
    /// A status byte.
    fn verdict(error: u8) -> Verdict;
    /// The register of [`COMPLAINTS`](Self::COMPLAINTS).
    fn complaints(register: u8) -> Alerts;
}

/// A whole instruction packet that reads `length` registers from `address` on.
pub fn read<L: Protocol>(packet: &mut Packet, id: u8, address: u16, length: usize) {
    L::begin(packet, id, Instruction::Read);
    L::number(packet, address);
    L::number(packet, length as u16);
    L::end(packet);
}

/// A whole instruction packet that writes `data` from `address` on.
pub fn write<L: Protocol>(packet: &mut Packet, id: u8, address: u16, data: &[u8]) {
    L::begin(packet, id, Instruction::Write);
    L::number(packet, address);
    L::data(packet, data);
    L::end(packet);
}

/// A whole instruction packet without parameters.
pub fn bare<L: Protocol>(packet: &mut Packet, id: u8, instruction: Instruction) {
    L::begin(packet, id, instruction);
    L::end(packet);
}

/// A whole instruction packet that reads `length` registers from `address` on of every servo.
pub fn sync_read<L: Protocol>(
    packet: &mut Packet,
    address: u16,
    length: usize,
    ids: impl Iterator<Item = u8>,
) {
    L::begin(packet, BROADCAST, Instruction::SyncRead);
    L::number(packet, address);
    L::number(packet, length as u16);
    ids.for_each(|id| L::data(packet, &[id]));
    L::end(packet);
}

/// A whole instruction packet that writes `length` registers from `address` on of every servo.
pub fn sync_write<L: Protocol, D: AsRef<[u8]>>(
    packet: &mut Packet,
    address: u16,
    length: usize,
    parts: impl Iterator<Item = (u8, D)>,
) {
    L::begin(packet, BROADCAST, Instruction::SyncWrite);
    L::number(packet, address);
    L::number(packet, length as u16);
    for (id, data) in parts {
        L::data(packet, &[id]);
        L::data(packet, data.as_ref());
    }
    L::end(packet);
}
