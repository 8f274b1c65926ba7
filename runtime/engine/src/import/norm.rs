//! `LayerNormalization` as one node.

use std::sync::Arc;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::general::{General, Imported, keeps_shape};
use crate::ops::{Format, LayerNorm};
use crate::query::{constant, shape};

static GENERAL: General = General::of("LayerNormalization");

/// Replaces tract's import of `LayerNormalization`.
pub(super) fn register(register: &mut OnnxOpRegister) {
    GENERAL.replace(register, import);
}

fn import(ctx: &ParsingContext<'_>, node: &NodeProto) -> Imported {
    let axis = node.get_attr_opt::<i64>("axis")?.unwrap_or(-1);
    let epsilon = node.get_attr_opt("epsilon")?.unwrap_or(1e-5);
    let one_output = node.output.iter().skip(1).all(String::is_empty);
    let bias = node.input.get(2).is_some_and(|name| !name.is_empty());
    if axis != -1 || !one_output {
        return GENERAL.import(ctx, node);
    }
    Ok((expand(Import { epsilon, bias }), vec![]))
}

#[derive(Debug, Clone)]
struct Import {
    epsilon: f32,
    bias: bool,
}

impl Expansion for Import {
    fn name(&self) -> StaticName {
        "LayerNormalization".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        keeps_shape(s, inputs, outputs, 2 + usize::from(self.bias))?;
        s.equals(&inputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].datum_type, f32::datum_type())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let width = shape(model, inputs[0])
            .and_then(|shape| shape.last().copied())
            .context("an open shape")?;
        let row = |outlet: OutletId| -> TractResult<Arc<Vec<f32>>> {
            let value = constant(model, outlet).context("gain and bias must be constants")?;
            let value = value.cast_to::<f32>()?;
            let values = value.try_as_plain_ram()?.as_slice::<f32>()?;
            ensure!(
                values.len() == width,
                "{} gains for rows of {width}",
                values.len()
            );
            Ok(Arc::new(values.to_vec()))
        };
        let op = LayerNorm {
            gain: row(inputs[1])?,
            bias: inputs.get(2).map(|outlet| row(*outlet)).transpose()?,
            epsilon: self.epsilon,
            output: Format::Float,
        };
        model.wire_node(prefix, op, &[inputs[0]])
    }
}
