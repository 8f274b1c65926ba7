//! Operators that write into memory they are given, so that running a graph allocates nothing.
//!
//! [`Write`] is what a plan runs. The small operators take the place of tract's of the same meaning ([`replace`]) once a graph is
//! as it will run; the fused ones are made by [`crate::rewrite`] and [`crate::import`]. Each operator knows the trait only, and
//! this file knows each operator.
//!
//! # Adding an operator
//!
//! 1. A struct in a file of its own here, with everything that is known when a graph is loaded: shapes, axes, packed weights.
//!    `new` returns `None` for what it cannot do; such nodes stay with tract.
//! 2. `Op` (name), `TypedOp` (output type and shape, cost in multiply-accumulates), [`Write`] (the computation; every element of
//!    the output is written, nothing is allocated), and `eval_by_write!` for constants that are folded. An operator that does what
//!    several nodes of the graph said answers true to [`Write::is_fused`].
//! 3. A line in [`as_write`].
//! 4. Where it comes from: the place of one operator of tract ([`replace`]), a pattern of several nodes ([`crate::rewrite`]), or an
//!    ONNX operator that tract lacks or reads too narrowly ([`crate::import`]).
//! 5. Tests: the operator against plain arithmetic, with NaN, infinities, empty and one-element axes; a graph with it in
//!    `tests/`, by [`crate::Execution::Fused`] and by [`crate::Execution::Plain`].

mod attention;
mod bools;
mod cast;
mod compare;
mod conv;
mod elementwise;
mod float_weights;
mod fold;
mod format;
mod fours;
mod linear;
mod moves;
mod norm;
mod operands;
mod pool;
mod product;
mod quantise;
mod quotient;
mod reduce;
mod replace;
mod rotary;
mod scratch;
mod view;
mod walk;
mod winograd;
mod write;

use tract_onnx::tract_hir::internal::*;

pub(crate) use attention::{Attention, MaskKind};
pub(crate) use conv::{Conv, Geometry};
pub(crate) use float_weights::{FloatWeights, Order};
pub(crate) use fold::Fold;
pub(crate) use format::{Beside, Format};
pub(crate) use fours::FourBits;
pub(crate) use linear::Linear;
pub(crate) use moves::Reshape;
pub(crate) use norm::LayerNorm;
pub(crate) use operands::Operands;
pub(crate) use pool::MaxPool;
pub(crate) use quantise::{Dequantise, Params, Quantise};
pub(crate) use quotient::keep_quotients;
pub(crate) use replace::replace;
pub(crate) use rotary::Rotary;
pub(crate) use scratch::with_pool;
pub(crate) use view::{ViewMut, tensor_of, view_of};
pub(crate) use winograd::Winograd;
pub(crate) use write::{Inputs, Write};

/// The op as a plan runs it, where it is one of this folder.
pub(crate) fn as_write(op: &dyn TypedOp) -> Option<&dyn Write> {
    let kinds = [
        is::<Attention>,
        is::<Conv>,
        is::<Dequantise>,
        is::<Fold>,
        is::<FourBits>,
        is::<LayerNorm>,
        is::<Linear>,
        is::<MaxPool>,
        is::<Quantise>,
        is::<Rotary>,
        is::<Winograd>,
        is::<bools::Not>,
        is::<bools::Pairs>,
        is::<bools::Select>,
        is::<cast::Cast>,
        is::<compare::Compare>,
        is::<elementwise::Binary>,
        is::<elementwise::Scalar>,
        is::<elementwise::Unary>,
        is::<moves::Concat>,
        is::<moves::Gather>,
        is::<Reshape>,
        is::<moves::Strided>,
        is::<norm::RmsNorm>,
        is::<product::Product>,
        is::<reduce::Reduce>,
        is::<reduce::Softmax>,
    ];
    kinds.iter().find_map(|kind| kind(op))
}

fn is<O: Write>(op: &dyn TypedOp) -> Option<&dyn Write> {
    op.downcast_ref::<O>().map(|op| op as &dyn Write)
}

/// Whether an op does what several nodes of the graph said.
pub(crate) fn is_fused(op: &dyn TypedOp) -> bool {
    as_write(op).is_some_and(Write::is_fused)
}
