//! From ONNX bytes to tract's graph: the guard that looks at a file first, names, and imports that tract lacks or takes apart.

mod cumsum;
mod fours;
mod general;
mod guard;
mod info;
mod names;
mod norm;
mod plain;
mod quantise;
mod weights;

use tract_onnx::model::OnnxOpRegister;

pub(crate) use guard::{inspect, parse, parse_consumed};
pub(crate) use info::shape_text;
pub use info::{GraphInfo, TensorInfo};
pub use names::name_nodes;
pub use plain::plain_tract;
pub(crate) use weights::{put_back, take_large};

/// Replaces tract's import of the operators that the rewrites look for.
pub(crate) fn register(register: &mut OnnxOpRegister) {
    quantise::register(register);
    norm::register(register);
    fours::register(register);
}
