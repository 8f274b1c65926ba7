//! Comparisons of pairs of numbers of one type, whose results are truth values. Inputs may broadcast.

use bytemuck::Pod;
use half::f16;
use tract_onnx::tract_core::ops::binary::BinMiniOp;
use tract_onnx::tract_core::ops::logic;
use tract_onnx::tract_hir::internal::*;

use super::view::ViewMut;
use super::walk::{Walk, broadcast, steps};
use super::write::{Inputs, Write, eval_by_write};
use crate::tensor::Element;

/// What is asked of a pair. A NaN is unequal to everything, and neither less nor greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The one that an operator of the standard makes.
    pub(super) fn named(operator: &str) -> Option<Self> {
        Some(match operator {
            "Equal" => Self::Equal,
            "Less" => Self::Less,
            "LessOrEqual" => Self::LessOrEqual,
            "Greater" => Self::Greater,
            "GreaterOrEqual" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The one that an op of tract makes.
    pub(super) fn of(op: &dyn BinMiniOp) -> Option<Self> {
        let kinds = [
            (op.is::<logic::CompEq>(), Self::Equal),
            (op.is::<logic::CompNE>(), Self::NotEqual),
            (op.is::<logic::CompLT>(), Self::Less),
            (op.is::<logic::CompLTE>(), Self::LessOrEqual),
            (op.is::<logic::CompGT>(), Self::Greater),
            (op.is::<logic::CompGTE>(), Self::GreaterOrEqual),
        ];
        kinds
            .into_iter()
            .find_map(|(is, comparison)| is.then_some(comparison))
    }

    fn function<T: PartialOrd>(self) -> fn(&T, &T) -> bool {
        match self {
            Self::Equal => T::eq,
            Self::NotEqual => T::ne,
            Self::Less => T::lt,
            Self::LessOrEqual => T::le,
            Self::Greater => T::gt,
            Self::GreaterOrEqual => T::ge,
        }
    }
}

/// A [`Comparison`] of each pair, for shapes that were known when the graph was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compare {
    comparison: Comparison,
    element: Element,
    shape: TVec<usize>,
    /// The output and both inputs.
    walk: Walk<3>,
}

impl Compare {
    /// `None` where the shapes do not broadcast.
    pub(super) fn new(
        comparison: Comparison,
        element: Element,
        a: &[usize],
        b: &[usize],
    ) -> Option<Self> {
        let rank = a.len().max(b.len());
        let [a, b] = [a, b].map(|shape| {
            let ones = std::iter::repeat_n(1, rank - shape.len());
            ones.chain(shape.iter().copied()).collect::<TVec<usize>>()
        });
        let shape = broadcast(&[&a, &b])?;
        let walk = Walk::new(&shape, [&steps(&shape), &steps(&a), &steps(&b)])?;
        Some(Self {
            comparison,
            element,
            shape,
            walk,
        })
    }

    /// Values are stored as `T` and compared as `N`.
    fn compare<T: Pod, N: PartialOrd>(
        &self,
        [a, b]: [&[u8]; 2],
        out: &mut [u8],
        of: impl Fn(T) -> N,
    ) -> TractResult<()> {
        let values = |bytes| {
            bytemuck::try_cast_slice::<u8, T>(bytes)
                .map_err(|error| format_err!("{} values: {error}", self.element))
        };
        let (a, b) = (values(a)?, values(b)?);
        let compare = self.comparison.function::<N>();
        let (length, [_, step_a, step_b]) = self.walk.run();
        self.walk.each(|[to, at_a, at_b]| {
            for (index, out) in out[to..to + length].iter_mut().enumerate() {
                let (a, b) = (a[at_a + index * step_a], b[at_b + index * step_b]);
                *out = u8::from(compare(&of(a), &of(b)));
            }
        });
        Ok(())
    }
}

impl Op for Compare {
    fn name(&self) -> StaticName {
        format!("{:?}", self.comparison).into()
    }

    op_as_typed_op!();
}

eval_by_write!(Compare);

impl Write for Compare {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let out = output.bytes;
        if out.is_empty() {
            return Ok(());
        }
        let pair = [inputs.get(0)?.bytes, inputs.get(1)?.bytes];
        match self.element {
            Element::Bool | Element::U8 => self.compare(pair, out, |v: u8| v),
            Element::I8 => self.compare(pair, out, |v: i8| v),
            Element::I16 => self.compare(pair, out, |v: i16| v),
            Element::U16 => self.compare(pair, out, |v: u16| v),
            Element::I32 => self.compare(pair, out, |v: i32| v),
            Element::U32 => self.compare(pair, out, |v: u32| v),
            Element::I64 => self.compare(pair, out, |v: i64| v),
            Element::U64 => self.compare(pair, out, |v: u64| v),
            Element::F16 => self.compare(pair, out, f16::from_bits),
            Element::F32 => self.compare(pair, out, |v: f32| v),
            Element::F64 => self.compare(pair, out, |v: f64| v),
        }
    }
}

impl TypedOp for Compare {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![bool::datum_type().fact(&*self.shape)])
    }
}
