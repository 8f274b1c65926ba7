//! Quantised operators as floats between `DequantizeLinear` and `QuantizeLinear`, and packed weights that the kernels lack.

use tract_onnx::pb::{AttributeProto, NodeProto};

use super::super::element::Element;
use super::super::meaning::{Call, unpacked_weights};
use super::super::value::Value;
use super::build::{Build, Built, float, int};
use super::requantised;
use super::walk::Seen;
use crate::rounding::Rounding;

/// Operators that are expanded here.
pub(super) const KNOWN: [&str; 14] = [
    "QLinearMatMul",
    "QLinearConv",
    "QLinearAdd",
    "QLinearMul",
    "QLinearSigmoid",
    "QLinearLeakyRelu",
    "QLinearSoftmax",
    "QLinearAveragePool",
    "QLinearGlobalAveragePool",
    "QLinearConcat",
    "QLinearWhere",
    "QGemm",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
];

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let call = Call {
        node,
        opset: seen.opset,
    };
    if seen.rounding == Rounding::AsWritten
        && let Some(built) = requantised::expand(node, seen)?
    {
        return Ok(Some(built));
    }
    match &*node.op_type {
        "QLinearMatMul" => {
            let mut q = Quantised::of(node);
            let (a, b) = (q.real(0, &[]), q.real(3, &[int("axis", -1)]));
            let y = q.build.op("MatMul", &[&a, &b], vec![]);
            q.done(&y, 6)
        }
        "QLinearConv" => convolution(node),
        "QLinearAdd" | "QLinearMul" => {
            let mut q = Quantised::of(node);
            let (a, b) = (q.real(0, &[]), q.real(3, &[]));
            let y = q
                .build
                .op(&node.op_type["QLinear".len()..], &[&a, &b], vec![]);
            q.done(&y, 6)
        }
        "QLinearSigmoid" | "QLinearLeakyRelu" => {
            let mut q = Quantised::of(node);
            let x = q.real(0, &[]);
            let y = q.build.op(
                &node.op_type["QLinear".len()..],
                &[&x],
                node.attribute.clone(),
            );
            q.done(&y, 3)
        }
        "QLinearSoftmax" => softmax(node, &call, seen),
        "QLinearAveragePool" | "QLinearGlobalAveragePool" => {
            if call.int("channels_last", 0) != 0 {
                return Ok(None);
            }
            let mut q = Quantised::of(node);
            let x = q.real(0, &[]);
            let attributes = node
                .attribute
                .iter()
                .filter(|a| a.name != "channels_last")
                .cloned();
            let y = q.build.op(
                &node.op_type["QLinear".len()..],
                &[&x],
                attributes.collect(),
            );
            q.done(&y, 3)
        }
        "QLinearConcat" => {
            let mut q = Quantised::of(node);
            let parts: Vec<String> = (2..node.input.len())
                .step_by(3)
                .map(|first| q.real(first, &[]))
                .collect();
            let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
            let y = q.build.op("Concat", &parts, node.attribute.clone());
            q.done(&y, 0)
        }
        "QLinearWhere" => {
            let mut q = Quantised::of(node);
            let (a, b) = (q.real(1, &[]), q.real(4, &[]));
            let y = q.build.op("Where", &[&node.input[0], &a, &b], vec![]);
            q.done(&y, 7)
        }
        "QGemm" => gemm(node, &call, seen),
        "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => dynamic(node),
        "MatMulNBits" => packed(node, &call, seen),
        "QuantizeLinear" => typed_zero_point(node, &call, seen),
        _ => Ok(None),
    }
}

/// A quantised operator in the making.
struct Quantised<'a> {
    node: &'a NodeProto,
    build: Build,
}

impl<'a> Quantised<'a> {
    fn of(node: &'a NodeProto) -> Self {
        Self {
            node,
            build: Build::of(node),
        }
    }

    fn input(&self, index: usize) -> &'a str {
        self.node.input.get(index).map_or("", |name| &**name)
    }

    /// The tensor at `first`, whose scale and zero point follow it, as floats.
    fn real(&mut self, first: usize, attributes: &[AttributeProto]) -> String {
        let inputs = [0, 1, 2].map(|offset| self.input(first + offset));
        let given = if inputs[2].is_empty() {
            &inputs[..2]
        } else {
            &inputs
        };
        self.build
            .op("DequantizeLinear", given, attributes.to_vec())
    }

    /// Quantises the result by the scale at `first` and the zero point behind it.
    fn done(mut self, value: &str, first: usize) -> Result<Option<Built>, String> {
        let (scale, zero) = (self.input(first), self.input(first + 1));
        let inputs = [value, scale, zero];
        let given = if zero.is_empty() {
            &inputs[..2]
        } else {
            &inputs
        };
        let output = self.node.output.first().ok_or("no output")?;
        self.build.push("QuantizeLinear", given, output, vec![]);
        Ok(Some(self.build.done()))
    }
}

fn convolution(node: &NodeProto) -> Result<Option<Built>, String> {
    let mut q = Quantised::of(node);
    let x = q.real(0, &[]);
    let w = q.real(3, &[int("axis", 0)]);
    let mut operands = vec![x.clone(), w];
    if !q.input(8).is_empty() {
        // A bias of int32 is in steps of the product of both scales.
        let scale = q.build.op("Mul", &[q.input(1), q.input(4)], vec![]);
        operands.push(q.build.op(
            "DequantizeLinear",
            &[q.input(8), &scale],
            vec![int("axis", 0)],
        ));
    }
    let operands: Vec<&str> = operands.iter().map(|operand| &**operand).collect();
    let y = q.build.op("Conv", &operands, node.attribute.clone());
    q.done(&y, 6)
}

fn softmax(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let mut q = Quantised::of(node);
    let x = q.real(0, &[]);
    let version = call.int("opset", seen.opset);
    let rank = seen.input(node, 0).map_or(0, |x| x.shape.len() as i64);
    let axis = call.int("axis", -1);
    let last = axis == -1 || axis == rank - 1;
    if version < 13 && !last {
        return Ok(None);
    }
    let y = q.build.op("Softmax", &[&x], vec![int("axis", axis)]);
    q.done(&y, 3)
}

fn gemm(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let mut q = Quantised::of(node);
    let columns = i64::from(call.int("transB", 0) == 0);
    let (a, b) = (q.real(0, &[]), q.real(3, &[int("axis", columns)]));
    let alpha = call.float("alpha", 1.0);
    let mut operands = vec![a, b];
    let mut attributes: Vec<AttributeProto> = node
        .attribute
        .iter()
        .filter(|a| matches!(&*a.name, "transA" | "transB"))
        .cloned()
        .collect();
    attributes.push(float("alpha", alpha));
    if !q.input(6).is_empty() {
        let mut scale = q.build.op("Mul", &[q.input(1), q.input(4)], vec![]);
        if alpha != 1.0 {
            let factor = q.build.float(alpha);
            scale = q.build.op("Mul", &[&scale, &factor], vec![]);
        }
        let shape = seen
            .input(node, 6)
            .map_or(0, |bias| bias.shape.len() as i64);
        let axis = int("axis", (shape - 1).max(0));
        operands.push(
            q.build
                .op("DequantizeLinear", &[q.input(6), &scale], vec![axis]),
        );
    }
    let operands: Vec<&str> = operands.iter().map(|operand| &**operand).collect();
    if q.input(7).is_empty() {
        q.build.push("Gemm", &operands, &node.output[0], attributes);
        return Ok(Some(q.build.done()));
    }
    let y = q.build.op("Gemm", &operands, attributes);
    q.done(&y, 7)
}

/// A product of dynamically quantised activations: `MatMulInteger`, scaled.
fn dynamic(node: &NodeProto) -> Result<Option<Built>, String> {
    let mut q = Quantised::of(node);
    let quantises = node.op_type == "DynamicQuantizeMatMul";
    let [a, a_scale, a_zero] = match quantises {
        true => {
            let parts = ["quantised", "scale", "zero"].map(|part| format!("{}/{part}", node.name));
            q.build.add(NodeProto {
                name: format!("{}/DynamicQuantizeLinear", node.name),
                op_type: "DynamicQuantizeLinear".to_owned(),
                input: vec![node.input[0].clone()],
                output: parts.to_vec(),
                ..NodeProto::default()
            });
            parts
        }
        false => [0, 2, 4].map(|index| q.input(index).to_owned()),
    };
    let [b, b_scale, b_zero, bias] = match quantises {
        true => [1, 2, 3, 4],
        false => [1, 3, 5, 6],
    }
    .map(|index| q.input(index));
    let mut operands = vec![&*a, b];
    if !a_zero.is_empty() || !b_zero.is_empty() {
        operands.push(&a_zero);
    }
    if !b_zero.is_empty() {
        operands.push(b_zero);
    }
    let sum = q.build.op("MatMulInteger", &operands, vec![]);
    let sum = q.build.op(
        "Cast",
        &[&sum],
        vec![int("to", i64::from(Element::F32.onnx()))],
    );
    let scale = q.build.op("Mul", &[&a_scale, b_scale], vec![]);
    if bias.is_empty() {
        q.build
            .push("Mul", &[&sum, &scale], &node.output[0], vec![]);
    } else {
        let scaled = q.build.op("Mul", &[&sum, &scale], vec![]);
        q.build
            .push("Add", &[&scaled, bias], &node.output[0], vec![]);
    }
    Ok(Some(q.build.done()))
}

/// A type that is named by an attribute alone becomes that of a zero point of 0, which importers look at.
fn typed_zero_point(
    node: &NodeProto,
    call: &Call<'_>,
    seen: &Seen<'_>,
) -> Result<Option<Built>, String> {
    let named = Element::of_onnx(i32::try_from(call.int("output_dtype", 0)).unwrap_or(0));
    let (Some(element), false, Some(scale)) = (named, call.given(2), seen.input(node, 1)) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let zeros = std::iter::repeat_n(0, scale.shape.iter().product());
    let zero = build.weight(Value::of_ints(element, &scale.shape, zeros));
    let attributes = node
        .attribute
        .iter()
        .filter(|a| a.name != "output_dtype")
        .cloned();
    let inputs = [&*node.input[0], &node.input[1], &zero];
    build.push(
        "QuantizeLinear",
        &inputs,
        &node.output[0],
        attributes.collect(),
    );
    Ok(Some(build.done()))
}

/// Weights of few bits for which there is no kernel become floats.
fn packed(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let number = |name: &str| usize::try_from(call.int(name, 0)).unwrap_or(0);
    let (k, n, block) = (number("K"), number("N"), number("block_size"));
    let zeros = if call.given(3) {
        seen.weight(node, 3)
    } else {
        None
    };
    let fours = call.int("bits", 4) == 4
        && block == 32
        && k.is_multiple_of(32)
        && zeros
            .as_ref()
            .is_none_or(|zeros| zeros.element == Element::U8)
        && !call.given(4);
    if fours || block == 0 || k == 0 || n == 0 {
        return Ok(None);
    }
    if call.given(4) {
        return Err("MatMulNBits with an order of groups (g_idx) is not supported".to_owned());
    }
    let (Some(weights), Some(scales)) = (seen.weight(node, 1), seen.weight(node, 2)) else {
        // The importer of the operator finds them, or says that they must be constants.
        return Ok(None);
    };
    if call.given(3) && zeros.is_none() {
        return Ok(None);
    }
    let rows = unpacked_weights(call, &weights, &scales, zeros.as_ref())?;
    // One row for each column of the product, which the product wants the other way round.
    let columns = (0..k * n).map(|at| f64::from(rows[at % n * k + at / n]));
    let mut build = Build::of(node);
    let weight = build.weight(Value::of_floats(Element::F32, &[k, n], columns));
    let bias = node.input.get(5).filter(|name| !name.is_empty());
    match bias {
        Some(bias) => {
            let product = build.op("MatMul", &[&node.input[0], &weight], vec![]);
            build.push("Add", &[&product, bias], &node.output[0], vec![]);
        }
        None => build.push(
            "MatMul",
            &[&node.input[0], &weight],
            &node.output[0],
            vec![],
        ),
    }
    Ok(Some(build.done()))
}
