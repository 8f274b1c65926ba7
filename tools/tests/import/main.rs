//! `wink import`: packages equal those of the exporter; whatever a checkpoint leaves open or contradicts is refused by name.

#![allow(clippy::unwrap_used)]

mod checkpoint;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod golden;
mod packages;
mod questions;
mod running;
mod whole;
