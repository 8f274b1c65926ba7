//! Where ONNX Runtime rounds to f16 on a CPU.
//!
//! Few of its operators compute in f16 there. The others run in single between casts that it inserts, and of these casts it drops
//! pairs that only go to f16 and back. So a value is rounded where an operator of f16 makes or reads it, where the graph ends, and
//! around some casts of the file. An operator of f16 between operators of single, and between no others, runs in single as well.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

use super::super::element::Element;
use super::super::meaning::ROUNDS;
use super::build::int;
use super::halves::{F16, NO_FLOATS, element_of, rounds};

/// Operators of f16, and the operator sets in which they are: first and last.
const KERNELS: [(&str, i64, i64); 41] = [
    ("Attention", 23, i64::MAX),
    ("Cast", 6, i64::MAX),
    ("Celu", 28, i64::MAX),
    ("Clip", 12, i64::MAX),
    ("Compress", 9, i64::MAX),
    ("Concat", 4, i64::MAX),
    ("ConstantOfShape", 9, i64::MAX),
    ("DequantizeLinear", 19, i64::MAX),
    ("Dropout", 7, 11),
    ("Expand", 8, i64::MAX),
    ("Flatten", 1, i64::MAX),
    ("Gather", 1, i64::MAX),
    ("GatherElements", 11, i64::MAX),
    ("GatherND", 11, i64::MAX),
    ("Identity", 1, i64::MAX),
    ("If", 1, i64::MAX),
    ("IsInf", 20, i64::MAX),
    ("IsNaN", 9, i64::MAX),
    ("LayerNormalization", 1, i64::MAX),
    ("Loop", 1, i64::MAX),
    ("Max", 12, i64::MAX),
    ("Min", 12, i64::MAX),
    ("Mod", 10, i64::MAX),
    ("QuantizeLinear", 19, i64::MAX),
    ("RMSNormalization", 23, i64::MAX),
    ("Reshape", 1, i64::MAX),
    ("ReverseSequence", 10, i64::MAX),
    ("RotaryEmbedding", 23, i64::MAX),
    ("Round", 11, i64::MAX),
    ("Scan", 8, i64::MAX),
    ("Scatter", 9, 10),
    ("ScatterElements", 11, i64::MAX),
    ("ScatterND", 11, i64::MAX),
    ("Shape", 1, i64::MAX),
    ("Shrink", 9, i64::MAX),
    ("Sign", 9, i64::MAX),
    ("Slice", 1, i64::MAX),
    ("Split", 2, i64::MAX),
    ("Squeeze", 1, i64::MAX),
    ("Transpose", 1, i64::MAX),
    ("Unsqueeze", 1, i64::MAX),
];

/// Operators of f16 among those of ONNX Runtime's own.
const OWN_KERNELS: [&str; 3] = [
    "MatMulNBits",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Operators of f16 whose results are not f16 numbers of themselves.
const COMPUTES: [&str; 12] = [
    "Attention",
    "Celu",
    "DequantizeLinear",
    "If",
    "LayerNormalization",
    "Loop",
    "MatMulNBits",
    "RMSNormalization",
    "RotaryEmbedding",
    "Scan",
    "Shrink",
    "SkipLayerNormalization",
];

/// What is asked of a node.
struct Role {
    has_subgraph: bool,
    /// Has a kernel of f16 and runs in it.
    half: bool,
    /// Places of its f16 inputs and outputs.
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

impl Role {
    /// Runs in single between casts that are inserted.
    fn is_cast_around(&self) -> bool {
        !self.half && !self.has_subgraph && !self.inputs.is_empty()
    }
}

/// Puts rounding nodes into a graph of f16 whose nodes are in order, and takes out what the file's own casts to f16 round.
pub(super) fn round(graph: &mut GraphProto, opset: i64) {
    let mut roles = roles(graph, opset);
    if roles
        .iter()
        .all(|role| role.inputs.is_empty() && role.outputs.is_empty())
    {
        return;
    }
    let ends: HashSet<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let edges = Edges::of(&graph.node);
    join_isolated(&graph.node, &mut roles, &edges, &ends);
    let mut nodes = vec![];
    let mut rounded: HashSet<(usize, String)> = HashSet::new();
    for (at, node) in graph.node.iter().enumerate() {
        let mut node = node.clone();
        for name in &mut node.input {
            if rounded.contains(&(at, name.clone())) {
                *name = in_half(name);
            }
        }
        let to_half = node.op_type == "Cast" && !roles[at].outputs.is_empty();
        let computes = COMPUTES.contains(&&*node.op_type) && !roles[at].is_cast_around();
        let mut more = vec![];
        for &output in &roles[at].outputs {
            let name = &mut node.output[output];
            if computes {
                let whole = format!("{name}/single");
                more.push(rounds(&whole, name, F16));
                *name = whole;
            } else if to_half || roles[at].is_cast_around() {
                let readers = readers_of_rounded(&graph.node, &roles, &edges, &ends, at, name);
                if !readers.is_empty() {
                    more.push(rounds(name, &in_half(name), F16));
                }
                rounded.extend(readers.into_iter().map(|reader| (reader, name.clone())));
            }
        }
        if node.op_type == "Attention" && computes {
            node.attribute.push(int(ROUNDS, i64::from(F16)));
        }
        if to_half {
            set_type(&mut node.attribute, Element::F32);
        }
        nodes.push(node);
        nodes.extend(more);
    }
    graph.node = nodes;
}

fn in_half(name: &str) -> String {
    format!("{name}/half")
}

fn set_type(attributes: &mut [AttributeProto], element: Element) {
    for to in attributes.iter_mut().filter(|a| a.name == "to") {
        *to = int("to", i64::from(element.onnx()));
    }
}

/// Who makes and who reads each tensor.
struct Edges {
    makers: HashMap<String, usize>,
    readers: HashMap<String, Vec<usize>>,
}

impl Edges {
    fn of(nodes: &[NodeProto]) -> Self {
        let (mut makers, mut readers) = (HashMap::new(), HashMap::<String, Vec<usize>>::new());
        for (at, node) in nodes.iter().enumerate() {
            // Constants are weights.
            if node.op_type != "Constant" {
                makers.extend(node.output.iter().map(|name| (name.clone(), at)));
            }
            let mut read: Vec<&String> = node.input.iter().collect();
            let inside = node
                .attribute
                .iter()
                .flat_map(|a| a.g.iter().chain(&a.graphs));
            inside.for_each(|graph| captured(graph, &mut read));
            read.sort_unstable();
            read.dedup();
            for name in read.into_iter().filter(|name| !name.is_empty()) {
                readers.entry(name.clone()).or_default().push(at);
            }
        }
        Self { makers, readers }
    }

    fn readers(&self, name: &str) -> &[usize] {
        self.readers.get(name).map_or(&[], |readers| readers)
    }
}

/// Names that the nodes of a subgraph read; those of its own tensors among them do no harm.
fn captured<'a>(graph: &'a GraphProto, read: &mut Vec<&'a String>) {
    for node in &graph.node {
        read.extend(&node.input);
        let inside = node
            .attribute
            .iter()
            .flat_map(|a| a.g.iter().chain(&a.graphs));
        inside.for_each(|graph| captured(graph, read));
    }
}

fn roles(graph: &GraphProto, opset: i64) -> Vec<Role> {
    let inputs = graph.input.iter();
    let inputs = inputs.filter(|input| element_of(input) == Some(F16));
    let weights = graph.initializer.iter().filter(|w| w.data_type == F16);
    let mut halves: HashSet<String> = inputs
        .map(|input| input.name.clone())
        .chain(weights.map(|weight| weight.name.clone()))
        .collect();
    let mut roles = vec![];
    for node in &graph.node {
        let places = |names: &[String], are: &dyn Fn(usize, &String) -> bool| -> Vec<usize> {
            let all = names.iter().enumerate();
            all.filter(|(at, name)| !name.is_empty() && are(*at, name))
                .map(|(at, _)| at)
                .collect()
        };
        let inputs = places(&node.input, &|_, name| halves.contains(name));
        let outputs = places(&node.output, &|at, _| is_half_output(node, at, &inputs));
        halves.extend(outputs.iter().map(|&at| node.output[at].clone()));
        let standard = matches!(&*node.domain, "" | "ai.onnx");
        let half = match standard {
            true => KERNELS
                .iter()
                .any(|&(op, first, last)| op == node.op_type && (first..=last).contains(&opset)),
            false => OWN_KERNELS.contains(&&*node.op_type),
        };
        roles.push(Role {
            has_subgraph: node.attribute.iter().any(|a| a.g.is_some()),
            half,
            inputs,
            outputs,
        });
    }
    roles
}

/// Whether an output of a node is f16.
fn is_half_output(node: &NodeProto, output: usize, half_inputs: &[usize]) -> bool {
    let named = |name: &str| {
        let attribute = node.attribute.iter().find(|a| a.name == name)?;
        i32::try_from(attribute.i).ok()
    };
    let subgraph = node.attribute.iter().find_map(|a| a.g.as_ref());
    if let Some(subgraph) = subgraph {
        // The outputs of a loop's body begin with its condition.
        let skipped = usize::from(node.op_type == "Loop");
        let declared = subgraph.output.get(output + skipped);
        return declared.and_then(element_of) == Some(F16);
    }
    match &*node.op_type {
        "Cast" => named("to") == Some(F16),
        "CastLike" => half_inputs.contains(&1),
        "DequantizeLinear" => match named("output_dtype") {
            Some(element) if element != 0 => element == F16,
            _ => half_inputs.contains(&1),
        },
        "TopK" | "LayerNormalization" | "Dropout" | "MaxPool" => {
            output == 0 && !half_inputs.is_empty()
        }
        "Constant" | "ConstantOfShape" => {
            let value = node.attribute.iter().find_map(|a| a.t.as_ref());
            value.is_some_and(|value| value.data_type == F16)
        }
        op => !NO_FLOATS.contains(&op) && !half_inputs.is_empty(),
    }
}

/// Makes operators of f16 run in single that have only operators of single around them, one after the other in the file's order.
fn join_isolated(nodes: &[NodeProto], roles: &mut [Role], edges: &Edges, ends: &HashSet<String>) {
    if nodes.len() < 2 {
        return;
    }
    for (at, node) in nodes.iter().enumerate() {
        let role = &roles[at];
        let reads = node
            .input
            .iter()
            .any(|name| edges.makers.contains_key(name));
        let ending = node.output.iter().any(|name| ends.contains(name));
        if !role.half || role.has_subgraph || role.inputs.is_empty() || !reads || ending {
            continue;
        }
        let mut makers = role
            .inputs
            .iter()
            .filter_map(|&input| edges.makers.get(&node.input[input]));
        let mut readers = role
            .outputs
            .iter()
            .flat_map(|&output| edges.readers(&node.output[output]));
        let alone = !role.outputs.is_empty()
            && makers.all(|&maker| roles[maker].is_cast_around())
            && readers.all(|&reader| roles[reader].is_cast_around());
        if alone {
            roles[at].half = false;
        }
    }
}

/// The nodes that read a tensor rounded to f16 which was computed in single: by a node that is cast around, or by the file's cast.
fn readers_of_rounded(
    nodes: &[NodeProto],
    roles: &[Role],
    edges: &Edges,
    ends: &HashSet<String>,
    maker: usize,
    name: &str,
) -> Vec<usize> {
    let readers = edges.readers(name).iter().copied();
    let is_cast = |at: usize| nodes[at].op_type == "Cast";
    // Casts behind casts are joined where nothing else reads what is between them.
    let only_casts = !ends.contains(name)
        && readers
            .clone()
            .all(|at| is_cast(at) || roles[at].is_cast_around());
    let widens = |at: usize| {
        let to = nodes[at].attribute.iter().find(|a| a.name == "to");
        let to = to.and_then(|to| Element::of_onnx(i32::try_from(to.i).ok()?));
        to.is_some_and(|to| to.size() > 2 || to.size() == 2 && !to.is_float())
    };
    let by_the_file = is_cast(maker);
    let stays = by_the_file && readers.clone().any(|at| is_cast(at) && widens(at));
    let single = |at: usize| {
        let to = nodes[at].attribute.iter().find(|a| a.name == "to");
        to.is_some_and(|to| to.i == i64::from(Element::F32.onnx()))
    };
    let ends_graph = |at: usize| nodes[at].output.iter().any(|name| ends.contains(name));
    readers
        .filter(|&at| {
            if stays {
                return true;
            }
            if roles[at].is_cast_around() {
                return false;
            }
            match is_cast(at) {
                true => !(only_casts || single(at) && !ends_graph(at)),
                false => nodes[at].op_type != "Shape",
            }
        })
        .collect()
}
