//! Speed of 3 x 3 convolutions as a product and by Winograd's filtering, on the shapes of a ResNet18 at 480 x 640:
//! `cargo bench -p wink-kernels --bench convolution`. Multiply-accumulates are those of the direct sums.

use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use wink_kernels::{
    Epilogue, FloatRows, Isa, Output, PackedFloats, Pool, Residual, WinogradTiles, WinogradWeights,
    float_product, winograd,
};

/// Height, width, channels in and out.
const SHAPES: [(usize, usize, usize); 4] =
    [(120, 160, 64), (60, 80, 128), (30, 40, 256), (15, 20, 512)];

fn main() {
    let mut out = stdout().lock();
    let isa = Isa::detect();
    let pools = [1, 2].map(|threads| Pool::new(threads, |_| {}));
    let _awake = pools.each_ref().map(Pool::awake);
    for (height, width, channels) in SHAPES {
        for pool in &pools {
            for (name, seconds) in [
                ("product", product(isa, height, width, channels, pool)),
                ("winograd", filtered(isa, height, width, channels, pool)),
            ] {
                let macs = height * width * channels * channels * 9;
                let _ = writeln!(
                    out,
                    "{height}x{width}x{channels} {:12} {} {name:8} {:9.1} us {:7.2} GMAC/s",
                    isa.name(),
                    pool.threads(),
                    seconds * 1e6,
                    macs as f64 / seconds / 1e9
                );
            }
        }
    }
}

/// Over a picture that was padded before.
fn product(isa: Isa, height: usize, width: usize, channels: usize, pool: &Pool) -> f64 {
    let weights = PackedFloats::pack(isa, 3, 3 * channels, channels, |_, k, n| {
        (k * 31 + n) as f32
    });
    let line = (width + 2) * channels;
    let values = vec![1.0; (height + 2) * line];
    #[expect(clippy::cast_possible_truncation)]
    let at = |offset: usize| offset as u32;
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let offsets: Vec<u32> = pixels.map(|(y, x)| at(y * line + x * channels)).collect();
    let segments = [0, line, 2 * line].map(at);
    let epilogue = Epilogue::new(&vec![1.0; channels], None, None);
    let mut out = vec![0.0; height * width * channels];
    fastest(|| {
        let rows = FloatRows {
            values: &values,
            offsets: &offsets,
            segments: &segments,
        };
        let mut output = Output::Float(&mut out);
        float_product(&weights, rows, &epilogue, Residual::None, &mut output, pool);
        black_box(&out);
    })
}

fn filtered(isa: Isa, height: usize, width: usize, channels: usize, pool: &Pool) -> f64 {
    let weights = WinogradWeights::pack(isa, channels, channels, |y, x, c, n| {
        (((y * 3 + x) * channels + c) * 31 + n) as f32
    });
    let Some(tiles) = WinogradTiles::new(&weights, [height, width], [1, 1], [height, width]) else {
        return f64::NAN;
    };
    let values = vec![1.0; height * width * channels];
    let epilogue = Epilogue::new(&vec![1.0; channels], None, None);
    let mut scratch = vec![0.0; tiles.scratch()];
    let mut out = vec![0.0; height * width * channels];
    fastest(|| {
        let mut output = Output::Float(&mut out);
        winograd(
            &weights,
            &tiles,
            &values,
            &epilogue,
            Residual::None,
            &mut output,
            &mut scratch,
            pool,
        );
        black_box(&out);
    })
}

fn fastest(mut work: impl FnMut()) -> f64 {
    let seconds = (0..20).map(|_| {
        let clock = Instant::now();
        work();
        clock.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
