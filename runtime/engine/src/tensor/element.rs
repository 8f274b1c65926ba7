//! Element types, and the types of values that tensors hold.

use std::fmt;

use bytemuck::Pod;
use serde::{Deserialize, Serialize};
use tract_onnx::prelude::DatumType;

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

/// As [`Element::name`], where it is one.
pub(crate) fn datum_name(datum: DatumType) -> String {
    format!("{datum:?}").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

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
