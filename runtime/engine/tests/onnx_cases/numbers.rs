//! Operators whose numbers were wrong.

use wink_engine::{OnnxElement as Element, Value};

use super::build::{Model, f32s, float, i64s, int, near, some, text};

fn of_floats(
    op: &str,
    opset: i64,
    attributes: Vec<tract_onnx::pb::AttributeProto>,
    x: &[f32],
) -> Value<'static> {
    let model = Model::new(opset)
        .input("x", Element::F32, &[Some(x.len())])
        .op(op, "x", "y", attributes)
        .output("y", Element::F32);
    model.one(&[("x", f32s(&[x.len()], x))])
}

#[test]
fn activations_keep_their_parameters() {
    let x: Vec<f32> = some(23).iter().map(|v| v * 8.0).collect();
    let expect = |of: &dyn Fn(f64) -> f64| x.iter().map(|&v| of(f64::from(v))).collect::<Vec<_>>();
    let celu = of_floats("Celu", 16, vec![float("alpha", 0.7)], &x);
    let alpha = f64::from(0.7_f32);
    near(
        &celu,
        &[23],
        &expect(&|v| {
            if v < 0.0 {
                alpha * (v / alpha).exp_m1()
            } else {
                v
            }
        }),
        1e-5,
    );
    let swish = of_floats("Swish", 24, vec![float("alpha", 1.702)], &x);
    let alpha = f64::from(1.702_f32);
    near(
        &swish,
        &[23],
        &expect(&|v| v / (1.0 + (-alpha * v).exp())),
        1e-5,
    );
}

#[test]
fn functions_of_extreme_numbers() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let softplus = of_floats(
        "Softplus",
        17,
        vec![],
        &[100.0, 250.0, -250.0, 0.0, inf, -inf, nan],
    );
    let ln2 = std::f64::consts::LN_2;
    near(
        &softplus,
        &[7],
        &[100.0, 250.0, 0.0, ln2, f64::INFINITY, 0.0, f64::NAN],
        1e-4,
    );
    let exp = of_floats("Exp", 17, vec![], &[88.5, 89.0, -100.0, inf, -inf, nan]);
    near(
        &exp,
        &[6],
        &[
            2.723_087e38,
            f64::INFINITY,
            3.783_506e-44,
            f64::INFINITY,
            0.0,
            f64::NAN,
        ],
        1e33,
    );
    assert_eq!(exp.floats()[2], f64::from(3.8e-44_f32));
    let relu = of_floats("Relu", 17, vec![], &[nan, -1.0, inf, -inf]);
    near(&relu, &[4], &[f64::NAN, 0.0, f64::INFINITY, 0.0], 0.0);
    for (at, wanted) in [
        (1000.0, 1000.0 + 2.0_f64.ln()),
        (-1000.0, -1000.0 + 2.0_f64.ln()),
    ] {
        let model = Model::new(18)
            .input("x", Element::F32, &[Some(1), Some(2)])
            .weight("a", &i64s(&[1], &[-1]))
            .op("ReduceLogSumExp", "x,a", "y", vec![int("keepdims", 0)])
            .output("y", Element::F32);
        near(
            &model.one(&[("x", f32s(&[1, 2], &[at, at]))]),
            &[1],
            &[wanted],
            1e-3,
        );
    }
}

#[test]
fn slices_with_a_step_stay_behind_what_they_follow() {
    let x = some(2 * 3 * 8);
    let rows: Vec<Vec<f64>> = x
        .chunks(8)
        .map(|row| row.iter().map(|&v| f64::from(v)).collect())
        .collect();
    let softmax = |row: &Vec<f64>| -> Vec<f64> {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum).collect()
    };
    let log = |row: &Vec<f64>| softmax(row).iter().map(|v| v.ln()).collect::<Vec<_>>();
    let rms = |row: &Vec<f64>| {
        let mean = row.iter().map(|v| v * v).sum::<f64>() / 8.0;
        row.iter()
            .map(|v| v / (mean + 1e-5).sqrt())
            .collect::<Vec<_>>()
    };
    type Row<'a> = &'a dyn Fn(&Vec<f64>) -> Vec<f64>;
    let kinds: [(&str, &str, Row<'_>); 3] = [
        ("Softmax", "x", &softmax),
        ("LogSoftmax", "x", &log),
        ("RMSNormalization", "x,g", &rms),
    ];
    for (op, inputs, of) in kinds {
        for (start, end, step, wanted) in [
            (0, i64::MAX, 2, vec![0, 2, 4, 6]),
            (1, i64::MAX, 2, vec![1, 3, 5, 7]),
            (-1, i64::MIN, -3, vec![7, 4, 1]),
            (2, 7, 3, vec![2, 5]),
        ] {
            let model = Model::new(23)
                .input("x", Element::F32, &[Some(2), Some(3), Some(8)])
                .weight("g", &f32s(&[8], &[1.0; 8]))
                .weight("s", &i64s(&[1], &[start]))
                .weight("e", &i64s(&[1], &[end]))
                .weight("a", &i64s(&[1], &[-1]))
                .weight("t", &i64s(&[1], &[step]))
                .op(op, inputs, "h", vec![])
                .op("Slice", "h,s,e,a,t", "y", vec![])
                .output("y", Element::F32);
            let all: Vec<f64> = rows
                .iter()
                .flat_map(|row| {
                    let row = of(row);
                    wanted
                        .iter()
                        .map(move |&at: &usize| row[at])
                        .collect::<Vec<_>>()
                })
                .collect();
            near(
                &model.one(&[("x", f32s(&[2, 3, 8], &x))]),
                &[2, 3, wanted.len()],
                &all,
                1e-5,
            );
        }
    }
}

#[test]
fn a_slice_with_a_step_behind_a_reshape() {
    let x = some(24);
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(2), Some(3), Some(4)])
        .weight("r", &i64s(&[2], &[2, 12]))
        .weight("s", &i64s(&[1], &[1]))
        .weight("e", &i64s(&[1], &[12]))
        .weight("a", &i64s(&[1], &[1]))
        .weight("t", &i64s(&[1], &[5]))
        .op("Reshape", "x,r", "h", vec![])
        .op("Slice", "h,s,e,a,t", "y", vec![])
        .output("y", Element::F32);
    let wanted: Vec<f64> = [1, 6, 11, 13, 18, 23]
        .iter()
        .map(|&at: &usize| f64::from(x[at]))
        .collect();
    near(
        &model.one(&[("x", f32s(&[2, 3, 4], &x))]),
        &[2, 3],
        &wanted,
        0.0,
    );
}

#[test]
fn integers_made_from_floats() {
    let x = [-7.9_f32, -4.0, -1.2, 0.4, 2.0, 8.9];
    let run = |op: &str, inputs: &str, output: Element| {
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(6)])
            .weight("k", &i64s(&[], &[-3]))
            .weight("zero", &i64s(&[], &[0]))
            .op(
                "Cast",
                "x",
                "i",
                vec![int("to", i64::from(Element::I64.onnx()))],
            )
            .op(op, inputs, "y", vec![])
            .output("y", output);
        model.one(&[("x", f32s(&[6], &x))]).i64s()
    };
    // Cut off: -7 -4 -1 0 2 8.
    assert_eq!(run("Mod", "i,k", Element::I64), [-1, -1, -1, 0, -1, -1]);
    assert_eq!(run("Div", "i,k", Element::I64), [2, 1, 0, 0, 0, -2]);
    assert_eq!(run("Mul", "i,i", Element::I64), [49, 16, 1, 0, 4, 64]);
    assert_eq!(run("Sign", "i", Element::I64), [-1, -1, -1, 0, 1, 1]);
    assert_eq!(run("ArgMax", "i", Element::I64), [5]);
    assert_eq!(
        run("CumSum", "i,zero", Element::I64),
        [-7, -11, -12, -12, -10, -2]
    );
    assert_eq!(run("Less", "i,zero", Element::Bool), [1, 1, 1, 0, 0, 0]);
    assert_eq!(run("Abs", "i", Element::I64), [7, 4, 1, 0, 2, 8]);
}

#[test]
fn ranges_of_floats_and_downwards() {
    let floats = Model::new(17)
        .input("x", Element::F32, &[Some(4)])
        .weight("a", &f32s(&[], &[0.0]))
        .weight("b", &f32s(&[], &[1.2]))
        .weight("s", &f32s(&[], &[0.3]))
        .op("Range", "a,b,s", "r", vec![])
        .op("Add", "x,r", "y", vec![])
        .output("y", Element::F32);
    near(
        &floats.one(&[("x", f32s(&[4], &[0.0; 4]))]),
        &[4],
        &[0.0, 0.3, 0.6, 0.9],
        1e-6,
    );
    let down = Model::new(17)
        .input("x", Element::I64, &[Some(4)])
        .weight("a", &i64s(&[], &[8]))
        .weight("b", &i64s(&[], &[0]))
        .weight("s", &i64s(&[], &[-2]))
        .op("Range", "a,b,s", "r", vec![])
        .op("Add", "x,r", "y", vec![])
        .output("y", Element::I64);
    assert_eq!(
        down.one(&[("x", i64s(&[4], &[1, 1, 1, 1]))]).i64s(),
        [9, 7, 5, 3]
    );
}

#[test]
fn pads_that_cut_and_pads_that_wrap() {
    for (mode, pads, wanted) in [
        ("constant", [-1, 2], vec![2.0, 3.0, 4.0, 0.0, 0.0]),
        ("wrap", [2, 1], vec![3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0]),
        (
            "wrap",
            [5, 0],
            vec![4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0],
        ),
        ("reflect", [1, -2], vec![2.0, 1.0, 2.0]),
        ("edge", [1, 2], vec![1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0]),
    ] {
        let model = Model::new(19)
            .input("x", Element::F32, &[Some(4)])
            .weight("p", &i64s(&[2], &pads))
            .op("Pad", "x,p", "y", vec![text("mode", mode)])
            .output("y", Element::F32);
        near(
            &model.one(&[("x", f32s(&[4], &[1.0, 2.0, 3.0, 4.0]))]),
            &[wanted.len()],
            &wanted,
            0.0,
        );
    }
}

#[test]
fn triangles_and_indices_from_the_end() {
    let triangle = Model::new(17)
        .input("x", Element::F32, &[Some(2), Some(3)])
        .weight("k", &i64s(&[1], &[1]))
        .op("Trilu", "x,k", "y", vec![int("upper", 1)])
        .output("y", Element::F32);
    near(
        &triangle.one(&[("x", f32s(&[2, 3], &[1.0; 6]))]),
        &[2, 3],
        &[0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        0.0,
    );
    let scattered = Model::new(18)
        .input("x", Element::F32, &[Some(3)])
        .weight("i", &i64s(&[2, 1], &[-1, -3]))
        .weight("u", &f32s(&[2], &[7.0, 8.0]))
        .op("ScatterND", "x,i,u", "y", vec![])
        .output("y", Element::F32);
    near(
        &scattered.one(&[("x", f32s(&[3], &[1.0, 2.0, 3.0]))]),
        &[3],
        &[8.0, 2.0, 7.0],
        0.0,
    );
}
