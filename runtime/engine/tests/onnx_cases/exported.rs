//! Forms that exporters write.

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{StringStringEntryProto, TensorProto};
use wink_engine::{OnnxElement as Element, Value};

use super::build::{
    Model, f32s, float, graph, i64s, int, ints, near, run_file, some, text, value_info, whole,
};

fn doubled(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v) * 2.0).collect()
}

#[test]
fn weights_beside_the_graph() {
    let folder = tempfile::tempdir().unwrap();
    // One that is read at once, and one that is mapped when tract makes its tensors.
    for count in [4, 1 << 17] {
        let values = some(count);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(
            folder.path().join("model.onnx.data"),
            [&[0; 8], &*bytes].concat(),
        )
        .unwrap();
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: key.into(),
            value,
        };
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(count)])
            .tensor(TensorProto {
                name: "w".into(),
                data_type: Element::F32.onnx(),
                dims: vec![count as i64],
                data_location: Some(DataLocation::External as i32),
                external_data: vec![
                    entry("location", "model.onnx.data".into()),
                    entry("offset", "8".into()),
                    entry("length", bytes.len().to_string()),
                ],
                ..TensorProto::default()
            })
            .op("Add", "x,w", "y", vec![])
            .output("y", Element::F32);
        let file = folder.path().join("model.onnx");
        model.write(&file);
        let outputs = run_file(&file, &[("x", f32s(&[count], &values))]).unwrap();
        near(&outputs[0], &[count], &doubled(&values), 0.0);
    }
}

#[test]
fn every_element_type_can_be_fed() {
    for element in [
        Element::Bool,
        Element::I8,
        Element::I16,
        Element::I32,
        Element::I64,
        Element::U8,
        Element::U16,
        Element::U32,
        Element::U64,
        Element::F16,
        Element::F32,
        Element::F64,
    ] {
        let model = Model::new(17)
            .input("x", element, &[Some(4)])
            .op(
                "Cast",
                "x",
                "y",
                vec![int("to", i64::from(Element::F32.onnx()))],
            )
            .output("y", Element::F32)
            .output("x", element);
        let x = whole(element, &[4], &[0, 1, 1, 0]);
        let outputs = model.run(&[("x", x.clone())]).unwrap();
        near(&outputs[0], &[4], &[0.0, 1.0, 1.0, 0.0], 0.0);
        assert_eq!(outputs[1], x, "{element}");
    }
}

#[test]
fn an_open_batch_and_shapes_of_another_one() {
    let mut model = Model::new(17)
        .input("x", Element::F32, &[None, Some(3)])
        .weight("w", &f32s(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
        .op("MatMul", "x,w", "h", vec![])
        .op("Relu", "h", "y", vec![])
        .output("y", Element::F32);
    // Left over from the export, where the batch was 7.
    model
        .graph()
        .value_info
        .push(value_info("h", Element::F32, &[Some(7), Some(2)]));
    model.graph().output[0] = value_info("y", Element::F32, &[Some(7), Some(2)]);
    for batch in [1, 2, 5] {
        let x = vec![1.0; batch * 3];
        near(
            &model.one(&[("x", f32s(&[batch, 3], &x))]),
            &[batch, 2],
            &vec![2.0; batch * 2],
            1e-6,
        );
    }
}

#[test]
fn a_condition_that_follows_from_shapes() {
    let outputs = |name: &str| vec![value_info(name, Element::F32, &[])];
    for (rows, wanted) in [(1, vec![3]), (2, vec![2, 3])] {
        let mut squeezed = Model::new(17)
            .op("Squeeze", "x,zero", "t", vec![])
            .proto
            .graph
            .unwrap();
        squeezed.output = outputs("t");
        let mut kept = Model::new(17)
            .op("Identity", "x", "e", vec![])
            .proto
            .graph
            .unwrap();
        kept.output = outputs("e");
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(rows), Some(3)])
            .weight("zero", &i64s(&[1], &[0]))
            .weight("first", &i64s(&[], &[0]))
            .weight("one", &i64s(&[], &[1]))
            .op("Shape", "x", "s", vec![])
            .op("Gather", "s,first", "d", vec![])
            .op("Equal", "d,one", "c", vec![])
            .op(
                "If",
                "c",
                "q",
                vec![graph("then_branch", squeezed), graph("else_branch", kept)],
            )
            .op("Neg", "q", "y", vec![])
            .output("y", Element::F32);
        let x = some(rows * 3);
        let negative: Vec<f64> = x.iter().map(|&v| -f64::from(v)).collect();
        near(
            &model.one(&[("x", f32s(&[rows, 3], &x))]),
            &wanted,
            &negative,
            0.0,
        );
    }
}

#[test]
fn inputs_and_weights_as_outputs() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .input("m", Element::Bool, &[Some(3)])
        .weight("k", &i64s(&[2], &[5, 6]))
        .op("Relu", "x", "y", vec![])
        .output("k", Element::I64)
        .output("m", Element::Bool)
        .output("y", Element::F32);
    let mask = whole(Element::Bool, &[3], &[1, 0, 1]);
    let outputs = model
        .run(&[("x", f32s(&[2], &[-1.0, 2.0])), ("m", mask.clone())])
        .unwrap();
    assert_eq!(outputs[0], i64s(&[2], &[5, 6]));
    assert_eq!(outputs[1], mask);
    near(&outputs[2], &[2], &[0.0, 2.0], 0.0);
}

#[test]
fn outputs_without_a_name() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("Dropout", "x", "y,", vec![])
        .output("y", Element::F32);
    near(
        &model.one(&[("x", f32s(&[2], &[-1.0, 2.0]))]),
        &[2],
        &[-1.0, 2.0],
        0.0,
    );
}

#[test]
fn tensors_without_elements() {
    let concat = Model::new(17)
        .input("p", Element::F32, &[Some(1), Some(0), Some(2)])
        .input("x", Element::F32, &[Some(1), Some(2), Some(2)])
        .op("Concat", "p,x", "y", vec![int("axis", 1)])
        .output("y", Element::F32);
    let x = f32s(&[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    near(
        &concat.one(&[("p", f32s(&[1, 0, 2], &[])), ("x", x)]),
        &[1, 2, 2],
        &[1.0, 2.0, 3.0, 4.0],
        0.0,
    );
    let product = Model::new(17)
        .input("a", Element::F32, &[Some(2), Some(0)])
        .input("b", Element::F32, &[Some(0), Some(3)])
        .op("MatMul", "a,b", "y", vec![])
        .output("y", Element::F32);
    near(
        &product.one(&[("a", f32s(&[2, 0], &[])), ("b", f32s(&[0, 3], &[]))]),
        &[2, 3],
        &[0.0; 6],
        0.0,
    );
    let reshaped = Model::new(17)
        .input("x", Element::F32, &[Some(0), Some(3), Some(4)])
        .weight("s", &i64s(&[2], &[0, 12]))
        .op("Reshape", "x,s", "y", vec![int("allowzero", 1)])
        .output("y", Element::F32);
    near(
        &reshaped.one(&[("x", f32s(&[0, 3, 4], &[]))]),
        &[0, 12],
        &[],
        0.0,
    );
}

#[test]
fn unsigned_numbers_where_the_standard_puts_them() {
    for element in [Element::U32, Element::U64] {
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(2)])
            .tensor(TensorProto {
                name: "u".into(),
                data_type: element.onnx(),
                dims: vec![2],
                uint64_data: vec![3, 4_000_000_000],
                ..TensorProto::default()
            })
            .op("Cast", "u", "f", vec![int("to", 1)])
            .op("Add", "x,f", "y", vec![])
            .output("y", Element::F32);
        near(
            &model.one(&[("x", f32s(&[2], &[1.0, 0.0]))]),
            &[2],
            &[4.0, 4e9],
            0.0,
        );
    }
}

#[test]
fn half_precision_throughout() {
    let half = |shape: &[usize], values: &[f32]| {
        Value::of_floats(Element::F16, shape, values.iter().map(|&v| f64::from(v)))
    };
    let model = Model::new(17)
        .input("x", Element::F16, &[Some(1), Some(4)])
        .weight(
            "w",
            &half(&[4, 2], &[0.5, 1.0, -0.25, 2.0, 1.5, -1.0, 0.125, 0.75]),
        )
        .weight("g", &half(&[2], &[1.0, 2.0]))
        .op("MatMul", "x,w", "h", vec![])
        .op(
            "LayerNormalization",
            "h,g",
            "n",
            vec![float("epsilon", 0.0)],
        )
        .op("Relu", "n", "y", vec![])
        .output("y", Element::F16);
    let found = model.one(&[("x", half(&[1, 4], &[1.0, 2.0, -1.0, 0.5]))]);
    assert_eq!(found.element, Element::F16);
    // The row is [-1.4375, 6.375]; normalised it is [-1, 1].
    near(&found, &[1, 2], &[0.0, 2.0], 1e-3);
}

#[test]
fn a_cast_to_half_rounds() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op(
            "Cast",
            "x",
            "h",
            vec![int("to", i64::from(Element::F16.onnx()))],
        )
        .op("Cast", "h", "y", vec![int("to", 1)])
        .output("y", Element::F32);
    near(
        &model.one(&[("x", f32s(&[2], &[2049.0, 0.1]))]),
        &[2],
        &[2048.0, 0.099_975_586],
        1e-9,
    );
}

#[test]
fn gains_that_are_no_constant_row() {
    let x = [1.0_f32, 3.0, -1.0, 1.0, 0.0, 4.0, 2.0, 2.0];
    let normalised = |row: &[f32]| -> Vec<f64> {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
        let variance = row
            .iter()
            .map(|&v| (f64::from(v) - mean).powi(2))
            .sum::<f64>()
            / row.len() as f64;
        row.iter()
            .map(|&v| (f64::from(v) - mean) / (variance + 1e-5).sqrt())
            .collect()
    };
    let rows: Vec<f64> = x.chunks(4).flat_map(normalised).collect();
    let base = || {
        Model::new(17)
            .input("x", Element::F32, &[Some(2), Some(4)])
            .output("y", Element::F32)
    };
    let scalar = base()
        .weight("g", &f32s(&[1], &[2.0]))
        .weight("b", &f32s(&[1], &[0.5]))
        .op("LayerNormalization", "x,g,b", "y", vec![]);
    let wanted: Vec<f64> = rows.iter().map(|v| v * 2.0 + 0.5).collect();
    near(
        &scalar.one(&[("x", f32s(&[2, 4], &x))]),
        &[2, 4],
        &wanted,
        1e-5,
    );
    let given = base()
        .input("g", Element::F32, &[Some(4)])
        .input("b", Element::F32, &[Some(4)])
        .op("LayerNormalization", "x,g,b", "y", vec![]);
    let (gain, bias) = ([1.0, -1.0, 0.5, 2.0], [0.0, 1.0, 2.0, 3.0]);
    let wanted: Vec<f64> = rows
        .iter()
        .enumerate()
        .map(|(at, v)| v * f64::from(gain[at % 4]) + f64::from(bias[at % 4]))
        .collect();
    let inputs = [
        ("x", f32s(&[2, 4], &x)),
        ("g", f32s(&[4], &gain)),
        ("b", f32s(&[4], &bias)),
    ];
    near(&given.one(&inputs), &[2, 4], &wanted, 1e-5);
    let both_axes = base().weight("g", &f32s(&[2, 4], &[1.0; 8])).op(
        "LayerNormalization",
        "x,g",
        "y",
        vec![int("axis", 0)],
    );
    near(
        &both_axes.one(&[("x", f32s(&[2, 4], &x))]),
        &[2, 4],
        &normalised(&x),
        1e-5,
    );
}

#[test]
fn attention_with_bools_and_a_cap() {
    // One head of width 1: the products are q k.
    let model = |mask: Option<&[i64]>, attributes| {
        let model = Model::new(23)
            .input("q", Element::F32, &[Some(1), Some(1), Some(2), Some(1)])
            .input("k", Element::F32, &[Some(1), Some(1), Some(2), Some(1)])
            .input("v", Element::F32, &[Some(1), Some(1), Some(2), Some(1)])
            .output("y", Element::F32);
        match mask {
            Some(mask) => model.weight("m", &whole(Element::Bool, &[2, 2], mask)).op(
                "Attention",
                "q,k,v,m",
                "y",
                attributes,
            ),
            None => model.op("Attention", "q,k,v", "y", attributes),
        }
    };
    let shape = [1, 1, 2, 1];
    let inputs = [
        ("q", f32s(&shape, &[1.0, 2.0])),
        ("k", f32s(&shape, &[1.0, -1.0])),
        ("v", f32s(&shape, &[10.0, 20.0])),
    ];
    let masked = model(Some(&[1, 0, 0, 0]), vec![]);
    // The second row is masked whole: it attends to nothing.
    near(&masked.one(&inputs), &shape, &[10.0, 0.0], 1e-6);
    let capped = model(None, vec![float("softcap", 0.5), float("scale", 2.0)]);
    let row = |q: f64| {
        let score = |k: f64| (0.5 * (q * k * 2.0 / 0.5_f64).tanh()).exp();
        (score(1.0) * 10.0 + score(-1.0) * 20.0) / (score(1.0) + score(-1.0))
    };
    near(&capped.one(&inputs), &shape, &[row(1.0), row(2.0)], 1e-5);
}

#[test]
fn operators_that_other_runtimes_fuse() {
    let x = f32s(&[2, 3], &some(6));
    let product = Model::new(17)
        .input("x", Element::F32, &[Some(2), Some(3)])
        .weight("w", &f32s(&[2, 3], &[1.0, 0.0, 2.0, 0.0, 1.0, -1.0]))
        .op(
            "FusedMatMul",
            "x,w",
            "y",
            vec![int("transB", 1), float("alpha", 0.5)],
        )
        .of_microsoft()
        .output("y", Element::F32);
    let v = x.floats();
    let wanted: Vec<f64> = v
        .chunks(3)
        .flat_map(|r| [(r[0] + 2.0 * r[2]) / 2.0, (r[1] - r[2]) / 2.0])
        .collect();
    near(&product.one(&[("x", x)]), &[2, 2], &wanted, 1e-6);
    let image = some(2 * 9);
    let convolution = Model::new(17)
        .input("x", Element::F32, &[Some(1), Some(2), Some(3), Some(3)])
        .weight("w", &f32s(&[1, 2, 1, 1], &[1.0, -2.0]))
        .weight("b", &f32s(&[1], &[0.25]))
        .op(
            "FusedConv",
            "x,w,b",
            "y",
            vec![text("activation", "Relu"), ints("kernel_shape", &[1, 1])],
        )
        .of_microsoft()
        .output("y", Element::F32);
    let wanted: Vec<f64> = (0..9)
        .map(|at| f64::from(image[at] - 2.0 * image[9 + at] + 0.25).max(0.0))
        .collect();
    near(
        &convolution.one(&[("x", f32s(&[1, 2, 3, 3], &image))]),
        &[1, 1, 3, 3],
        &wanted,
        1e-5,
    );
}

#[test]
fn nodes_in_any_order() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2)])
        .op("Relu", "h", "y", vec![])
        .op("Neg", "x", "h", vec![])
        .output("y", Element::F32);
    near(
        &model.one(&[("x", f32s(&[2], &[-1.0, 2.0]))]),
        &[2],
        &[1.0, 0.0],
        0.0,
    );
    let model = model.op("Neg", "z", "z2", vec![]);
    let model = model.op("Neg", "z2", "z", vec![]);
    let told = model.run(&[("x", f32s(&[2], &[-1.0, 2.0]))]).unwrap_err();
    assert!(
        told.contains("reads what is made from its own output"),
        "{told}"
    );
}

#[test]
fn numbers_of_half_precision_are_rounded_before_a_cast() {
    let half = |value: f64| Value::of_floats(Element::F16, &[], std::iter::once(value));
    let scaled = Model::new(19)
        .input("x", Element::F32, &[Some(2)])
        .weight("s", &half(0.01))
        .weight("z", &whole(Element::I8, &[], &[0]))
        .op("QuantizeLinear", "x,t,z", "q", vec![])
        .weight("t", &f32s(&[], &[0.01]))
        .op("DequantizeLinear", "q,s,z", "d", vec![])
        .op("Cast", "d", "y", vec![int("to", 1)])
        .output("y", Element::F32);
    // The scale is 0.010002136; a hundred of it is 1.0002136 and rounds to 1.
    near(
        &scaled.one(&[("x", f32s(&[2], &[1.0, -1.0]))]),
        &[2],
        &[1.0, -1.0],
        0.0,
    );
    let sum = Model::new(17)
        .input("x", Element::F16, &[Some(1)])
        .weight("k", &half(2048.0))
        .op("Add", "x,k", "h", vec![])
        .op("Cast", "h", "y", vec![int("to", 1)])
        .output("y", Element::F32);
    let one = Value::of_floats(Element::F16, &[1], std::iter::once(1.0));
    near(&sum.one(&[("x", one)]), &[1], &[2048.0], 0.0);
}
