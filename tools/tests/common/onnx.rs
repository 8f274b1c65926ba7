//! Small ONNX graphs and .npz files, made by a test.

use std::fs::File;
use std::path::Path;

use npyz::npz::NpzWriter;
use npyz::{AutoSerialize, Serialize, WriterBuilder};
use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use wink_engine::OnnxElement as Element;

/// An input or output; an axis of 0 is open.
pub fn tensor(name: &str, element: Element, shape: &[i64]) -> ValueInfoProto {
    let dim = shape.iter().map(|&length| Dimension {
        value: Some(match length {
            0 => Size::DimParam("batch".into()),
            length => Size::DimValue(length),
        }),
        ..Dimension::default()
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: element.onnx(),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            })),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A node that is named like what it makes.
pub fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        name: format!("{op}_{output}"),
        op_type: op.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

/// An attribute that is a number.
pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: 2,
        i,
        ..AttributeProto::default()
    }
}

/// A constant.
pub fn floats(name: &str, shape: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: shape.to_vec(),
        data_type: Element::F32.onnx(),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// A constant of integers.
pub fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: Element::I64.onnx(),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// Writes a graph.
pub fn write(path: &Path, opset: i64, graph: GraphProto) {
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: opset,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    std::fs::write(path, model.encode_to_vec()).unwrap();
}

/// An .npz file in the making.
pub struct Npz(NpzWriter<File>);

impl Npz {
    /// Begins a file.
    pub fn create(dir: &Path, name: &str) -> Self {
        Self(NpzWriter::new(File::create(dir.join(name)).unwrap()))
    }

    /// Adds a tensor.
    pub fn add<T: AutoSerialize + Serialize>(
        mut self,
        name: &str,
        shape: &[u64],
        values: Vec<T>,
    ) -> Self {
        let array = self
            .0
            .array(name, npyz::zip::write::FileOptions::default())
            .unwrap();
        let mut writer = array.default_dtype().shape(shape).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        self
    }
}
