//! The host's end of the wire: handshake, setpoints out, telemetry in.

use wink_firmware::JointVec;
use wink_firmware::servo::Alerts;
use wink_firmware::wire::{
    BoardReader, Capabilities, Command, Health, Hello, HoldReason, HostHello, HostMessage,
    MAX_HOST_LINE, PROTOCOL_VERSION, Refusal, Setpoint, State, Telemetry, encode_host,
};

use super::session::{ClientCounters, Session, ends_by_itself};
use super::{ArmClientError, ArmDescription, JointValues, Link, RoundTrip};
use crate::clock::Clock;

/// Between two looks at the link while the board is expected to answer.
const POLL_US: u64 = 10_000;

/// After this long without an answer a command of the handshake is sent again: its line may have
/// been damaged.
const RETRY_US: u64 = 100_000;

/// How far ahead lie the setpoints that show a board, before it switches torque on, that somebody sends them at rate.
const PROOF_AHEAD_US: u64 = 100_000;

/// Time between the pings that go along with setpoints.
const PING_PERIOD_US: u64 = 250_000;

/// What a setpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What a policy, a person or a plan wants now.
    New,
    /// The target before, once more, because there was nothing new.
    Held,
}

/// Speaks the firmware's protocol over any [`Link`]. Allocates nothing after its making.
#[derive(Debug)]
pub struct ArmClient {
    arm: String,
    joints: usize,
    description_hash: u32,
    ping_due_us: u64,
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
            arm: arm.name().to_owned(),
            joints: arm.wire_joints(),
            description_hash: arm.hash(),
            ping_due_us: 0,
            reader: BoardReader::new(),
            next_seq: 1,
            session: Session::default(),
            counters: ClientCounters::default(),
        }
    }

    /// [`greet`](Self::greet)s the board and [`arm`](Self::arm)s. The arm then holds where it is
    /// until the first setpoint.
    ///
    /// # Errors
    /// When the board does not answer in time, was flashed for something else, or is in a fault.
    pub fn connect<B: Link + Clock + ?Sized>(
        &mut self,
        board: &mut B,
        timeout_us: u64,
    ) -> Result<(), ArmClientError> {
        self.greet(board, timeout_us)?;
        self.arm(board, timeout_us)
    }

    /// Says hello, checks protocol version, description and joints, and waits for telemetry; an
    /// armed arm holds. Commands whose answer does not come are sent again until `timeout_us` is
    /// over.
    ///
    /// If the board reports hash 0, the check of the description is skipped.
    ///
    /// # Errors
    /// When the board does not answer in time, was flashed for something else, or does not know
    /// where the arm is.
    pub fn greet<B: Link + Clock + ?Sized>(
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
            &Command::Hello(HostHello {
                version: PROTOCOL_VERSION,
                description_hash: self.description_hash,
            }),
            "answer the hello",
            |session| session.hello.is_some(),
        )?;
        self.check_hello()?;
        let ready = |session: &Session| {
            session.measured().is_some() || session.state() == Some(State::Fault)
        };
        if !self.wait(board, timeout_us, ready)? {
            return Err(match self.session.telemetry {
                Some(_) => ArmClientError::NotMeasured,
                None => self.no_answer("send telemetry", timeout_us),
            });
        }
        Ok(())
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
            let armed = self.request(board, timeout_us, &Command::Arm, "arm", |session| {
                session.follows_setpoints() || session.state() == Some(State::Fault)
            });
            self.check_fault()?;
            if armed.is_err() {
                // Why it would not, where the board says so.
                self.check_guards()?;
            }
            armed?;
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
        let telemetry = self.heard(now_us, telemetry_timeout_us)?;
        match (telemetry.state, telemetry.hold) {
            (State::Fault, _) => Err(ArmClientError::Fault {
                fault: telemetry.fault,
            }),
            (State::Disarmed, _) => Err(ArmClientError::Disarmed),
            (State::Holding, HoldReason::Commanded) if self.session.stopped => Ok(()),
            (State::Holding, HoldReason::Commanded) => Err(ArmClientError::TakenOver),
            (State::Holding, hold) if !ends_by_itself(hold) => self.check_guards(),
            (State::Armed | State::Holding, _) => Ok(()),
        }
    }

    /// The latest telemetry, where it is not older than `timeout_us`.
    ///
    /// # Errors
    /// When there is none, or it is older.
    pub fn heard(&self, now_us: u64, timeout_us: u64) -> Result<&Telemetry, ArmClientError> {
        let silent_us = now_us.saturating_sub(self.session.heard_us);
        self.session
            .telemetry
            .as_ref()
            .filter(|_| silent_us <= timeout_us)
            .ok_or(ArmClientError::TelemetryLost { silent_us })
    }

    /// Asks the arm to be at `positions` (rad, gripper in metres of one finger's travel) `ahead_us`
    /// from now. Now and then a ping goes along. `target` says whether that is a new target: the board holds an arm whose targets have
    /// only been repeated for too long ([`HoldReason::PolicyLate`]), and goes on with the next new one.
    ///
    /// # Errors
    /// When a position is not finite or one is missing, the link is broken, or the arm was not
    /// armed.
    pub fn send_setpoint<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        now_us: u64,
        ahead_us: u64,
        positions: &[f64],
        target: Target,
    ) -> Result<(), ArmClientError> {
        if positions.len() != self.joints {
            return Err(ArmClientError::JointCount {
                found: positions.len(),
                expected: self.joints,
            });
        }
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
                held: target == Target::Held,
            }),
        )?;
        self.counters.setpoints += 1;
        if now_us >= self.ping_due_us {
            self.ping(link, now_us)?;
        }
        Ok(())
    }

    /// Asks the board for its time; the answer is read by [`poll`](Self::poll) and tells
    /// [`round_trip`](Self::round_trip).
    ///
    /// # Errors
    /// When the link is broken.
    pub fn ping<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        now_us: u64,
    ) -> Result<(), ArmClientError> {
        self.ping_due_us = now_us.saturating_add(PING_PERIOD_US);
        self.send(
            link,
            &Command::Ping {
                host_time_us: now_us,
            },
        )
    }

    /// Asks the board to move at `scale` (above 0, at most 1) of what the arm's file allows, until another scale or a hello. What is in
    /// force [`Telemetry::speed`] says.
    ///
    /// # Errors
    /// When the scale is another number, or the link is broken.
    pub fn set_speed<L: Link + ?Sized>(
        &mut self,
        link: &mut L,
        scale: f64,
    ) -> Result<(), ArmClientError> {
        let wire = scale as f32;
        if !(wire > 0.0 && wire <= 1.0) {
            return Err(ArmClientError::Speed { scale });
        }
        self.send(link, &Command::Speed { scale: wire })
    }

    /// Stops the arm within its limits and keeps it there until it is armed again.
    ///
    /// # Errors
    /// When the link is broken; the board then holds by itself, for want of setpoints.
    pub fn hold<L: Link + ?Sized>(&mut self, link: &mut L) -> Result<(), ArmClientError> {
        self.session.stopped = true;
        self.send(link, &Command::Hold)
    }

    /// Stops the arm within its limits, then switches torque off. The arm may fall then.
    ///
    /// # Errors
    /// When the link is broken.
    pub fn power_down<L: Link + ?Sized>(&mut self, link: &mut L) -> Result<(), ArmClientError> {
        self.session.armed = false;
        self.session.stopped = true;
        self.send(link, &Command::PowerDown)
    }

    /// Switches torque off at once. The arm may fall.
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

    /// The latest health of servos and loop since connecting.
    #[must_use]
    pub fn health(&self) -> Option<&Health> {
        self.session.health.as_ref()
    }

    /// How long the link takes and how far apart the clocks are, since connecting.
    #[must_use]
    pub fn round_trip(&self) -> &RoundTrip {
        &self.session.round_trip
    }

    /// Checks that the board can do what is `needed`.
    ///
    /// # Errors
    /// Names the first thing that it cannot.
    pub fn check_capabilities(&self, needed: Capabilities) -> Result<(), ArmClientError> {
        let hello = self.hello().ok_or(ArmClientError::NotConnected)?;
        match needed.difference(hello.capabilities).names().next() {
            Some(missing) => Err(ArmClientError::Capability {
                image: hello.image.to_string(),
                missing,
            }),
            None => Ok(()),
        }
    }

    /// The latest measured positions as they came over the wire: rad, the gripper last (m, one
    /// finger). `None` until the board has told any.
    #[must_use]
    pub fn measured(&self) -> Option<&[f32]> {
        self.session.measured()
    }

    /// The latest measured positions: the joints' (rad), then the gripper's (m, one finger). `None`
    /// until the board has told any; it cannot before it has read its servos once.
    #[must_use]
    pub fn positions(&self) -> Option<JointValues> {
        let measured = self.session.measured()?;
        let known = measured.len() == self.joints;
        known.then(|| measured.iter().copied().map(f64::from).collect())
    }

    /// The positions measured at a time of the host, linear between two measurements; outside of those that are kept the nearest.
    /// `None` until the board has told any.
    #[must_use]
    pub fn positions_at(&self, host_us: u64) -> Option<JointValues> {
        let board_us = self.session.board_time.at(host_us)?;
        let mut positions = self.positions()?;
        for (joint, position) in positions.iter_mut().enumerate() {
            *position = self.session.history.at(board_us, joint)?;
        }
        Some(positions)
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
        let differs = hello.description_hash != self.description_hash;
        if hello.version != PROTOCOL_VERSION {
            return Err(ArmClientError::Version {
                image: hello.image.to_string(),
                board: hello.version,
                host: PROTOCOL_VERSION,
            });
        }
        if hello.description_hash != 0 && differs {
            return Err(ArmClientError::Description {
                board_arm: hello.arm.to_string(),
                board: hello.description_hash,
                host_arm: self.arm.clone(),
                host: self.description_hash,
            });
        }
        if usize::from(hello.joints) != self.joints {
            return Err(ArmClientError::Joints {
                board: hello.joints.into(),
                host: self.joints,
            });
        }
        match hello.refused {
            Refusal::None => Ok(()),
            refusal => Err(ArmClientError::Refused {
                reason: refusal.name(),
            }),
        }
    }

    /// The guard that keeps the arm from moving, where one does.
    fn check_guards(&self) -> Result<(), ArmClientError> {
        match &self.session.telemetry {
            Some(telemetry)
                if telemetry.hold != HoldReason::Commanded && !ends_by_itself(telemetry.hold) =>
            {
                let supply = self
                    .unfit_supply()
                    .filter(|_| telemetry.hold == HoldReason::Voltage);
                Err(supply.unwrap_or(ArmClientError::Guarded {
                    reason: telemetry.hold,
                }))
            }
            _ => Ok(()),
        }
    }

    /// The supply that servos complain of, or else the weakest that one measures.
    fn unfit_supply(&self) -> Option<ArmClientError> {
        let health = self.session.health.as_ref()?;
        let measured = || {
            let finite = |(_, voltage_v): &(&Alerts, &f32)| voltage_v.is_finite();
            health.alerts.iter().zip(&health.voltages_v).filter(finite)
        };
        let strong = measured().find(|(alerts, _)| alerts.contains(Alerts::OVERVOLTAGE));
        if let Some((_, voltage_v)) = strong {
            return Some(ArmClientError::Supply {
                voltage_v: *voltage_v,
                too_strong: true,
            });
        }
        let weakest = measured()
            .map(|(_, voltage_v)| *voltage_v)
            .reduce(f32::min)?;
        Some(ArmClientError::Supply {
            voltage_v: weakest,
            too_strong: false,
        })
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
            self.prove(board)?;
            board.sleep_until(board.now_us().saturating_add(POLL_US));
        }
    }

    /// Where torque waits for setpoints at rate: sends the pose that was measured.
    fn prove<B: Link + Clock + ?Sized>(&mut self, board: &mut B) -> Result<(), ArmClientError> {
        let awaited = |telemetry: &&Telemetry| {
            telemetry.state == State::Disarmed && telemetry.hold == HoldReason::ProofOfLife
        };
        let Some(telemetry) = self.session.telemetry.as_ref().filter(awaited) else {
            return Ok(());
        };
        let (Some(measured), Some(board_us)) = (
            self.session.measured(),
            self.session.board_time.at(board.now_us()),
        ) else {
            return Ok(());
        };
        let deadline_us = board_us
            .max(telemetry.time_us)
            .saturating_add(PROOF_AHEAD_US);
        let positions = measured.iter().copied().collect();
        self.send(
            board,
            &Command::Setpoint(Setpoint {
                deadline_us,
                positions,
                held: true,
            }),
        )
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
