//! Quantisation, norms and attention against plain formulas in f64.

use wink_kernels::{
    Attention, Bytes, Head, Isa, Layout, Mask, NormInput, Output, Pool, Quantisation, attend,
    dequantise, dynamic_range, layer_norm, quantise,
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

/// Masks of all kinds, with where the test finds their value for a head, a query and a key.
struct Masks {
    added: Vec<f32>,
    kept: Vec<bool>,
    keep: bool,
    otherwise: f32,
}

impl Masks {
    fn at(&self, index: usize, score: f64) -> f64 {
        if !self.added.is_empty() {
            score + f64::from(self.added[index])
        } else if self.kept[index] == self.keep {
            score
        } else {
            f64::from(self.otherwise)
        }
    }
}

/// `rows` rows of masks of each kind; where `dead`, the first row leaves no key.
fn masks(rows: usize, keys: usize, dead: bool) -> Vec<Masks> {
    let mut added = wave(rows * keys, 1.0);
    added[0] = -1e9;
    let kept: Vec<bool> = (0..rows * keys)
        .map(|i| i % 3 != 1 && !(dead && i < keys))
        .collect();
    let of = |kept: Vec<bool>, keep, otherwise| Masks {
        added: vec![],
        kept,
        keep,
        otherwise,
    };
    let turned = kept.iter().map(|kept| !kept).collect();
    vec![
        Masks {
            added,
            ..of(vec![], true, 0.0)
        },
        of(kept.clone(), true, f32::NEG_INFINITY),
        of(kept, true, f32::MIN),
        of(turned, false, f32::NEG_INFINITY),
    ]
}

#[test]
fn attention_is_the_formula() {
    for isa in present() {
        for (heads, shared, width, queries, keys) in [
            (1, 1, 1, 1, 1),
            (2, 2, 5, 3, 7),
            (4, 4, 48, 35, 35),
            (3, 3, 64, 9, 17),
            (1, 1, 16, 4, 16),
            (6, 2, 24, 7, 40),
            (8, 1, 32, 3, 33),
        ] {
            check_attention(isa, [heads, shared, width, queries, keys], None);
            for rows in [1, queries, heads * queries] {
                for dead in [false, true] {
                    for mask in masks(rows, keys, dead) {
                        let sizes = [heads, shared, width, queries, keys];
                        check_attention(isa, sizes, Some(&mask));
                    }
                }
            }
        }
    }
}

fn check_attention(isa: Isa, sizes: [usize; 5], masks: Option<&Masks>) {
    let [heads, shared_heads, width, queries, keys] = sizes;
    let (row, shared_row) = (heads * width, shared_heads * width);
    let (q, k, v) = (
        wave(queries * row, 1.0),
        wave(keys * shared_row, 1.5),
        wave(keys * shared_row, 2.0),
    );
    let mask = masks.map(|masks| match &*masks.added {
        [] => Mask::Kept {
            values: &masks.kept,
            keep: masks.keep,
            otherwise: masks.otherwise,
        },
        added => Mask::Added(added),
    });
    let layouts =
        [heads, shared_heads, shared_heads].map(|heads| Layout::side_by_side(heads, width));
    let rows = masks.map_or(1, |masks| masks.added.len().max(masks.kept.len()) / keys);
    for zero_for_nan in [false, true] {
        let mut out = vec![0.0; queries * row];
        let attention = Attention {
            q: Head::Float(&q),
            k: Head::Float(&k),
            v: Head::Float(&v),
            layouts,
            heads,
            shared_heads,
            width,
            queries,
            keys,
            scale: 0.2,
            mask,
            zero_for_nan,
        };
        let (mut to, pool) = (Output::Float(&mut out), Pool::alone());
        attend(isa, &attention, &mut to, &pool);
        for (i, h) in (0..queries).flat_map(|i| (0..heads).map(move |h| (i, h))) {
            let of = h / (heads / shared_heads) * width;
            let side = |x: &[f32], j: usize, d: usize| f64::from(x[j * shared_row + of + d]);
            let score = |j: usize| {
                let dot: f64 = (0..width)
                    .map(|d| f64::from(q[i * row + h * width + d]) * side(&k, j, d))
                    .sum();
                let row = match rows {
                    1 => 0,
                    rows if rows == queries => i,
                    _ => h * queries + i,
                };
                masks.map_or(dot * 0.2, |mask| mask.at(row * keys + j, dot * 0.2))
            };
            let scores: Vec<f64> = (0..keys).map(score).collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
            let total: f64 = weights.iter().sum();
            for d in 0..width {
                let found = out[i * row + h * width + d];
                let sum = (0..keys).map(|j| weights[j] * side(&v, j, d)).sum::<f64>();
                let wanted = sum / total;
                let name = format!("{} {sizes:?} of {rows}: {found} {wanted}", isa.name());
                if wanted.is_nan() && !zero_for_nan {
                    assert!(found.is_nan(), "{name}");
                } else {
                    let wanted = if wanted.is_nan() { 0.0 } else { wanted };
                    assert!((f64::from(found) - wanted).abs() < 1e-4, "{name}");
                }
            }
        }
    }
}

/// Heads one after the other, and parts of one tensor that holds all three, give what heads side by side give.
#[test]
fn heads_may_lie_anywhere() {
    let (heads, shared_heads, width, queries) = (6, 2, 5, 9);
    let rows = [heads, shared_heads, shared_heads].map(|heads| heads * width);
    let sides: Vec<Vec<f32>> = (1..)
        .zip(rows)
        .map(|(by, row)| wave(queries * row, by as f32))
        .collect();
    let run = |isa: Isa, sides: [&[f32]; 3], layouts: [Layout; 3]| {
        let attention = Attention {
            q: Head::Float(sides[0]),
            k: Head::Float(sides[1]),
            v: Head::Float(sides[2]),
            layouts,
            heads,
            shared_heads,
            width,
            queries,
            keys: queries,
            scale: 0.3,
            mask: None,
            zero_for_nan: false,
        };
        let mut out = vec![0.0; queries * heads * width];
        let (mut to, pool) = (Output::Float(&mut out), Pool::alone());
        attend(isa, &attention, &mut to, &pool);
        out
    };
    let apart: Vec<Vec<f32>> = sides
        .iter()
        .zip(rows)
        .map(|(side, row)| {
            let places = (0..row / width).flat_map(|head| (0..queries).map(move |at| (head, at)));
            places
                .flat_map(|(head, at)| &side[at * row + head * width..][..width])
                .copied()
                .collect()
        })
        .collect();
    let whole: usize = rows.iter().sum();
    let together: Vec<f32> = (0..queries)
        .flat_map(|at| {
            sides
                .iter()
                .zip(rows)
                .flat_map(move |(s, row)| &s[at * row..][..row])
        })
        .copied()
        .collect();
    for isa in present() {
        let beside = rows.map(|row| Layout::side_by_side(row / width, width));
        let wanted = run(isa, [&sides[0], &sides[1], &sides[2]], beside);
        let after = Layout {
            first: 0,
            row: width,
            head: queries * width,
        };
        assert_eq!(
            run(isa, [&apart[0], &apart[1], &apart[2]], [after; 3]),
            wanted
        );
        let firsts = [0, rows[0], rows[0] + rows[1]];
        let packed = firsts.map(|first| Layout {
            first,
            row: whole,
            head: width,
        });
        assert_eq!(run(isa, [&together; 3], packed), wanted);
    }
}

#[test]
#[should_panic(expected = "keys")]
fn keys_must_lie_in_their_tensor() {
    let attention = Attention {
        q: Head::Float(&[0.0; 4]),
        k: Head::Float(&[0.0; 7]),
        v: Head::Float(&[0.0; 8]),
        layouts: [Layout::side_by_side(1, 4); 3],
        heads: 1,
        shared_heads: 1,
        width: 4,
        queries: 1,
        keys: 2,
        scale: 1.0,
        mask: None,
        zero_for_nan: false,
    };
    let mut to = [0.0; 4];
    attend(
        Isa::Scalar,
        &attention,
        &mut Output::Float(&mut to),
        &Pool::alone(),
    );
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
        layouts: [Layout::side_by_side(heads, width); 3],
        heads,
        shared_heads: heads,
        width,
        queries,
        keys,
        scale: 0.3,
        mask: None,
        zero_for_nan: false,
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
