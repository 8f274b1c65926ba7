//! Loops that are run whole: what they make, and what their bodies take from outside.

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::super::element::Element;
use super::super::meaning::{CAPTURED, Call, axis_of, graph_of};
use super::super::shapes::{Fact, Output};
use super::super::value::Value;
use super::build::texts;
use super::walk::{Known, Walk};
use super::{loops, order, own, prune};

impl Walk {
    /// A loop that is run as an operator of our own.
    pub(super) fn whole_loop(&mut self, mut node: NodeProto) -> Result<(), String> {
        let call = Call {
            node: &node,
            opset: self.opset,
        };
        let body = graph_of(&call, "body")?.clone();
        let [carried, stacked] = loops::counts(&node, &body)?;
        loops::check_known(&body)?;
        let outputs = self.shapes_of_loop(&node, &body, carried)?;
        // What the body takes from outside becomes inputs.
        let inputs = std::mem::take(&mut node.input);
        let mut captured: Vec<String> = order::reads(&node).into_iter().collect();
        captured.sort_unstable();
        node.input = inputs;
        node.attribute.push(texts(CAPTURED, &captured));
        node.input.extend(captured);
        let facts: Vec<Option<Known>> = node
            .input
            .iter()
            .map(|name| self.known.get(name).cloned())
            .collect();
        let missing = node.input.iter().zip(&facts);
        if let Some((name, _)) = missing
            .into_iter()
            .find(|(name, known)| !name.is_empty() && known.is_none())
        {
            return Err(format!(
                "Loop: the shape of \"{}\" is not known",
                name.escape_debug()
            ));
        }
        let facts: Vec<Option<Fact<'_>>> = facts
            .iter()
            .map(|known| known.as_ref().map(Known::fact))
            .collect();
        debug_assert_eq!(outputs.len(), carried + stacked);
        self.nodes
            .push(own::node(node.clone(), self.opset, &facts, &outputs));
        let outputs = node.output.iter().zip(outputs);
        for (name, (element, shape)) in outputs.filter(|(name, _)| !name.is_empty()) {
            let known = Known {
                element,
                shape,
                value: None,
            };
            self.known.insert(name.clone(), known);
        }
        Ok(())
    }

    /// Element types and shapes of what a loop makes.
    fn shapes_of_loop(
        &self,
        node: &NodeProto,
        body: &GraphProto,
        carried: usize,
    ) -> Result<Vec<Output>, String> {
        let number = Known {
            element: Element::I64,
            shape: vec![],
            value: None,
        };
        let goes_on = Value::of_ints(Element::Bool, &[], std::iter::once(1));
        let goes_on = Known {
            element: Element::Bool,
            shape: vec![],
            value: Some(Arc::new(goes_on)),
        };
        let mut given = vec![number, goes_on];
        for name in &node.input[2..2 + carried] {
            let known = self.known.get(name).map(open);
            let unknown = || {
                format!(
                    "Loop: the shape of \"{}\" is not known",
                    name.escape_debug()
                )
            };
            given.push(known.ok_or_else(unknown)?);
        }
        let made = self.shapes_within(body, &given)?;
        let mut outputs: Vec<Output> = vec![];
        for (before, after) in given[2..].iter().zip(&made[1..]) {
            if (before.element, &before.shape) != (after.element, &after.shape) {
                return Err(format!(
                    "Loop carries a tensor that becomes {}{:?} from {}{:?}",
                    after.element, after.shape, before.element, before.shape
                ));
            }
            outputs.push((after.element, after.shape.clone()));
        }
        // How often it runs is known where its condition stays true.
        let most = node
            .input
            .first()
            .and_then(|name| self.known.get(name)?.scalar());
        let start = self
            .known
            .get(&node.input[1])
            .map_or(Some(1.0), Known::scalar);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let turns = match (most, start, made[0].scalar()) {
            (Some(most), Some(start), Some(1.0)) if node.input.len() == 2 + carried => {
                Some(if start == 0.0 {
                    0
                } else {
                    most.max(0.0) as usize
                })
            }
            _ => None,
        };
        for after in &made[1 + carried..] {
            let turns = turns.ok_or(
                "Loop stacks tensors, and how often it runs is known only when it runs, so that their shape is not",
            )?;
            let shape = [&[turns][..], &after.shape].concat();
            outputs.push((after.element, shape));
        }
        Ok(outputs)
    }

    /// Rewrites the graphs of an `If` or a `Scan`, and notes what these make, as far as shapes are known.
    pub(super) fn rewrite_held(&mut self, node: &mut NodeProto) {
        let given = match &*node.op_type {
            "If" => Some(vec![]),
            "Scan" => self.given_to_scan(node),
            _ => None,
        };
        let Some(given) = given else {
            return;
        };
        let mut made: Vec<Vec<Known>> = vec![];
        for graph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
            // What is not understood stays as it is: a branch that is never taken may be wrong.
            let Ok((rewritten, outputs)) = self.rewritten(graph, &given) else {
                return;
            };
            *graph = rewritten;
            made.push(outputs);
        }
        let alike =
            |one: &Known, other: &Known| (one.element, &one.shape) == (other.element, &other.shape);
        match (&*node.op_type, &*made) {
            ("If", [one, other]) => {
                let pairs = node.output.iter().zip(one.iter().zip(other));
                for (name, (known, other)) in pairs {
                    if !name.is_empty() && alike(known, other) {
                        self.known.insert(name.clone(), open(known));
                    }
                }
            }
            ("Scan", [outputs]) => self.note_scan(node, outputs, &given),
            _ => {}
        }
    }

    /// What the body of a `Scan` is given: states, and a piece of each scanned tensor.
    fn given_to_scan(&self, node: &NodeProto) -> Option<Vec<Known>> {
        let call = Call {
            node,
            opset: self.opset,
        };
        let scanned = usize::try_from(call.int("num_scan_inputs", 0)).ok()?;
        let states = node.input.len().checked_sub(scanned)?;
        if self.opset < 9 {
            return None;
        }
        let mut given = vec![];
        for (index, name) in node.input.iter().enumerate() {
            let mut known = open(self.known.get(name)?);
            if let Some(index) = index.checked_sub(states) {
                let axes = call.ints("scan_input_axes").unwrap_or(&[]);
                let axis = axes.get(index).copied().unwrap_or(0);
                let axis = axis_of(axis, known.shape.len()).ok()?;
                known.shape.remove(axis);
            }
            given.push(known);
        }
        Some(given)
    }

    fn note_scan(&mut self, node: &NodeProto, outputs: &[Known], given: &[Known]) {
        let call = Call {
            node,
            opset: self.opset,
        };
        let scanned = usize::try_from(call.int("num_scan_inputs", 0)).unwrap_or(0);
        let states = given.len() - scanned.min(given.len());
        let axes = |name: &str, index: usize| {
            let axes = call.ints(name).unwrap_or(&[]);
            axes.get(index).copied().unwrap_or(0)
        };
        let first = node.input.get(states).and_then(|name| self.known.get(name));
        let length = first.and_then(|x| {
            let axis = axis_of(axes("scan_input_axes", 0), x.shape.len()).ok()?;
            Some(x.shape[axis])
        });
        let Some(length) = length else {
            return;
        };
        for (index, (name, known)) in node.output.iter().zip(outputs).enumerate() {
            let mut known = open(known);
            if let Some(index) = index.checked_sub(states) {
                let axis = axes("scan_output_axes", index);
                let Ok(axis) = axis_of(axis, known.shape.len() + 1) else {
                    continue;
                };
                known.shape.insert(axis, length);
            }
            if !name.is_empty() {
                self.known.insert(name.clone(), known);
            }
        }
    }

    /// What is known of the outputs of a graph inside of this one, given what is known of its inputs.
    fn shapes_within(&self, graph: &GraphProto, given: &[Known]) -> Result<Vec<Known>, String> {
        self.rewritten(graph, given).map(|(_, outputs)| outputs)
    }

    /// A graph inside of this one with its nodes rewritten, and what is known of its outputs.
    fn rewritten(
        &self,
        graph: &GraphProto,
        given: &[Known],
    ) -> Result<(GraphProto, Vec<Known>), String> {
        let mut inner = Self {
            opset: self.opset,
            rounding: self.rounding,
            known: self.known.clone(),
            weights: HashMap::new(),
            order: vec![],
            nodes: vec![],
            made_of_constants: self.made_of_constants.clone(),
        };
        for weight in &graph.initializer {
            inner.add_weight(weight.clone());
        }
        let names = graph.input.iter().map(|input| input.name.clone());
        inner.known.extend(names.zip(given.iter().cloned()));
        inner.run(graph.node.iter().cloned().collect())?;
        let outputs = graph.output.iter().map(|output| {
            let known = inner.known.get(&output.name).cloned();
            known.ok_or_else(|| {
                format!(
                    "the shape of \"{}\" is known only when it runs",
                    output.name.escape_debug()
                )
            })
        });
        let outputs = outputs.collect::<Result<_, _>>()?;
        let mut rewritten = GraphProto {
            node: inner.nodes,
            value_info: vec![],
            ..graph.clone()
        };
        let mut weights = inner.weights;
        let order = inner.order.iter();
        rewritten.initializer = order.filter_map(|name| weights.remove(name)).collect();
        prune::copied_outputs(&mut rewritten);
        for output in &mut rewritten.output {
            output.r#type = None;
        }
        Ok((rewritten, outputs))
    }
}

/// The same without its value.
fn open(known: &Known) -> Known {
    Known {
        value: None,
        ..known.clone()
    }
}
