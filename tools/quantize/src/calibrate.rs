//! What enters the products of a graph, measured over samples.

use std::collections::BTreeMap;

use nalgebra::DMatrix;

use crate::engine::{Engine, Sample, values};
use crate::range::Histogram;
use crate::{Graph, Kind, Layer, QuantizeError};

/// One activation over all samples.
#[derive(Debug, Clone)]
pub struct Activation {
    /// All its values.
    pub histogram: Histogram,
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Largest magnitude of each channel: the axis that products sum over.
    pub channel_max: Vec<f32>,
    /// Mean of each channel.
    pub channel_mean: Vec<f32>,
    /// Mean of x xT over all rows, [K, K]; where asked for, and not for images.
    pub gram: Option<DMatrix<f64>>,
}

/// Everything that enters a product, by tensor.
pub type Activations = BTreeMap<String, Activation>;

/// Runs the float graph over `samples`. `grams` asks for second moments, which rounding by [`crate::gptq`] needs.
///
/// # Errors
/// When the graph does not run, or an activation is not finite.
pub fn calibrate(
    graph: &Graph,
    layers: &[Layer],
    samples: &[Sample],
    grams: bool,
    mut step: impl FnMut(),
) -> Result<Activations, QuantizeError> {
    let Some(first) = samples.first() else {
        return Err(QuantizeError::Sample("there are none".to_owned()));
    };
    let mut watched: BTreeMap<String, bool> = BTreeMap::new();
    for layer in layers {
        watched.insert(layer.input.clone(), layer.kind == Kind::Conv);
        if layer.kind == Kind::Product && graph.constant(&layer.weight).is_none() {
            watched.insert(layer.weight.clone(), false);
        }
    }
    let names: Vec<String> = watched.keys().cloned().collect();
    let engine = Engine::new(graph.model(), graph, &names, first)?;
    let mut found: Vec<Option<Sums>> = names.iter().map(|_| None).collect();
    for (index, sample) in samples.iter().enumerate() {
        for ((tensor, name), sums) in engine.run(sample)?.iter().zip(&names).zip(&mut found) {
            let values = values(tensor)?;
            if !values.iter().all(|v| v.is_finite()) {
                return Err(QuantizeError::NotFinite {
                    tensor: name.clone(),
                    sample: index,
                });
            }
            let (channels, inner) = channels(tensor.shape(), watched[name]);
            let grams = grams && !watched[name];
            sums.get_or_insert_with(|| Sums::new(channels, grams))
                .add(values, inner);
        }
        step();
    }
    let mut activations: Vec<Activation> = found.into_iter().flatten().map(Sums::finish).collect();
    for sample in samples {
        for (tensor, activation) in engine.run(sample)?.iter().zip(&mut activations) {
            for &value in values(tensor)? {
                activation.histogram.add(value);
            }
        }
        step();
    }
    Ok(names.into_iter().zip(activations).collect())
}

/// Number of channels, and how many values of one channel follow each other.
fn channels(shape: &[usize], image: bool) -> (usize, usize) {
    match shape {
        [_, channels, rest @ ..] if image => (*channels, rest.iter().product()),
        [.., channels] => (*channels, 1),
        [] => (1, 1),
    }
}

struct Sums {
    min: f32,
    max: f32,
    channel_max: Vec<f32>,
    channel_sum: Vec<f64>,
    rows: usize,
    gram: Option<DMatrix<f64>>,
}

impl Sums {
    fn new(channels: usize, gram: bool) -> Self {
        Self {
            min: 0.0,
            max: 0.0,
            channel_max: vec![0.0; channels],
            channel_sum: vec![0.0; channels],
            rows: 0,
            gram: gram.then(|| DMatrix::zeros(channels, channels)),
        }
    }

    fn add(&mut self, values: &[f32], inner: usize) {
        let channels = self.channel_max.len();
        for row in values.chunks_exact(channels * inner) {
            for (channel, values) in row.chunks_exact(inner).enumerate() {
                for &value in values {
                    self.min = self.min.min(value);
                    self.max = self.max.max(value);
                    self.channel_max[channel] = self.channel_max[channel].max(value.abs());
                    self.channel_sum[channel] += f64::from(value);
                }
            }
            self.rows += inner;
        }
        if let Some(gram) = &mut self.gram {
            let rows = values.len() / channels;
            let x = DMatrix::from_iterator(channels, rows, values.iter().map(|&v| f64::from(v)));
            gram.gemm(1.0, &x, &x.transpose(), 1.0);
        }
    }

    fn finish(self) -> Activation {
        let rows = self.rows.max(1) as f64;
        Activation {
            histogram: Histogram::new(self.min, self.max),
            min: self.min,
            max: self.max,
            channel_max: self.channel_max,
            channel_mean: self
                .channel_sum
                .iter()
                .map(|sum| (sum / rows) as f32)
                .collect(),
            gram: self.gram.map(|gram| gram / rows),
        }
    }
}
