//! What is computed in floats: products, attention, norms, quantising and its reverse give the bits of the scalar code with every
//! instruction set that the machine has.
//!
//! The first byte picks one of them.
#![no_main]

mod draw;

use draw::{Draw, bits, present};
use libfuzzer_sys::fuzz_target;
use wink_kernels::{
    Activation, Attention, BLOCK, Bytes, Epilogue, FloatRows, Four, Head, Isa, Layout, Mask,
    NormInput, Output, PackedFloats, PackedFours, Pool, Quantisation, Reduction, Residual, Unary,
    attend, dequantise, dynamic_range, float_product, four_bit_product, layer_norm, quantise,
    reduce, softmax, unary,
};

fn tames(draw: &mut Draw<'_>, count: usize) -> Vec<f32> {
    (0..count).map(|_| draw.tame()).collect()
}

fn quantising(draw: &mut Draw<'_>) {
    let count = draw.below(70);
    let q = draw.quantisation();
    let x = draw.floats(count);
    let run = |isa| {
        let (mut signed, mut unsigned) = (vec![0; count], vec![0; count]);
        quantise(isa, &x, &mut Output::Signed(&mut signed, q));
        quantise(isa, &x, &mut Output::Unsigned(&mut unsigned, q));
        let flipped: Vec<u8> = signed.iter().map(|v| v.cast_unsigned() ^ 0x80).collect();
        assert_eq!(flipped, unsigned);
        let mut back = [vec![0.0; count], vec![0.0; count]];
        dequantise(isa, Bytes::Signed(&signed), q, &mut back[0]);
        dequantise(isa, Bytes::Unsigned(&unsigned), q, &mut back[1]);
        assert_eq!(bits(&back[0]), bits(&back[1]));
        let range = dynamic_range(isa, &x);
        let finite = x.iter().all(|x| x.is_finite());
        assert!(range.scale > 0.0 && finite || range.scale.is_nan());
        assert!((-128..=127).contains(&range.zero_point));
        let range = (bits(&[range.scale]), range.zero_point);
        (signed, bits(&back[0]), range)
    };
    let wanted = run(Isa::Scalar);
    for isa in present() {
        assert_eq!(run(isa), wanted, "{}", isa.name());
    }
}

fn norm(draw: &mut Draw<'_>) {
    let (rows, width) = (draw.below(5), 1 + draw.below(70));
    let (x, gain) = (draw.floats(rows * width), draw.floats(width));
    let bias = (draw.byte() & 1 == 1).then(|| draw.floats(width));
    let epsilon = draw.pick(&[1e-5, 1e-12, 1.0]);
    let q = draw.quantisation();
    let run = |isa| {
        let input = NormInput {
            x: &x,
            gain: &gain,
            bias: bias.as_deref(),
            epsilon,
        };
        let (mut out, mut bytes) = (vec![0.0; x.len()], vec![0; x.len()]);
        let pool = Pool::alone();
        layer_norm(isa, input, &mut Output::Float(&mut out), &pool);
        layer_norm(isa, input, &mut Output::Signed(&mut bytes, q), &pool);
        (bits(&out), bytes)
    };
    let wanted = run(Isa::Scalar);
    for isa in present() {
        assert_eq!(run(isa), wanted, "{}", isa.name());
    }
}

/// Floats or bytes, with what they stand for.
struct Side {
    floats: Vec<f32>,
    bytes: Option<(Vec<i8>, Quantisation)>,
}

impl Side {
    fn draw(draw: &mut Draw<'_>, count: usize) -> Self {
        if draw.byte() & 1 == 0 {
            return Self {
                floats: tames(draw, count),
                bytes: None,
            };
        }
        let q = Quantisation {
            scale: 0.04,
            zero_point: draw.zero_point(),
        };
        let values = draw.values(count);
        let real = |v: &i8| (i32::from(*v) - q.zero_point) as f32 * q.scale;
        Self {
            floats: values.iter().map(real).collect(),
            bytes: Some((values, q)),
        }
    }

    fn head(&self) -> Head<'_> {
        match &self.bytes {
            None => Head::Float(&self.floats),
            Some((values, q)) => Head::Quantised(Bytes::Signed(values), *q),
        }
    }
}

fn attention(draw: &mut Draw<'_>) {
    let (shared_heads, width) = (1 + draw.below(3), 1 + draw.below(40));
    let heads = shared_heads * (1 + draw.below(3));
    let (queries, keys) = (1 + draw.below(20), 1 + draw.below(40));
    let q = Side::draw(draw, queries * heads * width);
    let k = Side::draw(draw, keys * shared_heads * width);
    let v = Side::draw(draw, keys * shared_heads * width);
    let masks = draw.pick(&[0, 1, queries, heads * queries]);
    let mut added: Vec<f32> = (0..masks * keys)
        .map(|_| draw.pick(&[0.0, -1e9, f32::NEG_INFINITY, -2.5, 1.0]))
        .collect();
    let keep = draw.byte() & 1 == 1;
    let mut values: Vec<bool> = (0..masks * keys).map(|_| draw.byte() & 1 == 1).collect();
    let zero_for_nan = draw.byte() & 1 == 1;
    // A row in which everything is masked is NaN without it.
    if !zero_for_nan {
        added
            .iter_mut()
            .step_by(keys)
            .for_each(|first| *first = 0.0);
        values
            .iter_mut()
            .step_by(keys)
            .for_each(|first| *first = keep);
    }
    let otherwise = draw.pick(&[f32::NEG_INFINITY, f32::MIN, -1e4]);
    let mask = match draw.below(3) {
        _ if masks == 0 => None,
        0 => Some(Mask::Added(&added)),
        _ => Some(Mask::Kept {
            values: &values,
            keep,
            otherwise,
        }),
    };
    let scale = draw.pick(&[1.0, 0.2, 0.01]);
    let run = |isa| {
        let attention = Attention {
            q: q.head(),
            k: k.head(),
            v: v.head(),
            layouts: [heads, shared_heads, shared_heads]
                .map(|heads| Layout::side_by_side(heads, width)),
            heads,
            shared_heads,
            width,
            queries,
            keys,
            scale,
            mask,
            zero_for_nan,
        };
        let mut out = vec![0.0; queries * heads * width];
        let pool = Pool::alone();
        attend(isa, &attention, &mut Output::Float(&mut out), &pool);
        out
    };
    let wanted = run(Isa::Scalar);
    assert!(wanted.iter().all(|v| v.is_finite()));
    for isa in present() {
        assert_eq!(bits(&run(isa)), bits(&wanted), "{}", isa.name());
    }
}

fn product(draw: &mut Draw<'_>) {
    let (m, n, segments) = (draw.below(30), 1 + draw.below(40), 1 + draw.below(3));
    let (k, gap) = (1 + draw.below(70), draw.below(5));
    let weights = tames(draw, segments * k * n);
    let apart = k + gap;
    let row = segments * apart;
    let values = tames(draw, m * row);
    let (bias, residual) = (draw.floats(n), draw.floats(m * n));
    let activation = draw.pick(&[Activation::Identity, Activation::Relu, Activation::Gelu]);
    let q = draw.quantisation();
    let step =
        |count: usize, by: usize| -> Vec<u32> { (0..count).map(|i| (i * by) as u32).collect() };
    let (offsets, starts) = (step(m, row), step(segments, apart));
    let run = |isa| {
        let packed = PackedFloats::pack(isa, segments, k, n, |s, k_at, column| {
            weights[(s * k + k_at) * n + column]
        });
        let mut epilogue = Epilogue::new(&vec![1.0; n], Some(&bias), None);
        epilogue.activation = activation;
        let product = |output: &mut Output<'_>| {
            let rows = FloatRows {
                values: &values,
                offsets: &offsets,
                segments: &starts,
            };
            let residual = Residual::Float(&residual);
            float_product(&packed, rows, &epilogue, residual, output, &Pool::alone());
        };
        let (mut out, mut bytes) = (vec![0.0; m * n], vec![0; m * n]);
        product(&mut Output::Float(&mut out));
        product(&mut Output::Signed(&mut bytes, q));
        (bits(&out), bytes)
    };
    let wanted = run(Isa::Scalar);
    for isa in present() {
        assert_eq!(run(isa), wanted, "{}", isa.name());
    }
}

/// 4-bit weights are to give what the same weights as floats give.
fn fours(draw: &mut Draw<'_>) {
    let (m, n, blocks) = (draw.below(16), 1 + draw.below(120), 1 + draw.below(4));
    let depth = blocks * BLOCK;
    let values: Vec<u8> = (0..depth * n).map(|_| draw.byte()).collect();
    let four = |draw: &mut Draw<'_>| Four {
        scale: draw.pick(&[0.0, 1.0, -0.03, 1e-6, 1e30]),
        zero_point: draw.byte() & 15,
    };
    let scales: Vec<Four> = (0..blocks * n).map(|_| four(draw)).collect();
    let x = tames(draw, m * depth);
    let offsets: Vec<u32> = (0..m).map(|row| (row * depth) as u32).collect();
    let rows = FloatRows {
        values: &x,
        offsets: &offsets,
        segments: &[0],
    };
    let epilogue = Epilogue::new(&vec![1.0; n], None, None);
    let weight = |k: usize, column: usize| {
        let four = scales[k / BLOCK * n + column];
        let steps = i32::from(values[k * n + column] & 15) - i32::from(four.zero_point);
        steps as f32 * four.scale
    };
    let packed = PackedFloats::pack(Isa::Scalar, 1, depth, n, |_, k, column| weight(k, column));
    let mut wanted = vec![0.0; m * n];
    let (none, pool) = (Residual::None, Pool::alone());
    let mut output = Output::Float(&mut wanted);
    float_product(&packed, rows, &epilogue, none, &mut output, &pool);
    for isa in present().chain([Isa::Scalar]) {
        let value = |k: usize, column: usize| values[k * n + column];
        let four = |b: usize, column: usize| scales[b * n + column];
        let packed = PackedFours::pack(isa, depth, n, value, four);
        let mut out = vec![0.0; m * n];
        let mut output = Output::Float(&mut out);
        four_bit_product(&packed, rows, &epilogue, none, &mut output, &pool);
        assert_eq!(bits(&out), bits(&wanted), "{}", isa.name());
    }
}

fn small(draw: &mut Draw<'_>) {
    let (outer, count, inner) = (1 + draw.below(4), 1 + draw.below(60), 1 + draw.below(20));
    let x = draw.floats(outer * count * inner);
    let function = draw.pick(&[
        Unary::Exp,
        Unary::Rsqrt,
        Unary::Sigmoid,
        Unary::Silu,
        Unary::Tanh,
    ]);
    let reduction = draw.pick(&[
        Reduction::Max,
        Reduction::MeanOfSquares,
        Reduction::Min,
        Reduction::Sum,
    ]);
    let run = |isa| {
        let (mut of_each, mut rows) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        unary(isa, function, &x, &mut of_each);
        softmax(isa, &x, count * inner, &mut rows);
        let (mut reduced, mut last) = (vec![0.0; outer * inner], vec![0.0; outer]);
        reduce(isa, reduction, &x, [outer, count], &mut reduced);
        reduce(isa, reduction, &x, [outer, count * inner], &mut last);
        [of_each, rows, reduced, last].map(|values| bits(&values))
    };
    let wanted = run(Isa::Scalar);
    for isa in present() {
        assert_eq!(run(isa), wanted, "{}", isa.name());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw::new(bytes);
    match draw.below(6) {
        0 => quantising(&mut draw),
        1 => norm(&mut draw),
        2 => product(&mut draw),
        3 => fours(&mut draw),
        4 => small(&mut draw),
        _ => attention(&mut draw),
    }
});
