//! Which operators the engine must not run, and how they are kept.

use tract_onnx::pb::NodeProto;

use super::super::element::Element;
use super::super::meaning::Call;
use super::super::own_op;
use super::super::shapes::{Fact, Output, pads_of};
use super::super::value::volume;
use super::build::{int, ints, text};
use super::halves::ROUND;
use crate::rounding::Rounding;

/// Operators that move elements and do it for every element type in the engine.
const MOVES: [&str; 15] = [
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Concat",
    "Split",
    "Slice",
    "Expand",
    "Gather",
    "Where",
    "Tile",
    "Pad",
    "Shape",
];

/// Operators of 8-bit tensors that the rewrites look for.
const QUANTISED: [&str; 5] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
];

/// Those of them that round.
const ROUNDS: [&str; 2] = ["QuantizeLinear", "DynamicQuantizeLinear"];

/// Tract's drops NaN.
const POOL: &str = "MaxPool";

/// Operators of floats whose NaN tract drops where it works out constants. What is computed at run time has operators of its own.
const FOLDS_NAN: [&str; 8] = [
    "Celu",
    "Max",
    "Min",
    "Relu",
    "Clip",
    "Tanh",
    "Sigmoid",
    "HardSigmoid",
];

/// Whether a node whose inputs are all constants is computed by [`super::super::meaning`]: where one holds NaN, or is too large to tell.
pub(super) fn is_own_of_constants(call: &Call<'_>, inputs: &[Option<Fact<'_>>]) -> bool {
    let whole = |fact: &Fact<'_>| {
        let values = fact.value.map(|value| value.floats());
        values.is_some_and(|values| !values.iter().any(|v| v.is_nan()))
    };
    FOLDS_NAN.contains(&call.op()) && !inputs.iter().flatten().all(whole)
}

/// Operators of bools that the engine runs.
const LOGIC: [&str; 4] = ["And", "Or", "Xor", "Not"];

/// Whether a node with these inputs and outputs is computed by [`super::super::meaning`].
pub(super) fn is_own(
    call: &Call<'_>,
    inputs: &[Option<Fact<'_>>],
    outputs: &[Output],
    rounding: Rounding,
) -> bool {
    let op = call.op();
    if !super::super::meaning::KNOWN.contains(&op) {
        return false;
    }
    let present: Vec<&Fact<'_>> = inputs.iter().flatten().collect();
    let shapes = present.iter().map(|fact| fact.shape);
    let mut shapes = shapes.chain(outputs.iter().map(|(_, shape)| &**shape));
    if shapes.any(|shape| volume(shape) == Some(0)) {
        return true;
    }
    // The rewrites drop quantisations between what they fuse, and the kernels multiply by the inverse of a scale.
    if rounding == Rounding::AsWritten && (ROUNDS.contains(&op) || op == POOL) {
        return true;
    }
    if QUANTISED.contains(&op) {
        return quantised(call, inputs, outputs);
    }
    if op == "MatMulNBits" {
        return false;
    }
    if special(call, inputs) {
        return true;
    }
    let of_inputs = present.iter().map(|fact| fact.element);
    let all: Vec<Element> = of_inputs
        .chain(outputs.iter().map(|(element, _)| *element))
        .collect();
    if all.iter().any(|element| element.stored().is_some()) {
        return true;
    }
    if MOVES.contains(&op)
        || (LOGIC.contains(&op) && all.iter().all(|element| *element == Element::Bool))
    {
        return false;
    }
    match op {
        "Cast" | "CastLike" => {
            let (from, to) = (present[0].element, outputs[0].0);
            return from.is_float() && !to.is_float();
        }
        // They read floats and make integers or bools, or take integers beside floats.
        "ArgMax" | "ArgMin" | "TopK" | "Equal" | "Greater" | "GreaterOrEqual" | "Less"
        | "LessOrEqual" | "IsNaN" | "IsInf" | "Trilu" | "CumSum" | "GatherElements"
        | "GatherND" | "ScatterND" | "MaxPool" | "ScatterElements" | "Scatter" | "Dropout" => {
            return present[0].element != Element::F32;
        }
        _ if op.starts_with("Reduce") => return present[0].element != Element::F32,
        _ => {}
    }
    all.iter().any(|element| *element != Element::F32)
}

/// Forms of operators on f32 that the engine lacks or gets wrong.
fn special(call: &Call<'_>, inputs: &[Option<Fact<'_>>]) -> bool {
    let fact = |index: usize| inputs.get(index).copied().flatten();
    let negative = |index: usize| match fact(index).map(|fact| fact.value) {
        Some(Some(value)) => value.ints().iter().any(|&v| v < 0),
        Some(None) => true,
        None => false,
    };
    // The engine takes 0 and 1 only.
    let keeps = !matches!(call.int("keepdims", 1), 0 | 1);
    match call.op() {
        "ArgMax" | "ArgMin" if keeps => true,
        op if op.starts_with("Reduce") && keeps => true,
        ROUND | "Attention" | "Softplus" | "ReduceLogSumExp" | "ReduceLogSum" | "Range"
        | "OneHot" | "EyeLike" | "Mod" | "Compress" | "LSTM" | "GRU" | "RNN" | "CumProd"
        | "ReverseSequence" | "LpPool" | "GlobalLpPool" => true,
        // The engine loses NaN.
        "ReduceMax" | "ReduceMin" | "GlobalMaxPool" => true,
        "Hardmax" | "LogSoftmax" | "Resize" | "Upsample" => true,
        "Reshape" => !matches!(call.int("allowzero", 0), 0 | 1),
        "MatMul" => (0..2).all(|index| fact(index).is_some_and(|x| x.shape.len() == 1)),
        "BitCast" | "CenterCropPad" | "TensorScatter" => true,
        "Det" | "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => true,
        "Celu" => call.float("alpha", 1.0) <= 0.0,
        "TopK" => call.opset < 10 || !matches!(call.int("largest", 1), 0 | 1),
        "Mean" | "PRelu" => {
            let shapes = inputs.iter().flatten().map(|fact| fact.shape);
            !shapes
                .clone()
                .all(|shape| Some(shape) == shapes.clone().next())
        }
        "ConvTranspose" => {
            call.has("output_shape") || call.text("auto_pad", "NOTSET").starts_with("SAME")
        }
        "BatchNormalization" => {
            let constant = |index: usize| fact(index).is_some_and(|fact| fact.value.is_some());
            call.int("training_mode", 0) != 0
                || fact(0).is_some_and(|x| x.shape.len() < 2)
                || (volume_of(fact(1)) < 1 << 16 && !(1..5).all(constant))
        }
        "Pad" => {
            let mode = call.text("mode", "constant");
            let cut = match pads_of(call, inputs) {
                Ok(Some(pads)) => pads.before.iter().chain(&pads.after).any(|&pad| pad < 0),
                _ => false,
            };
            cut || mode == "wrap"
                || fact(0).is_some_and(|x| x.element == Element::Bool)
                || call.given(3)
                || (mode != "constant" && fact(0).is_some_and(|x| x.element != Element::F32))
                || mode == "reflect" && reaches_far(call, inputs)
        }
        "Trilu" => fact(1).is_some_and(|k| !k.shape.is_empty()),
        "ScatterND" | "GatherND" | "GatherElements" | "ScatterElements" | "Scatter" => {
            negative(1) || call.text("reduction", "none") != "none"
        }
        "LayerNormalization" | "RMSNormalization" => call.wants(1) || call.wants(2),
        "ArgMax" | "ArgMin" => call.int("select_last_index", 0) != 0,
        // A bound of NaN is none.
        "Clip" => inputs.iter().skip(1).flatten().any(|bound| {
            let known = bound.value.map(|value| value.floats());
            known.is_none_or(|bound| bound.iter().any(|v| v.is_nan()))
        }),
        "CumSum" => fact(1).is_some_and(|axis| axis.value.is_none()),
        _ => false,
    }
}

fn volume_of(fact: Option<Fact<'_>>) -> usize {
    fact.and_then(|fact| volume(fact.shape)).unwrap_or(0)
}

/// Whether a reflection goes further than the length of an axis.
fn reaches_far(call: &Call<'_>, inputs: &[Option<Fact<'_>>]) -> bool {
    let (Ok(Some(pads)), Some(Some(x))) = (pads_of(call, inputs), inputs.first()) else {
        return false;
    };
    let lengths = x.shape.iter().zip(pads.before.iter().zip(&pads.after));
    lengths
        .into_iter()
        .any(|(&length, (&before, &after))| before.max(after) >= length as i64)
}

/// Whether a quantising operator has a form that the rewrites do not know.
fn quantised(call: &Call<'_>, inputs: &[Option<Fact<'_>>], outputs: &[Output]) -> bool {
    let fact = |index: usize| inputs.get(index).copied().flatten();
    let element = |index: usize| fact(index).map(|fact| fact.element);
    match call.op() {
        "QuantizeLinear" | "DequantizeLinear" => {
            let Some(scale) = fact(1) else {
                return true;
            };
            let Some(value) = scale.value else {
                return true;
            };
            let ordinary = value
                .floats()
                .iter()
                .all(|&v| v >= f64::from(f32::MIN_POSITIVE) && v.is_finite());
            let real = [element(0), Some(outputs[0].0)].contains(&Some(Element::F32))
                && scale.element == Element::F32;
            let bytes = match call.op() {
                "QuantizeLinear" => matches!(outputs[0].0, Element::U8 | Element::I8),
                // Those of 4 bits lie in a byte each.
                _ => matches!(
                    element(0),
                    Some(Element::U8 | Element::I8 | Element::I32 | Element::I4 | Element::U4)
                ),
            };
            let zeros = fact(2).is_none_or(|zeros| zeros.value.is_some());
            let flat = call.int("block_size", 0) == 0;
            !(ordinary && real && bytes && zeros && flat)
        }
        "MatMulInteger" => {
            // Zero points of rows, or of columns that are not constant.
            let many = |index: usize| fact(index).is_some_and(|zero| volume(zero.shape) != Some(1));
            let constant = fact(3).is_some_and(|zero| zero.value.is_some());
            many(2)
                || (many(3) && !constant)
                || [0, 1]
                    .iter()
                    .any(|&index| fact(index).is_some_and(|x| x.shape.len() < 2))
        }
        "ConvInteger" => fact(3).is_some_and(|zero| volume(zero.shape) != Some(1)),
        _ => false,
    }
}

/// The node as the engine's importer finds it.
pub(super) fn node(
    mut node: NodeProto,
    opset: i64,
    inputs: &[Option<Fact<'_>>],
    outputs: &[Output],
) -> NodeProto {
    let given = inputs
        .iter()
        .flatten()
        .map(|fact| i64::from(fact.element.onnx()));
    let wanted: Vec<usize> = (0..node.output.len().min(outputs.len()))
        .filter(|&index| !node.output[index].is_empty())
        .collect();
    let elements: Vec<i64> = wanted
        .iter()
        .map(|&index| i64::from(outputs[index].0.onnx()))
        .collect();
    let shapes: Vec<i64> = wanted
        .iter()
        .flat_map(|&index| {
            let shape = &outputs[index].1;
            std::iter::once(shape.len() as i64).chain(shape.iter().map(|&length| length as i64))
        })
        .collect();
    node.attribute.extend([
        text(own_op::OPERATOR, &node.op_type),
        int(own_op::OPSET, opset),
        ints(own_op::INPUTS, &given.collect::<Vec<_>>()),
        ints(own_op::ELEMENTS, &elements),
        ints(own_op::SHAPES, &shapes),
        ints(
            own_op::SLOTS,
            &wanted.iter().map(|&index| index as i64).collect::<Vec<_>>(),
        ),
    ]);
    node.op_type = own_op::NAME.to_owned();
    node.domain = own_op::DOMAIN.to_owned();
    node
}
