//! A convolution by Winograd's filtering against the direct sums in f64, and the same bits on every instruction set and with any
//! threads.

use wink_kernels::{
    Activation, Epilogue, Isa, Output, Pool, Quantisation, Residual, WinogradTiles,
    WinogradWeights, winograd,
};

fn wave(count: usize, by: f32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * i % 7919) as f32 * 0.37 + 1.0).sin() * by)
        .collect()
}

fn present() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.available())
}

/// Sizes of a convolution; pairs are height and width.
#[derive(Debug, Clone, Copy)]
struct Case {
    input: [usize; 2],
    pad_before: [usize; 2],
    output: [usize; 2],
    channels: usize,
    columns: usize,
}

const CASES: [Case; 5] = [
    case([8, 8], [1, 1], [8, 8], 16, 16),
    case([5, 7], [1, 1], [5, 7], 32, 48),
    case([6, 9], [0, 0], [4, 7], 16, 32),
    case([4, 4], [2, 0], [6, 5], 48, 16),
    case([41, 33], [1, 1], [41, 33], 64, 64),
];

const fn case(
    input: [usize; 2],
    pad_before: [usize; 2],
    output: [usize; 2],
    channels: usize,
    columns: usize,
) -> Case {
    Case {
        input,
        pad_before,
        output,
        channels,
        columns,
    }
}

impl Case {
    fn values(&self) -> Vec<f32> {
        wave(self.input[0] * self.input[1] * self.channels, 2.0)
    }

    /// Kernel row, kernel column, input channel, output channel.
    fn kernel(&self) -> Vec<f32> {
        wave(9 * self.channels * self.columns, 0.5)
    }

    fn outputs(&self) -> usize {
        self.output[0] * self.output[1] * self.columns
    }

    fn bias(&self) -> Vec<f32> {
        wave(self.columns, 3.0)
    }

    /// The sums with their bias, and the largest sum of magnitudes.
    fn direct(&self) -> (Vec<f64>, f64) {
        let (values, kernel, bias) = (self.values(), self.kernel(), self.bias());
        let mut sums = vec![0.0; self.outputs()];
        let mut largest = 0.0_f64;
        for (index, sum) in sums.iter_mut().enumerate() {
            let (pixel, n) = (index / self.columns, index % self.columns);
            let (y, x) = (pixel / self.output[1], pixel % self.output[1]);
            let mut magnitude = 0.0;
            *sum = f64::from(bias[n]);
            for (dy, dx) in (0..9).map(|i| (i / 3, i % 3)) {
                let y = (y + dy).wrapping_sub(self.pad_before[0]);
                let x = (x + dx).wrapping_sub(self.pad_before[1]);
                if y >= self.input[0] || x >= self.input[1] {
                    continue;
                }
                for c in 0..self.channels {
                    let value = values[(y * self.input[1] + x) * self.channels + c];
                    let weight = kernel[((dy * 3 + dx) * self.channels + c) * self.columns + n];
                    let product = f64::from(value) * f64::from(weight);
                    *sum += product;
                    magnitude += product.abs();
                }
            }
            largest = largest.max(magnitude);
        }
        (sums, largest)
    }

    fn run(
        &self,
        isa: Isa,
        epilogue: &Epilogue,
        residual: Residual<'_>,
        output: &mut Output<'_>,
        pool: &Pool,
    ) {
        let kernel = self.kernel();
        let (channels, columns) = (self.channels, self.columns);
        let weights = WinogradWeights::pack(isa, channels, columns, |y, x, c, n| {
            kernel[((y * 3 + x) * channels + c) * columns + n]
        });
        let tiles = WinogradTiles::new(&weights, self.input, self.pad_before, self.output)
            .expect("small sizes");
        // What was left there must not matter.
        let mut scratch = vec![f32::NAN; tiles.scratch()];
        winograd(
            &weights,
            &tiles,
            &self.values(),
            epilogue,
            residual,
            output,
            &mut scratch,
            pool,
        );
    }
}

#[test]
fn is_the_direct_convolution() {
    let pool = Pool::alone();
    for case in CASES {
        let (expected, largest) = case.direct();
        let epilogue = Epilogue::new(&vec![1.0; case.columns], Some(&case.bias()), None);
        for isa in present() {
            let mut out = vec![f32::NAN; case.outputs()];
            case.run(
                isa,
                &epilogue,
                Residual::None,
                &mut Output::Float(&mut out),
                &pool,
            );
            for (found, expected) in out.iter().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(error < 1e-6 * largest, "{case:?} {}: {error}", isa.name());
            }
        }
    }
}

#[test]
fn gives_the_same_bits_everywhere() {
    let pools = [Pool::alone(), Pool::new(3, |_| {})];
    let _awake = pools[1].awake();
    let q = Quantisation {
        scale: 0.4,
        zero_point: -7,
    };
    for case in CASES {
        let residual = wave(case.outputs(), 5.0);
        let mut epilogue = Epilogue::new(&vec![1.0; case.columns], Some(&case.bias()), None);
        epilogue.activation = Activation::Relu;
        let of = |isa: Isa, pool: &Pool| {
            let mut floats = vec![f32::NAN; case.outputs()];
            let mut bytes = vec![0; case.outputs()];
            let residual = Residual::Float(&residual);
            case.run(
                isa,
                &epilogue,
                residual,
                &mut Output::Float(&mut floats),
                pool,
            );
            case.run(
                isa,
                &epilogue,
                residual,
                &mut Output::Signed(&mut bytes, q),
                pool,
            );
            let bits: Vec<u32> = floats.into_iter().map(f32::to_bits).collect();
            (bits, bytes)
        };
        let expected = of(Isa::Scalar, &pools[0]);
        for isa in present() {
            for pool in &pools {
                assert!(of(isa, pool) == expected, "{case:?} {}", isa.name());
            }
        }
    }
}

#[test]
fn what_is_not_a_number_is_not_lost() {
    let case = CASES[0];
    let weights = WinogradWeights::pack(Isa::detect(), 16, 16, |_, _, _, _| 1.0);
    let tiles = WinogradTiles::new(&weights, case.input, case.pad_before, case.output)
        .expect("small sizes");
    let mut epilogue = Epilogue::new(&[1.0; 16], None, None);
    for (bad, activation) in [
        (f32::NAN, Activation::Relu),
        (f32::INFINITY, Activation::Relu),
        (f32::NEG_INFINITY, Activation::Identity),
    ] {
        epilogue.activation = activation;
        let mut values = vec![1.0; 8 * 8 * 16];
        values[(3 * 8 + 3) * 16 + 5] = bad;
        let mut out = vec![0.0; case.outputs()];
        let mut scratch = vec![0.0; tiles.scratch()];
        let mut output = Output::Float(&mut out);
        let pool = Pool::alone();
        winograd(
            &weights,
            &tiles,
            &values,
            &epilogue,
            Residual::None,
            &mut output,
            &mut scratch,
            &pool,
        );
        for (y, x) in (2..=4).flat_map(|y| (2..=4).map(move |x| (y, x))) {
            assert!(!out[(y * 8 + x) * 16].is_finite(), "{bad} at {y}, {x}");
        }
    }
}
