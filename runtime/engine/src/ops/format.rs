//! Between the plan's tensors and the kernels' slices.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Bytes, Output, Quantisation, Residual};

use super::view::ViewMut;
use super::write::Inputs;
use crate::tensor::View;

/// Element type of a fused op's tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Format {
    Float,
    Signed(Quantisation),
    /// The zero point counts from -128.
    Unsigned(Quantisation),
}

impl Eq for Format {}

impl Format {
    pub(crate) fn datum(self) -> DatumType {
        match self {
            Self::Float => DatumType::F32,
            Self::Signed(_) => DatumType::I8,
            Self::Unsigned(_) => DatumType::U8,
        }
    }
}

/// 8-bit values of a tensor.
pub(crate) fn bytes(tensor: View<'_>) -> TractResult<Bytes<'_>> {
    match tensor.datum {
        DatumType::U8 => Ok(Bytes::Unsigned(tensor.values()?)),
        _ => Ok(Bytes::Signed(tensor.values()?)),
    }
}

pub(crate) fn output_of(tensor: ViewMut<'_>, format: Format) -> TractResult<Output<'_>> {
    Ok(match format {
        Format::Float => Output::Float(tensor.into_values()?),
        Format::Signed(q) => Output::Signed(tensor.into_values()?, q),
        Format::Unsigned(q) => Output::Unsigned(tensor.into_values()?, q),
    })
}

/// What the second input of a product is to it, before the activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// It is added.
    Term(Format),
    /// Floats that the product is multiplied by.
    Factor,
}

/// The second input of a product, where it has one.
pub(crate) fn residual_of<'a>(
    inputs: &Inputs<'a>,
    beside: Option<Beside>,
) -> TractResult<Residual<'a>> {
    let Some(beside) = beside else {
        return Ok(Residual::None);
    };
    let tensor = inputs.get(1)?;
    Ok(match beside {
        Beside::Factor => Residual::Factor(tensor.values()?),
        Beside::Term(Format::Float) => Residual::Float(tensor.values()?),
        Beside::Term(Format::Signed(q)) => Residual::Quantised(Bytes::Signed(tensor.values()?), q),
        Beside::Term(Format::Unsigned(q)) => {
            Residual::Quantised(Bytes::Unsigned(tensor.values()?), q)
        }
    })
}
