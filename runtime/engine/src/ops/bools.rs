//! Functions of truth values, and the choice of values by them. Inputs may broadcast.

use tract_onnx::tract_hir::internal::*;

use super::view::ViewMut;
use super::walk::{Walk, broadcast, steps};
use super::write::{Inputs, Write, eval_by_write};

/// A function of two truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
    Xor,
}

impl Logic {
    fn of(self, a: u8, b: u8) -> u8 {
        match self {
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
        }
    }
}

/// A [`Logic`] of each pair, for shapes that were known when the graph was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pairs {
    logic: Logic,
    shape: TVec<usize>,
    /// The output and both inputs.
    walk: Walk<3>,
}

impl Pairs {
    /// `None` where the shapes do not broadcast.
    pub(super) fn new(logic: Logic, a: &[usize], b: &[usize]) -> Option<Self> {
        let shape = broadcast(&[a, b])?;
        let walk = Walk::new(&shape, [&steps(&shape), &steps(a), &steps(b)])?;
        Some(Self { logic, shape, walk })
    }
}

impl Op for Pairs {
    fn name(&self) -> StaticName {
        format!("{:?}", self.logic).into()
    }

    op_as_typed_op!();
}

eval_by_write!(Pairs);

impl Write for Pairs {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (a, b) = (inputs.get(0)?.bytes, inputs.get(1)?.bytes);
        let out = output.bytes;
        if out.is_empty() {
            return Ok(());
        }
        let (length, [_, step_a, step_b]) = self.walk.run();
        self.walk.each(|[to, at_a, at_b]| {
            for (index, out) in out[to..to + length].iter_mut().enumerate() {
                *out = self
                    .logic
                    .of(a[at_a + index * step_a], b[at_b + index * step_b]);
            }
        });
        Ok(())
    }
}

impl TypedOp for Pairs {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![bool::datum_type().fact(&*self.shape)])
    }
}

/// The opposite of each truth value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Not;

impl Op for Not {
    fn name(&self) -> StaticName {
        "Not".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Not);

impl Write for Not {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        for (out, x) in output.bytes.iter_mut().zip(inputs.get(0)?.bytes) {
            *out = x ^ 1;
        }
        Ok(())
    }
}

impl TypedOp for Not {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![bool::datum_type().fact(inputs[0].shape.clone())])
    }
}

/// Of each pair of values the first where a truth value holds, else the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Select {
    datum: DatumType,
    shape: TVec<usize>,
    /// The output, the truth values, and both inputs.
    walk: Walk<4>,
}

impl Select {
    /// `None` where the shapes do not broadcast, or elements of this type have no size in bytes that is copied here.
    pub(super) fn new(
        datum: DatumType,
        condition: &[usize],
        a: &[usize],
        b: &[usize],
    ) -> Option<Self> {
        let shape = broadcast(&[condition, a, b])?;
        let all = [&steps(&shape), &steps(condition), &steps(a), &steps(b)];
        let walk = Walk::new(&shape, all.map(|steps| &**steps))?;
        Some(Self { datum, shape, walk })
    }

    fn select<const SIZE: usize>(&self, condition: &[u8], a: &[u8], b: &[u8], out: &mut [u8]) {
        let [a, b] = [a, b].map(|bytes| bytes.as_chunks::<SIZE>().0);
        let (out, _) = out.as_chunks_mut::<SIZE>();
        let (length, [_, step, step_a, step_b]) = self.walk.run();
        self.walk.each(|[to, at, at_a, at_b]| {
            for (index, out) in out[to..to + length].iter_mut().enumerate() {
                *out = match condition[at + index * step] {
                    0 => b[at_b + index * step_b],
                    _ => a[at_a + index * step_a],
                };
            }
        });
    }
}

impl Op for Select {
    fn name(&self) -> StaticName {
        "Where".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Select);

impl Write for Select {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let [condition, a, b] = [inputs.get(0)?, inputs.get(1)?, inputs.get(2)?].map(|v| v.bytes);
        let out = output.bytes;
        if out.is_empty() {
            return Ok(());
        }
        match self.datum.size_of() {
            1 => self.select::<1>(condition, a, b, out),
            2 => self.select::<2>(condition, a, b, out),
            4 => self.select::<4>(condition, a, b, out),
            8 => self.select::<8>(condition, a, b, out),
            size => bail!("elements of {size} bytes"),
        }
        Ok(())
    }
}

impl TypedOp for Select {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.datum.fact(&*self.shape)])
    }
}
