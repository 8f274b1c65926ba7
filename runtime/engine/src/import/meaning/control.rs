//! Nodes that hold graphs: `If`, `Loop` and `Scan`, run node by node.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto};

use super::super::info;
use super::super::value::{Value, volume};
use super::index::around;
use super::{Call, evaluate};

/// Nodes that all turns of a loop may run together; a loop that does not end is an error after so many.
const MOST_STEPS: i64 = 1 << 20;

/// An attribute of a `Loop` of whose turns some were run already: the number of the next one.
pub const FIRST_TURN: &str = "first_turn";

/// An attribute of a node that holds graphs: names of the tensors that these take from outside, which are inputs behind its own.
pub const CAPTURED: &str = "captured";

/// Tensors by name: those of a graph, and those around it.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    own: HashMap<String, Value<'static>>,
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// Tensors that no other graph is around of.
    pub fn of(own: impl IntoIterator<Item = (String, Value<'static>)>) -> Self {
        Self {
            own: own.into_iter().collect(),
            outer: None,
        }
    }

    fn within(outer: &'a Scope<'a>) -> Self {
        Self {
            own: HashMap::new(),
            outer: Some(outer),
        }
    }

    /// The tensor of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'static>> {
        self.own
            .get(name)
            .or_else(|| self.outer.and_then(|outer| outer.get(name)))
    }
}

/// Runs the nodes of a graph on the tensors of a scope; all that it makes is there afterwards.
///
/// # Errors
/// With the node's name, when an operator is not known, or its inputs do not fit.
pub fn run_graph(graph: &GraphProto, opset: i64, scope: &mut Scope<'_>) -> Result<(), String> {
    for weight in &graph.initializer {
        let value = Value::of_proto(weight);
        let value =
            value.ok_or_else(|| format!("weight \"{}\": its data do not fit", weight.name))?;
        scope.own.insert(weight.name.clone(), value);
    }
    for node in &graph.node {
        let outputs = run_node(node, opset, scope)
            .map_err(|message| format!("node \"{}\": {message}", node.name))?;
        let outputs = node.output.iter().zip(outputs);
        for (name, value) in outputs.filter(|(name, _)| !name.is_empty()) {
            scope.own.insert(name.clone(), value);
        }
    }
    Ok(())
}

fn run_node(
    node: &NodeProto,
    opset: i64,
    scope: &Scope<'_>,
) -> Result<Vec<Value<'static>>, String> {
    let mut inputs = vec![];
    for name in &node.input {
        let value = scope.get(name);
        if value.is_none() && !name.is_empty() {
            return Err(format!("input \"{name}\" is made by nothing"));
        }
        inputs.push(value);
    }
    let call = Call { node, opset };
    // Not by `evaluate`, which knows no scope around the node.
    let made = match run(&call, &inputs, scope)? {
        Some(made) => Some(made),
        None => evaluate(&call, &inputs)?,
    };
    made.ok_or_else(|| format!("operator {} is not known", node.op_type))
}

/// An operator that holds graphs, by itself: its inputs, and behind them what its graphs take from outside. `Ok(None)` where it is none.
pub(super) fn evaluate_held(
    call: &Call<'_>,
    inputs: &super::Inputs<'_, '_>,
) -> Result<Option<Vec<Value<'static>>>, String> {
    if !matches!(call.op(), "If" | "Loop" | "Scan") {
        return Ok(None);
    }
    let captured = call.node.attribute.iter().find(|a| a.name == CAPTURED);
    let names = captured.map_or(&[][..], |names| &names.strings);
    let own = inputs.len().saturating_sub(names.len());
    let owned: Vec<Option<Value<'static>>> = inputs
        .iter()
        .map(|value| value.map(|value| value.clone().into_owned()))
        .collect();
    let text = |name: &Vec<u8>| String::from_utf8_lossy(name).into_owned();
    let taken = names.iter().map(text).zip(owned[own..].iter().cloned());
    let scope = Scope::of(taken.filter_map(|(name, value)| Some((name, value?))));
    let given: Vec<Option<&Value<'static>>> = owned[..own].iter().map(Option::as_ref).collect();
    run(call, &given, &scope)
}

/// Computes an operator that holds graphs, whose other tensors are in `scope`. `Ok(None)` where it is none.
///
/// # Errors
/// As for [`run_graph`], and when a loop does not end.
fn run(
    call: &Call<'_>,
    inputs: &[Option<&Value<'static>>],
    scope: &Scope<'_>,
) -> Result<Option<Vec<Value<'static>>>, String> {
    match call.op() {
        "If" => branch(call, inputs, scope).map(Some),
        "Loop" => turns(call, inputs, scope).map(Some),
        "Scan" => steps(call, inputs, scope).map(Some),
        _ => Ok(None),
    }
}

/// The graph of an attribute.
///
/// # Errors
/// When there is none.
pub fn graph_of<'a>(call: &Call<'a>, name: &str) -> Result<&'a GraphProto, String> {
    let attribute = call.node.attribute.iter().find(|a| a.name == name);
    let graph = attribute.and_then(|attribute| attribute.g.as_ref());
    graph.ok_or_else(|| format!("{} without a graph {name}", call.op()))
}

/// The outputs of a graph, given its inputs.
fn outputs_of(
    graph: &GraphProto,
    opset: i64,
    inputs: Vec<Value<'static>>,
    outer: &Scope<'_>,
) -> Result<Vec<Value<'static>>, String> {
    if inputs.len() != graph.input.len() {
        return Err(format!(
            "a graph of {} inputs is given {}",
            graph.input.len(),
            inputs.len()
        ));
    }
    let mut scope = Scope::within(outer);
    let names = graph.input.iter().map(|input| input.name.clone());
    scope.own.extend(names.zip(inputs));
    run_graph(graph, opset, &mut scope)?;
    let outputs = graph.output.iter().map(|output| {
        let found = scope.get(&output.name).cloned();
        found.ok_or_else(|| format!("output \"{}\" is made by nothing", output.name))
    });
    outputs.collect()
}

fn branch(
    call: &Call<'_>,
    inputs: &[Option<&Value<'static>>],
    scope: &Scope<'_>,
) -> Result<Vec<Value<'static>>, String> {
    let condition = inputs.first().copied().flatten().ok_or("no condition")?;
    let taken = is_true(condition)?;
    let name = if taken { "then_branch" } else { "else_branch" };
    outputs_of(graph_of(call, name)?, call.opset, vec![], scope)
}

fn is_true(condition: &Value<'_>) -> Result<bool, String> {
    match *condition.ints() {
        [value] => Ok(value != 0),
        _ => Err(format!("a condition of shape {:?}", condition.shape)),
    }
}

/// Appends tensors along a new first axis.
#[derive(Default)]
struct Stack {
    first: Option<Value<'static>>,
    bytes: Vec<u8>,
    count: usize,
}

impl Stack {
    fn push(&mut self, value: Value<'static>) -> Result<(), String> {
        let fits = self
            .first
            .as_ref()
            .is_none_or(|first| first.shape == value.shape && first.element == value.element);
        if !fits {
            return Err(format!(
                "a loop makes a tensor of another shape: {:?}",
                value.shape
            ));
        }
        self.bytes.extend_from_slice(&value.bytes);
        self.count += 1;
        self.first.get_or_insert(value);
        Ok(())
    }

    /// All of them; `None` where there is none, and so no shape.
    fn done(self) -> Option<Value<'static>> {
        let first = self.first?;
        let mut shape = vec![self.count];
        shape.extend(first.shape);
        Some(Value {
            element: first.element,
            shape,
            bytes: self.bytes.into(),
        })
    }
}

fn turns(
    call: &Call<'_>,
    inputs: &[Option<&Value<'static>>],
    scope: &Scope<'_>,
) -> Result<Vec<Value<'static>>, String> {
    let body = graph_of(call, "body")?;
    let given = |index: usize| inputs.get(index).copied().flatten();
    let most = given(0).map_or(i64::MAX, |most| most.i64s().first().copied().unwrap_or(0));
    let mut goes_on = given(1).map_or(Ok(true), is_true)?;
    let carried: Option<Vec<_>> = inputs.iter().skip(2).map(|value| value.cloned()).collect();
    let mut carried = carried.ok_or("Loop: a carried tensor is left out")?;
    let count = carried.len();
    let mut stacks: Vec<Stack> = (count + 1..body.output.len())
        .map(|_| Stack::default())
        .collect();
    let mut turn = call.int(FIRST_TURN, 0);
    let nodes = i64::try_from(body.node.len().max(1)).unwrap_or(i64::MAX);
    while goes_on && turn < most {
        if turn.saturating_mul(nodes) > MOST_STEPS {
            return Err(format!("Loop runs more than {MOST_STEPS} nodes"));
        }
        let mut inputs = vec![
            Value::of_i64(&[], &[turn]),
            Value::of_ints(
                super::super::element::Element::Bool,
                &[],
                std::iter::once(1),
            ),
        ];
        inputs.append(&mut carried);
        let mut made = outputs_of(body, call.opset, inputs, scope)?.into_iter();
        goes_on = is_true(&made.next().ok_or("Loop: its body makes no condition")?)?;
        carried = made.by_ref().take(count).collect();
        for (stack, value) in stacks.iter_mut().zip(made) {
            stack.push(value)?;
        }
        turn += 1;
    }
    for (index, stack) in stacks.into_iter().enumerate() {
        let stacked = stack.done();
        let stacked = stacked.or_else(|| nothing(body.output.get(count + 1 + index)?));
        carried.push(stacked.ok_or("Loop: what no turn makes has no shape")?);
    }
    Ok(carried)
}

/// A tensor of no turns, of the shape that the file says a turn makes.
fn nothing(turn: &tract_onnx::pb::ValueInfoProto) -> Option<Value<'static>> {
    let (element, rest) = info::declared(turn)?;
    let shape = [&[0][..], &rest].concat();
    Some(Value::of_ints(element, &shape, std::iter::empty()))
}

/// The element at `index` of an axis, which goes.
fn taken(x: &Value<'_>, axis: usize, index: usize) -> Value<'static> {
    let [outer, length, inner] = around(&x.shape, axis);
    let size = inner * x.element.size();
    let rows = (0..outer).flat_map(|row| &x.bytes[(row * length + index) * size..][..size]);
    let bytes: Vec<u8> = rows.copied().collect();
    let mut shape = x.shape.clone();
    shape.remove(axis);
    Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    }
}

/// Moves the first axis of a tensor to `axis`.
fn moved(x: &Value<'_>, axis: usize) -> Value<'static> {
    let count = x.shape[0];
    let mut shape = x.shape[1..].to_vec();
    shape.insert(axis, count);
    let [outer, _, inner] = around(&shape, axis);
    let size = inner * x.element.size();
    let mut bytes = Vec::with_capacity(x.bytes.len());
    for row in 0..outer {
        for index in 0..count {
            bytes.extend_from_slice(&x.bytes[(index * outer + row) * size..][..size]);
        }
    }
    Value {
        element: x.element,
        shape,
        bytes: bytes.into(),
    }
}

/// `Scan` from set 9 on; that of set 8 has a batch around it.
fn steps(
    call: &Call<'_>,
    inputs: &[Option<&Value<'static>>],
    scope: &Scope<'_>,
) -> Result<Vec<Value<'static>>, String> {
    let body = graph_of(call, "body")?;
    let scanned = usize::try_from(call.int("num_scan_inputs", 0)).unwrap_or(0);
    let inputs: Option<Vec<&Value<'static>>> = inputs.iter().copied().collect();
    let inputs = inputs.ok_or("Scan: an input is left out")?;
    let states = inputs
        .len()
        .checked_sub(scanned)
        .ok_or("Scan: too few inputs")?;
    if call.opset < 9 {
        return Err("Scan of operator set 8 is not supported".to_owned());
    }
    let number = |name: &str, index: usize| {
        let list = call.ints(name).unwrap_or(&[]);
        list.get(index).copied().unwrap_or(0)
    };
    let mut axes = vec![];
    let mut length = None;
    for (index, x) in inputs[states..].iter().enumerate() {
        let axis = super::axis_of(number("scan_input_axes", index), x.shape.len())?;
        if *length.get_or_insert(x.shape[axis]) != x.shape[axis] {
            return Err("Scan: inputs of different lengths".to_owned());
        }
        axes.push(axis);
    }
    let length = length.ok_or("Scan without a scanned input")?;
    let mut carried: Vec<Value<'static>> = inputs[..states].iter().map(|&v| v.clone()).collect();
    let mut stacks: Vec<Vec<Value<'static>>> =
        (states..body.output.len()).map(|_| vec![]).collect();
    for step in 0..length {
        let mut all = std::mem::take(&mut carried);
        for (index, x) in inputs[states..].iter().enumerate() {
            let at = match number("scan_input_directions", index) {
                0 => step,
                _ => length - 1 - step,
            };
            all.push(taken(x, axes[index], at));
        }
        let mut made = outputs_of(body, call.opset, all, scope)?.into_iter();
        carried = made.by_ref().take(states).collect();
        stacks
            .iter_mut()
            .zip(made)
            .for_each(|(stack, value)| stack.push(value));
    }
    for (index, mut values) in stacks.into_iter().enumerate() {
        if number("scan_output_directions", index) != 0 {
            values.reverse();
        }
        let mut stack = Stack::default();
        values.into_iter().try_for_each(|value| stack.push(value))?;
        let stacked = stack.done();
        let stacked = stacked.or_else(|| nothing(body.output.get(states + index)?));
        let stacked = stacked.ok_or("Scan: what no step makes has no shape")?;
        let axis = super::axis_of(number("scan_output_axes", index), stacked.shape.len())?;
        carried.push(match volume(&stacked.shape) {
            Some(0) | None => stacked,
            Some(_) => moved(&stacked, axis),
        });
    }
    Ok(carried)
}
