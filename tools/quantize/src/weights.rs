//! Weights in few bits.

use half::f16;

/// Weights that share a scale in 4-bit.
pub const BLOCK: usize = 32;

/// int8 rows, each with a scale: `real = q * scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8Rows {
    /// [N, K], -127 to 127.
    pub values: Vec<i8>,
    /// One for each row.
    pub scales: Vec<f32>,
}

/// Rounds each row of [N, K] to int8, symmetric, with the largest magnitude at 127.
#[must_use]
pub fn int8_rows(rows: &[f32], k: usize) -> Int8Rows {
    let mut out = Int8Rows {
        values: Vec::with_capacity(rows.len()),
        scales: Vec::new(),
    };
    for row in rows.chunks_exact(k) {
        let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        out.scales.push(scale);
        let rounded = row
            .iter()
            .map(|v| (v / scale).round_ties_even().clamp(-127.0, 127.0) as i8);
        out.values.extend(rounded);
    }
    out
}

impl Int8Rows {
    /// What the rounded weights stand for.
    #[must_use]
    pub fn real(&self, k: usize) -> Vec<f32> {
        let rows = self.values.chunks_exact(k).zip(&self.scales);
        rows.flat_map(|(row, scale)| row.iter().map(move |&q| f32::from(q) * scale))
            .collect()
    }
}

/// 4-bit rows in blocks of [`BLOCK`] along K, each with a scale: `real = (q - 8) * scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Int4Rows {
    /// [N, K], 0 to 15.
    pub values: Vec<u8>,
    /// [N, blocks]; each is a value that an f16 holds, since engines store it so.
    pub scales: Vec<f32>,
}

/// The scale of a block with the least squared error among a few; the value of largest magnitude lies at -8 or near 7.
#[must_use]
pub fn int4_scale(block: &[f32]) -> f32 {
    let extreme = block
        .iter()
        .copied()
        .fold(0.0_f32, |m, v| if v.abs() > m.abs() { v } else { m });
    if extreme == 0.0 {
        return 1.0;
    }
    let error = |scale: f32| -> f32 {
        block
            .iter()
            .map(|v| (v - f32::from(int4(*v, scale)) * scale + 8.0 * scale).powi(2))
            .sum()
    };
    let candidates =
        (0..16).map(|i| f16::from_f32(extreme / -8.0 * (1.0 - 0.02 * i as f32)).to_f32());
    let other = (0..12).map(|i| f16::from_f32(extreme / 7.0 * (1.0 - 0.02 * i as f32)).to_f32());
    candidates
        .chain(other)
        .filter(|scale| *scale != 0.0)
        .min_by(|a, b| error(*a).total_cmp(&error(*b)))
        .unwrap_or(1.0)
}

/// A weight in 4 bits.
#[must_use]
pub fn int4(value: f32, scale: f32) -> u8 {
    ((value / scale).round_ties_even() + 8.0).clamp(0.0, 15.0) as u8
}

/// Rounds [N, K] to 4 bits, each weight to the nearest. A last block may be shorter.
#[must_use]
pub fn int4_rows(rows: &[f32], k: usize) -> Int4Rows {
    let mut out = Int4Rows {
        values: Vec::with_capacity(rows.len()),
        scales: Vec::new(),
    };
    for row in rows.chunks_exact(k) {
        for block in row.chunks(BLOCK) {
            let scale = int4_scale(block);
            out.scales.push(scale);
            out.values.extend(block.iter().map(|&v| int4(v, scale)));
        }
    }
    out
}

impl Int4Rows {
    /// What the rounded weights stand for.
    #[must_use]
    pub fn real(&self, k: usize) -> Vec<f32> {
        let blocks = k.div_ceil(BLOCK);
        let rows = self
            .values
            .chunks_exact(k)
            .zip(self.scales.chunks_exact(blocks));
        rows.flat_map(|(row, scales)| {
            row.iter()
                .enumerate()
                .map(|(i, &q)| (f32::from(q) - 8.0) * scales[i / BLOCK])
        })
        .collect()
    }

    /// As ONNX Runtime's `MatMulNBits` stores them: [N, blocks, 16], two to a byte, the first in the low half; a short
    /// last block is filled up with zeros.
    #[must_use]
    pub fn packed(&self, k: usize) -> Vec<u8> {
        let blocks = k.div_ceil(BLOCK);
        let mut bytes = Vec::with_capacity(self.values.len() / 2);
        for row in self.values.chunks_exact(k) {
            let at = |i: usize| row.get(i).copied().unwrap_or(8);
            bytes.extend((0..blocks * BLOCK / 2).map(|i| at(2 * i) | (at(2 * i + 1) << 4)));
        }
        bytes
    }
}

/// Signal to quantisation noise of weights, in dB.
#[must_use]
pub fn sqnr_db(real: &[f32], rounded: &[f32]) -> f32 {
    let signal: f64 = real.iter().map(|v| f64::from(*v).powi(2)).sum();
    let noise: f64 = real
        .iter()
        .zip(rounded)
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum();
    if noise == 0.0 {
        200.0
    } else {
        (10.0 * (signal / noise).log10()) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(k: usize, seed: u32) -> Vec<f32> {
        let mut x = seed;
        (0..k)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn int8_is_within_half_a_step() {
        for k in [1, 3, 64] {
            let rows: Vec<f32> = (0..4).flat_map(|n| row(k, n)).collect();
            let rounded = int8_rows(&rows, k);
            for ((a, b), n) in rows
                .iter()
                .zip(rounded.real(k))
                .zip((0..4).flat_map(|n| std::iter::repeat_n(n, k)))
            {
                assert!((a - b).abs() <= 0.5001 * rounded.scales[n], "{a} {b}");
            }
        }
    }

    #[test]
    fn rows_of_zeros_stay_zeros() {
        assert_eq!(int8_rows(&[0.0; 8], 4).real(4), [0.0; 8]);
        assert_eq!(int4_rows(&[0.0; 40], 40).real(40), [0.0; 40]);
    }

    #[test]
    fn int4_is_within_a_step_and_its_scales_are_halves() {
        for k in [1, 31, 32, 33, 96] {
            let rows: Vec<f32> = (0..3).flat_map(|n| row(k, n + 7)).collect();
            let rounded = int4_rows(&rows, k);
            assert_eq!(rounded.scales.len(), 3 * k.div_ceil(32));
            assert_eq!(rounded.packed(k).len(), 3 * k.div_ceil(32) * 16);
            for scale in &rounded.scales {
                assert_eq!(f16::from_f32(*scale).to_f32(), *scale);
            }
            let real = rounded.real(k);
            for (i, (a, b)) in rows.iter().zip(&real).enumerate() {
                let scale = rounded.scales[i / k * k.div_ceil(32) + i % k / 32].abs();
                assert!((a - b).abs() <= scale, "K {k}: {a} {b}, step {scale}");
            }
        }
    }

    #[test]
    fn the_first_of_two_lies_in_the_low_half() {
        let rounded = Int4Rows {
            values: vec![1, 2, 3],
            scales: vec![1.0],
        };
        let packed = rounded.packed(3);
        assert_eq!(packed[..3], [0x21, 0x83, 0x88]);
    }
}
