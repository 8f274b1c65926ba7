//! Nodes in an order in which each comes after what it reads.

use std::collections::{HashMap, HashSet, VecDeque};

use tract_onnx::pb::{GraphProto, NodeProto};

/// Sorts the nodes, keeping the order of the file where it is one already.
///
/// # Errors
/// When a tensor is made twice or by nothing, or nodes read each other in a circle.
pub(super) fn sort(graph: &mut GraphProto) -> Result<(), String> {
    let mut made: HashMap<&str, Option<usize>> = HashMap::new();
    let given = graph.input.iter().map(|input| &*input.name);
    let weights = graph.initializer.iter().map(|weight| &*weight.name);
    for name in given.chain(weights) {
        made.insert(name, None);
    }
    for (index, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if made.insert(output, Some(index)).is_some() {
                return Err(format!(
                    "node \"{}\": tensor \"{}\" is made twice",
                    node.name.escape_debug(),
                    output.escape_debug()
                ));
            }
        }
    }
    let mut waits: Vec<usize> = vec![0; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![vec![]; graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        for name in reads(node) {
            match made.get(&*name) {
                Some(Some(maker)) => {
                    readers[*maker].push(index);
                    waits[index] += 1;
                }
                Some(None) => {}
                None => {
                    return Err(format!(
                        "node \"{}\": input \"{}\" is made by nothing",
                        node.name.escape_debug(),
                        name.escape_debug()
                    ));
                }
            }
        }
    }
    let in_order = graph.node.iter().enumerate().all(|(index, node)| {
        reads(node).iter().all(|name| match made.get(&**name) {
            Some(Some(maker)) => *maker < index,
            _ => true,
        })
    });
    if in_order {
        return Ok(());
    }
    let mut ready: VecDeque<usize> = (0..waits.len())
        .filter(|&index| waits[index] == 0)
        .collect();
    let mut order = vec![];
    while let Some(index) = ready.pop_front() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push_back(reader);
            }
        }
    }
    if let Some(stuck) = waits.iter().position(|&waits| waits > 0) {
        let name = graph.node[stuck].name.escape_debug();
        return Err(format!(
            "node \"{name}\" reads what is made from its own output"
        ));
    }
    let mut nodes: Vec<Option<NodeProto>> = graph.node.drain(..).map(Some).collect();
    graph.node = order
        .into_iter()
        .filter_map(|index| nodes[index].take())
        .collect();
    Ok(())
}

/// The tensors that a node reads, those that its subgraphs take from outside among them.
pub(super) fn reads(node: &NodeProto) -> HashSet<String> {
    let mut all: HashSet<String> = node
        .input
        .iter()
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            let inside = graph.node.iter().flat_map(|node| &node.output);
            let given = graph.input.iter().map(|input| &input.name);
            let weights = graph.initializer.iter().map(|weight| &weight.name);
            let inside: HashSet<&String> = inside.chain(given).chain(weights).collect();
            let outputs = graph.output.iter().map(|output| output.name.clone());
            let outer = graph.node.iter().flat_map(reads).chain(outputs);
            all.extend(outer.filter(|name| !inside.contains(name)));
        }
    }
    all
}
