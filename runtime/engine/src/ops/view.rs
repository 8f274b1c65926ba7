//! Tensors that somebody else owns.

use tract_onnx::tract_hir::internal::*;

/// An element type that any bits are a value of.
pub(crate) trait Number: Datum + bytemuck::Pod {}

impl Number for f32 {}
impl Number for i8 {}
impl Number for i32 {}
impl Number for i64 {}
impl Number for u8 {}

/// A tensor to read, row-major.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) datum: DatumType,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

/// A tensor to write, row-major.
#[derive(Debug)]
pub(crate) struct ViewMut<'a> {
    pub(crate) datum: DatumType,
    pub(crate) bytes: &'a mut [u8],
}

impl<'a> View<'a> {
    /// A tensor of tract.
    pub(crate) fn of(tensor: &'a Tensor) -> TractResult<Self> {
        Ok(Self {
            datum: tensor.datum_type(),
            shape: tensor.shape(),
            bytes: tensor.try_as_plain_ram()?.as_bytes(),
        })
    }

    /// The values, where they are of this type.
    pub(crate) fn values<T: Number>(&self) -> TractResult<&'a [T]> {
        check::<T>(self.datum)?;
        bytemuck::try_cast_slice(self.bytes).map_err(|e| format_err!("{e}"))
    }
}

impl<'a> ViewMut<'a> {
    /// A tensor of tract.
    pub(crate) fn of(tensor: &'a mut Tensor) -> TractResult<Self> {
        let datum = tensor.datum_type();
        ensure!(
            tensor.is_plain_ram(),
            "a tensor that is not numbers in a row"
        );
        Ok(Self {
            datum,
            bytes: tensor.as_bytes_mut(),
        })
    }

    /// The values, where they are of this type.
    pub(crate) fn into_values<T: Number>(self) -> TractResult<&'a mut [T]> {
        check::<T>(self.datum)?;
        bytemuck::try_cast_slice_mut(self.bytes).map_err(|e| format_err!("{e}"))
    }
}

fn check<T: Number>(datum: DatumType) -> TractResult<()> {
    ensure!(
        datum == T::datum_type(),
        "a tensor is {datum:?}, not {:?}",
        T::datum_type()
    );
    Ok(())
}
