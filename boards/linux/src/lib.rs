#![doc = include_str!("../README.md")]

mod board;
mod error;
mod file;
mod serial;
mod thread;
mod wire_port;

pub use board::LinuxBoard;
pub use error::BoardError;
pub use file::{BoardFile, I2cBus, SerialBus};
pub use serial::SerialLine;
pub use thread::FirmwareThread;
pub use wire_port::WirePort;
