//! A matrix product with constant 8-bit weights and everything that follows it, as one op.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{
    Epilogue, PackedWeights, Quantisation, Residual, RowScales, Rows, Writer, dynamic_range,
    product,
};

use super::scratch::{self, Scratch};
use super::tensor::{Format, bytes, output_of, residual_of};

/// How the activations arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activations8 {
    /// As 8-bit values.
    Quantised(Quantisation),
    /// As floats that are quantised on the fly, one scale for the tensor as in `DynamicQuantizeLinear`.
    Dynamic,
}

/// `output = epilogue(input x weights)` over the last axis of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    pub(super) weights: Arc<PackedWeights>,
    pub(super) epilogue: Arc<Epilogue>,
    pub(super) input: Activations8,
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
        "FusedLinear".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let (k, n) = (self.weights.segment(), self.weights.columns());
        Ok(vec![format!(
            "{}x{k}x{n} by {}",
            self.rows.len(),
            self.weights.isa().name()
        )])
    }

    op_as_typed_op!();
}

impl EvalOp for Linear {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let isa = self.weights.isa();
        let (m, k) = (self.rows.len(), self.weights.segment());
        let stride = self.weights.padded_segment();
        let mut out = self.output.tensor(&self.shape)?;
        let residual = self
            .residual
            .map(|format| residual_of(&inputs[1], format))
            .transpose()?;
        scratch::with(
            |Scratch {
                 activations,
                 bytes: quantised,
                 pool,
             }|
             -> TractResult<()> {
                let mut scales = RowScales::Fixed;
                let (scale, zero_point);
                match self.input {
                    Activations8::Quantised(q) => {
                        let values = bytes(&inputs[0])?;
                        let mut writer = activations.writer(isa, m * stride, q.zero_point);
                        put_rows(&mut writer, values, m, k, stride);
                    }
                    Activations8::Dynamic => {
                        let x = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
                        let q = dynamic_range(isa, x);
                        quantised.resize(x.len(), 0);
                        let mut to = wink_kernels::Output::Unsigned(quantised, q);
                        wink_kernels::quantise(isa, x, &mut to);
                        let mut writer = activations.writer(isa, m * stride, q.zero_point);
                        put_rows(
                            &mut writer,
                            wink_kernels::Bytes::Unsigned(quantised),
                            m,
                            k,
                            stride,
                        );
                        (scale, zero_point) = ([q.scale], [q.zero_point]);
                        scales = RowScales::Dynamic {
                            scale: &scale,
                            zero_point: &zero_point,
                        };
                    }
                }
                let rows = Rows {
                    activations,
                    offsets: &self.rows,
                    segments: &[0],
                };
                let residual = residual.unwrap_or(Residual::None);
                let mut output = output_of(&mut out, self.output)?;
                product(
                    &self.weights,
                    rows,
                    &self.epilogue,
                    scales,
                    residual,
                    &mut output,
                    pool,
                );
                Ok(())
            },
        )?;
        Ok(tvec![out.into_tvalue()])
    }
}

/// Copies `m` rows of `k` values to rows that are `stride` apart.
fn put_rows(
    writer: &mut Writer<'_>,
    values: wink_kernels::Bytes<'_>,
    m: usize,
    k: usize,
    stride: usize,
) {
    if k == stride {
        return writer.put(0, values);
    }
    for row in 0..m {
        writer.put(row * stride, values.part(row * k..(row + 1) * k));
    }
}

impl Linear {
    /// Starts of `m` rows.
    pub(super) fn row_starts(weights: &PackedWeights, m: usize) -> TractResult<Arc<Vec<u32>>> {
        let stride = weights.padded_segment();
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
        let macs = self.rows.len() * self.weights.segment() * self.weights.columns();
        Ok(tvec![(Cost::FMA(i8::datum_type()), macs.to_dim())])
    }
}
