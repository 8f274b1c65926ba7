//! The host's end of the wire: handshake, setpoints out, telemetry in.

use wink_firmware::JointVec;
use wink_firmware::wire::{
    BoardReader, Command, Hello, HoldReason, HostMessage, MAX_HOST_LINE, PROTOCOL_VERSION,
    Setpoint, State, Telemetry, encode_host,
};

use super::session::{ClientCounters, Session};
use super::{ArmClientError, ArmDescription, Link, WIRE_JOINTS};
use crate::clock::Clock;

/// Between two looks at the link while the board is expected to answer.
const POLL_US: u64 = 10_000;

/// After this long without an answer a command of the handshake is sent again: its line may have
/// been damaged.
const RETRY_US: u64 = 100_000;

/// Speaks the firmware's protocol over any [`Link`]. Allocates nothing after its making.
#[derive(Debug)]
pub struct ArmClient {
    description_hash: u32,
    reader: BoardReader,
    next_seq: u32,
    session: Session,
    counters: ClientCounters,
}

impl ArmClient {
    /// A client for boards flashed for `arm`; not connected yet.
    #[must_use]
    pub fn new(arm: &ArmDescription) -> Self {
        Self {
            description_hash: arm.hash(),
            reader: BoardReader::new(),
            next_seq: 1,
            session: Session::default(),
            counters: ClientCounters::default(),
        }
    }

    /// Says hello, checks protocol version, joints and description, waits for telemetry and arms.
    /// The arm then holds where it is until the first setpoint. Commands whose answer does not come
    /// are sent again until `timeout_us` is over.
    ///
    /// A board that does not know its description (hash 0) is taken at its word.
    ///
    /// # Errors
    /// When the board does not answer in time, was flashed for something else, or is in a fault.
    pub fn connect<B: Link + Clock + ?Sized>(
        &mut self,
        board: &mut B,
        timeout_us: u64,
    ) -> Result<(), ArmClientError> {
        self.session = Session {
            first_hello_seq: self.next_seq,
            ..Session::default()
        };
        self.request(
            board,
            timeout_us,
            &Command::Hello,
            "answer the hello",
            |session| session.hello.is_some(),
        )?;
        self.check_hello()?;
        let ready = |session: &Session| {
            session.positions().is_some() || session.state() == Some(State::Fault)
        };
        if !self.wait(board, timeout_us, ready)? {
            return Err(match self.session.telemetry {
                Some(_) => ArmClientError::NotMeasured,
                None => self.no_answer("send telemetry", timeout_us),
            });
        }
        self.arm(board, timeout_us)
    }

    /// Switches torque on, or goes on after [`hold`](Self::hold), and waits until the board says
    /// so. Does nothing where the board follows setpoints already.
    ///
    /// # Errors
    /// When the board is in a fault, or does not arm in time.
    pub fn arm<B: Link + Clock + ?Sized>(
        &mut self,
        board: &mut B,
        timeout_us: u64,
    ) -> Result<(), ArmClientError> {
        if self.session.hello.is_none() {
            return Err(ArmClientError::NotConnected);
        }
        if self.session.stopped {
            // Telemetry from before the stop would look as if the board were armed again.
            self.wait(board, RETRY_US, |session| !session.follows_setpoints())?;
        } else {
            self.poll(board, board.now_us())?;
        }
        self.check_fault()?;
        if !self.session.follows_setpoints() {
            self.request(board, timeout_us, &Command::Arm, "arm", |session| {
                session.follows_setpoints() || session.state() == Some(State::Fault)
            })?;
            self.check_fault()?;
        }
        self.session.armed = true;
        self.session.stopped = false;
        Ok(())
    }

    /// Reads everything that has arrived. `now_us` is the host's time.
    ///
    /// # Errors
    /// When the link is broken or the board restarted.
    pub fn poll<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        now_us: u64,
    ) -> Result<(), ArmClientError> {
        let mut buffer = [0; 512];
        loop {
            let count = link.read(&mut buffer)?.min(buffer.len());
            if count == 0 {
                break;
            }
            let Self {
                reader,
                session,
                counters,
                ..
            } = self;
            reader.push(&buffer[..count], |message| match message {
                Ok(message) => session.heard(message, now_us, counters),
                Err(_) => counters.bad_lines += 1,
            });
        }
        match self.session.restarted {
            Some((before_us, after_us)) => Err(ArmClientError::Restarted {
                before_us,
                after_us,
            }),
            None => Ok(()),
        }
    }

    /// Checks that the arm can be driven right now: connected and armed, fresh telemetry, no fault,
    /// not taken over.
    ///
    /// # Errors
    /// Names what is in the way.
    pub fn check(&self, now_us: u64, telemetry_timeout_us: u64) -> Result<(), ArmClientError> {
        if !self.session.armed {
            return Err(ArmClientError::NotConnected);
        }
        let silent_us = now_us.saturating_sub(self.session.heard_us);
        let Some(telemetry) = self
            .session
            .telemetry
            .as_ref()
            .filter(|_| silent_us <= telemetry_timeout_us)
        else {
            return Err(ArmClientError::TelemetryLost { silent_us });
        };
        match (telemetry.state, telemetry.hold) {
            (State::Fault, _) => Err(ArmClientError::Fault {
                fault: telemetry.fault,
            }),
            (State::Disarmed, _) => Err(ArmClientError::Disarmed),
            (State::Holding, HoldReason::Commanded) if !self.session.stopped => {
                Err(ArmClientError::TakenOver)
            }
            (State::Armed | State::Holding, _) => Ok(()),
        }
    }

    /// Asks the arm to be at `positions` (rad, gripper in metres of one finger's travel) `ahead_us`
    /// from now.
    ///
    /// # Errors
    /// When a position is not finite, the link is broken, or the arm was not armed.
    pub fn send_setpoint<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        now_us: u64,
        ahead_us: u64,
        positions: &[f64; WIRE_JOINTS],
    ) -> Result<(), ArmClientError> {
        if let Some(joint) = positions.iter().position(|position| !position.is_finite()) {
            return Err(ArmClientError::NotFinite { joint });
        }
        let board_now_us = self
            .session
            .board_time
            .at(now_us)
            .filter(|_| self.session.armed);
        let deadline_us = board_now_us
            .ok_or(ArmClientError::NotConnected)?
            .saturating_add(ahead_us);
        let positions: JointVec = positions.iter().map(|&position| position as f32).collect();
        self.send(
            link,
            &Command::Setpoint(Setpoint {
                deadline_us,
                positions,
            }),
        )?;
        self.counters.setpoints += 1;
        Ok(())
    }

    /// Stops the arm within its limits and keeps it there until it is armed again.
    ///
    /// # Errors
    /// When the link is broken; the board then holds by itself, for want of setpoints.
    pub fn hold<L: Link + ?Sized>(&mut self, link: &mut L) -> Result<(), ArmClientError> {
        self.session.stopped = true;
        self.send(link, &Command::Hold)
    }

    /// Switches torque off. The arm may fall.
    ///
    /// # Errors
    /// When the link is broken.
    pub fn disarm<L: Link + ?Sized>(&mut self, link: &mut L) -> Result<(), ArmClientError> {
        self.session.armed = false;
        self.session.stopped = true;
        self.send(link, &Command::Disarm)
    }

    /// Asks the board to leave its fault state; it then holds until it is armed.
    ///
    /// # Errors
    /// When the link is broken.
    pub fn clear_fault<L: Link + ?Sized>(&mut self, link: &mut L) -> Result<(), ArmClientError> {
        self.send(link, &Command::ClearFault)
    }

    /// What the board said of itself when connecting.
    #[must_use]
    pub fn hello(&self) -> Option<&Hello> {
        self.session.hello.as_ref()
    }

    /// The latest telemetry since connecting.
    #[must_use]
    pub fn telemetry(&self) -> Option<&Telemetry> {
        self.session.telemetry.as_ref()
    }

    /// The latest measured positions: arm joints (rad), then the gripper (m, one finger). `None`
    /// until the board has told any; it cannot before it has read its servos once.
    #[must_use]
    pub fn positions(&self) -> Option<[f64; WIRE_JOINTS]> {
        self.session.positions()
    }

    /// What went over the link so far.
    #[must_use]
    pub fn counters(&self) -> ClientCounters {
        self.counters
    }

    fn check_hello(&self) -> Result<(), ArmClientError> {
        let Some(hello) = &self.session.hello else {
            return Err(ArmClientError::NotConnected);
        };
        if hello.version != PROTOCOL_VERSION {
            return Err(ArmClientError::Version {
                board: hello.version,
                host: PROTOCOL_VERSION,
            });
        }
        if usize::from(hello.joints) != WIRE_JOINTS {
            return Err(ArmClientError::Joints {
                board: hello.joints.into(),
                host: WIRE_JOINTS,
            });
        }
        if hello.description_hash != 0 && hello.description_hash != self.description_hash {
            return Err(ArmClientError::Description {
                board: hello.description_hash,
                host: self.description_hash,
            });
        }
        Ok(())
    }

    fn check_fault(&self) -> Result<(), ArmClientError> {
        match &self.session.telemetry {
            Some(Telemetry {
                state: State::Fault,
                fault,
                ..
            }) => Err(ArmClientError::Fault { fault: *fault }),
            _ => Ok(()),
        }
    }

    /// Sends `command`, again where its line may have been lost, until `done`.
    fn request<B: Link + Clock + ?Sized>(
        &mut self,
        board: &mut B,
        timeout_us: u64,
        command: &Command,
        wanted: &'static str,
        done: fn(&Session) -> bool,
    ) -> Result<(), ArmClientError> {
        let end_us = board.now_us().saturating_add(timeout_us);
        loop {
            self.send(board, command)?;
            let left_us = end_us.saturating_sub(board.now_us());
            if self.wait(board, left_us.min(RETRY_US), done)? {
                return Ok(());
            }
            if board.now_us() >= end_us {
                return Err(self.no_answer(wanted, timeout_us));
            }
        }
    }

    /// Polls until `done` (true) or `timeout_us` have passed (false).
    fn wait<B: Link + Clock + ?Sized>(
        &mut self,
        board: &mut B,
        timeout_us: u64,
        done: fn(&Session) -> bool,
    ) -> Result<bool, ArmClientError> {
        let end_us = board.now_us().saturating_add(timeout_us);
        loop {
            self.poll(board, board.now_us())?;
            if done(&self.session) {
                return Ok(true);
            }
            if board.now_us() >= end_us {
                return Ok(false);
            }
            board.sleep_until(board.now_us().saturating_add(POLL_US));
        }
    }

    fn no_answer(&self, wanted: &'static str, waited_us: u64) -> ArmClientError {
        ArmClientError::NoAnswer {
            wanted,
            waited_us,
            bad_lines: self.counters.bad_lines,
        }
    }

    fn send<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        command: &Command,
    ) -> Result<(), ArmClientError> {
        let mut line = [0; MAX_HOST_LINE];
        let message = HostMessage {
            seq: self.next_seq,
            command: command.clone(),
        };
        let count = encode_host(&message, &mut line).map_err(ArmClientError::Encode)?;
        self.next_seq = self.next_seq.wrapping_add(1);
        Ok(link.write(&line[..count])?)
    }
}
