//! What the host knows of a board, from what the board said since the hello.

use wink_firmware::wire::{BoardMessage, Hello, HoldReason, State, Telemetry};

use super::WIRE_JOINTS;
use super::board_time::BoardTime;

/// What went over the link so far. What the board itself refused stands in [`Telemetry::counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Setpoints sent.
    pub setpoints: u64,
    /// Telemetry lines read.
    pub telemetry: u64,
    /// Board messages that never arrived, by the gaps in their numbers.
    pub lost: u64,
    /// Lines from the board that were damaged (garbage, CRC, length) or did not fit this arm.
    pub bad_lines: u64,
}

/// What is known of the board since the last hello.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub first_hello_seq: u32,
    pub hello: Option<Hello>,
    pub last_board_seq: u32,
    pub telemetry: Option<Telemetry>,
    pub heard_us: u64,
    pub board_time: BoardTime,
    pub armed: bool,
    /// A hold or disarm was sent and not taken back by arming.
    pub stopped: bool,
    /// Board times before and after it went backwards.
    pub restarted: Option<(u64, u64)>,
}

impl Session {
    pub fn heard(&mut self, message: BoardMessage, now_us: u64, counters: &mut ClientCounters) {
        match message {
            BoardMessage::Hello(hello) => self.heard_hello(hello, now_us),
            // What an earlier session left in the pipe tells nothing about this one.
            BoardMessage::Telemetry(_) if self.hello.is_none() => {}
            BoardMessage::Telemetry(telemetry) => self.heard_telemetry(telemetry, now_us, counters),
        }
    }

    fn heard_hello(&mut self, hello: Hello, now_us: u64) {
        /// More hellos than a handshake ever sends: an older answer is another session's.
        const MOST_HELLOS: u32 = 1_000;
        if hello.answers.wrapping_sub(self.first_hello_seq) >= MOST_HELLOS {
            return;
        }
        self.last_board_seq = hello.seq;
        self.board_time.heard(hello.time_us, now_us);
        // A second answer comes where the first was late; it says the same.
        self.hello.get_or_insert(hello);
    }

    fn heard_telemetry(
        &mut self,
        telemetry: Telemetry,
        now_us: u64,
        counters: &mut ClientCounters,
    ) {
        if telemetry.positions.len() != WIRE_JOINTS {
            counters.bad_lines += 1;
            return;
        }
        if let Some(before) = self
            .telemetry
            .as_ref()
            .filter(|before| telemetry.time_us < before.time_us)
        {
            self.restarted = Some((before.time_us, telemetry.time_us));
            return;
        }
        counters.telemetry += 1;
        counters.lost += u64::from(
            telemetry
                .seq
                .wrapping_sub(self.last_board_seq)
                .saturating_sub(1),
        );
        self.last_board_seq = telemetry.seq;
        self.board_time.heard(telemetry.time_us, now_us);
        self.heard_us = now_us;
        self.telemetry = Some(telemetry);
    }

    pub fn positions(&self) -> Option<[f64; WIRE_JOINTS]> {
        let measured = &self.telemetry.as_ref()?.positions;
        let mut positions = [f64::NAN; WIRE_JOINTS];
        for (position, measured) in positions.iter_mut().zip(measured) {
            *position = f64::from(*measured);
        }
        Some(positions).filter(|positions| positions.iter().all(|position| position.is_finite()))
    }

    pub fn state(&self) -> Option<State> {
        self.telemetry.as_ref().map(|telemetry| telemetry.state)
    }

    /// Whether the board would follow a setpoint that came now.
    pub fn follows_setpoints(&self) -> bool {
        self.telemetry
            .as_ref()
            .is_some_and(|telemetry| match telemetry.state {
                State::Armed => true,
                State::Holding => telemetry.hold != HoldReason::Commanded,
                State::Disarmed | State::Fault => false,
            })
    }
}
