//! A 2-D convolution with constant 8-bit weights and everything that follows it, as one op over channels-last tensors.
//!
//! No im2col: a kernel row covers `kernel width x channels` consecutive values of a padded channels-last picture, so each
//! output pixel is one row of a product, read in as many segments as the kernel has rows.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, PackedWeights, Quantisation, Residual, RowScales, Rows, product};

use super::scratch;
use super::tensor::{Format, bytes, output_of, residual_of};

/// Sizes of a convolution of one picture; pairs are height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) channels: usize,
    pub(super) input: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    pub(super) pad_before: [usize; 2],
    pub(super) pad_after: [usize; 2],
    pub(super) output: [usize; 2],
}

impl Geometry {
    /// Height and width with the padding.
    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.pad_before[axis] + self.input[axis] + self.pad_after[axis])
    }

    /// Kernel positions that lie together in memory.
    pub(super) fn run(&self) -> usize {
        if self.dilations[1] == 1 {
            self.kernel[1]
        } else {
            1
        }
    }

    /// Values per segment.
    pub(super) fn segment(&self) -> usize {
        self.run() * self.channels
    }

    /// Kernel row and column of the first position of each segment.
    pub(super) fn segments(&self) -> impl Iterator<Item = (usize, usize)> {
        let [height, width] = self.kernel;
        let run = self.run();
        (0..height).flat_map(move |y| (0..width).step_by(run).map(move |x| (y, x)))
    }

    /// Starts of the rows (output pixels) and of the segments, in values.
    pub(super) fn offsets(&self) -> TractResult<(Vec<u32>, Vec<u32>)> {
        let line = self.padded()[1] * self.channels;
        let [dy, dx] = self.dilations;
        let [sy, sx] = self.strides;
        let segment =
            |(y, x): (usize, usize)| u32::try_from(y * dy * line + x * dx * self.channels);
        let segments: Result<_, _> = self.segments().map(segment).collect();
        let pixels = (0..self.output[0]).flat_map(|y| (0..self.output[1]).map(move |x| (y, x)));
        let row = |(y, x): (usize, usize)| u32::try_from(y * sy * line + x * sx * self.channels);
        let rows: Result<_, _> = pixels.map(row).collect();
        let large = "the input of a convolution is too large";
        Ok((rows.context(large)?, segments.context(large)?))
    }
}

/// `output = epilogue(convolution(input))`, tensors N x H x W x C.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conv {
    pub(super) weights: Arc<PackedWeights>,
    pub(super) epilogue: Arc<Epilogue>,
    pub(super) input: Quantisation,
    pub(super) geometry: Geometry,
    pub(super) batch: usize,
    /// Format of the second input, which is added before the activation.
    pub(super) residual: Option<Format>,
    pub(super) output: Format,
    pub(super) rows: Arc<Vec<u32>>,
    pub(super) segments: Arc<Vec<u32>>,
}

impl Eq for Conv {}

impl Conv {
    fn output_shape(&self) -> [usize; 4] {
        let [height, width] = self.geometry.output;
        [self.batch, height, width, self.weights.columns()]
    }
}

impl Op for Conv {
    fn name(&self) -> StaticName {
        "FusedConv".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let k = self.weights.segment() * self.weights.segments();
        let (m, n) = (self.rows.len(), self.weights.columns());
        Ok(vec![format!(
            "{m}x{k}x{n} by {}",
            self.weights.isa().name()
        )])
    }

    op_as_typed_op!();
}

impl EvalOp for Conv {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let g = &self.geometry;
        let [height, width] = g.input;
        let picture = height * width * g.channels;
        let values = bytes(&inputs[0])?;
        let per_picture = self.rows.len() * self.weights.columns();
        let mut out = self.output.tensor(&self.output_shape())?;
        let residual = self
            .residual
            .map(|format| residual_of(&inputs[1], format))
            .transpose()?;
        let mut output = output_of(&mut out, self.output)?;
        scratch::with(|scratch| {
            let [padded_height, padded_width] = g.padded();
            let line = padded_width * g.channels;
            // Past the last segment zero weights may meet values of the next one.
            let slack = self.weights.padded_segment();
            for index in 0..self.batch {
                let isa = self.weights.isa();
                let size = padded_height * line + slack;
                let mut writer = scratch.activations.writer(isa, size, self.input.zero_point);
                let [top, left] = g.pad_before;
                let values = values.part(index * picture..(index + 1) * picture);
                if padded_width == width {
                    writer.put(top * line, values);
                } else {
                    for y in 0..height {
                        let start = (top + y) * line;
                        let (from, run) = (left * g.channels, width * g.channels);
                        writer.zeros(start, from);
                        writer.put(start + from, values.part(y * run..(y + 1) * run));
                        writer.zeros(start + from + run, line - from - run);
                    }
                }
                writer.zeros(0, top * line);
                let bottom = (top + height) * line;
                writer.zeros(bottom, size - bottom);
                let at = index * per_picture..(index + 1) * per_picture;
                let residual = residual.map_or(Residual::None, |r| r.part(at.clone()));
                let rows = Rows {
                    activations: &scratch.activations,
                    offsets: &self.rows,
                    segments: &self.segments,
                };
                let mut output = output.part(at);
                product(
                    &self.weights,
                    rows,
                    &self.epilogue,
                    RowScales::Fixed,
                    residual,
                    &mut output,
                    &scratch.pool,
                );
            }
        });
        Ok(tvec![out.into_tvalue()])
    }
}

impl TypedOp for Conv {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual.is_some()));
        Ok(tvec![self.output.datum().fact(self.output_shape())])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let k = self.geometry.segment() * self.segments.len();
        let macs = self.batch * self.rows.len() * k * self.weights.columns();
        Ok(tvec![(Cost::FMA(i8::datum_type()), macs.to_dim())])
    }
}
