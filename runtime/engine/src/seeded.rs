//! Inputs made from a seed, the same in any language.

use half::f16;
use serde::{Deserialize, Serialize};

use crate::import::GraphInfo;
use crate::tensor::{Element, Tensor, TensorError, View};

/// Fills `values` with Numerical Recipes' linear congruential generator, in -1 to 1.
pub fn fill(values: &mut [f32], seed: u32) {
    let mut x = seed;
    for value in values {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (x >> 8) as f32 / (1 << 23) as f32 - 1.0;
    }
}

/// An input of a graph with numbers made from its place among the inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeededInput {
    /// Name in the file.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: SeededValues,
}

/// The values of a [`SeededInput`]: floats from -1 to 1, integers from 0 to 15, which are small token ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs)]
pub enum SeededValues {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    /// As bits.
    F16(Vec<u16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl SeededInput {
    /// The inputs of a graph. The message names an input whose shape is open or whose type cannot be fed.
    pub(crate) fn all(info: &GraphInfo) -> Result<Vec<Self>, String> {
        let inputs = (1..).zip(&info.inputs).map(|(seed, input)| {
            let name = input.name.escape_debug();
            let closed = input
                .shape
                .iter()
                .map(|axis| axis.and_then(|axis| usize::try_from(axis).ok()));
            let Some(shape) = closed.collect::<Option<Vec<usize>>>() else {
                return Err(format!(
                    "input \"{name}\" has an open shape: fix it when exporting"
                ));
            };
            let Some(element) = Element::named(&input.element) else {
                let other = &input.element;
                return Err(format!("input \"{name}\" is {other}, which cannot be fed"));
            };
            let count = shape
                .iter()
                .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
                .filter(|&count| count <= MAX_VALUES);
            let Some(count) = count else {
                return Err(format!("input \"{name}\" is too large: {shape:?}"));
            };
            Ok(Self {
                name: input.name.clone(),
                values: SeededValues::new(element, count, seed),
                shape,
            })
        });
        inputs.collect()
    }

    /// The input as a tensor.
    ///
    /// # Errors
    /// When there is no memory for it, or the shape has another number of values.
    pub fn tensor(&self) -> Result<Tensor, TensorError> {
        let shape = &*self.shape;
        let view = match &self.values {
            SeededValues::Bool(values) => View::bools(shape, values),
            SeededValues::I8(values) => View::of(shape, values),
            SeededValues::U8(values) => View::of(shape, values),
            SeededValues::I16(values) => View::of(shape, values),
            SeededValues::U16(values) => View::of(shape, values),
            SeededValues::I32(values) => View::of(shape, values),
            SeededValues::U32(values) => View::of(shape, values),
            SeededValues::I64(values) => View::of(shape, values),
            SeededValues::U64(values) => View::of(shape, values),
            SeededValues::F16(bits) => View::of_half_bits(shape, bits),
            SeededValues::F32(values) => View::of(shape, values),
            SeededValues::F64(values) => View::of(shape, values),
        };
        Tensor::copy_of(view?)
    }
}

/// The largest input that is made.
const MAX_VALUES: usize = crate::budget::MAX_TENSOR_ELEMENTS;

impl SeededValues {
    fn new(element: Element, count: usize, seed: u32) -> Self {
        let mut floats = vec![0.0; count];
        fill(&mut floats, seed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let ids = || floats.iter().map(|value| ((value + 1.0) * 8.0) as u8);
        match element {
            Element::Bool => Self::Bool(ids().map(|id| id >= 8).collect()),
            Element::I8 => Self::I8(ids().map(u8::cast_signed).collect()),
            Element::U8 => Self::U8(ids().collect()),
            Element::I16 => Self::I16(ids().map(i16::from).collect()),
            Element::U16 => Self::U16(ids().map(u16::from).collect()),
            Element::I32 => Self::I32(ids().map(i32::from).collect()),
            Element::U32 => Self::U32(ids().map(u32::from).collect()),
            Element::I64 => Self::I64(ids().map(i64::from).collect()),
            Element::U64 => Self::U64(ids().map(u64::from).collect()),
            Element::F16 => {
                let bits = floats.iter().map(|&value| f16::from_f32(value).to_bits());
                Self::F16(bits.collect())
            }
            Element::F32 => Self::F32(floats),
            Element::F64 => Self::F64(floats.iter().copied().map(f64::from).collect()),
        }
    }
}
