//! 4-bit weights give what the same weights as floats give, bit for bit, on every instruction set and with any threads.

use wink_kernels::{
    Activation, BLOCK, Bytes, Epilogue, FloatRows, Four, Isa, Output, PackedFloats, PackedFours,
    Pool, Quantisation, Residual, float_product, four_bit_product,
};

/// Seeded numbers.
struct Draw(u32);

impl Draw {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()[0]
    }

    fn many<T>(&mut self, count: usize, of: impl Fn(u8) -> T) -> Vec<T> {
        (0..count).map(|_| of(self.next())).collect()
    }
}

#[test]
fn the_bits_of_the_product_of_floats() {
    let pools = [Pool::alone(), Pool::new(3, |_| {})];
    let _awake = pools[1].awake();
    let q = Quantisation {
        scale: 0.03,
        zero_point: -5,
    };
    for (m, depth, n) in [
        (1, 32, 1),
        (1, 64, 96),
        (1, 96, 135),
        (1, 768, 768),
        (2, 32, 17),
        (7, 64, 50),
        (35, 192, 200),
        (13, 3072, 40),
        (0, 32, 16),
    ] {
        let mut draw = Draw((m * depth + n) as u32);
        let x = draw.many(m * depth, |byte| f32::from(byte) / 64.0 - 2.0);
        let values = draw.many(depth * n, |byte| byte & 15);
        let scales = draw.many(depth / BLOCK * n, |byte| {
            (f32::from(byte) + 1.0) / 4096.0 * if byte & 1 == 0 { 1.0 } else { -1.0 }
        });
        let zero_points = draw.many(depth / BLOCK * n, |byte| byte & 15);
        let bias = draw.many(n, |byte| f32::from(byte) / 300.0);
        let added = draw.many(m * n, |byte| byte);
        let weight = |k: usize, n_: usize| {
            let block = k / BLOCK * n + n_;
            let steps = i16::from(values[k * n + n_]) - i16::from(zero_points[block]);
            f32::from(steps) * scales[block]
        };
        let offsets: Vec<u32> = (0..m).map(|row| (row * depth) as u32).collect();
        let rows = FloatRows {
            values: &x,
            offsets: &offsets,
            segments: &[0],
        };
        let mut epilogue = Epilogue::new(&vec![1.0; n], Some(&bias), None);
        epilogue.activation = Activation::Gelu;
        let residual = Residual::Quantised(Bytes::Unsigned(&added), q);
        let mut wanted = (vec![0.0; m * n], vec![0; m * n]);
        let floats = PackedFloats::pack(Isa::Scalar, 1, depth, n, |_, k, n| weight(k, n));
        for mut output in [
            Output::Float(&mut wanted.0),
            Output::Signed(&mut wanted.1, q),
        ] {
            float_product(&floats, rows, &epilogue, residual, &mut output, &pools[0]);
        }
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            let packed = PackedFours::pack(
                isa,
                depth,
                n,
                |k, n_| values[k * n + n_],
                |b, n_| Four {
                    scale: scales[b * n + n_],
                    zero_point: zero_points[b * n + n_],
                },
            );
            for pool in &pools {
                let mut found = (vec![0.0; m * n], vec![0; m * n]);
                for mut output in [Output::Float(&mut found.0), Output::Signed(&mut found.1, q)] {
                    four_bit_product(&packed, rows, &epilogue, residual, &mut output, pool);
                }
                let name = format!("{} {m}x{depth}x{n}", isa.name());
                assert!(
                    wanted
                        .0
                        .iter()
                        .map(|x| x.to_bits())
                        .eq(found.0.iter().map(|x| x.to_bits())),
                    "{name}"
                );
                assert_eq!(found.1, wanted.1, "{name}");
            }
        }
    }
}

const ONE: Four = Four {
    scale: 1.0,
    zero_point: 8,
};

#[test]
fn half_a_byte_each_and_the_scales() {
    let packed = PackedFours::pack(Isa::detect(), 768, 768, |_, _| 8, |_, _| ONE);
    assert_eq!(packed.bytes(), 768 * 768 / 2 + 768 * 768 / 32 * 5);
}

#[test]
#[should_panic(expected = "depth")]
fn a_block_is_never_cut() {
    let _ = PackedFours::pack(Isa::Scalar, 33, 1, |_, _| 0, |_, _| ONE);
}
