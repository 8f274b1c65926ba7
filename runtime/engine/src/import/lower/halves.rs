//! Half precision is computed in single: weights are widened, inputs and outputs keep their type.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, type_proto};

use super::super::element::Element;
use super::super::value::Value;
use super::branches::rename;
use super::build::int;
use super::half_kernels;
use crate::rounding::Rounding;

pub(super) const F16: i32 = DataType::Float16 as i32;

fn is_half(element: i32) -> bool {
    matches!(
        Element::of_onnx(element),
        Some(Element::F16 | Element::BF16)
    )
}

/// Makes a graph of f32 out of one with tensors of f16 or bf16. As written, f16 is rounded where ONNX Runtime rounds it. Otherwise
/// values are rounded where the file casts to half precision, except in a graph whose weights are of half precision: all of that is
/// computed in single, which is nearer to the float model and leaves nothing between a product and what is fused with it.
pub(super) fn widen(graph: &mut GraphProto, opset: i64, rounding: Rounding) -> Result<(), String> {
    match rounding {
        Rounding::AsWritten => {
            half_kernels::round(graph, opset);
            round_before_casts(graph, |element| is_half(element) && element != F16);
        }
        Rounding::Fused => {
            round_dequantised(graph);
            if has_half_weights(graph) {
                keep_casts_exact(graph);
            } else {
                round_before_casts(graph, is_half);
            }
        }
    }
    widen_inside(graph)?;
    let mut front = vec![];
    let mut names = HashMap::new();
    for input in &graph.input {
        if element_of(input).is_some_and(is_half) {
            let inside = format!("{}/f32", input.name);
            front.push(cast(&input.name, &inside, Element::F32));
            names.insert(input.name.clone(), inside);
        }
    }
    let mut halves = vec![];
    for output in &graph.output {
        if let Some(element) = element_of(output).filter(|&element| is_half(element)) {
            halves.push((
                output.name.clone(),
                Element::of_onnx(element).unwrap_or(Element::F16),
            ));
        }
    }
    if !names.is_empty() {
        let outputs = graph.output.clone();
        rename(graph, &names);
        graph.output = outputs;
    }
    graph.node.splice(0..0, front);
    let given: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    for (name, element) in halves.into_iter().filter(|(name, _)| !given.contains(name)) {
        let inside = format!("{name}/f32");
        let outputs = graph.output.clone();
        rename(graph, &HashMap::from([(name.clone(), inside.clone())]));
        graph.output = outputs;
        graph.node.push(cast(&inside, &name, element));
    }
    Ok(())
}

/// Whether matrices or kernels are stored in half precision.
fn has_half_weights(graph: &GraphProto) -> bool {
    graph
        .initializer
        .iter()
        .any(|weight| is_half(weight.data_type) && weight.dims.len() > 1)
}

/// Makes the file's casts to half precision casts to single.
fn keep_casts_exact(graph: &mut GraphProto) {
    for node in &mut graph.node {
        if node.op_type != "Cast" {
            continue;
        }
        for to in node.attribute.iter_mut().filter(|a| a.name == "to") {
            if i32::try_from(to.i).is_ok_and(is_half) {
                to.i = i64::from(Element::F32.onnx());
            }
        }
    }
}

/// A scale of half precision makes numbers of half precision.
fn round_dequantised(graph: &mut GraphProto) {
    let weights = graph
        .initializer
        .iter()
        .filter(|weight| is_half(weight.data_type));
    let halves: HashMap<String, i32> = weights
        .map(|weight| (weight.name.clone(), weight.data_type))
        .collect();
    let mut nodes = vec![];
    for mut node in graph.node.drain(..) {
        let half = node
            .input
            .get(1)
            .and_then(|scale| halves.get(scale))
            .copied();
        let rounded = match half {
            Some(half) if node.op_type == "DequantizeLinear" && !node.output.is_empty() => {
                let output = node.output[0].clone();
                node.output[0] = format!("{output}/f32");
                Some(rounds(&node.output[0], &output, half))
            }
            _ => None,
        };
        nodes.push(node);
        nodes.extend(rounded);
    }
    graph.node = nodes;
}

/// Operators whose outputs are no floats.
pub(super) const NO_FLOATS: [&str; 16] = [
    "Shape",
    "Size",
    "ArgMax",
    "ArgMin",
    "QuantizeLinear",
    "Equal",
    "Less",
    "LessOrEqual",
    "Greater",
    "GreaterOrEqual",
    "IsNaN",
    "IsInf",
    "NonZero",
    "Cast",
    "DequantizeLinear",
    "TopK",
];

/// What the file converts from half precision is rounded to it first. Nodes are in order.
fn round_before_casts(graph: &mut GraphProto, is_half: fn(i32) -> bool) {
    let inputs = graph
        .input
        .iter()
        .filter_map(|input| Some((input.name.clone(), element_of(input)?)));
    let weights = graph
        .initializer
        .iter()
        .map(|weight| (weight.name.clone(), weight.data_type));
    let mut halves: HashMap<String, i32> = inputs
        .chain(weights)
        .filter(|(_, element)| is_half(*element))
        .collect();
    let exact: Vec<String> = halves.keys().cloned().collect();
    let mut nodes = vec![];
    for mut node in graph.node.drain(..) {
        let to = node
            .attribute
            .iter()
            .find(|a| a.name == "to")
            .and_then(|a| i32::try_from(a.i).ok());
        let half = node.input.iter().find_map(|name| halves.get(name)).copied();
        match (&*node.op_type, to, half) {
            ("Cast", Some(to), _) if is_half(to) => {
                halves.extend(node.output.first().map(|name| (name.clone(), to)));
            }
            ("Cast", _, Some(half)) if !exact.contains(&node.input[0]) => {
                let rounded = format!("{}/rounded", node.output[0]);
                nodes.push(rounds(&node.input[0], &rounded, half));
                node.input = vec![rounded];
            }
            (op, _, Some(half)) if !NO_FLOATS.contains(&op) => {
                halves.extend(node.output.iter().map(|name| (name.clone(), half)));
            }
            _ => {}
        }
        nodes.push(node);
    }
    graph.node = nodes;
}

pub(super) fn element_of(value: &tract_onnx::pb::ValueInfoProto) -> Option<i32> {
    match value.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor.elem_type),
    }
}

/// A node that rounds `from` to `half` precision and keeps it as f32.
pub(super) fn rounds(from: &str, to: &str, half: i32) -> NodeProto {
    NodeProto {
        name: format!("{to}/round"),
        op_type: ROUND.to_owned(),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        attribute: vec![int("to", i64::from(half))],
        ..NodeProto::default()
    }
}

fn cast(from: &str, to: &str, element: Element) -> NodeProto {
    NodeProto {
        name: format!("{to}/cast"),
        // Told apart from the casts of the file, which round.
        op_type: "Cast".to_owned(),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        attribute: vec![int("to", i64::from(element.onnx())), int(EDGE, 1)],
        ..NodeProto::default()
    }
}

/// Marks the casts between a graph and its inputs and outputs of half precision.
pub(super) const EDGE: &str = "wink_edge";

fn widen_inside(graph: &mut GraphProto) -> Result<(), String> {
    for weight in &mut graph.initializer {
        widen_tensor(weight)?;
    }
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            if matches!(
                &*attribute.name,
                "dtype" | "output_dtype" | "to" | "softmax_precision" | "stash_type"
            ) {
                widen_type(&node.op_type, attribute);
            }
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                widen_tensor(tensor)?;
            }
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                widen_inside(inner)?;
            }
        }
        let half = node.attribute.iter().find(|a| a.name == "to").map(|a| a.i);
        if node.op_type == "Cast"
            && let Some(half) = half
                .and_then(|to| i32::try_from(to).ok())
                .filter(|&to| is_half(to))
        {
            node.op_type = ROUND.to_owned();
            node.attribute = vec![int("to", i64::from(half))];
        }
    }
    Ok(())
}

/// Rounds f32 to half precision and keeps it as f32.
pub(super) const ROUND: &str = "RoundToHalf";

fn widen_type(op: &str, attribute: &mut AttributeProto) {
    let half = i32::try_from(attribute.i).is_ok_and(is_half);
    if half && op != "Cast" && op != ROUND {
        attribute.i = i64::from(Element::F32.onnx());
    }
}

fn widen_tensor(tensor: &mut TensorProto) -> Result<(), String> {
    if !is_half(tensor.data_type) {
        return Ok(());
    }
    let value = Value::of_proto(tensor);
    let value = value.ok_or_else(|| {
        format!(
            "weight \"{}\": its data do not fit",
            tensor.name.escape_debug()
        )
    })?;
    let name = std::mem::take(&mut tensor.name);
    *tensor = value.cast(Element::F32).into_proto(name);
    Ok(())
}
