//! Running a loaded graph: outputs, element types, repeated runs, clones and errors.

mod onnx;

use onnx::{cast, floats, node, source, value};
use tract_onnx::pb::tensor_proto::DataType;
use wink_engine::{
    BareGraph, Element, EngineError, Execution, Feed, Graph, Rate, Source, Tensor, TensorSpec, View,
};

const BOTH: [Execution; 2] = [Execution::Fused, Execution::Plain];

fn load(source: Source, feeds: &[(&str, Element, &[usize], u8)], outputs: &[&str]) -> Graph {
    try_load(source, feeds, outputs).unwrap_or_else(|error| panic!("{error}"))
}

fn try_load(
    source: Source,
    feeds: &[(&str, Element, &[usize], u8)],
    outputs: &[&str],
) -> Result<Graph, EngineError> {
    load_with(Execution::Fused, source, feeds, outputs)
}

fn load_with(
    execution: Execution,
    source: Source,
    feeds: &[(&str, Element, &[usize], u8)],
    outputs: &[&str],
) -> Result<Graph, EngineError> {
    let feeds = feeds.iter().map(|&(tensor, element, shape, rate)| Feed {
        tensor: tensor.to_owned(),
        spec: TensorSpec::new(element, shape),
        rate: Rate(rate),
    });
    let outputs: Vec<String> = outputs.iter().map(|&name| name.to_owned()).collect();
    Graph::load(source, execution, feeds.collect(), &outputs)
}

/// `wave = atan(a * a)`, which tract computes, and `sum = wave + b`.
fn wave() -> Source {
    source(
        vec![
            node("Mul", &["a", "a"], "square"),
            node("Atan", &["square"], "wave"),
            node("Add", &["wave", "b"], "sum"),
        ],
        vec![
            value("a", DataType::Float, &[2]),
            value("b", DataType::Float, &[2]),
        ],
        vec![
            value("sum", DataType::Float, &[2]),
            value("wave", DataType::Float, &[2]),
        ],
        vec![],
    )
}

#[test]
fn a_clone_of_a_state_runs_ops_that_only_tract_has() {
    for execution in BOTH {
        let feeds: &[(&str, Element, &[usize], u8)] =
            &[("a", Element::F32, &[2], 0), ("b", Element::F32, &[2], 1)];
        let graph = load_with(execution, wave(), feeds, &["sum", "wave"]).unwrap();
        if let Some(fusion) = graph.fusion() {
            assert_eq!(fusion.engine.values().sum::<usize>(), 1);
        }
        let inputs = [
            View::of(&[2], &[1.0_f32, 2.0]).unwrap(),
            View::of(&[2], &[10.0_f32, 20.0]).unwrap(),
        ];
        let wanted = [10.0 + 1.0_f32.atan(), 20.0 + 4.0_f32.atan()];
        let mut state = graph.state().unwrap();
        // Before the original ran, and after.
        let mut early = state.clone();
        graph.run(&mut state, &inputs, Rate(0)).unwrap();
        let mut late = state.clone();
        for state in [&mut early, &mut late] {
            assert!(graph.output(state, 0).is_err(), "nothing has run yet");
            // A clone has nothing of the other's, so it computes all.
            graph.run(state, &inputs, Rate(1)).unwrap();
            let found = graph.values::<f32>(state, 0).unwrap();
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-6, "{found} for {wanted}");
            }
        }
    }
}

#[test]
fn a_clone_of_a_state_has_the_weights() {
    for execution in BOTH {
        let file = source(
            vec![node("Gather", &["table", "ids"], "rows")],
            vec![value("ids", DataType::Int64, &[1])],
            vec![value("rows", DataType::Float, &[1, 1])],
            vec![floats("table", &[2, 1], &[1.0, 2.0])],
        );
        let graph = load_with(
            execution,
            file,
            &[("ids", Element::I64, &[1], 0)],
            &["rows"],
        )
        .unwrap();
        let mut state = graph.state().unwrap();
        let inputs = [View::of(&[1], &[1_i64]).unwrap()];
        let early = state.clone();
        graph.run(&mut state, &inputs, Rate(0)).unwrap();
        for mut clone in [early, state.clone()] {
            graph.run(&mut clone, &inputs, Rate(0)).unwrap();
            assert_eq!(
                graph.values::<f32>(&clone, 0).unwrap(),
                [2.0],
                "{execution:?}"
            );
        }
    }
}

#[test]
fn a_node_that_fails_is_named() {
    let gather = || {
        source(
            vec![node("Gather", &["table", "ids"], "rows")],
            vec![value("ids", DataType::Int64, &[1])],
            vec![value("rows", DataType::Float, &[1, 1])],
            vec![floats("table", &[2, 1], &[1.0, 2.0])],
        )
    };
    let graph = load(gather(), &[("ids", Element::I64, &[1], 0)], &["rows"]);
    let mut state = graph.state().unwrap();
    let inputs = [View::of(&[1], &[7_i64]).unwrap()];
    let error = graph.run(&mut state, &inputs, Rate(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "test.onnx: inference failed: node \"Gather_rows\": entry 7 of 2"
    );
}

#[test]
fn what_depends_on_slower_inputs_alone_is_kept() {
    // Three rates: x, x + y, (x + y) * z; the values tell which of them was computed.
    let three = source(
        vec![
            node("Mul", &["x", "x"], "slow"),
            node("Add", &["slow", "y"], "middle"),
            node("Mul", &["middle", "z"], "fast"),
        ],
        ["x", "y", "z"]
            .map(|name| value(name, DataType::Float, &[1]))
            .to_vec(),
        vec![
            value("fast", DataType::Float, &[1]),
            value("slow", DataType::Float, &[1]),
        ],
        vec![],
    );
    let one: &[usize] = &[1];
    let graph = load(
        three,
        &[
            ("x", Element::F32, one, 0),
            ("y", Element::F32, one, 1),
            ("z", Element::F32, one, 2),
        ],
        &["fast", "slow"],
    );
    let mut state = graph.state().unwrap();
    let mut run = |[x, y, z]: [f32; 3], changed: u8| {
        let inputs = [[x], [y], [z]];
        let views = inputs.each_ref().map(|x| View::of(one, x).unwrap());
        graph.run(&mut state, &views, Rate(changed)).unwrap();
        let output = |index| graph.values::<f32>(&state, index).unwrap()[0];
        [output(0), output(1)]
    };
    // The first run computes all, whatever it is told.
    assert_eq!(run([2.0, 1.0, 10.0], 2), [50.0, 4.0]);
    assert_eq!(run([3.0, 2.0, 100.0], 2), [500.0, 4.0]);
    assert_eq!(run([3.0, 2.0, 100.0], 1), [600.0, 4.0]);
    assert_eq!(run([3.0, 2.0, 100.0], 0), [1100.0, 9.0]);
    let kept: Vec<bool> = graph.ops().iter().map(|op| op.once).collect();
    assert_eq!(kept, [true, true, false]);
}

#[test]
fn a_failed_run_leaves_a_state_that_computes_all() {
    let graph = load(
        wave(),
        &[("a", Element::F32, &[2], 0), ("b", Element::F32, &[2], 1)],
        &["sum", "wave"],
    );
    let mut state = graph.state().unwrap();
    let (a, b) = ([1.0_f32, 2.0], [0.0_f32; 2]);
    let inputs = [View::of(&[2], &a).unwrap(), View::of(&[2], &b).unwrap()];
    graph.run(&mut state, &inputs, Rate(0)).unwrap();
    let wrong = [inputs[0], View::of(&[1, 2], &b).unwrap()];
    let refused = graph.run(&mut state, &wrong, Rate(1)).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("test.onnx: inference failed: input 1 is F32[1, 2]")
    );
    assert!(graph.run(&mut state, &inputs[..1], Rate(1)).is_err());
    assert!(graph.output(&state, 0).is_err());
    graph.run(&mut state, &inputs, Rate(1)).unwrap();
    let wave = graph.values::<f32>(&state, 1).unwrap();
    assert!((wave[0] - 1.0_f32.atan()).abs() < 1e-6);
}

#[test]
fn an_output_that_is_an_input_is_read_after_the_inputs_have_gone() {
    let through = source(
        vec![node("Identity", &["x"], "same"), node("Relu", &["x"], "y")],
        vec![value("x", DataType::Float, &[2])],
        vec![
            value("same", DataType::Float, &[2]),
            value("y", DataType::Float, &[2]),
        ],
        vec![],
    );
    let graph = load(through, &[("x", Element::F32, &[2], 0)], &["same", "y"]);
    let mut state = graph.state().unwrap();
    {
        let x = vec![-1.0_f32, 2.0];
        let input = [View::of(&[2], &x).unwrap()];
        graph.run(&mut state, &input, Rate(0)).unwrap();
    }
    assert_eq!(graph.values::<f32>(&state, 0).unwrap(), [-1.0, 2.0]);
    assert_eq!(graph.values::<f32>(&state, 1).unwrap(), [0.0, 2.0]);
}

#[test]
fn outputs_of_one_graph_are_fed_to_another_as_they_are() {
    let double = || {
        source(
            vec![node("Add", &["x", "x"], "y")],
            vec![value("x", DataType::Float, &[3])],
            vec![value("y", DataType::Float, &[3])],
            vec![],
        )
    };
    let feed: &[(&str, Element, &[usize], u8)] = &[("x", Element::F32, &[3], 0)];
    let (first, second) = (load(double(), feed, &["y"]), load(double(), feed, &["y"]));
    let mut before = first.state().unwrap();
    let mut after = second.state_beside(&before).unwrap();
    let x = [View::of(&[3], &[1.0_f32, 2.0, 3.0]).unwrap()];
    first.run(&mut before, &x, Rate(0)).unwrap();
    let handed = [first.output(&before, 0).unwrap()];
    second.run(&mut after, &handed, Rate(0)).unwrap();
    assert_eq!(second.values::<f32>(&after, 0).unwrap(), [4.0, 8.0, 12.0]);
}

#[test]
fn every_element_type_is_fed_and_read() {
    let types = [
        (Element::Bool, DataType::Bool),
        (Element::I8, DataType::Int8),
        (Element::U8, DataType::Uint8),
        (Element::I16, DataType::Int16),
        (Element::U16, DataType::Uint16),
        (Element::I32, DataType::Int32),
        (Element::U32, DataType::Uint32),
        (Element::I64, DataType::Int64),
        (Element::U64, DataType::Uint64),
        (Element::F16, DataType::Float16),
        (Element::F32, DataType::Float),
        (Element::F64, DataType::Double),
    ];
    assert_eq!(types.len(), Element::ALL.len());
    for ((element, data), execution) in types
        .into_iter()
        .flat_map(|kind| BOTH.map(|execution| (kind, execution)))
    {
        let graph = source(
            vec![
                cast("x", "floats", DataType::Float),
                node("Add", &["floats", "half"], "sum"),
                node("Concat", &["x", "x"], "twice"),
            ]
            .into_iter()
            .map(|mut node| {
                if node.op_type == "Concat" {
                    node.attribute.push(tract_onnx::pb::AttributeProto {
                        name: "axis".to_owned(),
                        r#type: tract_onnx::pb::attribute_proto::AttributeType::Int as i32,
                        i: 0,
                        ..Default::default()
                    });
                }
                node
            })
            .collect(),
            vec![value("x", data, &[2])],
            vec![
                value("sum", DataType::Float, &[2]),
                value("twice", data, &[4]),
            ],
            vec![floats("half", &[1], &[0.5])],
        );
        // 0 and 1, which every type has.
        let mut x = Tensor::zeros(TensorSpec::new(element, &[2])).unwrap();
        let one = match element {
            Element::Bool | Element::I8 | Element::U8 => vec![0, 1],
            Element::I16 | Element::U16 => bytes(&[0_u16, 1]),
            Element::I32 | Element::U32 => bytes(&[0_u32, 1]),
            Element::I64 | Element::U64 => bytes(&[0_u64, 1]),
            Element::F16 => bytes(&[0_u16, 0x3c00]),
            Element::F32 => bytes(&[0.0_f32, 1.0]),
            Element::F64 => bytes(&[0.0_f64, 1.0]),
        };
        let words: Vec<u64> = vec![0; one.len().div_ceil(8)];
        let mut aligned: Vec<u64> = words;
        let aligned: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
        aligned[..one.len()].copy_from_slice(&one);
        x.copy_from(View::new(element, &[2], &aligned[..one.len()]).unwrap())
            .unwrap();
        let mut graph = BareGraph::fed(graph, execution, vec![("x", x)])
            .unwrap_or_else(|e| panic!("{element} {execution:?}: {e}"));
        graph
            .run()
            .unwrap_or_else(|e| panic!("{element} {execution:?}: {e}"));
        let sum = graph.output(0).unwrap();
        assert_eq!(
            sum.values::<f32>().unwrap(),
            [0.5, 1.5],
            "{element} {execution:?}"
        );
        let twice = graph.output(1).unwrap();
        assert_eq!(twice.element(), Some(element), "{execution:?}");
        assert_eq!(twice.shape(), [4]);
        assert_eq!(
            twice.bytes(),
            [&*one, &*one].concat(),
            "{element} {execution:?}"
        );
    }
}

fn bytes<T: bytemuck::Pod>(values: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

#[test]
fn an_output_of_another_type_is_named() {
    let whole = source(
        vec![cast("x", "y", DataType::Int32)],
        vec![value("x", DataType::Float, &[2])],
        vec![value("y", DataType::Int32, &[2])],
        vec![],
    );
    let graph = load(whole, &[("x", Element::F32, &[2], 0)], &["y"]);
    let mut state = graph.state().unwrap();
    let x = [View::of(&[2], &[1.5_f32, -2.0]).unwrap()];
    graph.run(&mut state, &x, Rate(0)).unwrap();
    assert_eq!(graph.values::<i32>(&state, 0).unwrap(), [1, -2]);
    assert_eq!(
        graph.values::<f32>(&state, 0).unwrap_err().to_string(),
        "test.onnx: output \"y\" is i32[2], not f32"
    );
}

#[test]
fn integers_made_from_floats_are_read_as_integers() {
    for execution in BOTH {
        let whole = source(
            vec![cast("x", "y", DataType::Int64)],
            vec![value("x", DataType::Float, &[3])],
            vec![value("y", DataType::Int64, &[3])],
            vec![],
        );
        let mut x = Tensor::zeros(TensorSpec::new(Element::F32, &[3])).unwrap();
        x.values_mut::<f32>()
            .unwrap()
            .copy_from_slice(&[3.7, -2.2, 0.0]);
        let mut graph = BareGraph::fed(whole, execution, vec![("x", x)]).unwrap();
        graph.run().unwrap();
        let y = graph.output(0).unwrap();
        assert_eq!(y.values::<i64>().unwrap(), [3, -2, 0], "{execution:?}");
        assert_eq!(graph.outputs()[0].1.to_string(), "i64[3]");
    }
}

#[test]
fn tensors_without_values_are_fed_and_read() {
    for execution in BOTH {
        let nothing = source(
            vec![node("Relu", &["x"], "y")],
            vec![value("x", DataType::Float, &[0, 3])],
            vec![value("y", DataType::Float, &[0, 3])],
            vec![],
        );
        let x = Tensor::zeros(TensorSpec::new(Element::F32, &[0, 3])).unwrap();
        let mut graph = BareGraph::fed(nothing, execution, vec![("x", x)]).unwrap();
        graph.run().unwrap();
        let y = graph.output(0).unwrap();
        assert_eq!(
            (y.shape(), y.values::<f32>().unwrap().len()),
            (&[0, 3][..], 0)
        );
    }
}

#[test]
fn a_recurrent_layer_starts_anew_in_each_run() {
    let layer = || {
        let mut lstm = node("LSTM", &["x", "w", "r"], "all");
        lstm.output.push("last".to_owned());
        lstm.attribute.push(tract_onnx::pb::AttributeProto {
            name: "hidden_size".to_owned(),
            r#type: tract_onnx::pb::attribute_proto::AttributeType::Int as i32,
            i: 2,
            ..Default::default()
        });
        source(
            vec![lstm],
            vec![value("x", DataType::Float, &[3, 1, 2])],
            vec![value("last", DataType::Float, &[1, 1, 2])],
            vec![
                floats("w", &[1, 8, 2], &[0.3; 16]),
                floats("r", &[1, 8, 2], &[0.2; 16]),
            ],
        )
    };
    for execution in BOTH {
        let mut x = Tensor::zeros(TensorSpec::new(Element::F32, &[3, 1, 2])).unwrap();
        x.values_mut::<f32>().unwrap().fill(0.5);
        let mut graph = BareGraph::fed(layer(), execution, vec![("x", x)]).unwrap();
        let mut run = || {
            graph.run().unwrap();
            graph.output(0).unwrap().values::<f32>().unwrap().to_vec()
        };
        let first = run();
        assert!(first[0] > 0.05 && first[0] < 1.0, "{first:?}");
        assert_eq!(run(), first, "{execution:?}");
    }
}

#[test]
fn what_is_fed_must_fit_the_graph() {
    let f32s: (Element, &[usize]) = (Element::F32, &[2]);
    let told = |feeds: &[(&str, Element, &[usize], u8)], outputs: &[&str]| {
        try_load(wave(), feeds, outputs).unwrap_err().to_string()
    };
    let a = ("a", f32s.0, f32s.1, 0);
    let b = ("b", f32s.0, f32s.1, 0);
    assert_eq!(
        told(&[a, b, ("c", f32s.0, f32s.1, 0)], &["sum"]),
        "test.onnx: has no input \"c\""
    );
    assert_eq!(told(&[a], &["sum"]), "test.onnx: input \"b\" is not fed");
    assert_eq!(
        told(&[a, b], &["difference"]),
        "test.onnx: has no output \"difference\""
    );
    assert_eq!(
        told(&[a, ("b", Element::I64, f32s.1, 0)], &["sum"]),
        "test.onnx: input \"b\" is f32[2] in the graph, i64[2] is fed"
    );
}
