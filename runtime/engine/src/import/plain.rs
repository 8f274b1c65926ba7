//! Tract as it comes, with what exported graphs need of ops that it lacks.

use tract_onnx::Onnx;

/// Reads ONNX with nothing fused: what graphs are built from, and what tools that take graphs apart run them in.
#[must_use]
pub fn plain_tract() -> Onnx {
    let mut engine = tract_onnx::onnx();
    super::cast::register(&mut engine.op_register);
    super::own_op::register(&mut engine.op_register);
    super::cumsum::register(&mut engine.op_register);
    engine
}
