//! The engine as it comes, with what an exported policy needs of ops that it lacks.

use tract_onnx::Onnx;

/// Reads ONNX for tools that take graphs apart: nothing is fused, every tensor of the file can be asked for.
#[must_use]
pub fn plain_engine() -> Onnx {
    let mut engine = tract_onnx::onnx();
    super::cumsum::register(&mut engine.op_register);
    engine
}
