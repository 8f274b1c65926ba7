//! What follows a product in the graph and can be done in its epilogue: bias, quantisation and back, residual, activation, the
//! next quantisation.

use tract_onnx::tract_core::ops::cnn::Conv as FloatConv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Activation, Epilogue};

use super::gated;
use super::pattern::{dequantise_format, quantisation, quantise_format, quantised_source};
use crate::ops::{Beside, Format, Quantise};
use crate::query::{
    constant, floats, keeps_rows, only_reader, other_operand, readers, scalar, shape,
};

/// The part of the graph behind a product that becomes its epilogue.
#[derive(Debug)]
pub(super) struct Tail {
    /// Added to each column.
    pub(super) bias: Option<Vec<f32>>,
    /// What each column is clamped to after the bias and before the residual, where the graph quantises the sum there.
    pub(super) range: Option<Vec<(f32, f32)>>,
    /// What is added, or multiplied by, before the activation.
    pub(super) residual: Option<(OutletId, Beside)>,
    pub(super) activation: Activation,
    /// The outlet whose value the fused op computes.
    pub(super) outlet: OutletId,
    pub(super) format: Format,
}

impl Tail {
    /// Follows `start`, whose axis `axis` has the product's columns.
    pub(super) fn follow(model: &TypedModel, start: OutletId, axis: usize) -> Option<Self> {
        let columns = *shape(model, start)?.get(axis)?;
        let last = shape(model, start)?.len() == axis + 1;
        let mut tail = Self {
            bias: None,
            range: None,
            residual: None,
            activation: Activation::Identity,
            outlet: start,
            format: Format::Float,
        };
        let mut axis = axis;
        while tail.step(model, columns, &mut axis, last).is_some() {}
        Some(tail)
    }

    /// Puts what follows the bias into the epilogue.
    pub(super) fn complete(&self, epilogue: &mut Epilogue) {
        epilogue.activation = self.activation;
        if let Some(ranges) = &self.range {
            epilogue.clamp(ranges);
        }
    }

    /// Takes in one more node, or a `Quantise` with its `Dequantise`; `None` at the end.
    fn step(
        &mut self,
        model: &TypedModel,
        columns: usize,
        axis: &mut usize,
        last: bool,
    ) -> Option<()> {
        if self.format != Format::Float {
            return None;
        }
        if self.activation == Activation::Identity
            && let Some((activation, outlet)) = gated::match_gated(model, self.outlet)
        {
            (self.activation, self.outlet) = (activation, outlet);
            return Some(());
        }
        let node = only_reader(model, self.outlet)?;
        let next = OutletId::from(node.id);
        if let Some(op) = node.op_as::<Quantise>() {
            return self.quantise(model, node, op, columns);
        }
        if last && keeps_rows(model, node) {
            *axis = shape(model, next)?.len() - 1;
            self.outlet = next;
            return Some(());
        }
        if self.activation != Activation::Identity {
            return None;
        }
        if let Some(other) = other_operand(node, "Max", self.outlet) {
            (scalar(model, other)? == 0.0).then_some(())?;
            (self.activation, self.outlet) = (Activation::Relu, next);
            return Some(());
        }
        if let Some(other) = other_operand(node, "Mul", self.outlet) {
            // Elsewhere a factor would have to be laid out anew.
            let fits = last && self.residual.is_none() && constant(model, other).is_none();
            let alike = is_float(model, other) && is_alike(model, other, self.outlet)?;
            (fits && alike).then_some(())?;
            (self.residual, self.outlet) = (Some((other, Beside::Factor)), next);
            return Some(());
        }
        let other = other_operand(node, "Add", self.outlet)?;
        if constant(model, other).is_some() {
            return self.add_bias(model, other, columns, *axis, next);
        }
        if self.residual.is_some() || !is_alike(model, other, self.outlet)? {
            return None;
        }
        let float = is_float(model, other).then_some((other, Format::Float));
        let (source, format) = quantised_source(model, other).or(float)?;
        (self.residual, self.outlet) = (Some((source, Beside::Term(format))), next);
        Some(())
    }

    fn add_bias(
        &mut self,
        model: &TypedModel,
        other: OutletId,
        columns: usize,
        axis: usize,
        next: OutletId,
    ) -> Option<()> {
        if self.residual.is_some() {
            return None;
        }
        let along = shape(model, other)?;
        let offset = shape(model, self.outlet)?.len().checked_sub(along.len())?;
        let fits =
            |(index, &dim): (usize, &usize)| dim == 1 || (index + offset == axis && dim == columns);
        along.iter().enumerate().all(fits).then_some(())?;
        let values = floats(model, other)?;
        let bias = self.bias.get_or_insert_with(|| vec![0.0; columns]);
        let value = |index: usize| values[if values.len() == 1 { 0 } else { index }];
        for (index, bias) in bias.iter_mut().enumerate() {
            *bias += value(index);
        }
        // A range of the sum without this bias moves with it.
        for (index, (low, high)) in self.range.iter_mut().flatten().enumerate() {
            (*low, *high) = (*low + value(index), *high + value(index));
        }
        self.outlet = next;
        Some(())
    }

    /// Either the end of the way, with an 8-bit output, or a stop on it that leaves its range.
    fn quantise(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        op: &Quantise,
        columns: usize,
    ) -> Option<()> {
        let format = quantise_format(op)?;
        let next = OutletId::from(node.id);
        let passes = self.residual.is_none() && self.activation == Activation::Identity;
        if passes
            && let Some(back) = only_reader(model, next)
            && dequantise_format(model, back) == Some(format)
            && !model.outputs.contains(&back.id.into())
            && (gated::match_gated(model, back.id.into()).is_some()
                || !feeds_product(model, back.id.into()))
        {
            let (low, high) = quantisation(format)?.range();
            let everything = (f32::NEG_INFINITY, f32::INFINITY);
            let ranges = self.range.get_or_insert_with(|| vec![everything; columns]);
            for (first, last) in ranges {
                (*first, *last) = (first.clamp(low, high), last.clamp(low, high));
            }
            self.outlet = back.id.into();
            return Some(());
        }
        (self.format, self.outlet) = (format, next);
        Some(())
    }
}

fn is_float(model: &TypedModel, outlet: OutletId) -> bool {
    let fact = model.outlet_fact(outlet);
    fact.is_ok_and(|fact| fact.datum_type == DatumType::F32)
}

/// Whether two values have the same shape; `None` where one is open.
fn is_alike(model: &TypedModel, one: OutletId, other: OutletId) -> Option<bool> {
    Some(shape(model, one)? == shape(model, other)?)
}

/// Whether a product or several readers want these values, which then are better left in 8 bits.
fn feeds_product(model: &TypedModel, outlet: OutletId) -> bool {
    let readers = readers(model, outlet);
    readers.len() != 1
        || readers.iter().any(|reader| {
            let node = model.node(reader.node);
            let product = node.op_is::<EinSum>() || node.op_is::<FloatConv>();
            product || (keeps_rows(model, node) && feeds_product(model, node.id.into()))
        })
}
