//! The board's main loop without its peripherals: bytes in, servo goals and telemetry out.
//!
//! [`Core`] is all that a firmware image (or a simulated board) runs: it hands over the bytes it
//! received, calls [`Core::tick`] at its control rate, and sends what [`Core::telemetry`] returns.

mod board;
mod border;
mod commands;
mod gate;
mod guard;
mod start;
mod status;
mod step;

use board::Board;
pub use status::next_due;

use crate::config::{Config, ConfigError};
use crate::servo::ServoBus;
use crate::wire::{Counters, Fault, HoldReason, HostReader, State};

/// Reads the wire, keeps the limits, moves the servos. See the crate's front page for its states.
#[derive(Debug, Clone)]
pub struct Core {
    reader: HostReader,
    board: Board,
}

impl Core {
    /// A disarmed board. It leaves the servos' torque as it finds it, since after a reset of the
    /// board alone the arm may be holding something up.
    ///
    /// # Errors
    /// When the configuration makes no sense; see [`Config::check`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            reader: HostReader::new(),
            board: Board::new(config),
        })
    }

    /// Takes bytes that came from the host, in any portions, at board time `now_us`.
    pub fn receive(&mut self, bytes: &[u8], now_us: u64) {
        let Self { reader, board } = self;
        reader.push(bytes, |message| match message {
            Ok(message) => board.obey(message, now_us),
            Err(_) => count(&mut board.counters.bad_lines),
        });
    }

    /// Says whether the board's stop input is active; call it before each [`tick`](Self::tick) where there is one. While it is,
    /// the arm holds and cannot be armed; once it is released, arming goes on.
    pub fn set_stop(&mut self, active: bool) {
        self.board.set_stop(active);
    }

    /// One control step: reads the servos, decides, and writes their goals. Call it at a steady
    /// 50 Hz to 2 kHz; how much time passed is taken from `now_us`.
    pub fn tick<S: ServoBus>(&mut self, now_us: u64, servos: &mut S) {
        self.board.tick(now_us, servos);
    }

    /// Writes one line to `out` if one is due and returns its length, newline included. Call it
    /// until it returns `None`. [`MAX_LINE`](crate::wire::MAX_LINE) bytes are always enough; in a
    /// buffer that is too small nothing is sent, and the line stays due.
    pub fn telemetry(&mut self, now_us: u64, out: &mut [u8]) -> Option<usize> {
        self.board.report(now_us, out)
    }

    /// What the board is doing.
    #[must_use]
    pub const fn state(&self) -> State {
        self.board.state
    }

    /// Why it holds its pose.
    #[must_use]
    pub const fn hold_reason(&self) -> HoldReason {
        self.board.hold
    }

    /// What broke.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.board.fault
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.board.counters
    }

    /// What it was made with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.board.config
    }
}

/// Adds one to a counter that stops at its largest value.
fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
