//! The rewrites of products: an einsum or a convolution of dequantised activations and weights, with its tail, becomes one op.

use std::sync::Arc;

use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv as FloatConv, KernelFormat, PaddingSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, Isa, PackedWeights, Quantisation};

use super::conv::{Conv, Geometry};
use super::linear::{Activations8, Linear};
use super::pattern::{
    before_reshapes, floats, only_reader, other_operand, quantisation, quantised_source, shape,
};
use super::tail::Tail;
use super::weights::{ProductAxes, Weights8, product_axes};

/// A rewrite, or why there is none.
pub(super) type Rewrite = Result<TypedModelPatch, String>;

pub(super) fn words(e: TractError) -> String {
    format!("{e:#}")
}

/// A matrix product with 8-bit operands.
pub(super) fn linear(model: &TypedModel, node: &TypedNode, op: &EinSum, isa: Isa) -> Rewrite {
    if op.q_params.is_some() {
        return dynamic(model, node, op, isa);
    }
    if node.inputs.len() != 2 {
        return Err("not a product of two tensors".into());
    }
    let mut reason = "neither operand is quantised".to_owned();
    for data in [0, 1] {
        let source = before_reshapes(model, node.inputs[data]);
        let Some((source, format)) = quantised_source(model, source) else {
            continue;
        };
        let Some(q) = quantisation(format) else {
            continue;
        };
        let made = Weights8::behind(model, node.inputs[1 - data]).and_then(|weights| {
            let axes = product_axes(model, node, op, data)?;
            let scales = weights.scales_along(axes.n)?;
            let left = Left {
                source,
                input: Activations8::Quantised(q),
                start: node.id.into(),
            };
            with_weights(model, node, &axes, &left, &scales, &weights, isa)
        });
        match made {
            Ok(patch) => return Ok(patch),
            Err(e) => reason = e,
        }
    }
    Err(reason)
}

/// `DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul`, as dynamically quantised graphs have it.
fn dynamic(model: &TypedModel, node: &TypedNode, op: &EinSum, isa: Isa) -> Rewrite {
    let strange = "an integer product that is not dynamically quantised";
    let [a, b, _, zero_a, _, zero_b, ..] = *node.inputs else {
        return Err(strange.into());
    };
    let quantiser = before_reshapes(model, a);
    let dynamic = model.node(quantiser.node);
    if !dynamic.op.name().starts_with("DynamicQuantizeLinear")
        || quantiser.slot != 0
        || zero_a != OutletId::new(dynamic.id, 2)
    {
        return Err(strange.into());
    }
    let sum = only_reader(model, node.id.into()).filter(|cast| cast.op_is::<Cast>());
    let sum = OutletId::from(sum.ok_or(strange)?.id);
    let scaling = only_reader(model, sum).ok_or(strange)?;
    let factor = other_operand(scaling, "Mul", sum).ok_or(strange)?;
    let factor = scale_factor(model, factor, OutletId::new(dynamic.id, 1)).ok_or(strange)?;
    let weights = Weights8::integers(model, b, zero_b)?;
    let axes = product_axes(model, node, op, 0)?;
    let n = weights.values.shape()[axes.n];
    let scales = match factor.len() {
        1 => vec![factor[0]; n],
        len if len == n => factor,
        _ => return Err("the weights' scales are not those of the columns".into()),
    };
    let left = Left {
        source: dynamic.inputs[0],
        input: Activations8::Dynamic,
        start: scaling.id.into(),
    };
    with_weights(model, node, &axes, &left, &scales, &weights, isa)
}

/// The constant in a product of `dynamic` with a constant, or 1 for `dynamic` alone.
fn scale_factor(model: &TypedModel, outlet: OutletId, dynamic: OutletId) -> Option<Vec<f32>> {
    let outlet = before_axis_ops(model, outlet);
    if outlet == dynamic {
        return Some(vec![1.0]);
    }
    let node = model.node(outlet.node);
    let [a, b] = *node.inputs else {
        return None;
    };
    other_operand(node, "Mul", a)?;
    let reaches = |operand| before_axis_ops(model, operand) == dynamic;
    match (reaches(a), reaches(b)) {
        (true, false) => floats(model, b),
        (false, true) => floats(model, a),
        _ => None,
    }
}

fn before_axis_ops(model: &TypedModel, mut outlet: OutletId) -> OutletId {
    while model.node(outlet.node).op_is::<AxisOp>() {
        outlet = model.node(outlet.node).inputs[0];
    }
    outlet
}

/// The left side of a product.
struct Left {
    source: OutletId,
    input: Activations8,
    /// The outlet from which the tail is followed.
    start: OutletId,
}

fn with_weights(
    model: &TypedModel,
    node: &TypedNode,
    axes: &ProductAxes,
    left: &Left,
    scales: &[f32],
    weights: &Weights8,
    isa: Isa,
) -> Rewrite {
    let bytes = weights.bytes()?;
    let dims = weights.values.shape();
    let (k, n) = (dims[axes.k], dims[axes.n]);
    // All other axes have one index: strides of the two that count.
    let (step_k, step_n) = if axes.k < axes.n { (n, 1) } else { (1, k) };
    let packed = PackedWeights::pack(isa, 1, k, n, |_, k, n| bytes[k * step_k + n * step_n]);
    let rank = shape(model, left.start).ok_or("open shapes")?.len();
    let tail = Tail::follow(model, left.start, rank - 1).ok_or("open shapes")?;
    let elements: usize = shape(model, left.source)
        .ok_or("open shapes")?
        .iter()
        .product();
    let rows = Linear::row_starts(&packed, elements / k.max(1)).map_err(words)?;
    let q = match left.input {
        Activations8::Quantised(q) => Some(q),
        Activations8::Dynamic => None,
    };
    let op = Linear {
        epilogue: Arc::new(epilogue(scales, &packed, q, &tail)),
        weights: Arc::new(packed),
        input: left.input,
        residual: tail.residual.map(|(_, format)| format),
        output: tail.format,
        shape: shape(model, tail.outlet).ok_or("open shapes")?,
        rows,
    };
    let mut patch = TypedModelPatch::new("an 8-bit product");
    let mut inputs = tvec![patch.tap_model(model, left.source).map_err(words)?];
    if let Some((residual, _)) = tail.residual {
        inputs.push(patch.tap_model(model, residual).map_err(words)?);
    }
    let name = format!("{}.fused", node.name);
    let wire = patch.wire_node(name, op, &inputs).map_err(words)?;
    patch
        .shunt_outside(model, tail.outlet, wire[0])
        .map_err(words)?;
    Ok(patch)
}

/// With the activations' quantisation where it is fixed.
fn epilogue(
    scales: &[f32],
    packed: &PackedWeights,
    q: Option<Quantisation>,
    tail: &Tail,
) -> Epilogue {
    let by = q.map_or(1.0, |q| q.scale);
    let scales: Vec<f32> = scales.iter().map(|scale| scale * by).collect();
    let offsets = q.map(|q| packed.offsets(q.zero_point));
    let mut epilogue = Epilogue::new(&scales, tail.bias.as_deref(), offsets.as_deref());
    (epilogue.range, epilogue.activation) = (tail.range, tail.activation);
    epilogue
}

/// A convolution with 8-bit operands.
pub(super) fn conv(model: &TypedModel, node: &TypedNode, op: &FloatConv, isa: Isa) -> Rewrite {
    let Some((source, format)) = quantised_source(model, node.inputs[0]) else {
        return Err("the input is not quantised".into());
    };
    let q = quantisation(format).ok_or("the input is not quantised")?;
    let (geometry, batch) = geometry(model, node, op)?;
    let weights = Weights8::behind(model, node.inputs[1])?;
    let scales = weights.scales_along(0)?;
    let bytes = weights.bytes()?;
    let (channels, n) = (geometry.channels, scales.len());
    let [height, width] = geometry.kernel;
    let firsts: Vec<(usize, usize)> = geometry.segments().collect();
    let packed = PackedWeights::pack(isa, firsts.len(), geometry.segment(), n, |segment, k, n| {
        let (y, x) = (firsts[segment].0, firsts[segment].1 + k / channels);
        bytes[((n * channels + k % channels) * height + y) * width + x]
    });
    let out = OutletId::from(node.id);
    let mut tail = Tail::follow(model, out, 1).ok_or("open shapes")?;
    let bias = floats(model, node.inputs[2]).ok_or("the bias is not constant")?;
    let sum = tail.bias.get_or_insert_with(|| vec![0.0; n]);
    for (index, sum) in sum.iter_mut().enumerate() {
        *sum += bias[if bias.len() == 1 { 0 } else { index }];
    }
    let (rows, segments) = geometry.offsets().map_err(words)?;
    let op = Conv {
        epilogue: Arc::new(epilogue(&scales, &packed, Some(q), &tail)),
        weights: Arc::new(packed),
        input: q,
        geometry,
        batch,
        residual: tail.residual.map(|(_, format)| format),
        output: tail.format,
        rows: Arc::new(rows),
        segments: Arc::new(segments),
    };
    conv_patch(model, node, op, source, &tail).map_err(words)
}

/// Channels go last for the op, and back; [`super::layout`] takes out what meets its opposite.
fn conv_patch(
    model: &TypedModel,
    node: &TypedNode,
    op: Conv,
    source: OutletId,
    tail: &Tail,
) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::new("an 8-bit convolution");
    let name = &node.name;
    let mut inputs = tvec![];
    for (index, outlet) in [Some(source), tail.residual.map(|(outlet, _)| outlet)]
        .into_iter()
        .flatten()
        .enumerate()
    {
        let tap = patch.tap_model(model, outlet)?;
        let moved = patch.wire_node(
            format!("{name}.channels_last.{index}"),
            AxisOp::Move(1, 3),
            &[tap],
        )?;
        inputs.push(moved[0]);
    }
    let wire = patch.wire_node(format!("{name}.fused"), op, &inputs)?;
    let wire = patch.wire_node(format!("{name}.channels_first"), AxisOp::Move(3, 1), &wire)?;
    patch.shunt_outside(model, tail.outlet, wire[0])?;
    Ok(patch)
}

fn geometry(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
) -> Result<(Geometry, usize), String> {
    let pool = &op.pool_spec;
    if op.q_params.is_some() || op.group != 1 {
        return Err(format!(
            "{} groups: only plain convolutions are fused",
            op.group
        ));
    }
    if pool.data_format != DataFormat::NCHW
        || op.kernel_fmt != KernelFormat::OIHW
        || pool.kernel_shape.len() != 2
    {
        return Err("only 2-D convolutions of channels-first pictures are fused".into());
    }
    let input = shape(model, node.inputs[0]).ok_or("open shapes")?;
    let output = shape(model, node.id.into()).ok_or("open shapes")?;
    let pair = |values: &Option<TVec<usize>>| values.as_ref().map_or([1, 1], |v| [v[0], v[1]]);
    let (kernel, strides, dilations) = (
        [pool.kernel_shape[0], pool.kernel_shape[1]],
        pair(&pool.strides),
        pair(&pool.dilations),
    );
    let mut geometry = Geometry {
        channels: input[1],
        input: [input[2], input[3]],
        kernel,
        strides,
        dilations,
        pad_before: [0; 2],
        pad_after: [0; 2],
        output: [output[2], output[3]],
    };
    for axis in 0..2 {
        // What the last window covers, counted from the first.
        let covered =
            (geometry.output[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
        let total = covered.saturating_sub(geometry.input[axis]);
        let before = match &pool.padding {
            PaddingSpec::Explicit(before, _) | PaddingSpec::ExplicitOnnxPool(before, _, _) => {
                before[axis]
            }
            PaddingSpec::Valid => 0,
            PaddingSpec::SameUpper => total / 2,
            PaddingSpec::SameLower => total.div_ceil(2),
        };
        geometry.pad_before[axis] = before;
        geometry.pad_after[axis] = covered.saturating_sub(before + geometry.input[axis]);
    }
    Ok((geometry, input[0]))
}
