//! The names of the files beside an ONNX file that hold its weights.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use prost::Message;

use crate::bad_input::bad_input;

/// ONNX is protobuf, which ends at 2 GiB.
const MAX_BYTES: u64 = 2 << 30;

/// The fields of `onnx.proto` on the way to external data; all others are skipped.
#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<Node>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    weights: Vec<Weight>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    weight: Option<Weight>,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    weights: Vec<Weight>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Weight {
    #[prost(message, repeated, tag = "13")]
    external: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The locations that the weights of an ONNX file name, each once.
///
/// # Errors
/// Where the file cannot be read, or is not ONNX.
pub fn locations(file: &Path) -> Result<BTreeSet<String>> {
    let wrong =
        |message: &dyn std::fmt::Display| bad_input(format!("{}: {message}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| wrong(&error))?
        .len();
    if size > MAX_BYTES {
        return Err(wrong(&format!("larger than {MAX_BYTES} bytes")));
    }
    let bytes = std::fs::read(file).map_err(|error| wrong(&error))?;
    let model = Model::decode(&bytes[..]).map_err(|error| wrong(&error))?;
    let mut found = BTreeSet::new();
    for function in &model.functions {
        of_nodes(&function.nodes, &mut found);
    }
    if let Some(graph) = &model.graph {
        of_graph(graph, &mut found);
    }
    Ok(found)
}

fn of_graph(graph: &Graph, found: &mut BTreeSet<String>) {
    of_weights(&graph.weights, found);
    of_nodes(&graph.nodes, found);
}

fn of_nodes(nodes: &[Node], found: &mut BTreeSet<String>) {
    for attribute in nodes.iter().flat_map(|node| &node.attributes) {
        of_weights(&attribute.weights, found);
        of_weights(attribute.weight.as_slice(), found);
        for graph in attribute.graph.iter().chain(&attribute.graphs) {
            of_graph(graph, found);
        }
    }
}

fn of_weights(weights: &[Weight], found: &mut BTreeSet<String>) {
    let entries = weights.iter().flat_map(|weight| &weight.external);
    let locations = entries.filter(|entry| entry.key == "location");
    found.extend(locations.map(|entry| entry.value.clone()));
}

/// An ONNX file whose weights lie in these files, for tests.
#[cfg(test)]
pub fn naming(locations: &[&str]) -> Vec<u8> {
    let weight = |location: &&str| Weight {
        external: vec![Entry {
            key: "location".to_owned(),
            value: (*location).to_owned(),
        }],
    };
    let model = Model {
        graph: Some(Graph {
            nodes: Vec::new(),
            weights: locations.iter().map(weight).collect(),
        }),
        functions: Vec::new(),
    };
    model.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_holds_weights_is_visited() {
        let weight = |location: &str| Weight {
            external: [("location", location), ("offset", "12")]
                .map(|(key, value)| Entry {
                    key: key.to_owned(),
                    value: value.to_owned(),
                })
                .to_vec(),
        };
        let node = |attribute: Attribute| Node {
            attributes: vec![attribute],
        };
        let inner = Graph {
            nodes: Vec::new(),
            weights: vec![weight("inner.data")],
        };
        let constant = Attribute {
            weight: Some(weight("constant.data")),
            graph: Some(inner),
            weights: vec![weight("list.data")],
            ..Attribute::default()
        };
        let function = Attribute {
            weight: Some(weight("function.data")),
            ..Attribute::default()
        };
        let model = Model {
            graph: Some(Graph {
                nodes: vec![node(constant)],
                weights: vec![
                    weight("model.data"),
                    weight("model.data"),
                    Weight::default(),
                ],
            }),
            functions: vec![Function {
                nodes: vec![node(function)],
            }],
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), model.encode_to_vec()).unwrap();
        let found: Vec<String> = locations(file.path()).unwrap().into_iter().collect();
        assert_eq!(
            found,
            [
                "constant.data",
                "function.data",
                "inner.data",
                "list.data",
                "model.data"
            ]
        );
        std::fs::write(file.path(), b"no protobuf").unwrap();
        assert!(locations(file.path()).is_err());
    }
}
