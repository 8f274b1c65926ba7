//! A transposed convolution as a product over channels-last tensors, and windows that are added up.

use std::sync::Arc;

use tract_onnx::tract_core::ops::cnn::{Deconv, KernelFormat};
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::Epilogue;

use super::packer::Packer;
use super::products::{Rewrite, constant_floats, words};
use crate::ops::{Fold, Format, Linear, Operands, Order};
use crate::query::{floats, shape};

/// A transposed convolution of floats with constant weights.
pub(super) fn transposed(
    model: &TypedModel,
    node: &TypedNode,
    op: &Deconv,
    packer: &Packer,
) -> Rewrite {
    let pool = &op.pool_spec;
    let spatial = pool.kernel_shape.len();
    if op.group != 1
        || op.kernel_format != KernelFormat::OIHW
        || pool.data_format != DataFormat::NCHW
        || ![1, 2].contains(&spatial)
    {
        return Err("only one group over one or two axes behind the channels".into());
    }
    let [x, weights, bias] = *node.inputs else {
        return Err("not an input, weights and a bias".into());
    };
    let dims = constant_floats(model, [x, weights], packer.isa)?;
    let (channels, taps) = (dims[1], dims[2..].iter().product::<usize>());
    let columns = taps * dims[0];
    let order = Order::Windows { outputs: dims[0] };
    let packed = packer.floats(model, weights, [1, channels, columns], &order);
    let operands = Operands::Float(packed.ok_or("the weights are not constant")?);
    let bias = floats(model, bias).ok_or("the bias is not constant")?;
    let bias: Vec<f32> = match bias[..] {
        [one] => vec![one; dims[0]],
        _ => bias,
    };
    let input = shape(model, x).ok_or("open shapes")?;
    let details = pool.padding.compute_for_deconv(
        &input[2..],
        &pool.kernel_shape,
        &pool.dilations(),
        &pool.strides(),
        &op.adjustments,
    );
    let details = details.map_err(words)?;
    let cut: TVec<usize> = details.iter().map(|axis| axis.pad_before).collect();
    let output: TVec<usize> = details.iter().map(|axis| axis.deconvoluted).collect();
    let fold = Fold {
        batch: input[0],
        input: pair(&input[2..], 1),
        kernel: pair(&pool.kernel_shape, 1),
        strides: pair(&pool.strides(), 1),
        dilations: pair(&pool.dilations(), 1),
        cut: pair(&cut, 0),
        output: pair(&output, 1),
        bias: Arc::new(bias),
        spatial,
    };
    let rows = fold.batch * fold.input[0] * fold.input[1];
    let mut windows = tvec![fold.batch];
    windows.extend_from_slice(&input[2..]);
    windows.push(columns);
    let linear = Linear {
        rows: Linear::row_starts(&operands, rows).map_err(words)?,
        epilogue: Arc::new(Epilogue::new(&vec![1.0; columns], None, None)),
        residual: None,
        output: Format::Float,
        shape: windows,
        operands,
    };
    patch(model, node, x, linear, fold).map_err(words)
}

/// Height and width; pictures with one axis have a height of `height`.
fn pair(values: &[usize], height: usize) -> [usize; 2] {
    match *values {
        [height, width] => [height, width],
        [width] => [height, width],
        _ => [height, 0],
    }
}

fn patch(
    model: &TypedModel,
    node: &TypedNode,
    x: OutletId,
    linear: Linear,
    fold: Fold,
) -> TractResult<TypedModelPatch> {
    let last = 1 + fold.spatial;
    let mut patch = TypedModelPatch::new("a transposed convolution");
    let name = |part: &str| format!("{}.{part}", node.name);
    let tap = patch.tap_model(model, x)?;
    let wire = patch.wire_node(name("channels_last"), AxisOp::Move(1, last), &[tap])?;
    let wire = patch.wire_node(name("fused"), linear, &wire)?;
    let wire = patch.wire_node(name("fold"), fold, &wire)?;
    let wire = patch.wire_node(name("channels_first"), AxisOp::Move(last, 1), &wire)?;
    patch.shunt_outside(model, node.id.into(), wire[0])?;
    Ok(patch)
}
