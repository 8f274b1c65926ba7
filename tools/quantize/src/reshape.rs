//! Changes to a float graph that leave its function as it is, and spread its numbers so that they round better.

use crate::calibrate::Activations;
use crate::emit::added_bias;
use crate::{Graph, Kind, Layer};

/// Factors stay within this of 1, or a channel that is nearly always zero would be blown up.
const LARGEST_FACTOR: f32 = 32.0;

/// Moves what is hard to round from activations to weights (Xiao et al., "SmoothQuant", arXiv 2211.10438): where a
/// `LayerNormalization` feeds nothing but products, its scale and bias are divided per channel and the weights multiplied.
/// `alpha` is the part of the difficulty that moves, 0 to 1; 0.5 is customary. Returns how many norms were changed.
pub fn smooth(graph: &mut Graph, layers: &[Layer], activations: &Activations, alpha: f32) -> usize {
    let mut changed = 0;
    for index in 0..graph.nodes().len() {
        let norm = graph.nodes()[index].clone();
        let (Some(out), true) = (norm.output.first(), norm.op_type == "LayerNormalization") else {
            continue;
        };
        let (Some(scale), Some(activation)) = (norm.input.get(1), activations.get(out)) else {
            continue;
        };
        let readers: Vec<&Layer> = layers
            .iter()
            .filter(|layer| layer.input == *out && is_linear(layer))
            .collect();
        let channels = activation.channel_max.len();
        let alone = graph.readers(out).len() == readers.len()
            && !graph.is_output(out)
            && readers.iter().all(|l| l.k == channels);
        let only = |tensor: &String| {
            graph.readers(tensor).len() == 1
                && graph
                    .constant(tensor)
                    .is_some_and(|c| c.values.len() == channels)
        };
        let bias = norm.input.get(2).filter(|b| !b.is_empty());
        let own_weights = readers
            .iter()
            .all(|layer| graph.readers(&layer.weight).len() == 1);
        if readers.is_empty() || !alone || !only(scale) || !bias.is_none_or(only) || !own_weights {
            continue;
        }
        let mut weight_max = vec![0.0_f32; channels];
        for layer in &readers {
            let rows = layer.rows(
                &graph
                    .constant(&layer.weight)
                    .map_or_else(Vec::new, |c| c.values.to_vec()),
            );
            for (i, value) in rows.iter().enumerate() {
                let max = &mut weight_max[i % channels];
                *max = max.max(value.abs());
            }
        }
        let factors: Vec<f32> = activation
            .channel_max
            .iter()
            .zip(&weight_max)
            .map(|(x, w)| factor(x.powf(alpha) / w.powf(1.0 - alpha)))
            .collect();
        multiply(graph, scale, |i| 1.0 / factors[i]);
        if let Some(bias) = bias {
            multiply(graph, bias, |i| 1.0 / factors[i]);
        }
        for layer in readers {
            scale_columns(graph, layer, |k| factors[k]);
        }
        changed += 1;
    }
    changed
}

/// Gives neighbouring layers channels of like range (Nagel et al., "Data-free quantization", arXiv 1906.04721): where a
/// layer's output goes through a `Relu` into one other layer and nowhere else, output channels of the one are divided and
/// input channels of the other multiplied. Returns how many pairs were changed.
pub fn equalise(graph: &mut Graph, layers: &[Layer]) -> usize {
    let mut changed = 0;
    for first in layers {
        let Some((second, bias)) = follower(graph, layers, first) else {
            continue;
        };
        let own = |weight: &str| graph.readers(weight).len() == 1;
        if !own(&first.weight) || !own(&second.weight) || !bias.as_ref().is_none_or(|b| own(b)) {
            continue;
        }
        let window = second.k / first.n;
        let rows = |layer: &Layer| {
            layer.rows(
                &graph
                    .constant(&layer.weight)
                    .map_or_else(Vec::new, |c| c.values.to_vec()),
            )
        };
        let (before, after) = (rows(first), rows(second));
        let largest =
            |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |m, v| m.max(v.abs()));
        let factors: Vec<f32> = (0..first.n)
            .map(|n| {
                let out = largest(&mut before[n * first.k..(n + 1) * first.k].iter().copied());
                let entering = after
                    .chunks_exact(second.k)
                    .flat_map(|row| row[n * window..(n + 1) * window].iter().copied());
                factor((out / largest(&mut entering.into_iter())).sqrt())
            })
            .collect();
        scale_rows(graph, first, |n| 1.0 / factors[n]);
        if let Some(bias) = &bias {
            multiply(graph, bias, |n| 1.0 / factors[n]);
        }
        scale_columns(graph, second, |k| factors[k / window]);
        changed += 1;
    }
    changed
}

/// The one layer that a layer's output enters through a `Relu`, and the bias that is added before.
fn follower<'a>(
    graph: &Graph,
    layers: &'a [Layer],
    first: &Layer,
) -> Option<(&'a Layer, Option<String>)> {
    if first.kind == Kind::Product {
        return None;
    }
    let mut tensor = first.output.clone();
    let mut bias = first.bias.clone();
    if bias.is_none()
        && let Some(added) = added_bias(graph, first)
    {
        let &[add] = graph.readers(&tensor).as_slice() else {
            return None;
        };
        tensor = graph.nodes()[add].output.first()?.clone();
        bias = Some(added);
    }
    let &[relu] = graph.readers(&tensor).as_slice() else {
        return None;
    };
    let relu = &graph.nodes()[relu];
    let out = relu.output.first()?;
    let &[reader] = graph.readers(out).as_slice() else {
        return None;
    };
    let second = layers
        .iter()
        .find(|layer| layer.node == reader && layer.input == *out)?;
    let grouped = graph.nodes()[reader]
        .attribute
        .iter()
        .any(|a| a.name == "group" && a.i > 1);
    let kinds =
        second.kind != Kind::Product && (first.kind == Kind::Conv) == (second.kind == Kind::Conv);
    let fits =
        second.k.is_multiple_of(first.n) && (second.kind == Kind::Conv || second.k == first.n);
    (relu.op_type == "Relu" && kinds && fits && !grouped && !graph.is_output(out))
        .then_some((second, bias))
}

fn is_linear(layer: &Layer) -> bool {
    matches!(layer.kind, Kind::MatMul | Kind::Gemm { .. })
}

fn factor(wanted: f32) -> f32 {
    if wanted.is_finite() && wanted > 0.0 {
        wanted.clamp(1.0 / LARGEST_FACTOR, LARGEST_FACTOR)
    } else {
        1.0
    }
}

fn multiply(graph: &mut Graph, tensor: &str, by: impl Fn(usize) -> f32) {
    if let Some(constant) = graph.constant(tensor) {
        let values = constant
            .values
            .iter()
            .enumerate()
            .map(|(i, v)| v * by(i))
            .collect();
        graph.set_constant(tensor, values);
    }
}

/// Multiplies each weight by a factor of its place in the row.
fn scale_columns(graph: &mut Graph, layer: &Layer, by: impl Fn(usize) -> f32) {
    scale(graph, layer, |_, k| by(k));
}

/// Multiplies each weight by a factor of its output channel.
fn scale_rows(graph: &mut Graph, layer: &Layer, by: impl Fn(usize) -> f32) {
    scale(graph, layer, |n, _| by(n));
}

fn scale(graph: &mut Graph, layer: &Layer, by: impl Fn(usize, usize) -> f32) {
    if let Some(constant) = graph.constant(&layer.weight) {
        let mut values = constant.values.to_vec();
        for n in 0..layer.n {
            for k in 0..layer.k {
                values[layer.index(n, k)] *= by(n, k);
            }
        }
        graph.set_constant(&layer.weight, values);
    }
}
