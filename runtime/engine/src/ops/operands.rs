//! The two sides of a product: weights packed once, and how the activations arrive.

use std::slice::from_ref;
use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{
    Bytes, Epilogue, FloatRows, Isa, Output, PackedFloats, PackedFours, PackedWeights, Pool,
    Quantisation, Residual, RowScales, dynamic_range, float_product, four_bit_product, quantise,
};

use super::float_weights::FloatWeights;
use super::format::bytes;
use crate::tensor::View;

/// Packed weights, in 8 bits or in floats, and the activations that meet them.
#[derive(Debug, Clone)]
pub(crate) enum Operands {
    /// 8-bit activations of a fixed quantisation.
    Quantised(Arc<PackedWeights>, Quantisation),
    /// Floats that are quantised on the fly, one scale for the tensor as in `DynamicQuantizeLinear`.
    Dynamic(Arc<PackedWeights>),
    /// Floats that stay floats.
    Float(Arc<FloatWeights>),
    /// Floats that meet 4-bit weights.
    Fours(Arc<PackedFours>),
}

/// The same weights in memory: to compare them value by value would take longer than to pack them.
impl PartialEq for Operands {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantised(a, of_a), Self::Quantised(b, of_b)) => {
                Arc::ptr_eq(a, b) && of_a == of_b
            }
            (Self::Dynamic(a), Self::Dynamic(b)) => Arc::ptr_eq(a, b),
            (Self::Float(a), Self::Float(b)) => Arc::ptr_eq(a, b),
            (Self::Fours(a), Self::Fours(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Operands {}

/// The activations of one product with the weights that they meet.
pub(crate) enum Left<'a> {
    Bytes(&'a PackedWeights, Left8<'a>),
    Floats(FloatSide<'a>, &'a [f32]),
}

/// Weights that meet floats.
#[derive(Clone, Copy)]
pub(crate) enum FloatSide<'a> {
    Floats(&'a PackedFloats),
    Fours(&'a PackedFours),
}

impl FloatSide<'_> {
    /// `output = epilogue(rows x weights)`.
    pub(crate) fn product(
        self,
        rows: FloatRows<'_>,
        epilogue: &Epilogue,
        residual: Residual<'_>,
        output: &mut Output<'_>,
        pool: &Pool,
    ) {
        match self {
            Self::Floats(weights) => {
                float_product(weights, rows, epilogue, residual, output, pool);
            }
            Self::Fours(weights) => {
                four_bit_product(weights, rows, epilogue, residual, output, pool);
            }
        }
    }
}

/// Activations in 8 bits.
pub(crate) struct Left8<'a> {
    pub(crate) values: Bytes<'a>,
    pub(crate) q: Quantisation,
    /// Whether `q` was known when the graph was loaded, and is part of the epilogue.
    fixed: bool,
}

impl Left8<'_> {
    pub(crate) fn scales(&self) -> RowScales<'_> {
        match self.fixed {
            true => RowScales::Fixed,
            false => RowScales::Dynamic {
                scale: from_ref(&self.q.scale),
                zero_point: from_ref(&self.q.zero_point),
            },
        }
    }
}

impl Operands {
    /// Reads the activations; what is quantised on the fly goes to `moment`.
    pub(crate) fn left<'a>(
        &'a self,
        input: View<'a>,
        moment: &'a mut Vec<u8>,
    ) -> TractResult<Left<'a>> {
        Ok(match self {
            Self::Quantised(weights, q) => {
                let (values, q, fixed) = (bytes(input)?, *q, true);
                Left::Bytes(weights, Left8 { values, q, fixed })
            }
            Self::Dynamic(weights) => {
                let (isa, x) = (weights.isa(), input.values::<f32>()?);
                let q = dynamic_range(isa, x);
                moment.resize(x.len(), 0);
                quantise(isa, x, &mut Output::Unsigned(moment, q));
                let (values, fixed) = (Bytes::Unsigned(moment), false);
                Left::Bytes(weights, Left8 { values, q, fixed })
            }
            Self::Float(weights) => {
                Left::Floats(FloatSide::Floats(weights.packed()), input.values()?)
            }
            Self::Fours(weights) => Left::Floats(FloatSide::Fours(weights), input.values()?),
        })
    }

    /// Packs weights that wait for it. `scratch` is a buffer to use.
    pub(crate) fn settle(&self, scratch: &mut Vec<f32>) {
        if let Self::Float(weights) = self {
            weights.settle(scratch);
        }
    }

    pub(crate) fn isa(&self) -> Isa {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.isa(),
            Self::Float(weights) => weights.isa(),
            Self::Fours(weights) => weights.isa(),
        }
    }

    /// Columns of the product.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.columns(),
            Self::Float(weights) => weights.columns(),
            Self::Fours(weights) => weights.columns(),
        }
    }

    /// Values of a segment of a row, and how many of them the kernel reads.
    pub(crate) fn segment(&self) -> (usize, usize) {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => {
                (weights.segment(), weights.padded_segment())
            }
            Self::Float(weights) => (weights.segment(), weights.segment()),
            Self::Fours(weights) => (weights.depth(), weights.depth()),
        }
    }

    /// Values of a row.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => {
                weights.segment() * weights.segments()
            }
            Self::Float(weights) => weights.segment() * weights.segments(),
            Self::Fours(weights) => weights.depth(),
        }
    }

    /// Bytes of the weights.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.bytes(),
            Self::Float(weights) => weights.bytes(),
            Self::Fours(weights) => weights.bytes(),
        }
    }

    /// What follows the name of an op with such operands: nothing in 8 bits.
    pub(crate) fn suffix(&self) -> &'static str {
        match self {
            Self::Quantised(..) | Self::Dynamic(_) => "",
            Self::Float(_) => "F32",
            Self::Fours(_) => "W4",
        }
    }

    /// What [`Op::info`] says of a product of `rows` rows.
    pub(crate) fn info(&self, rows: usize) -> Vec<String> {
        let (k, n) = (self.depth(), self.columns());
        vec![format!("{rows}x{k}x{n} by {}", self.isa().name())]
    }

    /// Element type that the product is made in.
    pub(crate) fn datum(&self) -> DatumType {
        match self {
            Self::Quantised(..) | Self::Dynamic(_) => DatumType::I8,
            Self::Float(_) | Self::Fours(_) => DatumType::F32,
        }
    }
}
