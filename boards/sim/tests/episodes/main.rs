//! Whole episodes through the whole way: control loop, wire, firmware core, servos, contact, physics.

mod determinism;
mod expert;
mod robustness;
mod runner;
