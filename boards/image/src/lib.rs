//! What every microcontroller image is made of, whatever its chip: byte rings between interrupt and loop, serial ports over
//! them, board time, the loop around the firmware core, and the arm that was chosen when the image was built.
//!
//! What may not live here: registers, pins, interrupt names. Those are the images' own, in the folders beside this one.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::unreachable
    )
)]

#[cfg(test)]
extern crate std;

pub mod arm;
pub mod bus;
pub mod clock;
pub mod control;
mod log;
pub mod port;
mod prepared;
pub mod ring;

pub use bus::BusLine;
pub use clock::TickClock;
pub use control::{ControlLoop, Meter};
pub use port::{Port, Uart, serve};
pub use prepared::{Prepare, PreparedServos};
pub use ring::ByteRing;
