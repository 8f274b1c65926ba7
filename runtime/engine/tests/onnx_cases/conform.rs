//! Files that break the standard's rules: refused in one line that names the node or tensor.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};
use wink_engine::OnnxElement as Element;

use super::build::{Model, f32s, float, graph, i64s, int, node, value_info, whole};

fn x() -> [(&'static str, wink_engine::Value<'static>); 1] {
    [("x", f32s(&[2], &[1.0, -2.0]))]
}

fn relu() -> Model {
    Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("Relu", "x", "y", vec![])
        .output("y", Element::F32)
}

#[track_caller]
fn refused(what: &str, edit: impl FnOnce(&mut Model)) {
    let mut model = relu();
    edit(&mut model);
    let told = model.run(&x()).expect_err("the file is refused");
    assert!(told.contains(what), "{told}");
    assert!(!told.contains('\n') && told.len() < 300, "{told}");
}

/// The node of [`relu`].
fn first(model: &mut Model) -> &mut NodeProto {
    &mut model.graph().node[0]
}

#[test]
fn the_file_it_starts_from_runs() {
    assert_eq!(relu().one(&x()).floats(), [1.0, 0.0]);
}

#[test]
fn versions_of_the_file_format() {
    refused("ir_version", |model| model.proto.ir_version = 0);
    refused("file format 99", |model| model.proto.ir_version = 99);
}

#[test]
fn names_that_are_missing_or_come_twice() {
    refused("input \"x\" is there twice", |model| {
        let again = model.graph().input[0].clone();
        model.graph().input.push(again);
    });
    refused("an input has no name", |model| {
        let mut none = model.graph().input[0].clone();
        none.name.clear();
        model.graph().input.push(none);
    });
    refused("two nodes have the name \"node_Relu\"", |model| {
        let again = node("Relu", "x", "z", vec![]);
        model.graph().node.push(again);
    });
    refused("tensor \"y\" is made twice", |model| {
        let weight = f32s(&[2], &[0.0; 2]).to_proto("y");
        model.graph().initializer.push(weight);
    });
    refused("an output has no name", |model| {
        model.graph().output[0].name.clear();
    });
    refused("names no operator", |model| first(model).op_type.clear());
}

#[test]
fn how_many_inputs_and_outputs() {
    refused("Relu: 2 inputs, at most 1", |model| {
        first(model).input.push("x".into());
    });
    refused("Relu: 2 inputs, at most 1", |model| {
        first(model).input.push(String::new());
    });
    refused("Relu: 0 inputs, at least 1", |model| {
        first(model).input.clear()
    });
    refused("Relu: 2 outputs, at most 1", |model| {
        first(model).output.push("z".into());
    });
    refused("Add: number 1 of its inputs is left out", |model| {
        *first(model) = node("Add", "x,", "y", vec![]);
    });
}

#[test]
fn attributes() {
    refused("Relu has no attribute \"alpha\"", |model| {
        first(model).attribute.push(float("alpha", 1.0));
    });
    let leaky = |attributes| node("LeakyRelu", "x", "y", attributes);
    refused("attribute \"alpha\" is of kind int", move |model| {
        *first(model) = leaky(vec![int("alpha", 1)]);
    });
    refused("attribute \"alpha\" is there twice", move |model| {
        *first(model) = leaky(vec![float("alpha", 1.0), float("alpha", 1.0)]);
    });
    refused("attribute \"alpha\" is of kind none", move |model| {
        let untyped = AttributeProto {
            r#type: AttributeType::Undefined as i32,
            ..float("alpha", 1.0)
        };
        *first(model) = leaky(vec![untyped]);
    });
    refused("Concat needs an attribute \"axis\"", |model| {
        *first(model) = node("Concat", "x,x", "y", vec![]);
    });
}

#[test]
fn operators_of_other_sets() {
    refused(
        "Gelu is an operator from set 20 on; the file is of set 17",
        |model| {
            *first(model) = node("Gelu", "x", "y", vec![]);
        },
    );
    refused("Scatter is no longer an operator since set 11", |model| {
        let weight = i64s(&[1], &[0]).to_proto("i");
        model.graph().initializer.push(weight);
        *first(model) = node("Scatter", "x,i,x", "y", vec![]);
    });
}

/// Element types of a node's inputs, and whether the operator takes them in the set.
#[test]
fn element_types() {
    use Element::{Bool, F32, F64, I8, I32, I64, U8, U64};
    type Case<'a> = (
        i64,
        &'a str,
        &'a str,
        &'a [Element],
        Element,
        Option<&'a str>,
    );
    let cases: [Case<'_>; 22] = [
        (
            13,
            "Add",
            "a,b",
            &[I8, I8],
            I8,
            Some("Add in operator set 13 takes"),
        ),
        (14, "Add", "a,b", &[I8, I8], I8, None),
        (
            14,
            "Add",
            "a,b",
            &[I64, I32],
            I64,
            Some("Add of i64 and i32"),
        ),
        (
            17,
            "And",
            "a,b",
            &[U8, U8],
            Bool,
            Some("And in operator set 17 takes bool"),
        ),
        (17, "Not", "a", &[I64], I64, Some("Not")),
        (17, "Exp", "a", &[I32], I32, Some("Exp")),
        (17, "Sqrt", "a", &[I64], I64, Some("Sqrt")),
        (12, "Relu", "a", &[I32], I32, Some("Relu")),
        (14, "Relu", "a", &[I32], I32, None),
        (17, "MatMul", "a,b", &[I8, I8], I8, Some("MatMul")),
        (
            17,
            "MatMulInteger",
            "a,b",
            &[F32, F32],
            I32,
            Some("MatMulInteger"),
        ),
        (17, "Softmax", "a", &[I64], I64, Some("Softmax")),
        (17, "Where", "a,b,c", &[I64, F32, F32], F32, Some("Where")),
        (17, "Gather", "a,b", &[F32, F32], F32, Some("Gather")),
        (17, "Pow", "a,b", &[F32, I64], F32, None),
        (17, "Pow", "a,b", &[U8, U8], U8, Some("Pow")),
        (17, "ReduceSum", "a", &[I8], I8, Some("ReduceSum")),
        (17, "Mod", "a,b", &[Bool, Bool], Bool, Some("Mod")),
        (17, "Sigmoid", "a", &[U64], U64, Some("Sigmoid")),
        (17, "IsNaN", "a", &[I32], Bool, Some("IsNaN")),
        (
            17,
            "QuantizeLinear",
            "a,b",
            &[I64, F32],
            U8,
            Some("QuantizeLinear"),
        ),
        (17, "Sign", "a", &[F64], F64, None),
    ];
    for (set, op, names, elements, to, told) in cases {
        let mut model = Model::new(set);
        let mut inputs = vec![];
        for (name, &element) in names.split(',').zip(elements) {
            model = model.input(name, element, &[Some(1), Some(1)]);
            inputs.push((name, whole(element, &[1, 1], &[1])));
        }
        let model = model.op(op, names, "y", vec![]).output("y", to);
        match (model.run(&inputs), told) {
            (Ok(_), None) => {}
            (Err(error), Some(told)) => assert!(error.contains(told), "{op}: {error}"),
            (ran, _) => panic!("{op} of {elements:?} in set {set}: {ran:?}"),
        }
    }
}

#[test]
fn types_that_the_file_tells_otherwise() {
    refused("tensor \"y\" is of f32, and the file says i64", |model| {
        model.graph().output[0] = value_info("y", Element::I64, &[]);
    });
    refused("tensor \"h\" is of f32, and the file says i32", |model| {
        model
            .graph()
            .value_info
            .push(value_info("h", Element::I32, &[]));
        first(model).output[0] = "h".into();
        let last = node("Neg", "h", "y", vec![]);
        model.graph().node.push(last);
    });
    refused("input \"x\" is of f32, and its value of i64", |model| {
        let weight = i64s(&[2], &[0, 1]).to_proto("x");
        model.graph().initializer.push(weight);
    });
    refused("another shape", |model| {
        let weight = f32s(&[3], &[0.0; 3]).to_proto("x");
        model.graph().initializer.push(weight);
    });
    refused("one branch makes f32, the other i64", |model| {
        let branch = |op: &str, attributes, element| tract_onnx::pb::GraphProto {
            node: vec![node(op, "x", "b", attributes)],
            output: vec![value_info("b", element, &[])],
            ..tract_onnx::pb::GraphProto::default()
        };
        let condition = value_info("c", Element::Bool, &[]);
        model.graph().input.push(condition);
        let same = branch("Neg", vec![], Element::F32);
        let other = branch("Cast", vec![int("to", 7)], Element::I64);
        *first(model) = node(
            "If",
            "c",
            "y",
            vec![graph("then_branch", same), graph("else_branch", other)],
        );
    });
}

#[test]
fn a_cast_to_a_type_of_a_later_set() {
    refused("Cast in operator set 17 takes", |model| {
        *first(model) = node("Cast", "x", "y", vec![int("to", 17)]);
        model.graph().output[0] = value_info("y", Element::F8E4M3FN, &[]);
    });
}
