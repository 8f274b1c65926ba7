//! Hardware in the loop without hardware: the very image that is flashed runs in an emulator, its host UART leads to the
//! control loop and its servo UART to the simulated bus servos of the scene's arm.
//!
//! An [`EmulatedBoard`] is a camera, a link and a clock to the runtime, as a real arm's are. Time is the emulated processor's
//! own: see [`machine`]. What is no part of that does not belong here: policies, reports, faults' verdicts.

pub mod board;
mod calls;
mod elf;
mod error;
pub mod faults;
pub mod images;
pub mod loop_time;
pub mod machine;
mod noise;
pub mod qemu;
mod qmp;
pub mod report;
mod row;
pub mod rp2040js;
pub mod trial;
pub mod witness;

pub use board::{EmulatedBoard, Faults};
pub use elf::Image;
pub use error::EmulatorError;
pub use images::{Emulator, Images};
pub use machine::Machine;
pub use noise::LinkNoise;
pub use witness::Witness;
