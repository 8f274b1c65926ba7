//! Tensors that operators write, and tract's as operators read them.

use tract_onnx::tract_hir::internal::*;

use crate::tensor::{Number, TensorError, View, cast_mut, check};

/// A tensor to write, row-major.
#[derive(Debug)]
pub(crate) struct ViewMut<'a> {
    pub(crate) datum: DatumType,
    pub(crate) bytes: &'a mut [u8],
}

/// A tensor of tract to read.
pub(crate) fn view_of(tensor: &Tensor) -> TractResult<View<'_>> {
    Ok(View {
        datum: tensor.datum_type(),
        shape: tensor.shape(),
        bytes: tensor.try_as_plain_ram()?.as_bytes(),
    })
}

/// A copy for tract.
pub(crate) fn tensor_of(view: &View<'_>) -> TractResult<Tensor> {
    let mut tensor = Tensor::zero_dt(view.datum, view.shape)?;
    ViewMut::of(&mut tensor)?.bytes.copy_from_slice(view.bytes);
    Ok(tensor)
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
    pub(crate) fn into_values<T: Number>(self) -> Result<&'a mut [T], TensorError> {
        check::<T>(self.datum)?;
        cast_mut(self.bytes)
    }
}
