//! `If` whose condition is known when the graph is loaded: its branch takes its place.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// The nodes and weights of the branch that is taken, with names that nothing outside has.
pub(super) fn taken(
    node: &NodeProto,
    condition: bool,
) -> Option<(Vec<NodeProto>, Vec<TensorProto>)> {
    let name = if condition {
        "then_branch"
    } else {
        "else_branch"
    };
    let branch = node.attribute.iter().find(|a| a.name == name)?.g.as_ref()?;
    if branch.output.len() < node.output.len() {
        return None;
    }
    let mut names = HashMap::new();
    let made = branch.node.iter().flat_map(|node| &node.output);
    let weights = branch.initializer.iter().map(|weight| &weight.name);
    for own in made.chain(weights).filter(|own| !own.is_empty()) {
        names.insert(own.clone(), format!("{}/{own}", node.name));
    }
    let mut branch = branch.clone();
    rename(&mut branch, &names);
    for inner in &mut branch.node {
        inner.name = format!("{}/{}", node.name, inner.name);
    }
    // Outputs of the branch may be its weights or tensors from outside.
    for (index, (to, from)) in node.output.iter().zip(&branch.output).enumerate() {
        branch.node.push(NodeProto {
            name: format!("{}/output.{index}", node.name),
            op_type: "Identity".to_owned(),
            input: vec![from.name.clone()],
            output: vec![to.clone()],
            ..NodeProto::default()
        });
    }
    Some((branch.node, branch.initializer))
}

/// Gives tensors other names, in subgraphs too where nothing there has the name itself.
pub(crate) fn rename(graph: &mut GraphProto, names: &HashMap<String, String>) {
    let new = |name: &mut String| {
        if let Some(to) = names.get(name) {
            name.clone_from(to);
        }
    };
    graph
        .initializer
        .iter_mut()
        .for_each(|weight| new(&mut weight.name));
    graph
        .output
        .iter_mut()
        .for_each(|output| new(&mut output.name));
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(new);
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                let own = inner.node.iter().flat_map(|node| &node.output);
                let own = own.chain(inner.input.iter().map(|input| &input.name));
                let own: Vec<String> = own
                    .chain(inner.initializer.iter().map(|weight| &weight.name))
                    .cloned()
                    .collect();
                let mut outer = names.clone();
                own.iter().for_each(|name| {
                    outer.remove(name);
                });
                rename(inner, &outer);
            }
        }
    }
}
