#![doc = include_str!("../README.md")]

mod board;
mod error;
mod file;
mod port;
mod pty;
pub mod registers;
mod serial;
pub mod survey;
mod thread;
pub mod travel;
mod watched;
mod wire_port;

pub use board::LinuxBoard;
pub use error::BoardError;
pub use file::{BoardFile, I2cBus, SerialBus, Wire};
pub use port::{check_free, refused};
pub use pty::{Pty, Received};
pub use serial::SerialLine;
pub use thread::FirmwareThread;
pub use wire_port::WirePort;
