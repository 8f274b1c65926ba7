//! Normalisation of the last axis: layer normalisation, which writes floats or 8 bits, and by the root of the mean of squares.

use std::sync::Arc;

use tract_onnx::tract_core::ops::nn;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, NormInput, layer_norm, rms_norm};

use super::format::{Format, output_of};
use super::scratch;
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Normalises the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LayerNorm {
    pub(crate) gain: Arc<Vec<f32>>,
    pub(crate) bias: Option<Arc<Vec<f32>>>,
    pub(crate) epsilon: f32,
    pub(crate) output: Format,
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

    fn is_fused(&self) -> bool {
        true
    }
}

impl TypedOp for LayerNorm {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.output.datum().fact(inputs[0].shape.clone())])
    }
}

/// Divides by the root of the mean of squares; gains are products of their own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RmsNorm {
    width: usize,
    epsilon: f32,
}

impl Eq for RmsNorm {}

impl RmsNorm {
    /// `None` where another axis than the last is normalised, or it is empty.
    pub(super) fn new(op: &nn::RmsNorm, input: &[usize]) -> Option<Self> {
        let width = *input.last()?;
        let epsilon = op.eps.cast_to_scalar::<f32>().ok()?;
        (op.axis == input.len() - 1 && width > 0).then_some(Self { width, epsilon })
    }
}

impl Op for RmsNorm {
    fn name(&self) -> StaticName {
        "RmsNorm".into()
    }

    op_as_typed_op!();
}

eval_by_write!(RmsNorm);

impl Write for RmsNorm {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (x, out) = (inputs.values(0)?, output.into_values()?);
        rms_norm(Isa::detect(), x, self.width, self.epsilon, out);
        Ok(())
    }
}

impl TypedOp for RmsNorm {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}
