//! Turns a graph whose inputs are fixed into one that the engine can run: shapes are worked out, what is constant is folded, operators that
//! the engine lacks or gets wrong are expanded into others or kept as operators of our own.

mod activations;
mod branches;
mod budget;
mod build;
mod fused_ops;
mod half_kernels;
mod halves;
mod held;
mod loops;
mod norms;
mod order;
mod own;
mod prune;
mod quantised;
mod requantised;
mod slices;
mod walk;

use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::{GraphProto, ModelProto, TensorShapeProto, TypeProto, type_proto};

use super::element::Element;
use crate::rounding::Rounding;
pub(crate) use branches::rename;

/// An input with the element type and shape that it will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Name in the file.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Shape.
    pub shape: Vec<usize>,
}

/// Version of the standard operator set that a model is written in.
#[must_use]
pub fn opset_of(model: &ModelProto) -> i64 {
    let standard = model
        .opset_import
        .iter()
        .find(|set| matches!(&*set.domain, "" | "ai.onnx"));
    standard.map_or(0, |set| set.version)
}

/// Whether the expansions know an operator that the engine does not.
#[must_use]
pub fn expands(domain: &str, op: &str) -> bool {
    fused_ops::KNOWN.contains(&op) && domain == "com.microsoft"
        || quantised::KNOWN.contains(&op)
        || activations::KNOWN.contains(&op)
}

/// Rewrites a model for inputs of fixed shapes. The number and order of its outputs stay.
///
/// # Errors
/// With the node's name, when a node is malformed, or the graph asks for more memory or work than the budget.
pub(crate) fn lower(
    model: &mut ModelProto,
    inputs: &[Fixed],
    rounding: Rounding,
) -> Result<(), String> {
    let opset = opset_of(model);
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    fix_inputs(graph, inputs);
    forget_shapes(graph);
    order::sort(graph)?;
    halves::widen(graph, opset, rounding)?;
    walk::walk(graph, opset, rounding)?;
    prune::unused(graph);
    prune::copied_outputs(graph);
    budget::check(graph, opset)
}

fn fix_inputs(graph: &mut GraphProto, inputs: &[Fixed]) {
    for fixed in inputs {
        let found = graph
            .input
            .iter_mut()
            .find(|input| input.name == fixed.name);
        if let Some(input) = found {
            input.r#type = Some(tensor_type(fixed.element, &fixed.shape));
        }
    }
}

/// The type of a tensor of known shape.
fn tensor_type(element: Element, shape: &[usize]) -> TypeProto {
    let dim = shape.iter().map(|&length| Dimension {
        value: Some(Size::DimValue(length as i64)),
        ..Dimension::default()
    });
    TypeProto {
        value: Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: element.onnx(),
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        })),
        ..TypeProto::default()
    }
}

/// Shapes of outputs and of tensors in between follow from the inputs; those in the file may be of another batch.
fn forget_shapes(graph: &mut GraphProto) {
    graph.value_info.clear();
    for output in &mut graph.output {
        if let Some(type_proto::Value::TensorType(tensor)) =
            output.r#type.as_mut().and_then(|of| of.value.as_mut())
        {
            tensor.shape = None;
        }
    }
}
