//! From ONNX bytes to tract's graph: the guard that looks at a file first, names, and imports that tract lacks or takes apart.

mod cast;
mod conform;
mod cumsum;
mod eighths;
pub(crate) mod element;
pub(crate) mod external;
mod fours;
mod functions;
mod general;
mod guard;
mod info;
pub(crate) mod lower;
pub(crate) mod meaning;
mod names;
mod norm;
mod own_op;
mod plain;
mod quantise;
pub(crate) mod reference;
pub(crate) mod shapes;
mod signatures;
mod sparse;
pub(crate) mod value;
mod weights;

use tract_onnx::model::OnnxOpRegister;

pub use element::Element;
pub(crate) use functions::Defaults;
pub(crate) use guard::{decode, inspect};
pub(crate) use info::shape_text;
pub use info::{GraphInfo, TensorInfo};
pub use names::name_nodes;
pub(crate) use own_op::own_operator;
pub use plain::plain_tract;
pub use value::Value;
pub(crate) use value::float_to_int;
pub(crate) use weights::{put_back, take_large};

/// Whether an operator of the standard runs, in tract or here.
pub(crate) fn knows(tract: &tract_onnx::Onnx, op: &str) -> bool {
    tract.op_register.0.contains_key(op)
        || meaning::KNOWN.contains(&op) && !meaning::INTERNAL.contains(&op)
}

/// Replaces tract's import of the operators that the rewrites look for.
pub(crate) fn register(register: &mut OnnxOpRegister) {
    quantise::register(register);
    norm::register(register);
    fours::register(register);
}
