//! What the board says of itself, and when.

use crate::wire::{BoardMessage, Hello, PROTOCOL_VERSION, Telemetry, encode_board};

use super::board::Board;

/// What is due to be said.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    seq: u32,
    hello_seq: Option<u32>,
    telemetry_due_us: u64,
}

impl Outbox {
    /// Makes a hello due, and telemetry right after it.
    pub fn greet(&mut self, host_seq: u32) {
        self.hello_seq = Some(host_seq);
        self.say_now();
    }

    /// Makes telemetry due.
    pub fn say_now(&mut self) {
        self.telemetry_due_us = 0;
    }
}

impl Board {
    /// The next line that is due, hello before telemetry.
    pub fn report(&mut self, now_us: u64, out: &mut [u8]) -> Option<usize> {
        if let Some(answers) = self.outbox.hello_seq {
            let hello = self.hello(answers, now_us);
            let len = encode_board(&BoardMessage::Hello(hello), out).ok()?;
            self.outbox.hello_seq = None;
            self.outbox.seq = self.outbox.seq.wrapping_add(1);
            return Some(len);
        }
        if now_us < self.outbox.telemetry_due_us {
            return None;
        }
        let telemetry = self.telemetry(now_us);
        let len = encode_board(&BoardMessage::Telemetry(telemetry), out).ok()?;
        self.outbox.seq = self.outbox.seq.wrapping_add(1);
        let period_us = self.config.telemetry_period_us;
        let next_us = self.outbox.telemetry_due_us.saturating_add(period_us);
        // Keeps its rhythm, but does not catch up on lines that nobody called for.
        self.outbox.telemetry_due_us = if next_us > now_us {
            next_us
        } else {
            now_us.saturating_add(period_us)
        };
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
            last_setpoint_seq: self.last_setpoint_seq,
            counters: self.counters,
        }
    }
}
