//! Bus servos, byte for byte: what stands between a firmware's UART and the simulated joints.
//!
//! A [`ServoBus`] takes the bytes that a board sends and gives back those that its servos answer, each with the time at
//! which it is complete on the line. It knows the two protocols that hobby arms speak (Feetech STS and Dynamixel 2.0), one
//! register file a servo, and the ways in which such a bus misbehaves: see [`ServoFaults`] and [`LineNoise`].
//!
//! It is written from the manuals and shares no code with the firmware's drivers, so that one checks the other.
//!
//! ```
//! use wink_sim::bus::{BusServo, ServoBus, ServoModel};
//! let mut bus = ServoBus::new([BusServo::new(1, ServoModel::Sts3215)]);
//! bus.receive(100, &[0xff, 0xff, 0x01, 0x02, 0x01, 0xfb]); // ping 1, its last byte at 100 us
//! let mut answer = vec![];
//! bus.send(100, &mut answer);
//! assert!(answer.is_empty(), "a byte takes its time");
//! bus.send(1_000, &mut answer);
//! assert_eq!(answer, [0xff, 0xff, 0x01, 0x02, 0x00, 0xfc]);
//! ```

mod arm;
mod coupling;
mod dynamixel;
mod end;
mod faults;
mod feetech;
mod instruction;
mod line;
mod motor;
mod registers;
mod servo;
#[cfg(test)]
mod tests;

pub use coupling::{Coupling, Crank, Linkage};
pub use end::BusEnd;
pub use faults::{LineNoise, ServoFaults};
pub use line::{BusCounters, ServoBus};
pub use registers::ServoModel;
pub use servo::BusServo;
