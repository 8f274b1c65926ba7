//! Values of one element type as those of another.

use bytemuck::{Pod, bytes_of, pod_read_unaligned};
use half::f16;
use tract_onnx::tract_hir::internal::*;

use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};
use crate::import;
use crate::tensor::Element;

/// Casts its first input as ONNX Runtime does on x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) from: Element,
    pub(super) to: Element,
}

impl Op for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Cast);

impl Write for Cast {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        self.convert(inputs.get(0)?.bytes, output.bytes);
        Ok(())
    }
}

impl TypedOp for Cast {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.to.datum().fact(inputs[0].shape.clone())])
    }
}

/// Runs `$body` with `$T` as the type of a number other than a bool or one of half precision.
macro_rules! with_type {
    ($element:expr, $T:ident => $body:expr, else $other:expr) => {
        match $element {
            Element::I8 => with_type!($T = i8, $body),
            Element::U8 => with_type!($T = u8, $body),
            Element::I16 => with_type!($T = i16, $body),
            Element::U16 => with_type!($T = u16, $body),
            Element::I32 => with_type!($T = i32, $body),
            Element::U32 => with_type!($T = u32, $body),
            Element::I64 => with_type!($T = i64, $body),
            Element::U64 => with_type!($T = u64, $body),
            Element::F32 => with_type!($T = f32, $body),
            Element::F64 => with_type!($T = f64, $body),
            Element::Bool | Element::F16 => $other,
        }
    };
    ($T:ident = $type:ty, $body:expr) => {{
        type $T = $type;
        $body
    }};
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)]
impl Cast {
    #[allow(clippy::cast_lossless, clippy::unnecessary_cast)]
    fn convert(self, from: &[u8], to: &mut [u8]) {
        let half = |bits: u16| f16::from_bits(bits);
        let whole = |to: Element| {
            let to = import::Element::of_datum(to.datum()).unwrap_or(import::Element::I64);
            move |v: f64| import::float_to_int(v, to)
        };
        match (self.from, self.to) {
            (a, b) if a == b => to.copy_from_slice(from),
            (Element::Bool, Element::F16) => {
                each(from, to, |v: u8| f16::from_f32(f32::from(v)).to_bits());
            }
            (Element::Bool, b) => with_type!(b, B => each(from, to, |v: u8| v as B), else ()),
            (Element::F16, Element::Bool) => {
                each(from, to, |v| u8::from(half(v) != f16::ZERO));
            }
            (a, Element::Bool) => {
                with_type!(a, A => each(from, to, |v: A| u8::from(v != A::default())), else ());
            }
            (Element::F16, Element::F32) => each(from, to, |v| half(v).to_f32()),
            (Element::F16, Element::F64) => each(from, to, |v| half(v).to_f64()),
            (Element::F16, b) => {
                let whole = whole(b);
                with_type!(b, B => each(from, to, |v| whole(half(v).to_f64()) as B), else ());
            }
            (Element::F32, Element::F16) => {
                each(from, to, |v| f16::from_f32(v).to_bits());
            }
            (a, Element::F16) => {
                with_type!(a, A => each(from, to, |v: A| f16::from_f64(v as f64).to_bits()), else ());
            }
            (Element::F32, Element::F64) => each(from, to, |v: f32| f64::from(v)),
            (Element::F64, Element::F32) => each(from, to, |v: f64| v as f32),
            (Element::F32, b) => {
                let whole = whole(b);
                with_type!(b, B => each(from, to, |v: f32| whole(f64::from(v)) as B), else ());
            }
            (Element::F64, b) => {
                let whole = whole(b);
                with_type!(b, B => each(from, to, |v: f64| whole(v) as B), else ());
            }
            (a, b) => with_type!(a, A => with_type!(b, B => {
                each(from, to, |v: A| v as B);
            }, else ()), else ()),
        }
    }
}

fn each<A: Pod, B: Pod>(from: &[u8], to: &mut [u8], of: impl Fn(A) -> B) {
    let values = from.chunks_exact(size_of::<A>());
    for (to, value) in to.chunks_exact_mut(size_of::<B>()).zip(values) {
        to.copy_from_slice(bytes_of(&of(pod_read_unaligned(value))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at the ends of ranges and between them, in bytes of a type.
    fn values(element: import::Element) -> import::Value<'static> {
        if element.is_float() {
            let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e10, 1e20];
            let plain = (-600..600).map(|v| f64::from(v) * 0.3);
            let all: Vec<f64> = special.into_iter().chain(plain).collect();
            return import::Value::of_floats(element, &[all.len()], all.into_iter());
        }
        let (low, high) = element.range();
        let near = |v: i128| (-3..4).map(move |step| v + step);
        let all: Vec<i128> = [low, 0, 1 << 24, 1 << 53, high]
            .into_iter()
            .flat_map(near)
            .collect();
        let all: Vec<i128> = all
            .into_iter()
            .filter(|v| (low..=high).contains(v))
            .collect();
        import::Value::of_ints(element, &[all.len()], all.into_iter())
    }

    #[test]
    fn each_pair_of_types_is_cast_as_the_operator_of_the_standard_is() {
        for from in Element::ALL {
            for to in Element::ALL {
                let [a, b] = [from, to].map(|e| import::Element::of_datum(e.datum()).unwrap());
                let given = values(a);
                let wanted = given.cast(b);
                let mut found = vec![0; given.len() * to.bytes()];
                Cast { from, to }.convert(&given.bytes, &mut found);
                let found = import::Value::borrowed(b, &given.shape, &found);
                if to == Element::F16 || to == Element::F32 || to == Element::F64 {
                    let bits = |value: &import::Value<'_>| -> Vec<u64> {
                        let floats = value.floats().into_iter();
                        floats
                            .map(|v| if v.is_nan() { 0 } else { v.to_bits() })
                            .collect()
                    };
                    assert_eq!(bits(&found), bits(&wanted), "{from} to {to}");
                } else {
                    assert_eq!(found.ints(), wanted.ints(), "{from} to {to}");
                }
            }
        }
    }
}
