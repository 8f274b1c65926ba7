//! What a person wants of an arm.

use anyhow::Result;
use wink_runtime::arm::JointValues;

use super::operator::Wish;

/// Where a person wants the joints of an arm. What comes of it goes through a [`Guide`](super::Guide), which keeps limits and speed.
pub trait Person {
    /// What the person drives the arm with, for the operator and the recording.
    fn with(&self) -> &str;

    /// Where the joints on the wire should be now (rad, the gripper in m of one finger), given where they were told to be last.
    /// It is called once a tick and does not wait.
    ///
    /// # Errors
    /// When that is not known now: the arm must hold, and be aligned again once it is known.
    fn wanted(&mut self, told: &JointValues) -> Result<JointValues>;

    /// A key was pressed that chooses or moves a joint.
    fn key(&mut self, wish: Wish) {
        let _ = wish;
    }

    /// Whether there is nothing more to come, as at the end of a recording.
    fn is_over(&self) -> bool {
        false
    }
}
