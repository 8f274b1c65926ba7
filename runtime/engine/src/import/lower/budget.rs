//! What a graph may ask for in all: a few bytes of a file can ask for any amount of memory and work.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, TensorProto};

use super::super::element::Element;
use super::super::info::declared;
use super::super::meaning::Call;
use super::super::own_op;
use super::super::shapes::{Fact, infer};
use super::super::value::{Value, volume};

/// Bytes of all tensors of one inference.
const MAX_BYTES: u128 = 64 << 30;

/// Bytes of what is made of constants alone, which is worked out when the graph is loaded: masks and tables.
const MAX_FOLDED: u128 = 256 << 20;

/// What may be made besides for each byte of weights: 4 bits become 32, are scaled, shifted, turned and split.
const FOLDED_PER_WEIGHT: u128 = 64;

/// Multiply-accumulates of one inference.
const MAX_MACS: u128 = 1 << 44;

type Shapes = HashMap<String, (Element, Vec<usize>)>;

/// Adds up what a lowered graph asks for.
///
/// # Errors
/// With the node at which the sum passes the budget.
pub(super) fn check(graph: &GraphProto, opset: i64) -> Result<(), String> {
    let mut shapes: Shapes = HashMap::new();
    let mut constants: HashSet<&str> = HashSet::new();
    let mut values: HashMap<&str, Value<'static>> = HashMap::new();
    let mut stored = 0_u128;
    for weight in &graph.initializer {
        constants.insert(&weight.name);
        if let Some(known) = shape_of(weight) {
            if volume(&known.1).is_some_and(|count| count <= 4096)
                && let Some(value) = Value::of_proto(weight)
            {
                values.insert(&weight.name, value);
            }
            stored = stored.saturating_add(bytes_of(known.0, &known.1));
            shapes.insert(weight.name.clone(), known);
        }
    }
    let max_folded = MAX_FOLDED.saturating_add(stored.saturating_mul(FOLDED_PER_WEIGHT));
    let (mut bytes, mut folded, mut macs) = (0_u128, 0_u128, 0_u128);
    let inputs = graph.input.iter();
    shapes.extend(inputs.filter_map(|input| Some((input.name.clone(), declared(input)?))));
    for node in &graph.node {
        let call = Call { node, opset };
        let outputs = match &*node.op_type == own_op::NAME {
            true => own_op::outputs(node),
            false => {
                let complete = node
                    .input
                    .iter()
                    .all(|name| name.is_empty() || shapes.contains_key(name));
                let facts: Vec<Option<Fact<'_>>> = node
                    .input
                    .iter()
                    .map(|name| {
                        let (element, shape) = shapes.get(name)?;
                        Some(Fact {
                            element: *element,
                            shape,
                            value: values.get(&**name),
                        })
                    })
                    .collect();
                if complete {
                    macs = macs.saturating_add(work(&call, &facts));
                }
                if complete {
                    infer(&call, &facts).ok().flatten()
                } else {
                    None
                }
            }
        };
        let Some(outputs) = outputs else {
            continue;
        };
        let reads = node.input.iter().filter(|name| !name.is_empty());
        let is_constant = reads.clone().all(|name| constants.contains(&**name));
        for (name, (element, shape)) in node.output.iter().zip(outputs) {
            let size = bytes_of(element, &shape);
            bytes = bytes.saturating_add(size);
            if is_constant {
                folded = folded.saturating_add(size);
                constants.insert(name);
            }
            shapes.insert(name.clone(), (element, shape));
        }
        let name = node.name.escape_debug();
        for (sum, most, what) in [
            (bytes, MAX_BYTES, "bytes of tensors"),
            (folded, max_folded, "bytes made of constants"),
            (macs, MAX_MACS, "multiplications"),
        ] {
            if sum > most {
                return Err(format!(
                    "node \"{name}\": up to here the graph asks for {sum} {what}, at most {most} are taken"
                ));
            }
        }
    }
    Ok(())
}

fn bytes_of(element: Element, shape: &[usize]) -> u128 {
    shape.iter().fold(element.size() as u128, |product, &axis| {
        product.saturating_mul(axis as u128)
    })
}

fn shape_of(weight: &TensorProto) -> Option<(Element, Vec<usize>)> {
    let shape: Option<Vec<usize>> = weight
        .dims
        .iter()
        .map(|&axis| usize::try_from(axis).ok())
        .collect();
    Some((Element::of_onnx(weight.data_type)?, shape?))
}

/// Multiply-accumulates of a product or a convolution.
fn work(call: &Call<'_>, facts: &[Option<Fact<'_>>]) -> u128 {
    let (Some(Some(a)), Some(Some(b))) = (facts.first(), facts.get(1)) else {
        return 0;
    };
    let Ok(Some(outputs)) = infer(call, facts) else {
        return 0;
    };
    let made = outputs.first().map_or(0, |(_, shape)| {
        shape.iter().fold(1_u128, |product, &axis| {
            product.saturating_mul(axis as u128)
        })
    });
    let depth = match call.op() {
        "MatMul" | "MatMulInteger" => a.shape.last().copied().unwrap_or(1),
        "Gemm" => a
            .shape
            .get(usize::from(call.int("transA", 0) == 0))
            .copied()
            .unwrap_or(1),
        "MatMulNBits" => usize::try_from(call.int("K", 1)).unwrap_or(1),
        "Conv" | "ConvInteger" => b.shape.get(1..).map_or(1, |axes| axes.iter().product()),
        _ => 0,
    };
    made.saturating_mul(depth as u128)
}
