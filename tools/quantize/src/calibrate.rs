//! What enters the products of a graph, measured over samples.

use std::collections::BTreeMap;

use nalgebra::DMatrix;

use crate::engine::{Runner, Sample};
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

/// The first of two passes over the samples: the smallest and largest value of each activation.
pub struct Ranges {
    graph: Watched,
    /// `None` before the first sample.
    sums: Vec<Option<Sums>>,
    grams: bool,
}

/// The second pass: how often each value occurs.
pub struct Counts {
    graph: Watched,
    activations: Vec<Activation>,
}

/// A float graph whose outputs are the activations that enter its layers.
struct Watched {
    runner: Runner,
    /// Name of each activation, and whether it is an image: [N, C, ...].
    tensors: Vec<(String, bool)>,
    samples: usize,
}

impl Ranges {
    /// Gets `graph` ready for samples of the types and shapes of `like`. `grams` asks for second moments, which rounding by
    /// [`crate::gptq`] needs.
    ///
    /// # Errors
    /// When the graph does not run on such samples.
    pub fn new(
        graph: &Graph,
        layers: &[Layer],
        like: &Sample,
        grams: bool,
    ) -> Result<Self, QuantizeError> {
        let graph = Watched::new(graph, layers, like)?;
        Ok(Self {
            sums: graph.tensors.iter().map(|_| None).collect(),
            graph,
            grams,
        })
    }

    /// Takes a sample in.
    ///
    /// # Errors
    /// When the graph does not run on it, or an activation is not finite.
    pub fn add(&mut self, sample: &Sample) -> Result<(), QuantizeError> {
        let (sums, grams) = (&mut self.sums, self.grams);
        self.graph.run(sample, |place, values, shape, image| {
            let (channels, inner) = channels(shape, image);
            sums[place]
                .get_or_insert_with(|| Sums::new(channels, grams && !image))
                .add(values, inner);
        })
    }

    /// Goes on to the second pass.
    #[must_use]
    pub fn counts(self) -> Counts {
        let sums = self.sums.into_iter();
        Counts {
            activations: sums
                .map(|sums| sums.unwrap_or_else(|| Sums::new(0, false)).finish())
                .collect(),
            graph: self.graph,
        }
    }
}

impl Counts {
    /// Takes a sample in, one of those of the first pass.
    ///
    /// # Errors
    /// When the graph does not run on it.
    pub fn add(&mut self, sample: &Sample) -> Result<(), QuantizeError> {
        let activations = &mut self.activations;
        self.graph.run(sample, |place, values, _, _| {
            for &value in values {
                activations[place].histogram.add(value);
            }
        })
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Activations {
        let names = self.graph.tensors.into_iter().map(|(name, _)| name);
        names.zip(self.activations).collect()
    }
}

/// Both passes over samples in memory.
///
/// # Errors
/// When the graph does not run, or an activation is not finite.
pub fn calibrate(
    graph: &Graph,
    layers: &[Layer],
    samples: &[Sample],
    grams: bool,
) -> Result<Activations, QuantizeError> {
    let Some(first) = samples.first() else {
        return Err(QuantizeError::Sample("there are none".to_owned()));
    };
    let mut ranges = Ranges::new(graph, layers, first, grams)?;
    for sample in samples {
        ranges.add(sample)?;
    }
    let mut counts = ranges.counts();
    for sample in samples {
        counts.add(sample)?;
    }
    Ok(counts.finish())
}

impl Watched {
    fn new(graph: &Graph, layers: &[Layer], like: &Sample) -> Result<Self, QuantizeError> {
        let mut tensors: BTreeMap<String, bool> = BTreeMap::new();
        for layer in layers {
            tensors.insert(layer.input.clone(), layer.kind == Kind::Conv);
            if layer.kind == Kind::Product && graph.constant(&layer.weight).is_none() {
                tensors.insert(layer.weight.clone(), false);
            }
        }
        let names: Vec<String> = tensors.keys().cloned().collect();
        Ok(Self {
            runner: Runner::new(graph.model(), &names, like)?,
            tensors: tensors.into_iter().collect(),
            samples: 0,
        })
    }

    /// Runs a sample and hands on each activation: its place, values, shape, and whether it is an image.
    fn run(
        &mut self,
        sample: &Sample,
        mut each: impl FnMut(usize, &[f32], &[usize], bool),
    ) -> Result<(), QuantizeError> {
        self.runner.run(sample)?;
        for (place, (name, image)) in self.tensors.iter().enumerate() {
            let (values, shape) = self.runner.output(place, sample)?;
            if !values.iter().all(|v| v.is_finite()) {
                return Err(QuantizeError::NotFinite {
                    tensor: name.clone(),
                    sample: self.samples,
                });
            }
            each(place, values, shape, *image);
        }
        self.samples += 1;
        Ok(())
    }
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
