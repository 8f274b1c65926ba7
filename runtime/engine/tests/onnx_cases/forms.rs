//! Forms of operators that were refused or wrong, with the values that ONNX Runtime gives.

use wink_engine::{OnnxElement as Element, Value};

use super::build::{Model, f32s, float, i64s, int, ints, near, text, whole};

#[test]
fn a_quotient_is_rounded_once() {
    // By a reciprocal, some of these come out below 1, and their floors as 0.
    let x: Vec<f32> = (1..200).map(|v| v as f32 / 7.0).collect();
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(x.len())])
        .op("Div", "x,x", "q", vec![])
        .op("Floor", "q", "y", vec![])
        .output("y", Element::F32);
    near(
        &model.one(&[("x", f32s(&[x.len()], &x))]),
        &[x.len()],
        &vec![1.0; x.len()],
        0.0,
    );
    let thirds = Model::new(17)
        .input("x", Element::F32, &[Some(x.len())])
        .weight("three", &f32s(&[], &[3.0]))
        .op("Div", "x,three", "y", vec![])
        .output("y", Element::F32);
    let wanted: Vec<f64> = x.iter().map(|v| f64::from(v / 3.0)).collect();
    near(
        &thirds.one(&[("x", f32s(&[x.len()], &x))]),
        &[x.len()],
        &wanted,
        0.0,
    );
}

#[test]
fn floats_out_of_range_become_integers_as_processors_convert_them() {
    let x = [-3.7, -1.0, 0.2, 300.7, 3e9];
    for (to, wanted) in [
        (
            Element::U32,
            [4_294_967_293.0, 4_294_967_295.0, 0.0, 300.0, 3e9],
        ),
        (
            Element::U64,
            [
                18_446_744_073_709_551_613.0,
                18_446_744_073_709_551_615.0,
                0.0,
                300.0,
                3e9,
            ],
        ),
        (Element::U8, [253.0, 255.0, 0.0, 44.0, 0.0]),
        (Element::I16, [-3.0, -1.0, 0.0, 300.0, 0.0]),
        (Element::I32, [-3.0, -1.0, 0.0, 300.0, -2_147_483_648.0]),
    ] {
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(5)])
            .op("Cast", "x", "y", vec![int("to", i64::from(to.onnx()))])
            .output("y", to);
        let found = model.one(&[("x", f32s(&[5], &x))]);
        near(&found, &[5], &wanted, 0.0);
    }
}

#[test]
fn a_bound_that_is_not_a_number_is_none() {
    let nan = f32::NAN;
    for (low, high, wanted) in [
        (nan, 1.0, [-2.0, 0.5, f64::NAN, 1.0]),
        (0.0, nan, [0.0, 0.5, f64::NAN, 3.0]),
        (1.0, 0.0, [0.0, 0.0, f64::NAN, 0.0]),
    ] {
        let model = Model::new(13)
            .input("x", Element::F32, &[Some(4)])
            .weight("low", &f32s(&[], &[low]))
            .weight("high", &f32s(&[], &[high]))
            .op("Clip", "x,low,high", "y", vec![])
            .output("y", Element::F32);
        near(
            &model.one(&[("x", f32s(&[4], &[-2.0, 0.5, nan, 3.0]))]),
            &[4],
            &wanted,
            0.0,
        );
    }
}

#[test]
fn shapes_that_are_inputs() {
    let x = || f32s(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let of = |op: &str, inputs: &str, attributes| {
        Model::new(18)
            .input("x", Element::F32, &[Some(2), Some(3)])
            .input("n", Element::I64, &[None])
            .op(op, inputs, "y", attributes)
            .output("y", Element::F32)
    };
    let reshaped = of("Reshape", "x,n", vec![]).one(&[("x", x()), ("n", i64s(&[2], &[3, -1]))]);
    assert_eq!(reshaped.shape, [3, 2]);
    let sums = of("ReduceSum", "x,n", vec![]);
    near(
        &sums.one(&[("x", x()), ("n", i64s(&[1], &[0]))]),
        &[1, 3],
        &[5.0, 7.0, 9.0],
        0.0,
    );
    near(
        &sums.one(&[("x", x()), ("n", i64s(&[1], &[1]))]),
        &[2, 1],
        &[6.0, 15.0],
        0.0,
    );
    // Nothing but constants is left.
    let filled = Model::new(18)
        .input("n", Element::I64, &[Some(1)])
        .op("ConstantOfShape", "n", "y", vec![])
        .output("y", Element::F32);
    near(
        &filled.one(&[("n", i64s(&[1], &[2]))]),
        &[2],
        &[0.0, 0.0],
        0.0,
    );
    // What is wrong is what was wrong at first.
    let told = sums
        .run(&[("x", x()), ("n", i64s(&[1], &[7]))])
        .unwrap_err();
    assert!(told.contains("node_ReduceSum"), "{told}");
}

/// Two queries, three keys: the scores with what is done to them, and the result.
#[test]
fn scores_of_attention() {
    let q = f32s(&[1, 1, 2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let k = f32s(&[1, 1, 3, 2], &[1.0, 2.0, 3.0, -1.0, 0.0, 1.0]);
    let raw = [1.0, 3.0, 0.0, 2.0, -1.0, 1.0];
    let least = f64::from(f32::MIN);
    let capped: Vec<f64> = raw.iter().map(|v: &f64| 2.0 * (v / 2.0).tanh()).collect();
    let masked = [capped[0], least, least, capped[3], capped[4], least];
    for (mode, wanted) in [(0, &raw[..]), (1, &capped), (2, &masked)] {
        for set in [23, 24] {
            let attributes = vec![
                int("is_causal", 1),
                int("qk_matmul_output_mode", mode),
                float("scale", 1.0),
                float("softcap", 2.0),
            ];
            let made = Model::new(set)
                .input("q", Element::F32, &[Some(1), Some(1), Some(2), Some(2)])
                .input("k", Element::F32, &[Some(1), Some(1), Some(3), Some(2)])
                .op("Attention", "q,k,k", "y,,,s", attributes)
                .output("s", Element::F32)
                .one(&[("q", q.clone()), ("k", k.clone())]);
            near(&made, &[1, 1, 2, 3], wanted, 1e-5);
        }
    }
}

#[test]
fn a_window_of_keys() {
    let ones = |rows: usize| f32s(&[1, 1, rows, 1], &vec![0.0; rows]);
    let attributes = vec![int("left_window_size", 1), int("right_window_size", 0)];
    let made = Model::new(25)
        .input("q", Element::F32, &[Some(1), Some(1), Some(3), Some(1)])
        .input("v", Element::F32, &[Some(1), Some(1), Some(3), Some(1)])
        .op("Attention", "q,q,v", "y", attributes)
        .output("y", Element::F32)
        .one(&[("q", ones(3)), ("v", f32s(&[1, 1, 3, 1], &[2.0, 4.0, 8.0]))]);
    near(&made, &[1, 1, 3, 1], &[2.0, 3.0, 6.0], 1e-6);
}

#[test]
fn only_the_first_cached_keys_count() {
    let made = Model::new(24)
        .input("q", Element::F32, &[Some(1), Some(1), Some(1), Some(1)])
        .input("k", Element::F32, &[Some(1), Some(1), Some(3), Some(1)])
        .input("n", Element::I64, &[Some(1)])
        .op("Attention", "q,k,k,,,,n", "y", vec![int("is_causal", 1)])
        .output("y", Element::F32)
        .one(&[
            ("q", f32s(&[1, 1, 1, 1], &[0.0])),
            ("k", f32s(&[1, 1, 3, 1], &[2.0, 4.0, 9.0])),
            ("n", i64s(&[1], &[2])),
        ]);
    near(&made, &[1, 1, 1, 1], &[3.0], 1e-6);
}

#[test]
fn losses() {
    let x = f32s(&[2, 3], &[1.0, 2.0, 3.0, 0.5, 0.5, 0.5]);
    let labels = i64s(&[2], &[2, 0]);
    let of = |op: &str, reduction: &str| {
        Model::new(13)
            .input("x", Element::F32, &[Some(2), Some(3)])
            .weight("labels", &labels)
            .weight("weights", &f32s(&[3], &[1.0, 1.0, 3.0]))
            .op(
                op,
                "x,labels,weights",
                "y",
                vec![text("reduction", reduction)],
            )
            .output("y", Element::F32)
            .one(&[("x", x.clone())])
    };
    near(
        &of("NegativeLogLikelihoodLoss", "none"),
        &[2],
        &[-9.0, -0.5],
        1e-6,
    );
    near(
        &of("NegativeLogLikelihoodLoss", "mean"),
        &[],
        &[-9.5 / 4.0],
        1e-6,
    );
    let cross = [3.0 * 0.407_606, 1.098_612];
    near(&of("SoftmaxCrossEntropyLoss", "none"), &[2], &cross, 1e-5);
    near(
        &of("SoftmaxCrossEntropyLoss", "sum"),
        &[],
        &[cross[0] + cross[1]],
        1e-5,
    );
}

#[test]
fn operators_that_were_missing() {
    let one = |set,
               op: &str,
               inputs: &str,
               weights: &[(&str, Value<'static>)],
               attributes,
               x: Value<'static>,
               to| {
        let shape: Vec<Option<usize>> = x.shape.iter().map(|&length| Some(length)).collect();
        let mut model = Model::new(set).input("x", x.element, &shape);
        for (name, value) in weights {
            model = model.weight(name, value);
        }
        model
            .op(op, inputs, "y", attributes)
            .output("y", to)
            .one(&[("x", x)])
    };
    let squares = f32s(&[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 0.0, 2.0, 1.0, 1.0]);
    let found = one(11, "Det", "x", &[], vec![], squares, Element::F32);
    near(&found, &[2], &[-2.0, -2.0], 1e-6);
    let bits = vec![int("to", i64::from(Element::I32.onnx()))];
    let found = one(
        26,
        "BitCast",
        "x",
        &[],
        bits,
        f32s(&[2], &[1.0, -2.0]),
        Element::I32,
    );
    assert_eq!(found.ints(), [0x3f80_0000, i128::from(-0x4000_0000_i32)]);
    let lengths = [("n", i64s(&[2], &[2, 5]))];
    let row = f32s(
        &[4, 3],
        &[0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0],
    );
    let found = one(
        18,
        "CenterCropPad",
        "x,n",
        &lengths,
        vec![],
        row,
        Element::F32,
    );
    let wanted = [0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0];
    near(&found, &[2, 5], &wanted, 0.0);
    let new = [
        ("u", f32s(&[1, 2, 1], &[8.0, 9.0])),
        ("at", i64s(&[1], &[2])),
    ];
    let cache = f32s(&[1, 3, 1], &[1.0, 2.0, 3.0]);
    let circular = vec![text("mode", "circular")];
    let found = one(
        24,
        "TensorScatter",
        "x,u,at",
        &new,
        circular,
        cache,
        Element::F32,
    );
    near(&found, &[1, 3, 1], &[9.0, 2.0, 8.0], 0.0);
    let flags = vec![ints("axes", &[1]), int("keepdims", 2)];
    let found = one(
        17,
        "ReduceMax",
        "x",
        &[],
        flags,
        whole(Element::I32, &[1, 2], &[3, 4]),
        Element::I32,
    );
    assert_eq!((found.shape.len(), found.ints()), (1, vec![4]));
}
