//! A convolution over one or two axes with constant weights and everything that follows it, as one op over channels-last tensors.
//!
//! No im2col: a kernel row covers `kernel width x channels` consecutive values of a padded channels-last picture, so each
//! output pixel is one row of a product, read in as many segments as the kernel has rows.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Activations, Bytes, Epilogue, FloatRows, PackedWeights, Rows, product};

use super::format::{Beside, Format, output_of, residual_of};
use super::operands::{Left, Operands};
use super::scratch::{self, Scratch};
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Sizes of a convolution of one picture; pairs are height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) channels: usize,
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    pub(crate) pad_before: [usize; 2],
    pub(crate) pad_after: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl Geometry {
    /// Height and width with the padding.
    fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.pad_before[axis] + self.input[axis] + self.pad_after[axis])
    }

    /// Kernel positions that lie together in memory.
    pub(crate) fn run(&self) -> usize {
        if self.dilations[1] == 1 {
            self.kernel[1]
        } else {
            1
        }
    }

    /// Values per segment.
    pub(crate) fn segment(&self) -> usize {
        self.run() * self.channels
    }

    /// Kernel row and column of the first position of each segment.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (usize, usize)> {
        let [height, width] = self.kernel;
        let run = self.run();
        (0..height).flat_map(move |y| (0..width).step_by(run).map(move |x| (y, x)))
    }

    /// Where value `k` of segment `s` of output channel `n` lies among weights that are `N x C x H x W`.
    pub(crate) fn weight_index(&self) -> impl Fn(usize, usize, usize) -> usize {
        let firsts: Vec<(usize, usize)> = self.segments().collect();
        let ([height, width], channels) = (self.kernel, self.channels);
        move |s, k, n| {
            let (y, x) = (firsts[s].0, firsts[s].1 + k / channels);
            ((n * channels + k % channels) * height + y) * width + x
        }
    }

    /// Starts of the rows (output pixels) and of the segments, in values.
    pub(crate) fn offsets(&self) -> TractResult<(Vec<u32>, Vec<u32>)> {
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

/// `output = epilogue(convolution(input))`, tensors N x H x W x C, or N x W x C where the convolution is over one axis: its height
/// is 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conv {
    pub(crate) operands: Operands,
    pub(crate) epilogue: Arc<Epilogue>,
    pub(crate) geometry: Geometry,
    pub(crate) batch: usize,
    /// Axes that the kernel moves along: 1 or 2.
    pub(crate) spatial: usize,
    /// Format of the second input, which is added before the activation.
    pub(crate) residual: Option<Beside>,
    pub(crate) output: Format,
    pub(crate) rows: Arc<Vec<u32>>,
    pub(crate) segments: Arc<Vec<u32>>,
}

impl Eq for Conv {}

impl Conv {
    fn output_shape(&self) -> TVec<usize> {
        let sizes = &self.geometry.output[2 - self.spatial..];
        let mut shape = tvec![self.batch];
        shape.extend_from_slice(sizes);
        shape.push(self.operands.columns());
        shape
    }
}

impl Op for Conv {
    fn name(&self) -> StaticName {
        format!("FusedConv{}", self.operands.suffix()).into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(self.operands.info(self.rows.len()))
    }

    op_as_typed_op!();
}

eval_by_write!(Conv);

impl Write for Conv {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let residual = residual_of(inputs, self.residual)?;
        let mut output = output_of(output, self.output)?;
        let [height, width] = self.geometry.input;
        let picture = height * width * self.geometry.channels;
        let per_picture = self.rows.len() * self.operands.columns();
        scratch::with(|scratch| {
            let Scratch {
                activations,
                bytes: moment,
                floats,
                pool,
                ..
            } = scratch;
            let (offsets, segments) = (&self.rows[..], &self.segments[..]);
            let left = self.operands.left(inputs.get(0)?, moment)?;
            for index in 0..self.batch {
                let at = index * per_picture..(index + 1) * per_picture;
                let residual = residual.part(at.clone());
                let mut output = output.part(at);
                let at = index * picture..(index + 1) * picture;
                match &left {
                    Left::Floats(weights, values) => {
                        self.pad_floats(&values[at], floats);
                        let rows = FloatRows {
                            values: floats,
                            offsets,
                            segments,
                        };
                        weights.product(rows, &self.epilogue, residual, &mut output, pool);
                    }
                    Left::Bytes(weights, left) => {
                        let values = left.values.part(at);
                        self.pad_bytes(weights, left.q.zero_point, values, activations);
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

impl Conv {
    /// A picture in 8 bits with its padding.
    fn pad_bytes(
        &self,
        weights: &PackedWeights,
        zero_point: i32,
        values: Bytes<'_>,
        activations: &mut Activations,
    ) {
        let g = &self.geometry;
        let [height, width] = g.input;
        let [padded_height, padded_width] = g.padded();
        let [top, left] = g.pad_before;
        let line = padded_width * g.channels;
        // Past the last segment zero weights may meet values of the next one.
        let size = padded_height * line + weights.padded_segment();
        let mut writer = activations.writer(weights.isa(), size, zero_point);
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
    }

    /// A picture in floats with its padding.
    fn pad_floats(&self, values: &[f32], padded: &mut Vec<f32>) {
        let g = &self.geometry;
        let [height, width] = g.padded();
        let [top, left] = g.pad_before;
        let (line, run) = (width * g.channels, g.input[1] * g.channels);
        padded.clear();
        padded.resize(height * line, 0.0);
        let lines = padded.chunks_exact_mut(line.max(1)).skip(top);
        for (to, from) in lines.zip(values.chunks_exact(run.max(1))) {
            to[left * g.channels..][..run].copy_from_slice(from);
        }
    }
}

impl TypedOp for Conv {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual.is_some()));
        Ok(tvec![self.output.datum().fact(&*self.output_shape())])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let macs = self.batch * self.rows.len() * self.operands.depth() * self.operands.columns();
        Ok(tvec![(Cost::FMA(self.operands.datum()), macs.to_dim())])
    }
}
