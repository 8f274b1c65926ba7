//! What a graph file says about itself.

use std::collections::BTreeMap;

use serde::Serialize;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dimension;
use tract_onnx::pb::{ValueInfoProto, type_proto};

use super::element::Element;

/// What a graph file holds, read off the protobuf.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GraphInfo {
    /// Version of the standard operator set.
    pub opset: i64,
    /// The program that wrote the file.
    pub producer: String,
    /// How often each op occurs, subgraphs included.
    pub ops: BTreeMap<String, usize>,
    /// Weights by element type: number of elements.
    pub weights: BTreeMap<String, u64>,
    /// Bytes of all weights.
    pub weight_bytes: u64,
    /// Bytes of the weights of each element type.
    pub weight_bytes_of: BTreeMap<String, u64>,
    /// Inputs that must be fed.
    pub inputs: Vec<TensorInfo>,
    /// Outputs.
    pub outputs: Vec<TensorInfo>,
}

impl GraphInfo {
    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.ops.values().sum()
    }

    /// Number of weights of all types.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.weights.values().sum()
    }
}

/// Name, element type and shape of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorInfo {
    /// Name of the tensor.
    pub name: String,
    /// Element type, as `f32` or `i64`.
    pub element: String,
    /// Size of each axis; `None` where the file leaves it open.
    pub shape: Vec<Option<u64>>,
}

impl std::fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.element, shape_text(&self.shape))
    }
}

pub(crate) fn shape_text(shape: &[Option<u64>]) -> String {
    let axes: Vec<_> = shape
        .iter()
        .map(|axis| axis.map_or_else(|| "?".to_owned(), |n| n.to_string()))
        .collect();
    format!("[{}]", axes.join(", "))
}

pub(super) fn tensor_info(value: &ValueInfoProto) -> Result<TensorInfo, String> {
    let name = value.name.clone();
    let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(format!("tensor \"{}\" has no type", name.escape_debug()));
    };
    let axes = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let shape = axes.map(|axis| match axis.value {
        Some(Dimension::DimValue(size)) => u64::try_from(size).ok(),
        _ => None,
    });
    Ok(TensorInfo {
        name,
        element: element_name(tensor.elem_type),
        shape: shape.collect(),
    })
}

/// Element type and shape that the file states of a value; `None` where it leaves one of them open.
pub(super) fn declared(value: &ValueInfoProto) -> Option<(Element, Vec<usize>)> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let axes = tensor.shape.as_ref()?.dim.iter();
    let shape = axes.map(|axis| match axis.value {
        Some(Dimension::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    });
    Some((
        Element::of_onnx(tensor.elem_type)?,
        shape.collect::<Option<_>>()?,
    ))
}

pub(super) fn element_name(element: i32) -> String {
    if let Some(known) = Element::of_onnx(element) {
        return known.name().to_owned();
    }
    match DataType::try_from(element) {
        Ok(other) => other.as_str_name().to_lowercase(),
        Err(_) => format!("number {element}"),
    }
}
