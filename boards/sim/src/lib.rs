//! The simulated board of wink: GrinningFace's table and others, their physics, pictures and servos.
//!
//! A [`SimBoard`] is a camera, a wire and a clock to the runtime. Behind the wire the real firmware core drives simulated
//! servos, which move a kinematic arm through rapier's physics. What is no part of a board does not belong here: control,
//! policies that look, reports.

pub mod board;
pub mod bus;
pub mod diverse;
pub mod emoji;
pub mod expert;
pub mod kit;
pub mod moving;
pub mod outcome;
mod plant;
pub mod render;
pub mod scene;
pub mod servos;
pub mod setup;
mod shown;
pub mod table;
pub mod workcell;
pub mod world;

pub use board::{SimBoard, SimError, SimOptions};
pub use diverse::DiverseScene;
pub use moving::CardSpeed;
pub use outcome::{Failure, MAX_STEPS, Outcome, Truth};
pub use scene::{Scene, Split};
pub use setup::{CONTROL_HZ, Setup, arm, control_config};
pub use shown::Shown;
pub use table::Table;
pub use workcell::Workcell;
