//! Functions that a model brings along: each call is replaced by the function's nodes.

use std::collections::HashMap;

use prost::Message;
use prost::bytes::Buf;
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};

use super::lower::{opset_of, rename};
use super::signatures::{Found, find};

/// Nodes that calls may be replaced by in all: functions that call functions grow without bounds.
const MOST_NODES: usize = 1 << 17;

/// Calls within calls.
const DEEPEST: usize = 32;

/// Values of attributes that calls may leave out, which the model's own type does not hold.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Defaults {
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionDefaults>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionDefaults {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "10")]
    domain: String,
    #[prost(message, repeated, tag = "11")]
    attributes: Vec<AttributeProto>,
}

impl Defaults {
    /// Of the bytes of a model; none where they are not of one, which the model's own decoding tells.
    pub(crate) fn of(bytes: impl Buf) -> Self {
        Self::decode(bytes).unwrap_or_default()
    }

    fn get(&self, function: &FunctionProto, attribute: &str) -> Option<&AttributeProto> {
        let (domain, name) = key_of(function);
        let mut functions = self.functions.iter();
        let own = functions.find(|own| own.name == name && own.domain == domain)?;
        own.attributes.iter().find(|own| own.name == attribute)
    }
}

/// Replaces calls of a model's functions by what the functions hold.
///
/// # Errors
/// With the function's name, when a call does not fit it, it calls itself, or it grows beyond all bounds.
pub(super) fn inline(model: &mut ModelProto, defaults: &Defaults) -> Result<(), String> {
    if model.functions.is_empty() {
        return Ok(());
    }
    let set = opset_of(model);
    let functions = std::mem::take(&mut model.functions);
    let mut calls = Calls {
        set,
        functions: HashMap::new(),
        defaults,
        made: 0,
        number: 0,
    };
    for function in &functions {
        calls.functions.insert(key_of(function), function);
    }
    match &mut model.graph {
        Some(graph) => calls.graph(graph, 0),
        None => Ok(()),
    }
}

type Key<'a> = (&'a str, &'a str);

fn key_of(function: &FunctionProto) -> Key<'_> {
    let domain = function.domain.as_deref().unwrap_or("");
    (domain, function.name.as_deref().unwrap_or(""))
}

struct Calls<'a> {
    set: i64,
    functions: HashMap<Key<'a>, &'a FunctionProto>,
    defaults: &'a Defaults,
    /// Nodes that took the place of calls.
    made: usize,
    /// Calls that were replaced, which makes the names of their tensors unlike any other.
    number: usize,
}

impl Calls<'_> {
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<(), String> {
        let mut nodes = vec![];
        for node in graph.node.drain(..) {
            self.node(node, depth, &mut nodes)?;
        }
        graph.node = nodes;
        Ok(())
    }

    fn node(
        &mut self,
        mut node: NodeProto,
        depth: usize,
        nodes: &mut Vec<NodeProto>,
    ) -> Result<(), String> {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(inner, depth)?;
            }
        }
        let key = (&*node.domain, &*node.op_type);
        let Some(function) = self.functions.get(&key).copied() else {
            nodes.push(node);
            return Ok(());
        };
        let name = function
            .name
            .as_deref()
            .unwrap_or("")
            .escape_debug()
            .to_string();
        if depth >= DEEPEST {
            return Err(format!(
                "function \"{name}\" calls itself, or {DEEPEST} others deep"
            ));
        }
        let of_name = |message: String| format!("function \"{name}\": {message}");
        check_sets(function, self.set).map_err(of_name)?;
        for inner in self.body(function, &node).map_err(of_name)? {
            self.made += 1;
            if self.made > MOST_NODES {
                return Err(of_name(format!(
                    "more than {MOST_NODES} nodes once it is put in"
                )));
            }
            self.node(inner, depth + 1, nodes)?;
        }
        Ok(())
    }

    /// The function's nodes, with the names and attributes of a call.
    fn body(
        &mut self,
        function: &FunctionProto,
        call: &NodeProto,
    ) -> Result<Vec<NodeProto>, String> {
        let place = super::guard::node_name(call);
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(format!(
                "node \"{place}\" has {} inputs and {} outputs, it has {} and {}",
                call.input.len(),
                call.output.len(),
                function.input.len(),
                function.output.len()
            ));
        }
        self.number += 1;
        let prefix = format!("{place}.{}", self.number);
        let given = call.input.iter().map(|name| &**name);
        let given = given.chain(std::iter::repeat(""));
        let mut names: HashMap<String, String> = function
            .input
            .iter()
            .zip(given)
            .map(|(own, given)| (own.clone(), given.to_owned()))
            .collect();
        let mut copies = vec![];
        for (own, wanted) in function.output.iter().zip(&call.output) {
            if wanted.is_empty() {
                continue;
            }
            match names.get(own) {
                // An output that is an input, or comes twice.
                Some(made) => copies.push((made.clone(), wanted.clone())),
                None => drop(names.insert(own.clone(), wanted.clone())),
            }
        }
        for made in function.node.iter().flat_map(|node| &node.output) {
            if !made.is_empty() && !names.contains_key(made) {
                names.insert(made.clone(), format!("{prefix}/{made}"));
            }
        }
        let mut body = GraphProto {
            node: function.node.clone(),
            ..GraphProto::default()
        };
        for (number, node) in body.node.iter_mut().enumerate() {
            self.refer(node, function, call)?;
            node.name = format!("{prefix}/{}.{number}", node.name);
        }
        rename(&mut body, &names);
        for (number, (from, to)) in copies.into_iter().enumerate() {
            body.node.push(NodeProto {
                name: format!("{prefix}/output.{number}"),
                op_type: "Identity".to_owned(),
                input: vec![from],
                output: vec![to],
                ..NodeProto::default()
            });
        }
        Ok(body.node)
    }

    /// Gives attributes of a function's node that stand for one of the call the call's value.
    fn refer(
        &self,
        node: &mut NodeProto,
        function: &FunctionProto,
        call: &NodeProto,
    ) -> Result<(), String> {
        let mut attributes = vec![];
        for mut attribute in node.attribute.drain(..) {
            if !attribute.ref_attr_name.is_empty() {
                let wanted = std::mem::take(&mut attribute.ref_attr_name);
                let given = call.attribute.iter().find(|given| given.name == wanted);
                let given = given.or_else(|| self.defaults.get(function, &wanted));
                let Some(given) = given else {
                    if function.attribute.contains(&wanted) {
                        let (place, wanted) =
                            (super::guard::node_name(call), wanted.escape_debug());
                        return Err(format!("node \"{place}\" lacks attribute \"{wanted}\""));
                    }
                    continue;
                };
                let name = std::mem::take(&mut attribute.name);
                attribute = AttributeProto {
                    name,
                    ..given.clone()
                };
            }
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                for node in &mut inner.node {
                    self.refer(node, function, call)?;
                }
            }
            attributes.push(attribute);
        }
        node.attribute = attributes;
        Ok(())
    }
}

/// A function of another operator set than the model's may use only what means the same in both.
fn check_sets(function: &FunctionProto, set: i64) -> Result<(), String> {
    let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
    let own = function
        .opset_import
        .iter()
        .find(|set| standard(&set.domain));
    let Some(own) = own.map(|own| own.version).filter(|&own| own != set) else {
        return Ok(());
    };
    let since = |op: &str, set| match find("", op, set) {
        Found::Version(signature) => Some(signature.since),
        _ => None,
    };
    let nodes = function.node.iter().filter(|node| standard(&node.domain));
    for node in nodes {
        let op = &*node.op_type;
        if since(op, own) != since(op, set) {
            return Err(format!(
                "is of operator set {own}, in which {} is another one than in set {set}, the model's",
                op.escape_debug()
            ));
        }
    }
    Ok(())
}
