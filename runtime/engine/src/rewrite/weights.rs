//! Constant 8-bit weights out of a graph.

use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;

use crate::ops::{Dequantise, Params};
use crate::query::{constant, floats};

/// Signed weights with a scale per column and no zero point.
pub(super) struct Weights8 {
    /// In the order of the constant, whose shape is given.
    pub(super) values: Tensor,
    /// 1 along every axis but one.
    scales: Tensor,
}

impl Weights8 {
    /// The weights behind an operand: a dequantised constant, perhaps with its axes moved.
    ///
    /// # Errors
    /// The reason why there are none.
    pub(super) fn behind(model: &TypedModel, operand: OutletId) -> Result<Self, String> {
        let mut moves = vec![];
        let mut node = model.node(operand.node);
        while let Some(op) = node.op_as::<AxisOp>() {
            moves.push(op.clone());
            node = model.node(node.inputs[0].node);
        }
        let Some(op) = node.op_as::<Dequantise>() else {
            return Err("the weights are not 8-bit constants".into());
        };
        let Some(raw) = constant(model, node.inputs[0]) else {
            return Err("neither operand is constant".into());
        };
        Self::moved(&raw, &op.params, &moves)
    }

    /// The constant operand of a `MatMulInteger`, whose scales stand elsewhere.
    ///
    /// # Errors
    /// The reason why there are none.
    pub(super) fn integers(
        model: &TypedModel,
        operand: OutletId,
        zero_point: OutletId,
    ) -> Result<Self, String> {
        let (Some(raw), Some(zero_points)) = (constant(model, operand), floats(model, zero_point))
        else {
            return Err("the weights are not constant".into());
        };
        #[expect(clippy::cast_possible_truncation)]
        let zero_points = zero_points.into_iter().map(|v| v as i32).collect();
        let axis = raw.rank().saturating_sub(1);
        Self::moved(
            &raw,
            &Params {
                scales: vec![1.0],
                zero_points,
                axis,
            },
            &[],
        )
    }

    /// Weights whose axes were moved; the last move comes first.
    fn moved(raw: &Tensor, params: &Params, moves: &[AxisOp]) -> Result<Self, String> {
        let words = |e: TractError| format!("{e:#}");
        let mut values = centred(raw, params).map_err(words)??;
        let mut scales = spread(&params.scales, params.axis, raw.rank()).map_err(words)?;
        for op in moves.iter().rev() {
            if matches!(op, AxisOp::Reshape(..)) {
                return Err("the weights are reshaped".into());
            }
            op.change_tensor(&mut values, false).map_err(words)?;
            op.change_tensor(&mut scales, false).map_err(words)?;
        }
        Ok(Self { values, scales })
    }

    /// The scale of each index along an axis.
    ///
    /// # Errors
    /// When they vary along another axis.
    pub(super) fn scales_along(&self, axis: usize) -> Result<Vec<f32>, String> {
        let along = self.values.shape()[axis];
        let scales = self
            .scales
            .try_as_plain_ram()
            .and_then(|plain| plain.as_slice::<f32>());
        let scales = scales.map_err(|e| e.to_string())?;
        match scales {
            [one] => Ok(vec![*one; along]),
            many if self.scales.shape()[axis] == many.len() => Ok(many.to_vec()),
            _ => Err("the weights' scales vary along another axis than the output".into()),
        }
    }

    pub(super) fn bytes(&self) -> Result<&[i8], String> {
        let plain = self
            .values
            .try_as_plain_ram()
            .and_then(|plain| plain.as_slice::<i8>());
        plain.map_err(|e| e.to_string())
    }
}

/// Subtracts zero points where the result still fits in 8 signed bits.
fn centred(raw: &Tensor, params: &Params) -> TractResult<Result<Tensor, String>> {
    if raw.datum_type() == DatumType::I8 && params.zero_points.iter().all(|&zero| zero == 0) {
        return Ok(Ok(raw.clone()));
    }
    let wide = raw.cast_to::<i32>()?;
    let wide = wide.try_as_plain_ram()?.as_slice::<i32>()?;
    let inner: usize = raw
        .shape()
        .get(params.axis + 1..)
        .unwrap_or_default()
        .iter()
        .product();
    let along = raw.shape().get(params.axis).copied().unwrap_or(1);
    let mut values = Tensor::zero::<i8>(raw.shape())?;
    let mut plain = values.try_as_plain_ram_mut()?;
    for (index, (to, from)) in plain.as_slice_mut::<i8>()?.iter_mut().zip(wide).enumerate() {
        let value = from - params.zero_point(index / inner.max(1) % along.max(1));
        let Ok(value) = i8::try_from(value) else {
            return Ok(Err(
                "the weights' zero points make them wider than 8 bits".into()
            ));
        };
        *to = value;
    }
    Ok(Ok(values))
}

fn spread(values: &[f32], axis: usize, rank: usize) -> TractResult<Tensor> {
    let mut shape = tvec![1; rank];
    if values.len() > 1 {
        shape[axis] = values.len();
    }
    Tensor::from_shape(&shape, values)
}

/// The axes of a product of activations with constant weights.
#[derive(Debug, PartialEq)]
pub(super) struct ProductAxes {
    /// Axis of the weights that is summed over.
    pub(super) k: usize,
    /// Axis of the weights that becomes the output's last.
    pub(super) n: usize,
}

impl ProductAxes {
    /// Steps along both axes in weights of this shape: all others have one index.
    pub(super) fn steps(&self, shape: &[usize]) -> (usize, usize) {
        match self.k < self.n {
            true => (shape[self.n], 1),
            false => (1, shape[self.k]),
        }
    }
}

/// Reads a product `[..., k] x [k, n] -> [..., n]` off an einsum; unit axes of the weights do not matter.
///
/// # Errors
/// The reason why it is another one.
pub(super) fn product_axes(
    model: &TypedModel,
    node: &TypedNode,
    op: &EinSum,
    data: usize,
) -> Result<ProductAxes, String> {
    let weights = 1 - data;
    let shape = |outlet| crate::query::shape(model, outlet).ok_or("open shapes");
    let (data_shape, weights_shape) = (shape(node.inputs[data])?, shape(node.inputs[weights])?);
    let rank = shape(node.id.into())?.len();
    let (mut k, mut n, mut rows) = (None, None, vec![]);
    for axis in op.axes.iter_all_axes() {
        let (a, w, out) = (
            &*axis.inputs[data],
            &*axis.inputs[weights],
            &*axis.outputs[0],
        );
        match (a, w, out) {
            ([a], [w], []) if k.is_none() && *a + 1 == data_shape.len() => k = Some(*w),
            ([], [w], [out]) if n.is_none() && *out + 1 == rank => n = Some(*w),
            ([a], [], [out]) => rows.push((*out, *a)),
            ([a], [w], [out]) if weights_shape[*w] == 1 => rows.push((*out, *a)),
            // Another unit axis of the weights alone: the output's rows do not change.
            ([], [w], [_] | []) if weights_shape[*w] == 1 => {}
            // An axis of an operand that is neither.
            ([], [], []) => {}
            _ => {
                return Err(format!(
                    "the axes {} are not those of a matrix product",
                    op.axes
                ));
            }
        }
    }
    rows.sort_unstable();
    let (Some(k), Some(n)) = (k, n) else {
        return Err(format!(
            "the axes {} are not those of a matrix product",
            op.axes
        ));
    };
    let ordered = rows.windows(2).all(|pair| pair[0].1 < pair[1].1);
    if !ordered {
        return Err("the rows change their order".into());
    }
    Ok(ProductAxes { k, n })
}
