//! Forms in which quantising tools write numbers.

use tract_onnx::pb::TensorProto;
use wink_engine::{OnnxElement as Element, Value};

use super::build::{Model, f32s, i64s, int, near, some, whole};

fn there_and_back(opset: i64, element: Element, scale: f32, zero: Option<i64>) -> Model {
    let model = Model::new(opset)
        .input("x", Element::F32, &[Some(6)])
        .weight("s", &f32s(&[], &[scale]))
        .output("y", Element::F32);
    match zero {
        Some(zero) => model
            .weight("z", &whole(element, &[], &[zero]))
            .op("QuantizeLinear", "x,s,z", "q", vec![])
            .op("DequantizeLinear", "q,s,z", "y", vec![]),
        None => model
            .op(
                "QuantizeLinear",
                "x,s",
                "q",
                vec![int("output_dtype", i64::from(element.onnx()))],
            )
            .op("DequantizeLinear", "q,s", "y", vec![]),
    }
}

#[test]
fn every_integer_type_with_and_without_zero_point() {
    let x = [-0.9_f32, -0.31, 0.0, 0.07, 0.4, 0.9];
    for (element, zero) in [
        (Element::I8, 3),
        (Element::U8, 120),
        (Element::I16, -7),
        (Element::U16, 40000),
    ] {
        for zero in [Some(zero), None] {
            let scale = 0.01_f32;
            let (low, high) = element.range();
            let wanted = x.iter().map(|&v| {
                let zero = i128::from(zero.unwrap_or(0));
                let steps = f64::from((v / scale).round_ties_even()) as i128;
                ((steps + zero).clamp(low, high) - zero) as f64 * f64::from(scale)
            });
            let found = there_and_back(21, element, scale, zero).one(&[("x", f32s(&[6], &x))]);
            near(&found, &[6], &wanted.collect::<Vec<_>>(), 1e-6);
        }
    }
}

#[test]
fn scales_that_are_not_positive() {
    let x = some(4);
    for scale in [0.0, -0.5, 1e-41] {
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(2), Some(2)])
            .weight("w", &whole(Element::I8, &[2, 2], &[1, 2, 3, -4]))
            .weight("s", &f32s(&[2], &[0.5, scale]))
            .op("DequantizeLinear", "w,s", "d", vec![int("axis", 1)])
            .op("MatMul", "x,d", "y", vec![])
            .output("y", Element::F32);
        let v: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let s = f64::from(scale);
        let row = |a: f64, b: f64| [a * 0.5 + b * 1.5, a * 2.0 * s - b * 4.0 * s];
        let wanted = [row(v[0], v[1]), row(v[2], v[3])].concat();
        near(
            &model.one(&[("x", f32s(&[2, 2], &x))]),
            &[2, 2],
            &wanted,
            1e-5,
        );
    }
}

#[test]
fn a_factor_for_each_row_of_a_square_product() {
    let x = some(9);
    let model = Model::new(17)
        .input("x", Element::F32, &[Some(3), Some(3)])
        .weight(
            "w",
            &whole(Element::I8, &[3, 3], &[10, -20, 30, 40, 50, -60, 7, 8, 9]),
        )
        .weight("r", &f32s(&[3, 1], &[0.01, 0.1, 1.0]))
        .op("DynamicQuantizeLinear", "x", "q,s,z", vec![])
        .op("MatMulInteger", "q,w,z", "i", vec![])
        .op("Cast", "i", "f", vec![int("to", 1)])
        .op("Mul", "s,r", "k", vec![])
        .op("Mul", "f,k", "y", vec![])
        .output("y", Element::F32);
    let w = [10.0, -20.0, 30.0, 40.0, 50.0, -60.0, 7.0, 8.0, 9.0];
    let factor = [0.01, 0.1, 1.0];
    let mut wanted = vec![];
    for row in 0..3 {
        for column in 0..3 {
            let sum: f64 = (0..3)
                .map(|k| f64::from(x[row * 3 + k]) * w[k * 3 + column])
                .sum();
            wanted.push(sum * factor[row]);
        }
    }
    let found = model.one(&[("x", f32s(&[3, 3], &x))]).floats();
    for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        // One step of 8 bits in each of three products.
        let step = 2.5 / 255.0 * 150.0 * factor[at / 3];
        assert!(
            (found - wanted).abs() <= step,
            "element {at}: {found} instead of {wanted}"
        );
    }
}

#[test]
fn weights_of_four_bits() {
    for (element, values) in [(Element::I4, [-8, 7, -1, 3]), (Element::U4, [0, 15, 9, 4])] {
        let packed = values
            .chunks(2)
            .map(|pair| (pair[0] as u8 & 15) | (pair[1] as u8) << 4);
        let model = Model::new(21)
            .input("x", Element::F32, &[Some(1), Some(2)])
            .tensor(TensorProto {
                name: "w".into(),
                data_type: element.onnx(),
                dims: vec![2, 2],
                raw_data: packed.collect(),
                ..TensorProto::default()
            })
            .weight("s", &f32s(&[], &[0.5]))
            .op("DequantizeLinear", "w,s", "d", vec![])
            .op("MatMul", "x,d", "y", vec![])
            .output("y", Element::F32);
        let w: Vec<f64> = values.iter().map(|&v| v as f64 * 0.5).collect();
        let wanted = [w[0] + 2.0 * w[2], w[1] + 2.0 * w[3]];
        near(
            &model.one(&[("x", f32s(&[1, 2], &[1.0, 2.0]))]),
            &[1, 2],
            &wanted,
            1e-6,
        );
    }
}

#[test]
fn packed_weights_of_four_and_eight_bits() {
    let (k, n, block) = (32_usize, 2_usize, 16_usize);
    let blocks = k / block;
    let x = some(k);
    for (bits, float_zeros) in [(8, false), (4, false), (4, true)] {
        let bytes: Vec<i64> = (0..n * k * bits / 8)
            .map(|at| (at * 29 % 251) as i64)
            .collect();
        let scales: Vec<f32> = (0..n * blocks).map(|at| 0.01 + at as f32 * 0.003).collect();
        let zeros: Vec<f32> = (0..n * blocks)
            .map(|at| at as f32 + 1.0 + if float_zeros { 0.25 } else { 0.0 })
            .collect();
        let zero_value = match (float_zeros, bits) {
            (true, _) => f32s(&[n, blocks], &zeros),
            (false, 8) => whole(Element::U8, &[n, blocks], &[1, 2, 3, 4]),
            _ => whole(Element::U8, &[n, 1], &[0x21, 0x43]),
        };
        let attributes = vec![
            int("K", k as i64),
            int("N", n as i64),
            int("bits", bits as i64),
            int("block_size", block as i64),
        ];
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(1), Some(k)])
            .weight(
                "B",
                &whole(Element::U8, &[n, blocks, block * bits / 8], &bytes),
            )
            .weight("s", &f32s(&[n, blocks], &scales))
            .weight("z", &zero_value)
            .op("MatMulNBits", "x,B,s,z", "y", attributes)
            .of_microsoft()
            .output("y", Element::F32);
        let mut wanted = vec![];
        for column in 0..n {
            let value = |i: usize| {
                let at = column * k + i;
                let raw = if bits == 8 {
                    bytes[at]
                } else {
                    bytes[at / 2] >> (at % 2 * 4) & 15
                };
                let of = column * blocks + i / block;
                (raw as f64 - f64::from(zeros[of])) * f64::from(scales[of])
            };
            wanted.push((0..k).map(|i| f64::from(x[i]) * value(i)).sum::<f64>());
        }
        near(
            &model.one(&[("x", f32s(&[1, k], &x))]),
            &[1, n],
            &wanted,
            2e-4,
        );
    }
}

#[test]
fn quantised_operators() {
    let q = |values: &[i64]| whole(Element::U8, &[values.len()], values);
    let base = || {
        Model::new(17)
            .input("a", Element::U8, &[Some(3)])
            .weight("as", &f32s(&[], &[0.5]))
            .weight("az", &whole(Element::U8, &[], &[10]))
            .weight("b", &q(&[20, 30, 60]))
            .weight("bs", &f32s(&[], &[0.25]))
            .weight("bz", &whole(Element::U8, &[], &[20]))
            .weight("ys", &f32s(&[], &[1.0]))
            .weight("yz", &whole(Element::U8, &[], &[5]))
            .output("y", Element::U8)
    };
    let sum = base()
        .op("QLinearAdd", "a,as,az,b,bs,bz,ys,yz", "y", vec![])
        .of_microsoft();
    // (a - 10) / 2 + (b - 20) / 4 + 5: 5 + 0, 10 + 2.5, 0 + 10; halves go to the even number.
    assert_eq!(sum.one(&[("a", q(&[20, 30, 10]))]).i64s(), [10, 17, 15]);
    let product = base()
        .op("QLinearMul", "a,as,az,b,bs,bz,ys,yz", "y", vec![])
        .of_microsoft();
    assert_eq!(product.one(&[("a", q(&[20, 30, 12]))]).i64s(), [5, 30, 15]);
}

#[test]
fn what_is_not_finite_shows_after_dynamic_quantising() {
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut x = some(8);
        x[3] = bad;
        let model = Model::new(17)
            .input("x", Element::F32, &[Some(2), Some(4)])
            .weight("w", &whole(Element::I8, &[4, 2], &[1, 2, 3, 4, 5, 6, 7, 8]))
            .op("DynamicQuantizeLinear", "x", "q,s,z", vec![])
            .op("MatMulInteger", "q,w,z", "i", vec![])
            .op("Cast", "i", "f", vec![int("to", 1)])
            .op("Mul", "f,s", "y", vec![])
            .output("y", Element::F32);
        let found: Value<'_> = model.one(&[("x", f32s(&[2, 4], &x))]);
        assert!(
            found.floats().iter().any(|v| !v.is_finite()),
            "{bad}: {:?}",
            found.floats()
        );
    }
}

#[test]
fn many_ways_back_to_a_constant() {
    let mut model = Model::new(17)
        .input("x", Element::F32, &[Some(1), Some(2)])
        .weight("w", &whole(Element::I8, &[2, 2], &[1, 0, 0, 1]))
        .weight("s", &f32s(&[], &[1e-12]))
        .weight("unused", &i64s(&[1], &[1]))
        .op("DequantizeLinear", "w,s", "d0", vec![]);
    for at in 0..40 {
        model = model.op(
            "Add",
            &format!("d{at},d{at}"),
            &format!("d{}", at + 1),
            vec![],
        );
    }
    let model = model
        .op("MatMul", "x,d40", "y", vec![])
        .output("y", Element::F32);
    let factor = 2_f64.powi(40) * 1e-12;
    near(
        &model.one(&[("x", f32s(&[1, 2], &[1.0, 2.0]))]),
        &[1, 2],
        &[factor, 2.0 * factor],
        1e-5,
    );
}
