//! Weights move from the file to tract's graph one by one, so that memory holds them once.

use std::mem::take;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    GraphProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::internal::*;

use crate::ops::ViewMut;

/// A cache line: what is packed where it lies starts at one.
const LINE: usize = 64;
/// Weights of fewer bytes stay where they are: importers look at shapes and axes.
const LARGE: usize = 1 << 16;
/// Takes the large weights out of a graph, which has inputs in their place.
pub(crate) fn take_large(graph: &mut GraphProto) -> Vec<TensorProto> {
    let mut taken = vec![];
    for tensor in take(&mut graph.initializer) {
        let listed = graph.input.iter().any(|input| input.name == tensor.name);
        if tensor.raw_data.len() < LARGE || listed || datum(&tensor).is_none() {
            graph.initializer.push(tensor);
            continue;
        }
        graph.input.push(as_input(&tensor));
        taken.push(tensor);
    }
    taken
}

fn as_input(tensor: &TensorProto) -> ValueInfoProto {
    let dim = tensor.dims.iter().map(|&size| Dimension {
        value: Some(dimension::Value::DimValue(size)),
        ..Dimension::default()
    });
    let tensor_type = type_proto::Tensor {
        elem_type: tensor.data_type,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: tensor.name.clone(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor_type)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Puts the weights that [`take_large`] took where their inputs are now.
///
/// # Errors
/// When one of them has no input.
pub(crate) fn put_back(model: &mut InferenceModel, weights: Vec<TensorProto>) -> TractResult<()> {
    for weight in weights {
        let input = model.inputs.iter().position(|input| {
            let node = model.node(input.node);
            node.name == weight.name
        });
        let input = input.with_context(|| format!("weight \"{}\" is lost", weight.name))?;
        let id = model.inputs.remove(input).node;
        let tensor = tensor(weight)?.into_arc_tensor();
        let node = model.node_mut(id);
        node.outputs[0].fact = TypedFact::try_from(tensor.clone())?.into();
        node.op = Box::new(Const::new(tensor)?);
    }
    Ok(())
}

fn tensor(weight: TensorProto) -> TractResult<Tensor> {
    let datum = datum(&weight).context("a weight of another type")?;
    let shape = weight.dims.iter().map(|&size| usize::try_from(size));
    let shape: Vec<usize> = shape.collect::<Result<_, _>>()?;
    let mut tensor = Tensor::zero_aligned_dt(datum, &shape, LINE)?;
    let bytes = ViewMut::of(&mut tensor)?.bytes;
    ensure!(
        bytes.len() == weight.raw_data.len(),
        "weight \"{}\": shape {shape:?} does not fit its data",
        weight.name
    );
    bytes.copy_from_slice(&weight.raw_data);
    Ok(tensor)
}

/// The types that weights of many bytes have.
fn datum(tensor: &TensorProto) -> Option<DatumType> {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => Some(DatumType::F32),
        Ok(DataType::Float16) => Some(DatumType::F16),
        Ok(DataType::Int8) => Some(DatumType::I8),
        Ok(DataType::Uint8) => Some(DatumType::U8),
        _ => None,
    }
}
