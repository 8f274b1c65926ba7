//! The calibration of one arm's servos: a file of its own beside the arm's model, which stays as it is.
//!
//! A servo reports ticks: its encoder's, moved by the homing offset that it stores. A calibration says of every joint how far its
//! servo's ticks go. The middle of that range is the joint's zero, `(range_min + range_max) / 2`; a gripper is closed at
//! `range_min`, at `range_max` where its ticks fall while it opens. [`Calibration::apply`] makes the arm that a board drives of the model and
//! this: its limits are those that both allow.

mod apply;
mod check;
mod error;
mod store;
mod text;

use wink_firmware::servo::TICKS_PER_TURN;

pub use error::CalibrationError;
pub use store::{DEFAULT_ID, calibration_path};

/// The calibration of one arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// Name of the arm's model.
    pub arm: String,
    /// One entry for each joint; that of the gripper has the name [`GRIPPER_NAME`](super::GRIPPER_NAME). A gripper behind a crank
    /// has none: where its zero is, no range of ticks says.
    pub joints: Vec<JointCalibration>,
}

/// How far the servo of one joint goes. Ticks are those that the servo reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointCalibration {
    /// The joint's name.
    pub name: String,
    /// Id of the servo; of two on one joint, that of the first.
    pub servo_id: u8,
    /// Whether this servo turns against what the arm's model says (LeRobot's `drive_mode`).
    pub reversed: bool,
    /// What the servo's register for its homing offset holds, ticks. A Feetech servo reports its encoder's tick less this offset, a
    /// Dynamixel the sum of both.
    pub homing_offset: i32,
    /// Lowest tick of the joint's travel.
    pub range_min: i32,
    /// Highest tick of the joint's travel.
    pub range_max: i32,
}

impl JointCalibration {
    /// Last tick of a servo's turn.
    pub const LAST_TICK: i32 = TICKS_PER_TURN as i32 - 1;

    /// The tick in the middle of the range: a joint's zero.
    #[must_use]
    pub fn middle(&self) -> f64 {
        f64::from(self.range_min + self.range_max) / 2.0
    }

    /// Ticks from one end to the other.
    #[must_use]
    pub const fn travel(&self) -> i32 {
        self.range_max - self.range_min
    }
}

#[cfg(test)]
mod tests;
