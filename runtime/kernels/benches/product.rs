//! Speed of the products on the shapes of the shipped policy and of larger ones: `cargo bench -p wink-kernels`.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use wink_kernels::{
    Activations, Bytes, Epilogue, Isa, Output, PackedWeights, Pool, Residual, RowScales, Rows,
    product,
};

const SHAPES: [(usize, usize, usize); 6] = [
    (35, 192, 768),
    (35, 768, 192),
    (35, 1728, 192),
    (560, 432, 48),
    (256, 768, 768),
    (1, 768, 3072),
];

fn main() {
    let mut out = stdout().lock();
    let pools = [1, 2].map(|threads| Pool::new(threads, |_| {}));
    let _awake = pools.each_ref().map(Pool::awake);
    for (m, k, n) in SHAPES {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let shape = format!("{m}x{k}x{n}");
            for pool in &pools {
                let best = fastest(isa, m, k, n, pool);
                let speed = (m * k * n) as f64 / best / 1e9;
                let _ = writeln!(
                    out,
                    "{shape:14} {:12} {} {:9.1} us {speed:7.2} GMAC/s",
                    isa.name(),
                    pool.threads(),
                    best * 1e6
                );
            }
        }
    }
}

/// Seconds of the fastest of some runs.
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
    let mut best = f64::INFINITY;
    for _ in 0..if isa == Isa::Scalar { 2 } else { 50 } {
        let clock = Instant::now();
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
        best = best.min(clock.elapsed().as_secs_f64());
    }
    best
}
