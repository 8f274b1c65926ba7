//! Weights in few bits, and biases that make up for what the rounding took.

use super::Part;
use crate::weights::{Int4Rows, Int8Rows, int4_rows, int8_rows, sqnr_db};
use crate::{Graph, Layer, Precision, gptq};

/// A layer's weights as they will be stored, rows first.
pub(super) enum Rounded {
    Float,
    Half,
    Int8(Int8Rows),
    Int4(Int4Rows),
}

impl Rounded {
    pub(super) fn of(part: &Part, layer: &Layer, precision: Precision, with_gptq: bool) -> Self {
        let Some(constant) = part.graph.constant(&layer.weight) else {
            return Self::Float;
        };
        let rows = || layer.rows(&constant.values);
        match precision {
            Precision::F32 => Self::Float,
            Precision::F16 => Self::Half,
            Precision::Int8 | Precision::Int8Dynamic | Precision::W8 => {
                Self::Int8(int8_rows(&rows(), layer.k))
            }
            Precision::W4a8 | Precision::W4 => {
                let gram = part
                    .activations
                    .get(&layer.input)
                    .and_then(|a| a.gram.as_ref());
                let best = gram
                    .filter(|gram| with_gptq && gram.nrows() == layer.k)
                    .and_then(|gram| gptq::int4_rows(&rows(), layer.k, gram));
                Self::Int4(best.unwrap_or_else(|| int4_rows(&rows(), layer.k)))
            }
        }
    }

    /// What the weights stand for, [N, K]; `None` where they are as they were.
    fn real(&self, layer: &Layer) -> Option<Vec<f32>> {
        match self {
            Self::Float | Self::Half => None,
            Self::Int8(rows) => Some(rows.real(layer.k)),
            Self::Int4(rows) => Some(rows.real(layer.k)),
        }
    }

    pub(super) fn error_db(&self, part: &Part, layer: &Layer) -> Option<f32> {
        let constant = part.graph.constant(&layer.weight)?;
        Some(sqnr_db(&layer.rows(&constant.values), &self.real(layer)?))
    }
}

/// Adds to the bias what the rounding of the weights takes from the mean of each output channel.
pub(super) fn correct_bias(graph: &mut Graph, part: &Part, layer: &Layer, weights: &Rounded) {
    let (Some(real), Some(constant), Some(activation)) = (
        weights.real(layer),
        part.graph.constant(&layer.weight),
        part.activations.get(&layer.input),
    ) else {
        return;
    };
    let channels = activation.channel_mean.len();
    if channels == 0 || !layer.k.is_multiple_of(channels) {
        return;
    }
    let Some(bias) = layer.bias.clone().or_else(|| added_bias(graph, layer)) else {
        return;
    };
    let Some(mut values) = graph.constant(&bias).map(|c| c.values.to_vec()) else {
        return;
    };
    // A convolution's row holds the pixels of its window for each channel.
    let window = layer.k / channels;
    let rows = layer.rows(&constant.values);
    for (n, value) in values.iter_mut().enumerate() {
        let row = n * layer.k..(n + 1) * layer.k;
        let pairs = rows[row.clone()].iter().zip(&real[row]);
        *value += pairs
            .enumerate()
            .map(|(k, (was, is))| (was - is) * activation.channel_mean[k / window])
            .sum::<f32>();
    }
    graph.set_constant(&bias, values);
}

/// The constant that is added to a product's output, and to nothing else.
pub(crate) fn added_bias(graph: &Graph, layer: &Layer) -> Option<String> {
    let &[reader] = graph.readers(&layer.output).as_slice() else {
        return None;
    };
    let add = &graph.nodes()[reader];
    let other = add.input.iter().find(|input| **input != layer.output)?;
    let fits = graph.constant(other)?.values.len() == layer.n;
    (add.op_type == "Add" && fits && graph.readers(other).len() == 1).then(|| other.clone())
}
