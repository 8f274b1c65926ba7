//! An arm's kit on a table: servos on a bus, joints that a hand moves, and what can be wrong with them, in virtual time.
//!
//! A program puts a [`Kit`] behind a pseudo-terminal, and its [commands](Kit::obey) do what the person at the table does: plug servos
//! in, move joints, switch the supply.

mod command;
mod hand;

pub use command::KitError;

use wink_runtime::arm::{ArmDescription, ArmServos};

use crate::bus::{BusServo, ServoBus};
use crate::servos::Servos;
use crate::setup::Setup;
use hand::Hand;

/// So far a hand goes on after a program has asked the servos something, as one that watches what the program shows.
const WATCHED_US: u64 = 10_000;
/// A program that has asked nothing for so long shows nothing, and a hand moves as it likes.
const UNWATCHED_US: u64 = 2_000_000;
/// The longest time that is made up for: a computer that was busy with other things does not make joints leap.
const MOST_LATE_US: u64 = 100_000;

/// Where the encoders of a kit stand when its joints are at zero: servos come out of their box in any position, so that the
/// encoder's seam lies anywhere on a joint's way.
const MOUNTED_AT: [f64; 8] = [3500.0, 300.0, 1200.0, 2900.0, 4000.0, 700.0, 1900.0, 3100.0];

/// What there is to see of one joint and its servo.
#[derive(Debug, Clone, PartialEq)]
pub struct KitJoint {
    /// The joint's name.
    pub name: String,
    /// The servo's id.
    pub id: u8,
    /// Whether it is plugged in.
    pub plugged: bool,
    /// Whether its torque is on.
    pub torque: bool,
    /// The homing offset that it holds, ticks.
    pub homing_offset: i32,
    /// Where the joint is, rad or m.
    pub position: f64,
}

/// A kit of servos and joints.
pub struct Kit {
    bus: ServoBus,
    joints: Servos,
    /// In wire order, one for each servo of the bus.
    names: Vec<String>,
    hands: Vec<Hand>,
    substep_us: u64,
    due_us: u64,
    /// By which answers are late on their way to the host.
    latency_us: u64,
    had_torque: Vec<bool>,
    torque_switches: u32,
    /// Time that has passed since the host was last heard.
    silence_us: u64,
}

impl Kit {
    /// An arm that is built up and whose servos have their ids, without a calibration. `None` for an arm that does not have one bus
    /// servo on each joint.
    #[must_use]
    pub fn assembled(setup: &'static Setup, arm: &ArmDescription) -> Option<Self> {
        let Some(ArmServos::Bus { servos, .. }) = arm.servos() else {
            return None;
        };
        if servos.len() != arm.wire_joints() || servos.len() > MOUNTED_AT.len() {
            return None;
        }
        let mut bus = ServoBus::for_arm(arm)?;
        for (index, tick) in MOUNTED_AT.iter().enumerate().take(servos.len()) {
            if let Some(servo) = bus.servo_mut(index) {
                servo.mount(*tick);
            }
        }
        let mut joints = Servos::new(setup, arm);
        bus.exchange(&mut joints);
        let count = servos.len();
        Some(Self {
            bus,
            joints,
            names: arm.wire_names().map(str::to_owned).collect(),
            hands: vec![Hand::default(); count],
            substep_us: setup.substep_us,
            due_us: 0,
            latency_us: 0,
            had_torque: vec![false; count],
            torque_switches: 0,
            silence_us: 0,
        })
    }

    /// As [`assembled`](Self::assembled), out of the box: every servo has the id 1 and its maker's speed, and none is plugged in.
    #[must_use]
    pub fn fresh(setup: &'static Setup, arm: &ArmDescription) -> Option<Self> {
        let mut kit = Self::assembled(setup, arm)?;
        for index in 0..kit.names.len() {
            if let Some(servo) = kit.bus.servo_mut(index) {
                servo.unpack();
                servo.faults_mut().unplugged = true;
            }
        }
        Some(kit)
    }

    /// At which speed the adapter's line runs from now on, bits a second.
    pub fn set_baud(&mut self, baud: u32) {
        self.bus.set_baud(baud);
    }

    /// Takes bytes that the host has sent.
    pub fn receive(&mut self, now_us: u64, bytes: &[u8]) {
        self.bus.receive(now_us, bytes);
        self.silence_us = 0;
    }

    /// Appends every byte for the host that is there by now.
    pub fn send(&mut self, now_us: u64, out: &mut Vec<u8>) {
        self.bus.send(now_us.saturating_sub(self.latency_us), out);
    }

    /// When the next byte for the host is there, if any is on its way.
    #[must_use]
    pub fn next_due_us(&self) -> Option<u64> {
        let due_us = self.bus.next_due_us()?;
        Some(due_us + self.latency_us)
    }

    /// Lets servos and hands move joints until `now_us`.
    pub fn pass(&mut self, now_us: u64) {
        self.due_us = self.due_us.max(now_us.saturating_sub(MOST_LATE_US));
        while self.due_us <= now_us {
            self.due_us += self.substep_us;
            self.silence_us += self.substep_us;
            if !(WATCHED_US..UNWATCHED_US).contains(&self.silence_us) {
                self.move_by_hand();
            }
            self.bus.exchange(&mut self.joints);
            let steps = self.joints.drive();
            self.joints.advance(&steps);
            self.count_torque();
        }
    }

    /// Whether a hand is still moving a joint.
    #[must_use]
    pub fn is_handled(&self) -> bool {
        self.hands.iter().any(Hand::is_busy)
    }

    /// How often the torque of a servo was switched on.
    #[must_use]
    pub const fn torque_switches(&self) -> u32 {
        self.torque_switches
    }

    /// What there is to see.
    #[must_use]
    pub fn look(&self) -> Vec<KitJoint> {
        self.names
            .iter()
            .zip(self.bus.servos())
            .enumerate()
            .map(|(joint, (name, servo))| KitJoint {
                name: name.clone(),
                id: servo.id(),
                plugged: servo.is_plugged(),
                torque: servo.has_torque(),
                homing_offset: servo.homing_offset(),
                position: self.joints.position(joint),
            })
            .collect()
    }

    fn move_by_hand(&mut self) {
        for (joint, hand) in self.hands.iter_mut().enumerate() {
            if let Some(position) = hand.step(self.joints.position(joint), self.substep_us) {
                self.joints.move_by_hand(joint, position);
            }
        }
    }

    fn count_torque(&mut self) {
        for (had, servo) in self.had_torque.iter_mut().zip(self.bus.servos()) {
            let has = servo.has_torque();
            self.torque_switches += u32::from(has && !*had);
            *had = has;
        }
    }

    fn servo(&mut self, joint: usize) -> Result<&mut BusServo, KitError> {
        self.bus
            .servo_mut(joint)
            .ok_or_else(|| KitError::Joint(joint.to_string()))
    }
}
