//! wip

use crate::config::{Config, ConfigError};
use crate::servo::ServoBus;
use crate::wire::State;

/// The board's main loop without its peripherals.
#[derive(Debug)]
pub struct Core {}
impl Core {
    /// A disarmed board.
    pub fn new(_config: Config) -> Result<Self, ConfigError> {
        todo!()
    }
    /// Takes bytes that came from the host.
    pub fn receive(&mut self, _bytes: &[u8], _now_us: u64) {
        todo!()
    }
    /// One step.
    pub fn tick<S: ServoBus>(&mut self, _now_us: u64, _servos: &mut S) {
        todo!()
    }
    /// A line for the host when one is due; call until `None`.
    pub fn telemetry(&mut self, _now_us: u64, _out: &mut [u8]) -> Option<usize> {
        todo!()
    }
    /// What the board is doing.
    pub fn state(&self) -> State {
        todo!()
    }
}
