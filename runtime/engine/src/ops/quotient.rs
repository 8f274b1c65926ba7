//! Quotients of floats, which tract's own optimiser turns into products with a reciprocal: those are rounded twice, so that x / x is not
//! always 1.

use tract_onnx::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Div, Sqrt};
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_ndarray::Zip;

use crate::query::constant;
use crate::rounding::Rounding;

/// a / b, to which tract's rules for quotients do not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quotient;

impl BinMiniOp for Quotient {
    fn name(&self) -> &'static str {
        "Div"
    }

    fn result_datum_type(&self, a: DatumType, b: DatumType) -> TractResult<DatumType> {
        self.operating_datum_type(a, b)
    }

    fn is_commutative(&self) -> bool {
        false
    }

    fn eval_in_a(&self, a: &mut Tensor, b: &Tensor) -> TractResult<()> {
        let copy = a.clone();
        self.eval_out_of_place(a, &copy, b)
    }

    fn eval_out_of_place(&self, c: &mut Tensor, a: &Tensor, b: &Tensor) -> TractResult<()> {
        match c.datum_type() {
            DatumType::F32 => divide::<f32>(c, a, b),
            DatumType::F64 => divide::<f64>(c, a, b),
            DatumType::F16 => divide::<f16>(c, a, b),
            other => bail!("a quotient of {other:?}"),
        }
    }
}

fn divide<T: Datum + Copy + std::ops::Div<Output = T>>(
    c: &mut Tensor,
    a: &Tensor,
    b: &Tensor,
) -> TractResult<()> {
    let (a, b) = (a.to_plain_array_view::<T>()?, b.to_plain_array_view::<T>()?);
    let mut c = c.try_as_plain_ram_mut()?;
    let mut c = c.to_array_view_mut::<T>()?;
    Zip::from(&mut c)
        .and_broadcast(a)
        .and_broadcast(b)
        .for_each(|c, a, b| *c = *a / *b);
    Ok(())
}

/// Makes the quotients of a graph that a reciprocal would change into [`Quotient`].
pub(crate) fn keep_quotients(model: &mut TypedModel, rounding: Rounding) -> TractResult<()> {
    let mut kept = vec![];
    for node in model.nodes() {
        let Some(TypedBinOp(op, to)) = node.op_as::<TypedBinOp>() else {
            continue;
        };
        let (true, &[a, b]) = (op.is::<Div>(), &*node.inputs) else {
            continue;
        };
        let floats = model.outlet_fact(b)?.datum_type.is_float();
        if floats
            && !is_reciprocal(model, a)
            && !has_exact_reciprocal(model, b)
            && (rounding == Rounding::AsWritten || !is_part_of_norm(model, a, b))
        {
            kept.push((node.id, *to));
        }
    }
    for (id, to) in kept {
        model.node_mut(id).op = Box::new(TypedBinOp(Box::new(Quotient), to));
    }
    Ok(())
}

fn floats(model: &TypedModel, outlet: OutletId) -> Option<Vec<f64>> {
    let value = constant(model, outlet)?;
    let value = value.cast_to::<f64>().ok()?;
    Some(
        value
            .try_as_plain_ram()
            .ok()?
            .as_slice::<f64>()
            .ok()?
            .to_vec(),
    )
}

/// Whether a sum is divided by a number, or anything by a square root: a mean, or the last step of a norm, which fused norms round
/// otherwise, too.
fn is_part_of_norm(model: &TypedModel, a: OutletId, b: OutletId) -> bool {
    let sum = model.node(a.node).op_as::<Reduce>();
    let mean = sum.is_some_and(|op| op.reducer == Reducer::Sum) && constant(model, b).is_some();
    let divisor = model.node(b.node).op_as::<ElementWiseOp>();
    mean || divisor.is_some_and(|op| op.0.is::<Sqrt>())
}

/// Whether what is divided is 1.
fn is_reciprocal(model: &TypedModel, outlet: OutletId) -> bool {
    floats(model, outlet).is_some_and(|values| values.iter().all(|&value| value == 1.0))
}

/// Whether every divisor is a power of two, by whose reciprocal a product is the same.
fn has_exact_reciprocal(model: &TypedModel, outlet: OutletId) -> bool {
    let power = |value: &f64| {
        let exponent = libm::frexp(value.abs());
        exponent.0 == 0.5 && (-100..100).contains(&exponent.1)
    };
    floats(model, outlet).is_some_and(|values| values.iter().all(power))
}
