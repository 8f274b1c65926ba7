//! From actions to joint targets: chunk scheduling, limits, inverse kinematics.
//!
//! Here live the numbers and rules of control, free of time, links and threads; `episode` drives
//! them.

mod action;
mod config;
mod controller;
mod ik;
mod proprio;

pub use action::{ACTION_DIM, ACTION_NAMES, ROTATION_SCALE_RAD, TRANSLATION_SCALE_M};
pub use config::{ControlConfig, Workspace};
pub use controller::{ControlError, Controller, Step};
pub use ik::{InverseKinematics, Solution};
pub use proprio::{PROPRIO_DIM, PROPRIO_NAMES, PROPRIO_STATE, proprio, proprio_state};
