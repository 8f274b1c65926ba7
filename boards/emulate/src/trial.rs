//! An arm that is being driven, to see what it does when something goes wrong.

use wink_firmware::JointVec;
use wink_firmware::wire::{
    Command, Fault, HoldReason, HostMessage, MAX_HOST_LINE, Setpoint, State, encode_host,
};
use wink_runtime::arm::{ArmClient, ArmClientError, JointValues, Link, Target};
use wink_runtime::clock::Clock;
use wink_sim::{Scene, Setup, SimOptions, Split};

use crate::{EmulatedBoard, Emulator, EmulatorError, Images};

/// Between two setpoints.
const STEP_US: u64 = 50_000;
/// Longest wait for the board to answer or to arm.
pub(crate) const PATIENCE_US: u64 = 3_000_000;
/// The arm swings by so much ...
const SWING_RAD: [f64; 3] = [0.6, 0.25, -0.25];
/// ... in so much time.
const SWING_S: f64 = 4.0;

/// Why a trial cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The emulator.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// The board, or the link to it.
    #[error(transparent)]
    Client(#[from] ArmClientError),
    /// A message could not be written.
    #[error("a message cannot be encoded: {0}")]
    Encode(wink_firmware::wire::WireError),
}

/// A board, a host that drives it, and what was expected of them.
pub struct Trial {
    /// The board and its world.
    pub board: EmulatedBoard,
    /// The host.
    pub client: ArmClient,
    home: JointValues,
    swung_us: u64,
    raw_seq: u32,
    failed: Vec<String>,
}

impl Trial {
    /// Powers a board that drives a cell's arm, connects and arms.
    ///
    /// # Errors
    /// When the emulator does not start, or the board does not arm.
    pub fn start(
        emulator: Emulator,
        setup: &'static Setup,
        images: &Images,
    ) -> Result<Self, TrialError> {
        let scene = Scene::on(setup, Split::Val, 0);
        let mut board = EmulatedBoard::new(emulator, images, &scene, SimOptions::default())?;
        let mut client = ArmClient::new(&setup.arm());
        if let Err(error) = client.connect(&mut board, PATIENCE_US) {
            return Err(match board.take_failure() {
                Some(failure) => failure.into(),
                None => error.into(),
            });
        }
        let home = client.positions().unwrap_or_default();
        board.witness().forget();
        Ok(Self {
            board,
            client,
            home,
            swung_us: 0,
            raw_seq: 1 << 20,
            failed: vec![],
        })
    }

    /// Drives the arm along its swing for so long.
    ///
    /// # Errors
    /// When the link breaks or the board restarts.
    pub fn drive(&mut self, seconds: f64) -> Result<(), TrialError> {
        let end_us = self.board.now_us() + (seconds * 1e6) as u64;
        while self.board.now_us() < end_us {
            let now_us = self.board.now_us();
            self.client.poll(&mut self.board, now_us)?;
            self.swung_us += STEP_US;
            let positions = self.swing();
            self.client.send_setpoint(
                &mut self.board,
                now_us,
                2 * STEP_US,
                &positions,
                Target::New,
            )?;
            self.board.sleep_until(now_us + STEP_US);
        }
        Ok(())
    }

    /// Lets time pass without a word to the board.
    pub fn be_silent(&mut self, seconds: f64) {
        self.board
            .sleep_until(self.board.now_us() + (seconds * 1e6) as u64);
    }

    /// Says hello anew and arms, out of a fault as well.
    ///
    /// # Errors
    /// When the board does not answer, or does not arm.
    pub fn recover(&mut self) -> Result<(), TrialError> {
        self.client.greet(&mut self.board, PATIENCE_US)?;
        if self.state() == Some(State::Fault) {
            self.client.clear_fault(&mut self.board)?;
            self.be_silent(0.2);
            let now_us = self.board.now_us();
            self.client.poll(&mut self.board, now_us)?;
        }
        self.client.arm(&mut self.board, PATIENCE_US)?;
        // The swing goes on from where the arm is.
        self.swung_us = 0;
        self.home = self.client.positions().unwrap_or(self.home);
        Ok(())
    }

    /// Sends a setpoint that no client would: any numbers, any deadline relative to the board's time, any sequence number
    /// relative to the last one.
    ///
    /// # Errors
    /// When the link breaks.
    pub fn send_raw(
        &mut self,
        positions: &[f32],
        ahead_us: i64,
        seq_step: i64,
    ) -> Result<(), TrialError> {
        let board_us = self
            .board
            .telemetry()
            .map_or(0, |telemetry| telemetry.time_us);
        let message = HostMessage {
            seq: self.raw_seq.wrapping_add(seq_step as u32),
            command: Command::Setpoint(Setpoint {
                deadline_us: board_us.saturating_add_signed(ahead_us),
                positions: JointVec::from_slice(positions).unwrap_or_default(),
                held: false,
            }),
        };
        self.raw_seq = self.raw_seq.max(message.seq);
        let mut line = [0; MAX_HOST_LINE];
        let length = encode_host(&message, &mut line).map_err(TrialError::Encode)?;
        self.board
            .write(&line[..length])
            .map_err(ArmClientError::from)?;
        Ok(())
    }

    /// Where the arm was when it was armed last.
    #[must_use]
    pub fn home(&self) -> JointVec {
        self.home.iter().map(|at| *at as f32).collect()
    }

    /// What the board says it does.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.board.state()
    }

    /// The same in words, with the reason.
    #[must_use]
    pub fn state_words(&self) -> String {
        let Some(telemetry) = self.board.telemetry() else {
            return "silent".to_owned();
        };
        let words = |state: &dyn std::fmt::Debug, reason: Option<String>| {
            let state = format!("{state:?}").to_lowercase();
            reason.map_or(state.clone(), |reason| {
                format!("{state} ({})", reason.to_lowercase())
            })
        };
        let reason = match (telemetry.state, telemetry.hold, telemetry.fault) {
            (State::Fault, _, fault) if fault != Fault::None => Some(format!("{fault:?}")),
            (_, hold, _) if hold != HoldReason::None => Some(format!("{hold:?}")),
            _ => None,
        };
        words(&telemetry.state, reason)
    }

    /// Whether no joint moves.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        self.board.truth().max_joint_speed < 0.01
    }

    /// Notes what should be so and is not.
    pub fn expect(&mut self, what: &str, is_so: bool) {
        if !is_so {
            self.failed
                .push(format!("{what}, but the board is {}", self.state_words()));
        }
    }

    /// What was expected in vain.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    fn swing(&self) -> Vec<f64> {
        let phase = self.swung_us as f64 * 1e-6 / SWING_S * std::f64::consts::TAU;
        let mut positions = self.home;
        for (position, swing) in positions.iter_mut().zip(SWING_RAD) {
            *position += swing * phase.sin();
        }
        positions.to_vec()
    }
}
