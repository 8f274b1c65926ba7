//! Small graphs made in code, run with and without fused operators.

#![allow(dead_code, reason = "which of these a test uses depends on the test")]

use std::fs;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use wink_engine::{BareGraph, Execution, Fusion};

/// A graph of f32 inputs under construction. Its output is called `y`.
#[derive(Clone)]
pub struct Graph {
    nodes: Vec<NodeProto>,
    inputs: Vec<ValueInfoProto>,
    constants: Vec<TensorProto>,
}

impl Graph {
    pub fn new(inputs: &[(&str, &[usize])]) -> Self {
        Self {
            nodes: vec![],
            inputs: inputs
                .iter()
                .map(|(name, shape)| value(name, Some(shape)))
                .collect(),
            constants: vec![],
        }
    }

    /// A node of one output.
    pub fn node(mut self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.nodes.push(NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        });
        self
    }

    /// One more output of the last node.
    pub fn output(mut self, name: &str) -> Self {
        let node = self.nodes.last_mut().expect("a node");
        node.output.push(name.into());
        self
    }

    /// An attribute of the last node.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        let node = self.nodes.last_mut().expect("a node");
        node.attribute.push(AttributeProto {
            name: name.into(),
            r#type: 7,
            ints: values.to_vec(),
            ..AttributeProto::default()
        });
        self
    }

    /// An attribute of the last node.
    pub fn int(mut self, name: &str, value: i64) -> Self {
        let node = self.nodes.last_mut().expect("a node");
        node.attribute.push(AttributeProto {
            name: name.into(),
            r#type: 2,
            i: value,
            ..AttributeProto::default()
        });
        self
    }

    pub fn floats(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.constants.push(TensorProto {
            name: name.into(),
            dims: shape.iter().map(|&axis| axis as i64).collect(),
            data_type: DataType::Float.into(),
            float_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub fn integers(mut self, name: &str, values: &[i64]) -> Self {
        self.constants.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64.into(),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// A signed zero of 8 bits.
    pub fn zero_point(mut self, name: &str) -> Self {
        self.constants.push(TensorProto {
            name: name.into(),
            data_type: DataType::Int8.into(),
            int32_data: vec![0],
            ..TensorProto::default()
        });
        self
    }

    fn bytes(self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
            graph: Some(GraphProto {
                name: "graph".into(),
                node: self.nodes,
                input: self.inputs,
                initializer: self.constants,
                output: vec![value("y", None)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    /// The output with fused operators and what became of them, and the output of tract alone.
    pub fn run(self, name: &str) -> (Vec<f32>, Fusion, Vec<f32>) {
        let (fused, fusion) = self.clone().of(name, Execution::Fused);
        let (plain, _) = self.of(name, Execution::Plain);
        assert_eq!(fused.len(), plain.len());
        assert!(!fused.is_empty());
        (fused, fusion.expect("a report"), plain)
    }

    fn of(self, name: &str, execution: Execution) -> (Vec<f32>, Option<Fusion>) {
        let word: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let file = std::env::temp_dir().join(format!("wink-{}-{word}.onnx", std::process::id()));
        fs::write(&file, self.bytes()).expect("a temporary file");
        let graph = BareGraph::load(&file, execution);
        fs::remove_file(&file).expect("the temporary file");
        let mut graph = graph.unwrap_or_else(|e| panic!("{name}, {execution:?}: {e}"));
        graph.run().expect("a run");
        let out = graph.output(0).expect("an output");
        let values = out.values::<f32>().expect("floats").to_vec();
        (values, graph.fusion().cloned())
    }
}

/// With an open rank where there is no shape.
fn value(name: &str, shape: Option<&[usize]>) -> ValueInfoProto {
    let dims = |shape: &[usize]| TensorShapeProto {
        dim: shape
            .iter()
            .map(|&axis| Dimension {
                denotation: String::new(),
                value: Some(dimension::Value::DimValue(axis as i64)),
            })
            .collect(),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            denotation: String::new(),
            value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                elem_type: DataType::Float.into(),
                shape: shape.map(dims),
            })),
        }),
        ..ValueInfoProto::default()
    }
}

/// Seeded numbers within +-2.
pub fn wave(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 500.0 - 2.0)
        .collect()
}

/// Whether two results are NaN at the same places and close elsewhere.
#[track_caller]
pub fn assert_close(found: &[f32], wanted: &[f32], name: &str) {
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let close = (found - wanted).abs() <= 2e-5 * wanted.abs().max(1.0);
        let same = found == wanted || found.is_nan() && wanted.is_nan();
        assert!(close || same, "{name}: value {at} is {found}, not {wanted}");
    }
}
