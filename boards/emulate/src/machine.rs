//! A board in an emulator, as seen from the far ends of its two UARTs.
//!
//! Nothing runs by itself. A machine lets its processor run only during [`Machine::exchange`], until the board has sent
//! something on its servo bus or some time of its own has passed; then it stands still, whatever else the computer does,
//! until it is told what came of it. So the board never sees a servo answer late because the computer is busy, and physics,
//! which follow the board's own clock, never run ahead of it.

use crate::EmulatorError;

/// Bytes for the board.
#[derive(Debug, Clone, Copy, Default)]
pub struct Feed<'a> {
    /// From the host, as fast as its UART goes.
    pub host: &'a [u8],
    /// From the servos, each so many microseconds from now, or at once where the machine cannot tell; in order of time.
    pub servo: &'a [(u64, u8)],
}

/// What the board did meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Sent to the host.
    pub host: Vec<u8>,
    /// Sent to the servos.
    pub servo: Vec<u8>,
    /// Time of the board that passed, where the machine knows it. Else the board's telemetry has to tell.
    pub passed_us: Option<u64>,
}

/// An emulated board.
pub trait Machine: Send {
    /// Gives the board bytes and lets it run until it has sent a packet on its servo bus, or for `limit_us` of its own time
    /// where the machine can tell.
    ///
    /// # Errors
    /// When the emulator has ended, or the board has long been silent.
    fn exchange(&mut self, feed: Feed<'_>, limit_us: u64) -> Result<Heard, EmulatorError>;

    /// Takes the board's supply away and gives it back.
    ///
    /// # Errors
    /// When the emulator has ended.
    fn power_cycle(&mut self) -> Result<(), EmulatorError>;

    /// Reads the board's memory.
    ///
    /// # Errors
    /// When the emulator has ended.
    fn peek(&mut self, address: u32, length: usize) -> Result<Vec<u8>, EmulatorError>;

    /// Lets the board's program go on from another address; `false` where the emulator cannot.
    ///
    /// # Errors
    /// When the emulator has ended.
    fn jump(&mut self, _address: u32) -> Result<bool, EmulatorError> {
        Ok(false)
    }
}
