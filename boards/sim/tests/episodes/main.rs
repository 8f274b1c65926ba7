//! Whole episodes through the whole way: control loop, wire, firmware core, servos, contact, physics.

#![expect(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![expect(
    clippy::print_stdout,
    reason = "`--nocapture` shows how near the limits are"
)]

mod determinism;
mod diverse;
#[path = "../drive/mod.rs"]
mod drive;
mod expert;
mod robustness;
mod runner;
mod so101;
