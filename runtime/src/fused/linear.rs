//! A matrix product with constant weights and everything that follows it, as one op.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{
    Bytes, Epilogue, FloatRows, Output, Residual, RowScales, Rows, Writer, dynamic_range,
    float_product, product, quantise,
};

use super::operands::Operands;
use super::scratch::{self, Scratch};
use super::tensor::{Format, bytes, output_of, residual_of};

/// `output = epilogue(input x weights)` over the last axis of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    pub(super) operands: Operands,
    pub(super) epilogue: Arc<Epilogue>,
    /// Format of the second input, which is added before the activation.
    pub(super) residual: Option<Format>,
    pub(super) output: Format,
    pub(super) shape: TVec<usize>,
    /// Start of each row.
    pub(super) rows: Arc<Vec<u32>>,
}

impl Eq for Linear {}

impl Op for Linear {
    fn name(&self) -> StaticName {
        self.operands.name("FusedLinear", "FusedLinearF32")
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(self.operands.info(self.rows.len()))
    }

    op_as_typed_op!();
}

impl EvalOp for Linear {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut out = self.output.tensor(&self.shape)?;
        let residual = self
            .residual
            .map(|format| residual_of(&inputs[1], format))
            .transpose()?
            .unwrap_or(Residual::None);
        let mut output = output_of(&mut out, self.output)?;
        scratch::with(|scratch| self.product(&inputs[0], residual, &mut output, scratch))?;
        Ok(tvec![out.into_tvalue()])
    }
}

impl Linear {
    fn product(
        &self,
        input: &Tensor,
        residual: Residual<'_>,
        output: &mut Output<'_>,
        scratch: &mut Scratch,
    ) -> TractResult<()> {
        let isa = self.operands.isa();
        let (m, (k, stride)) = (self.rows.len(), self.operands.segment());
        let Scratch {
            activations,
            bytes: quantised,
            pool,
            ..
        } = scratch;
        let (scale, zero_point);
        let (weights, scales) = match &self.operands {
            Operands::Quantised(weights, q) => {
                let mut writer = activations.writer(isa, m * stride, q.zero_point);
                put_rows(&mut writer, bytes(input)?, m, k, stride);
                (weights, RowScales::Fixed)
            }
            Operands::Dynamic(weights) => {
                let x = input.try_as_plain_ram()?.as_slice::<f32>()?;
                let q = dynamic_range(isa, x);
                quantised.resize(x.len(), 0);
                quantise(isa, x, &mut Output::Unsigned(quantised, q));
                let mut writer = activations.writer(isa, m * stride, q.zero_point);
                put_rows(&mut writer, Bytes::Unsigned(quantised), m, k, stride);
                (scale, zero_point) = ([q.scale], [q.zero_point]);
                let scales = RowScales::Dynamic {
                    scale: &scale,
                    zero_point: &zero_point,
                };
                (weights, scales)
            }
            Operands::Float(weights) => {
                let rows = FloatRows {
                    values: input.try_as_plain_ram()?.as_slice()?,
                    offsets: &self.rows,
                    segments: &[0],
                };
                float_product(weights, rows, &self.epilogue, residual, output, pool);
                return Ok(());
            }
        };
        let rows = Rows {
            activations,
            offsets: &self.rows,
            segments: &[0],
        };
        product(
            weights,
            rows,
            &self.epilogue,
            scales,
            residual,
            output,
            pool,
        );
        Ok(())
    }

    /// Starts of `m` rows.
    pub(super) fn row_starts(operands: &Operands, m: usize) -> TractResult<Arc<Vec<u32>>> {
        let (_, stride) = operands.segment();
        let starts: Result<Vec<u32>, _> = (0..m).map(|row| u32::try_from(row * stride)).collect();
        Ok(Arc::new(
            starts.context("the left side of a product is too large")?,
        ))
    }
}

/// Copies `m` rows of `k` values to rows that are `stride` apart.
fn put_rows(writer: &mut Writer<'_>, values: Bytes<'_>, m: usize, k: usize, stride: usize) {
    if k == stride {
        return writer.put(0, values);
    }
    for row in 0..m {
        writer.put(row * stride, values.part(row * k..(row + 1) * k));
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
