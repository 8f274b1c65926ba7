//! Reductions over neighbouring axes, and the softmax of the last one.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, Reduction, reduce, softmax};

use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Reduces axes that follow one another; they keep a length of 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reduce {
    op: Reduction,
    shape: TVec<usize>,
    /// Lengths of all axes before the reduced ones, and of those.
    sizes: [usize; 2],
}

impl Reduce {
    /// `None` where the axes do not follow one another, or there is nothing to reduce.
    pub(super) fn new(op: Reduction, axes: &[usize], input: &[usize]) -> Option<Self> {
        let (&first, &last) = (axes.first()?, axes.last()?);
        let together = axes.iter().copied().eq(first..=last) && last < input.len();
        if !together || input.contains(&0) {
            return None;
        }
        let mut shape: TVec<usize> = input.into();
        shape[first..=last].fill(1);
        let product = |axes: &[usize]| axes.iter().product();
        let sizes = [product(&input[..first]), product(&input[first..=last])];
        Some(Self { op, shape, sizes })
    }
}

impl Op for Reduce {
    fn name(&self) -> StaticName {
        format!("Reduce<{:?}>", self.op).into()
    }

    op_as_typed_op!();
}

eval_by_write!(Reduce);

impl Write for Reduce {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (x, out) = (inputs.values(0)?, output.into_values()?);
        reduce(Isa::detect(), self.op, x, self.sizes, out);
        Ok(())
    }
}

impl TypedOp for Reduce {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(&*self.shape)])
    }
}

/// Softmax of the last axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Softmax {
    width: usize,
}

impl Softmax {
    /// `None` where other axes than the last are summed over.
    pub(super) fn new(axes: &[usize], input: &[usize]) -> Option<Self> {
        let width = *input.last()?;
        (axes == [input.len() - 1] && width > 0).then_some(Self { width })
    }
}

impl Op for Softmax {
    fn name(&self) -> StaticName {
        "Softmax".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Softmax);

impl Write for Softmax {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (x, out) = (inputs.values(0)?, output.into_values()?);
        softmax(Isa::detect(), x, self.width, out);
        Ok(())
    }
}

impl TypedOp for Softmax {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}
