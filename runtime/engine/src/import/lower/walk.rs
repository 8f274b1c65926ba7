//! Goes through the nodes in order: infers, folds, expands, and keeps as our own what the engine must not run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::super::element::Element;
use super::super::info::declared;
use super::super::meaning::{Call, evaluate};
use super::super::shapes::{Fact, Output, infer};
use super::super::value::{Value, volume};
use super::{activations, branches, fused_ops, loops, norms, own, quantised, slices};
use crate::rounding::Rounding;

/// Elements up to which a constant's values are kept and folded here. Larger ones are the engine's.
const MAX_FOLDED: usize = 1 << 16;

/// Floats up to which a constant's values are worked out to tell shapes.
const MAX_FLOATS: usize = 1 << 10;

/// What is known of a tensor.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    pub(super) value: Option<Arc<Value<'static>>>,
}

impl Known {
    pub(super) fn fact(&self) -> Fact<'_> {
        Fact {
            element: self.element,
            shape: &self.shape,
            value: self.value.as_deref(),
        }
    }

    /// The value, where it is a constant of one element.
    pub(super) fn scalar(&self) -> Option<f64> {
        let value = self.value.as_ref().filter(|value| value.len() == 1)?;
        value.floats().first().copied()
    }
}

/// What the expansions may ask of the graph.
pub(super) struct Seen<'a> {
    pub(super) opset: i64,
    pub(super) rounding: Rounding,
    known: &'a HashMap<String, Known>,
    weights: &'a HashMap<String, TensorProto>,
}

impl Seen<'_> {
    /// What is known of a node's input; `None` where it is left out or nothing is known.
    pub(super) fn input(&self, node: &NodeProto, index: usize) -> Option<&Known> {
        self.known
            .get(node.input.get(index).filter(|name| !name.is_empty())?)
    }

    /// The value of a node's input that is a weight, however large.
    pub(super) fn weight(&self, node: &NodeProto, index: usize) -> Option<Value<'static>> {
        let name = node.input.get(index)?;
        if let Some(value) = self.known.get(name).and_then(|known| known.value.as_ref()) {
            return Some((**value).clone());
        }
        Value::of_proto(self.weights.get(name)?)
    }

    /// Whether a node's input is a constant.
    pub(super) fn is_constant(&self, node: &NodeProto, index: usize) -> bool {
        let Some(name) = node.input.get(index) else {
            return false;
        };
        self.weights.contains_key(name)
            || self
                .known
                .get(name)
                .is_some_and(|known| known.value.is_some())
    }
}

pub(super) struct Walk {
    pub(super) opset: i64,
    pub(super) rounding: Rounding,
    pub(super) known: HashMap<String, Known>,
    pub(super) weights: HashMap<String, TensorProto>,
    /// Names of weights in the order of the file.
    pub(super) order: Vec<String>,
    pub(super) nodes: Vec<NodeProto>,
    /// Outputs of nodes that are left although all of their inputs are constants.
    pub(super) made_of_constants: HashSet<String>,
}

/// Rewrites the nodes of a graph, which are in order.
pub(super) fn walk(graph: &mut GraphProto, opset: i64, rounding: Rounding) -> Result<(), String> {
    let mut walk = Walk {
        opset,
        rounding,
        known: HashMap::new(),
        weights: HashMap::new(),
        order: vec![],
        nodes: vec![],
        made_of_constants: HashSet::new(),
    };
    for weight in graph.initializer.drain(..) {
        walk.add_weight(weight);
    }
    for input in &graph.input {
        if let Some((element, shape)) = declared(input)
            && !walk.weights.contains_key(&input.name)
        {
            let known = Known {
                element,
                shape,
                value: None,
            };
            walk.known.insert(input.name.clone(), known);
        }
    }
    walk.run(graph.node.drain(..).collect())?;
    graph.node = walk.nodes;
    for name in walk.order {
        graph.initializer.extend(walk.weights.remove(&name));
    }
    Ok(())
}

impl Walk {
    /// Deals with nodes in their order.
    pub(super) fn run(&mut self, mut queue: VecDeque<NodeProto>) -> Result<(), String> {
        // Expansions end in operators that are not expanded; a rule that would not is stopped here.
        let mut patience = 64 * (queue.len() + 1024);
        while let Some(node) = queue.pop_front() {
            patience = patience
                .checked_sub(1)
                .ok_or("the graph grows without end when it is expanded")?;
            let name = node.name.escape_debug().to_string();
            let more = self
                .node(node)
                .map_err(|message| format!("node \"{name}\": {message}"))?;
            for node in more.into_iter().rev() {
                queue.push_front(node);
            }
        }
        Ok(())
    }

    pub(super) fn add_weight(&mut self, mut weight: TensorProto) {
        let element = Element::of_onnx(weight.data_type);
        // The engine has no integers of 4 bits and floats of 8, and reads unsigned integers from another field.
        let rewritten = match element {
            Some(element @ (Element::U32 | Element::U64)) if weight.raw_data.is_empty() => {
                Some(element)
            }
            element => element.and_then(Element::stored),
        };
        if let Some(to) = rewritten
            && let Some(value) = Value::of_proto(&weight)
        {
            let mut proto = Value {
                element: to,
                ..value
            }
            .to_proto(&weight.name);
            proto.data_location = None;
            weight = proto;
        }
        if let Some(element) = element {
            let shape: Option<Vec<usize>> = weight
                .dims
                .iter()
                .map(|&axis| usize::try_from(axis).ok())
                .collect();
            if let Some(shape) = shape {
                let small = volume(&shape).is_some_and(|count| count <= MAX_FOLDED);
                let value = if small {
                    Value::of_proto(&weight)
                } else {
                    None
                };
                // What it was in the file decides how far its values reach.
                let value = value.map(|value| Arc::new(Value { element, ..value }));
                let known = Known {
                    element,
                    shape,
                    value,
                };
                self.known.insert(weight.name.clone(), known);
            }
        }
        if !self.weights.contains_key(&weight.name) {
            self.order.push(weight.name.clone());
        }
        self.weights.insert(weight.name.clone(), weight);
    }

    fn add_value(&mut self, name: &str, value: Value<'static>) {
        self.add_weight(value.to_proto(name));
    }

    /// Deals with a node; what is returned takes its place and is dealt with next.
    fn node(&mut self, mut node: NodeProto) -> Result<Vec<NodeProto>, String> {
        if node.op_type == "Constant"
            && let Some(tensor) = constant_tensor(&mut node)
        {
            self.add_weight(tensor);
            return Ok(vec![]);
        }
        let has_subgraph = node
            .attribute
            .iter()
            .any(|a| a.g.is_some() || !a.graphs.is_empty());
        if has_subgraph {
            return self.subgraph(node);
        }
        // What is left out at the end is not there.
        while node.input.last().is_some_and(String::is_empty) {
            node.input.pop();
        }
        if let Some(built) = self.expanded(&node)? {
            for (name, value) in built.weights {
                self.add_value(&name, value);
            }
            return Ok(built.nodes);
        }
        let call = Call {
            node: &node,
            opset: self.opset,
        };
        let standard = matches!(&*node.domain, "" | "ai.onnx") || node.op_type == "MatMulNBits";
        let inputs: Vec<Option<Known>> = node
            .input
            .iter()
            .map(|name| self.known.get(name).cloned())
            .collect();
        let complete = node
            .input
            .iter()
            .zip(&inputs)
            .all(|(name, known)| name.is_empty() || known.is_some());
        let facts: Vec<Option<Fact<'_>>> = inputs
            .iter()
            .map(|known| known.as_ref().map(Known::fact))
            .collect();
        // `None` of a fact that is not known must not look like an input that is left out.
        let outputs = if standard && (complete || node.op_type == "Shape") {
            infer(&call, &facts)?
        } else {
            None
        };
        let Some(outputs) = outputs else {
            self.nodes.push(node);
            return Ok(vec![]);
        };
        let too_large = outputs.iter().find(|(_, shape)| {
            volume(shape).is_none_or(|count| count > crate::budget::MAX_TENSOR_ELEMENTS)
        });
        if let Some((_, shape)) = too_large {
            return Err(format!(
                "{} makes a tensor of shape {shape:?}; at most {} elements are taken",
                node.op_type,
                crate::budget::MAX_TENSOR_ELEMENTS
            ));
        }
        let constants = node.input.iter().enumerate().all(|(index, name)| {
            let made = self.made_of_constants.contains(name);
            name.is_empty() || made || self.seen().is_constant(&node, index)
        });
        let kept = own::is_own(&call, &facts, &outputs, self.rounding)
            || constants && own::is_own_of_constants(&call, &facts);
        if self.fold(&call, &inputs, &outputs, kept)? {
            return Ok(vec![]);
        }
        let own = own::node(node.clone(), self.opset, &facts, &outputs);
        for (name, (element, shape)) in node.output.iter().zip(&outputs) {
            if !name.is_empty() {
                let known = self.known.entry(name.clone()).or_insert_with(|| Known {
                    element: *element,
                    shape: shape.clone(),
                    value: None,
                });
                known.element = *element;
            }
        }
        if constants {
            self.made_of_constants.extend(node.output.iter().cloned());
        }
        self.nodes.push(if kept { own } else { plain(node) });
        Ok(vec![])
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            opset: self.opset,
            rounding: self.rounding,
            known: &self.known,
            weights: &self.weights,
        }
    }

    fn expanded(&self, node: &NodeProto) -> Result<Option<super::build::Built>, String> {
        let seen = self.seen();
        for rule in [
            activations::expand,
            norms::expand,
            fused_ops::expand,
            quantised::expand,
            slices::expand,
        ] {
            if let Some(built) = rule(node, &seen)? {
                return Ok(Some(built));
            }
        }
        Ok(None)
    }

    /// Works out the outputs of a node whose inputs are all known. True where it is no longer needed.
    fn fold(
        &mut self,
        call: &Call<'_>,
        inputs: &[Option<Known>],
        outputs: &[Output],
        kept: bool,
    ) -> Result<bool, String> {
        let node = call.node;
        let from_shape = matches!(call.op(), "Shape" | "Size" | "EyeLike");
        let known = node.input.iter().zip(inputs).all(|(name, known)| {
            name.is_empty()
                || known
                    .as_ref()
                    .is_some_and(|known| known.value.is_some() || from_shape)
        });
        let floats = outputs.iter().any(|(element, _)| element.is_float());
        let most = if floats && !kept {
            MAX_FLOATS
        } else {
            MAX_FOLDED
        };
        let count = |shape: &[usize]| volume(shape).unwrap_or(usize::MAX);
        let small = outputs.iter().all(|(_, shape)| count(shape) <= most);
        let empty = !outputs.is_empty() && outputs.iter().all(|(_, shape)| count(shape) == 0);
        if empty {
            for (name, (element, shape)) in node
                .output
                .iter()
                .zip(outputs)
                .filter(|(name, _)| !name.is_empty())
            {
                self.add_value(name, Value::of_ints(*element, shape, std::iter::empty()));
            }
            return Ok(true);
        }
        if !known || !small || call.op() == "RoundToHalf" {
            return Ok(false);
        }
        // Shapes need only shapes.
        let zeros: Vec<Option<Value<'static>>> = inputs
            .iter()
            .map(|known| {
                let known = known.as_ref().filter(|_| from_shape)?;
                Some(Value {
                    element: known.element,
                    shape: known.shape.clone(),
                    bytes: vec![].into(),
                })
            })
            .collect();
        let values: Vec<Option<&Value<'_>>> = match from_shape {
            true => zeros.iter().map(Option::as_ref).collect(),
            false => inputs
                .iter()
                .map(|known| known.as_ref()?.value.as_deref())
                .collect(),
        };
        let made = match call.op() {
            "Size" => {
                let elements = inputs
                    .first()
                    .and_then(|known| volume(&known.as_ref()?.shape));
                elements.map(|count| vec![Value::of_i64(&[], &[count as i64])])
            }
            _ => evaluate(call, &values)?,
        };
        let Some(made) = made else {
            return Ok(false);
        };
        let replaces = kept || !floats && outputs.iter().all(|(element, _)| folds(*element));
        for (name, value) in node
            .output
            .iter()
            .zip(made)
            .filter(|(name, _)| !name.is_empty())
        {
            if replaces {
                self.add_value(name, value);
                continue;
            }
            let known = Known {
                element: value.element,
                shape: value.shape.clone(),
                value: Some(Arc::new(value)),
            };
            self.known.insert(name.clone(), known);
        }
        Ok(replaces)
    }

    fn subgraph(&mut self, mut node: NodeProto) -> Result<Vec<NodeProto>, String> {
        let condition = node.input.first().and_then(|name| self.known.get(name));
        if let Some(condition) = condition
            .and_then(Known::scalar)
            .filter(|_| node.op_type == "If")
            && let Some((nodes, weights)) = branches::taken(&node, condition != 0.0)
        {
            weights
                .into_iter()
                .for_each(|weight| self.add_weight(weight));
            return Ok(nodes);
        }
        if node.op_type == "Loop" {
            let Some(written) = loops::write(&node, &self.seen())? else {
                self.whole_loop(node)?;
                return Ok(vec![]);
            };
            written
                .weights
                .into_iter()
                .for_each(|weight| self.add_weight(weight));
            return Ok(written.nodes);
        }
        self.rewrite_held(&mut node);
        self.nodes.push(node);
        Ok(vec![])
    }
}

/// Element types of shapes, indices and masks, which are folded here; numbers of a network are the engine's to fold.
fn folds(element: Element) -> bool {
    matches!(element, Element::I64 | Element::I32 | Element::Bool)
}

/// Takes the tensor out of a `Constant`.
fn constant_tensor(node: &mut NodeProto) -> Option<TensorProto> {
    let name = node.output.first()?.clone();
    let tensor = node
        .attribute
        .iter_mut()
        .find(|a| a.name == "value")
        .and_then(|a| a.t.take());
    if let Some(tensor) = tensor {
        return Some(TensorProto { name, ..tensor });
    }
    let call = Call { node, opset: 0 };
    Some(super::super::meaning::constant(&call)?.to_proto(&name))
}

/// What the engine runs, without outputs that nobody asked for.
fn plain(mut node: NodeProto) -> NodeProto {
    while node.output.len() > 1 && node.output.last().is_some_and(String::is_empty) {
        node.output.pop();
    }
    node
}
