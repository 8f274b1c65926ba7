//! `CumSum` over 64-bit integers, which exported text encoders use to count tokens.
//!
//! Tract turns a cast to int64 into symbolic dimensions, on which its own `CumSum` fails with "TDim is not a number";
//! here the sum runs over plain integers.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::array::CumSum;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::internal::*;

use super::general::keeps_shape;

/// Replaces tract's import of `CumSum`.
pub(super) fn register(register: &mut OnnxOpRegister) {
    register.insert("CumSum", import);
}

fn import(
    _: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let flag = |name| -> TractResult<bool> { Ok(node.get_attr_opt::<i64>(name)? == Some(1)) };
    let op = IntegerCumSum {
        exclusive: flag("exclusive")?,
        reverse: flag("reverse")?,
    };
    Ok((expand(op), vec![]))
}

#[derive(Debug, Clone)]
struct IntegerCumSum {
    exclusive: bool,
    reverse: bool,
}

impl Expansion for IntegerCumSum {
    fn name(&self) -> StaticName {
        "CumSum".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        keeps_shape(s, inputs, outputs, 2)?;
        s.equals(&inputs[0].datum_type, &outputs[0].datum_type)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?.clone();
        let axis = model
            .outlet_fact(inputs[1])?
            .konst
            .as_ref()
            .context("axis must be a constant")?;
        let axis = axis.cast_to_scalar::<i64>()?;
        let rank = fact.rank() as i64;
        ensure!(
            (-rank..rank).contains(&axis),
            "axis {axis} of a tensor of rank {rank}"
        );
        let axis = (if axis < 0 { axis + rank } else { axis }) as usize;
        let op = CumSum {
            axis,
            exclusive: self.exclusive,
            reverse: self.reverse,
        };
        if fact.datum_type != TDim::datum_type() {
            return model.wire_node(prefix, op, &[inputs[0]]);
        }
        let plain = model.wire_node(
            format!("{prefix}.integers"),
            cast(i64::datum_type()),
            &[inputs[0]],
        )?;
        let sum = model.wire_node(format!("{prefix}.sum"), op, &plain)?;
        model.wire_node(prefix, cast(TDim::datum_type()), &sum)
    }
}
