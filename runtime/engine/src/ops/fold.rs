//! Windows of a picture added up where they lie: what is left of a transposed convolution behind its product.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;

use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Adds the windows that each position of the input holds to the bias of each channel. Tensors are channels-last; with one
/// spatial axis the height is 1. Pairs are height and width.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fold {
    pub(crate) batch: usize,
    /// Positions of windows.
    pub(crate) input: [usize; 2],
    /// Values of a window, each with all channels.
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    /// What is cut off in front.
    pub(crate) cut: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) bias: Arc<Vec<f32>>,
    /// Axes that windows move along: 1 or 2.
    pub(crate) spatial: usize,
}

impl Eq for Fold {}

impl Fold {
    /// Index in the output of a value of a window, where it is not cut off.
    fn place(&self, axis: usize, window: usize, value: usize) -> Option<usize> {
        let padded = window * self.strides[axis] + value * self.dilations[axis];
        let at = padded.checked_sub(self.cut[axis])?;
        (at < self.output[axis]).then_some(at)
    }

    /// One picture.
    fn add(&self, windows: &[f32], picture: &mut [f32]) {
        let channels = self.bias.len();
        for pixel in picture.chunks_exact_mut(channels) {
            pixel.copy_from_slice(&self.bias);
        }
        let [kernel_height, kernel_width] = self.kernel;
        let window = kernel_height * kernel_width * channels;
        let positions = (0..self.input[0]).flat_map(|y| (0..self.input[1]).map(move |x| (y, x)));
        for ((y, x), values) in positions.zip(windows.chunks_exact(window)) {
            for (ky, line) in values.chunks_exact(kernel_width * channels).enumerate() {
                let Some(row) = self.place(0, y, ky) else {
                    continue;
                };
                for (kx, values) in line.chunks_exact(channels).enumerate() {
                    let Some(column) = self.place(1, x, kx) else {
                        continue;
                    };
                    let at = (row * self.output[1] + column) * channels;
                    for (sum, value) in picture[at..at + channels].iter_mut().zip(values) {
                        *sum += value;
                    }
                }
            }
        }
    }
}

impl Op for Fold {
    fn name(&self) -> StaticName {
        "Fold".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Fold);

impl Write for Fold {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let windows: &[f32] = inputs.values(0)?;
        let out = output.into_values::<f32>()?;
        let of = |sizes: [usize; 2]| sizes[0] * sizes[1] * self.bias.len();
        let (from, to) = (
            of(self.input) * self.kernel[0] * self.kernel[1],
            of(self.output),
        );
        ensure!(windows.len() == self.batch * from && out.len() == self.batch * to);
        if from == 0 || to == 0 {
            return Ok(());
        }
        for (windows, picture) in windows.chunks_exact(from).zip(out.chunks_exact_mut(to)) {
            self.add(windows, picture);
        }
        Ok(())
    }
}

impl TypedOp for Fold {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1);
        let mut shape = tvec![self.batch];
        shape.extend_from_slice(&self.output[2 - self.spatial..]);
        shape.push(self.bias.len());
        Ok(tvec![f32::fact(&*shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        Ok(tvec![])
    }
}
