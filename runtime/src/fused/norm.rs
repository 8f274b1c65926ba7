//! Layer normalisation as one op, writing 8 bits where all that reads it would quantise it anyway.

use std::sync::Arc;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, NormInput, layer_norm};

use super::import::{General, Imported};
use super::pattern::{constant, keeps_rows, only_reader, quantise_format, shape};
use super::qdq::Quantise;
use super::scratch;
use super::tensor::{Format, output_of};
use crate::ops::{Inputs, ViewMut, Write, eval_by_write};

static GENERAL: General = General::of("LayerNormalization");

/// Replaces the engine's import of `LayerNormalization`.
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
        check_input_arity(inputs, 2 + usize::from(self.bias))?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.equals(&inputs[0].shape, &outputs[0].shape)
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

/// Normalises the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerNorm {
    gain: Arc<Vec<f32>>,
    bias: Option<Arc<Vec<f32>>>,
    epsilon: f32,
    output: Format,
}

impl Eq for LayerNorm {}

impl Op for LayerNorm {
    fn name(&self) -> StaticName {
        "FusedLayerNorm".into()
    }

    op_as_typed_op!();
}

eval_by_write!(LayerNorm);

impl Write for LayerNorm {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let input = NormInput {
            x: inputs.values(0)?,
            gain: &self.gain,
            bias: self.bias.as_ref().map(|bias| &***bias),
            epsilon: self.epsilon,
        };
        let mut output = output_of(output, self.output)?;
        scratch::with(|scratch| layer_norm(Isa::detect(), input, &mut output, &scratch.pool));
        Ok(())
    }
}

impl TypedOp for LayerNorm {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.output.datum().fact(inputs[0].shape.clone())])
    }
}

/// A norm whose only reader, reshapes aside, quantises it.
pub(super) fn quantised(
    model: &TypedModel,
    node: &TypedNode,
    op: &LayerNorm,
) -> Option<TypedModelPatch> {
    let mut reshapes = vec![];
    let mut reader = only_reader(model, node.id.into())?;
    while keeps_rows(model, reader) {
        reshapes.push(reader);
        reader = only_reader(model, reader.id.into())?;
    }
    let format = quantise_format(reader.op_as::<Quantise>()?)?;
    if op.output != Format::Float {
        return None;
    }
    let mut patch = TypedModelPatch::new("a norm that quantises");
    let mut wire = tvec![patch.tap_model(model, node.inputs[0]).ok()?];
    let op = LayerNorm {
        output: format,
        ..op.clone()
    };
    wire = patch
        .wire_node(format!("{}.fused", node.name), op, &wire)
        .ok()?;
    for reshape in reshapes {
        let name = format!("{}.8bit", reshape.name);
        wire = patch.wire_node(name, reshape.op.clone(), &wire).ok()?;
    }
    patch.shunt_outside(model, reader.id.into(), wire[0]).ok()?;
    Some(patch)
}
