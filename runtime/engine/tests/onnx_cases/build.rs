//! Small models, and running them.

use std::path::Path;

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use wink_engine::{Execution, OnnxElement as Element, Value, run_once};

/// A model in the making.
#[derive(Clone)]
pub struct Model {
    pub proto: ModelProto,
}

pub fn f32s(shape: &[usize], values: &[f32]) -> Value<'static> {
    Value::of_floats(Element::F32, shape, values.iter().map(|&v| f64::from(v)))
}

pub fn i64s(shape: &[usize], values: &[i64]) -> Value<'static> {
    Value::of_i64(shape, values)
}

pub fn whole(element: Element, shape: &[usize], values: &[i64]) -> Value<'static> {
    Value::of_ints(element, shape, values.iter().map(|&v| i128::from(v)))
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}

pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

pub fn graph(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(graph),
        ..AttributeProto::default()
    }
}

/// An input or output; `None` is an open axis.
pub fn value_info(name: &str, element: Element, shape: &[Option<usize>]) -> ValueInfoProto {
    let dim = shape.iter().map(|length| Dimension {
        value: Some(match length {
            Some(length) => Size::DimValue(*length as i64),
            None => Size::DimParam("batch".into()),
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

pub fn node(op: &str, inputs: &str, outputs: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    let names = |list: &str| list.split(',').map(str::to_owned).collect();
    NodeProto {
        name: format!("node_{op}"),
        op_type: op.into(),
        input: if inputs.is_empty() {
            vec![]
        } else {
            names(inputs)
        },
        output: names(outputs),
        attribute,
        ..NodeProto::default()
    }
}

impl Model {
    pub fn new(opset: i64) -> Self {
        let set = |domain: &str, version| OperatorSetIdProto {
            domain: domain.into(),
            version,
        };
        Self {
            proto: ModelProto {
                ir_version: 8,
                opset_import: vec![set("", opset), set("com.microsoft", 1)],
                graph: Some(GraphProto::default()),
                ..ModelProto::default()
            },
        }
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.proto.graph.get_or_insert_default()
    }

    pub fn input(mut self, name: &str, element: Element, shape: &[Option<usize>]) -> Self {
        self.graph().input.push(value_info(name, element, shape));
        self
    }

    pub fn weight(mut self, name: &str, value: &Value<'_>) -> Self {
        self.graph().initializer.push(value.to_proto(name));
        self
    }

    pub fn tensor(mut self, tensor: TensorProto) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    pub fn op(
        mut self,
        op: &str,
        inputs: &str,
        outputs: &str,
        attributes: Vec<AttributeProto>,
    ) -> Self {
        let mut node = node(op, inputs, outputs, attributes);
        let nodes = &mut self.graph().node;
        if nodes.iter().any(|other| other.name == node.name) {
            node.name = format!("{}_{}", node.name, nodes.len());
        }
        nodes.push(node);
        self
    }

    /// The last node is one of ONNX Runtime's.
    pub fn of_microsoft(mut self) -> Self {
        if let Some(node) = self.graph().node.last_mut() {
            node.domain = "com.microsoft".into();
        }
        self
    }

    pub fn output(mut self, name: &str, element: Element) -> Self {
        self.graph().output.push(value_info(name, element, &[]));
        self
    }

    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.proto.encode_to_vec()).expect("the folder can be written");
    }

    /// Runs the model; its outputs, or the error in one line.
    pub fn run(&self, inputs: &[(&str, Value<'static>)]) -> Result<Vec<Value<'static>>, String> {
        self.run_by(Execution::Fused, inputs)
    }

    fn run_by(
        &self,
        execution: Execution,
        inputs: &[(&str, Value<'static>)],
    ) -> Result<Vec<Value<'static>>, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("case.onnx");
        self.write(&file);
        run_by(&file, execution, inputs)
    }

    /// Runs a model that must work with every rounding that it states; its only output.
    pub fn as_written(&self, inputs: &[(&str, Value<'static>)]) -> Value<'static> {
        let ran = self.run_by(Execution::AsWritten, inputs);
        let mut outputs = ran.expect("the graph runs");
        assert_eq!(outputs.len(), 1);
        outputs.remove(0)
    }

    /// Runs a model that must work; its only output.
    pub fn one(&self, inputs: &[(&str, Value<'static>)]) -> Value<'static> {
        let mut outputs = self.run(inputs).expect("the graph runs");
        assert_eq!(outputs.len(), 1);
        outputs.remove(0)
    }
}

pub fn run_file(
    file: &Path,
    inputs: &[(&str, Value<'static>)],
) -> Result<Vec<Value<'static>>, String> {
    run_by(file, Execution::Fused, inputs)
}

fn run_by(
    file: &Path,
    execution: Execution,
    inputs: &[(&str, Value<'static>)],
) -> Result<Vec<Value<'static>>, String> {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let ran = run_once(file, execution, &inputs).map_err(|error| error.to_string())?;
    Ok(ran.into_iter().map(|(_, value)| value).collect())
}

/// Numbers that are neither round nor alike.
pub fn some(count: usize) -> Vec<f32> {
    (0..count)
        .map(|at| ((at * 37 % 23) as f32 - 11.0) / 9.0)
        .collect()
}

#[track_caller]
pub fn near(found: &Value<'_>, shape: &[usize], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.shape, shape);
    for (at, (found, wanted)) in found.floats().iter().zip(wanted).enumerate() {
        let same = found == wanted
            || (found.is_nan() && wanted.is_nan())
            || (found - wanted).abs() <= tolerance;
        assert!(same, "element {at}: {found} instead of {wanted}");
    }
    assert_eq!(found.len(), wanted.len());
}
