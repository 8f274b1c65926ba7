//! ONNX Runtime's `MatMulNBits` with 4-bit weights, which stay packed. (Tract's own import rounds the scales to half precision
//! and makes a second product of the zero points.)

use std::sync::Arc;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::math::add;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;
use wink_kernels::{BLOCK, Four, Isa, PackedFours};

use super::general::{General, Imported};
use crate::ops::FourBits;

static GENERAL: General = General::of("MatMulNBits");

/// Replaces tract's import.
pub(super) fn register(register: &mut OnnxOpRegister) {
    GENERAL.replace(register, import);
}

fn import(ctx: &ParsingContext<'_>, node: &NodeProto) -> Imported {
    let (k, n): (usize, usize) = (node.get_attr("K")?, node.get_attr("N")?);
    let bits = node.get_attr_opt::<usize>("bits")?.unwrap_or(4);
    let block: usize = node.get_attr("block_size")?;
    let given = |index: usize| node.input.get(index).is_some_and(|name| !name.is_empty());
    let plain = bits == 4 && block == BLOCK && k.is_multiple_of(BLOCK) && !given(4);
    if !plain {
        return GENERAL.import(ctx, node);
    }
    // Inputs without a name are not counted.
    let zero_points = given(3).then_some(3);
    let bias = given(5).then(|| 3 + usize::from(given(3)));
    let import = Import {
        k,
        n,
        zero_points,
        bias,
    };
    Ok((expand(import), vec![]))
}

/// Positions are those of the inputs.
#[derive(Debug, Clone)]
struct Import {
    k: usize,
    n: usize,
    zero_points: Option<usize>,
    bias: Option<usize>,
}

impl Expansion for Import {
    fn name(&self) -> StaticName {
        "MatMulNBits".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        let n = self.n.to_dim();
        s.given(&inputs[0].rank, move |s, rank| {
            let rank = usize::try_from(rank)?;
            ensure!(rank > 0, "a product of a scalar");
            s.equals(&outputs[0].rank, rank as i64)?;
            for axis in 0..rank - 1 {
                s.equals(&outputs[0].shape[axis], &inputs[0].shape[axis])?;
            }
            s.equals(&outputs[0].shape[rank - 1], n.clone())
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let constant = |index: usize, what: &str| -> TractResult<Arc<Tensor>> {
            let fact = model.outlet_fact(inputs[index])?;
            fact.konst
                .clone()
                .with_context(|| format!("{what} must be constants"))
        };
        let zero_points = self
            .zero_points
            .map(|index| constant(index, "the zero points"));
        let op = FourBits {
            weights: Arc::new(self.pack(
                &*constant(1, "the weights")?,
                &*constant(2, "the scales")?,
                zero_points.transpose()?.as_deref(),
            )?),
        };
        let shape = model.outlet_fact(inputs[0])?.shape.clone();
        ensure!(
            shape.last() == Some(&self.k.to_dim()),
            "rows of {:?} values meet weights of {}",
            shape.last(),
            self.k
        );
        let product = model.wire_node(prefix, op, &[inputs[0]])?;
        match self.bias {
            None => Ok(product),
            Some(bias) => {
                let name = format!("{prefix}.bias");
                wire_with_rank_broadcast(name, model, add(), &[product[0], inputs[bias]])
            }
        }
    }
}

impl Import {
    fn pack(
        &self,
        weights: &Tensor,
        scales: &Tensor,
        zero_points: Option<&Tensor>,
    ) -> TractResult<PackedFours> {
        let (blocks, n) = (self.k / BLOCK, self.n);
        let weights = weights.try_as_plain_ram()?.as_slice::<u8>()?;
        let scales = scales.cast_to::<f32>()?;
        let scales = scales.try_as_plain_ram()?.as_slice::<f32>()?;
        let zero_points = zero_points
            .map(|zeros| -> TractResult<&[u8]> { zeros.try_as_plain_ram()?.as_slice() })
            .transpose()?;
        // A byte holds the zero points of two blocks; those of a column begin a new one.
        let zero_bytes = blocks.div_ceil(2);
        for (what, found, of_column) in [
            ("bytes of weights", Some(weights.len()), self.k / 2),
            ("scales", Some(scales.len()), blocks),
            (
                "bytes of zero points",
                zero_points.map(<[u8]>::len),
                zero_bytes,
            ),
        ] {
            let wanted = n.checked_mul(of_column);
            ensure!(
                found.is_none() || found == wanted,
                "{found:?} {what} instead of {n} times {of_column}"
            );
        }
        ensure!(
            scales.iter().all(|scale| scale.is_finite()),
            "a scale is not a finite number"
        );
        let half = |byte: u8, index: usize| byte >> (index % 2 * 4) & 15;
        let four = |b: usize, n: usize| Four {
            scale: scales[n * blocks + b],
            zero_point: zero_points.map_or(8, |zeros| half(zeros[n * zero_bytes + b / 2], b)),
        };
        let value = |k: usize, n: usize| half(weights[(n * self.k + k) / 2], k);
        Ok(PackedFours::pack(Isa::detect(), self.k, n, value, four))
    }
}
