//! What every operator of this folder implements.

use tract_onnx::tract_core::dyn_clone;
use tract_onnx::tract_hir::internal::*;

use super::view::{ViewMut, view_of};
use crate::tensor::{Number, View};

/// An op with one output, whose shape is known when the graph is loaded.
pub(crate) trait Write: TypedOp {
    /// Computes the op. Every element of the output is written.
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()>;

    /// Whether the output is the input in another shape, so that nothing need be written.
    fn only_reshapes(&self) -> bool {
        false
    }

    /// Whether it does what several nodes of the graph said.
    fn is_fused(&self) -> bool {
        false
    }

    /// Packs weights that wait until nothing else holds them. `scratch` is a buffer to use.
    fn settle(&self, _scratch: &mut Vec<f32>) {}

    /// Bytes of the packed weights that it holds.
    fn weight_bytes(&self) -> usize {
        0
    }
}

dyn_clone::clone_trait_object!(Write);

/// The inputs of an op.
pub(crate) struct Inputs<'a> {
    of: &'a dyn Fn(usize) -> TractResult<View<'a>>,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(of: &'a dyn Fn(usize) -> TractResult<View<'a>>) -> Self {
        Self { of }
    }

    /// The input of this number.
    pub(crate) fn get(&self, index: usize) -> TractResult<View<'a>> {
        (self.of)(index)
    }

    /// Values of an input that is known to be of this type.
    pub(crate) fn values<T: Number>(&self, index: usize) -> TractResult<&'a [T]> {
        Ok(self.get(index)?.values()?)
    }
}

/// [`Write::write`] outside a plan, where constants are folded.
pub(crate) fn eval(op: &dyn Write, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
    let facts: Vec<TypedFact> = inputs
        .iter()
        .map(|tensor| TypedFact::dt_shape(tensor.datum_type(), tensor.shape()))
        .collect();
    let outputs = op.output_facts(&facts.iter().collect::<Vec<_>>())?;
    let fact = outputs.first().context("an op without an output")?;
    let shape = fact.shape.as_concrete().context("an open shape")?;
    let mut tensor = Tensor::zero_dt(fact.datum_type, shape)?;
    let of = |index: usize| view_of(inputs.get(index).context("an input is missing")?);
    op.write(&Inputs::new(&of), ViewMut::of(&mut tensor)?)?;
    Ok(tvec![tensor.into_tvalue()])
}

/// `EvalOp` of an op by its [`Write`].
macro_rules! eval_by_write {
    ($op:ty) => {
        impl EvalOp for $op {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                $crate::ops::write::eval(self, &inputs)
            }
        }
    };
}

pub(crate) use eval_by_write;
