//! Rounding that makes up for its own errors (Frantar et al., "GPTQ", arXiv 2210.17323).
//!
//! Weights are rounded column by column; the error of each is spread over the columns that are still to come, by the
//! inverse of the activations' second moments, so that the product changes least.

use nalgebra::DMatrix;

use crate::weights::{BLOCK, Int4Rows, int4, int4_scale};

/// Part of the mean diagonal that is added to it, against activations that never vary.
const DAMPING: f64 = 0.01;

/// Rounds [N, K] to 4 bits. `gram` is the mean of x xT, [K, K]. `None` where it cannot be inverted.
#[must_use]
pub fn int4_rows(rows: &[f32], k: usize, gram: &DMatrix<f64>) -> Option<Int4Rows> {
    let mut hessian = gram.clone();
    let damping = DAMPING * hessian.trace() / k as f64;
    for i in 0..k {
        hessian[(i, i)] += damping.max(1e-12);
    }
    // The upper Cholesky factor of the inverse holds, row by row, what each error costs the columns after it.
    let inverse = hessian.cholesky()?.inverse();
    let upper = inverse.cholesky()?.l().transpose();
    let mut out = Int4Rows {
        values: Vec::with_capacity(rows.len()),
        scales: Vec::new(),
    };
    for row in rows.chunks_exact(k) {
        let mut row: Vec<f64> = row.iter().map(|&v| f64::from(v)).collect();
        let mut scale = 1.0;
        for i in 0..k {
            if i % BLOCK == 0 {
                let block: Vec<f32> = row[i..(i + BLOCK).min(k)]
                    .iter()
                    .map(|&v| v as f32)
                    .collect();
                scale = int4_scale(&block);
                out.scales.push(scale);
            }
            let q = int4(row[i] as f32, scale);
            out.values.push(q);
            let error = (row[i] - (f64::from(q) - 8.0) * f64::from(scale)) / upper[(i, i)];
            for (later, weight) in row.iter_mut().enumerate().skip(i + 1) {
                *weight -= error * upper[(i, later)];
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_pcg::Pcg32;

    use super::*;
    use crate::weights;

    #[test]
    fn changes_the_product_less_than_rounding_to_nearest() {
        let (n, k, samples) = (16, 96, 400);
        let mut random = Pcg32::seed_from_u64(3);
        let mut draw = |count: usize| -> Vec<f64> {
            (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
        };
        // Activations that go together, as those of a network do.
        let mix = DMatrix::from_vec(k, 12, draw(k * 12));
        let x = &mix * DMatrix::from_vec(12, samples, draw(12 * samples))
            + DMatrix::from_vec(k, samples, draw(k * samples)) * 0.1;
        let gram = &x * x.transpose() / samples as f64;
        let rows: Vec<f32> = draw(n * k).into_iter().map(|v| v as f32).collect();
        let error = |rounded: &Int4Rows| {
            let real = rounded.real(k);
            let difference: Vec<f64> = rows
                .iter()
                .zip(&real)
                .map(|(a, b)| f64::from(a - b))
                .collect();
            (DMatrix::from_row_slice(n, k, &difference) * &x).norm()
        };
        let nearest = error(&weights::int4_rows(&rows, k));
        let better = error(&int4_rows(&rows, k, &gram).unwrap());
        assert!(better < 0.5 * nearest, "{better} against {nearest}");
    }

    #[test]
    fn activations_that_never_vary_are_no_obstacle() {
        let rows: Vec<f32> = (0..64).map(|i| (i as f32 - 30.0) / 40.0).collect();
        let rounded = int4_rows(&rows, 64, &DMatrix::zeros(64, 64)).unwrap();
        assert_eq!(rounded.values.len(), 64);
        assert_eq!(rounded.scales.len(), 2);
    }
}
