//! Every kernel that this machine has against an independent reference, bit for bit.

use std::sync::OnceLock;

use wink_kernels::{
    Activation, Activations, Bytes, Epilogue, FloatRows, Isa, Output, PackedFloats, PackedWeights,
    Pool, Quantisation, Residual, RowScales, Rows, float_product, product,
};

/// A product with everything that can vary.
#[derive(Debug, Clone)]
struct Case {
    m: usize,
    k: usize,
    n: usize,
    segments: usize,
    unsigned: bool,
    zero_point: i32,
    /// Quantised activations as raw bytes, M rows of `segments * k`.
    a: Vec<u8>,
    /// The same bytes as signed values.
    signed: Vec<i8>,
    /// `segments * k` rows of N.
    w: Vec<i8>,
}

impl Case {
    fn seeded(m: usize, k: usize, n: usize, segments: usize, seed: u32) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let unsigned = next() & 1 == 1;
        let zero_point = i32::from(next().cast_signed());
        let a: Vec<u8> = (0..m * k * segments).map(|_| next()).collect();
        Self {
            m,
            k,
            n,
            segments,
            unsigned,
            zero_point,
            signed: a.iter().map(|byte| byte.cast_signed()).collect(),
            a,
            w: (0..k * segments * n)
                .map(|_| next().cast_signed())
                .collect(),
        }
    }

    fn filled(m: usize, k: usize, n: usize, a: i8, w: i8) -> Self {
        let mut case = Self::seeded(m, k, n, 1, 1);
        case.unsigned = false;
        case.a.fill(a.cast_unsigned());
        case.signed.fill(a);
        case.w.fill(w);
        case.zero_point = if a == -128 { 127 } else { -128 };
        case
    }

    fn bytes(&self) -> Bytes<'_> {
        if self.unsigned {
            Bytes::Unsigned(&self.a)
        } else {
            Bytes::Signed(&self.signed)
        }
    }

    /// Exact sums of `(a - zero point) * w`.
    fn sums(&self) -> Vec<i64> {
        let depth = self.k * self.segments;
        let value = |byte: u8| match self.unsigned {
            true => i64::from(byte) - 128,
            false => i64::from(byte.cast_signed()),
        };
        let mut sums = vec![0; self.m * self.n];
        for m in 0..self.m {
            for k in 0..depth {
                let a = value(self.a[m * depth + k]) - i64::from(self.zero_point);
                for n in 0..self.n {
                    sums[m * self.n + n] += a * i64::from(self.w[k * self.n + n]);
                }
            }
        }
        sums
    }

    /// Runs a kernel with scale 1 and no bias, `shape` having changed the epilogue.
    fn run(
        &self,
        isa: Isa,
        dynamic: bool,
        epilogue: impl Fn(Epilogue) -> Epilogue,
        residual: Residual<'_>,
        out: &mut Output<'_>,
    ) {
        let weights = PackedWeights::pack(isa, self.segments, self.k, self.n, |s, k, n| {
            self.w[(s * self.k + k) * self.n + n]
        });
        let mut activations = Activations::new();
        // Segments lie apart, with room for what the kernel reads past their ends.
        let apart = weights.padded_segment() + 3;
        let row = self.segments * apart;
        let mut writer = activations.writer(isa, self.m * row, self.zero_point);
        for m in 0..self.m {
            for s in 0..self.segments {
                let from = (m * self.segments + s) * self.k;
                let values = match self.bytes() {
                    Bytes::Signed(v) => Bytes::Signed(&v[from..from + self.k]),
                    Bytes::Unsigned(v) => Bytes::Unsigned(&v[from..from + self.k]),
                };
                writer.put(m * row + s * apart, values);
            }
        }
        let step =
            |count: usize, by: usize| -> Vec<u32> { (0..count).map(|i| (i * by) as u32).collect() };
        let offsets = weights.offsets(self.zero_point);
        let zero_points = vec![self.zero_point; self.m];
        let scales = match dynamic {
            true => RowScales::Dynamic {
                scale: &[1.0],
                zero_point: &zero_points,
            },
            false => RowScales::Fixed,
        };
        let plain = Epilogue::new(&vec![1.0; self.n], None, (!dynamic).then_some(&*offsets));
        product(
            &weights,
            Rows {
                activations: &activations,
                offsets: &step(self.m, row),
                segments: &step(self.segments, apart),
            },
            &epilogue(plain),
            scales,
            residual,
            out,
            pool(),
        );
    }

    fn check(&self, isa: Isa) {
        let wanted: Vec<f32> = self
            .sums()
            .into_iter()
            .map(|sum| sum as i32 as f32)
            .collect();
        for dynamic in [false, true] {
            let mut out = vec![0.0; self.m * self.n];
            self.run(
                isa,
                dynamic,
                |e| e,
                Residual::None,
                &mut Output::Float(&mut out),
            );
            assert_eq!(
                out,
                wanted,
                "{} {}x{}x{} dynamic {dynamic}",
                isa.name(),
                self.m,
                self.k,
                self.n
            );
        }
    }
}

/// M, K of a segment, N, segments.
const SHAPES: [(usize, usize, usize, usize); 27] = [
    (1, 1, 1, 1),
    (1, 1, 16, 1),
    (1, 7, 17, 1),
    (2, 8, 15, 1),
    (3, 9, 33, 1),
    (4, 16, 16, 1),
    (5, 31, 48, 1),
    (6, 32, 31, 1),
    (7, 33, 64, 1),
    (11, 15, 5, 1),
    (12, 64, 16, 1),
    (13, 65, 32, 1),
    (35, 192, 192, 1),
    (1, 768, 192, 1),
    (25, 3, 20, 1),
    (6, 9, 32, 3),
    (5, 10, 16, 3),
    (14, 96, 48, 3),
    (1, 5, 1, 5),
    (3, 17, 18, 2),
    (700, 192, 16, 1),
    (40, 96, 400, 1),
    (301, 64, 33, 2),
    // Parts along K, more strips of rows than wait at a time, and a last strip of which few rows are new.
    (145, 1029, 65, 1),
    (129, 448, 33, 1),
    (17, 3000, 16, 1),
    (31, 391, 49, 1),
];

/// Every product is shared by three threads: where it is too small for that, it runs on one.
fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::new(3, |_| {}))
}

fn present() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

#[test]
fn tells_what_it_ran() {
    let names: Vec<&str> = present().map(Isa::name).collect();
    eprintln!(
        "kernels here: {}; chosen: {}",
        names.join(", "),
        Isa::detect().name()
    );
    assert!(names.contains(&"scalar"));
}

#[test]
fn sums_are_exact_over_shapes() {
    let _awake = pool().awake();
    for isa in present() {
        for (seed, (m, k, n, segments)) in (0..).zip(SHAPES) {
            Case::seeded(m, k, n, segments, seed).check(isa);
        }
    }
}

#[test]
fn extremes_do_not_saturate() {
    for isa in present() {
        for k in [1, 2, 3, 4, 5, 8, 255, 1024] {
            for a in [-128, -127, 0, 127] {
                for w in [-128, -127, 0, 127] {
                    Case::filled(3, k, 17, a, w).check(isa);
                }
            }
        }
    }
}

/// The epilogue of each instruction set must give the bits of the scalar one.
#[test]
fn epilogues_agree_to_the_bit() {
    let (m, n) = (13, 35);
    let case = Case::seeded(m, 50, n, 1, 99);
    let floats: Vec<f32> = (0..m * n).map(|i| (i as f32).sin() * 40.0).collect();
    let bytes: Vec<u8> = (0..m * n).map(|i| (i * 37 % 256) as u8).collect();
    let q = Quantisation {
        scale: 0.37,
        zero_point: -9,
    };
    let residuals = [
        Residual::None,
        Residual::Float(&floats),
        Residual::Quantised(Bytes::Unsigned(&bytes), q),
        Residual::Factor(&floats),
    ];
    let activations = [
        Activation::Identity,
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
    ];
    let scale: Vec<f32> = (0..n).map(|i| 1e-4 * (1.0 + i as f32)).collect();
    let bias: Vec<f32> = (0..n).map(|i| (i as f32).cos() * 20.0).collect();
    for activation in activations {
        for residual in residuals {
            for range in [None, Some((-30.0, 25.0))] {
                let results: Vec<(Vec<u32>, Vec<i8>, Vec<u8>)> = present()
                    .map(|isa| {
                        let shape = |plain: Epilogue| {
                            let weights = PackedWeights::pack_matrix(isa, n, &case.w);
                            let offsets = weights.offsets(case.zero_point);
                            assert!(plain != Epilogue::new(&scale, Some(&bias), None));
                            let mut e = Epilogue::new(&scale, Some(&bias), Some(&offsets));
                            e.activation = activation;
                            if let Some((low, high)) = range {
                                let of = |column| (low - column as f32, high + column as f32);
                                e.clamp(&(0..n).map(of).collect::<Vec<_>>());
                            }
                            e
                        };
                        let (mut f, mut s, mut u) =
                            (vec![0.0; m * n], vec![0; m * n], vec![0; m * n]);
                        case.run(isa, false, shape, residual, &mut Output::Float(&mut f));
                        case.run(isa, false, shape, residual, &mut Output::Signed(&mut s, q));
                        case.run(
                            isa,
                            false,
                            shape,
                            residual,
                            &mut Output::Unsigned(&mut u, q),
                        );
                        (f.into_iter().map(f32::to_bits).collect(), s, u)
                    })
                    .collect();
                let (f, s, u) = &results[0];
                for ((&bits, &s), &u) in f.iter().zip(s).zip(u) {
                    let x = f32::from_bits(bits);
                    let wanted = ((x * (1.0 / q.scale)).round_ties_even() + q.zero_point as f32)
                        .clamp(-128.0, 127.0);
                    assert_eq!(
                        (f32::from(s), i32::from(u)),
                        (wanted, i32::from(s) + 128),
                        "{x}"
                    );
                }
                assert!(results.iter().all(|result| result == &results[0]));
            }
        }
    }
}

/// Shapes and values drawn from a fixed seed.
#[test]
fn sums_are_exact_over_drawn_shapes() {
    let mut state = 7_u32;
    let mut draw = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) % below) as usize
    };
    for seed in 0..300 {
        let (m, k, n, segments) = (1 + draw(20), 1 + draw(80), 1 + draw(40), 1 + draw(3));
        for isa in present() {
            Case::seeded(m, k, n, segments, seed).check(isa);
        }
    }
}

/// Sums of floats are one chain of fused multiply-adds on every instruction set.
#[test]
fn float_sums_are_the_chains_of_all_shapes() {
    let _awake = pool().awake();
    let value = |index: usize| ((index * index) as f32 * 0.37).sin() * 3.0;
    for (m, k, n, segments) in SHAPES {
        let depth = k * segments;
        // Segments lie apart, and nothing is readable past the last one.
        let apart = k + 3;
        let row = segments * apart;
        let values: Vec<f32> = (0..m * row - 3).map(value).collect();
        let step =
            |count: usize, by: usize| -> Vec<u32> { (0..count).map(|i| (i * by) as u32).collect() };
        let (offsets, starts) = (step(m, row), step(segments, apart));
        let bias: Vec<f32> = (0..n).map(value).collect();
        let residual: Vec<f32> = (0..m * n).map(|i| value(i + 5)).collect();
        let wanted = |at: usize| {
            let (m, n_at) = (at / n, at % n);
            let sum = (0..depth).fold(0.0_f32, |sum, d| {
                let a = values[m * row + d / k * apart + d % k];
                a.mul_add(value(d * n + n_at + 11), sum)
            });
            sum + bias[n_at] + residual[at]
        };
        for isa in present() {
            let weights = PackedFloats::pack(isa, segments, k, n, |s, at, column| {
                value((s * k + at) * n + column + 11)
            });
            assert_eq!(weights.bytes(), depth * n.next_multiple_of(16) * 4);
            let mut out = vec![f32::NAN; m * n];
            float_product(
                &weights,
                FloatRows {
                    values: &values,
                    offsets: &offsets,
                    segments: &starts,
                },
                &Epilogue::new(&vec![1.0; n], Some(&bias), None),
                Residual::Float(&residual),
                &mut Output::Float(&mut out),
                pool(),
            );
            for (at, &got) in out.iter().enumerate() {
                let name = isa.name();
                assert_eq!(got, wanted(at), "{name} {m}x{k}x{n}, {segments}: {at}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "rows leave the buffer")]
fn float_rows_must_lie_in_the_buffer() {
    let weights = PackedFloats::pack(Isa::Scalar, 1, 4, 1, |_, _, _| 1.0);
    float_product(
        &weights,
        FloatRows {
            values: &[0.0; 7],
            offsets: &[0, 4],
            segments: &[0],
        },
        &Epilogue::new(&[1.0], None, None),
        Residual::None,
        &mut Output::Float(&mut [0.0; 2]),
        pool(),
    );
}
