//! Tensors as callers hand them in and read them: element types, borrowed views, and buffers of their own.

use std::fmt;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::DatumType;

use crate::buffer::Buffer;

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// A byte that is 0 or 1.
    Bool,
    /// 8-bit integer.
    I8,
    /// 8-bit integer without sign.
    U8,
    /// 16-bit integer.
    I16,
    /// 16-bit integer without sign.
    U16,
    /// 32-bit integer.
    I32,
    /// 32-bit integer without sign.
    U32,
    /// 64-bit integer.
    I64,
    /// 64-bit integer without sign.
    U64,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

impl Element {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Bool,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::F16,
        Self::F32,
        Self::F64,
    ];

    /// `bool`, `f32` and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::I16 => "i16",
            Self::U16 => "u16",
            Self::I32 => "i32",
            Self::U32 => "u32",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// The type of this [`Element::name`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Bytes of a value.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.datum().size_of()
    }

    pub(crate) fn datum(self) -> DatumType {
        match self {
            Self::Bool => DatumType::Bool,
            Self::I8 => DatumType::I8,
            Self::U8 => DatumType::U8,
            Self::I16 => DatumType::I16,
            Self::U16 => DatumType::U16,
            Self::I32 => DatumType::I32,
            Self::U32 => DatumType::U32,
            Self::I64 => DatumType::I64,
            Self::U64 => DatumType::U64,
            Self::F16 => DatumType::F16,
            Self::F32 => DatumType::F32,
            Self::F64 => DatumType::F64,
        }
    }

    pub(crate) fn of(datum: DatumType) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|element| element.datum() == datum)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Element type and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Element type.
    pub element: Element,
    /// Size of each axis.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// A type and a shape.
    #[must_use]
    pub fn new(element: Element, shape: &[usize]) -> Self {
        Self {
            element,
            shape: shape.to_vec(),
        }
    }

    /// Number of values; `None` where it does not fit into a `usize`.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        volume(&self.shape)
    }

    /// Bytes of all values; `None` where it does not fit into a `usize`.
    #[must_use]
    pub fn bytes(&self) -> Option<usize> {
        self.elements()?.checked_mul(self.element.bytes())
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.element, self.shape)
    }
}

/// Why a tensor is not what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// Values of another type.
    #[error("a tensor of {found} is read as {wanted}")]
    Element {
        /// Its element type.
        found: String,
        /// The type that was asked for.
        wanted: Element,
    },
    /// The bytes are not those of this type and shape.
    #[error("{found} bytes instead of those of {element}{shape:?}")]
    Size {
        /// Element type.
        element: Element,
        /// Shape.
        shape: Vec<usize>,
        /// How many bytes there are.
        found: usize,
    },
    /// The first byte is at an address where a value of this type cannot lie.
    #[error("values of {0} must start at a multiple of their size")]
    Misaligned(Element),
    /// A truth value that is neither 0 nor 1.
    #[error("{0} as a bool, which is 0 or 1")]
    Bool(u8),
    /// More than there is memory for.
    #[error("{0} does not fit into memory")]
    TooLarge(TensorSpec),
}

/// A type of numbers that tensors hold, and of which any bits are a value.
pub trait Number: Pod + sealed::Sealed {
    /// The element type of tensors that hold it.
    const ELEMENT: Element;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($number:ty: $element:ident),*) => {
        $(
            impl sealed::Sealed for $number {}
            impl Number for $number {
                const ELEMENT: Element = Element::$element;
            }
        )*
    };
}

numbers!(i8: I8, u8: U8, i16: I16, u16: U16, i32: I32, u32: U32, i64: I64, u64: U64, f32: F32, f64: F64);

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
        if !bytes.as_ptr().addr().is_multiple_of(element.bytes()) {
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
        bytemuck::try_cast_slice(self.bytes).map_err(|_| TensorError::Misaligned(T::ELEMENT))
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
        bytemuck::try_cast_slice(self.bytes).map_err(|_| TensorError::Misaligned(Element::F16))
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
/// Slices and arrays of [`View`] are, and slices of [`Tensor`]; a caller whose inputs lie in several places writes its own, so
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

impl InputViews for [Tensor] {
    fn count(&self) -> usize {
        self.len()
    }

    fn view(&self, index: usize) -> Option<View<'_>> {
        self.get(index).map(Tensor::view)
    }
}

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
        let bytes = self.buffer.bytes_mut(self.bytes);
        bytemuck::try_cast_slice_mut(bytes).map_err(|_| TensorError::Misaligned(T::ELEMENT))
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

/// The largest tensor that a caller can make.
const MAX_BYTES: usize = 1 << 32;

fn volume(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
}

pub(crate) fn check<T: Number>(datum: DatumType) -> Result<(), TensorError> {
    if datum == T::ELEMENT.datum() {
        return Ok(());
    }
    Err(TensorError::Element {
        found: datum_name(datum),
        wanted: T::ELEMENT,
    })
}

/// As [`Element::name`], where it is one.
pub(crate) fn datum_name(datum: DatumType) -> String {
    format!("{datum:?}").to_lowercase()
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
        assert_eq!(View::bools(&[1], &[true]).unwrap().bytes(), [1]);
    }

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

    #[test]
    fn names_are_read_back() {
        for element in Element::ALL {
            assert_eq!(Element::named(element.name()), Some(element));
            assert_eq!(Element::of(element.datum()), Some(element));
            assert_eq!(datum_name(element.datum()), element.name());
        }
        assert_eq!(Element::named("complex"), None);
    }
}
