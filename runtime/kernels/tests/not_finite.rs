//! What is not finite inside must be seen outside: NaN and infinities through every kernel, on every instruction set.

use wink_kernels::{
    Activation, Activations, Attention, BLOCK, Binary, Bytes, Epilogue, FloatRows, Four, Head, Isa,
    Layout, NormInput, Operand, Output, PackedFloats, PackedFours, PackedWeights, Pool,
    Quantisation, Reduction, Residual, RowScales, Rows, Unary, attend, binary, dynamic_range,
    float_product, four_bit_product, layer_norm, product, quantise, reduce, softmax, unary,
};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
];

fn present() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

/// Whether exactly the values at which `broken` is true are NaN.
fn exactly_nan(values: &[f32], broken: impl Fn(usize) -> bool) -> bool {
    values
        .iter()
        .enumerate()
        .all(|(at, value)| value.is_nan() == broken(at))
}

/// Every epilogue: with and without a range, with every activation and residual.
fn epilogues(columns: usize, bias: &[f32]) -> impl Iterator<Item = (Epilogue, bool)> {
    ACTIVATIONS.into_iter().flat_map(move |activation| {
        [false, true].map(|ranged| {
            let mut epilogue = Epilogue::new(&vec![1.0; columns], Some(bias), None);
            epilogue.activation = activation;
            if ranged {
                epilogue.clamp(&vec![(-6.0, 6.0); columns]);
            }
            (epilogue, ranged)
        })
    })
}

/// A NaN in a row of the left side reaches the whole row, one in a bias its column, one in the residual its own place, and
/// nothing else: with floats, 4-bit weights and full and partial panels.
#[test]
fn products_of_floats_keep_nan() {
    let (m, depth, n) = (13, BLOCK, 35);
    let (row, column, added) = (4, 20, 7 * n + 33);
    let mut x = vec![0.5; m * depth];
    x[row * depth + 9] = NAN;
    let mut bias = vec![0.25; n];
    bias[column] = NAN;
    let mut residual = vec![0.0; m * n];
    residual[added] = NAN;
    let offsets: Vec<u32> = (0..m).map(|row| (row * depth) as u32).collect();
    let rows = FloatRows {
        values: &x,
        offsets: &offsets,
        segments: &[0],
    };
    let broken = |at: usize| at / n == row || at % n == column || at == added;
    for isa in present() {
        let floats = PackedFloats::pack(isa, 1, depth, n, |_, k, n| (k % 3 + n % 2) as f32 - 1.0);
        let four = Four {
            scale: 0.5,
            zero_point: 8,
        };
        let fours = PackedFours::pack(isa, depth, n, |k, n| ((k + n) % 16) as u8, |_, _| four);
        for (epilogue, ranged) in epilogues(n, &bias) {
            let residual = Residual::Float(&residual);
            let (mut a, mut b) = (vec![0.0; m * n], vec![0.0; m * n]);
            let pool = Pool::alone();
            let mut out = Output::Float(&mut a);
            float_product(&floats, rows, &epilogue, residual, &mut out, &pool);
            let mut out = Output::Float(&mut b);
            four_bit_product(&fours, rows, &epilogue, residual, &mut out, &pool);
            let activation = epilogue.activation;
            let name = format!("{} {activation:?} ranged {ranged}", isa.name());
            assert!(exactly_nan(&a, broken), "floats {name}");
            assert!(exactly_nan(&b, broken), "fours {name}");
        }
    }
}

/// 8-bit products: through the bias, the residual, and the scale of a row that was not finite.
#[test]
fn products_of_bytes_keep_nan() {
    let (m, depth, n) = (13, 40, 35);
    let (row, column, added) = (4, 20, 7 * n + 33);
    let mut bias = vec![0.25; n];
    bias[column] = NAN;
    let mut residual = vec![0.0; m * n];
    residual[added] = NAN;
    let mut scale = vec![0.01; m];
    scale[row] = dynamic_range(Isa::detect(), &[1.0, INF]).scale;
    let zero_point = vec![3; m];
    let offsets: Vec<u32> = (0..m).map(|row| (row * depth) as u32).collect();
    let broken = |at: usize| at / n == row || at % n == column || at == added;
    for isa in present() {
        let weights = PackedWeights::pack(isa, 1, depth, n, |_, k, n| ((k * 7 + n) % 251) as i8);
        let mut activations = Activations::new();
        let mut writer = activations.writer(isa, m * depth, 3);
        writer.put(0, Bytes::Signed(&vec![5; m * depth]));
        for (epilogue, ranged) in epilogues(n, &bias) {
            let mut out = vec![0.0; m * n];
            product(
                &weights,
                Rows {
                    activations: &activations,
                    offsets: &offsets,
                    segments: &[0],
                },
                &epilogue,
                RowScales::Dynamic {
                    scale: &scale,
                    zero_point: &zero_point,
                },
                Residual::Float(&residual),
                &mut Output::Float(&mut out),
                &Pool::alone(),
            );
            let activation = epilogue.activation;
            let name = format!("{} {activation:?} ranged {ranged}", isa.name());
            assert!(exactly_nan(&out, broken), "{name}");
        }
    }
}

/// The zeros of a Relu and of a range have the sign of the bound: what is equal to it becomes it.
#[test]
fn bounds_keep_the_bits_of_finite_numbers() {
    let values = [-0.0, 0.0, -1.5, 1.5, 7.0, -7.0, INF, -INF];
    for isa in present() {
        let one = PackedFloats::pack(isa, 1, 1, 16, |_, _, _| 1.0);
        let offsets: Vec<u32> = (0..8).collect();
        let rows = FloatRows {
            values: &values,
            offsets: &offsets,
            segments: &[0],
        };
        let run = |epilogue: &Epilogue| {
            let mut out = vec![NAN; 8 * 16];
            let (none, pool) = (Residual::None, Pool::alone());
            float_product(
                &one,
                rows,
                epilogue,
                none,
                &mut Output::Float(&mut out),
                &pool,
            );
            let first: Vec<u32> = out.chunks(16).map(|row| row[0].to_bits()).collect();
            assert!(out.chunks(16).all(|row| row.iter().all(|x| *x == row[0])));
            first
        };
        // A bias of -0.0 keeps the sign of a zero.
        let mut relu = Epilogue::new(&[1.0; 16], Some(&[-0.0; 16]), None);
        relu.activation = Activation::Relu;
        let bits = |values: [f32; 8]| values.map(f32::to_bits).to_vec();
        let wanted = bits([0.0, 0.0, 0.0, 1.5, 7.0, 0.0, INF, 0.0]);
        assert_eq!(run(&relu), wanted, "{}", isa.name());
        let mut range = Epilogue::new(&[1.0; 16], Some(&[-0.0; 16]), None);
        range.clamp(&[(-2.0, 6.0); 16]);
        let found = run(&range);
        // The sum starts at +0.0, so both zeros are that.
        let wanted = bits([0.0, 0.0, -1.5, 1.5, 6.0, -2.0, 6.0, -2.0]);
        assert_eq!(found, wanted, "{}", isa.name());
    }
}

#[test]
fn a_range_that_is_not_finite_makes_nan_of_what_is_computed_with_it() {
    for isa in present() {
        for count in [1, 31, 32, 33, 100] {
            for at in [0, count / 2, count - 1] {
                for broken in [NAN, -NAN, INF, -INF] {
                    let mut x = vec![0.5; count];
                    x[at] = broken;
                    let q = dynamic_range(isa, &x);
                    assert!(q.scale.is_nan(), "{} {broken} at {at}", isa.name());
                    assert!((-128..=127).contains(&q.zero_point));
                }
            }
        }
        // Finite, but not so their difference.
        assert!(dynamic_range(isa, &[3e38, -3e38]).scale.is_nan());
        assert_eq!(dynamic_range(isa, &[f32::MAX, 0.0]).scale, f32::MAX / 255.0);
    }
}

/// ONNX's formula, in f64, for ranges down to the smallest subnormal number.
#[test]
fn tiny_ranges_are_quantised_by_the_formula() {
    for isa in present() {
        for exponent in 0..149 {
            let unit = 2.0_f32.powi(-exponent);
            let x = [-1.0, 2.0, 0.4, 0.0, -0.3, 1.9].map(|x| x * unit);
            let q = dynamic_range(isa, &x);
            let (low, high) = x.iter().fold((0.0_f32, 0.0_f32), |(low, high), &x| {
                (low.min(x), high.max(x))
            });
            let scale = (high - low) / 255.0;
            let mut bytes = [0; 6];
            quantise(isa, &x, &mut Output::Unsigned(&mut bytes, q));
            if scale == 0.0 {
                assert_eq!(q.scale, 1.0);
                assert_eq!(bytes, [0; 6]);
                continue;
            }
            assert_eq!(q.scale, scale);
            let zero = (-low / scale).round_ties_even().clamp(0.0, 255.0);
            for (&x, byte) in x.iter().zip(bytes) {
                let steps = f64::from(x) / f64::from(scale);
                let wanted = (steps.round_ties_even() + f64::from(zero)).clamp(0.0, 255.0);
                // One over the scale is rounded: it may decide a tie.
                let tie = (steps.fract().abs() - 0.5).abs() < 1e-4;
                let error = (f64::from(byte) - wanted).abs();
                assert!(
                    error == 0.0 || tie && error == 1.0,
                    "{} {x:e} / {scale:e}: {byte}, not {wanted}",
                    isa.name()
                );
            }
        }
    }
}

/// Scales as exporters write them for dead channels.
#[test]
fn scales_of_zero_below_zero_and_subnormal() {
    let x = [-2.0, -1e-39, 0.0, 1e-39, 2.0, INF, -INF];
    for isa in present() {
        let run = |scale: f32| {
            let mut bytes = [0; 7];
            let q = Quantisation {
                scale,
                zero_point: 3,
            };
            quantise(isa, &x, &mut Output::Signed(&mut bytes, q));
            bytes
        };
        assert_eq!(run(-1.0), [5, 3, 3, 3, 1, -128, 127]);
        assert_eq!(run(1e-39), [-128, 2, 3, 4, 127, 127, -128]);
        assert_eq!(run(-1e-39), [127, 4, 3, 2, -128, -128, 127]);
        // 0 / 0 is NaN, the smallest value.
        assert_eq!(run(0.0), [-128, -128, -128, 127, 127, 127, -128]);
        let q = Quantisation {
            scale: -0.5,
            zero_point: 0,
        };
        assert_eq!(q.range(), (-63.5, 64.0));
    }
}

#[test]
fn norms_softmax_and_attention_keep_nan() {
    let (rows, width) = (5, 35);
    for isa in present() {
        for broken in [NAN, INF, -INF] {
            let mut x = vec![0.5; rows * width];
            x.iter_mut().step_by(3).for_each(|x| *x = -0.25);
            x[2 * width + 33] = broken;
            let gain = vec![1.0; width];
            let norm = NormInput {
                x: &x,
                gain: &gain,
                bias: None,
                epsilon: 1e-5,
            };
            let mut out = vec![0.0; rows * width];
            layer_norm(isa, norm, &mut Output::Float(&mut out), &Pool::alone());
            let name = isa.name();
            assert!(
                exactly_nan(&out, |at| at / width == 2),
                "norm {name} {broken}"
            );
            softmax(isa, &x, width, &mut out);
            let lost = broken == -INF;
            assert!(
                exactly_nan(&out, |at| at / width == 2 && !lost),
                "softmax {name} {broken}"
            );
        }
        softmax(isa, &[-INF; 3], 3, &mut [0.0; 3]);
        let mut out = [0.0; 3];
        softmax(isa, &[-INF; 3], 3, &mut out);
        assert!(
            out.iter().all(|x| x.is_nan()),
            "0 / 0 where all are impossible"
        );
        attention_keeps_nan(isa);
    }
}

fn attention_keeps_nan(isa: Isa) {
    let (heads, width, queries, keys) = (2, 24, 7, 19);
    let row = heads * width;
    for side in 0..3 {
        let mut sides = [
            vec![0.1; queries * row],
            vec![0.2; keys * row],
            vec![0.3; keys * row],
        ];
        // The second head of the fifth row.
        sides[side][4 * row + width + 3] = NAN;
        let attention = Attention {
            q: Head::Float(&sides[0]),
            k: Head::Float(&sides[1]),
            v: Head::Float(&sides[2]),
            layouts: [Layout::side_by_side(heads, width); 3],
            heads,
            shared_heads: heads,
            width,
            queries,
            keys,
            scale: 0.2,
            mask: None,
            zero_for_nan: false,
        };
        let mut out = vec![0.0; queries * row];
        attend(
            isa,
            &attention,
            &mut Output::Float(&mut out),
            &Pool::alone(),
        );
        let broken = |at: usize| {
            let (query, head, value) = (at / row, at % row / width, at % width);
            head == 1
                && match side {
                    0 => query == 4,
                    1 => true,
                    _ => value == 3,
                }
        };
        assert!(exactly_nan(&out, broken), "side {side} {}", isa.name());
    }
}

#[test]
fn small_operators_keep_nan() {
    for isa in present() {
        let x: Vec<f32> = (0..40)
            .map(|i| if i % 7 == 3 { NAN } else { 0.5 })
            .collect();
        let mut out = vec![0.0; 40];
        for op in [
            Unary::Abs,
            Unary::Exp,
            Unary::Neg,
            Unary::Recip,
            Unary::Rsqrt,
            Unary::Sigmoid,
            Unary::Silu,
            Unary::Sqrt,
            Unary::Square,
            Unary::Tanh,
        ] {
            unary(isa, op, &x, &mut out);
            assert!(exactly_nan(&out, |at| at % 7 == 3), "{op:?} {}", isa.name());
        }
        for op in [
            Reduction::Max,
            Reduction::Min,
            Reduction::Sum,
            Reduction::MeanOfSquares,
        ] {
            for inner in [1, 20] {
                for at in 0..40 {
                    let mut x = vec![0.5; 40];
                    x[at] = NAN;
                    let mut out = vec![0.0; inner];
                    reduce(isa, op, &x, [1, 40 / inner], &mut out);
                    assert!(exactly_nan(&out, |to| to == at % inner), "{op:?} {at}");
                }
            }
        }
    }
    for op in [
        Binary::Add,
        Binary::Div,
        Binary::Max,
        Binary::Min,
        Binary::Mul,
        Binary::Sub,
    ] {
        for (a, b) in [(NAN, 1.0), (1.0, NAN), (NAN, INF), (-INF, NAN)] {
            let mut out = [0.0; 20];
            for (left, right) in [
                (Operand::Many(&[a; 20]), Operand::Many(&[b; 20])),
                (Operand::Many(&[a; 20]), Operand::One(b)),
                (Operand::One(a), Operand::Many(&[b; 20])),
            ] {
                binary(op, left, right, &mut out);
                assert!(out.iter().all(|x| x.is_nan()), "{op:?} {a} {b}");
            }
        }
    }
}

/// Functions at the ends of what a float can tell.
#[test]
fn functions_at_extremes() {
    for isa in present() {
        let of = |op: Unary, x: f32| {
            let mut out = [NAN; 17];
            unary(isa, op, &[x; 17], &mut out);
            assert!(out.iter().all(|y| y.to_bits() == out[0].to_bits()));
            out[0]
        };
        for (op, x, wanted) in [
            (Unary::Exp, INF, INF),
            (Unary::Exp, 88.73, INF),
            (Unary::Exp, f32::MAX, INF),
            (Unary::Exp, -INF, 0.0),
            (Unary::Exp, -104.0, 0.0),
            (Unary::Exp, f32::MIN, 0.0),
            (Unary::Exp, -0.0, 1.0),
            (Unary::Sigmoid, INF, 1.0),
            (Unary::Sigmoid, -INF, 0.0),
            (Unary::Sigmoid, 1e30, 1.0),
            (Unary::Sigmoid, -1e30, 0.0),
            (Unary::Silu, INF, INF),
            (Unary::Silu, 1e30, 1e30),
            (Unary::Silu, -1e30, -0.0),
            (Unary::Tanh, INF, 1.0),
            (Unary::Tanh, -INF, -1.0),
            (Unary::Tanh, 1e30, 1.0),
            (Unary::Tanh, -1e30, -1.0),
            (Unary::Tanh, 1e-40, 1e-40),
            (Unary::Recip, 0.0, INF),
            (Unary::Sqrt, INF, INF),
        ] {
            assert_eq!(of(op, x), wanted, "{op:?}({x}) {}", isa.name());
        }
        assert!(of(Unary::Exp, 88.72) > 3.3e38 && of(Unary::Exp, 88.72).is_finite());
        let subnormal = of(Unary::Exp, -100.0);
        assert!((subnormal - 3.8e-44).abs() < 2e-45, "{subnormal:e}");
        assert!(of(Unary::Silu, -INF).is_nan(), "-inf times 0");
        // Scores far apart, and far from 0.
        let mut out = [0.0; 3];
        softmax(isa, &[-1e30, 1e30, 1e30], 3, &mut out);
        assert_eq!(out, [0.0, 0.5, 0.5]);
        softmax(isa, &[-1e30, -1e30, -INF], 3, &mut out);
        assert_eq!(out, [0.5, 0.5, 0.0]);
    }
}

/// e^x over every 509th float, against f64's: and the same bits on every instruction set.
#[test]
fn exp_of_all_sizes() {
    let x: Vec<f32> = (0..u32::MAX).step_by(509).map(f32::from_bits).collect();
    let mut wanted = vec![0.0; x.len()];
    unary(Isa::detect(), Unary::Exp, &x, &mut wanted);
    for (&x, &y) in x.iter().zip(&wanted) {
        let exact = f64::from(x).exp();
        if x.is_nan() {
            assert!(y.is_nan(), "{x}");
        } else if exact > f64::from(f32::MAX) * (1.0 + 2.0_f64.powi(-25)) {
            assert_eq!(y, INF, "{x}");
        } else {
            // A subnormal step is 2^-149.
            let allowed = 3e-7 * exact + 0.501 * 2.0_f64.powi(-149);
            let error = (f64::from(y) - exact).abs();
            assert!(
                error <= allowed || x > 88.722_8,
                "exp({x}) = {y}: {error:e}"
            );
        }
    }
    for isa in present() {
        let mut out = vec![0.0; x.len() / 16];
        unary(isa, Unary::Exp, &x[..x.len() / 16], &mut out);
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        assert!(out.iter().zip(&wanted).all(same), "{}", isa.name());
    }
}
