//! Editing an ONNX graph: look up constants and producers, insert and remove nodes.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use half::f16;
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use wink_engine::name_nodes;

use crate::external;
use crate::names::Names;
use crate::wire;
use crate::{QuantizeError, Scheme};

/// Float weights of fewer elements than this stay f32 in the file.
const HALVED_FROM: usize = 1024;
/// Above this an f16 would be infinite.
const F16_MAX: f32 = 6.0e4;
const QUANTISED_OPS: [&str; 8] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
    "QLinearMatMul",
    "QLinearConv",
    "MatMulNBits",
];

/// A float graph. Copies share the values of its constants.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The float initializers have no values here: those lie in `constants`, once.
    model: ModelProto,
    constants: HashMap<String, Constant>,
}

/// A float constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// Size of each axis.
    pub dims: Vec<usize>,
    /// Values, row-major.
    pub values: Arc<[f32]>,
}

impl Graph {
    /// Reads a file, and the weights that lie in other files beside it.
    ///
    /// # Errors
    /// As for [`Graph::parse`], and when a file cannot be read.
    pub fn open(file: &Path) -> Result<Self, QuantizeError> {
        let read = |file: &Path| {
            std::fs::read(file).map_err(|source| QuantizeError::Read {
                file: file.to_owned(),
                source,
            })
        };
        let bytes = read(file)?;
        let mut model =
            ModelProto::decode(&*bytes).map_err(|e| QuantizeError::Parse(e.to_string()))?;
        drop(bytes);
        let folder = file.parent().unwrap_or(Path::new("."));
        if let Some(graph) = &mut model.graph {
            external::resolve(graph, |name| read(&folder.join(name)))?;
        }
        Self::of(model)
    }

    /// Reads a graph; weights that are stored as f16 and cast to f32 become f32, and every node gets a name of its own.
    ///
    /// # Errors
    /// When the bytes are no ONNX graph, or hold quantised ops already.
    pub fn parse(bytes: &[u8]) -> Result<Self, QuantizeError> {
        Self::of(ModelProto::decode(bytes).map_err(|e| QuantizeError::Parse(e.to_string()))?)
    }

    fn of(mut model: ModelProto) -> Result<Self, QuantizeError> {
        let Some(proto) = &mut model.graph else {
            return Err(QuantizeError::Parse("it holds no graph".to_owned()));
        };
        name_nodes(proto);
        let mut graph = Self {
            model,
            constants: HashMap::new(),
        };
        if let Some(node) = graph
            .nodes()
            .iter()
            .find(|node| QUANTISED_OPS.contains(&node.op_type.as_str()))
        {
            return Err(QuantizeError::Quantised {
                node: node.name.clone(),
                op: node.op_type.clone(),
            });
        }
        if let Some(tensor) = graph.made_twice() {
            return Err(QuantizeError::Twice { tensor });
        }
        graph.read_constants()?;
        Ok(graph)
    }

    /// Whether the operators that a scheme writes are part of the graph's opset.
    ///
    /// # Errors
    /// Where they are not.
    pub fn check_opset(&self, scheme: Scheme) -> Result<(), QuantizeError> {
        let sets = self.model.opset_import.iter();
        let mut own = sets.filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        // Without one, a graph is of the first.
        let found = own.next().map_or(1, |set| set.version);
        let needed = scheme.opset();
        if found >= needed {
            return Ok(());
        }
        Err(QuantizeError::Opset {
            scheme: scheme.name(),
            found,
            needed,
        })
    }

    /// A tensor that has more than one origin. That an input has a constant of its name as its default is ONNX's way.
    fn made_twice(&self) -> Option<String> {
        let graph = self.proto();
        let outputs = graph.node.iter().flat_map(|node| &node.output);
        let outputs = outputs.filter(|output| !output.is_empty());
        let constants = graph.initializer.iter().map(|tensor| &tensor.name);
        let mut made = HashSet::new();
        let twice = constants.chain(outputs).find(|name| !made.insert(*name));
        let fed = || graph.input.iter().map(|input| &input.name);
        let fed_too = |name: &&String| graph.node.iter().any(|node| node.output.contains(name));
        twice.or_else(|| fed().find(fed_too)).cloned()
    }

    fn proto(&self) -> &GraphProto {
        static EMPTY: LazyLock<GraphProto> = LazyLock::new(GraphProto::default);
        self.model.graph.as_ref().unwrap_or(&EMPTY)
    }

    fn proto_mut(&mut self) -> &mut GraphProto {
        self.model.graph.get_or_insert_default()
    }

    /// The model as it stands, with all values.
    #[must_use]
    pub fn model(&self) -> ModelProto {
        self.clone().into_model()
    }

    fn into_model(mut self) -> ModelProto {
        if let Some(graph) = &mut self.model.graph {
            for tensor in &mut graph.initializer {
                if let Some(constant) = self.constants.remove(&tensor.name) {
                    tensor.raw_data = match tensor.data_type == DataType::Float16 as i32 {
                        true => half_bytes(&constant.values),
                        false => float_bytes(&constant.values),
                    };
                }
            }
        }
        self.model
    }

    /// The nodes, in an order in which they can be computed.
    #[must_use]
    pub fn nodes(&self) -> &[NodeProto] {
        &self.proto().node
    }

    /// A float constant by the name of its tensor.
    #[must_use]
    pub fn constant(&self, tensor: &str) -> Option<&Constant> {
        self.constants.get(tensor)
    }

    /// Gives a float constant that stands in the graph other values of the same shape.
    pub fn set_constant(&mut self, tensor: &str, values: Vec<f32>) {
        let Some(constant) = self.constants.get_mut(tensor) else {
            return;
        };
        debug_assert_eq!(constant.values.len(), values.len());
        constant.values = values.into();
        let proto = without_values(tensor, &constant.dims);
        let graph = self.proto_mut();
        if let Some(old) = graph.initializer.iter_mut().find(|t| t.name == tensor) {
            *old = proto;
            return;
        }
        // A constant that a node holds becomes an initializer.
        graph.node.retain(|node| {
            !(node.op_type == "Constant" && node.output.iter().any(|o| o == tensor))
        });
        graph.initializer.push(proto);
    }

    /// The names of its tensors.
    pub(crate) fn tensor_names(&self) -> Names {
        Names::of_tensors(self.proto())
    }

    /// Indices of the nodes that read a tensor.
    #[must_use]
    pub fn readers(&self, tensor: &str) -> Vec<usize> {
        let nodes = self.nodes().iter().enumerate();
        nodes
            .filter(|(_, node)| reads(node, tensor))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether the tensor leaves the graph.
    #[must_use]
    pub fn is_output(&self, tensor: &str) -> bool {
        self.proto().output.iter().any(|o| o.name == tensor)
    }

    fn read_constants(&mut self) -> Result<(), QuantizeError> {
        let mut read = HashMap::new();
        let mut halves = HashSet::new();
        for tensor in &mut self.proto_mut().initializer {
            if let Some(constant) = floats(tensor)? {
                if tensor.data_type == DataType::Float16 as i32 {
                    halves.insert(tensor.name.clone());
                }
                read.insert(tensor.name.clone(), constant);
                tensor.raw_data = Vec::new();
                tensor.float_data = Vec::new();
                tensor.int32_data = Vec::new();
            }
        }
        let mut cast = Vec::new();
        for node in self.nodes() {
            let (Some(input), Some(output)) = (node.input.first(), node.output.first()) else {
                if let (Some(output), Some(tensor)) = (
                    node.output.first(),
                    node.attribute.iter().find_map(|a| a.t.as_ref()),
                ) && node.op_type == "Constant"
                    && let Some(constant) = floats(tensor)?
                {
                    read.insert(output.clone(), constant);
                }
                continue;
            };
            let to = attribute(node, "to").map(|a| a.i);
            if node.op_type == "Cast"
                && halves.contains(input)
                && to == Some(DataType::Float as i64)
            {
                cast.push((input.clone(), output.clone()));
            }
        }
        for (half, full) in &cast {
            let Some(constant) = read.get(half).cloned() else {
                continue;
            };
            let proto = without_values(full, &constant.dims);
            self.proto_mut().initializer.push(proto);
            read.insert(full.clone(), constant);
        }
        let casts: HashSet<&String> = cast.iter().map(|(_, full)| full).collect();
        let graph = self.proto_mut();
        graph
            .node
            .retain(|node| !node.output.iter().any(|output| casts.contains(output)));
        self.constants = read;
        self.drop_unread();
        Ok(())
    }

    /// Removes initializers that no node reads, one of a subgraph included.
    fn drop_unread(&mut self) {
        let graph = self.proto_mut();
        let mut read = HashSet::new();
        add_read(graph, &mut read);
        graph
            .initializer
            .retain(|tensor| read.contains(&tensor.name));
        self.constants.retain(|name, _| read.contains(name));
    }

    /// Puts another list of nodes and further constants in; what is no longer read goes.
    #[must_use]
    pub(crate) fn rebuilt(&self, nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
        let mut graph = self.clone();
        let proto = graph.proto_mut();
        proto.node = nodes;
        proto.value_info.clear();
        proto.initializer.extend(constants);
        graph.drop_unread();
        graph.into_model()
    }
}

/// The names that a graph reads, those that its subgraphs take from outside among them.
fn add_read(graph: &GraphProto, read: &mut HashSet<String>) {
    read.extend(graph.output.iter().map(|output| output.name.clone()));
    for node in &graph.node {
        read.extend(node.input.iter().cloned());
        for subgraph in subgraphs(node) {
            add_read(subgraph, read);
        }
    }
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    let attributes = node.attribute.iter();
    attributes.flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Whether a node, or one of its subgraphs, reads a tensor.
fn reads(node: &NodeProto, tensor: &str) -> bool {
    let within = |graph: &GraphProto| {
        let outputs = graph.output.iter();
        outputs
            .map(|output| &output.name)
            .any(|name| name == tensor)
            || graph.node.iter().any(|node| reads(node, tensor))
    };
    node.input.iter().any(|input| input == tensor) || subgraphs(node).any(within)
}

/// The file of a model, its large float weights stored as f16 with a cast behind: half the bytes, the same arithmetic. Vectors, the
/// scales of columns among them, stay as they are.
#[must_use]
pub fn to_bytes(mut model: ModelProto) -> Vec<u8> {
    if let Some(graph) = &mut model.graph {
        let mut names = Names::of_tensors(graph);
        let mut casts = Vec::new();
        for tensor in &mut graph.initializer {
            let Ok(Some(constant)) = floats(tensor) else {
                continue;
            };
            let large = constant.values.len() >= HALVED_FROM
                && constant.dims.iter().filter(|&&axis| axis > 1).count() > 1;
            let fits = constant.values.iter().all(|v| v.abs() <= F16_MAX);
            if tensor.data_type != DataType::Float as i32 || !large || !fits {
                continue;
            }
            let name = std::mem::take(&mut tensor.name);
            let half = names.fresh(&format!("{name}_f16"));
            *tensor = half_tensor(&half, &constant.dims, &constant.values);
            casts.push(cast(&half, &name, DataType::Float));
        }
        graph.node.splice(0..0, casts);
    }
    "wink quantize".clone_into(&mut model.producer_name);
    model.producer_version.clear();
    let packed = model.encode_to_vec();
    drop(model);
    wire::unpacked(&packed)
}

/// A node of the standard domain.
#[must_use]
pub(crate) fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    NodeProto {
        op_type: op.to_owned(),
        name: name.to_owned(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: outputs.iter().map(ToString::to_string).collect(),
        ..NodeProto::default()
    }
}

pub(crate) fn cast(input: &str, output: &str, to: DataType) -> NodeProto {
    let mut cast = node("Cast", &format!("{output}_cast"), &[input], &[output]);
    cast.attribute.push(integer("to", to as i64));
    cast
}

pub(crate) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub(crate) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

pub(crate) fn float_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    raw(name, dims, DataType::Float, float_bytes(values))
}

pub(crate) fn half_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    raw(name, dims, DataType::Float16, half_bytes(values))
}

/// A float initializer whose values a [`Graph`] keeps elsewhere.
fn without_values(name: &str, dims: &[usize]) -> TensorProto {
    raw(name, dims, DataType::Float, Vec::new())
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn half_bytes(values: &[f32]) -> Vec<u8> {
    let halves = values.iter().map(|&v| f16::from_f32(v));
    halves.flat_map(f16::to_le_bytes).collect()
}

pub(crate) fn i8_tensor(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    raw(
        name,
        dims,
        DataType::Int8,
        values.iter().map(|&v| v as u8).collect(),
    )
}

pub(crate) fn u8_tensor(name: &str, dims: &[usize], values: &[u8]) -> TensorProto {
    raw(name, dims, DataType::Uint8, values.to_vec())
}

pub(crate) fn i32_tensor(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    raw(
        name,
        dims,
        DataType::Int32,
        values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    )
}

fn raw(name: &str, dims: &[usize], element: DataType, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: element as i32,
        raw_data: bytes,
        ..TensorProto::default()
    }
}

/// The values of an f32 or f16 tensor; `None` for other types.
fn floats(tensor: &TensorProto) -> Result<Option<Constant>, QuantizeError> {
    let wrong = |message: &str| QuantizeError::Weight {
        tensor: tensor.name.clone(),
        message: message.to_owned(),
    };
    let dims = tensor
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| wrong("has a negative axis")))
        .collect::<Result<Vec<_>, _>>()?;
    let values: Vec<f32> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) if tensor.raw_data.is_empty() => tensor.float_data.clone(),
        Ok(DataType::Float) => {
            let (words, rest) = tensor.raw_data.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(wrong("its bytes are no whole f32"));
            }
            words.iter().map(|&b| f32::from_le_bytes(b)).collect()
        }
        Ok(DataType::Float16) if tensor.raw_data.is_empty() => {
            let bits = tensor.int32_data.iter();
            bits.map(|&b| f16::from_bits(b as u16).to_f32()).collect()
        }
        Ok(DataType::Float16) => {
            let (words, rest) = tensor.raw_data.as_chunks::<2>();
            if !rest.is_empty() {
                return Err(wrong("its bytes are no whole f16"));
            }
            words
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f32())
                .collect()
        }
        _ => return Ok(None),
    };
    if values.len() != dims.iter().product::<usize>() {
        return Err(wrong("its shape does not fit its data"));
    }
    if let Some(index) = values.iter().position(|v| v.is_nan()) {
        return Err(wrong(&format!("is not a number at index {index}")));
    }
    let values = values.into();
    Ok(Some(Constant { dims, values }))
}
