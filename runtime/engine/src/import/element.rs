//! Element types of ONNX tensors.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::DatumType;

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
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
}

/// Element type, ONNX number and name of each.
const TABLE: [(Element, DataType, &str); 15] = [
    (Element::Bool, DataType::Bool, "bool"),
    (Element::I4, DataType::Int4, "i4"),
    (Element::U4, DataType::Uint4, "u4"),
    (Element::I8, DataType::Int8, "i8"),
    (Element::U8, DataType::Uint8, "u8"),
    (Element::I16, DataType::Int16, "i16"),
    (Element::U16, DataType::Uint16, "u16"),
    (Element::I32, DataType::Int32, "i32"),
    (Element::U32, DataType::Uint32, "u32"),
    (Element::I64, DataType::Int64, "i64"),
    (Element::U64, DataType::Uint64, "u64"),
    (Element::F16, DataType::Float16, "f16"),
    (Element::BF16, DataType::Bfloat16, "bf16"),
    (Element::F32, DataType::Float, "f32"),
    (Element::F64, DataType::Double, "f64"),
];

impl Element {
    /// The type of an ONNX number; `None` for strings, 8-bit floats and whatever else cannot be computed with.
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

    /// As in `f32`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let row = TABLE.iter().find(|(element, ..)| *element == self);
        row.map_or("", |(.., name)| name)
    }

    /// The type of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let row = TABLE.iter().find(|(.., own)| *own == name);
        row.map(|(element, ..)| *element)
    }

    /// Bytes of a value once read.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I4 | Self::U4 | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// Whether values are floating-point numbers.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
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

    /// The engine's type; `None` where it has none.
    #[must_use]
    pub fn datum(self) -> Option<DatumType> {
        Some(match self {
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
            Self::I4 | Self::U4 | Self::BF16 => return None,
        })
    }

    /// The type of the engine's.
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
