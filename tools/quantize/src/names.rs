//! Names that stand for one thing only.
//!
//! A graph may hold any of the names that would be made for new tensors.

use std::collections::HashSet;

use tract_onnx::pb::GraphProto;

/// The names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    /// All tensor names of a graph.
    pub(crate) fn of_tensors(graph: &GraphProto) -> Self {
        let nodes = graph.node.iter();
        let nodes = nodes.flat_map(|node| node.input.iter().chain(&node.output));
        let inputs = graph.input.iter().map(|input| &input.name);
        let constants = graph.initializer.iter().map(|tensor| &tensor.name);
        Self(nodes.chain(inputs).chain(constants).cloned().collect())
    }

    /// Takes a name; a number is put behind it where it is taken already.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }
}
