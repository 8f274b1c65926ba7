//! From tokens to actions.

use super::super::manifest::{DctFit, Decode, TokensSpec, Utf8};

/// Turns decoded tokens into a chunk of normalised actions.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    spec: Decode,
    /// For the DCT: the integers of each token index, and the basis, `steps` x `steps`.
    table: Vec<Vec<i32>>,
    basis: Vec<f32>,
    coefficients: Vec<f32>,
    /// The text that tokens make together, where they are parts of one.
    text: Vec<u8>,
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
    /// Other first tokens than those that must come first.
    #[error("the tokens begin with {found:?} instead of {expected:?}")]
    Start { found: Vec<u32>, expected: Vec<u32> },
    /// Bytes that are no text.
    #[error("the tokens make {found} characters of {expected}, then bytes that are no UTF-8")]
    Text { found: usize, expected: usize },
}

/// Leaves of the decoded tokens those that stand for actions.
pub(crate) fn keep_actions(spec: &TokensSpec, tokens: &mut Vec<u32>) -> Result<(), DecodeError> {
    let (starts, remove) = (&spec.starts_with[..], &spec.remove[..]);
    if !tokens.starts_with(starts) {
        let count = starts.len().min(tokens.len());
        return Err(DecodeError::Start {
            found: tokens[..count].to_vec(),
            expected: starts.to_vec(),
        });
    }
    if remove.is_empty() {
        return Ok(());
    }
    let (mut kept, mut place) = (0, 0);
    while place < tokens.len() {
        if tokens[place..].starts_with(remove) {
            place += remove.len();
        } else {
            tokens[kept] = tokens[place];
            kept += 1;
            place += 1;
        }
    }
    tokens.truncate(kept);
    Ok(())
}

impl Decoder {
    /// `table`: for the DCT, the integers of each token index; `tokens`: the most that are decoded.
    pub(crate) fn new(spec: &Decode, table: Vec<Vec<i32>>, tokens: usize) -> Self {
        let [steps, dim] = spec.shape();
        let (basis, coefficients) = match spec {
            Decode::Bins { .. } => (Vec::new(), Vec::new()),
            Decode::Dct { .. } => (dct_basis(steps), Vec::with_capacity(steps * dim)),
        };
        let longest = table.iter().map(Vec::len).max().unwrap_or(0);
        let text = match spec {
            Decode::Dct { utf8: Some(_), .. } => Vec::with_capacity(tokens * longest),
            _ => Vec::new(),
        };
        Self {
            spec: spec.clone(),
            table,
            basis,
            coefficients,
            text,
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
            Decode::Dct { steps, dim, .. } => {
                self.coefficients.clear();
                self.read_coefficients(tokens, expected)?;
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

    /// Fills `coefficients` with `expected` numbers.
    fn read_coefficients(&mut self, tokens: &[u32], expected: usize) -> Result<(), DecodeError> {
        let Decode::Dct {
            first_token,
            descending,
            scale,
            utf8,
            fit,
            ..
        } = self.spec
        else {
            return Ok(());
        };
        self.text.clear();
        // Counted on, so that the error has them all.
        let mut found = 0;
        for (index, &token) in tokens.iter().enumerate() {
            let run = token_index(token, first_token, descending)
                .and_then(|index| self.table.get(index as usize))
                .ok_or(DecodeError::NoAction { token, index })?;
            if utf8.is_some() {
                // The table of a text holds bytes, which was checked.
                self.text.extend(run.iter().map(|byte| *byte as u8));
                continue;
            }
            let left = expected.saturating_sub(found);
            let scaled = run.iter().map(|integer| *integer as f32 / scale);
            self.coefficients.extend(scaled.take(left));
            found += run.len();
        }
        if let Some(Utf8 { offset }) = utf8 {
            let (valid, whole) = match std::str::from_utf8(&self.text) {
                Ok(text) => (text, true),
                Err(error) => {
                    let valid = self.text.get(..error.valid_up_to()).unwrap_or_default();
                    (std::str::from_utf8(valid).unwrap_or_default(), false)
                }
            };
            let numbers = valid
                .chars()
                .map(|c| i64::from(u32::from(c)) + i64::from(offset));
            let scaled = numbers.map(|number| number as f32 / scale);
            self.coefficients.extend(scaled.take(expected));
            found = valid.chars().count();
            if !whole && (found < expected || fit == DctFit::Exact) {
                return Err(DecodeError::Text { found, expected });
            }
        }
        match fit {
            DctFit::Exact if found != expected => Err(DecodeError::Count { found, expected }),
            DctFit::Exact | DctFit::Fill => {
                self.coefficients.resize(expected, 0.0);
                Ok(())
            }
        }
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
        Decoder::new(&spec, Vec::new(), 4)
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
            utf8: None,
            fit: DctFit::Exact,
            scale: 10.0,
            steps: 3,
            dim: 2,
        };
        let table = vec![vec![10, 0, 5], vec![2, -3, 1], vec![0]];
        let mut decoder = Decoder::new(&spec, table.clone(), 4);
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

        // Filled up and cut, as LeRobot's relaxed decoding does.
        let mut relaxed = spec.clone();
        if let Decode::Dct { fit, .. } = &mut relaxed {
            *fit = DctFit::Fill;
        }
        let mut relaxed = Decoder::new(&relaxed, table, 4);
        let mut cut = [0.0; 6];
        relaxed.run(&[9, 8, 7, 7], &mut cut).unwrap();
        decoder.run(&[9, 8], &mut out).unwrap();
        assert_eq!(cut, out);
        relaxed.run(&[], &mut cut).unwrap();
        assert_eq!(cut, [0.0; 6]);
        relaxed.run(&[7], &mut cut).unwrap();
        assert_eq!(cut, [0.0; 6]);
    }

    /// A coefficient above 127 is two bytes, which two tokens may share.
    #[test]
    fn runs_of_bytes_are_a_text_whose_characters_are_coefficients() {
        let text = |fit| Decode::Dct {
            first_token: 9,
            descending: true,
            table: "table.json".to_owned(),
            utf8: Some(Utf8 { offset: -300 }),
            fit,
            scale: 1.0,
            steps: 1,
            dim: 3,
        };
        // U+012C (300) and U+012D (301) are C4 AC and C4 AD.
        let table = vec![vec![0xC4], vec![0xAC], vec![0xAD, 0x41]];
        let mut decoder = Decoder::new(&text(DctFit::Exact), table.clone(), 8);
        let mut out = [0.0; 3];
        decoder.run(&[9, 8, 9, 7], &mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, 65.0 - 300.0]);
        let cases = [
            (
                &[9, 8][..],
                Err(DecodeError::Count {
                    found: 1,
                    expected: 3,
                }),
            ),
            (
                &[9, 8, 9],
                Err(DecodeError::Text {
                    found: 1,
                    expected: 3,
                }),
            ),
            (
                &[9, 8, 9, 7, 9],
                Err(DecodeError::Text {
                    found: 3,
                    expected: 3,
                }),
            ),
        ];
        for (tokens, expected) in cases {
            assert_eq!(decoder.run(tokens, &mut out), expected);
        }
        let mut relaxed = Decoder::new(&text(DctFit::Fill), table, 8);
        relaxed.run(&[9, 8, 9, 7, 9], &mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, -235.0]);
        relaxed.run(&[9, 8, 9, 8], &mut out).unwrap();
        assert_eq!(out, [0.0; 3]);
        let text = DecodeError::Text {
            found: 1,
            expected: 3,
        };
        assert_eq!(relaxed.run(&[9, 8, 9], &mut out), Err(text));
    }

    #[test]
    fn sequences_are_taken_out_wherever_they_stand() {
        let spec: TokensSpec = serde_json::from_value(serde_json::json!({
            "max_tokens": 9, "end": 0, "open_end": true, "first": {"token": 1}, "logits": "logits", "cache": {},
            "starts_with": [1, 2], "remove": [1, 2, 3],
            "decode": {"bins": {"first_token": 0, "descending": false, "bins": 9, "low": 0.0, "high": 1.0, "steps": 1, "dim": 1}}
        }))
        .unwrap();
        let cases: [(&[u32], &[u32]); 4] = [
            (&[1, 2, 3, 7, 8], &[7, 8]),
            (&[1, 2, 7, 1, 2, 3, 1, 2, 3, 1, 2], &[1, 2, 7, 1, 2]),
            // What is left is not looked through again.
            (&[1, 2, 1, 2, 3, 3], &[1, 2, 3]),
            (&[1, 2, 3], &[]),
        ];
        for (tokens, expected) in cases {
            let mut tokens = tokens.to_vec();
            keep_actions(&spec, &mut tokens).unwrap();
            assert_eq!(tokens, expected);
        }
        for tokens in [&[2, 1][..], &[1], &[]] {
            let error = keep_actions(&spec, &mut tokens.to_vec()).unwrap_err();
            assert!(matches!(error, DecodeError::Start { .. }), "{error}");
        }
    }

    #[test]
    fn the_largest_value_is_found_and_a_nan_is_not_hidden() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(largest(&[1.0, f32::NAN]), None);
        assert_eq!(largest(&[]), None);
    }
}
