//! A 3 x 3 convolution of stride 1 over floats by Winograd's filtering, with everything that follows it, over channels-last tensors.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, WinogradTiles, WinogradWeights, winograd};

use super::conv::Geometry;
use super::format::{Beside, Format, output_of, residual_of};
use super::scratch::{self, Scratch};
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Channels, of the input and of the output, from which on the products that are saved are worth the transforms.
const WORTH_TRANSFORMING: usize = 64;
/// Output pixels from which on reading nearly twice as many weights is.
const WORTH_READING: usize = 256;

/// `output = epilogue(convolution(input))`, tensors N x H x W x C.
#[derive(Debug, Clone)]
pub(crate) struct Winograd {
    pub(crate) weights: Arc<WinogradWeights>,
    pub(crate) tiles: Arc<WinogradTiles>,
    pub(crate) epilogue: Arc<Epilogue>,
    pub(crate) geometry: Geometry,
    pub(crate) batch: usize,
    /// Format of the second input, which is added before the activation.
    pub(crate) residual: Option<Beside>,
    pub(crate) output: Format,
}

/// The same weights in memory: to compare them value by value would take longer than to pack them.
impl PartialEq for Winograd {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.weights, &other.weights)
            && self.tiles == other.tiles
            && self.epilogue == other.epilogue
            && self.batch == other.batch
            && self.residual == other.residual
            && self.output == other.output
    }
}

impl Eq for Winograd {}

impl Winograd {
    /// Whether a convolution of this geometry and so many output channels is faster this way.
    pub(crate) fn suits(geometry: &Geometry, spatial: usize, columns: usize) -> bool {
        let channels = geometry.channels;
        spatial == 2
            && geometry.kernel == [3, 3]
            && geometry.strides == [1, 1]
            && geometry.dilations == [1, 1]
            && channels.min(columns) >= WORTH_TRANSFORMING
            && geometry.output[0] * geometry.output[1] >= WORTH_READING
            && WinogradWeights::fit(channels, columns)
    }
}

impl Op for Winograd {
    fn name(&self) -> StaticName {
        "FusedWinogradF32".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let [height, width] = self.geometry.output;
        let (pixels, depth) = (height * width, 9 * self.weights.channels());
        let (n, isa) = (self.weights.columns(), self.weights.isa().name());
        Ok(vec![format!("{pixels}x{depth}x{n} by {isa}")])
    }

    op_as_typed_op!();
}

eval_by_write!(Winograd);

impl Write for Winograd {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let values = inputs.values::<f32>(0)?;
        let residual = residual_of(inputs, self.residual)?;
        let mut output = output_of(output, self.output)?;
        let [height, width] = self.geometry.input;
        let picture = height * width * self.geometry.channels;
        let [height, width] = self.geometry.output;
        let per_picture = height * width * self.weights.columns();
        scratch::with(|scratch| {
            let Scratch { floats, pool, .. } = scratch;
            let wanted = self.tiles.scratch();
            if floats.len() < wanted {
                floats.resize(wanted, 0.0);
            }
            for index in 0..self.batch {
                let at = index * per_picture..(index + 1) * per_picture;
                winograd(
                    &self.weights,
                    &self.tiles,
                    &values[index * picture..(index + 1) * picture],
                    &self.epilogue,
                    residual.part(at.clone()),
                    &mut output.part(at),
                    floats,
                    pool,
                );
            }
            Ok(())
        })
    }

    fn is_fused(&self) -> bool {
        true
    }

    fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }
}

impl TypedOp for Winograd {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 1 + usize::from(self.residual.is_some()));
        let [height, width] = self.geometry.output;
        let shape = [self.batch, height, width, self.weights.columns()];
        Ok(tvec![self.output.datum().fact(shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let [height, width] = self.geometry.output;
        let tiles = height.div_ceil(2) * width.div_ceil(2);
        let macs = self.batch * tiles * 16 * self.weights.channels() * self.weights.columns();
        Ok(tvec![(Cost::FMA(DatumType::F32), macs.to_dim())])
    }
}
