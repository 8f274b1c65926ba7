//! Types with shapes, and what can be wrong with a tensor.

use std::fmt;

use super::element::Element;

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

/// Number of values; `None` where it does not fit into a `usize`.
pub(super) fn volume(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
}
