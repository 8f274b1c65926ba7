//! Activations whose parameters the engine ignores, as the arithmetic that they stand for.

use tract_onnx::pb::NodeProto;

use super::super::element::Element;
use super::super::meaning::Call;
use super::build::{Build, Built, float, text};
use super::walk::Seen;

/// Operators that the engine has not, or not in every domain.
pub(super) const KNOWN: [&str; 4] = ["QuickGelu", "FastGelu", "BiasGelu", "Gelu"];

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let call = Call {
        node,
        opset: seen.opset,
    };
    let floats = seen
        .input(node, 0)
        .is_some_and(|x| x.element == Element::F32);
    let (Some(x), Some(y), true) = (node.input.first(), node.output.first(), floats) else {
        return Ok(None);
    };
    let mut build = Build::of(node);
    match (&*node.domain, &*node.op_type) {
        ("" | "ai.onnx", "Celu")
            if call.float("alpha", 1.0) != 1.0 && call.float("alpha", 1.0) > 0.0 =>
        {
            // x above 0, alpha (e^(x / alpha) - 1) below.
            let alpha = call.float("alpha", 1.0);
            let (inverse, factor, one) = (
                build.float(1.0 / alpha),
                build.float(alpha),
                build.float(1.0),
            );
            let zero = build.float(0.0);
            let scaled = build.op("Mul", &[x, &inverse], vec![]);
            let below = build.op("Min", &[&scaled, &zero], vec![]);
            let power = build.op("Exp", &[&below], vec![]);
            let curve = build.op("Sub", &[&power, &one], vec![]);
            let curve = build.op("Mul", &[&curve, &factor], vec![]);
            let above = build.op("Relu", &[x], vec![]);
            build.push("Add", &[&above, &curve], y, vec![]);
        }
        ("" | "ai.onnx", "HardSwish") => {
            let attributes = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
            let gate = build.op("HardSigmoid", &[x], attributes);
            build.push("Mul", &[x, &gate], y, vec![]);
        }
        // The engine's own defaults have fewer digits than the standard's.
        ("" | "ai.onnx", "Selu") if !call.has("alpha") || !call.has("gamma") => {
            let attributes = vec![
                float("alpha", call.float("alpha", 1.673_263_2)),
                float("gamma", call.float("gamma", 1.050_701)),
            ];
            build.push("Selu", &[x], y, attributes);
        }
        ("" | "ai.onnx", "Swish") if call.float("alpha", 1.0) != 1.0 => {
            swish(&mut build, x, y, call.float("alpha", 1.0));
        }
        ("com.microsoft", "QuickGelu") => swish(&mut build, x, y, call.float("alpha", 1.702)),
        ("com.microsoft", "Gelu") => build.push("Gelu", &[x], y, vec![text("approximate", "none")]),
        ("com.microsoft", "BiasGelu") => {
            let bias = node.input.get(1).ok_or("BiasGelu without a bias")?;
            let sum = build.op("Add", &[x, bias], vec![]);
            build.push("Gelu", &[&sum], y, vec![text("approximate", "none")]);
        }
        ("com.microsoft", "FastGelu") => {
            let sum = match node.input.get(1).filter(|name| !name.is_empty()) {
                Some(bias) => build.op("Add", &[x, bias], vec![]),
                None => x.clone(),
            };
            build.push("Gelu", &[&sum], y, vec![text("approximate", "tanh")]);
        }
        _ => return Ok(None),
    }
    Ok(Some(build.done()))
}

fn swish(build: &mut Build, x: &str, y: &str, alpha: f64) {
    let factor = build.float(alpha);
    let scaled = build.op("Mul", &[x, &factor], vec![]);
    let gate = build.op("Sigmoid", &[&scaled], vec![]);
    build.push("Mul", &[x, &gate], y, vec![]);
}
