//! From actions to joint targets: chunk scheduling, limits, inverse kinematics.
//!
//! Here live the numbers and rules of control, free of clocks, links and threads; a
//! [`session`](crate::session) drives them.

mod action_space;
mod chunk;
mod config;
mod error;
mod ik;
mod proprio;
mod rate;
pub mod schedule;
mod states;

pub use action_space::{
    ACTION_DIM, ACTION_NAMES, ActionSpace, EeDelta, JointDelta, JointPosition, JointUnits, Step,
    action_space, lerobot_joints,
};
pub use chunk::{check_chunk, check_shape};
#[cfg(test)]
pub(crate) use config::on_a_table;
pub use config::{ControlConfig, EndEffectorUnits, Workspace};
pub use error::ControlError;
pub use ik::{InverseKinematics, Solution};
pub use proprio::{PROPRIO_DIM, PROPRIO_NAMES, PROPRIO_STATE, proprio, proprio_state};
pub use rate::period_us;
pub use states::{StateReader, States};
