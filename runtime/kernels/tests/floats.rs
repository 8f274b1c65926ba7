//! Quantisation, norms and attention against plain formulas in f64.

use wink_kernels::{
    Attention, Bytes, Head, Isa, NormInput, Output, Pool, Quantisation, attend, dequantise,
    dynamic_range, layer_norm, quantise,
};

fn wave(count: usize, by: f32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * i) as f32 * 0.37 + 1.0).sin() * by)
        .collect()
}

fn present() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

#[test]
fn quantises_and_back() {
    let q = Quantisation {
        scale: 0.5,
        zero_point: 3,
    };
    let x = [
        0.0,
        0.25,
        0.75,
        0.76,
        -0.25,
        1e9,
        -1e9,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ];
    for isa in present() {
        let mut signed = [0; 10];
        quantise(isa, &x, &mut Output::Signed(&mut signed, q));
        assert_eq!(signed, [3, 3, 5, 5, 3, 127, -128, 127, -128, -128]);
        let mut unsigned = [0; 10];
        quantise(isa, &x, &mut Output::Unsigned(&mut unsigned, q));
        assert_eq!(unsigned.map(|u| (i32::from(u) - 128) as i8), signed);
        let mut back = [0.0; 10];
        dequantise(isa, Bytes::Unsigned(&unsigned), q, &mut back);
        assert_eq!(back[..6], [0.0, 0.0, 1.0, 1.0, 0.0, 62.0]);
    }
}

/// The examples of ONNX's operator page.
#[test]
fn dynamic_range_as_onnx_defines_it() {
    let cases: [(&[f32], f32, i32); 4] = [
        (&[0., 2., -3., -2.5, 1.34, 0.5], 0.019_607_844, 153),
        (&[-1., -2.1, -1.3, -2.5, -3.34, -4.], 0.015_686_275, 255),
        (
            &[1., 2.1, 1.3, 2.5, 3.34, 4., 1.5, 2.6, 3.9, 4., 3., 2.345],
            0.015_686_275,
            0,
        ),
        (&[0.0; 3], 1.0, 0),
    ];
    for isa in present() {
        for (x, scale, zero) in cases {
            assert_eq!(
                dynamic_range(isa, x),
                Quantisation {
                    scale,
                    zero_point: zero - 128
                }
            );
        }
    }
}

#[test]
fn norm_is_the_formula() {
    for isa in present() {
        for width in [1, 5, 16, 192, 200] {
            let (x, gain, bias) = (wave(3 * width, 4.0), wave(width, 1.0), wave(width, 2.0));
            let input = NormInput {
                x: &x,
                gain: &gain,
                bias: Some(&bias),
                epsilon: 1e-5,
            };
            let (mut out, mut bytes) = (vec![0.0; 3 * width], vec![0; 3 * width]);
            let pool = Pool::alone();
            layer_norm(isa, input, &mut Output::Float(&mut out), &pool);
            let q = Quantisation {
                scale: 0.04,
                zero_point: -3,
            };
            layer_norm(isa, input, &mut Output::Signed(&mut bytes, q), &pool);
            for (index, (x, out)) in x.chunks(width).zip(out.chunks(width)).enumerate() {
                let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
                let variance = x
                    .iter()
                    .map(|&v| (f64::from(v) - mean).powi(2))
                    .sum::<f64>()
                    / width as f64;
                for j in 0..width {
                    let normal = (f64::from(x[j]) - mean) / (variance + 1e-5).sqrt();
                    let wanted = normal * f64::from(gain[j]) + f64::from(bias[j]);
                    assert!(
                        (f64::from(out[j]) - wanted).abs() < 1e-4,
                        "{} {width}",
                        isa.name()
                    );
                    let byte = (out[j] * (1.0 / q.scale)).round_ties_even() - 3.0;
                    assert_eq!(
                        f32::from(bytes[index * width + j]),
                        byte.clamp(-128.0, 127.0)
                    );
                }
            }
        }
    }
}

#[test]
fn attention_is_the_formula() {
    for isa in present() {
        for (heads, width, queries, keys) in [
            (1, 1, 1, 1),
            (2, 5, 3, 7),
            (4, 48, 35, 35),
            (3, 64, 9, 17),
            (1, 16, 4, 16),
        ] {
            let row = heads * width;
            let (q, k, v) = (
                wave(queries * row, 1.0),
                wave(keys * row, 1.5),
                wave(keys * row, 2.0),
            );
            for masked in [0, 1, queries] {
                let mut mask = wave(masked * keys, 1.0);
                if masked > 0 {
                    mask[0] = -1e9;
                }
                let scale = 0.2;
                let mut out = vec![0.0; queries * row];
                let attention = Attention {
                    q: Head::Float(&q),
                    k: Head::Float(&k),
                    v: Head::Float(&v),
                    heads,
                    width,
                    queries,
                    keys,
                    scale,
                    mask: (masked > 0).then_some(&*mask),
                };
                attend(
                    isa,
                    &attention,
                    &mut Output::Float(&mut out),
                    &Pool::alone(),
                );
                for h in 0..heads {
                    for i in 0..queries {
                        let at =
                            |x: &[f32], r: usize, d: usize| f64::from(x[r * row + h * width + d]);
                        let score = |j: usize| {
                            let dot: f64 = (0..width).map(|d| at(&q, i, d) * at(&k, j, d)).sum();
                            let masks = match masked {
                                0 => 0.0,
                                1 => mask[j],
                                _ => mask[i * keys + j],
                            };
                            (dot * 0.2 + f64::from(masks)).exp()
                        };
                        let total: f64 = (0..keys).map(score).sum();
                        if total == 0.0 {
                            continue;
                        }
                        for d in 0..width {
                            let wanted =
                                (0..keys).map(|j| score(j) * at(&v, j, d)).sum::<f64>() / total;
                            let got = at(&out, i, d);
                            assert!(
                                (got - wanted).abs() < 1e-4,
                                "{} {heads} {width} {queries} {keys} {masked}: {got} {wanted}",
                                isa.name()
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Threads share heads and rows: none is forgotten. And every instruction set computes the same.
#[test]
fn neither_threads_nor_instruction_sets_change_a_bit() {
    let pool = Pool::new(3, |_| {});
    let _awake = pool.awake();
    let (heads, width, queries, keys) = (5, 24, 9, 13);
    let (q, k) = (
        wave(queries * heads * width, 1.0),
        wave(keys * heads * width, 2.0),
    );
    let attention = Attention {
        q: Head::Float(&q),
        k: Head::Float(&k),
        v: Head::Float(&k),
        heads,
        width,
        queries,
        keys,
        scale: 0.3,
        mask: None,
    };
    // Rows enough to be worth sharing, and not the same number for each thread.
    let (rows, columns) = (301, 64);
    let (x, gain) = (wave(rows * columns, 4.0), wave(columns, 1.0));
    let norm = NormInput {
        x: &x,
        gain: &gain,
        bias: None,
        epsilon: 1e-5,
    };
    let quantisation = Quantisation {
        scale: 0.04,
        zero_point: 2,
    };
    let run = |isa: Isa, pool: &Pool| {
        let mut mixed = vec![0.0; queries * heads * width];
        attend(isa, &attention, &mut Output::Float(&mut mixed), pool);
        let (mut floats, mut bytes) = (vec![0.0; rows * columns], vec![0; rows * columns]);
        layer_norm(isa, norm, &mut Output::Float(&mut floats), pool);
        let mut output = Output::Unsigned(&mut bytes, quantisation);
        layer_norm(isa, norm, &mut output, pool);
        (mixed, floats, bytes)
    };
    let wanted = run(Isa::Scalar, &Pool::alone());
    for isa in present() {
        assert_eq!(run(isa, &pool), wanted, "{}", isa.name());
    }
}
