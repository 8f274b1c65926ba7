//! The nodes that a rounded layer consists of.

use std::collections::{HashMap, HashSet};

use half::f16;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{NodeProto, TensorProto};

use super::rounded::Rounded;
use crate::graph::{cast, float_tensor, i8_tensor, i32_tensor, integer, node, u8_tensor};
use crate::names::Names;
use crate::range::affine;
use crate::weights::{BLOCK, Int4Rows, Int8Rows};
use crate::{Graph, Kind, Layer, Precision, QuantizeError};

pub(super) const MICROSOFT: &str = "com.microsoft";
/// `accuracy_level` of `MatMulNBits` that lets an engine multiply in int8.
const INT8_PRODUCTS: i64 = 4;

/// The range of each activation that is rounded in a fixed one, by tensor.
pub(super) type Ranges<'a> = HashMap<&'a str, (f32, f32)>;

/// The nodes and constants of the new graph.
pub(super) struct Writer<'a> {
    pub(super) ranges: Ranges<'a>,
    /// With corrected biases.
    pub(super) graph: &'a Graph,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) constants: Vec<TensorProto>,
    /// Tensors made on the way, so that two readers of an activation share them.
    pub(super) made: HashSet<String>,
    /// Names of new tensors, by what they belong to and what they are for it.
    pub(super) names: HashMap<(String, &'static str), String>,
    pub(super) taken: Names,
    pub(super) contributed: bool,
}

impl Writer<'_> {
    /// Adds the nodes that stand for one layer.
    pub(super) fn layer(
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
