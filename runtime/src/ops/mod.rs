//! Operators that write into memory they are given, so that running a graph allocates nothing.
//!
//! [`Write`] is what the executor runs; the fused ops implement it too. Here are the small operators between them, which take the
//! place of the engine's of the same meaning ([`replace`]) once a graph is as it will run.

mod elementwise;
mod moves;
mod reduce;
mod replace;
mod view;
mod walk;

use tract_onnx::tract_hir::internal::*;

pub(crate) use replace::replace;
pub(crate) use view::{View, ViewMut};

/// An op with one output, whose shape is known when the graph is loaded.
pub(crate) trait Write: TypedOp {
    /// Computes the op. Every element of the output is written.
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()>;

    /// Whether the output is the input in another shape, so that nothing need be written.
    fn only_reshapes(&self) -> bool {
        false
    }
}

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
    pub(crate) fn values<T: view::Number>(&self, index: usize) -> TractResult<&'a [T]> {
        self.get(index)?.values()
    }
}

/// [`Write::write`] outside the executor, where constants are folded.
pub(crate) fn eval(op: &dyn Write, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
    let facts: Vec<TypedFact> = inputs
        .iter()
        .map(|tensor| TypedFact::dt_shape(tensor.datum_type(), tensor.shape()))
        .collect();
    let outputs = op.output_facts(&facts.iter().collect::<Vec<_>>())?;
    let fact = outputs.first().context("an op without an output")?;
    let shape = fact.shape.as_concrete().context("an open shape")?;
    let mut tensor = Tensor::zero_dt(fact.datum_type, shape)?;
    let of = |index: usize| View::of(inputs.get(index).context("an input is missing")?);
    op.write(&Inputs::new(&of), ViewMut::of(&mut tensor)?)?;
    Ok(tvec![tensor.into_tvalue()])
}

/// `EvalOp` of an op by its [`Write`].
macro_rules! eval_by_write {
    ($op:ty) => {
        impl EvalOp for $op {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                $crate::ops::eval(self, &inputs)
            }
        }
    };
}

pub(crate) use eval_by_write;

/// The op as the executor runs it, where it is one that can.
pub(crate) fn writer(op: &dyn TypedOp) -> Option<Box<dyn Write>> {
    let kinds = [
        as_writer::<elementwise::Unary>,
        as_writer::<elementwise::Binary>,
        as_writer::<moves::Concat>,
        as_writer::<moves::Gather>,
        as_writer::<moves::Reshape>,
        as_writer::<moves::Strided>,
        as_writer::<reduce::Reduce>,
        as_writer::<reduce::Softmax>,
    ];
    kinds
        .iter()
        .find_map(|kind| kind(op))
        .or_else(|| crate::fused::writer(op))
}

pub(crate) fn as_writer<O: Write + Clone>(op: &dyn TypedOp) -> Option<Box<dyn Write>> {
    Some(Box::new(op.downcast_ref::<O>()?.clone()))
}
