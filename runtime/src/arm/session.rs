//! What the host knows of a board, from what the board said since the hello.

use wink_firmware::wire::{BoardMessage, Health, Hello, HoldReason, State, Telemetry, is_newer};

use super::RoundTrip;
use super::board_time::BoardTime;
use super::history::History;

/// What went over the link so far. What the board itself refused stands in [`Telemetry::counters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Setpoints sent.
    pub setpoints: u64,
    /// Telemetry lines read.
    pub telemetry: u64,
    /// Board messages that never arrived, by the gaps in their numbers.
    pub lost: u64,
    /// Board messages that came again, or after a later one.
    pub repeated: u64,
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
    pub health: Option<Health>,
    pub heard_us: u64,
    pub board_time: BoardTime,
    pub history: History,
    pub round_trip: RoundTrip,
    pub armed: bool,
    /// A hold or disarm was sent and not taken back by arming.
    pub stopped: bool,
    /// Board times before and after it went backwards.
    pub restarted: Option<(u64, u64)>,
}

impl Session {
    pub fn heard(&mut self, message: BoardMessage, now_us: u64, counters: &mut ClientCounters) {
        if let BoardMessage::Hello(hello) = message {
            return self.heard_hello(hello, now_us);
        }
        // What an earlier session left in the pipe tells nothing about this one.
        let Some(joints) = self.hello.as_ref().map(|hello| usize::from(hello.joints)) else {
            return;
        };
        if let BoardMessage::Telemetry(telemetry) = &message {
            if telemetry.positions.len() != joints {
                counters.bad_lines += 1;
                return;
            }
            let before_us = self.telemetry.as_ref().map_or(0, |before| before.time_us);
            let behind_us = before_us.saturating_sub(telemetry.time_us);
            if behind_us > 0 && !self.is_late(telemetry.seq, behind_us) {
                self.restarted = Some((before_us, telemetry.time_us));
                return;
            }
        }
        if !self.admit(message.seq(), counters) {
            return;
        }
        match message {
            BoardMessage::Hello(_) => {}
            BoardMessage::Pong(pong) => self.round_trip.heard(&pong, now_us),
            BoardMessage::Health(health) => self.health = Some(health),
            BoardMessage::Telemetry(telemetry) => {
                counters.telemetry += 1;
                self.board_time.heard(telemetry.time_us, now_us);
                self.history
                    .measured(telemetry.time_us, &telemetry.positions);
                self.heard_us = now_us;
                self.telemetry = Some(telemetry);
            }
        }
    }

    fn heard_hello(&mut self, hello: Hello, now_us: u64) {
        /// More hellos than a handshake ever sends: an older answer is another session's.
        const MOST_HELLOS: u32 = 1_000;
        if hello.answers.wrapping_sub(self.first_hello_seq) >= MOST_HELLOS {
            return;
        }
        if self.hello.is_none() || is_newer(hello.seq, self.last_board_seq) {
            self.last_board_seq = hello.seq;
        }
        self.board_time.heard(hello.time_us, now_us);
        // A second answer comes where the first was late; it says the same.
        self.hello.get_or_insert(hello);
    }

    /// Whether a message is not ahead of the last, but near enough behind it, in number and time, to
    /// have been overtaken or repeated on its way: a board that restarted begins both at 0.
    fn is_late(&self, seq: u32, behind_us: u64) -> bool {
        /// More than a link holds back.
        const WINDOW: u32 = 64;
        const WINDOW_US: u64 = 2_000_000;
        self.last_board_seq.wrapping_sub(seq) < WINDOW && behind_us < WINDOW_US
    }

    /// Whether a message is new; counts it otherwise, or those missing before it.
    fn admit(&mut self, seq: u32, counters: &mut ClientCounters) -> bool {
        if !is_newer(seq, self.last_board_seq) {
            counters.repeated += 1;
            return false;
        }
        let missing = seq.wrapping_sub(self.last_board_seq).saturating_sub(1);
        counters.lost += u64::from(missing);
        self.last_board_seq = seq;
        true
    }

    /// Measured positions; `None` until the servos have been read.
    pub fn measured(&self) -> Option<&[f32]> {
        let positions = &self.telemetry.as_ref()?.positions;
        let all = positions.iter().all(|position| position.is_finite());
        all.then_some(positions)
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
                State::Holding => ends_by_itself(telemetry.hold),
                State::Disarmed | State::Fault => false,
            })
    }
}

/// Whether the next good setpoint ends a hold.
pub(super) const fn ends_by_itself(hold: HoldReason) -> bool {
    matches!(
        hold,
        HoldReason::None | HoldReason::Starved | HoldReason::PolicyLate | HoldReason::Servo
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use wink_firmware::JointVec;
    use wink_firmware::wire::{Capabilities, Counters, Fault, Name, Refusal};

    fn hello(seq: u32) -> BoardMessage {
        BoardMessage::Hello(Hello {
            seq,
            answers: 1,
            version: 2,
            joints: 2,
            description_hash: 0,
            time_us: 0,
            refused: Refusal::None,
            arm: Name::new(),
            image: Name::new(),
            capabilities: Capabilities::empty(),
        })
    }

    fn telemetry(seq: u32, time_us: u64) -> BoardMessage {
        let values = JointVec::from_slice(&[0.0; 2]).unwrap();
        BoardMessage::Telemetry(Telemetry {
            seq,
            time_us,
            state: State::Armed,
            hold: HoldReason::None,
            fault: Fault::None,
            positions: values.clone(),
            velocities: values.clone(),
            loads: values,
            speed: 1.0,
            last_setpoint_seq: 0,
            counters: Counters::default(),
        })
    }

    #[test]
    fn lost_repeated_and_overtaken_lines_are_told_from_a_restart() {
        type Case = (&'static str, u32, &'static [(u32, u64)], [u64; 3], bool);
        // The hello's number, numbers and times of telemetry; then how many were taken, lost and
        // repeated, and whether the board is thought to have restarted.
        let cases: [Case; 9] = [
            ("in order", 99, &[(100, 10), (101, 20)], [2, 0, 0], false),
            ("two lost", 99, &[(100, 10), (103, 40)], [2, 2, 0], false),
            (
                "one twice",
                99,
                &[(100, 10), (100, 10), (101, 20)],
                [2, 0, 1],
                false,
            ),
            (
                "one late",
                99,
                &[(101, 20), (100, 10), (102, 30)],
                [2, 1, 1],
                false,
            ),
            ("restart", 99, &[(100, 1_000), (0, 5)], [1, 0, 0], true),
            (
                "restart soon after a hello",
                99,
                &[(100, 3_000_000), (90, 5)],
                [1, 0, 0],
                true,
            ),
            (
                "restart soon after a start, seen once its numbers are ahead",
                99,
                &[(100, 1_000), (90, 5), (100, 15), (101, 25)],
                [1, 0, 2],
                true,
            ),
            (
                "wrap",
                u32::MAX - 1,
                &[(u32::MAX, 10), (0, 20)],
                [2, 0, 0],
                false,
            ),
            ("from the time before", 99, &[(98, 10)], [0, 0, 1], false),
        ];
        for (name, first, lines, [taken, lost, repeated], restarted) in cases {
            let mut session = Session {
                first_hello_seq: 1,
                ..Session::default()
            };
            let mut counters = ClientCounters::default();
            session.heard(hello(first), 0, &mut counters);
            for (seq, time_us) in lines {
                session.heard(telemetry(*seq, *time_us), *time_us, &mut counters);
            }
            assert_eq!(
                (counters.telemetry, counters.lost, counters.repeated),
                (taken, lost, repeated),
                "{name}"
            );
            assert_eq!(session.restarted.is_some(), restarted, "{name}");
        }
    }

    #[test]
    fn nothing_is_believed_before_the_hello_or_of_another_arm() {
        let mut session = Session {
            first_hello_seq: 1,
            ..Session::default()
        };
        let mut counters = ClientCounters::default();
        session.heard(telemetry(5, 10), 10, &mut counters);
        assert_eq!(counters, ClientCounters::default());
        session.heard(hello(6), 20, &mut counters);
        let BoardMessage::Telemetry(mut other) = telemetry(7, 30) else {
            return;
        };
        other.positions.pop();
        session.heard(BoardMessage::Telemetry(other), 30, &mut counters);
        assert_eq!((counters.bad_lines, counters.telemetry), (1, 0));
        assert_eq!(session.measured(), None);
    }
}
