//! What ONNX operators compute, for any element type: slow, exact, and without the engine.
//!
//! It folds what is known when a graph is loaded, runs operators for whose element type or attributes the engine has nothing right, and is
//! what the fused path is tested against. Floats are computed in f64 and rounded once; integers wrap in their own width.

mod attention;
mod call;
mod control;
mod elementwise;
mod gather;
mod index;
mod losses;
mod moves;
mod normalise;
mod products;
pub mod qlinear;
mod quantise;
mod recurrent;
mod reduce;
mod resize;
mod scan;
mod windows;

pub use attention::ROUNDS;
pub use call::Call;
pub use control::{CAPTURED, FIRST_TURN, Scope, graph_of, run_graph};
pub use elementwise::BINARY;
pub use index::{axes_of, axis_of, broadcast};
pub use moves::constant;
pub use quantise::unpacked_weights;

use super::value::Value;

/// Inputs of a call, `None` where one is left out.
pub type Inputs<'a, 'b> = [Option<&'a Value<'b>>];

/// The operators that [`evaluate`] computes.
pub const KNOWN: [&str; 165] = [
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Attention",
    "AveragePool",
    "BatchNormalization",
    "BitCast",
    "BiasGelu",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "CenterCropPad",
    "Clip",
    "Compress",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumProd",
    "CumSum",
    "DepthToSpace",
    "DequantizeLinear",
    "Det",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "FastGelu",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GRU",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "Loop",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "MatMulNBits",
    "Max",
    "MaxPool",
    "Mean",
    "MeanVarianceNormalization",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "NegativeLogLikelihoodLoss",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "RNN",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "Round",
    "RoundToHalf",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "SimplifiedLayerNormalization",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "SoftmaxCrossEntropyLoss",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "TensorScatter",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
    qlinear::ADD,
    qlinear::MEAN,
    qlinear::MUL,
    qlinear::REQUANTISE,
    qlinear::SOFTMAX,
];

/// Those of them that are no operators of ONNX: the expansions write them, and a file must not.
pub const INTERNAL: [&str; 6] = [
    "RoundToHalf",
    qlinear::ADD,
    qlinear::MEAN,
    qlinear::MUL,
    qlinear::REQUANTISE,
    qlinear::SOFTMAX,
];

/// Computes an operator. `Ok(None)` where it is none of those known here.
///
/// # Errors
/// When inputs do not fit the operator: division of an integer by zero, an index out of range, shapes that do not fit.
pub fn evaluate(
    call: &Call<'_>,
    inputs: &Inputs<'_, '_>,
) -> Result<Option<Vec<Value<'static>>>, String> {
    let families = [
        elementwise::evaluate,
        moves::evaluate,
        gather::evaluate,
        reduce::evaluate,
        scan::evaluate,
        products::evaluate,
        windows::evaluate,
        resize::evaluate,
        normalise::evaluate,
        losses::evaluate,
        quantise::evaluate,
        qlinear::evaluate,
        attention::evaluate,
        recurrent::evaluate,
        control::evaluate_held,
    ];
    for family in families {
        if let Some(outputs) = family(call, inputs)? {
            return Ok(Some(outputs));
        }
    }
    Ok(None)
}

/// An input that must be there.
fn input<'a, 'b>(
    call: &Call<'_>,
    inputs: &Inputs<'a, 'b>,
    index: usize,
) -> Result<&'a Value<'b>, String> {
    optional(inputs, index).ok_or_else(|| format!("{}: input {index} is missing", call.op()))
}

/// An input that may be left out.
fn optional<'a, 'b>(inputs: &Inputs<'a, 'b>, index: usize) -> Option<&'a Value<'b>> {
    inputs.get(index).copied().flatten()
}
