//! From a camera frame to a setpoint.

pub mod arm;
pub mod camera;
pub mod clock;
pub mod control;
pub mod episode;
pub mod policy;
pub mod telemetry;
