//! From a camera frame to a setpoint: the half of wink that runs on the robot's own computer.
//!
//! One tick: a [`camera`] frame and the arm's measured joints go to a [`policy`], its chunk of
//! actions to [`control`], the joint targets over the [`arm`]'s link to the firmware. A
//! [`session`] ties them together on a [`rig`] of cameras, link and clock: a simulated one runs
//! the same code as a real one.
//!
//! No driver, no simulator, no benchmark and no command line lives here, and of the firmware only
//! its wire types are known. Everything but running networks (feature `onnx`) builds without an
//! inference engine.

pub mod arm;
pub mod camera;
pub mod clock;
pub mod control;
pub mod policy;
pub mod rig;
pub mod session;
pub mod toml_file;
