//! A loop of two graphs allocates nothing once each of them has run.

#[path = "../../tests/counting/mod.rs"]
mod counting;
mod onnx;

use counting::allocations;
use onnx::{floats, node, source, value};
use tract_onnx::pb::tensor_proto::DataType;
use wink_engine::{Element, Execution, Feed, Graph, Rate, Tensor, TensorSpec};

fn graph(nodes: Vec<tract_onnx::pb::NodeProto>, inputs: &[(&str, u8)]) -> Graph {
    let source = source(
        nodes,
        inputs
            .iter()
            .map(|(name, _)| value(name, DataType::Float, &[1, 64]))
            .collect(),
        vec![value("y", DataType::Float, &[1, 64])],
        vec![floats("w", &[64, 64], &[0.01; 64 * 64])],
    );
    let feeds = inputs.iter().map(|&(name, rate)| Feed {
        tensor: name.to_owned(),
        spec: TensorSpec::new(Element::F32, &[1, 64]),
        rate: Rate(rate),
    });
    Graph::load(source, Execution::Fused, feeds.collect(), &["y".to_owned()])
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_loop_of_two_graphs_allocates_nothing() {
    let product = |input| node("MatMul", &[input, "w"], "p");
    let prefix = graph(vec![product("x"), node("Relu", &["p"], "y")], &[("x", 0)]);
    let step = graph(
        vec![
            product("prefix"),
            node("Tanh", &["p"], "t"),
            node("Add", &["t", "x"], "y"),
        ],
        &[("prefix", 1), ("x", 2)],
    );
    let mut x = Tensor::zeros(TensorSpec::new(Element::F32, &[1, 64])).unwrap();
    let (mut before, mut after) = (prefix.state().unwrap(), step.state().unwrap());
    let mut tick = |first: f32| {
        x.values_mut::<f32>().unwrap()[0] = first;
        prefix.run(&mut before, &[x.view()], Rate(0)).unwrap();
        for index in 0..4 {
            let views = [prefix.output(&before, 0).unwrap(), x.view()];
            let changed = Rate(if index == 0 { 1 } else { 2 });
            step.run(&mut after, &views, changed).unwrap();
            x.copy_from(step.output(&after, 0).unwrap()).unwrap();
        }
        x.view().values::<f32>().unwrap()[0]
    };
    let first = tick(1.0);
    let (_, before) = allocations();
    assert!(before > 0, "the counter counts");
    let second = tick(2.0);
    assert_eq!(allocations().1 - before, 0);
    assert!(first != second, "it computes");
}
