//! The largest value of each window over channels-last tensors.

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, Windows, max_pool};

use super::conv::Geometry;
use super::scratch;
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Tensors N x H x W x C, or N x W x C where windows move over one axis: its height is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MaxPool {
    pub(crate) geometry: Geometry,
    pub(crate) batch: usize,
    /// Axes that the windows move along: 1 or 2.
    pub(crate) spatial: usize,
}

impl MaxPool {
    fn windows(&self) -> Windows {
        let g = &self.geometry;
        Windows {
            channels: g.channels,
            input: g.input,
            kernel: g.kernel,
            strides: g.strides,
            dilations: g.dilations,
            pad_before: g.pad_before,
            output: g.output,
        }
    }

    /// Whether each window has a value that is no padding.
    pub(crate) fn has_values(&self) -> bool {
        self.windows().have_values()
    }

    fn output_shape(&self) -> TVec<usize> {
        let mut shape = tvec![self.batch];
        shape.extend_from_slice(&self.geometry.output[2 - self.spatial..]);
        shape.push(self.geometry.channels);
        shape
    }
}

impl Op for MaxPool {
    fn name(&self) -> StaticName {
        "MaxPool".into()
    }

    op_as_typed_op!();
}

eval_by_write!(MaxPool);

impl Write for MaxPool {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let x: &[f32] = inputs.values(0)?;
        let out = output.into_values::<f32>()?;
        let windows = self.windows();
        let (from, to) = (windows.input_values(), windows.output_values());
        ensure!(x.len() == self.batch * from && out.len() == self.batch * to);
        scratch::with(|scratch| {
            for index in 0..self.batch {
                let picture = &x[index * from..(index + 1) * from];
                let out = &mut out[index * to..(index + 1) * to];
                max_pool(Isa::detect(), &windows, picture, out, &scratch.pool);
            }
        });
        Ok(())
    }
}

impl TypedOp for MaxPool {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1);
        Ok(tvec![f32::fact(&*self.output_shape())])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        Ok(tvec![])
    }
}
