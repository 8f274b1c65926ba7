//! Floats to 8 bits and back.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Bytes, Isa, Output, Quantisation, dequantise, quantise};

use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Scales and zero points of a tensor or of each index along an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Params {
    pub(crate) scales: Vec<f32>,
    /// As in the file: those of unsigned tensors count from 0.
    pub(crate) zero_points: Vec<i32>,
    pub(crate) axis: usize,
}

impl Eq for Params {}

impl Params {
    pub(crate) fn check(&self, fact: &TypedFact) -> TractResult<()> {
        let bad = self
            .scales
            .iter()
            .find(|scale| !(scale.is_normal() && **scale > 0.0));
        ensure!(
            bad.is_none(),
            "a scale of {} where only positive numbers make sense",
            bad.unwrap_or(&0.0)
        );
        let count = self.scales.len().max(self.zero_points.len());
        let fits = |len: usize| len == 1 || len == count;
        ensure!(
            fits(self.scales.len()) && fits(self.zero_points.len()),
            "scales and zero points of different lengths"
        );
        if count > 1 {
            let along = fact
                .shape
                .get(self.axis)
                .and_then(|dim| dim.to_usize().ok());
            ensure!(
                along == Some(count),
                "{count} scales along axis {} of {:?}",
                self.axis,
                fact.shape
            );
        }
        Ok(())
    }

    pub(crate) fn per_axis(&self) -> bool {
        self.scales.len() > 1 || self.zero_points.len() > 1
    }

    pub(crate) fn scale(&self, index: usize) -> f32 {
        self.scales[if self.scales.len() == 1 { 0 } else { index }]
    }

    pub(crate) fn zero_point(&self, index: usize) -> i32 {
        self.zero_points[if self.zero_points.len() == 1 {
            0
        } else {
            index
        }]
    }

    /// For the kernels, which count unsigned values from -128.
    pub(crate) fn quantisation(&self, index: usize, unsigned: bool) -> Quantisation {
        let shift = if unsigned { 128 } else { 0 };
        Quantisation {
            scale: self.scale(index),
            zero_point: self.zero_point(index) - shift,
        }
    }

    /// Calls `run` with the index along the axis and each stretch of values that share it.
    fn stretches(&self, shape: &[usize], mut run: impl FnMut(usize, std::ops::Range<usize>)) {
        let total: usize = shape.iter().product();
        let (count, inner) = if self.per_axis() {
            (
                shape[self.axis],
                shape[self.axis + 1..].iter().product::<usize>(),
            )
        } else {
            (1, total)
        };
        for (index, start) in (0..total).step_by(inner.max(1)).enumerate() {
            run(index % count.max(1), start..start + inner);
        }
    }
}

/// Floats to 8 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quantise {
    pub(crate) params: Params,
    pub(crate) unsigned: bool,
}

impl Op for Quantise {
    fn name(&self) -> StaticName {
        "Quantise".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Quantise);

impl Write for Quantise {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let input = inputs.get(0)?;
        let x = input.values::<f32>()?;
        let isa = Isa::detect();
        let q = |index| self.params.quantisation(index, self.unsigned);
        if self.unsigned {
            let out = output.into_values::<u8>()?;
            self.params.stretches(input.shape, |index, at| {
                let mut out = Output::Unsigned(&mut out[at.clone()], q(index));
                quantise(isa, &x[at], &mut out);
            });
            return Ok(());
        }
        let out = output.into_values::<i8>()?;
        self.params.stretches(input.shape, |index, at| {
            let mut out = Output::Signed(&mut out[at.clone()], q(index));
            quantise(isa, &x[at], &mut out);
        });
        Ok(())
    }
}

impl TypedOp for Quantise {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let datum = if self.unsigned {
            u8::datum_type()
        } else {
            i8::datum_type()
        };
        Ok(tvec![datum.fact(inputs[0].shape.clone())])
    }
}

/// Floats back from 8 bits, or from the 32 bits of a bias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dequantise {
    pub(crate) params: Params,
}

impl Op for Dequantise {
    fn name(&self) -> StaticName {
        "Dequantise".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Dequantise);

impl Write for Dequantise {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let input = inputs.get(0)?;
        let out = output.into_values::<f32>()?;
        let isa = Isa::detect();
        match input.datum {
            DatumType::U8 => {
                let bytes = input.values::<u8>()?;
                self.params.stretches(input.shape, |index, at| {
                    let q = self.params.quantisation(index, true);
                    dequantise(isa, Bytes::Unsigned(&bytes[at.clone()]), q, &mut out[at]);
                });
            }
            DatumType::I8 => {
                let bytes = input.values::<i8>()?;
                self.params.stretches(input.shape, |index, at| {
                    let q = self.params.quantisation(index, false);
                    dequantise(isa, Bytes::Signed(&bytes[at.clone()]), q, &mut out[at]);
                });
            }
            DatumType::I32 => {
                let whole = input.values::<i32>()?;
                self.params.stretches(input.shape, |index, at| {
                    let (scale, zero) = (self.params.scale(index), self.params.zero_point(index));
                    for (to, &from) in out[at.clone()].iter_mut().zip(&whole[at]) {
                        *to = from.wrapping_sub(zero) as f32 * scale;
                    }
                });
            }
            other => bail!("cannot dequantise {other:?}"),
        }
        Ok(())
    }
}

impl TypedOp for Dequantise {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}
