//! The arm: what it is made of, where its links are, and the host's end of the wire to its
//! firmware.
//!
//! Here live the arm description (one TOML per arm under `boards/arms`), forward kinematics, the
//! byte link and the client that speaks the firmware's protocol. What to do with the arm (inverse
//! kinematics, actions) is `control`'s matter.

mod board_time;
mod calibration;
mod client;
mod client_error;
mod description;
mod error;
mod firmware;
mod kinematics;
mod link;
mod parse;
mod protection;
mod round_trip;
mod servo_source;
mod servos;
mod session;

pub use client::ArmClient;
pub use client_error::ArmClientError;
pub use description::{ArmDescription, ArmFile, Gripper, Joint, Protection};
pub use error::ArmError;
pub use link::{Link, LinkError};
pub use round_trip::RoundTrip;
pub use servos::ArmServos;
pub use session::ClientCounters;

/// Joints of the arm itself, without the gripper.
pub const ARM_JOINTS: usize = 6;

/// Joints on the wire: those of the arm in its order, then the gripper.
pub const WIRE_JOINTS: usize = ARM_JOINTS + 1;

/// Index of the gripper on the wire: metres of travel of one finger.
pub const GRIPPER: usize = ARM_JOINTS;
