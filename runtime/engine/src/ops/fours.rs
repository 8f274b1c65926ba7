//! A product with 4-bit weights that stay packed.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, PackedFours};

use super::format::Format;
use super::linear::Linear;
use super::operands::Operands;
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// A product with 4-bit weights, before what follows it became part of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FourBits {
    pub(crate) weights: Arc<PackedFours>,
}

impl Eq for FourBits {}

impl FourBits {
    /// With nothing that follows it.
    fn alone(&self, rows: usize, shape: TVec<usize>) -> TractResult<Linear> {
        let operands = Operands::Fours(self.weights.clone());
        let scales = vec![1.0; self.weights.columns()];
        Ok(Linear {
            epilogue: Arc::new(Epilogue::new(&scales, None, None)),
            residual: None,
            output: Format::Float,
            shape,
            rows: Linear::row_starts(&operands, rows)?,
            operands,
        })
    }
}

impl Op for FourBits {
    fn name(&self) -> StaticName {
        "MatMulNBits".into()
    }

    op_as_typed_op!();
}

eval_by_write!(FourBits);

impl Write for FourBits {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let shape: TVec<usize> = inputs.get(0)?.shape.into();
        let rows = shape.iter().rev().skip(1).product();
        self.alone(rows, shape)?.write(inputs, output)
    }
}

impl TypedOp for FourBits {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        if let Some(last) = shape.last_mut() {
            *last = self.weights.columns().to_dim();
        }
        Ok(tvec![f32::datum_type().fact(shape)])
    }

    fn cost(&self, inputs: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let macs = inputs[0].shape.volume() * self.weights.columns();
        Ok(tvec![(Cost::FMA(f32::datum_type()), macs)])
    }
}
