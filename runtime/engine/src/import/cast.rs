//! `Cast` that keeps 64-bit integers: tract makes symbolic dimensions of them, on which most of its operators fail or are wrong.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::internal::*;

use super::general::keeps_shape;

/// Replaces tract's import.
pub(super) fn register(register: &mut OnnxOpRegister) {
    register.insert("Cast", import);
}

fn import(
    _: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let to = node.get_attr::<DatumType>("to")?;
    Ok((expand(Cast { to }), vec![]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cast {
    to: DatumType,
}

impl Expansion for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        keeps_shape(s, inputs, outputs, 1)?;
        s.equals(&outputs[0].datum_type, self.to)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, cast(self.to), &[inputs[0]])
    }
}
