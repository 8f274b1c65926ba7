//! A whole graph run node by node with [`super::meaning`]: slow, and the same on every machine.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::lower::opset_of;
use super::meaning::{Call, evaluate};
use super::value::Value;

type Tensors = HashMap<String, Value<'static>>;

/// The outputs of a model of standard operators, in its order.
///
/// # Errors
/// With the node's name, when an operator is not known, or its inputs do not fit.
pub fn run(
    model: &ModelProto,
    inputs: &[(String, Value<'static>)],
) -> Result<Vec<(String, Value<'static>)>, String> {
    let graph = model.graph.as_ref().ok_or("no graph")?;
    let given = inputs.iter().cloned().collect();
    let tensors = run_graph(graph, opset_of(model), given)?;
    let outputs = graph.output.iter().map(|output| {
        let value = tensors.get(&output.name);
        let value =
            value.ok_or_else(|| format!("output \"{}\" is made by nothing", output.name))?;
        Ok((output.name.clone(), value.clone()))
    });
    outputs.collect()
}

fn run_graph(graph: &GraphProto, opset: i64, mut tensors: Tensors) -> Result<Tensors, String> {
    for weight in &graph.initializer {
        let value = Value::of_proto(weight);
        let value =
            value.ok_or_else(|| format!("weight \"{}\": its data do not fit", weight.name))?;
        tensors.insert(weight.name.clone(), value);
    }
    for node in &graph.node {
        let outputs = run_node(node, opset, &tensors)
            .map_err(|message| format!("node \"{}\": {message}", node.name))?;
        for (name, value) in node
            .output
            .iter()
            .zip(outputs)
            .filter(|(name, _)| !name.is_empty())
        {
            tensors.insert(name.clone(), value);
        }
    }
    Ok(tensors)
}

fn run_node(
    node: &NodeProto,
    opset: i64,
    tensors: &Tensors,
) -> Result<Vec<Value<'static>>, String> {
    if node.op_type == "If" {
        let condition = node
            .input
            .first()
            .and_then(|name| tensors.get(name))
            .ok_or("no condition")?;
        let taken = condition.ints().first().is_some_and(|&v| v != 0);
        let name = if taken { "then_branch" } else { "else_branch" };
        let branch = node
            .attribute
            .iter()
            .find(|a| a.name == name)
            .and_then(|a| a.g.as_ref());
        let branch = branch.ok_or("no branch")?;
        let inner = run_graph(branch, opset, tensors.clone())?;
        let outputs = branch
            .output
            .iter()
            .map(|output| inner.get(&output.name).cloned());
        return outputs
            .collect::<Option<_>>()
            .ok_or_else(|| "an output of a branch is missing".to_owned());
    }
    let mut inputs = vec![];
    for name in &node.input {
        let value = tensors.get(name);
        if value.is_none() && !name.is_empty() {
            return Err(format!("input \"{name}\" is made by nothing"));
        }
        inputs.push(value);
    }
    let made = evaluate(&Call { node, opset }, &inputs)?;
    made.ok_or_else(|| format!("operator {} is not known", node.op_type))
}
