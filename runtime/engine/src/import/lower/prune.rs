//! What is left over after folding.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::order::reads;

/// Drops nodes and weights that no output needs. Nodes are in order.
pub(super) fn unused(graph: &mut GraphProto) {
    // Inputs with a default in old files: the weight counts, the input is not fed.
    let weights: HashSet<&String> = graph
        .initializer
        .iter()
        .map(|weight| &weight.name)
        .collect();
    graph.input.retain(|input| !weights.contains(&input.name));
    let mut needed: HashSet<String> = graph
        .output
        .iter()
        .map(|output| output.name.clone())
        .collect();
    let mut kept: Vec<NodeProto> = vec![];
    for node in graph.node.drain(..).rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(reads(&node));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph
        .initializer
        .retain(|weight| needed.contains(&weight.name));
}

/// An output that is an input or a weight is copied, since the engine wants a node for each.
pub(super) fn copied_outputs(graph: &mut GraphProto) {
    let made: HashSet<String> = graph
        .node
        .iter()
        .flat_map(|node| node.output.clone())
        .collect();
    let mut seen: HashSet<String> = HashSet::new();
    for (index, output) in graph.output.iter_mut().enumerate() {
        if made.contains(&output.name) && seen.insert(output.name.clone()) {
            continue;
        }
        let copy = format!("{}/output.{index}", output.name);
        graph.node.push(NodeProto {
            name: format!("{copy}/copy"),
            op_type: "Identity".to_owned(),
            input: vec![output.name.clone()],
            output: vec![copy.clone()],
            ..NodeProto::default()
        });
        output.name = copy;
    }
}
