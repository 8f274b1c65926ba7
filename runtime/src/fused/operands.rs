//! The two sides of a product: weights packed once, and how the activations arrive.

use std::sync::Arc;

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, PackedFloats, PackedWeights, Quantisation};

/// Packed weights, in 8 bits or in floats, and the activations that meet them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operands {
    /// 8-bit activations of a fixed quantisation.
    Quantised(Arc<PackedWeights>, Quantisation),
    /// Floats that are quantised on the fly, one scale for the tensor as in `DynamicQuantizeLinear`.
    Dynamic(Arc<PackedWeights>),
    /// Floats that stay floats.
    Float(Arc<PackedFloats>),
}

impl Eq for Operands {}

impl Operands {
    pub(super) fn isa(&self) -> Isa {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.isa(),
            Self::Float(weights) => weights.isa(),
        }
    }

    /// Columns of the product.
    pub(super) fn columns(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.columns(),
            Self::Float(weights) => weights.columns(),
        }
    }

    /// Values of a segment of a row, and how many of them the kernel reads.
    pub(super) fn segment(&self) -> (usize, usize) {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => {
                (weights.segment(), weights.padded_segment())
            }
            Self::Float(weights) => (weights.segment(), weights.segment()),
        }
    }

    /// Values of a row.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => {
                weights.segment() * weights.segments()
            }
            Self::Float(weights) => weights.segment() * weights.segments(),
        }
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Quantised(weights, _) | Self::Dynamic(weights) => weights.bytes(),
            Self::Float(weights) => weights.bytes(),
        }
    }

    /// Name of an op: that of its 8-bit form, or of the one in floats.
    pub(super) fn name(&self, quantised: &'static str, float: &'static str) -> StaticName {
        match self {
            Self::Quantised(..) | Self::Dynamic(_) => quantised.into(),
            Self::Float(_) => float.into(),
        }
    }

    /// What [`Op::info`] says of a product of `rows` rows.
    pub(super) fn info(&self, rows: usize) -> Vec<String> {
        let (k, n) = (self.depth(), self.columns());
        vec![format!("{rows}x{k}x{n} by {}", self.isa().name())]
    }

    /// Element type of the weights.
    pub(super) fn datum(&self) -> DatumType {
        match self {
            Self::Quantised(..) | Self::Dynamic(_) => DatumType::I8,
            Self::Float(_) => DatumType::F32,
        }
    }
}
