//! Speed of the products on the shapes of the shipped policy and of larger ones: `cargo bench -p wink-kernels`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use wink_kernels::{
    Activations, Bytes, Epilogue, Isa, Output, PackedWeights, Residual, RowScales, Rows, product,
};

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    let shapes = [
        (35, 192, 768),
        (35, 768, 192),
        (35, 1728, 192),
        (560, 432, 48),
        (256, 768, 768),
        (1, 768, 3072),
    ];
    for (m, k, n) in shapes {
        group.throughput(Throughput::Elements((m * k * n) as u64));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let weights: Vec<i8> = (0..k * n).map(|i| (i * 31 % 251) as u8 as i8).collect();
            let weights = PackedWeights::pack_matrix(isa, n, &weights);
            let values: Vec<u8> = (0..m * k).map(|i| (i * 17 % 256) as u8).collect();
            let mut activations = Activations::new();
            let offsets: Vec<u32> = (0..m).map(|row| (row * k) as u32).collect();
            let epilogue = Epilogue::new(&vec![1e-3; n], None, Some(&weights.offsets(0)));
            let mut out = vec![0.0; m * n];
            group.bench_function(BenchmarkId::new(isa.name(), format!("{m}x{k}x{n}")), |b| {
                b.iter(|| {
                    activations
                        .writer(isa, m * k, 0)
                        .put(0, Bytes::Unsigned(&values));
                    let rows = Rows {
                        offsets: &offsets,
                        segments: &[0],
                    };
                    let mut output = Output::Float(&mut out);
                    product(
                        &weights,
                        &activations,
                        rows,
                        &epilogue,
                        RowScales::Fixed,
                        Residual::None,
                        &mut output,
                    );
                    black_box(&out);
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().warm_up_time(std::time::Duration::from_millis(200)).measurement_time(std::time::Duration::from_millis(500));
    targets = products
}
criterion_main!(benches);
