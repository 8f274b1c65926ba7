//! Post-training quantisation of ONNX graphs, without Python.
//!
//! From float graphs and samples of what they are fed: ranges of every activation ([`calibrate`]), changes that leave the
//! float function as it is but make it easier to round ([`reshape`]), rounded weights ([`weights`], [`gptq`]) and standard
//! ONNX that other engines run too ([`emit`]). Which layers are rounded is decided by how far the actions move
//! ([`sensitivity`]). Nothing here knows a policy's loops, a camera or an arm: samples come from outside.

pub mod calibrate;
pub mod emit;
mod engine;
mod error;
mod external;
pub mod gptq;
pub mod graph;
pub mod layer;
mod names;
pub mod range;
pub mod reshape;
pub mod scheme;
pub mod sensitivity;
pub mod weights;
mod wire;

pub use engine::{Runner, Sample};
pub use error::QuantizeError;
pub use graph::Graph;
pub use layer::{Kind, Layer};
pub use scheme::{Precision, Scheme};
