//! Borrowed tensors.

use tract_onnx::prelude::DatumType;

use super::element::{Element, Number, datum_name};
use super::spec::{TensorError, volume};

/// A borrowed tensor, row-major.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) datum: DatumType,
    pub(crate) shape: &'a [usize],
    pub(crate) bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Values in this shape.
    ///
    /// # Errors
    /// When the shape has another number of values.
    pub fn of<T: Number>(shape: &'a [usize], values: &'a [T]) -> Result<Self, TensorError> {
        Self::new(T::ELEMENT, shape, bytemuck::cast_slice(values))
    }

    /// Truth values in this shape.
    ///
    /// # Errors
    /// When the shape has another number of values.
    pub fn bools(shape: &'a [usize], values: &'a [bool]) -> Result<Self, TensorError> {
        Self::new(Element::Bool, shape, bytemuck::cast_slice(values))
    }

    /// The values of this type and shape that these bytes are, in the machine's own byte order.
    ///
    /// # Errors
    /// When the bytes are too many, too few, not aligned, or a truth value is neither 0 nor 1.
    pub fn new(element: Element, shape: &'a [usize], bytes: &'a [u8]) -> Result<Self, TensorError> {
        let wanted = volume(shape).and_then(|count| count.checked_mul(element.bytes()));
        if wanted != Some(bytes.len()) {
            return Err(TensorError::Size {
                element,
                shape: shape.to_vec(),
                found: bytes.len(),
            });
        }
        let aligned = bytes.as_ptr().addr().is_multiple_of(element.bytes());
        if !aligned && !bytes.is_empty() {
            return Err(TensorError::Misaligned(element));
        }
        if element == Element::Bool
            && let Some(&byte) = bytes.iter().find(|&&byte| byte > 1)
        {
            return Err(TensorError::Bool(byte));
        }
        Ok(Self {
            datum: element.datum(),
            shape,
            bytes,
        })
    }

    /// Element type; `None` for types that only tract knows.
    #[must_use]
    pub fn element(&self) -> Option<Element> {
        Element::of(self.datum)
    }

    /// Size of each axis.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The bytes of the values, in the machine's own byte order. A `bool` is a byte of 0 or 1.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The values.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn values<T: Number>(&self) -> Result<&'a [T], TensorError> {
        check::<T>(self.datum)?;
        cast(self.bytes)
    }

    /// The values of a tensor of bools.
    ///
    /// # Errors
    /// When they are of another type, or a byte is neither 0 nor 1.
    pub fn to_bools(&self) -> Result<&'a [bool], TensorError> {
        if self.datum != DatumType::Bool {
            return Err(TensorError::Element {
                found: datum_name(self.datum),
                wanted: Element::Bool,
            });
        }
        let other = self.bytes.iter().copied().find(|byte| *byte > 1);
        bytemuck::checked::try_cast_slice(self.bytes)
            .map_err(|_| TensorError::Bool(other.unwrap_or_default()))
    }

    /// Half-precision values by their bits, in this shape.
    ///
    /// # Errors
    /// When the shape has another number of values.
    pub fn of_half_bits(shape: &'a [usize], bits: &'a [u16]) -> Result<Self, TensorError> {
        Self::new(Element::F16, shape, bytemuck::cast_slice(bits))
    }

    /// The bits of half-precision values.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn half_bits(&self) -> Result<&'a [u16], TensorError> {
        if self.datum != DatumType::F16 {
            return Err(TensorError::Element {
                found: datum_name(self.datum),
                wanted: Element::F16,
            });
        }
        cast(self.bytes)
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// When the shape has another number of values.
    pub fn reshaped(self, shape: &'a [usize]) -> Result<Self, TensorError> {
        if volume(shape) == volume(self.shape) {
            return Ok(Self { shape, ..self });
        }
        Err(TensorError::Size {
            element: self.element().unwrap_or(Element::U8),
            shape: shape.to_vec(),
            found: self.bytes.len(),
        })
    }
}

/// The inputs of a run, in the order of the graph's.
///
/// Slices and arrays of [`View`] are, and slices of [`Tensor`](super::Tensor); a caller whose inputs lie in several places writes its own, so
/// that nothing is allocated for a run.
pub trait InputViews {
    /// How many inputs there are.
    fn count(&self) -> usize;

    /// The input of this number; `None` past the end.
    fn view(&self, index: usize) -> Option<View<'_>>;
}

impl<I: InputViews + ?Sized> InputViews for &I {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn view(&self, index: usize) -> Option<View<'_>> {
        (**self).view(index)
    }
}

impl InputViews for [View<'_>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn view(&self, index: usize) -> Option<View<'_>> {
        self.get(index).copied()
    }
}

impl<const N: usize> InputViews for [View<'_>; N] {
    fn count(&self) -> usize {
        N
    }

    fn view(&self, index: usize) -> Option<View<'_>> {
        self.get(index).copied()
    }
}

/// No bytes may lie anywhere.
fn cast<T: Number>(bytes: &[u8]) -> Result<&[T], TensorError> {
    match bytes {
        [] => Ok(&[]),
        _ => bytemuck::try_cast_slice(bytes).map_err(|_| TensorError::Misaligned(T::ELEMENT)),
    }
}

/// No bytes may lie anywhere.
pub(crate) fn cast_mut<T: Number>(bytes: &mut [u8]) -> Result<&mut [T], TensorError> {
    match bytes {
        [] => Ok(&mut []),
        _ => bytemuck::try_cast_slice_mut(bytes).map_err(|_| TensorError::Misaligned(T::ELEMENT)),
    }
}

/// Whether values of a tensor of tract can be read as this type.
pub(crate) fn check<T: Number>(datum: DatumType) -> Result<(), TensorError> {
    if datum == T::ELEMENT.datum() {
        return Ok(());
    }
    Err(TensorError::Element {
        found: datum_name(datum),
        wanted: T::ELEMENT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_checked() {
        let values = [1.0_f32, 2.0, 3.0, 4.0];
        let view = View::of(&[2, 2], &values).unwrap();
        assert_eq!(view.values::<f32>().unwrap(), values);
        assert_eq!(view.element(), Some(Element::F32));
        let other = view.values::<i64>().unwrap_err();
        assert_eq!(other.to_string(), "a tensor of f32 is read as i64");
        let long = View::of(&[5], &values).unwrap_err().to_string();
        assert_eq!(long, "16 bytes instead of those of f32[5]");
        let huge = [usize::MAX, 2];
        assert!(View::of(&huge, &values).is_err());
        let bytes: &[u8] = bytemuck::cast_slice(&values);
        assert_eq!(
            View::new(Element::F32, &[3], &bytes[1..13]).unwrap_err(),
            TensorError::Misaligned(Element::F32)
        );
        assert_eq!(
            View::new(Element::Bool, &[2], &[1, 2]).unwrap_err(),
            TensorError::Bool(2)
        );
        let none: &[f32] = View::new(Element::F32, &[0, 3], &bytes[1..1])
            .unwrap()
            .values()
            .unwrap();
        assert!(none.is_empty());
        assert_eq!(View::bools(&[1], &[true]).unwrap().bytes(), [1]);
    }
}
