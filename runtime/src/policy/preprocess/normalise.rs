//! Normalisation of single numbers, there and back.

use super::super::manifest::Normalisation;

/// A [`Normalisation`] prepared for use, value by value.
#[derive(Debug, Clone)]
pub struct Normaliser(Vec<Map>);

/// The map of one value. Each is computed in the order in which LeRobot computes it, so that the last bit agrees.
#[derive(Debug, Clone, Copy)]
pub(super) enum Map {
    Identity,
    MeanStd { mean: f32, std: f32, divisor: f32 },
    Range { low: f32, range: f32 },
    Affine { scale: f32, offset: f32 },
}

impl Normaliser {
    /// Prepares for `count` values; the normalisation was checked to hold as many.
    #[must_use]
    pub fn new(spec: &Normalisation, count: usize) -> Self {
        let range = |low: &[f32], high: &[f32], epsilon: f32| {
            let maps = low.iter().zip(high).map(|(&low, &high)| Map::Range {
                low,
                range: if high == low { epsilon } else { high - low },
            });
            maps.collect()
        };
        Self(match spec {
            Normalisation::Identity {} => vec![Map::Identity; count],
            Normalisation::MeanStd { mean, std, epsilon } => {
                let maps = mean.iter().zip(std).map(|(&mean, &std)| Map::MeanStd {
                    mean,
                    std,
                    divisor: std + epsilon,
                });
                maps.collect()
            }
            Normalisation::MinMax { min, max, epsilon } => range(min, max, *epsilon),
            Normalisation::Quantiles { low, high, epsilon } => range(low, high, *epsilon),
            Normalisation::Affine { scale, offset } => {
                let maps = scale.iter().zip(offset);
                maps.map(|(&scale, &offset)| Map::Affine { scale, offset })
                    .collect()
            }
        })
    }

    /// How many values it maps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it maps none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the normalised `values` to the start of `out`, as many as there are.
    pub fn forward(&self, values: &[f32], out: &mut [f32]) {
        for ((out, value), map) in out.iter_mut().zip(values).zip(&self.0) {
            *out = map.forward(*value);
        }
    }

    /// Writes the physical values of the normalised ones to `out`, as many as it maps.
    pub fn back(&self, values: &[f32], out: &mut [f32]) {
        for ((out, value), map) in out.iter_mut().zip(values).zip(&self.0) {
            *out = map.back(*value);
        }
    }

    /// How much a difference of 1 between normalised values is in the unit of a value.
    #[must_use]
    pub fn unit(&self, index: usize) -> f32 {
        self.0.get(index).map_or(1.0, |map| map.unit())
    }

    /// The map of one value.
    pub(super) fn map(&self, index: usize) -> Map {
        self.0.get(index).copied().unwrap_or(Map::Identity)
    }
}

impl Map {
    pub(super) fn forward(self, x: f32) -> f32 {
        match self {
            Self::Identity => x,
            Self::MeanStd { mean, divisor, .. } => (x - mean) / divisor,
            Self::Range { low, range } => 2.0 * (x - low) / range - 1.0,
            Self::Affine { scale, offset } => x * scale + offset,
        }
    }

    /// As `forward` of each value divided by `scale`, with the choice made once.
    pub(super) fn forward_all(self, values: &mut [f32], scale: f32) {
        match self {
            Self::Identity => values.iter_mut().for_each(|value| *value /= scale),
            Self::MeanStd { .. } | Self::Range { .. } | Self::Affine { .. } => {
                for value in values {
                    *value = self.forward(*value / scale);
                }
            }
        }
    }

    fn unit(self) -> f32 {
        match self {
            Self::Identity => 1.0,
            Self::MeanStd { std, .. } => std,
            Self::Range { range, .. } => range / 2.0,
            Self::Affine { scale, .. } => scale.recip().abs(),
        }
    }

    fn back(self, y: f32) -> f32 {
        match self {
            Self::Identity => y,
            Self::MeanStd { mean, std, .. } => y * std + mean,
            Self::Range { low, range } => (y + 1.0) / 2.0 * range + low,
            Self::Affine { scale, offset } => (y - offset) / scale,
        }
    }
}
