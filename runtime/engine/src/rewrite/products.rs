//! The rewrites of products: an einsum or a convolution of dequantised activations and weights, with its tail, becomes one op.

use std::sync::Arc;

use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::cnn::{Conv as FloatConv, KernelFormat};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, Isa, PackedWeights, WinogradTiles};

use super::packer::Packer;
use super::pattern::{quantisation, quantised_source};
use super::tail::Tail;
use super::weights::{ProductAxes, Weights8, product_axes};
use super::windows;
use crate::ops::{Conv, FourBits, Geometry, Linear, Operands, Order, Winograd};
use crate::query::{
    before_reshapes, floats, hangs_on_constants, only_reader, other_operand, shape,
};

/// A rewrite, or why there is none.
pub(super) type Rewrite = Result<TypedModelPatch, String>;

pub(super) fn words(e: TractError) -> String {
    format!("{e:#}")
}

/// A matrix product in 8 bits.
pub(super) fn linear(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    packer: &Packer,
) -> Rewrite {
    if op.q_params.is_some() {
        return dynamic(model, node, op, packer);
    }
    either_operand(node, |data| quantised(model, node, op, data, packer))
}

/// A matrix product of floats.
pub(super) fn float_linear(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    packer: &Packer,
) -> Rewrite {
    if op.q_params.is_some() {
        return Err("an integer product that is not dynamically quantised".into());
    }
    either_operand(node, |data| float(model, node, op, data, packer))
}

/// The activations may be the first operand or the second.
fn either_operand(node: &TypedNode, rewrite: impl Fn(usize) -> Rewrite) -> Rewrite {
    if node.inputs.len() != 2 {
        return Err("not a product of two tensors".into());
    }
    rewrite(0).or_else(|_| rewrite(1))
}

/// A product whose operand `data` is an 8-bit tensor and the other one 8-bit weights.
fn quantised(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    data: usize,
    packer: &Packer,
) -> Rewrite {
    let not = "the activations are not quantised";
    let source = before_reshapes(model, node.inputs[data]);
    let (source, format) = quantised_source(model, source).ok_or(not)?;
    let q = quantisation(format).ok_or(not)?;
    let weights = Weights8::behind(model, node.inputs[1 - data])?;
    let axes = product_axes(model, node, op, data)?;
    let scales = weights.scales_along(axes.n)?;
    let packed = pack(&weights, &axes, packer.isa)?;
    let left = Left {
        source,
        start: node.id.into(),
    };
    let operands = Operands::Quantised(Arc::new(packed), q);
    linear_patch(model, node, &left, operands, &scales)
}

/// A product of floats with constant floats.
fn float(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    data: usize,
    packer: &Packer,
) -> Rewrite {
    let (source, operand) = (node.inputs[data], node.inputs[1 - data]);
    let axes = product_axes(model, node, op, data)?;
    let dims = constant_floats(model, [source, operand], packer.isa)?;
    let (step_k, step_n) = axes.steps(&dims);
    let (k, n) = (dims[axes.k], dims[axes.n]);
    let order = Order::Matrix {
        row: step_k,
        column: step_n,
    };
    let packed = packer.floats(model, operand, [1, k, n], &order);
    let packed = packed.ok_or("neither operand is constant")?;
    let left = Left {
        source: before_reshapes(model, source),
        start: node.id.into(),
    };
    let operands = Operands::Float(packed);
    linear_patch(model, node, &left, operands, &vec![1.0; n])
}

/// A product of floats with 4-bit weights.
pub(super) fn four_bits(model: &TypedModel, node: &TypedNode, op: &FourBits) -> Rewrite {
    let left = Left {
        source: before_reshapes(model, node.inputs[0]),
        start: node.id.into(),
    };
    let columns = op.weights.columns();
    let operands = Operands::Fours(op.weights.clone());
    linear_patch(model, node, &left, operands, &vec![1.0; columns])
}

/// Shape of the second of two operands, where it is a constant, both are floats, and there is a kernel for those.
pub(super) fn constant_floats(
    model: &TypedModel,
    operands: [OutletId; 2],
    isa: Isa,
) -> Result<TVec<usize>, String> {
    if isa == Isa::Scalar {
        return Err("there is no kernel for floats on this machine".into());
    }
    for operand in operands {
        let datum = model.outlet_fact(operand).map_err(words)?.datum_type;
        if datum != DatumType::F32 {
            return Err(format!("an operand of type {datum:?}"));
        }
    }
    if !hangs_on_constants(model, operands[1]) {
        return Err("neither operand is constant".into());
    }
    shape(model, operands[1]).ok_or("open shapes".into())
}

/// `DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul`, as dynamically quantised graphs have it.
fn dynamic(model: &TypedModel, node: &TypedNode, op: &EinSum, packer: &Packer) -> Rewrite {
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
    // A factor of one row has a number for each column; one of one column has one for each row, as many as there may be of either.
    let factor_shape = shape(model, factor).ok_or("open shapes")?;
    let of_columns = factor_shape.iter().rev().skip(1).all(|&axis| axis == 1);
    let factor = scale_factor(model, factor, OutletId::new(dynamic.id, 1)).ok_or(strange)?;
    let weights = Weights8::integers(model, b, zero_b)?;
    let axes = product_axes(model, node, op, 0)?;
    let n = weights.values.shape()[axes.n];
    let scales = match factor.len() {
        1 => vec![factor[0]; n],
        len if len == n && of_columns => factor,
        _ => return Err("the weights' scales are not those of the columns".into()),
    };
    let left = Left {
        source: dynamic.inputs[0],
        start: scaling.id.into(),
    };
    let operands = Operands::Dynamic(Arc::new(pack(&weights, &axes, packer.isa)?));
    linear_patch(model, node, &left, operands, &scales)
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

fn pack(weights: &Weights8, axes: &ProductAxes, isa: Isa) -> Result<PackedWeights, String> {
    let (bytes, dims) = (weights.bytes()?, weights.values.shape());
    let (step_k, step_n) = axes.steps(dims);
    let (k, n) = (dims[axes.k], dims[axes.n]);
    Ok(PackedWeights::pack(isa, 1, k, n, |_, k, n| {
        bytes[k * step_k + n * step_n]
    }))
}

/// Where a product begins and ends.
struct Left {
    /// The activations.
    source: OutletId,
    /// The outlet from which the tail is followed.
    start: OutletId,
}

fn linear_patch(
    model: &TypedModel,
    node: &TypedNode,
    left: &Left,
    operands: Operands,
    scales: &[f32],
) -> Rewrite {
    let rank = shape(model, left.start).ok_or("open shapes")?.len();
    let tail = Tail::follow(model, left.start, rank - 1).ok_or("open shapes")?;
    let elements: usize = shape(model, left.source)
        .ok_or("open shapes")?
        .iter()
        .product();
    let rows = elements / operands.depth().max(1);
    let op = Linear {
        epilogue: Arc::new(epilogue(scales, &operands, &tail)),
        residual: tail.residual.map(|(_, beside)| beside),
        output: tail.format,
        shape: shape(model, tail.outlet).ok_or("open shapes")?,
        rows: Linear::row_starts(&operands, rows).map_err(words)?,
        operands,
    };
    let mut patch = TypedModelPatch::new("a product");
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
fn epilogue(scales: &[f32], operands: &Operands, tail: &Tail) -> Epilogue {
    let (by, offsets) = match operands {
        Operands::Quantised(packed, q) => (q.scale, Some(packed.offsets(q.zero_point))),
        Operands::Dynamic(_) | Operands::Float(_) | Operands::Fours(_) => (1.0, None),
    };
    let scales: Vec<f32> = scales.iter().map(|scale| scale * by).collect();
    let mut epilogue = Epilogue::new(&scales, tail.bias.as_deref(), offsets.as_deref());
    tail.complete(&mut epilogue);
    epilogue
}

/// A convolution in 8 bits.
pub(super) fn conv(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
    packer: &Packer,
) -> Rewrite {
    conv_of(model, node, op, |geometry| {
        quantised_conv(model, node, geometry, packer)
    })
}

/// A convolution of floats.
pub(super) fn float_conv(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
    packer: &Packer,
) -> Rewrite {
    conv_of(model, node, op, |geometry| {
        float_conv_operands(model, node, geometry, packer)
    })
}

/// A convolution of floats, with fewer products where it is one of those for which that is known. It makes NaN of infinities.
pub(super) fn winograd_or_float_conv(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
    packer: &Packer,
) -> Rewrite {
    winograd(model, node, op, packer).unwrap_or_else(|| float_conv(model, node, op, packer))
}

/// `None` where it is another convolution.
fn winograd(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
    packer: &Packer,
) -> Option<Rewrite> {
    let (geometry, batch) = geometry(model, node, op).ok()?;
    let dims = constant_floats(model, [node.inputs[0], node.inputs[1]], packer.isa).ok()?;
    let (columns, spatial) = (*dims.first()?, op.pool_spec.kernel_shape.len());
    if !Winograd::suits(&geometry, spatial, columns) {
        return None;
    }
    let tail = conv_tail(model, node, columns).ok()?;
    let weights = packer.winograd(model, node.inputs[1], [geometry.channels, columns])?;
    let tiles = WinogradTiles::new(
        &weights,
        geometry.input,
        geometry.pad_before,
        geometry.output,
    )?;
    let mut epilogue = Epilogue::new(&vec![1.0; columns], tail.bias.as_deref(), None);
    tail.complete(&mut epilogue);
    let fused = Winograd {
        weights,
        tiles: Arc::new(tiles),
        epilogue: Arc::new(epilogue),
        geometry,
        batch,
        residual: tail.residual.map(|(_, beside)| beside),
        output: tail.format,
    };
    Some(conv_patch(model, node, fused, spatial, node.inputs[0], &tail).map_err(words))
}

fn conv_of(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
    operands: impl Fn(&Geometry) -> Result<ConvOperands, String>,
) -> Rewrite {
    let (geometry, batch) = geometry(model, node, op)?;
    let (source, operands, scales) = operands(&geometry)?;
    let tail = conv_tail(model, node, scales.len())?;
    let (rows, segments) = geometry.offsets().map_err(words)?;
    let spatial = op.pool_spec.kernel_shape.len();
    let fused = Conv {
        epilogue: Arc::new(epilogue(&scales, &operands, &tail)),
        operands,
        geometry,
        batch,
        spatial,
        residual: tail.residual.map(|(_, beside)| beside),
        output: tail.format,
        rows: Arc::new(rows),
        segments: Arc::new(segments),
    };
    conv_patch(model, node, fused, spatial, source, &tail).map_err(words)
}

/// What follows a convolution, with its own bias.
fn conv_tail(model: &TypedModel, node: &TypedNode, columns: usize) -> Result<Tail, String> {
    let mut tail = Tail::follow(model, node.id.into(), 1).ok_or("open shapes")?;
    let bias = floats(model, node.inputs[2]).ok_or("the bias is not constant")?;
    let sum = tail.bias.get_or_insert_with(|| vec![0.0; columns]);
    for (index, sum) in sum.iter_mut().enumerate() {
        *sum += bias[if bias.len() == 1 { 0 } else { index }];
    }
    Ok(tail)
}

/// The input of a convolution, its operands, and the scale of each column.
type ConvOperands = (OutletId, Operands, Vec<f32>);

fn quantised_conv(
    model: &TypedModel,
    node: &TypedNode,
    geometry: &Geometry,
    packer: &Packer,
) -> Result<ConvOperands, String> {
    let input = node.inputs[0];
    let fixed = quantised_source(model, input)
        .and_then(|(source, format)| Some((source, Some(quantisation(format)?))));
    let moment = || Some((rounded_in_its_range(model, input)?, None));
    let (source, q) = fixed.or_else(moment).ok_or("the input is not quantised")?;
    let weights = Weights8::behind(model, node.inputs[1])?;
    let scales = weights.scales_along(0)?;
    let bytes = weights.bytes()?;
    let at = geometry.weight_index();
    let (segments, segment) = (geometry.segments().count(), geometry.segment());
    let packed = PackedWeights::pack(packer.isa, segments, segment, scales.len(), |s, k, n| {
        bytes[at(s, k, n)]
    });
    let packed = Arc::new(packed);
    let operands = match q {
        Some(q) => Operands::Quantised(packed, q),
        None => Operands::Dynamic(packed),
    };
    Ok((source, operands, scales))
}

/// What an outlet was before `DynamicQuantizeLinear` and its reverse, spelt out as `(y - zero point) * scale`.
fn rounded_in_its_range(model: &TypedModel, outlet: OutletId) -> Option<OutletId> {
    let mul = model.node(outlet.node);
    let [a, b] = *mul.inputs else {
        return None;
    };
    other_operand(mul, "Mul", a)?;
    let source = |data: OutletId, scale: OutletId| {
        let sub = model.node(data.node);
        let [steps, zero] = *sub.inputs else {
            return None;
        };
        other_operand(sub, "Sub", steps)?;
        let quantiser = before_cast(model, steps)?;
        let node = model.node(quantiser.node);
        let all = [0, 1, 2].map(|slot| OutletId::new(node.id, slot));
        let zero = before_cast(model, before_axis_ops(model, zero))?;
        let found = [
            quantiser,
            before_axis_ops(model, scale),
            before_axis_ops(model, zero),
        ];
        (node.op.name().starts_with("DynamicQuantizeLinear") && found == all)
            .then(|| node.inputs[0])
    };
    source(a, b).or_else(|| source(b, a))
}

fn before_cast(model: &TypedModel, outlet: OutletId) -> Option<OutletId> {
    let node = model.node(outlet.node);
    node.op_is::<Cast>().then(|| node.inputs[0])
}

fn float_conv_operands(
    model: &TypedModel,
    node: &TypedNode,
    geometry: &Geometry,
    packer: &Packer,
) -> Result<ConvOperands, String> {
    let source = node.inputs[0];
    let dims = constant_floats(model, [source, node.inputs[1]], packer.isa)?;
    let (segments, segment) = (geometry.segments().count(), geometry.segment());
    let order = Order::Kernel(geometry.clone());
    let packed = packer.floats(model, node.inputs[1], [segments, segment, dims[0]], &order);
    let packed = packed.ok_or("the weights are not constant")?;
    Ok((source, Operands::Float(packed), vec![1.0; dims[0]]))
}

fn conv_patch(
    model: &TypedModel,
    node: &TypedNode,
    op: impl Into<Box<dyn TypedOp>>,
    spatial: usize,
    source: OutletId,
    tail: &Tail,
) -> TractResult<TypedModelPatch> {
    let mut inputs = vec![source];
    inputs.extend(tail.residual.map(|(outlet, _)| outlet));
    windows::channels_last(model, &node.name, spatial, op, &inputs, tail.outlet)
}

fn geometry(
    model: &TypedModel,
    node: &TypedNode,
    op: &FloatConv,
) -> Result<(Geometry, usize), String> {
    if op.q_params.is_some() || op.group != 1 {
        return Err(format!(
            "{} groups: only plain convolutions are fused",
            op.group
        ));
    }
    if op.kernel_fmt != KernelFormat::OIHW {
        return Err(
            "only convolutions with kernels of outputs, inputs, height and width are fused".into(),
        );
    }
    windows::geometry(model, node, &op.pool_spec)
}
