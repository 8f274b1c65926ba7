//! Where the elements of a tensor lie after ops that move them, told by a step for each axis: without making the tensor.

use tract_onnx::tract_hir::internal::*;

/// Element `[i, j, ...]` is number `first + i * steps[0] + j * steps[1] + ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strided {
    pub(crate) shape: Vec<usize>,
    pub(crate) steps: Vec<usize>,
    pub(crate) first: usize,
}

impl Strided {
    /// A row-major tensor.
    pub(crate) fn of(shape: &[usize]) -> Self {
        let mut steps = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            steps[axis - 1] = steps[axis] * shape[axis];
        }
        Self {
            shape: shape.to_vec(),
            steps,
            first: 0,
        }
    }

    /// What an op makes of it; `None` where steps cannot tell.
    pub(crate) fn behind(mut self, op: &AxisOp) -> Option<Self> {
        match op {
            AxisOp::Add(axis) => {
                (*axis <= self.shape.len()).then_some(())?;
                self.shape.insert(*axis, 1);
                self.steps.insert(*axis, 0);
            }
            AxisOp::Rm(axis) => {
                (self.shape.get(*axis) == Some(&1)).then_some(())?;
                self.shape.remove(*axis);
                self.steps.remove(*axis);
            }
            AxisOp::Move(from, to) => {
                (*from < self.shape.len() && *to < self.shape.len()).then_some(())?;
                let (size, step) = (self.shape.remove(*from), self.steps.remove(*from));
                self.shape.insert(*to, size);
                self.steps.insert(*to, step);
            }
            AxisOp::Reshape(at, from, to) => {
                let to = to.iter().map(|dim| dim.to_usize().ok());
                let to: Vec<usize> = to.collect::<Option<_>>()?;
                let taken = *at..at.checked_add(from.len())?;
                let steps = resplit(
                    self.shape.get(taken.clone())?,
                    self.steps.get(taken.clone())?,
                    &to,
                )?;
                self.shape.splice(taken.clone(), to);
                self.steps.splice(taken, steps);
            }
        }
        Some(self)
    }

    /// Whether the elements are in their order.
    pub(crate) fn is_in_order(&self) -> bool {
        let wanted = Self::of(&self.shape);
        let axes = self.shape.iter().zip(self.steps.iter().zip(&wanted.steps));
        self.first == 0
            && axes
                .into_iter()
                .all(|(&size, (step, wanted))| size <= 1 || step == wanted)
    }
}

/// The steps of axes that are split and joined anew.
fn resplit(from: &[usize], steps: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let count = |axes: &[usize]| {
        axes.iter()
            .try_fold(1_usize, |all, &axis| all.checked_mul(axis))
    };
    if count(from)? != count(to)? || count(to)? == 0 {
        return None;
    }
    // Axes that lie one inside the other are one, from the outermost on.
    let mut joined: Vec<(usize, usize)> = vec![];
    for (&size, &step) in from.iter().zip(steps).filter(|(size, _)| **size > 1) {
        match joined.last_mut() {
            Some(last) if last.1 == size.checked_mul(step)? => *last = (last.0 * size, step),
            _ => joined.push((size, step)),
        }
    }
    // Each of these is split, from the innermost on.
    let mut found = vec![0; to.len()];
    let mut left = joined.pop();
    for (axis, &size) in to.iter().enumerate().rev().filter(|(_, size)| **size > 1) {
        let (whole, step) = left?;
        if whole % size != 0 {
            return None;
        }
        found[axis] = step;
        left = match whole / size {
            1 => joined.pop(),
            rest => Some((rest, step.checked_mul(size)?)),
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(view: &Strided) -> Vec<i64> {
        let count = view.shape.iter().product();
        (0..count)
            .map(|index: usize| {
                let (mut rest, mut at) = (index, view.first);
                for (size, step) in view.shape.iter().zip(&view.steps).rev() {
                    at += rest % size * step;
                    rest /= size;
                }
                i64::try_from(at).expect("a small number")
            })
            .collect()
    }

    fn dims(shape: &[usize]) -> TVec<TDim> {
        shape.iter().map(|size| size.to_dim()).collect()
    }

    #[test]
    fn joined_and_split_where_memory_allows() {
        let view = Strided::of(&[2, 6, 4]);
        let split = view
            .clone()
            .behind(&AxisOp::Reshape(1, dims(&[6]), dims(&[3, 2])));
        assert_eq!(split.map(|view| view.steps), Some(vec![24, 8, 4, 1]));
        let turned = view.behind(&AxisOp::Move(1, 2)).expect("a view");
        assert_eq!(turned.steps, [24, 1, 4]);
        assert!(!turned.is_in_order());
        assert_eq!(
            turned.behind(&AxisOp::Reshape(1, dims(&[4, 6]), dims(&[24]))),
            None
        );
    }

    proptest! {
        #[test]
        fn as_the_tensor_of_numbers(ops in prop::collection::vec((0_u8..5, 0_usize..4, 0_usize..4), 0..6)) {
            let shape = [2, 3, 4];
            let mut view = Strided::of(&shape);
            let mut tensor = Tensor::from_shape(&shape, &(0..24_i64).collect::<Vec<_>>()).expect("a tensor");
            for (kind, a, b) in ops {
                let rank = tensor.rank();
                let sizes = tensor.shape().to_vec();
                let op = match kind {
                    0 => AxisOp::Add(a.min(rank)),
                    1 if sizes.get(a) == Some(&1) => AxisOp::Rm(a),
                    2 if a < rank && b < rank => AxisOp::Move(a, b),
                    3 if a + 2 <= rank => AxisOp::Reshape(a, dims(&sizes[a..a + 2]), dims(&[sizes[a] * sizes[a + 1]])),
                    4 if a < rank && sizes[a].is_multiple_of(2) => AxisOp::Reshape(a, dims(&sizes[a..=a]), dims(&[2, sizes[a] / 2])),
                    _ => continue,
                };
                let Some(moved) = view.clone().behind(&op) else { break };
                op.change_tensor(&mut tensor, false).expect("an op that fits");
                view = moved;
                prop_assert_eq!(&*view.shape, tensor.shape());
                let plain = tensor.try_as_plain_ram().expect("numbers");
                prop_assert_eq!(&numbers(&view)[..], plain.as_slice::<i64>().expect("numbers"));
                let ordered = numbers(&view).iter().zip(0..).all(|(&number, at)| number == at);
                prop_assert_eq!(view.is_in_order(), ordered);
            }
        }
    }
}
