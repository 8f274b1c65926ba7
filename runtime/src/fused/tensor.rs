//! Between the engine's tensors and the kernels' slices.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Bytes, Output, Quantisation, Residual};

/// Element type of a fused op's tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Format {
    Float,
    Signed(Quantisation),
    /// The zero point counts from -128.
    Unsigned(Quantisation),
}

impl Eq for Format {}

impl Format {
    pub(super) fn datum(self) -> DatumType {
        match self {
            Self::Float => DatumType::F32,
            Self::Signed(_) => DatumType::I8,
            Self::Unsigned(_) => DatumType::U8,
        }
    }

    /// A tensor to write to.
    pub(super) fn tensor(self, shape: &[usize]) -> TractResult<Tensor> {
        // SAFETY: numbers have no invalid bit patterns, and the kernels write every element of an output.
        unsafe { Tensor::uninitialized_dt(self.datum(), shape) }
    }
}

/// 8-bit values of a tensor.
pub(super) fn bytes(tensor: &Tensor) -> TractResult<Bytes<'_>> {
    let plain = tensor.try_as_plain_ram()?;
    match tensor.datum_type() {
        DatumType::U8 => Ok(Bytes::Unsigned(plain.as_slice()?)),
        _ => Ok(Bytes::Signed(plain.as_slice()?)),
    }
}

pub(super) fn output_of(tensor: &mut Tensor, format: Format) -> TractResult<Output<'_>> {
    // SAFETY: the tensor was made by `Format::tensor`, of the same format.
    Ok(unsafe {
        match format {
            Format::Float => Output::Float(tensor.as_slice_mut_unchecked()),
            Format::Signed(q) => Output::Signed(tensor.as_slice_mut_unchecked(), q),
            Format::Unsigned(q) => Output::Unsigned(tensor.as_slice_mut_unchecked(), q),
        }
    })
}

pub(super) fn residual_of(tensor: &Tensor, format: Format) -> TractResult<Residual<'_>> {
    let plain = tensor.try_as_plain_ram()?;
    Ok(match format {
        Format::Float => Residual::Float(plain.as_slice()?),
        Format::Signed(q) => Residual::Quantised(Bytes::Signed(plain.as_slice()?), q),
        Format::Unsigned(q) => Residual::Quantised(Bytes::Unsigned(plain.as_slice()?), q),
    })
}
