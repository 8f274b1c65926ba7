//! A matrix product with constant weights and everything that follows it, as one op.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Activations, Epilogue, FloatRows, PackedWeights, Rows, product};

use super::format::{Beside, Format, output_of, residual_of};
use super::operands::{Left, Left8, Operands};
use super::scratch::{self, Scratch};
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// `output = epilogue(input x weights)` over the last axis of the input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    pub(crate) operands: Operands,
    pub(crate) epilogue: Arc<Epilogue>,
    /// What the second input is, where there is one.
    pub(crate) residual: Option<Beside>,
    pub(crate) output: Format,
    pub(crate) shape: TVec<usize>,
    /// Start of each row.
    pub(crate) rows: Arc<Vec<u32>>,
}

impl Eq for Linear {}

impl Op for Linear {
    fn name(&self) -> StaticName {
        format!("FusedLinear{}", self.operands.suffix()).into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(self.operands.info(self.rows.len()))
    }

    op_as_typed_op!();
}

eval_by_write!(Linear);

impl Write for Linear {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let residual = residual_of(inputs, self.residual)?;
        let mut output = output_of(output, self.output)?;
        scratch::with(|scratch| {
            let Scratch {
                activations,
                bytes: moment,
                pool,
                ..
            } = scratch;
            let (offsets, segments) = (&self.rows[..], &[0][..]);
            match self.operands.left(inputs.get(0)?, moment)? {
                Left::Floats(weights, values) => {
                    let rows = FloatRows {
                        values,
                        offsets,
                        segments,
                    };
                    weights.product(rows, &self.epilogue, residual, &mut output, pool);
                }
                Left::Bytes(weights, left) => {
                    self.put_rows(weights, &left, activations);
                    let rows = Rows {
                        activations,
                        offsets,
                        segments,
                    };
                    product(
                        weights,
                        rows,
                        &self.epilogue,
                        left.scales(),
                        residual,
                        &mut output,
                        pool,
                    );
                }
            }
            Ok(())
        })
    }

    fn is_fused(&self) -> bool {
        true
    }

    fn settle(&self, scratch: &mut Vec<f32>) {
        self.operands.settle(scratch);
    }

    fn weight_bytes(&self) -> usize {
        self.operands.bytes()
    }
}

impl Linear {
    /// Copies the activations to rows as far apart as the kernel wants them.
    fn put_rows(&self, weights: &PackedWeights, left: &Left8<'_>, activations: &mut Activations) {
        let (m, k, stride) = (self.rows.len(), weights.segment(), weights.padded_segment());
        let mut writer = activations.writer(weights.isa(), m * stride, left.q.zero_point);
        if k == stride {
            return writer.put(0, left.values);
        }
        for row in 0..m {
            writer.put(row * stride, left.values.part(row * k..(row + 1) * k));
        }
    }

    /// Starts of `m` rows.
    pub(crate) fn row_starts(operands: &Operands, m: usize) -> TractResult<Arc<Vec<u32>>> {
        let (_, stride) = operands.segment();
        let starts: Result<Vec<u32>, _> = (0..m).map(|row| u32::try_from(row * stride)).collect();
        Ok(Arc::new(
            starts.context("the left side of a product is too large")?,
        ))
    }
}

impl TypedOp for Linear {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual.is_some()));
        Ok(tvec![self.output.datum().fact(&*self.shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let macs = self.rows.len() * self.operands.depth() * self.operands.columns();
        Ok(tvec![(Cost::FMA(self.operands.datum()), macs.to_dim())])
    }
}
