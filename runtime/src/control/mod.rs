//! From actions to joint targets: chunk scheduling, limits, inverse kinematics.
//!
//! Here live the numbers and rules of control, free of time, links and threads; `episode` drives
//! them.

mod action;
mod config;
mod controller;
mod ik;
mod proprio;
mod rate;

pub use action::{ACTION_DIM, ACTION_NAMES};
#[cfg(test)]
pub(crate) use config::on_a_table;
pub use config::{ControlConfig, EndEffectorUnits, Workspace};
pub use controller::{ControlError, Controller, Step};
pub use ik::{InverseKinematics, Solution};
pub use proprio::{PROPRIO_DIM, PROPRIO_NAMES, PROPRIO_STATE, proprio, proprio_state};
pub use rate::period_us;
