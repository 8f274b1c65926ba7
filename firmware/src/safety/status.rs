//! What the board says of itself, and when.

use crate::JointVec;
use crate::config::Config;
use crate::servo::ServoState;
use crate::wire::{
    BoardMessage, Capabilities, Health, Hello, PROTOCOL_VERSION, Pong, Telemetry, encode_board,
};

use super::board::Board;

/// A ping that is to be answered.
#[derive(Debug, Clone, Copy)]
struct Ping {
    host_time_us: u64,
    received_us: u64,
}

/// What is due to be said.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    seq: u32,
    hello_seq: Option<u32>,
    ping: Option<Ping>,
    telemetry_due_us: u64,
    health_due_us: u64,
}

impl Outbox {
    /// Makes a hello due, and telemetry right after it.
    pub fn greet(&mut self, host_seq: u32) {
        self.hello_seq = Some(host_seq);
        self.say_now();
    }

    /// Makes a pong due. A ping that comes before it went out takes its place.
    pub fn answer(&mut self, host_time_us: u64, received_us: u64) {
        self.ping = Some(Ping {
            host_time_us,
            received_us,
        });
    }

    /// Makes telemetry and health due.
    pub fn say_now(&mut self) {
        self.telemetry_due_us = 0;
        self.health_due_us = 0;
    }
}

impl Board {
    /// The next line that is due: hello, pong, telemetry, health.
    pub fn report(&mut self, now_us: u64, out: &mut [u8]) -> Option<usize> {
        if let Some(answers) = self.outbox.hello_seq {
            let len = self.send(&BoardMessage::Hello(self.hello(answers, now_us)), out)?;
            self.outbox.hello_seq = None;
            return Some(len);
        }
        if let Some(ping) = self.outbox.ping {
            let pong = Pong {
                seq: self.outbox.seq,
                host_time_us: ping.host_time_us,
                received_us: ping.received_us,
                time_us: now_us,
            };
            let len = self.send(&BoardMessage::Pong(pong), out)?;
            self.outbox.ping = None;
            return Some(len);
        }
        if now_us >= self.outbox.telemetry_due_us {
            let len = self.send(&BoardMessage::Telemetry(self.telemetry(now_us)), out)?;
            let due_us = &mut self.outbox.telemetry_due_us;
            *due_us = next_due(*due_us, self.config.telemetry_period_us, now_us);
            return Some(len);
        }
        if now_us >= self.outbox.health_due_us {
            let len = self.send(&BoardMessage::Health(self.health(now_us)), out)?;
            let due_us = &mut self.outbox.health_due_us;
            *due_us = next_due(*due_us, self.config.health_period_us, now_us);
            self.longest_tick_us = 0;
            return Some(len);
        }
        None
    }

    fn send(&mut self, message: &BoardMessage, out: &mut [u8]) -> Option<usize> {
        let len = encode_board(message, out).ok()?;
        self.outbox.seq = self.outbox.seq.wrapping_add(1);
        Some(len)
    }

    fn hello(&self, answers: u32, time_us: u64) -> Hello {
        Hello {
            seq: self.outbox.seq,
            answers,
            version: PROTOCOL_VERSION,
            joints: self.config.joints.len() as u8,
            description_hash: self.config.description_hash,
            time_us,
            refused: self.session.unwrap_or_default(),
            arm: self.config.arm.clone(),
            image: self.config.image.clone(),
            capabilities: capabilities(&self.config),
        }
    }

    fn telemetry(&self, time_us: u64) -> Telemetry {
        Telemetry {
            seq: self.outbox.seq,
            time_us,
            state: self.state,
            hold: self.hold,
            fault: self.fault,
            positions: self.each_measured(|servo| servo.position),
            velocities: self.each_measured(|servo| servo.velocity),
            loads: self.each_measured(|servo| servo.load),
            speed: self.speed_now(),
            last_setpoint_seq: self.last_setpoint_seq,
            counters: self.counters,
        }
    }

    fn health(&self, time_us: u64) -> Health {
        let mut alerts = heapless::Vec::new();
        for (servo, _) in self.measured.iter().zip(&self.config.joints) {
            // There are no more joints than it holds.
            let _ = alerts.push(servo.alerts);
        }
        Health {
            seq: self.outbox.seq,
            time_us,
            temperatures_c: self.each_measured(|servo| servo.temperature_c.unwrap_or(f32::NAN)),
            voltages_v: self.each_measured(|servo| servo.voltage_v.unwrap_or(f32::NAN)),
            currents_a: self.each_measured(|servo| servo.current_a.unwrap_or(f32::NAN)),
            alerts,
            ticks: self.ticks,
            longest_tick_us: self.longest_tick_us,
        }
    }

    /// One measured value per joint.
    fn each_measured(&self, value: impl Fn(&ServoState) -> f32) -> JointVec {
        let mut values = JointVec::new();
        for (measured, _) in self.measured.iter().zip(&self.config.joints) {
            // There are no more joints than a `JointVec` holds.
            let _ = values.push(value(measured));
        }
        values
    }
}

/// When something that comes every period is due next: it keeps its rhythm where it can, but does not catch up on what was
/// missed.
#[must_use]
pub fn next_due(due_us: u64, period_us: u64, now_us: u64) -> u64 {
    let next_us = due_us.saturating_add(period_us);
    if next_us > now_us {
        next_us
    } else {
        now_us.saturating_add(period_us)
    }
}

fn capabilities(config: &Config) -> Capabilities {
    let mut can = Capabilities::empty();
    can.set(Capabilities::FEEDBACK, config.feedback);
    can.set(Capabilities::PROOF_OF_LIFE, config.proof.is_some());
    can.set(Capabilities::WORKSPACE, config.workspace.is_some());
    can.set(Capabilities::STOP_INPUT, config.stop_input);
    can.set(Capabilities::VOLTAGE_GUARD, config.min_voltage_v > 0.0);
    for joint in &config.joints {
        can.set(
            Capabilities::JERK_LIMIT,
            can.contains(Capabilities::JERK_LIMIT) || joint.jerk.is_finite(),
        );
    }
    for guard in &config.guards {
        for (capability, has) in [
            (Capabilities::TORQUE_CAP, guard.torque.is_finite()),
            (Capabilities::STALL_GUARD, guard.stall.is_some()),
            (
                Capabilities::TEMPERATURE_GUARD,
                guard.max_temperature_c.is_finite(),
            ),
            (Capabilities::START_GUARD, guard.start.is_finite()),
        ] {
            can.set(capability, can.contains(capability) || has);
        }
    }
    can
}
