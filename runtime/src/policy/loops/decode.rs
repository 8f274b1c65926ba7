//! From tokens to actions.

use super::super::manifest::Decode;

/// Turns decoded tokens into a chunk of normalised actions.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    spec: Decode,
    /// For the DCT: the integers of each token index, and the basis, `steps` x `steps`.
    table: Vec<Vec<i32>>,
    basis: Vec<f32>,
    coefficients: Vec<f32>,
}

/// Why tokens are no actions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A token outside of the action vocabulary.
    #[error("token {token} at {index} stands for no action")]
    NoAction { token: u32, index: usize },
    /// Too few or too many numbers.
    #[error("the tokens stand for {found} numbers instead of {expected}")]
    Count { found: usize, expected: usize },
}

impl Decoder {
    /// `table`: for the DCT, the integers of each token index.
    pub(crate) fn new(spec: &Decode, table: Vec<Vec<i32>>) -> Self {
        let [steps, dim] = spec.shape();
        let (basis, coefficients) = match spec {
            Decode::Bins { .. } => (Vec::new(), Vec::new()),
            Decode::Dct { .. } => (dct_basis(steps), Vec::with_capacity(steps * dim)),
        };
        Self {
            spec: spec.clone(),
            table,
            basis,
            coefficients,
        }
    }

    /// Writes `steps` x `dim` values.
    pub(crate) fn run(&mut self, tokens: &[u32], out: &mut [f32]) -> Result<(), DecodeError> {
        let expected = out.len();
        match self.spec {
            Decode::Bins {
                first_token,
                descending,
                bins,
                low,
                high,
                ..
            } => {
                if tokens.len() != expected {
                    let found = tokens.len();
                    return Err(DecodeError::Count { found, expected });
                }
                for (index, (value, &token)) in out.iter_mut().zip(tokens).enumerate() {
                    let bin = token_index(token, first_token, descending)
                        .filter(|bin| *bin < bins)
                        .ok_or(DecodeError::NoAction { token, index })?;
                    *value = low + (high - low) * ((bin as f32 + 0.5) / bins as f32);
                }
            }
            Decode::Dct {
                first_token,
                descending,
                scale,
                steps,
                dim,
                ..
            } => {
                self.coefficients.clear();
                for (index, &token) in tokens.iter().enumerate() {
                    let run = token_index(token, first_token, descending)
                        .and_then(|index| self.table.get(index as usize))
                        .ok_or(DecodeError::NoAction { token, index })?;
                    let found = self.coefficients.len() + run.len();
                    if found > expected {
                        return Err(DecodeError::Count { found, expected });
                    }
                    let scaled = run.iter().map(|integer| *integer as f32 / scale);
                    self.coefficients.extend(scaled);
                }
                let found = self.coefficients.len();
                if found != expected {
                    return Err(DecodeError::Count { found, expected });
                }
                for (row, basis) in out
                    .chunks_exact_mut(dim)
                    .zip(self.basis.chunks_exact(steps))
                {
                    row.fill(0.0);
                    for (factor, values) in basis.iter().zip(self.coefficients.chunks_exact(dim)) {
                        for (out, value) in row.iter_mut().zip(values) {
                            *out += factor * value;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn token_index(token: u32, first: u32, descending: bool) -> Option<u32> {
    if descending {
        first.checked_sub(token)
    } else {
        token.checked_sub(first)
    }
}

/// Row n, column k: what coefficient k adds to step n in the inverse of the orthonormal DCT-II.
fn dct_basis(steps: usize) -> Vec<f32> {
    let count = steps as f64;
    let at = |n: usize, k: usize| {
        let scale = if k == 0 { 1.0 } else { 2.0 };
        let angle = std::f64::consts::PI * (n as f64 + 0.5) * k as f64 / count;
        ((scale / count).sqrt() * libm::cos(angle)) as f32
    };
    (0..steps * steps)
        .map(|i| at(i / steps, i % steps))
        .collect()
}

/// The position of the largest value, the first of equal ones; `None` where one is a NaN, or there is none.
pub(crate) fn largest(values: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if value.is_nan() {
            return None;
        }
        if *value > values[best] {
            best = index;
        }
    }
    (!values.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(descending: bool) -> Decoder {
        let spec = Decode::Bins {
            first_token: 100,
            descending,
            bins: 4,
            low: -1.0,
            high: 1.0,
            steps: 2,
            dim: 2,
        };
        Decoder::new(&spec, Vec::new())
    }

    #[test]
    fn a_token_of_a_bin_is_its_middle() {
        let mut out = [0.0; 4];
        bins(false).run(&[100, 101, 102, 103], &mut out).unwrap();
        assert_eq!(out, [-0.75, -0.25, 0.25, 0.75]);
        bins(true).run(&[100, 99, 98, 97], &mut out).unwrap();
        assert_eq!(out, [-0.75, -0.25, 0.25, 0.75]);
        for (tokens, error) in [
            (
                &[100, 104, 102, 103][..],
                DecodeError::NoAction {
                    token: 104,
                    index: 1,
                },
            ),
            (
                &[100, 99, 102, 103],
                DecodeError::NoAction {
                    token: 99,
                    index: 1,
                },
            ),
            (
                &[100],
                DecodeError::Count {
                    found: 1,
                    expected: 4,
                },
            ),
        ] {
            assert_eq!(bins(false).run(tokens, &mut out), Err(error));
        }
    }

    /// Expected values: scipy.fft.idct([[10, 0], [5, 2], [-3, 1]] / 10, axis=0, norm="ortho").
    #[test]
    fn runs_of_integers_are_coefficients_of_a_dct() {
        let spec = Decode::Dct {
            first_token: 9,
            descending: true,
            table: "table.json".to_owned(),
            scale: 10.0,
            steps: 3,
            dim: 2,
        };
        let table = vec![vec![10, 0, 5], vec![2, -3, 1], vec![0]];
        let mut decoder = Decoder::new(&spec, table);
        let mut out = [0.0; 6];
        decoder.run(&[9, 8], &mut out).unwrap();
        let expected = [
            0.808_428_8,
            0.182_246_2,
            0.822_299_2,
            -0.081_649_66,
            0.101_322_3,
            -0.100_596_6,
        ];
        for (value, expected) in out.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{out:?}");
        }
        for (tokens, found) in [(&[9][..], 3), (&[9, 8, 7], 7)] {
            let count = DecodeError::Count { found, expected: 6 };
            assert_eq!(decoder.run(tokens, &mut out), Err(count));
        }
        let none = DecodeError::NoAction { token: 6, index: 0 };
        assert_eq!(decoder.run(&[6], &mut out), Err(none));
    }

    #[test]
    fn the_largest_value_is_found_and_a_nan_is_not_hidden() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(largest(&[1.0, f32::NAN]), None);
        assert_eq!(largest(&[]), None);
    }
}
