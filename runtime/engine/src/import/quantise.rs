//! `QuantizeLinear` and `DequantizeLinear` as one node each, so that the patterns around them can be told and what is not
//! matched still runs at the speed of memory. (Tract's own import takes the per-axis form apart.)

use tract_onnx::model::OnnxOpRegister;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::ops::{Dequantise, Params, Quantise};

/// Replaces tract's import of both.
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
