//! A Linux board (Raspberry Pi 5, Jetson Orin Nano, any PC) without a microcontroller: servos hang on its serial adapter or on
//! a PCA9685 on its I2C bus, and the firmware core runs in a thread of its own.
//!
//! To the runtime a [`LinuxBoard`] is what a microcontroller is: a wire and a clock. The core behind it is the same, with the
//! same limits; only the timing is softer. What does not belong here: register addresses of servos (the firmware's drivers),
//! cameras, policies.

mod board;
mod error;
mod file;
mod serial;
mod thread;

pub use board::LinuxBoard;
pub use error::BoardError;
pub use file::{BoardFile, I2cBus, SerialBus};
pub use serial::SerialLine;
pub use thread::FirmwareThread;
