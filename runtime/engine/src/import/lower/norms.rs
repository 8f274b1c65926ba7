//! Layer normalisations whose gain is not a constant row: the row is normalised, the rest is arithmetic.

use tract_onnx::pb::NodeProto;

use super::super::element::Element;
use super::super::meaning::{Call, axis_of};
use super::super::value::Value;
use super::build::{Build, Built, float, int};
use super::walk::Seen;

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    let call = Call {
        node,
        opset: seen.opset,
    };
    if matches!(&*node.op_type, "Dropout") {
        return Ok(dropout(node, &call, seen));
    }
    let standard = matches!(&*node.domain, "" | "ai.onnx");
    if !standard || node.op_type != "LayerNormalization" || call.wants(1) || call.wants(2) {
        return Ok(None);
    }
    let (Some(x), Some(gain)) = (seen.input(node, 0), seen.input(node, 1)) else {
        return Ok(None);
    };
    if x.element != Element::F32 || gain.element != Element::F32 {
        return Ok(None);
    }
    let rank = x.shape.len();
    let axis = axis_of(call.int("axis", -1), rank)?;
    let width: usize = x.shape[axis..].iter().product();
    let bias = seen.input(node, 2);
    let row = |index: usize, shape: &[usize]| shape == [width] && seen.is_constant(node, index);
    let plain = row(1, &gain.shape) && bias.is_none_or(|bias| row(2, &bias.shape));
    let (last, given) = (axis + 1 == rank, call.int("axis", -1));
    if width == 0 || (plain && last && given == -1) {
        return Ok(None);
    }
    if plain && last {
        // The same axis, counted from the end as the importer wants it.
        let mut same = node.clone();
        same.attribute.retain(|a| a.name != "axis");
        return Ok(Some(Built {
            nodes: vec![same],
            weights: vec![],
        }));
    }
    let mut build = Build::of(node);
    let lengths = |shape: &[usize]| {
        shape
            .iter()
            .map(|&length| length as i64)
            .collect::<Vec<_>>()
    };
    let epsilon = float("epsilon", call.float("epsilon", 1e-5));
    let mut value = node.input[0].clone();
    if !last {
        let mut rows = lengths(&x.shape[..axis]);
        rows.push(width as i64);
        let shape = build.ints(&rows);
        value = build.op("Reshape", &[&value, &shape], vec![int("allowzero", 1)]);
    }
    let ones = std::iter::repeat_n(1.0, width);
    let ones = build.weight(Value::of_floats(Element::F32, &[width], ones));
    value = build.op(
        "LayerNormalization",
        &[&value, &ones],
        vec![int("axis", -1), epsilon],
    );
    if !last {
        let shape = build.ints(&lengths(&x.shape));
        value = build.op("Reshape", &[&value, &shape], vec![int("allowzero", 1)]);
    }
    let output = &node.output[0];
    match bias {
        Some(_) => {
            let scaled = build.op("Mul", &[&value, &node.input[1]], vec![]);
            build.push("Add", &[&scaled, &node.input[2]], output, vec![]);
        }
        None => build.push("Mul", &[&value, &node.input[1]], output, vec![]),
    }
    Ok(Some(build.done()))
}

/// At inference a dropout hands its input on.
fn dropout(node: &NodeProto, call: &Call<'_>, seen: &Seen<'_>) -> Option<Built> {
    let trains = seen
        .input(node, 2)
        .is_some_and(|mode| mode.scalar() != Some(0.0));
    if call.wants(1) || trains || !matches!(&*node.domain, "" | "ai.onnx") {
        return None;
    }
    let mut build = Build::of(node);
    build.push(
        "Identity",
        &[node.input.first()?],
        node.output.first()?,
        vec![],
    );
    Some(build.done())
}
