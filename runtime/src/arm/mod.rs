//! The arm: what it is made of, where its links are, and the host's end of the wire to its
//! firmware.
//!
//! Here live the arm description (one TOML per arm under `boards/arms`), the calibration of one arm's servos, forward kinematics,
//! the byte link and the client that speaks the firmware's protocol. What to do with the arm (inverse kinematics, actions) is
//! `control`'s matter.

mod board_time;
mod calibration;
mod client;
mod client_error;
mod description;
mod error;
mod files;
mod firmware;
mod history;
mod kinematics;
mod link;
mod names;
mod parse;
mod protection;
mod round_trip;
mod row;
mod servo_source;
mod servos;
mod session;
mod ticks;
mod workspace;

pub use calibration::{
    Calibration, CalibrationError, DEFAULT_ID, JointCalibration, calibration_path,
};
pub use client::{ArmClient, Target};
pub use client_error::ArmClientError;
pub use description::{ArmDescription, Gripper, Joint, Protection};
pub use error::{ArmError, ArmFileError};
pub use files::{FileError, named_file, read_text, write_whole};
pub use kinematics::{Jacobian, LinkPoses};
pub use link::{Link, LinkError};
pub use round_trip::RoundTrip;
pub use row::{JointValues, Row};
pub use servos::ArmServos;
pub use session::ClientCounters;
pub use workspace::Workspace;

/// Most joints of an arm, without the gripper.
pub const MOST_JOINTS: usize = wink_firmware::MAX_JOINTS - 1;

/// What the gripper is called among the joints on the wire, where it is the last; no joint has this name.
pub const GRIPPER_NAME: &str = "gripper";
