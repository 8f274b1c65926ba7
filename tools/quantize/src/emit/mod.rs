//! Writes a graph with its layers in the precisions chosen, in ops that any engine has.
//!
//! int8 is QuantizeLinear / DequantizeLinear around the float op, which engines fuse; dynamic int8 is DynamicQuantizeLinear with
//! MatMulInteger; 4-bit is `MatMulNBits` of ONNX Runtime's contributed ops (domain `com.microsoft`).

mod rounded;
mod writer;

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use tract_onnx::pb::{ModelProto, OperatorSetIdProto};

use crate::calibrate::Activations;
use crate::range::Method;
use crate::weights::BLOCK;
use crate::{Graph, Kind, Layer, Precision, QuantizeError, Scheme};

pub(crate) use rounded::added_bias;
use rounded::{Rounded, correct_bias};
use writer::{MICROSOFT, Ranges, Writer};

/// One graph with what calibration found.
#[derive(Debug, Clone)]
pub struct Part {
    /// Name of the stage that runs it.
    pub stage: String,
    /// The float graph.
    pub graph: Graph,
    /// Its products.
    pub layers: Vec<Layer>,
    /// What enters them.
    pub activations: Activations,
}

/// How values are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Rounding {
    /// Ranges of static activations.
    pub method: Method,
    /// 4-bit weights by GPTQ instead of to the nearest; needs second moments.
    pub gptq: bool,
    /// Biases make up for the mean error of the rounded weights (Nagel et al., "Data-free quantization", arXiv 1906.04721).
    pub bias_correction: bool,
}

/// What became of a layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// Name of the layer.
    pub layer: String,
    /// How it computes.
    pub precision: Precision,
    /// Output channels; 0 for a product of two activations.
    pub n: usize,
    /// Weights per output channel.
    pub k: usize,
    /// Smallest and largest value seen at its input.
    pub seen: (f32, f32),
    /// The range that its input is rounded in, where that is fixed.
    pub range: Option<(f32, f32)>,
    /// Signal to noise of its rounded weights, dB.
    pub weight_sqnr_db: Option<f32>,
}

/// What a layer becomes under a scheme.
#[must_use]
pub fn precision(scheme: Scheme, layer: &Layer) -> Precision {
    let small = layer.k < BLOCK;
    match (scheme, layer.kind) {
        (Scheme::F16, _) => Precision::F16,
        (Scheme::Int8, _) | (Scheme::W4a8, Kind::Conv | Kind::Product) => Precision::Int8,
        (Scheme::Int8Dynamic | Scheme::W4, Kind::Product) => Precision::F32,
        (Scheme::Int8Dynamic, _) => Precision::Int8Dynamic,
        (Scheme::W4, Kind::Conv) => Precision::W8,
        (Scheme::W4, _) if small => Precision::W8,
        (Scheme::W4a8, _) if small => Precision::Int8,
        (Scheme::W4a8, _) => Precision::W4a8,
        (Scheme::W4, _) => Precision::W4,
    }
}

/// Writes the graph of `part`, each of its layers in the precision of the same index.
///
/// # Errors
/// When a static precision is asked for a tensor that calibration has not seen.
pub fn emit(
    part: &Part,
    precisions: &[Precision],
    rounding: Rounding,
) -> Result<(ModelProto, Vec<LayerReport>), QuantizeError> {
    let mut graph = part.graph.clone();
    let mut reports = Vec::new();
    let ranges = ranges(part, precisions, rounding.method);
    let mut rounded = HashMap::new();
    for (layer, &precision) in part.layers.iter().zip(precisions) {
        let weights = Rounded::of(part, layer, precision, rounding.gptq);
        if rounding.bias_correction {
            correct_bias(&mut graph, part, layer, &weights);
        }
        let seen = part.activations.get(&layer.input);
        reports.push(LayerReport {
            layer: layer.name.clone(),
            precision,
            n: layer.n,
            k: layer.k,
            seen: seen.map_or((0.0, 0.0), |a| (a.min, a.max)),
            range: precision
                .is_static()
                .then(|| ranges.get(layer.input.as_str()).copied())
                .flatten(),
            weight_sqnr_db: weights.error_db(part, layer),
        });
        rounded.insert(layer.output.as_str(), (layer, precision, weights));
    }
    let mut writer = Writer {
        ranges,
        graph: &graph,
        nodes: Vec::new(),
        constants: Vec::new(),
        made: HashSet::new(),
        names: HashMap::new(),
        taken: graph.tensor_names(),
        contributed: false,
    };
    for original in graph.nodes() {
        let output = original.output.first();
        match output.and_then(|output| rounded.get(output.as_str())) {
            Some((layer, precision, weights)) => {
                writer.layer(original, layer, *precision, weights)?;
            }
            None => writer.nodes.push(original.clone()),
        }
    }
    let Writer {
        nodes,
        constants,
        contributed,
        ..
    } = writer;
    let mut model = graph.rebuilt(nodes, constants);
    if contributed && !model.opset_import.iter().any(|set| set.domain == MICROSOFT) {
        model.opset_import.push(OperatorSetIdProto {
            domain: MICROSOFT.to_owned(),
            version: 1,
        });
    }
    Ok((model, reports))
}

/// The range of each activation that is rounded in a fixed one, by tensor: found once for all its consumers.
fn ranges<'a>(part: &'a Part, precisions: &[Precision], method: Method) -> Ranges<'a> {
    let mut ranges = Ranges::new();
    let layers = part.layers.iter().zip(precisions);
    for (layer, _) in layers.filter(|(_, precision)| precision.is_static()) {
        for tensor in [&layer.input, &layer.weight] {
            if let Some(activation) = part.activations.get(tensor) {
                ranges
                    .entry(tensor)
                    .or_insert_with(|| activation.histogram.range(method));
            }
        }
    }
    ranges
}
