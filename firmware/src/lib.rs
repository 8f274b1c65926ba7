#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::unreachable,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
extern crate std;

pub mod config;
mod motion;
pub mod safety;
pub mod servo;
pub mod wire;

pub use config::Config;
pub use safety::Core;
pub use wire::{Fault, HoldReason, State};

/// Most joints (gripper included) one board drives.
pub const MAX_JOINTS: usize = 8;

/// One value per joint in arm order: radians for revolute joints, metres for prismatic ones.
pub type JointVec = heapless::Vec<f32, MAX_JOINTS>;
