//! Going through tensors whose elements lie in other orders, run by run, without allocating.

use tract_onnx::prelude::TVec;

/// More axes than any tensor that is gone through has, axes that lie together being one.
const MAX_AXES: usize = 8;

/// The steps of `N` tensors along common axes, in elements. Axes along which all of them lie together are merged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Walk<const N: usize> {
    outer: Vec<Axis<N>>,
    inner: Axis<N>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Axis<const N: usize> {
    length: usize,
    steps: [usize; N],
}

/// Steps of a row-major tensor; 0 along axes of one element, which thus broadcast.
pub(super) fn steps(shape: &[usize]) -> Vec<usize> {
    let mut step = 1;
    let mut steps: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&length| {
            let this = if length == 1 { 0 } else { step };
            step *= length;
            this
        })
        .collect();
    steps.reverse();
    steps
}

/// The shape that tensors of equal rank broadcast to; `None` where they do not.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Option<TVec<usize>> {
    let (first, others) = shapes.split_first()?;
    others.iter().try_fold(TVec::from(*first), |all, shape| {
        if all.len() != shape.len() {
            return None;
        }
        let axes = all.iter().zip(*shape);
        axes.map(|(&a, &b)| match (a, b) {
            (1, other) | (other, 1) => Some(other),
            (a, b) => (a == b).then_some(a),
        })
        .collect()
    })
}

impl<const N: usize> Walk<N> {
    /// `None` where too many axes are left after merging.
    pub(super) fn new(shape: &[usize], steps: [&[usize]; N]) -> Option<Self> {
        let mut axes: Vec<Axis<N>> = vec![];
        for (index, &length) in shape.iter().enumerate().filter(|(_, length)| **length != 1) {
            let axis = Axis {
                length,
                steps: steps.map(|steps| steps[index]),
            };
            match axes.last_mut() {
                Some(last) if (0..N).all(|n| last.steps[n] == axis.steps[n] * length) => {
                    last.length *= length;
                    last.steps = axis.steps;
                }
                _ => axes.push(axis),
            }
        }
        let one = Axis {
            length: 1,
            steps: [0; N],
        };
        let inner = axes.pop().unwrap_or(one);
        (axes.len() < MAX_AXES).then_some(Self { outer: axes, inner })
    }

    /// Goes through the longest axis innermost.
    pub(super) fn longest_inside(mut self) -> Self {
        if let Some(longest) = self.outer.iter_mut().max_by_key(|axis| axis.length)
            && longest.length > self.inner.length
        {
            std::mem::swap(longest, &mut self.inner);
        }
        self
    }

    /// How many elements a run has, and its steps.
    pub(super) fn run(&self) -> (usize, [usize; N]) {
        (self.inner.length, self.inner.steps)
    }

    /// How many runs there are, times their elements.
    pub(super) fn count(&self) -> usize {
        let outer: usize = self.outer.iter().map(|axis| axis.length).product();
        outer * self.inner.length
    }

    /// Whether it is one run.
    pub(super) fn is_one_run(&self) -> bool {
        self.outer.is_empty()
    }

    /// Calls `visit` with where each run starts in each tensor.
    #[inline(always)]
    pub(super) fn each(&self, mut visit: impl FnMut([usize; N])) {
        let mut at = [0; N];
        let mut counters = [0_usize; MAX_AXES];
        loop {
            visit(at);
            let mut axes = self.outer.iter().zip(&mut counters).rev();
            loop {
                let Some((axis, counter)) = axes.next() else {
                    return;
                };
                *counter += 1;
                if *counter < axis.length {
                    for (at, step) in at.iter_mut().zip(axis.steps) {
                        *at += step;
                    }
                    break;
                }
                *counter = 0;
                for (at, step) in at.iter_mut().zip(axis.steps) {
                    *at -= step * (axis.length - 1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(walk: &Walk<2>) -> Vec<[usize; 2]> {
        let mut all = vec![];
        walk.each(|at| all.push(at));
        all
    }

    #[test]
    fn axes_that_lie_together_are_one() {
        let shape = [2, 1, 3, 4];
        let own = steps(&shape);
        let walk = Walk::new(&shape, [&own, &own]).unwrap();
        assert_eq!(walk.run(), (24, [1, 1]));
        assert!(walk.is_one_run());
        let walk = Walk::new(&[], [&[], &[]]).unwrap();
        assert_eq!((walk.run(), starts(&walk)), ((1, [0, 0]), vec![[0, 0]]));
    }

    #[test]
    fn transposed_and_broadcast() {
        // 2 x 3 out of a transposed 3 x 2.
        let walk = Walk::new(&[2, 3], [&[3, 1], &[1, 2]]).unwrap();
        assert_eq!(
            (walk.run(), starts(&walk)),
            ((3, [1, 2]), vec![[0, 0], [3, 1]])
        );
        let walk = walk.longest_inside();
        assert_eq!(walk.run().0, 3);
        // A row of 3 to 2 rows.
        let walk = Walk::new(&[2, 3], [&[3, 1], &[0, 1]]).unwrap();
        assert_eq!(starts(&walk), [[0, 0], [3, 0]]);
        let walk = Walk::new(&[9, 3], [&[3, 1], &[1, 9]])
            .unwrap()
            .longest_inside();
        assert_eq!(
            (walk.run(), starts(&walk)),
            ((9, [3, 1]), vec![[0, 0], [1, 9], [2, 18]])
        );
    }

    #[test]
    fn every_start_of_three_axes() {
        let walk = Walk::new(&[2, 2, 2, 5], [&[20, 10, 5, 1], &[100, 0, 10, 1]]).unwrap();
        let wanted: Vec<[usize; 2]> = (0..2)
            .flat_map(|a| (0..2).flat_map(move |b| (0..2).map(move |c| [a, b, c])))
            .map(|[a, b, c]| [20 * a + 10 * b + 5 * c, 100 * a + 10 * c])
            .collect();
        assert_eq!(starts(&walk), wanted);
    }

    #[test]
    fn axes_of_one_broadcast() {
        let found = broadcast(&[&[2, 1, 1], &[1, 3, 1], &[2, 3, 4]]);
        assert_eq!(found.as_deref(), Some(&[2, 3, 4][..]));
        assert_eq!(broadcast(&[&[1, 0], &[5, 1]]).as_deref(), Some(&[5, 0][..]));
        assert_eq!(broadcast(&[&[2], &[3]]), None);
        assert_eq!(broadcast(&[&[2], &[1, 2]]), None);
    }

    #[test]
    fn too_many_axes() {
        let shape = [2; 10];
        let own = steps(&shape);
        let backwards: Vec<usize> = own.iter().rev().copied().collect();
        assert!(Walk::new(&shape, [&own, &backwards]).is_none());
    }
}
