//! Scaled dot-product attention as one op, from the projections' tensors to the next projection's.

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Attention as Kernel, Head, Isa, attend};

use super::format::{Format, bytes, output_of};
use super::scratch;
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// `softmax(scale * q k^T + mask) v` over heads that lie side by side in the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) width: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) scale: f32,
    pub(crate) masked: bool,
    pub(crate) inputs: [Format; 3],
    pub(crate) output: Format,
    pub(crate) shape: TVec<usize>,
}

impl Eq for Attention {}

impl Op for Attention {
    fn name(&self) -> StaticName {
        "FusedAttention".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let Self {
            heads,
            width,
            queries,
            keys,
            ..
        } = self;
        Ok(vec![format!("{heads} heads of {width}, {queries}x{keys}")])
    }

    op_as_typed_op!();
}

eval_by_write!(Attention);

impl Write for Attention {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let head = |index: usize| -> TractResult<Head<'_>> {
            Ok(match self.inputs[index] {
                Format::Float => Head::Float(inputs.values(index)?),
                Format::Signed(q) | Format::Unsigned(q) => {
                    Head::Quantised(bytes(inputs.get(index)?)?, q)
                }
            })
        };
        let mask = match self.masked {
            true => Some(inputs.values::<f32>(3)?),
            false => None,
        };
        let attention = Kernel {
            q: head(0)?,
            k: head(1)?,
            v: head(2)?,
            heads: self.heads,
            width: self.width,
            queries: self.queries,
            keys: self.keys,
            scale: self.scale,
            mask,
        };
        let mut output = output_of(output, self.output)?;
        scratch::with(|scratch| attend(Isa::detect(), &attention, &mut output, &scratch.pool));
        Ok(())
    }

    fn is_fused(&self) -> bool {
        true
    }
}

impl TypedOp for Attention {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 3 + usize::from(self.masked));
        Ok(tvec![self.output.datum().fact(&*self.shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let macs = 2 * self.queries * self.keys * self.heads * self.width;
        Ok(tvec![(Cost::FMA(f32::datum_type()), macs.to_dim())])
    }
}
