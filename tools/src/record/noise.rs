//! Disturbs what a demonstrator does, so that its corrections are in the data too (DART, Laskey et al., 2017).

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

/// Seeded Gaussian noise, the same on every machine.
pub struct Gaussian {
    random: Pcg64,
    sigma: f64,
    /// The polar method makes two at a time.
    spare: Option<f64>,
}

impl Gaussian {
    /// Noise of standard deviation `sigma`.
    pub fn new(seed: u64, sigma: f64) -> Self {
        Self {
            random: Pcg64::seed_from_u64(seed),
            sigma,
            spare: None,
        }
    }

    /// The next draw: Marsaglia's polar method, with `libm`'s logarithm for the same bits everywhere.
    pub fn sample(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare * self.sigma;
        }
        loop {
            let x: f64 = self.random.random_range(-1.0..1.0);
            let y: f64 = self.random.random_range(-1.0..1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                self.spare = Some(y * scale);
                return x * scale * self.sigma;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_its_moments_and_repeats() {
        let draws = |seed| {
            let mut noise = Gaussian::new(seed, 0.5);
            (0..20_000).map(|_| noise.sample()).collect::<Vec<f64>>()
        };
        let sample = draws(3);
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let deviation = (sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
        let within = sample.iter().filter(|x| x.abs() < 0.5).count() as f64 / n;
        assert!(mean.abs() < 0.015, "{mean}");
        assert!((deviation - 0.5).abs() < 0.01, "{deviation}");
        assert!((within - 0.6827).abs() < 0.015, "{within}");
        assert_eq!(sample, draws(3));
        assert_ne!(sample, draws(4));
    }
}
