//! Operators that ONNX Runtime writes into optimised files, taken apart into those of the standard.

use tract_onnx::pb::NodeProto;

use super::super::meaning::Call;
use super::build::{Build, Built, float, int, ints};
use super::walk::Seen;

/// Operators of the domain com.microsoft that are expanded here.
pub(super) const KNOWN: [&str; 11] = [
    "FusedMatMul",
    "FusedConv",
    "FusedGemm",
    "QuantizeLinear",
    "DequantizeLinear",
    "QuickGelu",
    "FastGelu",
    "BiasGelu",
    "Gelu",
    "LayerNormalization",
    "SkipLayerNormalization",
];

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    if node.domain != "com.microsoft" {
        return Ok(None);
    }
    let call = Call {
        node,
        opset: seen.opset,
    };
    match &*node.op_type {
        "FusedMatMul" => product(node, &call, seen),
        "FusedConv" => convolution(node, &call),
        "FusedGemm" => gemm(node, &call),
        // The same operators as the standard's, with more element types.
        "QuantizeLinear" | "DequantizeLinear" => {
            let mut same = node.clone();
            same.domain.clear();
            Ok(Some(Built {
                nodes: vec![same],
                weights: vec![],
            }))
        }
        "SkipLayerNormalization" => skip_norm(node, &call),
        _ => Ok(None),
    }
}

fn input(node: &NodeProto, index: usize) -> Option<&str> {
    node.input
        .get(index)
        .map(|name| &**name)
        .filter(|name| !name.is_empty())
}

/// `alpha A B`, either transposed in its last two axes, or with the axes of the batch moved behind the first.
fn product(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let (Some(a), Some(b)) = (seen.input(node, 0), seen.input(node, 1)) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let mut operand = |index: usize, rank: usize, transposed: &str, batch: &str| {
        let mut perm: Vec<i64> = (0..rank as i64).collect();
        if call.int(batch, 0) != 0 && rank > 2 {
            // Rows stand first, the batch between them and the columns.
            perm[..rank - 1].rotate_left(1);
        }
        if call.int(transposed, 0) != 0 && rank > 1 {
            perm.swap(rank - 2, rank - 1);
        }
        let unmoved = perm
            .iter()
            .enumerate()
            .all(|(index, &axis)| axis == index as i64);
        let name = &*node.input[index];
        if unmoved {
            name.to_owned()
        } else {
            build.op("Transpose", &[name], vec![ints("perm", &perm)])
        }
    };
    let a = operand(0, a.shape.len(), "transA", "transBatchA");
    let b = operand(1, b.shape.len(), "transB", "transBatchB");
    let alpha = call.float("alpha", 1.0);
    if alpha == 1.0 {
        build.push("MatMul", &[&a, &b], &node.output[0], vec![]);
        return Ok(Some(build.done()));
    }
    let product = build.op("MatMul", &[&a, &b], vec![]);
    let factor = build.float(alpha);
    build.push("Mul", &[&product, &factor], &node.output[0], vec![]);
    Ok(Some(build.done()))
}

/// A function that a fused operator applies to its result.
fn activate(build: &mut Build, call: &Call<'_>, x: &str, output: &str) -> Result<(), String> {
    let kind = call.text("activation", "");
    let list = call
        .node
        .attribute
        .iter()
        .find(|a| a.name == "activation_params");
    let named = |name: &str| {
        call.node
            .attribute
            .iter()
            .find(|a| a.name == name)
            .map(|a| a.f)
    };
    let parameter = |index: usize, name: &str, default: f32| {
        let given = list.and_then(|list| list.floats.get(index).copied());
        f64::from(given.or_else(|| named(name)).unwrap_or(default))
    };
    match kind {
        "" => build.push("Identity", &[x], output, vec![]),
        "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "HardSwish" => {
            build.push(kind, &[x], output, vec![])
        }
        "LeakyRelu" => {
            let alpha = float("alpha", parameter(0, "activation_alpha", 0.01));
            build.push(kind, &[x], output, vec![alpha]);
        }
        "Elu" => {
            let alpha = float("alpha", parameter(0, "activation_alpha", 1.0));
            build.push(kind, &[x], output, vec![alpha]);
        }
        "HardSigmoid" => {
            let alpha = float("alpha", parameter(0, "activation_alpha", 0.2));
            let beta = float("beta", parameter(1, "activation_beta", 0.5));
            build.push(kind, &[x], output, vec![alpha, beta]);
        }
        "Clip" if call.opset < 11 => {
            let bounds = vec![
                float("min", parameter(0, "activation_min", f32::MIN)),
                float("max", parameter(1, "activation_max", f32::MAX)),
            ];
            build.push(kind, &[x], output, bounds);
        }
        "Clip" => {
            let low = build.float(parameter(0, "activation_min", f32::MIN));
            let high = build.float(parameter(1, "activation_max", f32::MAX));
            build.push(kind, &[x, &low, &high], output, vec![]);
        }
        other => return Err(format!("{}: unknown activation {other}", call.op())),
    }
    Ok(())
}

fn without(node: &NodeProto, names: &[&str]) -> Vec<tract_onnx::pb::AttributeProto> {
    let kept = node
        .attribute
        .iter()
        .filter(|a| !a.name.starts_with("activation") && !names.contains(&&*a.name));
    kept.cloned().collect()
}

/// A convolution, a summand of its result's shape, an activation.
fn convolution(node: &NodeProto, call: &Call<'_>) -> Result<Option<Built>, String> {
    let mut build = Build::of(node);
    let mut operands = vec![&*node.input[0], &*node.input[1]];
    operands.extend(input(node, 2));
    let mut value = build.op("Conv", &operands, without(node, &[]));
    if let Some(summand) = input(node, 3) {
        value = build.op("Add", &[&value, summand], vec![]);
    }
    activate(&mut build, call, &value, &node.output[0])?;
    Ok(Some(build.done()))
}

fn gemm(node: &NodeProto, call: &Call<'_>) -> Result<Option<Built>, String> {
    let mut build = Build::of(node);
    let operands: Vec<&str> = (0..3).filter_map(|index| input(node, index)).collect();
    let value = build.op("Gemm", &operands, without(node, &[]));
    activate(&mut build, call, &value, &node.output[0])?;
    Ok(Some(build.done()))
}

/// The norm of a sum, which may be an output of its own.
fn skip_norm(node: &NodeProto, call: &Call<'_>) -> Result<Option<Built>, String> {
    if call.wants(1) || call.wants(2) {
        return Ok(None);
    }
    let (Some(x), Some(skip), Some(gain)) = (input(node, 0), input(node, 1), input(node, 2)) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    let mut sum = build.op("Add", &[x, skip], vec![]);
    if let Some(bias) = input(node, 4) {
        sum = build.op("Add", &[&sum, bias], vec![]);
    }
    if call.wants(3) {
        build.push("Identity", &[&sum], &node.output[3], vec![]);
    }
    let mut operands = vec![&*sum, gain];
    operands.extend(input(node, 3));
    let attributes = vec![
        int("axis", -1),
        float("epsilon", call.float("epsilon", 1e-12)),
    ];
    build.push("LayerNormalization", &operands, &node.output[0], attributes);
    Ok(Some(build.done()))
}
