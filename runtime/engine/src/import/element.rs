//! Element types of ONNX tensors.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::DatumType;

use super::eighths::{self, Eighth};
use crate::tensor;

/// An element type that can be computed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Element {
    /// One byte, 0 or 1.
    Bool,
    /// 4 bits, signed; one value per byte once read.
    I4,
    /// 4 bits, unsigned; one value per byte once read.
    U4,
    /// 8 bits, signed.
    I8,
    /// 8 bits, unsigned.
    U8,
    /// 16 bits, signed.
    I16,
    /// 16 bits, unsigned.
    U16,
    /// 32 bits, signed.
    I32,
    /// 32 bits, unsigned.
    U32,
    /// 64 bits, signed.
    I64,
    /// 64 bits, unsigned.
    U64,
    /// 8-bit float: 4 bits of exponent, no infinity.
    F8E4M3FN,
    /// The same with one zero.
    F8E4M3FNUZ,
    /// 8-bit float: 5 bits of exponent.
    F8E5M2,
    /// The same with one zero and no infinity.
    F8E5M2FNUZ,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

/// What holds the values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Tensors of the engine.
    Tensor(tensor::Element),
    /// Files only, under this name and with this many bytes a value once read.
    File(&'static str, usize),
}

use Held::{File, Tensor};

/// The number in ONNX of each type, and what holds it.
const TABLE: [(Element, DataType, Held); 19] = [
    (Element::Bool, DataType::Bool, Tensor(tensor::Element::Bool)),
    (Element::I4, DataType::Int4, File("i4", 1)),
    (Element::U4, DataType::Uint4, File("u4", 1)),
    (Element::I8, DataType::Int8, Tensor(tensor::Element::I8)),
    (Element::U8, DataType::Uint8, Tensor(tensor::Element::U8)),
    (Element::I16, DataType::Int16, Tensor(tensor::Element::I16)),
    (Element::U16, DataType::Uint16, Tensor(tensor::Element::U16)),
    (Element::I32, DataType::Int32, Tensor(tensor::Element::I32)),
    (Element::U32, DataType::Uint32, Tensor(tensor::Element::U32)),
    (Element::I64, DataType::Int64, Tensor(tensor::Element::I64)),
    (Element::U64, DataType::Uint64, Tensor(tensor::Element::U64)),
    (
        Element::F8E4M3FN,
        DataType::Float8e4m3fn,
        File("f8e4m3fn", 1),
    ),
    (
        Element::F8E4M3FNUZ,
        DataType::Float8e4m3fnuz,
        File("f8e4m3fnuz", 1),
    ),
    (Element::F8E5M2, DataType::Float8e5m2, File("f8e5m2", 1)),
    (
        Element::F8E5M2FNUZ,
        DataType::Float8e5m2fnuz,
        File("f8e5m2fnuz", 1),
    ),
    (
        Element::F16,
        DataType::Float16,
        Tensor(tensor::Element::F16),
    ),
    (Element::BF16, DataType::Bfloat16, File("bf16", 2)),
    (Element::F32, DataType::Float, Tensor(tensor::Element::F32)),
    (Element::F64, DataType::Double, Tensor(tensor::Element::F64)),
];

impl Element {
    /// The type of an ONNX number; `None` for strings and whatever else cannot be computed with.
    #[must_use]
    pub fn of_onnx(number: i32) -> Option<Self> {
        let row = TABLE.iter().find(|(_, onnx, _)| *onnx as i32 == number);
        row.map(|(element, ..)| *element)
    }

    /// The number of the type in ONNX.
    #[must_use]
    pub fn onnx(self) -> i32 {
        let row = TABLE.iter().find(|(element, ..)| *element == self);
        row.map_or(0, |(_, onnx, _)| *onnx as i32)
    }

    fn held(self) -> Held {
        let row = TABLE.iter().find(|(element, ..)| *element == self);
        // Every type has a row.
        row.map_or(File("", 1), |(.., held)| *held)
    }

    /// As in `f32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.held() {
            Tensor(element) => element.name(),
            File(name, _) => name,
        }
    }

    /// The type of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = TABLE.iter().map(|(element, ..)| *element);
        all.find(|element| element.name() == name)
    }

    /// Bytes of a value once read.
    #[must_use]
    pub fn size(self) -> usize {
        match self.held() {
            Tensor(element) => element.bytes(),
            File(_, bytes) => bytes,
        }
    }

    /// Whether values are floating-point numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64) || self.is_eighth()
    }

    /// Whether values are floating-point numbers of 8 bits.
    #[must_use]
    pub fn is_eighth(self) -> bool {
        self.eighth().is_some()
    }

    /// The format of floating-point numbers of 8 bits.
    pub(super) fn eighth(self) -> Option<Eighth> {
        match self {
            Self::F8E4M3FN => Some(eighths::E4M3FN),
            Self::F8E4M3FNUZ => Some(eighths::E4M3FNUZ),
            Self::F8E5M2 => Some(eighths::E5M2),
            Self::F8E5M2FNUZ => Some(eighths::E5M2FNUZ),
            _ => None,
        }
    }

    /// The type of the engine's tensors that hold values of this one, a byte each; `None` where the engine has the type itself.
    #[must_use]
    pub fn stored(self) -> Option<Self> {
        match self {
            Self::I4 => Some(Self::I8),
            Self::U4 => Some(Self::U8),
            element if element.is_eighth() => Some(Self::U8),
            _ => None,
        }
    }

    /// Smallest and largest value of an integer type; those of i64 for floats.
    #[must_use]
    pub fn range(self) -> (i128, i128) {
        let signed = |bits: u32| (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1);
        let unsigned = |bits: u32| (0, (1_i128 << bits) - 1);
        match self {
            Self::Bool => (0, 1),
            Self::I4 => signed(4),
            Self::U4 => unsigned(4),
            Self::I8 => signed(8),
            Self::U8 => unsigned(8),
            Self::I16 => signed(16),
            Self::U16 => unsigned(16),
            Self::I32 => signed(32),
            Self::U32 => unsigned(32),
            Self::U64 => unsigned(64),
            _ => signed(64),
        }
    }

    /// The type of the engine's tensors; `None` where they have none.
    #[must_use]
    pub fn of_tensor(self) -> Option<tensor::Element> {
        match self.held() {
            Tensor(element) => Some(element),
            File(..) => None,
        }
    }

    /// Tract's type; `None` where the engine's tensors have none.
    #[must_use]
    pub fn datum(self) -> Option<DatumType> {
        self.of_tensor().map(tensor::Element::datum)
    }

    /// The type of tract's.
    #[must_use]
    pub fn of_datum(datum: DatumType) -> Option<Self> {
        let row = TABLE
            .iter()
            .find(|(element, ..)| element.datum() == Some(datum));
        row.map(|(element, ..)| *element)
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_row_of_its_own() {
        for (element, onnx, _) in TABLE {
            assert_eq!(Element::of_onnx(onnx as i32), Some(element));
            assert_eq!(Element::of_name(element.name()), Some(element));
            assert_eq!(element.onnx(), onnx as i32);
        }
        for element in tensor::Element::ALL {
            let own = Element::of_datum(element.datum()).map(Element::of_tensor);
            assert_eq!(own, Some(Some(element)));
        }
    }
}
