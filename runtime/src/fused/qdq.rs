//! `QuantizeLinear` and `DequantizeLinear` as one node each, so that the patterns around them can be told and what is not
//! matched still runs at the speed of memory. (The engine's own import takes the per-axis form apart.)

use tract_onnx::model::OnnxOpRegister;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Bytes, Isa, Output, Quantisation, dequantise, quantise};

use crate::ops::{Inputs, ViewMut, Write, eval_by_write};

/// Replaces the engine's import of both.
pub(super) fn register(register: &mut OnnxOpRegister) {
    register.insert("QuantizeLinear", |_, node| import(node, true));
    register.insert("DequantizeLinear", |_, node| import(node, false));
}

fn import(node: &NodeProto, quantise: bool) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let blocks = node.get_attr_opt::<i64>("block_size")?.unwrap_or(0);
    ensure!(
        blocks == 0,
        "{}: blocked quantisation is not supported",
        node.op_type
    );
    let zero_point = node.input.get(2).is_some_and(|name| !name.is_empty());
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    Ok((
        expand(Import {
            quantise,
            zero_point,
            axis,
        }),
        vec![],
    ))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    quantise: bool,
    zero_point: bool,
    axis: i64,
}

impl Expansion for Import {
    fn name(&self) -> StaticName {
        if self.quantise {
            "QuantizeLinear".into()
        } else {
            "DequantizeLinear".into()
        }
    }

    /// Dequantised constants must not be folded before the rewrites have seen them.
    fn runs_out_of_plan(&self) -> bool {
        self.quantise
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2 + usize::from(self.zero_point))?;
        check_output_arity(outputs, 1)?;
        let quantised = if self.quantise {
            &outputs[0]
        } else {
            &inputs[0]
        };
        let real = if self.quantise {
            &inputs[0]
        } else {
            &outputs[0]
        };
        s.equals(&inputs[1].datum_type, f32::datum_type())?;
        s.equals(&real.datum_type, f32::datum_type())?;
        if self.zero_point {
            s.equals(&quantised.datum_type, &inputs[2].datum_type)?;
        } else if self.quantise {
            s.equals(&quantised.datum_type, u8::datum_type())?;
        }
        s.equals(&inputs[0].shape, &outputs[0].shape)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?.clone();
        let constant = |index: usize, what: &str| -> TractResult<Arc<Tensor>> {
            let fact = model.outlet_fact(inputs[index])?;
            fact.konst
                .clone()
                .with_context(|| format!("{what} must be a constant"))
        };
        let scale = constant(1, "the scale")?;
        let zero_point = if self.zero_point {
            constant(2, "the zero point")?
        } else if self.quantise {
            rctensor0(0_u8)
        } else {
            tensor0(0_i32)
                .cast_to_dt(fact.datum_type)?
                .into_owned()
                .into_arc_tensor()
        };
        let scales = scale.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        let zero_points = zero_point.cast_to::<i32>()?;
        let zero_points = zero_points.try_as_plain_ram()?.as_slice::<i32>()?.to_vec();
        let rank = fact.rank();
        let axis = if self.axis < 0 {
            self.axis + rank as i64
        } else {
            self.axis
        };
        let params = Params {
            scales,
            zero_points,
            axis: axis as usize,
        };
        params.check(&fact)?;
        if self.quantise {
            let unsigned = unsigned(zero_point.datum_type())?;
            return model.wire_node(prefix, Quantise { params, unsigned }, &[inputs[0]]);
        }
        let supported = [u8::datum_type(), i8::datum_type(), i32::datum_type()];
        ensure!(
            supported.contains(&fact.datum_type),
            "cannot dequantise {:?}",
            fact.datum_type
        );
        model.wire_node(prefix, Dequantise { params }, &[inputs[0]])
    }
}

fn unsigned(datum: DatumType) -> TractResult<bool> {
    match datum {
        DatumType::U8 => Ok(true),
        DatumType::I8 => Ok(false),
        other => bail!("cannot quantise to {other:?}: 8 bits only"),
    }
}

/// Scales and zero points of a tensor or of each index along an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Params {
    pub(super) scales: Vec<f32>,
    /// As in the file: those of unsigned tensors count from 0.
    pub(super) zero_points: Vec<i32>,
    pub(super) axis: usize,
}

impl Eq for Params {}

impl Params {
    fn check(&self, fact: &TypedFact) -> TractResult<()> {
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

    pub(super) fn per_axis(&self) -> bool {
        self.scales.len() > 1 || self.zero_points.len() > 1
    }

    pub(super) fn scale(&self, index: usize) -> f32 {
        self.scales[if self.scales.len() == 1 { 0 } else { index }]
    }

    pub(super) fn zero_point(&self, index: usize) -> i32 {
        self.zero_points[if self.zero_points.len() == 1 {
            0
        } else {
            index
        }]
    }

    /// For the kernels, which count unsigned values from -128.
    pub(super) fn quantisation(&self, index: usize, unsigned: bool) -> Quantisation {
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
pub(super) struct Quantise {
    pub(super) params: Params,
    pub(super) unsigned: bool,
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
pub(super) struct Dequantise {
    pub(super) params: Params,
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
