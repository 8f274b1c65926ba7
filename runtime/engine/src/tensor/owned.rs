//! Tensors with memory of their own.

use super::element::{Element, Number, datum_name};
use super::spec::{TensorError, TensorSpec};
use super::view::{InputViews, View, cast_mut, check};
use crate::buffer::Buffer;

/// The largest tensor that a caller can make.
const MAX_BYTES: usize = 1 << 32;

/// A tensor of its own, row-major, aligned to a cache line.
#[derive(Debug)]
pub struct Tensor {
    spec: TensorSpec,
    bytes: usize,
    buffer: Buffer,
}

impl Clone for Tensor {
    fn clone(&self) -> Self {
        let mut buffer = self.buffer.like();
        buffer
            .bytes_mut(self.bytes)
            .copy_from_slice(self.buffer.bytes(self.bytes));
        Self {
            spec: self.spec.clone(),
            bytes: self.bytes,
            buffer,
        }
    }
}

impl Tensor {
    /// Zeros.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn zeros(spec: TensorSpec) -> Result<Self, TensorError> {
        let bytes = spec.bytes().filter(|&bytes| bytes <= MAX_BYTES);
        let Some((bytes, buffer)) = bytes.and_then(|bytes| Some((bytes, Buffer::try_new(bytes)?)))
        else {
            return Err(TensorError::TooLarge(spec));
        };
        Ok(Self {
            spec,
            bytes,
            buffer,
        })
    }

    /// A copy of a view.
    ///
    /// # Errors
    /// When there is no memory for it, or its type is known to tract alone.
    pub fn copy_of(view: View<'_>) -> Result<Self, TensorError> {
        let Some(element) = view.element() else {
            return Err(TensorError::Element {
                found: datum_name(view.datum),
                wanted: Element::F32,
            });
        };
        let mut tensor = Self::zeros(TensorSpec::new(element, view.shape))?;
        tensor
            .buffer
            .bytes_mut(tensor.bytes)
            .copy_from_slice(view.bytes);
        Ok(tensor)
    }

    /// Type and shape.
    #[must_use]
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// The tensor to read.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            datum: self.spec.element.datum(),
            shape: &self.spec.shape,
            bytes: self.buffer.bytes(self.bytes),
        }
    }

    /// The values to write.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn values_mut<T: Number>(&mut self) -> Result<&mut [T], TensorError> {
        check::<T>(self.spec.element.datum())?;
        cast_mut(self.buffer.bytes_mut(self.bytes))
    }

    /// The bytes to write, in the machine's own byte order.
    ///
    /// # Errors
    /// For truth values, of which not any bits are one: those are copied from a view.
    pub fn bytes_mut(&mut self) -> Result<&mut [u8], TensorError> {
        match self.spec.element {
            Element::Bool => Err(TensorError::Element {
                found: self.spec.element.to_string(),
                wanted: Element::U8,
            }),
            _ => Ok(self.buffer.bytes_mut(self.bytes)),
        }
    }

    /// Takes over the values of a view of the same type and number of values.
    ///
    /// # Errors
    /// When they are of another type or number.
    pub fn copy_from(&mut self, view: View<'_>) -> Result<(), TensorError> {
        if view.datum != self.spec.element.datum() {
            return Err(TensorError::Element {
                found: datum_name(view.datum),
                wanted: self.spec.element,
            });
        }
        if view.bytes.len() != self.bytes {
            return Err(TensorError::Size {
                element: self.spec.element,
                shape: self.spec.shape.clone(),
                found: view.bytes.len(),
            });
        }
        self.buffer
            .bytes_mut(self.bytes)
            .copy_from_slice(view.bytes);
        Ok(())
    }
}

impl InputViews for [Tensor] {
    fn count(&self) -> usize {
        self.len()
    }

    fn view(&self, index: usize) -> Option<View<'_>> {
        self.get(index).map(Tensor::view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_hold_what_was_written() {
        let mut tensor = Tensor::zeros(TensorSpec::new(Element::I64, &[3])).unwrap();
        tensor.values_mut::<i64>().unwrap()[2] = -7;
        assert!(tensor.values_mut::<f32>().is_err());
        let copy = tensor.clone();
        assert_eq!(copy.view().values::<i64>().unwrap(), [0, 0, -7]);
        let huge = TensorSpec::new(Element::U8, &[usize::MAX, 3]);
        assert_eq!(
            Tensor::zeros(huge.clone()).unwrap_err(),
            TensorError::TooLarge(huge)
        );
    }
}
