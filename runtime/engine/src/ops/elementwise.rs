//! Functions of one float and of two, which may broadcast.

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, Operand, binary, unary};

use super::view::ViewMut;
use super::walk::{Walk, broadcast, steps};
use super::write::{Inputs, Write, eval_by_write};

/// A function of each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unary(pub(super) wink_kernels::Unary);

impl Op for Unary {
    fn name(&self) -> StaticName {
        format!("{:?}", self.0).into()
    }

    op_as_typed_op!();
}

eval_by_write!(Unary);

impl Write for Unary {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        unary(
            Isa::detect(),
            self.0,
            inputs.values(0)?,
            output.into_values()?,
        );
        Ok(())
    }
}

impl TypedOp for Unary {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}

/// A function that there is no kernel for: it is seldom met, and on few values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Cosine.
    Cos,
    /// Sine.
    Sin,
    /// ln(1 + e^x).
    Softplus,
}

impl Scalar {
    fn of(self, x: f32) -> f32 {
        match self {
            Self::Cos => libm::cosf(x),
            Self::Sin => libm::sinf(x),
            // Without the overflow of e^x; NaN stays NaN, by the logarithm.
            Self::Softplus => {
                let positive = if x > 0.0 { x } else { 0.0 };
                positive + libm::log1pf(libm::expf(-x.abs()))
            }
        }
    }
}

impl Op for Scalar {
    fn name(&self) -> StaticName {
        format!("{self:?}").into()
    }

    op_as_typed_op!();
}

eval_by_write!(Scalar);

impl Write for Scalar {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let x = inputs.values::<f32>(0)?;
        for (out, &x) in output.into_values::<f32>()?.iter_mut().zip(x) {
            *out = self.of(x);
        }
        Ok(())
    }
}

impl TypedOp for Scalar {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}

/// A function of two values, for shapes that were known when the graph was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binary {
    op: wink_kernels::Binary,
    shape: TVec<usize>,
    /// The output and both inputs.
    walk: Walk<3>,
}

impl Binary {
    /// `None` where the shapes do not broadcast.
    pub(super) fn new(op: wink_kernels::Binary, a: &[usize], b: &[usize]) -> Option<Self> {
        let shape = broadcast(&[a, b])?;
        let walk = Walk::new(&shape, [&steps(&shape), &steps(a), &steps(b)])?;
        Some(Self { op, shape, walk })
    }
}

impl Op for Binary {
    fn name(&self) -> StaticName {
        format!("{:?}", self.op).into()
    }

    op_as_typed_op!();
}

eval_by_write!(Binary);

impl Write for Binary {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (a, b) = (inputs.values::<f32>(0)?, inputs.values::<f32>(1)?);
        let out = output.into_values::<f32>()?;
        if out.is_empty() {
            return Ok(());
        }
        let (length, [_, step_a, step_b]) = self.walk.run();
        let operand = |values, at: usize, step| match step {
            0 => Operand::One(<[f32]>::get(values, at).copied().unwrap_or(f32::NAN)),
            _ => Operand::Many(&values[at..at + length]),
        };
        self.walk.each(|[to, at_a, at_b]| {
            let (a, b) = (operand(a, at_a, step_a), operand(b, at_b, step_b));
            binary(self.op, a, b, &mut out[to..to + length]);
        });
        Ok(())
    }
}

impl TypedOp for Binary {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(&*self.shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        Ok(tvec![])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_neither_overflows_nor_loses_nan() {
        for (x, wanted) in [
            (-200.0, 0.0),
            (-1.0, 0.313_261_7),
            (0.0, std::f32::consts::LN_2),
            (20.0, 20.0),
            (200.0, 200.0),
            (f32::INFINITY, f32::INFINITY),
            (f32::NEG_INFINITY, 0.0),
        ] {
            let found = Scalar::Softplus.of(x);
            assert!(
                found == wanted || (found - wanted).abs() < 1e-6,
                "{x}: {found}"
            );
        }
        for op in [Scalar::Cos, Scalar::Sin, Scalar::Softplus] {
            assert!(op.of(f32::NAN).is_nan(), "{op:?}");
        }
    }
}
