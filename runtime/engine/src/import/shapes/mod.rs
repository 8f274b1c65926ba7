//! Element types and shapes of what operators compute, from those of their inputs and the constants among them.
//!
//! This is where a malformed node is refused: an axis out of range, a permutation that is none, strides of zero, a kernel larger than its input.

mod attributes;
mod contrib;
mod layout;
mod moves;
mod products;
mod resize;
mod select;
mod windows;

pub use layout::{pads_of, slice_axes};
pub use resize::{Resized, resized};
pub use select::reduced_axes;
pub use windows::{Windows, transposed_windows, windows_of};

use super::element::Element;
use super::meaning::{Call, axis_of, broadcast};
use super::value::Value;

/// What is known of an input.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    /// Element type.
    pub element: Element,
    /// Shape.
    pub shape: &'a [usize],
    /// The values, where they are known when the graph is loaded.
    pub value: Option<&'a Value<'a>>,
}

impl<'a> Fact<'a> {
    /// Of a tensor that is there.
    #[must_use]
    pub fn of(value: &'a Value<'a>) -> Self {
        Self {
            element: value.element,
            shape: &value.shape,
            value: Some(value),
        }
    }
}

/// Element type and shape of an output.
pub type Output = (Element, Vec<usize>);

/// `None` where the operator is unknown, or a shape depends on values that are not known yet.
pub type Inferred = Result<Option<Vec<Output>>, String>;

/// Facts of inputs, `None` where one is left out.
pub type Facts<'a, 'b> = &'b [Option<Fact<'a>>];

/// Element types and shapes of a node's outputs.
///
/// # Errors
/// When the node is malformed.
pub fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    attributes::check(call, inputs)?;
    let families = [
        elementwise,
        moves::infer,
        select::infer,
        products::infer,
        windows::infer,
        resize::infer,
        contrib::infer,
    ];
    for family in families {
        if let Some(outputs) = family(call, inputs)? {
            return Ok(Some(outputs));
        }
    }
    Ok(None)
}

fn at<'a>(inputs: Facts<'a, '_>, index: usize) -> Option<Fact<'a>> {
    inputs.get(index).copied().flatten()
}

/// The integers of an input; `None` where they are not known.
fn known(inputs: Facts<'_, '_>, index: usize) -> Option<Vec<i64>> {
    Some(at(inputs, index)?.value?.i64s())
}

fn one(element: Element, shape: Vec<usize>) -> Inferred {
    Ok(Some(vec![(element, shape)]))
}

/// Operators of one tensor that keep its shape and element type.
const UNARY: [&str; 54] = [
    "Identity",
    "Abs",
    "Neg",
    "Sign",
    "Ceil",
    "Floor",
    "Round",
    "Sqrt",
    "Reciprocal",
    "Exp",
    "Log",
    "Sin",
    "Cos",
    "Tan",
    "Asin",
    "Acos",
    "Atan",
    "Sinh",
    "Cosh",
    "Tanh",
    "Asinh",
    "Acosh",
    "Atanh",
    "Erf",
    "Sigmoid",
    "Relu",
    "Softplus",
    "Softsign",
    "Mish",
    "HardSwish",
    "QuickGelu",
    "Swish",
    "Gelu",
    "LeakyRelu",
    "Elu",
    "Celu",
    "Selu",
    "HardSigmoid",
    "ThresholdedRelu",
    "Shrink",
    "Not",
    "BitwiseNot",
    "Clip",
    "CumSum",
    "CumProd",
    "Trilu",
    "LRN",
    "MeanVarianceNormalization",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LpNormalization",
    "RotaryEmbedding",
    "ReverseSequence",
];

const ALONG_AXIS: [&str; 4] = ["Softmax", "LogSoftmax", "Hardmax", "LpNormalization"];

fn elementwise(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let op = call.op();
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    let rank = x.shape.len();
    if ALONG_AXIS.contains(&op) {
        let default = if call.opset < 13 && op != "LpNormalization" {
            1
        } else {
            -1
        };
        axis_of(call.int("axis", default), rank.max(1)).map_err(|e| format!("{op}: {e}"))?;
        return one(x.element, x.shape.to_vec());
    }
    match op {
        "CumSum" | "CumProd" => {
            if let Some(&[axis]) = known(inputs, 1).as_deref() {
                axis_of(axis, rank)?;
            }
        }
        "BatchNormalization" if call.int("training_mode", 0) != 0 && rank > 1 => {
            let channels = vec![x.shape[1]];
            let statistics = at(inputs, 3).map_or(x.element, |mean| mean.element);
            return Ok(Some(vec![
                (x.element, x.shape.to_vec()),
                (statistics, channels.clone()),
                (statistics, channels),
            ]));
        }
        "BatchNormalization" if rank == 0 => return Err(format!("{op} of a single number")),
        "Trilu" if rank < 2 => return Err("Trilu of a tensor of less than two axes".to_owned()),
        "Dropout" => {
            let mask = if call.opset < 12 {
                x.element
            } else {
                Element::Bool
            };
            return Ok(Some(vec![
                (x.element, x.shape.to_vec()),
                (mask, x.shape.to_vec()),
            ]));
        }
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
            let axis = axis_of(call.int("axis", -1), rank)?;
            let mut reduced = x.shape.to_vec();
            reduced[axis..].fill(1);
            let scale = at(inputs, 1);
            if let Some(scale) = scale
                && broadcast(&[x.shape, scale.shape])? != x.shape
            {
                return Err(format!(
                    "a gain of shape {:?} for {:?}",
                    scale.shape, x.shape
                ));
            }
            let statistics = Element::F32;
            return Ok(Some(vec![
                (
                    scale.map_or(x.element, |scale| scale.element),
                    x.shape.to_vec(),
                ),
                (statistics, reduced.clone()),
                (statistics, reduced),
            ]));
        }
        "Cast" | "CastLike" => {
            let to = match op {
                "CastLike" => at(inputs, 1).map(|like| like.element),
                _ => Element::of_onnx(i32::try_from(call.int("to", 0)).unwrap_or(0)),
            };
            return match to {
                Some(to) => one(to, x.shape.to_vec()),
                None => Ok(None),
            };
        }
        "RoundToHalf" => return one(Element::F32, x.shape.to_vec()),
        "IsNaN" | "IsInf" => return one(Element::Bool, x.shape.to_vec()),
        "Where" => {
            let (Some(a), Some(b)) = (at(inputs, 1), at(inputs, 2)) else {
                return Ok(None);
            };
            return one(a.element, broadcast(&[x.shape, a.shape, b.shape])?);
        }
        "Min" | "Max" | "Sum" | "Mean" => {
            let Some(shapes) = inputs
                .iter()
                .map(|input| input.map(|fact| fact.shape))
                .collect::<Option<Vec<_>>>()
            else {
                return Ok(None);
            };
            return one(x.element, broadcast(&shapes)?);
        }
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            let Some(y) = at(inputs, 1) else {
                return Ok(None);
            };
            return one(Element::Bool, broadcast(&[x.shape, y.shape])?);
        }
        _ => {}
    }
    if UNARY.contains(&op) {
        return one(x.element, x.shape.to_vec());
    }
    match at(inputs, 1) {
        Some(y) if super::meaning::BINARY.contains(&op) || op == "BiasGelu" => {
            one(x.element, broadcast(&[x.shape, y.shape])?)
        }
        _ => Ok(None),
    }
}
