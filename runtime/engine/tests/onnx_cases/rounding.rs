//! Roundings that a file states: its own values with all of them are ONNX Runtime 1.32's without its optimiser on x86-64.

use tract_onnx::pb::AttributeProto;
use wink_engine::{OnnxElement as Element, Value};

use super::build::{Model, f32s, float, i64s, int, ints, near, some, whole};

fn bytes(count: usize, step: usize) -> Vec<i64> {
    (0..count).map(|at| (at * step % 251) as i64).collect()
}

/// A quantised operator with the scales and zero points that these cases share.
struct Case {
    op: &'static str,
    inputs: &'static str,
    x: &'static [usize],
    b: &'static [usize],
    b_scales: &'static [f32],
    y: (f32, i64),
    bias: &'static [i32],
    attributes: Vec<AttributeProto>,
}

const PAIR: &str = "x,as,az,b,bs,bz,ys,yz";
const ONE: &str = "x,as,az,ys,yz";

impl Case {
    fn of(op: &'static str, inputs: &'static str, x: &'static [usize]) -> Self {
        Self {
            op,
            inputs,
            x,
            b: &[1],
            b_scales: &[],
            y: (0.07, 121),
            bias: &[],
            attributes: vec![],
        }
    }

    fn model(&self) -> Model {
        let u8s = |shape: &[usize], values: &[i64]| whole(Element::U8, shape, values);
        let scales: &[f32] = if self.b_scales.is_empty() {
            &[0.05]
        } else {
            self.b_scales
        };
        let of_b: Vec<usize> = self
            .b_scales
            .iter()
            .map(|_| self.b_scales.len())
            .take(1)
            .collect();
        let bias: Vec<i64> = self.bias.iter().map(|&v| i64::from(v)).collect();
        let open: Vec<Option<usize>> = self.x.iter().map(|&length| Some(length)).collect();
        let output = if self.inputs.contains("ys") {
            Element::U8
        } else {
            Element::F32
        };
        let model = Model::new(17)
            .input("x", Element::U8, &open)
            .weight("as", &f32s(&[], &[0.03]))
            .weight("az", &u8s(&[], &[113]))
            .weight("b", &u8s(self.b, &bytes(self.b.iter().product(), 91)))
            .weight("bs", &f32s(&of_b, scales))
            .weight("bz", &u8s(&of_b, &vec![97; scales.len()]))
            .weight("ys", &f32s(&[], &[self.y.0]))
            .weight("yz", &u8s(&[], &[self.y.1]))
            .weight("c", &whole(Element::I32, &[bias.len()], &bias))
            .op(self.op, self.inputs, "y", self.attributes.clone())
            .output("y", output);
        match self.op {
            "QLinearMatMul" | "QLinearConv" => model,
            _ => model.of_microsoft(),
        }
    }

    fn run(&self) -> Value<'static> {
        let count = self.x.iter().product();
        let x = whole(Element::U8, self.x, &bytes(count, 37));
        self.model().as_written(&[("x", x)])
    }

    #[track_caller]
    fn gives(&self, wanted: &[i64]) {
        assert_eq!(self.run().i64s(), wanted, "{}", self.op);
    }
}

#[test]
fn sums_and_products_of_quantised_tensors() {
    let mut sum = Case::of("QLinearAdd", PAIR, &[4, 6]);
    sum.b = &[6];
    sum.gives(&[
        3, 84, 165, 67, 147, 228, 98, 72, 153, 54, 135, 216, 86, 167, 140, 42, 123, 203, 74, 154,
        235, 29, 110, 191,
    ]);
    let mut product = Case::of("QLinearMul", PAIR, &[4, 6]);
    (product.b, product.y) = (&[6], (0.11, 121));
    product.gives(&[
        255, 127, 76, 123, 129, 226, 0, 130, 42, 153, 122, 184, 15, 111, 9, 182, 116, 141, 54, 114,
        255, 212, 110, 99,
    ]);
}

#[test]
fn a_quantised_softmax_takes_its_scale_for_one_over_an_integer() {
    let softmax = |shape, axis, opset| {
        let mut case = Case::of("QLinearSoftmax", ONE, shape);
        // 1 / 0.01 is below 100 in single precision.
        case.y = (0.01, 3);
        case.attributes = vec![int("axis", axis), int("opset", opset)];
        case
    };
    let rows = [3, 4, 5, 10, 25, 70, 86, 3, 3, 4, 7, 14];
    softmax(&[2, 6], -1, 13).gives(&rows);
    softmax(&[2, 3, 2], 1, 11).gives(&rows);
    softmax(&[2, 3, 2], 1, 13).gives(&[4, 4, 13, 13, 92, 92, 98, 4, 3, 13, 7, 92]);
}

#[test]
fn quantised_means() {
    for (shape, last, wanted) in [
        (&[1_usize, 2, 3, 4], 0, [79, 156]),
        (&[1, 3, 4, 2], 1, [125, 110]),
    ] {
        let mut case = Case::of("QLinearGlobalAveragePool", ONE, shape);
        case.y = (0.01, 121);
        case.attributes = vec![int("channels_last", last)];
        case.gives(&wanted);
    }
    let mut case = Case::of("QLinearAveragePool", ONE, &[1, 1, 4, 4]);
    case.attributes = vec![ints("kernel_shape", &[1, 2]), ints("strides", &[1, 2])];
    let mut model = case.model();
    for weight in &mut model.graph().initializer {
        match &*weight.name {
            "as" => *weight = f32s(&[], &[1.0]).to_proto("as"),
            "az" => *weight = whole(Element::U8, &[], &[0]).to_proto("az"),
            "ys" => *weight = f32s(&[], &[2.0]).to_proto("ys"),
            "yz" => *weight = whole(Element::U8, &[], &[3]).to_proto("yz"),
            _ => {}
        }
    }
    // Halves that are rounded with an odd zero point added.
    let x = whole(Element::U8, &[1, 1, 4, 4], &bytes(16, 37));
    let wanted = [12, 49, 86, 60, 35, 72, 109, 20];
    assert_eq!(model.as_written(&[("x", x)]).i64s(), wanted);
}

#[test]
fn quantised_products_and_convolutions() {
    let mut product = Case::of("QLinearMatMul", PAIR, &[2, 5]);
    (product.b, product.b_scales, product.y) = (&[5, 3], &[0.05, 0.02, 0.031], (1.7, 121));
    product.gives(&[137, 121, 107, 115, 118, 119]);

    let mut conv = Case::of("QLinearConv", "x,as,az,b,bs,bz,ys,yz,c", &[1, 2, 3, 3]);
    (conv.b, conv.b_scales, conv.y) = (&[2, 2, 2, 2], &[0.05, 0.02], (1.7, 121));
    (conv.bias, conv.attributes) = (&[700, -900], vec![ints("pads", &[1, 1, 0, 0])]);
    conv.gives(&[
        128, 120, 120, 122, 130, 122, 120, 151, 109, 115, 115, 117, 121, 117, 120, 129, 122, 113,
    ]);

    let mut gemm = Case::of("QGemm", "x,as,az,b,bs,bz,c,ys,yz", &[2, 5]);
    (gemm.b, gemm.y, gemm.bias) = (&[3, 5], (1.7, 121), &[700, -900, 31]);
    gemm.attributes = vec![float("alpha", 0.3), int("transB", 1)];
    gemm.gives(&[124, 118, 116, 118, 118, 126]);
    gemm.inputs = "x,as,az,b,bs,bz,c";
    let wanted = [
        4.2804003, -5.3046002, -9.3456001, -5.0665503, -4.8483005, 8.3686504,
    ];
    near(&gemm.run(), &[2, 3], &wanted, 1e-6);
}

#[test]
fn quantising_divides() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(40)])
        .weight("s", &f32s(&[], &[0.7]))
        .weight("z", &whole(Element::I8, &[], &[0]))
        .op("QuantizeLinear", "x,s,z", "y", vec![])
        .output("y", Element::I8);
    let x: Vec<f32> = (-20_i16..20).map(|v| f32::from(v) * 0.35).collect();
    let wanted = [
        -10, -10, -9, -8, -8, -8, -7, -6, -6, -6, -5, -4, -4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1,
        2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8, 8, 9, 10,
    ];
    assert_eq!(model.as_written(&[("x", f32s(&[40], &x))]).i64s(), wanted);
}

/// A quantised tensor between a product and its activation, which the fused product only clamps.
#[test]
fn a_quantisation_before_an_activation_rounds() {
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(1), Some(4)])
        .weight("s", &f32s(&[], &[0.5]))
        .weight("z", &whole(Element::I8, &[], &[0]))
        .weight(
            "w",
            &whole(Element::I8, &[4, 2], &[1, -2, 3, 1, 2, 2, -1, 3]),
        )
        .weight("t", &f32s(&[], &[0.125]))
        .op("QuantizeLinear", "x,s,z", "q", vec![])
        .op("DequantizeLinear", "q,s,z", "d", vec![])
        .op("DequantizeLinear", "w,t", "v", vec![])
        .op("MatMul", "d,v", "m", vec![])
        .op("QuantizeLinear", "m,s,z", "n", vec![])
        .op("DequantizeLinear", "n,s,z", "o", vec![])
        .op("Relu", "o", "y", vec![])
        .output("y", Element::F32);
    let x = f32s(&[1, 4], &[0.6, 1.4, -0.3, 2.1]);
    // Steps 1, 3, -1, 4 give 4 * 0.0625 and 11 * 0.0625, which are 0.5 and 1.375 steps.
    near(
        &model.as_written(&[("x", x.clone())]),
        &[1, 2],
        &[0.0, 0.5],
        0.0,
    );
    let fused = model.one(&[("x", x)]).floats();
    assert_ne!(
        fused,
        [0.0, 0.5],
        "the fused product rounds as well: say so where its liberties are listed"
    );
}

fn half(shape: &[usize], values: &[f32]) -> Value<'static> {
    f32s(shape, values).cast(Element::F16)
}

fn halves() -> Model {
    let scaled: Vec<f32> = some(16).into_iter().map(|v| v * 1.1).collect();
    Model::new(17)
        .input("x", Element::F16, &[Some(2), Some(4)])
        .weight("w", &half(&[4, 4], &scaled))
        .weight("s", &i64s(&[2], &[4, 2]))
        .weight("g", &half(&[4], &some(4)))
        .output("y", Element::F32)
}

fn single() -> AttributeProto {
    int("to", 1)
}

#[test]
fn half_precision_is_rounded_where_operators_of_it_read_or_write() {
    let x = || half(&[2, 4], &some(8));
    let two_moves = halves()
        .op("MatMul", "x,w", "a", vec![])
        .op("Reshape", "a,s", "b", vec![])
        .op("Transpose", "b", "c", vec![ints("perm", &[1, 0])])
        .op("Mul", "c,c", "d", vec![])
        .op("Cast", "d", "y", vec![single()]);
    let wanted = [
        0.190_339_62,
        3.615_197_2,
        1.091_861_7,
        1.037_453_7,
        0.053_228_438,
        7.159_805_3,
        0.407_901_76,
        1.920_281_4,
    ];
    near(&two_moves.as_written(&[("x", x())]), &[2, 4], &wanted, 1e-6);
    let one_move = halves()
        .op("MatMul", "x,w", "a", vec![])
        .op("Reshape", "a,s", "b", vec![])
        .op("Mul", "b,b", "d", vec![])
        .op("Cast", "d", "y", vec![single()]);
    let wanted = [
        0.190_242_38,
        0.053_241_2,
        3.614_030_8,
        7.156_077_4,
        1.092_779_8,
        0.407_876_04,
        1.036_748_3,
        1.919_930_6,
    ];
    near(&one_move.as_written(&[("x", x())]), &[4, 2], &wanted, 1e-6);
    let norm = halves()
        .op("Add", "x,x", "a", vec![])
        .op("LayerNormalization", "a,g", "l", vec![])
        .op("Transpose", "l", "t", vec![ints("perm", &[1, 0])])
        .op("Cast", "t", "y", vec![single()]);
    let wanted = [
        1.563_476_6,
        -0.475_341_8,
        0.201_782_23,
        -0.453_125,
        0.403_320_3,
        -0.906_25,
        1.135_742_2,
        -0.345_214_84,
    ];
    near(&norm.as_written(&[("x", x())]), &[4, 2], &wanted, 1e-7);
}

#[test]
fn casts_of_the_file_round_unless_an_inserted_one_takes_them_back() {
    let model = || {
        Model::new(17)
            .input("x", Element::F32, &[Some(4)])
            .op("Cast", "x", "h", vec![int("to", 10)])
            .output("y", Element::F32)
    };
    let x = || f32s(&[4], &some(4));
    let computed = model()
        .op("Mul", "h,h", "m", vec![])
        .op("Cast", "m", "y", vec![single()]);
    let wanted = [1.493_827_1, 0.111_111_12, 0.444_444_48, 0.790_123_46];
    near(&computed.as_written(&[("x", x())]), &[4], &wanted, 1e-7);
    let back = model().op("Cast", "h", "y", vec![single()]);
    let wanted = [-1.222_656_25, 0.333_251_95, -0.666_503_9, 0.888_671_9];
    near(&back.as_written(&[("x", x())]), &[4], &wanted, 1e-7);
    let both = model()
        .op("Cast", "h", "g", vec![single()])
        .op("Mul", "h,h", "m", vec![])
        .op("Cast", "m", "n", vec![single()])
        .op("Add", "g,n", "y", vec![]);
    let wanted = [0.272_232_06, 0.444_308_82, -0.222_276_45, 1.678_409_6];
    near(&both.as_written(&[("x", x())]), &[4], &wanted, 1e-6);
}

#[test]
fn nan_is_the_largest_and_the_smallest() {
    for place in 0..20 {
        let mut x = some(20);
        x[place] = f32::NAN;
        for (op, attributes) in [
            ("ReduceMax", vec![int("keepdims", 0)]),
            ("ReduceMin", vec![int("keepdims", 0)]),
            ("GlobalMaxPool", vec![]),
            ("MaxPool", vec![ints("kernel_shape", &[4, 5])]),
        ] {
            let model = Model::new(17)
                .input("x", Element::F32, &[Some(1), Some(1), Some(4), Some(5)])
                .op(op, "x", "y", attributes)
                .output("y", Element::F32);
            let x = f32s(&[1, 1, 4, 5], &x);
            let inputs = [("x", x)];
            for found in [model.one(&inputs), model.as_written(&inputs)] {
                let found = found.floats();
                assert!(
                    found.iter().all(|v| v.is_nan()),
                    "{op}, NaN at {place}: {found:?}"
                );
            }
        }
    }
}

/// Of constants, too, which are worked out when the graph is loaded: a broken weight must be seen in the output.
#[test]
fn nan_in_a_constant_stays() {
    const ONE: [&str; 42] = [
        "Abs",
        "Neg",
        "Ceil",
        "Floor",
        "Round",
        "Sqrt",
        "Reciprocal",
        "Exp",
        "Log",
        "Sin",
        "Cos",
        "Tan",
        "Asin",
        "Acos",
        "Atan",
        "Sinh",
        "Cosh",
        "Tanh",
        "Asinh",
        "Acosh",
        "Atanh",
        "Erf",
        "Sigmoid",
        "Relu",
        "Softplus",
        "Softsign",
        "Mish",
        "HardSwish",
        "Gelu",
        "LeakyRelu",
        "Elu",
        "Celu",
        "Selu",
        "HardSigmoid",
        "Clip,low,high",
        "Max,low",
        "Min,high",
        "Add,low",
        "Mul,low",
        "Pow,high",
        "PRelu,high",
        "Softmax",
    ];
    for count in [4, 1 << 17] {
        let mut values = some(count);
        values[2] = f32::NAN;
        for case in ONE {
            let (op, others) = case.split_once(',').unwrap_or((case, ""));
            let operands = format!("k,{others}");
            let alpha = (op == "Celu").then(|| float("alpha", 2.0));
            let model = Model::new(20)
                .input("x", Element::F32, &[Some(count)])
                .weight("k", &f32s(&[count], &values))
                .weight("low", &f32s(&[], &[-1.0]))
                .weight("high", &f32s(&[], &[1.0]))
                .op(
                    op,
                    operands.trim_end_matches(','),
                    "t",
                    Vec::from_iter(alpha),
                )
                .op("Add", "x,t", "y", vec![])
                .output("y", Element::F32);
            let inputs = [("x", f32s(&[count], &vec![0.0; count]))];
            for found in [model.one(&inputs), model.as_written(&inputs)] {
                let found = found.floats()[2];
                assert!(found.is_nan(), "{case} of {count} values: {found}");
            }
        }
    }
}

#[test]
fn the_mean_of_nothing_is_0() {
    let model = Model::new(18)
        .input("x", Element::F32, &[Some(0), Some(3)])
        .weight("axes", &i64s(&[1], &[0]))
        .op("ReduceMean", "x,axes", "mean", vec![])
        .op("Relu", "mean", "y", vec![])
        .output("y", Element::F32);
    let found = model.one(&[("x", f32s(&[0, 3], &[]))]);
    near(&found, &[1, 3], &[0.0; 3], 0.0);
}
