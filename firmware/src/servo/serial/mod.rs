//! Servos on a half-duplex serial bus: one driver, two protocols.
//!
//! [`SerialServos`] keeps the list of servos, asks them and tells them; a [`Protocol`]
//! ([`Feetech`](super::feetech::Feetech), [`Dynamixel`](super::dynamixel::Dynamixel)) says how that
//! looks on the wire. Bytes go through a [`BusPort`].
//!
//! A control step costs one sync read of everybody's motion, one read of one servo's health (each in
//! its turn), and one sync write of the goals. What a servo did not answer, or answered damaged, is
//! asked for once more by itself. Every wait ends after [`BusOptions::answer_timeout_us`].

mod error;
mod exchange;
mod packet;
mod port;
mod prepare;
mod received;
#[cfg(test)]
pub(crate) mod scripted;
mod servo;

pub use error::{BadServos, BusError};
pub use packet::{
    BROADCAST, Health, Instruction, MAX_DATA, MAX_SERVOS, Motion, Packet, Parsed, Protocol, Status,
    Verdict, bare, read, sync_read, sync_write, write,
};
pub use port::{BusPort, Polled};
pub use servo::{BusServo, ServoModel, Setting};

use core::marker::PhantomData;

use super::{Alerts, ServoBus, ServoState};
use received::Received;

/// How the bus behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusOptions {
    /// Whether the board hears what it says, as where transmit and receive are tied together. Then
    /// every byte sent must come back before an answer.
    pub echo: bool,
    /// Longest wait for the start of an answer, microseconds. A servo answers within 510 us of being
    /// asked; a USB adapter adds a millisecond or, at some drivers' defaults, sixteen.
    pub answer_timeout_us: u32,
    /// How often a servo that did not answer is asked again within one step.
    pub retries: u8,
}

impl Default for BusOptions {
    /// No echo, 2 ms, twice.
    fn default() -> Self {
        Self {
            echo: false,
            answer_timeout_us: 2_000,
            retries: 2,
        }
    }
}

/// No servo turns so far between two steps: who says so must say it twice. A sum of eight bits, as
/// Feetech's, lets one damaged packet in 256 pass.
const FURTHEST_TICKS: u32 = 64;

/// After so many failed turns in a row a servo's health is unknown, and reads fail.
const STALE_TURNS: u8 = 5;

/// A servo and what it last said.
#[derive(Debug, Clone, Copy)]
struct Entry {
    servo: BusServo,
    /// Whether the servo itself is to count backwards.
    backwards: bool,
    /// In this step; `None` until it has answered.
    motion: Option<Motion>,
    /// Where it last was.
    tick: Option<i32>,
    /// Where it said it was, too far from there to be believed at once.
    doubtful_tick: Option<i32>,
    health: Option<Health>,
    /// Failed turns in a row.
    stale: u8,
    alerts: Alerts,
    /// It has complaints and did not say which.
    must_ask: bool,
    /// Between the lowest and the highest supply that it does not complain of, V; `None` until that mattered.
    middle_supply_v: Option<f32>,
    /// Its last answer in this step told of a position that it cannot have.
    impossible: bool,
}

/// An arm of servos on one serial bus.
#[derive(Debug)]
pub struct SerialServos<P, L> {
    port: P,
    options: BusOptions,
    entries: heapless::Vec<Entry, MAX_SERVOS>,
    joints: usize,
    /// Whose turn it is to tell its health.
    turn: usize,
    packet: Packet,
    received: Received,
    /// Whether anything came since the last packet was sent.
    heard: bool,
    protocol: PhantomData<fn() -> L>,
}

impl<P: BusPort, L: Protocol> SerialServos<P, L> {
    /// An arm of these servos. Nothing is sent yet; see [`prepare`](Self::prepare).
    ///
    /// # Errors
    /// When the list makes no sense: see [`BadServos`].
    pub fn new(port: P, servos: &[BusServo], options: BusOptions) -> Result<Self, BadServos> {
        let mut entries = heapless::Vec::<Entry, MAX_SERVOS>::new();
        let mut joints = 0;
        for servo in servos {
            let id = servo.id;
            if !servo.makes_sense() {
                return Err(BadServos::Servo { id });
            }
            if servo.model.is_dynamixel() != L::DRIVE_MODE.is_some() {
                return Err(BadServos::Protocol { id });
            }
            if entries.iter().any(|entry| entry.servo.id == id) {
                return Err(BadServos::DuplicateId { id });
            }
            joints = joints.max(usize::from(servo.joint).saturating_add(1));
            let mut servo = *servo;
            let backwards = L::DRIVE_MODE.is_some() && servo.calibration.reversed;
            servo.calibration.reversed &= !backwards;
            let entry = Entry {
                servo,
                backwards,
                motion: None,
                tick: None,
                doubtful_tick: None,
                health: None,
                stale: 0,
                alerts: Alerts::empty(),
                must_ask: false,
                middle_supply_v: None,
                impossible: false,
            };
            entries.push(entry).map_err(|_| BadServos::Count)?;
        }
        for joint in 0..joints as u8 {
            if !entries.iter().any(|entry| entry.servo.joint == joint) {
                return Err(BadServos::NoServo { joint });
            }
        }
        if entries.is_empty() {
            return Err(BadServos::Count);
        }
        Ok(Self {
            port,
            options,
            entries,
            joints,
            turn: 0,
            packet: Packet::new(),
            received: Received::new(),
            heard: false,
            protocol: PhantomData,
        })
    }

    /// Gives the port back.
    pub fn into_port(self) -> P {
        self.port
    }

    /// What it goes through.
    pub const fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// Whether anything came in answer to the last packet, be it damaged: two servos of one id answer at the same time.
    #[must_use]
    pub const fn heard(&self) -> bool {
        self.heard
    }

    /// How the bus behaves.
    #[must_use]
    pub const fn options(&self) -> BusOptions {
        self.options
    }

    /// Changes how the bus behaves.
    pub const fn set_options(&mut self, options: BusOptions) {
        self.options = options;
    }

    // Reading.

    fn read_motion(&mut self) -> Result<(), BusError<P::Error>> {
        let (address, length) = L::MOTION;
        for entry in &mut self.entries {
            entry.motion = None;
            entry.impossible = false;
        }
        self.packet = Packet::new();
        let ids = self.entries.iter().map(|entry| entry.servo.id);
        sync_read::<L>(&mut self.packet, address, length, ids);
        self.send()?;
        let mut left_us = self.options.answer_timeout_us;
        let mut missing = self.entries.len();
        while missing > 0 {
            let wanted = missing.saturating_mul(L::STATUS_FRAME.saturating_add(length));
            let Some(status) = self.next_status(wanted, &mut left_us)? else {
                break;
            };
            if self.note_motion(&status) {
                missing = missing.saturating_sub(1);
                left_us = self.options.answer_timeout_us;
            }
        }
        self.ask_the_missing(address, length)
    }

    fn ask_the_missing(&mut self, address: u16, length: usize) -> Result<(), BusError<P::Error>> {
        let mut outcome = Ok(());
        for index in 0..self.entries.len() {
            let Some(id) = self.silent(index) else {
                continue;
            };
            for _ in 0..self.options.retries {
                self.packet = Packet::new();
                read::<L>(&mut self.packet, id, address, length);
                match self.ask_once(id, length) {
                    Ok(status) => {
                        self.note_motion(&status);
                        break;
                    }
                    Err(BusError::NoAnswer { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if self.silent(index).is_some() {
                let impossible = self
                    .entries
                    .get(index)
                    .is_some_and(|entry| entry.impossible);
                outcome = outcome.and(Err(if impossible {
                    BusError::Position { id }
                } else {
                    BusError::NoAnswer { id }
                }));
            }
        }
        outcome
    }

    /// The id of a servo that has not told its motion in this step.
    fn silent(&self, index: usize) -> Option<u8> {
        let entry = self.entries.get(index)?;
        entry.motion.is_none().then_some(entry.servo.id)
    }

    /// Whether this was a motion of one of the servos, for the first time in this step.
    fn note_motion(&mut self, status: &Status) -> bool {
        let entry = self
            .entries
            .iter_mut()
            .find(|entry| entry.servo.id == status.id && entry.motion.is_none());
        let Some(entry) = entry else {
            return false;
        };
        let Some(motion) = L::motion(entry.servo.model, &status.data) else {
            entry.impossible = true;
            return false;
        };
        entry.note(L::verdict(status.error));
        entry.believe(motion)
    }

    fn read_health(&mut self) -> Result<(), BusError<P::Error>> {
        let index = self.turn;
        let next = index.saturating_add(1);
        self.turn = if next < self.entries.len() { next } else { 0 };
        let Some(id) = self.entries.get(index).map(|entry| entry.servo.id) else {
            return Ok(());
        };
        let (address, length) = L::HEALTH;
        self.packet = Packet::new();
        read::<L>(&mut self.packet, id, address, length);
        let status = match self.ask_once(id, length) {
            Ok(status) => Some(status),
            Err(BusError::NoAnswer { .. }) => None,
            Err(error) => return Err(error),
        };
        let health = status.and_then(|status| L::health(&status.data));
        let Some(entry) = self.entries.get_mut(index) else {
            return Ok(());
        };
        if health.is_some() {
            entry.health = health;
            entry.stale = 0;
        } else {
            entry.stale = entry.stale.saturating_add(1);
        }
        if entry.stale > STALE_TURNS {
            return Err(BusError::NoAnswer { id });
        }
        // What was complained of may have changed.
        entry.must_ask |= L::verdict(0x80) == Verdict::Ask && !entry.alerts.is_empty();
        Ok(())
    }

    fn read_complaints(&mut self) -> Result<(), BusError<P::Error>> {
        for index in 0..self.entries.len() {
            let asking = self.entries.get(index).filter(|entry| entry.must_ask);
            let Some(id) = asking.map(|entry| entry.servo.id) else {
                continue;
            };
            let register = self.read_registers(id, L::COMPLAINTS, 1)?;
            if let (Some(entry), [register]) = (self.entries.get_mut(index), register.as_slice()) {
                entry.alerts = L::complaints(*register);
                entry.must_ask = false;
            }
        }
        Ok(())
    }

    /// Asks servos that complain of their supply which supply they are made for.
    fn read_supply_limits(&mut self) -> Result<(), BusError<P::Error>> {
        for index in 0..self.entries.len() {
            let asking = self.entries.get(index).filter(|entry| {
                entry.alerts.contains(Alerts::VOLTAGE) && entry.middle_supply_v.is_none()
            });
            let Some(id) = asking.map(|entry| entry.servo.id) else {
                continue;
            };
            let mut sum_dv = 0.0;
            for address in L::SUPPLY_LIMITS {
                let limit = self.read_registers(id, address, 1)?;
                sum_dv += limit.first().copied().map_or(0.0, f32::from);
            }
            if let Some(entry) = self.entries.get_mut(index) {
                entry.middle_supply_v = Some(sum_dv / 20.0);
            }
        }
        Ok(())
    }

    fn joint_state(&self, joint: usize) -> Option<ServoState> {
        let mut of_joint = self
            .entries
            .iter()
            .filter(|entry| usize::from(entry.servo.joint) == joint);
        let mut state = of_joint.next()?.state()?;
        for entry in of_joint {
            let other = entry.state()?;
            if other.load.abs() > state.load.abs() {
                state.load = other.load;
                state.current_a = other.current_a.or(state.current_a);
            }
            state.temperature_c = pick(f32::max, state.temperature_c, other.temperature_c);
            state.voltage_v = pick(f32::min, state.voltage_v, other.voltage_v);
            state.alerts |= other.alerts;
        }
        Some(state)
    }
}

impl Entry {
    /// Takes a motion unless it must be said again.
    fn believe(&mut self, motion: Motion) -> bool {
        let near = |tick: Option<i32>| {
            tick.is_some_and(|tick| tick.abs_diff(motion.tick) <= FURTHEST_TICKS)
        };
        if self.tick.is_some() && !near(self.tick) && !near(self.doubtful_tick) {
            self.doubtful_tick = Some(motion.tick);
            return false;
        }
        self.tick = Some(motion.tick);
        self.doubtful_tick = None;
        self.motion = Some(motion);
        true
    }

    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Done(alerts) => {
                self.alerts = alerts;
                self.must_ask = false;
            }
            Verdict::Ask => self.must_ask |= self.alerts.is_empty(),
            Verdict::Refused(_) => {}
        }
    }

    fn state(&self) -> Option<ServoState> {
        let motion = self.motion?;
        let calibration = &self.servo.calibration;
        let current_a = motion
            .current_a
            .or_else(|| self.health.and_then(|health| health.current_a));
        Some(ServoState {
            position: calibration.position(motion.tick),
            velocity: calibration.velocity(motion.tick, motion.ticks_per_s),
            load: calibration.signed_as_joint(motion.load),
            current_a: current_a.map(|current_a| calibration.signed_as_joint(current_a)),
            temperature_c: self.health.map(|health| health.temperature_c),
            voltage_v: self.health.map(|health| health.voltage_v),
            alerts: self.told_alerts(),
        })
    }

    /// The alerts, with a supply that is too strong told apart from one that is too weak.
    fn told_alerts(&self) -> Alerts {
        let too_strong = match (self.health, self.middle_supply_v) {
            (Some(health), Some(middle_v)) => health.voltage_v > middle_v,
            _ => false,
        };
        if too_strong && self.alerts.contains(Alerts::VOLTAGE) {
            self.alerts
                .difference(Alerts::VOLTAGE)
                .union(Alerts::OVERVOLTAGE)
        } else {
            self.alerts
        }
    }
}

/// The worse of two values, where there are two.
fn pick(worse: fn(f32, f32) -> f32, a: Option<f32>, b: Option<f32>) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(worse(a, b)),
        (one, other) => one.or(other),
    }
}

impl<P: BusPort, L: Protocol> ServoBus for SerialServos<P, L> {
    type Error = BusError<P::Error>;

    /// Where a joint has several servos, its position is the first one's, its load the greatest, and
    /// the rest is the worst of them.
    fn read(&mut self, states: &mut [ServoState]) -> Result<(), Self::Error> {
        if states.len() != self.joints {
            return Err(BusError::JointCount);
        }
        self.read_motion()?;
        self.read_health()?;
        self.read_complaints()?;
        self.read_supply_limits()?;
        for (joint, state) in states.iter_mut().enumerate() {
            *state = self.joint_state(joint).ok_or(BusError::JointCount)?;
        }
        Ok(())
    }

    /// Sends one packet that nobody answers: whether all have got it shows in what they do.
    fn write(&mut self, goals: &[f32]) -> Result<(), Self::Error> {
        if goals.len() != self.joints {
            return Err(BusError::JointCount);
        }
        if !goals.iter().all(|goal| goal.is_finite()) {
            return Err(BusError::NotFinite);
        }
        self.packet = Packet::new();
        let parts = self.entries.iter().filter_map(|Entry { servo, .. }| {
            let goal = goals.get(usize::from(servo.joint))?;
            Some((servo.id, L::goal(servo, servo.calibration.tick(*goal))))
        });
        sync_write::<L, _>(&mut self.packet, L::GOAL, size_of::<L::Goal>(), parts);
        self.send()
    }

    /// Tells every servo by itself, whatever becomes of the others, and returns the first error.
    fn set_torque(&mut self, on: bool) -> Result<(), Self::Error> {
        let mut outcome = Ok(());
        for index in 0..self.entries.len() {
            let Some(servo) = self.entries.get(index).map(|entry| entry.servo) else {
                continue;
            };
            let (address, limit) = L::torque_limit(&servo);
            if on {
                outcome = outcome.and(self.write_registers(servo.id, address, &limit));
            }
            let torque = [u8::from(on)];
            outcome = outcome.and(self.write_registers(servo.id, L::TORQUE_ENABLE, &torque));
        }
        outcome
    }
}
