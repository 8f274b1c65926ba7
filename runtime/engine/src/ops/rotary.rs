//! Rotary position embeddings: both halves of the last axis, turned by the angles of their rows.

use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Isa, rotate};

use super::view::ViewMut;
use super::write::{Inputs, Write, eval_by_write};

/// Inputs: the tensor, and the cosines and sines of its rows' angles, half as wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rotary {
    width: usize,
    /// Rows that have angles of their own, and how often each comes one after the other.
    rows: [usize; 2],
}

impl Rotary {
    /// For a tensor and angles of these shapes; `None` where the angles are not those of one axis or of neighbouring axes.
    pub(crate) fn new(shape: &[usize], angles: &[usize]) -> Option<Self> {
        let (&width, outer) = shape.split_last()?;
        let (&half, own) = angles.split_last()?;
        let fits = own.len() == outer.len() && half * 2 == width && width > 0;
        let pairs = || own.iter().zip(outer);
        let broadcast = pairs().all(|(&own, &axis)| own == 1 || own == axis);
        (fits && broadcast).then_some(())?;
        let mut rows = [1, 1];
        for (&own, &axis) in pairs().skip_while(|(own, _)| **own == 1) {
            match (own == axis, rows[1]) {
                (true, 1) => rows[0] *= axis,
                // Repeated, then told apart again.
                (true, _) => return None,
                (false, _) => rows[1] *= axis,
            }
        }
        Some(Self { width, rows })
    }
}

impl Op for Rotary {
    fn name(&self) -> StaticName {
        "FusedRotary".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Rotary);

impl Write for Rotary {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let angles = [inputs.values(1)?, inputs.values(2)?];
        let out = output.into_values()?;
        rotate(
            Isa::detect(),
            inputs.values(0)?,
            self.width,
            angles,
            self.rows[1],
            out,
        );
        Ok(())
    }

    fn is_fused(&self) -> bool {
        true
    }
}

impl TypedOp for Rotary {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![f32::datum_type().fact(inputs[0].shape.clone())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_those_of_neighbouring_axes() {
        let of = |shape: &[usize], angles: &[usize]| Rotary::new(shape, angles).map(|op| op.rows);
        assert_eq!(of(&[1, 15, 7, 64], &[1, 1, 7, 32]), Some([7, 1]));
        assert_eq!(of(&[1, 7, 15, 64], &[1, 7, 1, 32]), Some([7, 15]));
        assert_eq!(of(&[2, 7, 15, 64], &[1, 7, 15, 32]), Some([105, 1]));
        assert_eq!(of(&[2, 7, 64], &[1, 1, 32]), Some([1, 1]));
        assert_eq!(of(&[2, 7, 3, 64], &[2, 1, 3, 32]), None);
        assert_eq!(of(&[2, 7, 64], &[1, 7, 16]), None);
        assert_eq!(of(&[2, 7, 64], &[7, 32]), None);
    }
}
