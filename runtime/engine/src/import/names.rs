//! A name for every node.

use std::collections::HashSet;

use tract_onnx::pb::GraphProto;

/// Gives every node of a graph a name that nothing else in it has. ONNX lets nodes go without one or share one; tract,
/// and messages that name a node, do not.
///
/// The first node of a name keeps it, the others get numbered ones. A node without a name is called after its output.
pub fn name_nodes(graph: &mut GraphProto) {
    let inputs = graph.input.iter().map(|input| &input.name);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name);
    let mut used: HashSet<String> = inputs.chain(constants).cloned().collect();
    let own: HashSet<String> = graph.node.iter().map(|node| node.name.clone()).collect();
    for node in &mut graph.node {
        let wanted = match node.output.first() {
            Some(output) if node.name.is_empty() => output,
            _ => &node.name,
        };
        let free =
            |name: &String| !used.contains(name) && (*name == node.name || !own.contains(name));
        let numbered = (2..).map(|number: u64| format!("{wanted}_{number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(free);
        node.name = name.unwrap_or_default();
        used.insert(node.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{NodeProto, TensorProto};

    use super::*;

    #[test]
    fn no_two_nodes_share_a_name() {
        let nodes = [
            ("fc", "a"),
            ("fc", "b"),
            ("", "fc"),
            ("", "c"),
            ("fc_2", "d"),
            ("w", "e"),
        ];
        let node = |(name, output): (&str, &str)| NodeProto {
            name: name.to_owned(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        };
        let mut graph = GraphProto {
            node: nodes.map(node).to_vec(),
            initializer: vec![TensorProto {
                name: "w".to_owned(),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        };
        name_nodes(&mut graph);
        let names: Vec<&str> = graph.node.iter().map(|node| &*node.name).collect();
        assert_eq!(names, ["fc", "fc_3", "fc_4", "c", "fc_2", "w_2"]);
        let named = graph.clone();
        name_nodes(&mut graph);
        assert_eq!(graph, named);
    }
}
