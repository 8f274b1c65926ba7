//! Malformed files, and files that ask for too much: one line that names the node, at once.

use std::time::{Duration, Instant};

use tract_onnx::pb::{AttributeProto, OperatorSetIdProto};
use wink_engine::OnnxElement as Element;

use super::build::{Model, f32s, i64s, int, ints, whole};

#[track_caller]
fn refused(model: &Model, inputs: &[(&str, wink_engine::Value<'static>)], what: &str) {
    let clock = Instant::now();
    let told = model.run(inputs).expect_err("the graph is refused");
    assert!(told.contains(what), "{told}");
    assert!(!told.contains('\n') && told.len() <= 400, "{told}");
    assert!(
        clock.elapsed() < Duration::from_secs(2),
        "{:?}",
        clock.elapsed()
    );
}

fn one_node(op: &str, inputs: &str, shape: &[usize], attributes: Vec<AttributeProto>) -> Model {
    let shape: Vec<Option<usize>> = shape.iter().map(|&length| Some(length)).collect();
    Model::new(18)
        .input("x", Element::F32, &shape)
        .op(op, inputs, "y", attributes)
        .output("y", Element::F32)
}

#[test]
fn attributes_out_of_range() {
    let weights: [(&str, wink_engine::Value<'static>); 6] = [
        ("far", i64s(&[1], &[100])),
        ("nine", i64s(&[1], &[9])),
        ("w3", f32s(&[1, 1, 3], &[1.0; 3])),
        ("w9", f32s(&[1, 1, 9], &[1.0; 9])),
        ("g", f32s(&[4], &[1.0; 4])),
        ("three", i64s(&[1], &[3])),
    ];
    for (op, inputs, shape, attributes) in [
        ("Transpose", "x", &[2, 4][..], vec![ints("perm", &[0, 0])]),
        ("Transpose", "x", &[2, 4], vec![ints("perm", &[1])]),
        ("Unsqueeze", "x,far", &[2, 4], vec![]),
        ("Squeeze", "x,far", &[2, 4], vec![]),
        ("Softmax", "x", &[2, 4], vec![int("axis", 2)]),
        ("LayerNormalization", "x,g", &[2, 4], vec![int("axis", 7)]),
        ("ReduceSum", "x,far", &[2, 4], vec![]),
        ("Concat", "x,x", &[2, 4], vec![int("axis", -3)]),
        ("Conv", "x,w3", &[1, 1, 4], vec![ints("strides", &[0])]),
        ("Conv", "x,w9", &[1, 1, 4], vec![]),
        ("Conv", "x,w3", &[1, 1, 8], vec![int("group", 0)]),
        ("MaxPool", "x", &[1, 1, 4], vec![ints("kernel_shape", &[0])]),
        ("MaxPool", "x", &[1, 1, 4], vec![ints("kernel_shape", &[5])]),
        (
            "AveragePool",
            "x",
            &[1, 1, 4],
            vec![ints("kernel_shape", &[2]), ints("dilations", &[0])],
        ),
        (
            "DepthToSpace",
            "x",
            &[1, 4, 2, 2],
            vec![int("blocksize", 0)],
        ),
        ("Reshape", "x,three", &[2, 4], vec![]),
    ] {
        let mut model = one_node(op, inputs, shape, attributes);
        for (name, value) in &weights {
            model = model.weight(name, value);
        }
        let count = shape.iter().product();
        refused(
            &model,
            &[("x", f32s(shape, &vec![0.5; count]))],
            &format!("node \"node_{op}\""),
        );
    }
    let top = one_node("TopK", "x,nine", &[2, 4], vec![]).weight("nine", &i64s(&[1], &[9]));
    let mut top = top;
    top.graph().node[0].output.push("i".into());
    refused(
        &top,
        &[("x", f32s(&[2, 4], &[0.0; 8]))],
        "node \"node_TopK\"",
    );
}

#[test]
fn division_by_zero() {
    for op in ["Div", "Mod"] {
        for element in [Element::I32, Element::I64, Element::U8] {
            let model = Model::new(17)
                .input("a", element, &[Some(2)])
                .input("b", element, &[Some(2)])
                .op(op, "a,b", "y", vec![])
                .output("y", element);
            let inputs = |b: &[i64]| {
                [
                    ("a", whole(element, &[2], &[7, 9])),
                    ("b", whole(element, &[2], b)),
                ]
            };
            refused(&model, &inputs(&[1, 0]), &format!("node \"node_{op}\""));
            assert!(model.run(&inputs(&[1, 2])).is_ok());
        }
    }
}

#[test]
fn indices_out_of_range_when_run() {
    let model = Model::new(17)
        .input("t", Element::I64, &[Some(3)])
        .weight("e", &f32s(&[4, 2], &[1.0; 8]))
        .op("Gather", "e,t", "y", vec![])
        .output("y", Element::F32);
    refused(
        &model,
        &[("t", i64s(&[3], &[0, 4, 1]))],
        "node \"node_Gather\"",
    );
    assert!(model.run(&[("t", i64s(&[3], &[0, -4, 3]))]).is_ok());
}

#[test]
fn more_memory_than_there_is() {
    let huge = i64::from(1_i32 << 30) * 64;
    let base = || {
        Model::new(17)
            .input("x", Element::F32, &[Some(2)])
            .weight("shape", &i64s(&[2], &[1 << 18, 1 << 18]))
            .weight("one", &f32s(&[2], &[1.0; 2]))
            .weight("pads", &i64s(&[2], &[0, huge]))
            .weight("depth", &i64s(&[], &[huge]))
            .weight("index", &i64s(&[1], &[1]))
            .weight("zero", &i64s(&[], &[0]))
            .weight("step", &i64s(&[], &[1]))
            .weight("times", &i64s(&[1], &[huge]))
            .weight("wide", &i64s(&[2], &[huge, 2]))
            .op("Add", "shape,shape", "doubled", vec![])
    };
    for (op, inputs) in [
        ("ConstantOfShape", "doubled"),
        ("Expand", "one,wide"),
        ("Tile", "one,times"),
        ("Pad", "one,pads"),
        ("OneHot", "index,depth,one"),
        ("Range", "zero,depth,step"),
    ] {
        let model = base()
            .op(op, inputs, "h", vec![])
            .op("Cast", "h", "f", vec![int("to", 1)])
            .op("ReduceSum", "f", "s", vec![int("keepdims", 0)])
            .op("Add", "x,s", "y", vec![])
            .output("y", Element::F32);
        refused(
            &model,
            &[("x", f32s(&[2], &[0.0; 2]))],
            &format!("node \"node_{op}\""),
        );
    }
    let mut chain = base().op("Concat", "one,one", "c0", vec![int("axis", 0)]);
    for at in 0..40 {
        let (from, to) = (format!("c{at},c{at}"), format!("c{}", at + 1));
        chain = chain.op("Concat", &from, &to, vec![int("axis", 0)]);
    }
    let chain = chain
        .op("ReduceSum", "c40", "s", vec![int("keepdims", 0)])
        .op("Add", "x,s", "y", vec![])
        .output("y", Element::F32);
    refused(
        &chain,
        &[("x", f32s(&[2], &[0.0; 2]))],
        "node \"node_Concat",
    );
}

#[test]
fn operator_sets_and_names() {
    let good = one_node("Relu", "x", &[2], vec![]);
    let x = [("x", f32s(&[2], &[1.0, 2.0]))];
    assert!(good.run(&x).is_ok());
    let mut newer = good.clone();
    newer.proto.opset_import[0].version = 99;
    refused(&newer, &x, "operator set 99");
    let mut two = good.clone();
    two.proto.opset_import.push(OperatorSetIdProto {
        domain: "ai.onnx".into(),
        version: 9,
    });
    refused(&two, &x, "several versions");
    let twice = good.clone().op("Neg", "x", "y", vec![]);
    refused(&twice, &x, "made twice");
    let weights = good
        .clone()
        .weight("w", &f32s(&[1], &[1.0]))
        .weight("w", &f32s(&[1], &[2.0]));
    refused(&weights, &x, "weight \"w\"");
    let unmade = one_node("Add", "x,nothing", &[2], vec![]);
    refused(&unmade, &x, "made by nothing");
    let foreign = one_node("Relu", "x", &[2], vec![]).of_microsoft();
    refused(&foreign, &x, "com.microsoft");
}

#[test]
fn a_message_stays_short() {
    let long = "n".repeat(100_000);
    let mut model = one_node("Transpose", "x", &[2, 2], vec![ints("perm", &[0, 0])]);
    model.graph().node[0].name = long;
    let told = model.run(&[("x", f32s(&[2, 2], &[0.0; 4]))]).unwrap_err();
    assert!(told.len() < 500, "{} bytes", told.len());
}
