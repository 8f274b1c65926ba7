//! Speed of the products on the shapes of the shipped policy and of larger ones: `cargo bench -p wink-kernels`, or
//! `cargo bench -p wink-kernels -- avx2` for one instruction set.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use wink_kernels::{
    Activations, BLOCK, Bytes, Epilogue, FloatRows, Four, Isa, Output, PackedFloats, PackedFours,
    PackedWeights, Pool, Residual, RowScales, Rows, float_product, four_bit_product, product,
};

const SHAPES: [(usize, usize, usize); 10] = [
    (35, 192, 768),
    (35, 768, 192),
    (35, 1728, 192),
    (560, 432, 48),
    (256, 768, 768),
    (256, 3072, 768),
    (256, 768, 3072),
    (1, 768, 3072),
    (1024, 768, 768),
    (4800, 1152, 128),
];

fn main() {
    let mut out = stdout().lock();
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let wanted = |isa: &Isa| isa.available() && only.as_ref().is_none_or(|only| only == isa.name());
    let pools = [1, 2].map(|threads| Pool::new(threads, |_| {}));
    let _awake = pools.each_ref().map(Pool::awake);
    for (m, k, n) in SHAPES {
        for isa in Isa::ALL.into_iter().filter(wanted) {
            let shape = format!("{m}x{k}x{n}");
            for (numbers, fastest) in [
                ("8 bits", fastest as Timed),
                ("floats", fastest_floats),
                ("4 bits", fastest_fours),
            ] {
                for pool in &pools {
                    let best = fastest(isa, m, k, n, pool);
                    let speed = (m * k * n) as f64 / best / 1e9;
                    let _ = writeln!(
                        out,
                        "{shape:14} {:12} {numbers} {} {:9.1} us {speed:7.2} GMAC/s",
                        isa.name(),
                        pool.threads(),
                        best * 1e6
                    );
                }
            }
        }
    }
}

type Timed = fn(Isa, usize, usize, usize, &Pool) -> f64;

/// Seconds of the fastest of some runs, the copy of the activations among them.
fn fastest(isa: Isa, m: usize, k: usize, n: usize, pool: &Pool) -> f64 {
    #[expect(clippy::cast_possible_truncation)]
    let bytes = |count: usize, by: usize| (0..count).map(move |i| (i * by % 256) as u8);
    let weights: Vec<i8> = bytes(k * n, 31).map(u8::cast_signed).collect();
    let weights = PackedWeights::pack_matrix(isa, n, &weights);
    let values: Vec<u8> = bytes(m * k, 17).collect();
    let mut activations = Activations::new();
    #[expect(clippy::cast_possible_truncation)]
    let offsets: Vec<u32> = (0..m).map(|row| (row * k) as u32).collect();
    let epilogue = Epilogue::new(&vec![1e-3; n], None, Some(&weights.offsets(0)));
    let mut out = vec![0.0; m * n];
    time(isa, || {
        activations
            .writer(isa, m * k, 0)
            .put(0, Bytes::Unsigned(&values));
        let rows = Rows {
            activations: &activations,
            offsets: &offsets,
            segments: &[0],
        };
        let mut output = Output::Float(&mut out);
        product(
            &weights,
            rows,
            &epilogue,
            RowScales::Fixed,
            Residual::None,
            &mut output,
            pool,
        );
        black_box(&out);
    })
}

/// The same in floats.
fn fastest_floats(isa: Isa, m: usize, k: usize, n: usize, pool: &Pool) -> f64 {
    let weights = PackedFloats::pack(isa, 1, k, n, |_, k, n| ((k * 31 + n) % 256) as f32);
    of_floats(isa, (m, k, n), |rows, epilogue, output| {
        float_product(&weights, rows, epilogue, Residual::None, output, pool);
    })
}

/// The same with 4-bit weights, whose rows are filled up to a whole block.
fn fastest_fours(isa: Isa, m: usize, k: usize, n: usize, pool: &Pool) -> f64 {
    let k = k.next_multiple_of(BLOCK);
    #[expect(clippy::cast_possible_truncation)]
    let value = |k: usize, n: usize| (k * 31 + n) as u8;
    let four = Four {
        scale: 1e-3,
        zero_point: 8,
    };
    let weights = PackedFours::pack(isa, k, n, value, |_, _| four);
    of_floats(isa, (m, k, n), |rows, epilogue, output| {
        four_bit_product(&weights, rows, epilogue, Residual::None, output, pool);
    })
}

fn of_floats(
    isa: Isa,
    (m, k, n): (usize, usize, usize),
    mut product: impl FnMut(FloatRows<'_>, &Epilogue, &mut Output<'_>),
) -> f64 {
    let values: Vec<f32> = (0..m * k).map(|i| (i * 17 % 256) as f32).collect();
    #[expect(clippy::cast_possible_truncation)]
    let offsets: Vec<u32> = (0..m).map(|row| (row * k) as u32).collect();
    let epilogue = Epilogue::new(&vec![1.0; n], None, None);
    let mut out = vec![0.0; m * n];
    time(isa, || {
        let rows = FloatRows {
            values: &values,
            offsets: &offsets,
            segments: &[0],
        };
        product(rows, &epilogue, &mut Output::Float(&mut out));
        black_box(&out);
    })
}

fn time(isa: Isa, mut work: impl FnMut()) -> f64 {
    let runs = if isa == Isa::Scalar { 2 } else { 50 };
    let seconds = (0..runs).map(|_| {
        let clock = Instant::now();
        work();
        clock.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
