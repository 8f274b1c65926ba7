//! Looks at an ONNX file before tract does.
//!
//! Tract takes an op of a foreign domain for the standard op of the same name, follows external data out of the file
//! and panics on some malformed graphs. So the protobuf is parsed and walked first, and whatever tract does with
//! untrusted bytes happens inside [`contain`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::Message;
use prost::bytes::Buf;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

use super::functions::Defaults;
use super::info::{GraphInfo, TensorInfo, element_name, tensor_info};
use super::{conform, external, functions, lower, sparse, value};
use crate::budget::MAX_TENSOR_ELEMENTS;
use crate::contain::contain;

/// Ops whose output is not a function of their inputs: an evaluation could not be repeated.
const RANDOM_OPS: [&str; 6] = [
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
];

/// Ops outside the standard that tract means the same by.
const CONTRIBUTED_OPS: [(&str, &str); 1] = [("com.microsoft", "MatMulNBits")];

/// The newest version of the standard operator set whose meaning is known here.
const NEWEST_SET: i64 = 26;

/// Parses ONNX bytes; weights in other files are looked for in `folder`. The message says what is wrong.
///
/// `defaults` are those of the same bytes.
pub(crate) fn decode(
    bytes: impl Buf,
    defaults: &Defaults,
    folder: &Path,
) -> Result<ModelProto, String> {
    // Not by tract's own function, which copies the whole file first.
    let mut model = contain(|| ModelProto::decode(bytes).map_err(|e| e.to_string()))
        .map_err(|message| format!("is not an ONNX file, or is truncated: {message}"))?;
    match &mut model.graph {
        Some(graph) if !graph.node.is_empty() => {
            external::resolve(graph, folder)?;
            sparse::fill(graph)?;
        }
        _ => return Err("is not an ONNX file: it holds no graph".to_owned()),
    }
    functions::inline(&mut model, defaults)?;
    Ok(model)
}

/// Refuses what tract must not see and describes the rest. The message names the node or tensor.
pub(crate) fn inspect(
    model: &ModelProto,
    known_op: impl Fn(&str) -> bool,
) -> Result<GraphInfo, String> {
    let Some(graph) = &model.graph else {
        return Err("holds no graph".to_owned());
    };
    let opset = standard_set(model)?;
    let producer = format!("{} {}", model.producer_name, model.producer_version)
        .trim()
        .to_owned();
    let mut walk = Walk {
        info: GraphInfo {
            opset,
            producer,
            ..GraphInfo::default()
        },
        unknown: BTreeMap::new(),
    };
    walk.graph(graph, &known_op)?;
    if !walk.unknown.is_empty() {
        let list: Vec<_> = walk
            .unknown
            .iter()
            .map(|(op, node)| format!("{op} (node \"{node}\")"))
            .collect();
        return Err(format!(
            "ops that the engine does not have: {}",
            list.join(", ")
        ));
    }
    conform::check(model, opset)?;
    let mut info = walk.info;
    let weights: BTreeSet<&str> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    if weights.len() < graph.initializer.len() {
        let mut seen = BTreeSet::new();
        let twice = graph
            .initializer
            .iter()
            .find(|weight| !seen.insert(&weight.name));
        let name = twice.map_or("", |weight| &weight.name);
        return Err(format!("weight \"{}\" is there twice", name.escape_debug()));
    }
    for input in graph
        .input
        .iter()
        .filter(|input| !weights.contains(input.name.as_str()))
    {
        info.inputs.push(tensor_info(input)?);
    }
    let produced: BTreeSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| &node.output)
        .map(String::as_str)
        .collect();
    let given: BTreeSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    for output in &graph.output {
        let name = output.name.as_str();
        if !given.contains(name)
            && !weights.contains(name)
            && !produced.contains(output.name.as_str())
        {
            return Err(format!(
                "output \"{}\" is computed by no node",
                output.name.escape_debug()
            ));
        }
        // The type of an output follows from the graph; files without it exist.
        info.outputs
            .push(tensor_info(output).unwrap_or_else(|_| TensorInfo {
                name: output.name.clone(),
                element: "unknown".to_owned(),
                shape: vec![],
            }));
    }
    Ok(info)
}

/// The version of the standard operator set.
fn standard_set(model: &ModelProto) -> Result<i64, String> {
    let sets = model
        .opset_import
        .iter()
        .filter(|set| is_standard(&set.domain));
    let versions: Vec<i64> = sets.map(|set| set.version).collect();
    match *versions {
        [] | [0] => Err("imports no standard operator set".to_owned()),
        [version] if version > NEWEST_SET => Err(format!(
            "is of operator set {version}; the newest one that is known is {NEWEST_SET}"
        )),
        [version] if version > 0 => Ok(version),
        _ => Err(format!(
            "imports the standard operator set in several versions: {versions:?}"
        )),
    }
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

struct Walk {
    info: GraphInfo,
    /// Unknown ops with the first node of each.
    unknown: BTreeMap<String, String>,
}

impl Walk {
    fn graph(
        &mut self,
        graph: &GraphProto,
        known_op: &impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        for tensor in &graph.initializer {
            self.tensor(
                &format!("weight \"{}\"", tensor.name.escape_debug()),
                tensor,
            )?;
        }
        let constants = integer_constants(graph);
        for node in &graph.node {
            let name = node_name(node);
            check_growth(&name, node, &constants)?;
            let contributed = (node.domain.as_str(), node.op_type.as_str());
            let expanded = lower::expands(&node.domain, &node.op_type);
            if !is_standard(&node.domain) && !expanded && !CONTRIBUTED_OPS.contains(&contributed) {
                let (op, domain) = (node.op_type.escape_debug(), node.domain.escape_debug());
                return Err(format!(
                    "node \"{name}\": op {op} is of the domain \"{domain}\"; only standard ONNX ops run"
                ));
            }
            if RANDOM_OPS.contains(&node.op_type.as_str()) {
                return Err(format!(
                    "node \"{name}\": {} draws random numbers; feed noise as an input",
                    node.op_type
                ));
            }
            if !known_op(&node.op_type) && !expanded {
                self.unknown
                    .entry(node.op_type.escape_debug().to_string())
                    .or_insert_with(|| name.clone());
            }
            *self.info.ops.entry(node.op_type.clone()).or_insert(0) += 1;
            for attribute in &node.attribute {
                self.attribute(&name, attribute, known_op)?;
            }
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        node: &str,
        attribute: &AttributeProto,
        known_op: &impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        let place = || {
            format!(
                "node \"{node}\", attribute \"{}\"",
                attribute.name.escape_debug()
            )
        };
        if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
            return Err(format!("{}: sparse tensors are not supported", place()));
        }
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            self.tensor(&place(), tensor)?;
        }
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            self.graph(graph, known_op)?;
        }
        Ok(())
    }

    /// Every byte that a tensor claims must be in the file.
    fn tensor(&mut self, place: &str, tensor: &TensorProto) -> Result<(), String> {
        let elements = tensor
            .dims
            .iter()
            .try_fold(1_u64, |product, &axis| {
                product.checked_mul(u64::try_from(axis).ok()?)
            })
            .ok_or_else(|| format!("{place}: impossible shape {:?}", tensor.dims))?;
        let element = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
        let Some(size) = element_bytes(element) else {
            return Err(format!(
                "{place}: element type {} is not supported",
                element_name(tensor.data_type)
            ));
        };
        let four_bits = matches!(element, DataType::Int4 | DataType::Uint4);
        let fits = if external::is_external(tensor) {
            // Checked when the file was read.
            true
        } else if tensor.raw_data.is_empty() {
            let typed = value::stored_elements(tensor) as u64;
            typed
                == if four_bits {
                    elements.div_ceil(2)
                } else {
                    elements
                }
        } else if four_bits {
            elements.div_ceil(2) == tensor.raw_data.len() as u64
        } else {
            elements.checked_mul(size) == Some(tensor.raw_data.len() as u64)
        };
        if !fits {
            return Err(format!(
                "{place}: shape {:?} does not fit its data",
                tensor.dims
            ));
        }
        let name = element_name(tensor.data_type);
        *self.info.weights.entry(name.clone()).or_insert(0) += elements;
        let bytes = elements.saturating_mul(size);
        self.info.weight_bytes = self.info.weight_bytes.saturating_add(bytes);
        let of = self.info.weight_bytes_of.entry(name).or_insert(0);
        *of = of.saturating_add(bytes);
        Ok(())
    }
}

/// The values of constant int64 tensors, as shapes are given.
fn integer_constants(graph: &GraphProto) -> BTreeMap<&str, Vec<i64>> {
    let weights = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor));
    let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
    let nodes = nodes.filter_map(|node| {
        let tensor = node
            .attribute
            .iter()
            .find_map(|attribute| attribute.t.as_ref())?;
        Some((node.output.first()?.as_str(), tensor))
    });
    let tensors = weights.chain(nodes);
    let integers = tensors.filter(|(_, tensor)| tensor.data_type == DataType::Int64 as i32);
    integers
        .map(|(name, tensor)| {
            let (raw, _) = tensor.raw_data.as_chunks::<8>();
            let raw = raw.iter().map(|&bytes| i64::from_le_bytes(bytes));
            (name, tensor.int64_data.iter().copied().chain(raw).collect())
        })
        .collect()
}

/// A few bytes can ask for any amount of memory, which tract would take while it folds constants.
fn check_growth(
    name: &str,
    node: &NodeProto,
    constants: &BTreeMap<&str, Vec<i64>>,
) -> Result<(), String> {
    let constant = |index: usize| constants.get(node.input.get(index)?.as_str());
    let elements = match node.op_type.as_str() {
        "ConstantOfShape" => constant(0).map(|shape| product(shape)),
        "Expand" | "Tile" => constant(1).map(|shape| product(shape)),
        "Range" => match (constant(0), constant(1), constant(2)) {
            (Some(start), Some(limit), Some(step)) => Some(range_length(start, limit, step)),
            _ => None,
        },
        _ => None,
    };
    match elements {
        Some(elements) if elements > MAX_TENSOR_ELEMENTS as u128 => {
            let op = &node.op_type;
            Err(format!(
                "node \"{name}\": {op} makes {elements} elements, at most {MAX_TENSOR_ELEMENTS} are taken"
            ))
        }
        _ => Ok(()),
    }
}

fn product(shape: &[i64]) -> u128 {
    shape.iter().fold(1, |product: u128, axis| {
        product.saturating_mul(u128::from(axis.unsigned_abs()))
    })
}

fn range_length(start: &[i64], limit: &[i64], step: &[i64]) -> u128 {
    match (start, limit, step) {
        (&[start], &[limit], &[step]) => {
            let span = i128::from(limit) - i128::from(start);
            span.unsigned_abs() / u128::from(step.unsigned_abs().max(1))
        }
        _ => 0,
    }
}

pub(super) fn node_name(node: &NodeProto) -> String {
    let name = if node.name.is_empty() {
        node.output.first().unwrap_or(&node.op_type)
    } else {
        &node.name
    };
    name.escape_debug().to_string()
}

/// Bytes per element of the types that tract loads.
fn element_bytes(element: DataType) -> Option<u64> {
    match element {
        DataType::Bool | DataType::Int8 | DataType::Uint8 | DataType::Int4 | DataType::Uint4 => {
            Some(1)
        }
        DataType::Float8e4m3fn
        | DataType::Float8e4m3fnuz
        | DataType::Float8e5m2
        | DataType::Float8e5m2fnuz => Some(1),
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => Some(2),
        DataType::Float | DataType::Int32 | DataType::Uint32 => Some(4),
        DataType::Double | DataType::Int64 | DataType::Uint64 => Some(8),
        _ => None,
    }
}
