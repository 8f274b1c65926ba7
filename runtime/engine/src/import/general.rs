//! Imports of ONNX operators that take tract's place for the plain form of an operator, and leave other forms to it.

use std::sync::OnceLock;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

pub(super) type Imported = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

type Import = fn(&ParsingContext, &NodeProto) -> Imported;

/// Tract's import of an operator, kept when another one takes its place.
pub(super) struct General {
    op: &'static str,
    import: OnceLock<Import>,
}

impl General {
    pub(super) const fn of(op: &'static str) -> Self {
        Self {
            op,
            import: OnceLock::new(),
        }
    }

    /// Puts `own` in its place, where tract knows the operator at all.
    pub(super) fn replace(&self, register: &mut OnnxOpRegister, own: Import) {
        if let Some(general) = register.0.get(self.op) {
            self.import.get_or_init(|| *general);
            register.insert(self.op, own);
        }
    }

    /// What tract makes of a node.
    pub(super) fn import(&self, ctx: &ParsingContext<'_>, node: &NodeProto) -> Imported {
        let general = self.import.get();
        let general = general.with_context(|| format!("the engine has no {}", self.op))?;
        general(ctx, node)
    }
}

/// The rules of an operator of `count` inputs with one output of the shape of the first.
pub(super) fn keeps_shape<'r, 'p: 'r>(
    s: &mut Solver<'r>,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
    count: usize,
) -> InferenceResult {
    check_input_arity(inputs, count)?;
    check_output_arity(outputs, 1)?;
    s.equals(&inputs[0].shape, &outputs[0].shape)
}
