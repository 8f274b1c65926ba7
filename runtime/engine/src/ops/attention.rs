//! Scaled dot-product attention as one op, from the projections' tensors to the next projection's.

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Attention as Kernel, Head, Isa, Layout, Mask, attend};

use super::format::{Format, bytes, output_of};
use super::scratch;
use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// What a fourth input does to the scores: see [`Mask`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MaskKind {
    /// Floats that are added.
    Added,
    /// Bools: a score stays where they are `keep`, and becomes `otherwise` elsewhere.
    Kept { keep: bool, otherwise: f32 },
}

/// `softmax(mask(scale * q k^T)) v`; the heads of the output lie side by side in the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    /// Heads of keys and values.
    pub(crate) shared_heads: usize,
    pub(crate) width: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// Where queries, keys and values lie in their tensors.
    pub(crate) layouts: [Layout; 3],
    /// Pictures, each with heads of its own that lie so many values apart; they share the mask.
    pub(crate) batches: usize,
    pub(crate) batch_steps: [usize; 3],
    pub(crate) scale: f32,
    pub(crate) mask: Option<MaskKind>,
    /// Whether weights that are NaN count as 0.
    pub(crate) zero_for_nan: bool,
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
            shared_heads,
            width,
            queries,
            keys,
            ..
        } = self;
        let shared = match shared_heads == heads {
            true => String::new(),
            false => format!(" ({shared_heads} of keys)"),
        };
        let times = match self.batches {
            1 => String::new(),
            batches => format!("{batches} times "),
        };
        Ok(vec![format!(
            "{times}{heads} heads{shared} of {width}, {queries}x{keys}"
        )])
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
        let mask = match self.mask {
            None => None,
            Some(MaskKind::Added) => Some(Mask::Added(inputs.values(3)?)),
            Some(MaskKind::Kept { keep, otherwise }) => Some(Mask::Kept {
                values: inputs.get(3)?.to_bools()?,
                keep,
                otherwise,
            }),
        };
        let mut attention = Kernel {
            q: head(0)?,
            k: head(1)?,
            v: head(2)?,
            layouts: self.layouts,
            heads: self.heads,
            shared_heads: self.shared_heads,
            width: self.width,
            queries: self.queries,
            keys: self.keys,
            scale: self.scale,
            mask,
            zero_for_nan: self.zero_for_nan,
        };
        let mut output = output_of(output, self.output)?;
        let picture = self.queries * self.heads * self.width;
        for index in 0..self.batches {
            for (layout, step) in attention.layouts.iter_mut().zip(self.batch_steps) {
                layout.first += if index == 0 { 0 } else { step };
            }
            let mut output = output.part(index * picture..(index + 1) * picture);
            scratch::with(|scratch| attend(Isa::detect(), &attention, &mut output, &scratch.pool));
        }
        Ok(())
    }

    fn is_fused(&self) -> bool {
        true
    }
}

impl TypedOp for Attention {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 3 + usize::from(self.mask.is_some()));
        Ok(tvec![self.output.datum().fact(&*self.shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let macs = 2 * self.batches * self.queries * self.keys * self.heads * self.width;
        Ok(tvec![(Cost::FMA(f32::datum_type()), macs.to_dim())])
    }
}
