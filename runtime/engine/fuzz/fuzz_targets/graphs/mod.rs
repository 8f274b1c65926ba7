//! Small graphs of random operators, run by the engine and node by node by the reference: the same numbers, or both refuse.

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use wink_engine::{
    Execution, OnnxElement as Element, Value, quiet_panics, run_once, run_reference,
};

struct Draw<'a>(&'a [u8]);

impl Draw<'_> {
    fn byte(&mut self) -> usize {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(first)
    }

    fn below(&mut self, count: usize) -> usize {
        self.byte() % count.max(1)
    }
}

const UNARY: [&str; 14] = [
    "Relu",
    "Neg",
    "Abs",
    "Exp",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Floor",
    "Ceil",
    "Sign",
    "Softmax",
    "LogSoftmax",
    "Erf",
    "Identity",
];
const BINARY: [&str; 6] = ["Add", "Sub", "Mul", "Div", "Max", "Min"];
const REDUCE: [&str; 4] = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceLogSumExp"];

fn attribute(name: &str, values: &[i64], single: bool) -> AttributeProto {
    let kind = if single {
        AttributeType::Int
    } else {
        AttributeType::Ints
    };
    AttributeProto {
        name: name.into(),
        r#type: kind as i32,
        i: values[0],
        ints: if single { vec![] } else { values.to_vec() },
        ..AttributeProto::default()
    }
}

fn typed(name: &str, element: Element, shape: &[usize]) -> ValueInfoProto {
    let dim = shape.iter().map(|&length| Dimension {
        value: Some(Size::DimValue(length as i64)),
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

/// A graph over one input of three axes.
fn graph(draw: &mut Draw<'_>, element: Element, shape: &[usize]) -> ModelProto {
    let mut graph = GraphProto {
        input: vec![typed("t0", element, shape)],
        ..GraphProto::default()
    };
    let weight = (0..shape[2]).map(|at| (at as i128 * 5) % 7 - 3);
    graph
        .initializer
        .push(Value::of_ints(element, &[shape[2]], weight).to_proto("w"));
    let steps = 1 + draw.below(6);
    for at in 0..steps {
        let from = format!("t{}", at.saturating_sub(draw.below(2)));
        let to = format!("t{}", at + 1);
        let mut node = NodeProto {
            name: format!("n{at}"),
            input: vec![from.clone()],
            output: vec![to],
            ..NodeProto::default()
        };
        let mut list = |name: &str, values: &[i64]| {
            let name = format!("{name}{at}");
            graph
                .initializer
                .push(Value::of_i64(&[values.len()], values).to_proto(&name));
            name
        };
        match draw.below(8) {
            0 | 1 if element.is_float() => node.op_type = UNARY[draw.below(UNARY.len())].into(),
            0 => node.op_type = ["Abs", "Neg", "Sign", "Relu"][draw.below(4)].into(),
            1 | 2 => {
                node.op_type = BINARY[draw.below(BINARY.len())].into();
                node.input
                    .push(if draw.below(2) == 0 { "w".into() } else { from });
            }
            3 => {
                node.op_type = "Transpose".into();
                let perms = [[0, 2, 1], [2, 1, 0], [1, 0, 2], [1, 2, 0]];
                node.attribute
                    .push(attribute("perm", &perms[draw.below(4)], false));
            }
            4 => {
                node.op_type = "Slice".into();
                let step = [1, 2, 3, -1, -2][draw.below(5)];
                let start = draw.below(4) as i64 - if step < 0 { 1 } else { 0 };
                let end = if step > 0 { i64::MAX } else { i64::MIN };
                let axis = draw.below(3) as i64;
                let (start, end) = (list("s", &[start]), list("e", &[end]));
                let (axis, step) = (list("a", &[axis]), list("p", &[step]));
                node.input.extend([start, end, axis, step]);
            }
            5 if element.is_float() => {
                node.op_type = REDUCE[draw.below(REDUCE.len())].into();
                let axis = list("a", &[draw.below(3) as i64]);
                node.input.push(axis);
            }
            6 => {
                node.op_type = "Reshape".into();
                let shape = [[0, -1, 1], [-1, 1, 1], [1, 0, -1]][draw.below(3)];
                let shape = list("r", &shape);
                node.input.push(shape);
            }
            _ => {
                node.op_type = "Concat".into();
                node.input.push(from);
                node.attribute
                    .push(attribute("axis", &[draw.below(6) as i64 - 3], true));
            }
        }
        graph.node.push(node);
    }
    graph.output.push(ValueInfoProto {
        name: format!("t{steps}"),
        ..typed("", element, &[])
    });
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 18,
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// Panics where the engine and the reference differ on the graph that these bytes choose.
pub fn check(bytes: &[u8]) {
    quiet_panics();
    let mut draw = Draw(bytes);
    let element = [
        Element::F32,
        Element::F32,
        Element::I64,
        Element::F64,
        Element::I32,
    ][draw.below(5)];
    let shape = [1 + draw.below(3), 1 + draw.below(4), 1 + draw.below(9)];
    let model = graph(&mut draw, element, &shape);
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| (((at * 37 + 11) % 41) as f64 - 20.0) / 8.0);
    let x = match element.is_float() {
        true => Value::of_floats(element, &shape, values),
        false => Value::of_ints(element, &shape, values.map(|v| (v * 4.0) as i128)),
    };
    let inputs = [("t0".to_owned(), x)];
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let file = folder.path().join("model.onnx");
    if std::fs::write(&file, model.encode_to_vec()).is_err() {
        return;
    }
    let wanted = run_reference(&file, &inputs);
    let found = run_once(&file, Execution::Fused, &inputs);
    let (wanted, found) = match (wanted, found) {
        (Ok(wanted), Ok(found)) => (wanted, found),
        (Err(_), Err(_)) => return,
        // The engine does not compute what no output reads; the reference computes everything.
        (Err(error), Ok(_)) if error.to_string().contains("integer by zero") => return,
        (wanted, found) => panic!("{wanted:?}\n{found:?}\n{:?}", model.graph),
    };
    for ((_, wanted), (_, found)) in wanted.iter().zip(&found) {
        assert_eq!(
            (wanted.element, &wanted.shape),
            (found.element, &found.shape),
            "{:?}",
            model.graph
        );
        let pairs = wanted.floats().into_iter().zip(found.floats());
        for (wanted, found) in pairs {
            let near = wanted == found
                || wanted.is_nan() && found.is_nan()
                || (wanted - found).abs() <= 1e-4 * (1.0 + wanted.abs())
                // Powers of powers leave the range of f32 at slightly different places.
                || wanted.abs() > 1e20;
            assert!(near, "{wanted} {found} {:?}", model.graph);
        }
    }
}
