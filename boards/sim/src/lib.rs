//! The simulated board of wink: GrinningFace's table, its physics, its pictures, its servos.

pub mod board;
pub mod emoji;
pub mod expert;
pub mod outcome;
pub mod render;
pub mod scene;
pub mod servos;
pub mod world;
