//! Random graphs whose inputs change at different rates: what is kept from earlier runs is what a new state computes.

mod onnx;

use onnx::{node, source, value};
use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use wink_engine::{Element, Execution, Feed, Graph, Rate, Tensor, TensorSpec};

const SHAPE: [usize; 2] = [2, 3];
const INPUTS: [&str; 4] = ["a", "b", "c", "d"];

/// A node of the kind `op` on two earlier values, counted from the last one.
type Draw = (u8, usize, usize);

/// A graph of `draws`, of whose values those in `outputs` are read.
fn graph(draws: &[Draw], rates: [u8; 4], outputs: &[usize]) -> Graph {
    let mut names: Vec<String> = INPUTS.map(str::to_owned).to_vec();
    let mut nodes = vec![];
    for (index, &(op, a, b)) in draws.iter().enumerate() {
        let pick = |back: usize| &*names[names.len() - 1 - back % names.len()];
        let name = format!("v{index}");
        let made = match op % 5 {
            0 => node("Add", &[pick(a), pick(b)], &name),
            1 => node("Mul", &[pick(a), pick(b)], &name),
            2 => node("Relu", &[pick(a)], &name),
            // Left to tract.
            3 => node("Atan", &[pick(a)], &name),
            _ => node("Tanh", &[pick(a)], &name),
        };
        nodes.push(made);
        names.push(name);
    }
    let mut outputs: Vec<String> = outputs
        .iter()
        .map(|&index| format!("v{}", index % draws.len()))
        .collect();
    outputs.sort();
    outputs.dedup();
    let shape = SHAPE.map(|size| size as i64);
    let typed = |name: &str| value(name, DataType::Float, &shape);
    let source = source(
        nodes,
        INPUTS.map(typed).to_vec(),
        outputs.iter().map(|name| typed(name)).collect(),
        vec![],
    );
    let feeds = INPUTS.iter().zip(rates).map(|(name, rate)| Feed {
        tensor: (*name).to_owned(),
        spec: TensorSpec::new(Element::F32, &SHAPE),
        rate: Rate(rate),
    });
    Graph::load(source, Execution::Fused, feeds.collect(), &outputs)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn outputs(graph: &Graph, state: &wink_engine::State) -> Vec<Vec<u32>> {
    let bits = |index| -> Vec<u32> {
        let values = graph.values::<f32>(state, index);
        let values = values.unwrap_or_else(|error| panic!("{error}"));
        values.iter().map(|value| value.to_bits()).collect()
    };
    (0..graph.outputs().len()).map(bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn kept_values_are_those_of_a_new_state(
        draws in prop::collection::vec((0_u8..5, 0_usize..8, 0_usize..8), 1..24),
        rates in prop::array::uniform4(0_u8..4),
        read in prop::collection::vec(0_usize..24, 1..4),
        runs in prop::collection::vec((0_u8..5, -2.0_f32..2.0), 1..8),
    ) {
        let graph = graph(&draws, rates, &read);
        let mut kept = graph.state().unwrap();
        let spec = TensorSpec::new(Element::F32, &SHAPE);
        let mut inputs = vec![Tensor::zeros(spec).unwrap(); INPUTS.len()];
        for (changed, seed) in runs {
            for (index, (input, rate)) in inputs.iter_mut().zip(rates).enumerate() {
                if rate >= changed {
                    let values = input.values_mut::<f32>().unwrap();
                    for (at, value) in values.iter_mut().enumerate() {
                        *value = seed + 0.1 * (at + 3 * index) as f32;
                    }
                }
            }
            graph.run(&mut kept, &*inputs, Rate(changed)).unwrap();
            let mut new = graph.state().unwrap();
            graph.run(&mut new, &*inputs, Rate(0)).unwrap();
            prop_assert_eq!(outputs(&graph, &kept), outputs(&graph, &new));
        }
    }
}
