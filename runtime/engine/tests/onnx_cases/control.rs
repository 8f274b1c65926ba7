//! Loops, functions that a model brings along, sparse weights, and floats of 8 bits.

use tract_onnx::pb::{FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, SparseTensorProto};
use wink_engine::{OnnxElement as Element, Value};

use super::build::{Model, f32s, float, graph, i64s, int, near, node, value_info, whole};

fn truth(value: bool) -> Value<'static> {
    whole(Element::Bool, &[], &[i64::from(value)])
}

/// A loop that carries `v` from `x` and stacks `s`; the nodes of its body read `i`, `c` and `v` and make `d`, `w` and `t`.
fn looped(mut nodes: Vec<NodeProto>, stacks: bool) -> Model {
    for (number, node) in nodes.iter_mut().enumerate() {
        node.name = format!("inner_{number}");
    }
    let mut output = vec![
        value_info("d", Element::Bool, &[]),
        value_info("w", Element::F32, &[Some(2)]),
    ];
    if stacks {
        output.push(value_info("t", Element::F32, &[Some(2)]));
    }
    let body = GraphProto {
        name: "body".into(),
        node: nodes,
        input: vec![
            value_info("i", Element::I64, &[]),
            value_info("c", Element::Bool, &[]),
            value_info("v", Element::F32, &[Some(2)]),
        ],
        output,
        initializer: vec![f32s(&[], &[2.0]).to_proto("two")],
        ..GraphProto::default()
    };
    let outputs = if stacks { "y,s" } else { "y" };
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("Loop", "m,go,x", outputs, vec![graph("body", body)])
        .output("y", Element::F32);
    match stacks {
        true => model.output("s", Element::F32),
        false => model,
    }
}

/// `w = 2 v + x`, `t = v`, and the condition stays.
fn doubling() -> Vec<NodeProto> {
    vec![
        node("Mul", "v,two", "double", vec![]),
        node("Add", "double,x", "w", vec![]),
        node("Identity", "v", "t", vec![]),
        node("Identity", "c", "d", vec![]),
    ]
}

fn x() -> [(&'static str, Value<'static>); 1] {
    [("x", f32s(&[2], &[1.0, -3.0]))]
}

#[test]
fn a_loop_of_known_turns_is_written_out() {
    let model = looped(doubling(), true)
        .weight("m", &i64s(&[], &[3]))
        .weight("go", &truth(true));
    let made = model.run(&x()).expect("the loop runs");
    near(&made[0], &[2], &[15.0, -45.0], 0.0);
    near(&made[1], &[3, 2], &[1.0, -3.0, 3.0, -9.0, 7.0, -21.0], 0.0);
}

#[test]
fn a_loop_of_no_turns_hands_its_input_on() {
    for (turns, go) in [(0, true), (5, false)] {
        let model = looped(doubling(), true)
            .weight("m", &i64s(&[], &[turns]))
            .weight("go", &truth(go));
        let made = model.run(&x()).expect("the loop runs");
        near(&made[0], &[2], &[1.0, -3.0], 0.0);
        assert_eq!(made[1].shape, [0, 2]);
    }
}

#[test]
fn a_loop_of_many_turns_is_run_whole() {
    let mut nodes = doubling();
    nodes[1] = node("Mul", "double,half", "w", vec![]);
    let model = looped(nodes, false)
        .weight("half", &f32s(&[], &[0.5]))
        .weight("m", &i64s(&[], &[100_000]))
        .weight("go", &truth(true));
    near(&model.one(&x()), &[2], &[1.0, -3.0], 0.0);
}

#[test]
fn a_loop_ends_by_its_condition() {
    let mut nodes = doubling();
    nodes[3] = node("Less", "sum,limit", "d", vec![]);
    nodes.insert(3, node("ReduceSum", "w", "sum", vec![int("keepdims", 0)]));
    let ends = |turns: Option<&[i64]>| {
        let model = looped(nodes.clone(), false)
            .weight("limit", &f32s(&[], &[100.0]))
            .weight("go", &truth(true));
        match turns {
            Some(turns) => model.weight("m", &i64s(&[], turns)),
            None => {
                let mut model = model;
                model.graph().node[0].input[0].clear();
                model
            }
        }
    };
    // The sums are 3 + 1, and twice as much and 4 more each turn: 12, 28, 60, 124.
    let x = [("x", f32s(&[2], &[3.0, 1.0]))];
    near(&ends(None).one(&x), &[2], &[93.0, 31.0], 0.0);
    near(&ends(Some(&[2])).one(&x), &[2], &[21.0, 7.0], 0.0);
    let given = looped(nodes.clone(), false)
        .weight("limit", &f32s(&[], &[100.0]))
        .input("m", Element::I64, &[])
        .input("go", Element::Bool, &[]);
    let feeds = |turns, go| {
        let x = f32s(&[2], &[3.0, 1.0]);
        [("x", x), ("m", i64s(&[], &[turns])), ("go", truth(go))]
    };
    near(&given.one(&feeds(2, true)), &[2], &[21.0, 7.0], 0.0);
    near(&given.one(&feeds(9, true)), &[2], &[93.0, 31.0], 0.0);
    near(&given.one(&feeds(9, false)), &[2], &[3.0, 1.0], 0.0);
}

#[test]
fn what_a_loop_makes_must_have_a_shape() {
    // Its turns are the largest of many numbers, which are known only when it runs.
    let unknown = |model: Model| {
        let mut model = model
            .input("z", Element::I64, &[Some(100)])
            .op("ReduceMax", "z", "m", vec![int("keepdims", 0)])
            .weight("go", &truth(true));
        model.graph().node.rotate_right(1);
        model
    };
    let feeds = [
        ("x", f32s(&[2], &[1.0, -3.0])),
        ("z", i64s(&[100], &[3; 100])),
    ];
    let fits = unknown(looped(doubling(), false));
    near(&fits.one(&feeds), &[2], &[15.0, -45.0], 0.0);
    let stacked = unknown(looped(doubling(), true));
    let told = stacked.run(&feeds).expect_err("the loop is refused");
    assert!(
        told.contains("node \"node_Loop\": Loop stacks tensors"),
        "{told}"
    );
    let mut grows = doubling();
    grows[1] = node("Concat", "double,x", "w", vec![int("axis", 0)]);
    let grows = unknown(looped(grows, false));
    let told = grows.run(&feeds).expect_err("the loop is refused");
    assert!(told.contains("node \"node_Loop\": Loop carries"), "{told}");
}

#[test]
fn a_loop_that_does_not_end_is_an_error() {
    let mut model = looped(doubling(), false)
        .weight("m", &i64s(&[], &[1]))
        .weight("go", &truth(true));
    model.graph().node[0].input[0].clear();
    let told = model.run(&x()).expect_err("the loop is stopped");
    assert!(told.contains("Loop runs more than"), "{told}");
}

/// `f(a; alpha) = LeakyRelu(a, alpha) + g(a)`, where `g(a) = -a`.
fn with_functions() -> Model {
    let function = |name: &str, nodes: Vec<NodeProto>| FunctionProto {
        name: Some(name.into()),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: nodes,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        ..FunctionProto::default()
    };
    let own = |mut node: NodeProto| {
        node.domain = "own".into();
        node
    };
    let mut alpha = float("alpha", 0.0);
    alpha.ref_attr_name = "slope".into();
    let mut f = function(
        "F",
        vec![
            node("LeakyRelu", "a", "h", vec![alpha]),
            own(node("G", "a", "n", vec![])),
            node("Add", "h,n", "b", vec![]),
        ],
    );
    f.attribute = vec!["slope".into()];
    let mut model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("F", "x", "h", vec![float("slope", 0.5)])
        .op("F", "h", "y", vec![float("slope", 0.25)])
        .output("y", Element::F32);
    for node in &mut model.graph().node {
        node.domain = "own".into();
    }
    model.proto.functions = vec![f, function("G", vec![node("Neg", "a", "b", vec![])])];
    model
}

#[test]
fn functions_of_the_model_are_put_in_place() {
    // f(1) = 0, f(-3) = 1.5 with a slope of 1/2; then both become 0.
    let mut model = with_functions();
    let h = value_info("h", Element::F32, &[]);
    model.graph().output.push(h);
    let made = model.run(&x()).expect("the functions run");
    near(&made[1], &[2], &[0.0, 1.5], 1e-6);
    near(&made[0], &[2], &[0.0, 0.0], 1e-6);
}

#[test]
fn functions_that_do_not_fit_are_refused() {
    let refused = |edit: fn(&mut Model), what: &str| {
        let mut model = with_functions();
        edit(&mut model);
        let told = model.run(&x()).expect_err("the function is refused");
        assert!(told.contains(what), "{told}");
    };
    refused(
        |model| {
            let again = NodeProto {
                domain: "own".into(),
                ..node("F", "a", "b", vec![float("slope", 1.0)])
            };
            model.proto.functions[1].node = vec![again];
        },
        "calls itself",
    );
    refused(
        |model| model.graph().node[0].attribute.clear(),
        "lacks attribute \"slope\"",
    );
    refused(
        |model| model.graph().node[0].input.push("x".into()),
        "function \"F\"",
    );
    refused(
        |model| model.proto.functions[0].opset_import[0].version = 13,
        "function \"F\": is of operator set 13",
    );
}

#[test]
fn sparse_weights_are_filled_in() {
    let mut model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("Add", "x,w", "y", vec![])
        .output("y", Element::F32);
    model.graph().sparse_initializer.push(SparseTensorProto {
        values: Some(f32s(&[1], &[5.0]).to_proto("w")),
        indices: Some(i64s(&[1], &[1]).to_proto("")),
        dims: vec![2],
    });
    near(&model.one(&x()), &[2], &[1.0, 2.0], 0.0);
    model.graph().sparse_initializer[0].dims = vec![1];
    let told = model.run(&x()).expect_err("an index outside");
    assert!(told.contains("weight \"w\": index 0"), "{told}");
}

#[test]
fn weights_and_casts_of_8_bit_floats() {
    // 1.5, -0.0625, 448 and NaN of 4 bits of exponent.
    let codes = Value {
        element: Element::F8E4M3FN,
        shape: vec![4],
        bytes: vec![0x3c, 0x98, 0x7e, 0x7f].into(),
    };
    let model = Model::new(19)
        .input("x", Element::F32, &[Some(4)])
        .weight("w", &codes)
        .weight("s", &f32s(&[], &[0.5]))
        .op("DequantizeLinear", "w,s", "h", vec![])
        .op("Add", "h,x", "y", vec![])
        .output("y", Element::F32);
    let zeros = [("x", f32s(&[4], &[0.0; 4]))];
    near(
        &model.one(&zeros),
        &[4],
        &[0.75, -0.031_25, 224.0, f64::NAN],
        0.0,
    );
    // Rounded to 8 bits and back.
    let x = [("x", f32s(&[4], &[1.06, -1000.0, 0.001, 17.5]))];
    for (to, wanted) in [
        (Element::F8E4M3FN, [1.0, -448.0, 0.001_953_125, 18.0]),
        (Element::F8E4M3FNUZ, [1.0, -240.0, 0.000_976_562_5, 18.0]),
        (Element::F8E5M2, [1.0, -1024.0, 0.000_976_562_5, 16.0]),
        (Element::F8E5M2FNUZ, [1.0, -1024.0, 0.000_976_562_5, 16.0]),
    ] {
        let model = Model::new(19)
            .input("x", Element::F32, &[Some(4)])
            .op("Cast", "x", "h", vec![int("to", i64::from(to.onnx()))])
            .op("Cast", "h", "y", vec![int("to", 1)])
            .output("y", Element::F32);
        near(&model.one(&x), &[4], &wanted, 0.0);
    }
}
