//! Tensors of any element type, as they are read from a file, fed to a graph and compared.

use std::borrow::Cow;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;

use super::element::Element;

/// A tensor, row-major, in the byte order of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Value<'a> {
    /// Element type.
    pub element: Element,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// The values.
    pub bytes: Cow<'a, [u8]>,
}

/// Number of elements of a shape; `None` where it overflows.
#[must_use]
pub fn volume(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
}

impl<'a> Value<'a> {
    /// Borrowed bytes.
    #[must_use]
    pub fn borrowed(element: Element, shape: &[usize], bytes: &'a [u8]) -> Self {
        Self {
            element,
            shape: shape.to_vec(),
            bytes: Cow::Borrowed(bytes),
        }
    }

    /// The same with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        Value {
            element: self.element,
            shape: self.shape,
            bytes: Cow::Owned(self.bytes.into_owned()),
        }
    }

    /// The same without a copy.
    #[must_use]
    pub fn by_ref(&self) -> Value<'_> {
        Value::borrowed(self.element, &self.shape, &self.bytes)
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Floats rounded to `element`.
    #[must_use]
    pub fn of_floats(
        element: Element,
        shape: &[usize],
        values: impl Iterator<Item = f64>,
    ) -> Value<'static> {
        let mut bytes = Vec::new();
        match element {
            Element::F16 => {
                values.for_each(|v| bytes.extend(f16::from_f64(v).to_ne_bytes()));
            }
            Element::BF16 => {
                values.for_each(|v| bytes.extend(bf16::from_f64(v).to_ne_bytes()));
            }
            #[expect(clippy::cast_possible_truncation)]
            Element::F32 => values.for_each(|v| bytes.extend((v as f32).to_ne_bytes())),
            Element::F64 => values.for_each(|v| bytes.extend(v.to_ne_bytes())),
            element if element.is_eighth() => {
                return Self::of_eighths(element, shape, values, true);
            }
            integer => {
                #[expect(clippy::cast_possible_truncation)]
                let whole: Vec<i128> = values.map(|v| v as i128).collect();
                return Self::of_ints(integer, shape, whole.into_iter());
            }
        }
        Value {
            element,
            shape: shape.to_vec(),
            bytes: Cow::Owned(bytes),
        }
    }

    /// Floats rounded to 8 bits, with what is beyond the largest number as that, or as infinity or NaN.
    #[must_use]
    pub fn of_eighths(
        element: Element,
        shape: &[usize],
        values: impl Iterator<Item = f64>,
        saturates: bool,
    ) -> Value<'static> {
        let format = element.eighth();
        let code = |value| format.map_or(0, |format| format.code(value, saturates));
        Value {
            element,
            shape: shape.to_vec(),
            bytes: values.map(code).collect(),
        }
    }

    /// Integers, cut to the bits of `element` (for bools: whether they differ from 0).
    #[must_use]
    pub fn of_ints(
        element: Element,
        shape: &[usize],
        values: impl Iterator<Item = i128>,
    ) -> Value<'static> {
        if element.is_float() {
            #[expect(clippy::cast_precision_loss)]
            let floats: Vec<f64> = values.map(|v| v as f64).collect();
            return Self::of_floats(element, shape, floats.into_iter());
        }
        let mut bytes = Vec::new();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        match (element, element.size()) {
            (Element::Bool, _) => values.for_each(|v| bytes.push(u8::from(v != 0))),
            (Element::I4, _) => values.for_each(|v| bytes.push((((v as i8) << 4) >> 4) as u8)),
            (Element::U4, _) => values.for_each(|v| bytes.push(v as u8 & 15)),
            (_, 1) => values.for_each(|v| bytes.push(v as u8)),
            (_, 2) => values.for_each(|v| bytes.extend((v as u16).to_ne_bytes())),
            (_, 4) => values.for_each(|v| bytes.extend((v as u32).to_ne_bytes())),
            _ => values.for_each(|v| bytes.extend((v as u64).to_ne_bytes())),
        }
        Value {
            element,
            shape: shape.to_vec(),
            bytes: Cow::Owned(bytes),
        }
    }

    /// 64-bit integers.
    #[must_use]
    pub fn of_i64(shape: &[usize], values: &[i64]) -> Value<'static> {
        Self::of_ints(
            Element::I64,
            shape,
            values.iter().map(|&value| i128::from(value)),
        )
    }

    /// The values as floats; bools are 0 and 1.
    #[must_use]
    pub fn floats(&self) -> Vec<f64> {
        let bytes = &*self.bytes;
        match self.element {
            Element::F16 => each(bytes, |b| f16::from_ne_bytes(b).to_f64()),
            Element::BF16 => each(bytes, |b| bf16::from_ne_bytes(b).to_f64()),
            Element::F32 => each(bytes, |b| f64::from(f32::from_ne_bytes(b))),
            Element::F64 => each(bytes, f64::from_ne_bytes),
            #[expect(clippy::cast_precision_loss)]
            element => match element.eighth() {
                Some(format) => bytes.iter().map(|&code| format.read(code)).collect(),
                None => self.ints().into_iter().map(|v| v as f64).collect(),
            },
        }
    }

    /// The values as integers; floats are cut off.
    #[must_use]
    pub fn ints(&self) -> Vec<i128> {
        let bytes = &*self.bytes;
        match self.element {
            Element::Bool | Element::U4 | Element::U8 => {
                bytes.iter().map(|&b| i128::from(b)).collect()
            }
            Element::I4 | Element::I8 => each(bytes, |b| i128::from(i8::from_ne_bytes(b))),
            Element::I16 => each(bytes, |b| i128::from(i16::from_ne_bytes(b))),
            Element::U16 => each(bytes, |b| i128::from(u16::from_ne_bytes(b))),
            Element::I32 => each(bytes, |b| i128::from(i32::from_ne_bytes(b))),
            Element::U32 => each(bytes, |b| i128::from(u32::from_ne_bytes(b))),
            Element::I64 => each(bytes, |b| i128::from(i64::from_ne_bytes(b))),
            Element::U64 => each(bytes, |b| i128::from(u64::from_ne_bytes(b))),
            #[expect(clippy::cast_possible_truncation)]
            _ => self.floats().into_iter().map(|v| v as i128).collect(),
        }
    }

    /// The values as shapes and axes are given.
    #[must_use]
    pub fn i64s(&self) -> Vec<i64> {
        let narrow = |v: i128| i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX });
        self.ints().into_iter().map(narrow).collect()
    }

    /// Converted to another element type as ONNX's `Cast` does without saturation.
    #[must_use]
    pub fn cast(&self, to: Element) -> Value<'static> {
        if self.element == to {
            return self.clone().into_owned();
        }
        match (self.element, to) {
            // Weights are large: not by way of wider numbers.
            (Element::F16, Element::F32) => return self.widened(f16::from_ne_bytes),
            (Element::BF16, Element::F32) => return self.widened(bf16::from_ne_bytes),
            _ => {}
        }
        match (self.element.is_float(), to) {
            (true, Element::Bool) => {
                let values = self.floats().into_iter();
                Self::of_ints(to, &self.shape, values.map(|v| i128::from(v != 0.0)))
            }
            (true, to) if !to.is_float() => {
                let values = self.floats().into_iter();
                Self::of_ints(to, &self.shape, values.map(|v| float_to_int(v, to)))
            }
            (true, to) => Self::of_floats(to, &self.shape, self.floats().into_iter()),
            (false, to) if to.is_eighth() || matches!(to, Element::F16 | Element::BF16) => {
                Self::of_floats(to, &self.shape, self.floats().into_iter())
            }
            // Integers of 64 bits round once, straight to the target.
            #[expect(clippy::cast_precision_loss)]
            (false, Element::F32) => Self::of_floats(
                to,
                &self.shape,
                self.ints().into_iter().map(|v| f64::from(v as f32)),
            ),
            (false, to) => Self::of_ints(to, &self.shape, self.ints().into_iter()),
        }
    }

    /// Halves as f32.
    fn widened<H: Copy + Default>(&self, of: impl Fn([u8; 2]) -> H) -> Value<'static>
    where
        [H]: HalfFloatSliceExt,
    {
        const PART: usize = 1024;
        let (halves, _) = self.bytes.as_chunks::<2>();
        let mut bytes = Vec::with_capacity(halves.len() * 4);
        let (mut narrow, mut wide) = ([H::default(); PART], [0.0; PART]);
        for part in halves.chunks(PART) {
            let (narrow, wide) = (&mut narrow[..part.len()], &mut wide[..part.len()]);
            for (to, from) in narrow.iter_mut().zip(part) {
                *to = of(*from);
            }
            narrow.convert_to_f32_slice(wide);
            bytes.extend(wide.iter().flat_map(|value| value.to_ne_bytes()));
        }
        Value {
            element: Element::F32,
            shape: self.shape.clone(),
            bytes: bytes.into(),
        }
    }

    /// Reads a tensor whose data lies in the file. `None` where its type cannot be computed with or its data do not fit.
    #[must_use]
    pub fn of_proto(tensor: &TensorProto) -> Option<Value<'static>> {
        let element = Element::of_onnx(tensor.data_type)?;
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&axis| usize::try_from(axis).ok())
            .collect::<Option<_>>()?;
        let count = volume(&shape)?;
        let value = if tensor.raw_data.is_empty() {
            typed_data(tensor, element, &shape)
        } else {
            raw_data(element, &shape, &tensor.raw_data)
        };
        (value.len() == count).then_some(value)
    }

    /// As an initializer.
    #[must_use]
    pub fn to_proto(&self, name: &str) -> TensorProto {
        self.clone().into_proto(name.to_owned())
    }

    /// The same without a copy.
    #[must_use]
    pub fn into_proto(self, name: String) -> TensorProto {
        let dims = self.shape.iter().map(|&axis| axis as i64).collect();
        let bytes = match cfg!(target_endian = "little") {
            true => self.bytes.into_owned(),
            false => swapped(&self.bytes, self.element.size()),
        };
        TensorProto {
            name,
            data_type: self.element.onnx(),
            dims,
            raw_data: bytes,
            ..TensorProto::default()
        }
    }
}

fn swapped(bytes: &[u8], size: usize) -> Vec<u8> {
    let chunks = bytes.chunks(size);
    chunks
        .flat_map(|chunk| chunk.iter().rev().copied())
        .collect()
}

/// The integer whose low bits a float becomes. Out of range is the implementation's choice; x86's conversions are what exporters saw:
/// to 32 bits with a sign for what is narrower, to 64 bits for what is wider.
#[expect(clippy::cast_possible_truncation)]
pub(crate) fn float_to_int(v: f64, to: Element) -> i128 {
    let reach = |bits: i32| libm::exp2(f64::from(bits));
    let signed = |v: f64, bits: i32| match v.trunc() >= -reach(bits) && v.trunc() < reach(bits) {
        true => v.trunc() as i128,
        false => -(1_i128 << bits),
    };
    match to {
        Element::U64 if v >= reach(63) => signed(v - reach(63), 63) ^ (1 << 63),
        Element::U64 | Element::I64 | Element::U32 => signed(v, 63),
        _ => signed(v, 31),
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&chunk| read(chunk)).collect()
}

fn raw_data(element: Element, shape: &[usize], raw: &[u8]) -> Value<'static> {
    if matches!(element, Element::I4 | Element::U4) {
        return fours(element, shape, raw.iter().copied());
    }
    let bytes = match cfg!(target_endian = "little") {
        true => raw.to_vec(),
        false => swapped(raw, element.size()),
    };
    Value {
        element,
        shape: shape.to_vec(),
        bytes: Cow::Owned(bytes),
    }
}

/// Two values in a byte, the low half first.
fn fours(element: Element, shape: &[usize], packed: impl Iterator<Item = u8>) -> Value<'static> {
    let count = volume(shape).unwrap_or(0);
    let halves = packed.flat_map(|byte| [byte & 15, byte >> 4]);
    Value::of_ints(element, shape, halves.take(count).map(i128::from))
}

fn typed_data(tensor: &TensorProto, element: Element, shape: &[usize]) -> Value<'static> {
    let small = || tensor.int32_data.iter().map(|&v| i128::from(v));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    match element {
        Element::F32 => Value::of_floats(
            element,
            shape,
            tensor.float_data.iter().map(|&v| f64::from(v)),
        ),
        Element::F64 => Value::of_floats(element, shape, tensor.double_data.iter().copied()),
        Element::I64 => Value::of_i64(shape, &tensor.int64_data),
        Element::U32 | Element::U64 => match tensor.uint64_data.is_empty() {
            false => {
                let values = tensor.uint64_data.iter();
                Value::of_ints(element, shape, values.map(|&v| i128::from(v)))
            }
            true if element == Element::U64 => {
                let values = tensor.int64_data.iter();
                Value::of_ints(element, shape, values.map(|&v| i128::from(v)))
            }
            true => Value::of_ints(element, shape, small()),
        },
        Element::F16 | Element::BF16 => {
            let halves = tensor.int32_data.iter();
            Value {
                element,
                shape: shape.to_vec(),
                bytes: halves.flat_map(|&v| (v as u16).to_ne_bytes()).collect(),
            }
        }
        Element::I4 | Element::U4 => {
            fours(element, shape, tensor.int32_data.iter().map(|&v| v as u8))
        }
        _ => Value::of_ints(element, shape, small()),
    }
}

/// Whether a tensor's numbers lie in a field that an exporter may use for its type.
#[must_use]
pub fn stored_elements(tensor: &TensorProto) -> usize {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => tensor.float_data.len(),
        Ok(DataType::Double) => tensor.double_data.len(),
        Ok(DataType::Int64) => tensor.int64_data.len(),
        Ok(DataType::Uint32) => tensor.uint64_data.len().max(tensor.int32_data.len()),
        Ok(DataType::Uint64) => tensor.uint64_data.len().max(tensor.int64_data.len()),
        Ok(DataType::String) => tensor.string_data.len(),
        _ => tensor.int32_data.len(),
    }
}
