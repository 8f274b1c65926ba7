//! Any product with any epilogue: every instruction set that the machine has gives the bits of the scalar one, and the scalar
//! one's sums are exact.
//!
//! The first bytes are rows, depth, columns, segments, then what lies between segments; all else is drawn after them.
#![no_main]

mod draw;

use draw::{Draw, bits, present};
use libfuzzer_sys::fuzz_target;
use wink_kernels::{
    Activation, Activations, Bytes, Epilogue, Isa, Output, PackedWeights, Pool, Quantisation,
    Residual, RowScales, Rows, product,
};

struct Case {
    m: usize,
    k: usize,
    n: usize,
    segments: usize,
    /// Values that lie between two segments, which no kernel may use.
    gap: usize,
    unsigned: bool,
    /// M rows of `segments * k`, as signed values.
    a: Vec<i8>,
    /// `segments * k` rows of N.
    w: Vec<i8>,
    /// One, or one for each row where they are quantised dynamically.
    zero_points: Vec<i32>,
    /// One, or one for each row; none where the scales are fixed.
    row_scales: Vec<f32>,
    litter: Vec<i8>,
}

/// What comes after the sums.
struct After {
    scale: Vec<f32>,
    bias: Option<Vec<f32>>,
    range: Option<(f32, f32)>,
    activation: Activation,
    residual: Added,
    output: Kind,
}

enum Added {
    Nothing,
    Floats(Vec<f32>),
    Signed(Vec<i8>, Quantisation),
    Unsigned(Vec<u8>, Quantisation),
}

#[derive(Clone, Copy)]
enum Kind {
    Float,
    Signed(Quantisation),
    Unsigned(Quantisation),
}

impl Case {
    fn draw(draw: &mut Draw<'_>) -> Self {
        let (rows, depth, columns) = (draw.byte(), draw.byte(), draw.byte());
        let k = match usize::from(depth) {
            deep @ 240.. => 64 * (deep - 238) + 1,
            shallow => 1 + shallow % 72,
        };
        let m = 1 + usize::from(rows) % if k > 72 { 14 } else { 26 };
        let n = 1 + usize::from(columns) % 50;
        let (segments, gap) = (1 + draw.below(3), draw.below(9));
        let dynamic = [None, None, Some(1), Some(m)];
        let (scales, zeros) = match draw.pick(&dynamic) {
            None => (0, 1),
            Some(scales) => (scales, draw.pick(&[1, m])),
        };
        Self {
            m,
            k,
            n,
            segments,
            gap,
            unsigned: draw.byte() & 1 == 1,
            zero_points: (0..zeros).map(|_| draw.zero_point()).collect(),
            row_scales: (0..scales).map(|_| draw.tame()).collect(),
            a: draw.values(m * segments * k),
            w: draw.values(segments * k * n),
            litter: draw.values(gap),
        }
    }

    fn zero_point(&self, row: usize) -> i32 {
        self.zero_points[row % self.zero_points.len()]
    }

    fn exact(&self) -> Vec<f32> {
        let depth = self.segments * self.k;
        let at = |m: usize, n: usize| -> i64 {
            let zero = i64::from(self.zero_point(m));
            let a = &self.a[m * depth..(m + 1) * depth];
            let w = self.w.chunks_exact(self.n).map(|row| i64::from(row[n]));
            a.iter()
                .zip(w)
                .map(|(&a, w)| (i64::from(a) - zero) * w)
                .sum()
        };
        let places = (0..self.m).flat_map(|m| (0..self.n).map(move |n| (m, n)));
        places.map(|(m, n)| at(m, n) as i32 as f32).collect()
    }

    /// The bits that come out.
    fn run(&self, isa: Isa, row_scales: &[f32], after: &After) -> Vec<u32> {
        let weights = PackedWeights::pack(isa, self.segments, self.k, self.n, |s, k, n| {
            self.w[(s * self.k + k) * self.n + n]
        });
        let apart = weights.padded_segment() + self.gap;
        let row = self.segments * apart;
        let mut activations = Activations::new();
        for m in 0..self.m {
            let mut writer = activations.writer(isa, self.m * row, self.zero_point(m));
            for s in 0..self.segments {
                let from = (m * self.segments + s) * self.k;
                let mut put = |at: usize, values: &[i8]| {
                    let unsigned: Vec<u8> =
                        values.iter().map(|v| v.cast_unsigned() ^ 0x80).collect();
                    writer.put(
                        at,
                        match self.unsigned {
                            true => Bytes::Unsigned(&unsigned),
                            false => Bytes::Signed(values),
                        },
                    );
                };
                let at = m * row + s * apart;
                put(at, &self.a[from..from + self.k]);
                put(at + weights.padded_segment(), &self.litter);
            }
        }
        let scales = match row_scales {
            [] => RowScales::Fixed,
            scale => RowScales::Dynamic {
                scale,
                zero_point: &self.zero_points,
            },
        };
        let offsets = row_scales
            .is_empty()
            .then(|| weights.offsets(self.zero_points[0]));
        let mut epilogue = Epilogue::new(&after.scale, after.bias.as_deref(), offsets.as_deref());
        epilogue.activation = after.activation;
        if let Some(range) = after.range {
            epilogue.clamp(&vec![range; after.scale.len()]);
        }
        let residual = match &after.residual {
            Added::Nothing => Residual::None,
            Added::Floats(values) => Residual::Float(values),
            Added::Signed(values, q) => Residual::Quantised(Bytes::Signed(values), *q),
            Added::Unsigned(values, q) => Residual::Quantised(Bytes::Unsigned(values), *q),
        };
        let steps =
            |count: usize, by: usize| -> Vec<u32> { (0..count).map(|i| (i * by) as u32).collect() };
        let multiply = |output: &mut Output<'_>| {
            let rows = Rows {
                activations: &activations,
                offsets: &steps(self.m, row),
                segments: &steps(self.segments, apart),
            };
            let pool = Pool::alone();
            product(&weights, rows, &epilogue, scales, residual, output, &pool);
        };
        let elements = self.m * self.n;
        match after.output {
            Kind::Float => {
                let mut out = vec![0.0; elements];
                multiply(&mut Output::Float(&mut out));
                bits(&out)
            }
            Kind::Signed(q) => {
                let mut out = vec![0; elements];
                multiply(&mut Output::Signed(&mut out, q));
                out.iter().map(|v| u32::from(v.cast_unsigned())).collect()
            }
            Kind::Unsigned(q) => {
                let mut out = vec![0; elements];
                multiply(&mut Output::Unsigned(&mut out, q));
                out.into_iter().map(u32::from).collect()
            }
        }
    }
}

impl After {
    /// The sums as they are.
    fn nothing(n: usize) -> Self {
        Self {
            scale: vec![1.0; n],
            bias: None,
            range: None,
            activation: Activation::Identity,
            residual: Added::Nothing,
            output: Kind::Float,
        }
    }

    fn draw(draw: &mut Draw<'_>, m: usize, n: usize) -> Self {
        let activation = draw.pick(&[
            Activation::Identity,
            Activation::Relu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
        ]);
        let residual = match draw.below(4) {
            0 => Added::Nothing,
            1 => Added::Floats(draw.floats(m * n)),
            2 => Added::Signed(draw.values(m * n), draw.quantisation()),
            _ => {
                let values = (0..m * n).map(|_| draw.byte()).collect();
                Added::Unsigned(values, draw.quantisation())
            }
        };
        let output = match draw.below(3) {
            0 => Kind::Float,
            1 => Kind::Signed(draw.quantisation()),
            _ => Kind::Unsigned(draw.quantisation()),
        };
        // Small scales bring sums to where activations bend and 8 bits do not saturate.
        let scale = draw.pick(&[1.0, 1e-2, 1e-4, 1e-38, 1e35]);
        Self {
            scale: (0..n).map(|_| draw.tame() * scale).collect(),
            bias: (draw.byte() & 1 == 1).then(|| draw.floats(n)),
            range: draw.pick(&[
                None,
                Some((-30.0, 25.5)),
                Some((0.0, 6.0)),
                Some((-0.0, 0.0)),
            ]),
            activation,
            residual,
            output,
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw::new(bytes);
    let case = Case::draw(&mut draw);
    let after = After::draw(&mut draw, case.m, case.n);
    let sums = After::nothing(case.n);
    let ones: &[f32] = if case.row_scales.is_empty() {
        &[]
    } else {
        &[1.0]
    };
    let wanted = bits(&case.exact());
    assert_eq!(case.run(Isa::Scalar, ones, &sums), wanted);
    let scalar = case.run(Isa::Scalar, &case.row_scales, &after);
    for isa in present() {
        assert_eq!(case.run(isa, ones, &sums), wanted, "{}", isa.name());
        let out = case.run(isa, &case.row_scales, &after);
        assert_eq!(out, scalar, "{}", isa.name());
    }
});
