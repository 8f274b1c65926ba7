//! Windows that move over one or two axes: their geometry, and the largest value in each as an op over channels-last tensors.

use tract_onnx::tract_core::ops::cnn::{MaxPool as TractMaxPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::internal::*;

use super::products::{Rewrite, words};
use crate::ops::{Geometry, MaxPool};
use crate::query::shape;

/// The largest value of each window.
pub(super) fn max_pool(model: &TypedModel, node: &TypedNode, op: &TractMaxPool) -> Rewrite {
    let datum = model.outlet_fact(node.inputs[0]).map_err(words)?.datum_type;
    if op.with_index_outputs.is_some() || datum != DatumType::F32 {
        return Err("only the largest values of f32, without their places, are taken here".into());
    }
    let (geometry, batch) = geometry(model, node, &op.pool_spec)?;
    let pool = MaxPool {
        geometry,
        batch,
        spatial: op.pool_spec.kernel_shape.len(),
    };
    if !pool.has_values() {
        return Err("windows that lie in the padding".into());
    }
    let spatial = pool.spatial;
    channels_last(
        model,
        &node.name,
        spatial,
        pool,
        &node.inputs,
        node.id.into(),
    )
    .map_err(words)
}

/// A patch in which the channels of all inputs go last for an op, and its own go back behind them; [`super::layout`] takes out what
/// meets its opposite.
pub(super) fn channels_last(
    model: &TypedModel,
    name: &str,
    spatial: usize,
    op: impl Into<Box<dyn TypedOp>>,
    inputs: &[OutletId],
    outlet: OutletId,
) -> TractResult<TypedModelPatch> {
    let last = 1 + spatial;
    let mut patch = TypedModelPatch::new("an op over channels-last tensors");
    let mut moved = tvec![];
    for (index, &input) in inputs.iter().enumerate() {
        let tap = patch.tap_model(model, input)?;
        let name = format!("{name}.channels_last.{index}");
        moved.push(patch.wire_node(name, AxisOp::Move(1, last), &[tap])?[0]);
    }
    let wire = patch.wire_node(format!("{name}.fused"), op, &moved)?;
    let name = format!("{name}.channels_first");
    let wire = patch.wire_node(name, AxisOp::Move(last, 1), &wire)?;
    patch.shunt_outside(model, outlet, wire[0])?;
    Ok(patch)
}

/// The geometry of windows over one picture, and the number of pictures.
///
/// # Errors
/// The reason why they are others than those that are known here.
pub(super) fn geometry(
    model: &TypedModel,
    node: &TypedNode,
    pool: &PoolSpec,
) -> Result<(Geometry, usize), String> {
    if pool.data_format != DataFormat::NCHW || ![1, 2].contains(&pool.kernel_shape.len()) {
        return Err("only windows over one or two axes behind the channels are fused".into());
    }
    let input = shape(model, node.inputs[0]).ok_or("open shapes")?;
    let output = shape(model, node.id.into()).ok_or("open shapes")?;
    // Windows over one axis are windows over pictures of height 1.
    let pair = |values: &[usize], height: usize| match *values {
        [height, width] => Ok([height, width]),
        [width] => Ok([height, width]),
        _ => Err("sizes for other axes than the kernel's"),
    };
    let each = |values: &Option<TVec<usize>>| values.as_ref().map_or(Ok([1, 1]), |v| pair(v, 1));
    let (kernel, strides, dilations) = (
        pair(&pool.kernel_shape, 1)?,
        each(&pool.strides)?,
        each(&pool.dilations)?,
    );
    let explicit = match &pool.padding {
        PaddingSpec::Explicit(before, _) | PaddingSpec::ExplicitOnnxPool(before, _, _) => {
            pair(before, 0)?
        }
        _ => [0; 2],
    };
    let mut geometry = Geometry {
        channels: input[1],
        input: pair(&input[2..], 1)?,
        kernel,
        strides,
        dilations,
        pad_before: [0; 2],
        pad_after: [0; 2],
        output: pair(&output[2..], 1)?,
    };
    for axis in 0..2 {
        // What the last window covers, counted from the first.
        let covered =
            (geometry.output[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
        let total = covered.saturating_sub(geometry.input[axis]);
        let before = match &pool.padding {
            PaddingSpec::Explicit(..) | PaddingSpec::ExplicitOnnxPool(..) => explicit[axis],
            PaddingSpec::Valid => 0,
            PaddingSpec::SameUpper => total / 2,
            PaddingSpec::SameLower => total.div_ceil(2),
        };
        geometry.pad_before[axis] = before;
        geometry.pad_after[axis] = covered.saturating_sub(before + geometry.input[axis]);
    }
    Ok((geometry, input[0]))
}
