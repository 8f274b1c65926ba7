//! Seeded noise: the same seed gives the same bits on every processor.

use std::sync::Arc;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::RngCore;

use super::super::manifest::Noise;

/// Where the noise of a policy comes from.
#[derive(Debug, Clone)]
pub(crate) enum NoiseSource {
    /// The distribution that the package names, drawn from a generator.
    Drawn(Pcg64Mcg),
    /// Given numbers, taken in this order, for a comparison with another engine.
    Given(Stream),
    /// Given numbers, one by one.
    Listed(Listed),
}

/// Numbers in a list; past its end they are 0.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    values: Arc<[f32]>,
    taken: usize,
}

impl Listed {
    pub(crate) fn new(values: impl Iterator<Item = f32>) -> Self {
        Self {
            values: values.collect(),
            taken: 0,
        }
    }

    /// Numbers of the list, and numbers that were taken.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.values.len(), self.taken)
    }

    fn floats(&mut self, out: &mut [f32]) {
        let mut rest = self.values.iter().skip(self.taken);
        self.taken += out.len();
        out.fill_with(|| rest.next().copied().unwrap_or_default());
    }
}

/// Numerical Recipes' linear congruential generator with values in a range: the same in any language.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    state: u32,
    low: f64,
    high: f64,
}

impl Stream {
    pub(crate) fn new(seed: u32, low: f64, high: f64) -> Self {
        Self {
            state: seed,
            low,
            high,
        }
    }

    fn step(&mut self) -> u32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.state
    }

    pub(crate) fn floats(&mut self, out: &mut [f32]) {
        for value in out {
            let fraction = f64::from(self.step() >> 8) / f64::from(1 << 24);
            *value = (self.low + (self.high - self.low) * fraction) as f32;
        }
    }

    pub(crate) fn bytes(&mut self, out: &mut [u8]) {
        for value in out {
            let [first, ..] = self.step().to_be_bytes();
            *value = first;
        }
    }
}

impl NoiseSource {
    pub(crate) fn seeded(seed: u64) -> Self {
        // The generator mixes its seed badly: neighbouring seeds would begin alike.
        let low = mix(seed);
        let state = u128::from(low) << 64 | u128::from(mix(low));
        Self::Drawn(Pcg64Mcg::new(state))
    }

    pub(crate) fn fill(&mut self, noise: &Noise, out: &mut [f32]) {
        match self {
            Self::Given(stream) => stream.floats(out),
            Self::Listed(list) => list.floats(out),
            Self::Drawn(generator) => match *noise {
                Noise::Uniform { low, high } => {
                    for value in out {
                        *value = low + (high - low) * fraction(generator) as f32;
                    }
                }
                Noise::Normal { mean, std } => normal(generator, mean, std, out),
            },
        }
    }
}

/// SplitMix64's mixing.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 to below 1 with 24 bits, all of which a float holds.
fn fraction(generator: &mut Pcg64Mcg) -> f64 {
    f64::from((generator.next_u64() >> 40) as u32) / f64::from(1 << 24)
}

/// Box and Muller's method, two values at a time. The library's logarithm and cosine are the same on every processor.
fn normal(generator: &mut Pcg64Mcg, mean: f32, std: f32, out: &mut [f32]) {
    for pair in out.chunks_mut(2) {
        let radius = (-2.0 * libm::log(1.0 - unit(generator))).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * unit(generator));
        for (value, direction) in pair.iter_mut().zip([cos, sin]) {
            *value = mean + std * (radius * direction) as f32;
        }
    }
}

/// A number from 0 to below 1 with 53 bits.
fn unit(generator: &mut Pcg64Mcg) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, noise: &Noise, count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        NoiseSource::seeded(seed).fill(noise, &mut out);
        out
    }

    const NORMAL: Noise = Noise::Normal {
        mean: 1.0,
        std: 2.0,
    };

    #[test]
    fn the_moments_are_those_of_the_distribution() {
        let moments = |values: &[f32]| {
            let count = values.len() as f64;
            let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
            let square = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
            (mean, (square.sum::<f64>() / count).sqrt())
        };
        let (mean, std) = moments(&drawn(7, &NORMAL, 100_001));
        assert!(
            (mean - 1.0).abs() < 0.03 && (std - 2.0).abs() < 0.03,
            "{mean} {std}"
        );
        let uniform = Noise::Uniform {
            low: -1.0,
            high: 3.0,
        };
        let values = drawn(7, &uniform, 100_000);
        let (mean, std) = moments(&values);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((std - 4.0 / 12_f64.sqrt()).abs() < 0.02, "{std}");
        assert!(values.iter().all(|x| (-1.0..3.0).contains(x)));
    }

    #[test]
    fn seeds_give_the_same_bits_everywhere_and_differ() {
        let bits = |seed| {
            drawn(seed, &NORMAL, 4)
                .iter()
                .map(|x| x.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(1), bits(1));
        assert_ne!(bits(1), bits(2));
        let known = [3_212_306_298, 1_076_199_443, 1_054_713_900, 1_070_530_312];
        assert_eq!(bits(1), known, "of x86-64 and aarch64");
    }
}
