//! Writes a graph with its layers in the precisions chosen, in ops that any engine has.
//!
//! int8 is QuantizeLinear / DequantizeLinear around the float op, which engines fuse; dynamic int8 is DynamicQuantizeLinear with
//! MatMulInteger; 4-bit is `MatMulNBits` of ONNX Runtime's contributed ops (domain `com.microsoft`).

use std::collections::{HashMap, HashSet};

use half::f16;
use serde::Serialize;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

use crate::calibrate::Activations;
use crate::graph::{cast, float_tensor, i8_tensor, i32_tensor, integer, node, u8_tensor};
use crate::names::Names;
use crate::range::{Method, affine};
use crate::weights::{BLOCK, Int4Rows, Int8Rows, int4_rows, int8_rows, sqnr_db};
use crate::{Graph, Kind, Layer, Precision, QuantizeError, Scheme, gptq};

const MICROSOFT: &str = "com.microsoft";
/// `accuracy_level` of `MatMulNBits` that lets an engine multiply in int8.
const INT8_PRODUCTS: i64 = 4;

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

type Ranges<'a> = HashMap<&'a str, (f32, f32)>;

/// A layer's weights as they will be stored, rows first.
enum Rounded {
    Float,
    Half,
    Int8(Int8Rows),
    Int4(Int4Rows),
}

impl Rounded {
    fn of(part: &Part, layer: &Layer, precision: Precision, with_gptq: bool) -> Self {
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

    fn error_db(&self, part: &Part, layer: &Layer) -> Option<f32> {
        let constant = part.graph.constant(&layer.weight)?;
        Some(sqnr_db(&layer.rows(&constant.values), &self.real(layer)?))
    }
}

/// Adds to the bias what the rounding of the weights takes from the mean of each output channel.
fn correct_bias(graph: &mut Graph, part: &Part, layer: &Layer, weights: &Rounded) {
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

struct Writer<'a> {
    ranges: Ranges<'a>,
    /// With corrected biases.
    graph: &'a Graph,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Tensors made on the way, so that two readers of an activation share them.
    made: HashSet<String>,
    /// Names of new tensors, by what they belong to and what they are for it.
    names: HashMap<(String, &'static str), String>,
    taken: Names,
    contributed: bool,
}

impl Writer<'_> {
    fn layer(
        &mut self,
        original: &NodeProto,
        layer: &Layer,
        precision: Precision,
        weights: &Rounded,
    ) -> Result<(), QuantizeError> {
        let mut changed = original.clone();
        match (precision, weights) {
            (Precision::F32, _) => {}
            (Precision::F16, _) => {
                changed.input[0] = self.half_activation(&layer.input);
                changed.input[1] = match self.graph.constant(&layer.weight) {
                    Some(_) => self.half_weight(layer),
                    None => self.half_activation(&layer.weight),
                };
            }
            (Precision::Int8, Rounded::Float) => {
                changed.input[0] = self.fixed(&layer.input)?.0;
                changed.input[1] = self.fixed(&layer.weight)?.0;
            }
            (Precision::Int8, Rounded::Int8(rows)) => {
                let (input, scale) = self.fixed(&layer.input)?;
                changed.input[0] = input;
                changed.input[1] = self.int8_weight(layer, rows);
                if let Some(bias) = &layer.bias {
                    changed.input[2] = self.int32_bias(bias, scale, &rows.scales);
                }
            }
            (Precision::W8, Rounded::Int8(rows)) => {
                changed.input[1] = self.int8_weight(layer, rows);
            }
            (Precision::Int8Dynamic, Rounded::Int8(rows)) if layer.kind == Kind::Conv => {
                changed.input[0] = self.dynamic(&layer.input);
                changed.input[1] = self.int8_weight(layer, rows);
            }
            (Precision::Int8Dynamic, Rounded::Int8(rows)) => {
                self.integer_product(layer, rows);
                return Ok(());
            }
            (Precision::W4a8, Rounded::Int4(rows)) => {
                let input = self.fixed(&layer.input)?.0;
                self.four_bit_product(layer, &input, rows, Some(INT8_PRODUCTS));
                return Ok(());
            }
            (Precision::W4, Rounded::Int4(rows)) => {
                self.four_bit_product(layer, &layer.input, rows, None);
                return Ok(());
            }
            // A product of two activations has no weights to store in few bits.
            _ => {}
        }
        self.nodes.push(changed);
        Ok(())
    }

    /// The name of a new tensor that belongs to a layer or to another tensor: the same one each time, and no other tensor's.
    fn name(&mut self, owner: &str, what: &'static str) -> String {
        let taken = &mut self.taken;
        self.names
            .entry((owner.to_owned(), what))
            .or_insert_with(|| taken.fresh(&format!("{owner}_{what}")))
            .clone()
    }

    /// The activation rounded in its fixed range, and the scale.
    fn fixed(&mut self, tensor: &str) -> Result<(String, f32), QuantizeError> {
        let Some(&(low, high)) = self.ranges.get(tensor) else {
            return Err(QuantizeError::Sample(format!(
                "tensor \"{tensor}\" was not measured"
            )));
        };
        let (scale, zero) = affine(low, high);
        let out = self.name(tensor, "dequantized");
        if self.made.insert(out.clone()) {
            let [scale_name, zero_name, quantized] =
                ["scale", "zero_point", "quantized"].map(|what| self.name(tensor, what));
            self.constants
                .push(float_tensor(&scale_name, &[], &[scale]));
            self.constants.push(u8_tensor(&zero_name, &[], &[zero]));
            self.nodes.push(node(
                "QuantizeLinear",
                &format!("{tensor}_QuantizeLinear"),
                &[tensor, &scale_name, &zero_name],
                &[&quantized],
            ));
            self.nodes.push(node(
                "DequantizeLinear",
                &format!("{tensor}_DequantizeLinear"),
                &[&quantized, &scale_name, &zero_name],
                &[&out],
            ));
        }
        Ok((out, scale))
    }

    /// Names of the activation as uint8, its scale and its zero point, all computed at each inference.
    fn measured(&mut self, tensor: &str) -> [String; 3] {
        let names = ["moment_quantized", "moment_scale", "moment_zero_point"]
            .map(|what| self.name(tensor, what));
        if self.made.insert(names[0].clone()) {
            let outputs = [names[0].as_str(), names[1].as_str(), names[2].as_str()];
            self.nodes.push(node(
                "DynamicQuantizeLinear",
                &format!("{tensor}_DynamicQuantizeLinear"),
                &[tensor],
                &outputs,
            ));
        }
        names
    }

    /// The activation rounded in the range of this inference. Spelt out, since engines take no `DequantizeLinear` whose scale
    /// is computed.
    fn dynamic(&mut self, tensor: &str) -> String {
        let [quantized, scale, zero] = self.measured(tensor);
        let out = self.name(tensor, "moment_dequantized");
        if self.made.insert(out.clone()) {
            let [steps, real_zero, centred] =
                ["moment_steps", "moment_real_zero", "moment_centred"]
                    .map(|what| self.name(tensor, what));
            self.nodes.push(cast(&quantized, &steps, DataType::Float));
            self.nodes.push(cast(&zero, &real_zero, DataType::Float));
            self.nodes
                .push(node("Sub", &centred, &[&steps, &real_zero], &[&centred]));
            self.nodes
                .push(node("Mul", &out, &[&centred, &scale], &[&out]));
        }
        out
    }

    fn half_activation(&mut self, tensor: &str) -> String {
        let [half, out] = ["half", "rounded"].map(|what| self.name(tensor, what));
        if self.made.insert(out.clone()) {
            self.nodes.push(cast(tensor, &half, DataType::Float16));
            self.nodes.push(cast(&half, &out, DataType::Float));
        }
        out
    }

    fn half_weight(&mut self, layer: &Layer) -> String {
        let out = self.name(&layer.weight, "rounded");
        if let Some(constant) = self.graph.constant(&layer.weight)
            && self.made.insert(out.clone())
        {
            let rounded: Vec<f32> = constant
                .values
                .iter()
                .map(|&v| f16::from_f32(v).to_f32())
                .collect();
            self.constants
                .push(float_tensor(&out, &constant.dims, &rounded));
        }
        out
    }

    /// int8 weights with a `DequantizeLinear` behind, one scale for each output channel.
    fn int8_weight(&mut self, layer: &Layer, rows: &Int8Rows) -> String {
        let weight = &layer.weight;
        let out = self.name(weight, "dequantized");
        if self.made.insert(out.clone()) {
            let [quantized, scale, zero] =
                ["quantized", "scale", "zero_point"].map(|what| self.name(weight, what));
            let dims = self
                .graph
                .constant(weight)
                .map_or_else(Vec::new, |c| c.dims.clone());
            self.constants
                .push(i8_tensor(&quantized, &dims, &layer.stored(&rows.values)));
            self.constants
                .push(float_tensor(&scale, &[layer.n], &rows.scales));
            self.constants
                .push(i8_tensor(&zero, &[layer.n], &vec![0; layer.n]));
            let mut dequantize = node(
                "DequantizeLinear",
                &format!("{weight}_DequantizeLinear"),
                &[&quantized, &scale, &zero],
                &[&out],
            );
            dequantize
                .attribute
                .push(integer("axis", layer.channel_axis()));
            self.nodes.push(dequantize);
        }
        out
    }

    /// The bias in steps of the product, as engines with int32 sums want it; as it was where it does not fit 32 bits.
    fn int32_bias(&mut self, bias: &str, input_scale: f32, weight_scales: &[f32]) -> String {
        let Some(constant) = self.graph.constant(bias) else {
            return bias.to_owned();
        };
        let scales: Vec<f32> = weight_scales
            .iter()
            .map(|scale| scale * input_scale)
            .collect();
        let steps = constant.values.iter().zip(&scales);
        let steps: Vec<f64> = steps
            .map(|(v, scale)| (f64::from(*v) / f64::from(*scale)).round_ties_even())
            .collect();
        if !steps.iter().all(|v| v.abs() < f64::from(i32::MAX)) {
            return bias.to_owned();
        }
        let out = self.name(bias, "dequantized");
        if self.made.insert(out.clone()) {
            let [quantized, scale, zero] =
                ["quantized", "scale", "zero_point"].map(|what| self.name(bias, what));
            let values: Vec<i32> = steps.iter().map(|&v| v as i32).collect();
            self.constants
                .push(i32_tensor(&quantized, &[values.len()], &values));
            self.constants
                .push(float_tensor(&scale, &[scales.len()], &scales));
            self.constants
                .push(i32_tensor(&zero, &[scales.len()], &vec![0; scales.len()]));
            let mut dequantize = node(
                "DequantizeLinear",
                &format!("{bias}_DequantizeLinear"),
                &[&quantized, &scale, &zero],
                &[&out],
            );
            dequantize.attribute.push(integer("axis", 0));
            self.nodes.push(dequantize);
        }
        out
    }

    /// `DynamicQuantizeLinear`, `MatMulInteger`, and the scales.
    fn integer_product(&mut self, layer: &Layer, rows: &Int8Rows) {
        let [quantized, scale, zero] = self.measured(&layer.input);
        let name = &layer.name;
        let [weight, weight_scale, sums, real_sums, scales] = [
            "weight_quantized",
            "weight_scale",
            "sums",
            "real_sums",
            "scales",
        ]
        .map(|what| self.name(name, what));
        let mut columns = vec![0; rows.values.len()];
        for n in 0..layer.n {
            for k in 0..layer.k {
                columns[k * layer.n + n] = rows.values[n * layer.k + k];
            }
        }
        self.constants
            .push(i8_tensor(&weight, &[layer.k, layer.n], &columns));
        self.constants
            .push(float_tensor(&weight_scale, &[layer.n], &rows.scales));
        self.nodes.push(node(
            "MatMulInteger",
            &format!("{name}_MatMulInteger"),
            &[&quantized, &weight, &zero],
            &[&sums],
        ));
        self.nodes.push(cast(&sums, &real_sums, DataType::Float));
        self.nodes.push(node(
            "Mul",
            &format!("{name}_scales"),
            &[&scale, &weight_scale],
            &[&scales],
        ));
        self.finish(layer, &real_sums, Some(&scales));
    }

    fn four_bit_product(
        &mut self,
        layer: &Layer,
        input: &str,
        rows: &Int4Rows,
        accuracy: Option<i64>,
    ) {
        let name = &layer.name;
        let [weight, scales, product] =
            ["weight_4bit", "weight_scales", "product"].map(|what| self.name(name, what));
        let blocks = layer.k.div_ceil(BLOCK);
        self.constants.push(u8_tensor(
            &weight,
            &[layer.n, blocks, BLOCK / 2],
            &rows.packed(layer.k),
        ));
        self.constants
            .push(float_tensor(&scales, &[layer.n * blocks], &rows.scales));
        let out = if layer.bias.is_some() {
            &product
        } else {
            &layer.output
        };
        let mut made = node("MatMulNBits", name, &[input, &weight, &scales], &[out]);
        MICROSOFT.clone_into(&mut made.domain);
        let sizes = [
            ("K", layer.k),
            ("N", layer.n),
            ("bits", 4),
            ("block_size", BLOCK),
        ];
        made.attribute
            .extend(sizes.map(|(name, size)| integer(name, size as i64)));
        made.attribute
            .extend(accuracy.map(|level| integer("accuracy_level", level)));
        self.nodes.push(made);
        self.contributed = true;
        if layer.bias.is_some() {
            self.finish(layer, &product, None);
        }
    }

    /// Scales and bias on top of a product, under the name of the layer's output.
    fn finish(&mut self, layer: &Layer, product: &str, scales: Option<&str>) {
        let name = &layer.name;
        let scaled = self.name(name, "scaled");
        let product = match (scales, &layer.bias) {
            (Some(scales), Some(_)) => {
                self.nodes.push(node(
                    "Mul",
                    &format!("{name}_Mul"),
                    &[product, scales],
                    &[&scaled],
                ));
                scaled.as_str()
            }
            (Some(scales), None) => {
                self.nodes.push(node(
                    "Mul",
                    &format!("{name}_Mul"),
                    &[product, scales],
                    &[&layer.output],
                ));
                return;
            }
            (None, _) => product,
        };
        if let Some(bias) = &layer.bias {
            self.nodes.push(node(
                "Add",
                &format!("{name}_Add"),
                &[product, bias],
                &[&layer.output],
            ));
        }
    }
}
