//! Quantised operators with integers inside and the roundings of ONNX Runtime, for graphs that are computed as written.

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::super::element::Element;
use super::super::meaning::Call;
use super::super::meaning::qlinear::{ADD, MEAN, MUL, REQUANTISE, SOFTMAX, ZERO_FIRST};
use super::super::value::Value;
use super::build::{Build, Built, int, ints};
use super::walk::Seen;

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let call = Call {
        node,
        opset: seen.opset,
    };
    let renamed = |op: &str| {
        let node = NodeProto {
            op_type: op.to_owned(),
            domain: String::new(),
            ..node.clone()
        };
        Ok(Some(Built {
            nodes: vec![node],
            weights: vec![],
        }))
    };
    match &*node.op_type {
        "QLinearAdd" => renamed(ADD),
        "QLinearMul" => renamed(MUL),
        "QLinearSoftmax" => renamed(SOFTMAX),
        "QLinearGlobalAveragePool" => renamed(MEAN),
        "QLinearAveragePool" if call.int("channels_last", 0) == 0 => average(node),
        "QLinearMatMul" => product(node, seen),
        "QLinearConv" if call.int("channels_last", 0) == 0 => convolution(node, seen),
        "QGemm" => gemm(node, &call, seen),
        _ => Ok(None),
    }
}

fn name(node: &NodeProto, index: usize) -> &str {
    node.input.get(index).map_or("", |name| &**name)
}

/// The numbers of a constant scale.
#[expect(clippy::cast_possible_truncation)]
fn scales(node: &NodeProto, seen: &Seen<'_>, index: usize) -> Option<Vec<f32>> {
    let value = seen.weight(node, index)?;
    Some(value.floats().into_iter().map(|v| v as f32).collect())
}

/// What each step of the sum is in steps of the output: `alpha * a * b / y`, in this order in single precision.
fn factors(
    node: &NodeProto,
    seen: &Seen<'_>,
    alpha: Option<f32>,
    [a, b, y]: [usize; 3],
) -> Option<Value<'static>> {
    let &[a] = &*scales(node, seen, a)? else {
        return None;
    };
    let y = match name(node, y) {
        "" => None,
        _ => Some(*scales(node, seen, y)?.first()?),
    };
    let a = alpha.map_or(a, |alpha| alpha * a);
    let all: Vec<f64> = scales(node, seen, b)?
        .into_iter()
        .map(|b| f64::from(y.map_or(a * b, |y| a * b / y)))
        .collect();
    let shape: &[usize] = if all.len() == 1 { &[] } else { &[all.len()] };
    Some(Value::of_floats(Element::F32, shape, all.iter().copied()))
}

/// A zero point that may be left out.
fn zero(build: &mut Build, node: &NodeProto, index: usize, element: Element) -> String {
    match name(node, index) {
        "" => build.weight(Value::of_ints(element, &[], std::iter::once(0))),
        given => given.to_owned(),
    }
}

/// Ends an expansion: the sum in steps of the output.
fn requantised(
    mut build: Build,
    node: &NodeProto,
    sum: &str,
    factors: Value<'static>,
    zero: &str,
    axis: i64,
) -> Result<Option<Built>, String> {
    let output = node.output.first().ok_or("no output")?;
    let factors = build.weight(factors);
    build.push(
        REQUANTISE,
        &[sum, &factors, zero],
        output,
        vec![int("axis", axis)],
    );
    Ok(Some(build.done()))
}

fn element(node: &NodeProto, seen: &Seen<'_>, index: usize) -> Element {
    seen.input(node, index)
        .map_or(Element::U8, |known| known.element)
}

/// Inputs of `MatMulInteger` and `ConvInteger`, whose zero points stand behind both tensors.
fn integers<'a>(node: &'a NodeProto, a: &'a str, b: &'a str, zeros: [usize; 2]) -> Vec<&'a str> {
    let [of_a, of_b] = zeros.map(|index| name(node, index));
    let mut operands = vec![a, b, of_a, of_b];
    while operands.last().is_some_and(|name| name.is_empty()) {
        operands.pop();
    }
    operands
}

fn product(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let Some(factors) = factors(node, seen, None, [1, 4, 6]) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let operands = integers(node, name(node, 0), name(node, 3), [2, 5]);
    let sum = build.op("MatMulInteger", &operands, vec![]);
    let zero = zero(&mut build, node, 7, element(node, seen, 0));
    requantised(build, node, &sum, factors, &zero, -1)
}

fn convolution(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let (Some(factors), Some(weights)) =
        (factors(node, seen, None, [1, 4, 6]), seen.input(node, 3))
    else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let mut zeros = node.clone();
    // Channels of one zero point each must share it.
    if let Some(of_weights) = seen.weight(node, 5)
        && of_weights.len() > 1
    {
        let values = of_weights.ints();
        if values.iter().any(|&value| value != values[0]) {
            return Err("QLinearConv: channels of different zero points".to_owned());
        }
        let first = std::iter::once(values[0]);
        zeros.input[5] = build.weight(Value::of_ints(of_weights.element, &[], first));
    }
    let operands = integers(&zeros, name(node, 0), name(node, 3), [2, 5]);
    let mut sum = build.op("ConvInteger", &operands, node.attribute.clone());
    if !name(node, 8).is_empty() {
        let mut shape = vec![1_i64; weights.shape.len()];
        shape[1] = -1;
        let shape = build.ints(&shape);
        let bias = build.op("Reshape", &[name(node, 8), &shape], vec![]);
        sum = build.op("Add", &[&sum, &bias], vec![]);
    }
    let zero = zero(&mut build, node, 7, element(node, seen, 0));
    requantised(build, node, &sum, factors, &zero, 1)
}

fn gemm(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    #[expect(clippy::cast_possible_truncation)]
    let alpha = call.float("alpha", 1.0) as f32;
    let Some(factors) = factors(node, seen, Some(alpha), [1, 4, 7]) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let mut operand = |index: usize, attribute: &str| match call.int(attribute, 0) {
        0 => name(node, index).to_owned(),
        _ => {
            let perm = vec![ints("perm", &[1, 0])];
            build.op("Transpose", &[name(node, index)], perm)
        }
    };
    let (a, b) = (operand(0, "transA"), operand(3, "transB"));
    let operands = integers(node, &a, &b, [2, 5]);
    let mut sum = build.op("MatMulInteger", &operands, vec![]);
    if !name(node, 6).is_empty() {
        sum = build.op("Add", &[&sum, name(node, 6)], vec![]);
    }
    if name(node, 7).is_empty() {
        let single = vec![int("to", i64::from(Element::F32.onnx()))];
        let sum = build.op("Cast", &[&sum], single);
        let factors = build.weight(factors);
        let output = node.output.first().ok_or("no output")?;
        build.push("Mul", &[&sum, &factors], output, vec![]);
        return Ok(Some(build.done()));
    }
    let zero = zero(&mut build, node, 8, element(node, seen, 0));
    requantised(build, node, &sum, factors, &zero, -1)
}

/// A mean of floats, whose zero point is added before it is rounded.
fn average(node: &NodeProto) -> Result<Option<Built>, String> {
    let mut build = Build::of(node);
    let mut quantised: Vec<&str> = (0..3).map(|index| name(node, index)).collect();
    if quantised[2].is_empty() {
        quantised.pop();
    }
    let real = build.op("DequantizeLinear", &quantised, vec![]);
    let attributes = node.attribute.iter().filter(|a| a.name != "channels_last");
    let attributes: Vec<AttributeProto> = attributes.cloned().collect();
    let mean = build.op("AveragePool", &[&real], attributes);
    let zero = match name(node, 4) {
        // Its own zero point tells the type.
        "" => return Ok(None),
        given => given.to_owned(),
    };
    let output = node.output.first().ok_or("no output")?;
    build.push(
        REQUANTISE,
        &[&mean, name(node, 3), &zero],
        output,
        vec![int(ZERO_FIRST, 1)],
    );
    Ok(Some(build.done()))
}
