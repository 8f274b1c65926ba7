//! `Loop`: turns that are known when the graph is loaded are written one after the other; any other loop is run whole, by an operator
//! of our own.

use std::collections::HashMap;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::super::meaning::{Call, FIRST_TURN, KNOWN, graph_of};
use super::super::value::Value;
use super::branches::rename;
use super::build::{int, ints};
use super::walk::Seen;

/// Nodes that the turns of a loop may have together.
const MOST_NODES: i64 = 1 << 12;

/// Nodes and weights that take the place of a loop.
#[derive(Default)]
pub(super) struct Written {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) weights: Vec<TensorProto>,
}

/// How many tensors a loop carries from turn to turn, and how many it stacks.
///
/// # Errors
/// When its body does not fit.
pub(super) fn counts(node: &NodeProto, body: &GraphProto) -> Result<[usize; 2], String> {
    let carried = body.input.len().checked_sub(2);
    let carried = carried.filter(|carried| body.output.len() > *carried);
    let given = node.input.len().checked_sub(2);
    match (carried, given) {
        (Some(carried), Some(given)) if given >= carried => {
            Ok([carried, body.output.len() - 1 - carried])
        }
        _ => Err(format!(
            "Loop of {} inputs with a body of {} inputs and {} outputs",
            node.input.len(),
            body.input.len(),
            body.output.len()
        )),
    }
}

/// The next turn and the loop that is left after it, or what stands at the end. `None` where the loop must be run whole.
///
/// # Errors
/// When the body does not fit the loop.
pub(super) fn write(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Written>, String> {
    let call = Call {
        node,
        opset: seen.opset,
    };
    let body = graph_of(&call, "body")?;
    let [carried, stacked] = counts(node, body)?;
    let scalar = |index: usize| seen.input(node, index).map(|known| known.scalar());
    let (turn, most) = (call.int(FIRST_TURN, 0), scalar(0));
    #[expect(clippy::cast_possible_truncation)]
    let most = match (call.given(0), most) {
        (false, _) => None,
        (true, Some(Some(most))) => Some(most as i64),
        // How often it runs at most is known only when it runs.
        (true, _) => return Ok(None),
    };
    let goes_on = match (call.given(1), scalar(1)) {
        (false, _) => Some(true),
        (true, Some(Some(condition))) => Some(condition != 0.0),
        _ => None,
    };
    let nodes = i64::try_from(body.node.len() + 1).unwrap_or(i64::MAX);
    match (goes_on, most) {
        _ if turn == 0
            && stacked > 0
            && (goes_on == Some(false) || most.is_some_and(|m| m <= 0)) =>
        {
            Ok(None)
        }
        (Some(false), _) => Ok(Some(end(node, carried, stacked))),
        (_, Some(most)) if turn >= most => Ok(Some(end(node, carried, stacked))),
        // Where only its condition ends it, as long as that is known.
        (Some(true), most) if most.unwrap_or(turn + 1).saturating_mul(nodes) <= MOST_NODES => Ok(
            Some(one_turn(node, body, turn, [carried, stacked], seen.opset)),
        ),
        _ => Ok(None),
    }
}

fn one_turn(
    node: &NodeProto,
    body: &GraphProto,
    turn: i64,
    [carried, stacked]: [usize; 2],
    opset: i64,
) -> Written {
    let mut written = Written::default();
    let base = &node.name;
    let number = format!("{base}/turn.{turn}");
    written
        .weights
        .push(Value::of_i64(&[], &[turn]).to_proto(&number));
    let goes_on = format!("{base}/goes.on");
    if turn == 0 {
        let yes = Value::of_ints(
            super::super::element::Element::Bool,
            &[],
            std::iter::once(1),
        );
        written.weights.push(yes.to_proto(&goes_on));
        written
            .weights
            .push(Value::of_i64(&[1], &[0]).to_proto(&format!("{base}/front")));
    }
    let given = [number.clone(), goes_on]
        .into_iter()
        .chain(node.input[2..].iter().cloned());
    let mut names: HashMap<String, String> = body
        .input
        .iter()
        .map(|input| input.name.clone())
        .zip(given)
        .collect();
    for weight in &body.initializer {
        let name = format!("{base}/weight/{}", weight.name);
        if turn == 0 {
            written.weights.push(TensorProto {
                name: name.clone(),
                ..weight.clone()
            });
        }
        names.insert(weight.name.clone(), name);
    }
    for made in body.node.iter().flat_map(|node| &node.output) {
        if !made.is_empty() {
            names.insert(made.clone(), format!("{number}/{made}"));
        }
    }
    let mut inner = GraphProto {
        node: body.node.clone(),
        ..GraphProto::default()
    };
    rename(&mut inner, &names);
    for (index, node) in inner.node.iter_mut().enumerate() {
        node.name = format!("{number}/{index}.{}", node.name);
    }
    written.nodes = inner.node;
    let made = |index: usize| {
        let name = &body.output[index].name;
        names.get(name).unwrap_or(name).clone()
    };
    let mut left = node.clone();
    left.input[1] = made(0);
    (0..carried).for_each(|index| left.input[2 + index] = made(1 + index));
    for index in 0..stacked {
        let part = format!("{number}/part.{index}");
        written
            .nodes
            .push(in_front(&made(1 + carried + index), &part, base, opset));
        left.input.push(part);
    }
    left.attribute
        .retain(|attribute| attribute.name != FIRST_TURN);
    left.attribute.push(int(FIRST_TURN, turn + 1));
    written.nodes.push(left);
    written
}

fn node(op: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("{output}/{op}"),
        op_type: op.to_owned(),
        input,
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// Gives a tensor a first axis of length 1.
fn in_front(from: &str, to: &str, base: &str, opset: i64) -> NodeProto {
    if opset < 13 {
        return node(
            "Unsqueeze",
            vec![from.to_owned()],
            to,
            vec![ints("axes", &[0])],
        );
    }
    let inputs = vec![from.to_owned(), format!("{base}/front")];
    node("Unsqueeze", inputs, to, vec![])
}

/// What a loop makes once its last turn is written.
fn end(of: &NodeProto, carried: usize, stacked: usize) -> Written {
    let mut written = Written::default();
    let parts = &of.input[2 + carried..];
    for (index, output) in of.output.iter().enumerate() {
        if output.is_empty() {
            continue;
        }
        written.nodes.push(match index.checked_sub(carried) {
            None => node(
                "Identity",
                vec![of.input[2 + index].clone()],
                output,
                vec![],
            ),
            Some(stack) => {
                let parts = parts.iter().skip(stack).step_by(stacked.max(1)).cloned();
                node("Concat", parts.collect(), output, vec![int("axis", 0)])
            }
        });
    }
    written
}

/// Refuses a graph with an operator that only the engine computes.
///
/// # Errors
/// With the operator's name.
pub(super) fn check_known(graph: &GraphProto) -> Result<(), String> {
    for node in &graph.node {
        let mut held = node
            .attribute
            .iter()
            .flat_map(|a| a.g.iter().chain(&a.graphs));
        held.try_for_each(check_known)?;
        let holds = matches!(&*node.op_type, "If" | "Loop" | "Scan");
        if !holds && !KNOWN.contains(&&*node.op_type) {
            return Err(format!(
                "node \"{}\": {} is not supported inside of a loop whose turns are not known",
                super::super::guard::node_name(node),
                node.op_type.escape_debug()
            ));
        }
    }
    Ok(())
}
