//! Operators that copy elements and compute nothing: slices, moved axes, broadcasts, concatenations, gathers.

use tract_onnx::tract_hir::internal::*;

use super::view::ViewMut;
use super::walk::{Walk, steps};
use super::write::{Inputs, Write, eval_by_write};

/// Copies elements that lie at other steps: a slice, a moved axis, a broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Strided {
    name: &'static str,
    datum: DatumType,
    shape: TVec<usize>,
    /// The first element that is read.
    start: usize,
    /// The output and the input.
    walk: Walk<2>,
}

impl Strided {
    fn new(
        name: &'static str,
        datum: DatumType,
        shape: &[usize],
        start: usize,
        steps_in: &[usize],
    ) -> Option<Self> {
        let walk = Walk::new(shape, [&steps(shape), steps_in])?;
        Some(Self {
            name,
            datum,
            shape: shape.into(),
            start,
            walk: walk.longest_inside(),
        })
    }

    /// Elements `range` along an axis.
    pub(super) fn slice(
        datum: DatumType,
        input: &[usize],
        axis: usize,
        range: std::ops::Range<usize>,
    ) -> Option<Self> {
        let steps = steps(input);
        let start = range.start * steps.get(axis)?;
        let mut shape: TVec<usize> = input.into();
        shape[axis] = range.len();
        Self::new("Slice", datum, &shape, start, &steps)
    }

    /// Axis `from` at place `to`.
    pub(super) fn move_axis(
        datum: DatumType,
        input: &[usize],
        from: usize,
        to: usize,
    ) -> Option<Self> {
        let mut axes: Vec<usize> = (0..input.len()).collect();
        if from.max(to) >= axes.len() {
            return None;
        }
        let axis = axes.remove(from);
        axes.insert(to, axis);
        let steps = steps(input);
        let shape: Vec<usize> = axes.iter().map(|&axis| input[axis]).collect();
        let steps: Vec<usize> = axes.iter().map(|&axis| steps[axis]).collect();
        Self::new("MoveAxis", datum, &shape, 0, &steps)
    }

    /// Axes of length 1, and such as are missing in front, repeated.
    pub(super) fn broadcast(datum: DatumType, input: &[usize], shape: &[usize]) -> Option<Self> {
        let missing = shape.len().checked_sub(input.len())?;
        let mut all = vec![0; missing];
        all.extend(steps(input));
        let fits = |(&from, &to): (&usize, &usize)| from == to || from == 1;
        let fit = input.iter().zip(&shape[missing..]).all(fits);
        Self::new("MultiBroadcastTo", datum, shape, 0, fit.then_some(&all)?)
    }

    /// Whether the output is the input in another shape.
    pub(super) fn is_in_order(&self) -> bool {
        let (_, steps) = self.walk.run();
        self.start == 0 && self.walk.is_one_run() && steps[0] == steps[1]
    }

    fn copy<const SIZE: usize>(&self, from: &[u8], to: &mut [u8]) {
        let (from, _) = from.as_chunks::<SIZE>();
        let (to, _) = to.as_chunks_mut::<SIZE>();
        let from = &from[self.start..];
        let (length, [step_to, step_from]) = self.walk.run();
        match [step_to, step_from] {
            [1, 1] => self.walk.each(|[to_at, from_at]| {
                to[to_at..][..length].copy_from_slice(&from[from_at..][..length]);
            }),
            [1, 0] => self
                .walk
                .each(|[to_at, from_at]| to[to_at..][..length].fill(from[from_at])),
            _ => self.walk.each(|[to_at, from_at]| {
                for index in 0..length {
                    to[to_at + index * step_to] = from[from_at + index * step_from];
                }
            }),
        }
    }
}

impl Op for Strided {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    op_as_typed_op!();
}

eval_by_write!(Strided);

impl Write for Strided {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let input = inputs.get(0)?;
        if output.bytes.is_empty() {
            return Ok(());
        }
        match self.datum.size_of() {
            1 => self.copy::<1>(input.bytes, output.bytes),
            2 => self.copy::<2>(input.bytes, output.bytes),
            4 => self.copy::<4>(input.bytes, output.bytes),
            8 => self.copy::<8>(input.bytes, output.bytes),
            size => bail!("elements of {size} bytes"),
        }
        Ok(())
    }
}

impl TypedOp for Strided {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.datum.fact(&*self.shape)])
    }
}

/// The same elements in another shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reshape {
    pub(crate) datum: DatumType,
    pub(crate) shape: TVec<usize>,
}

impl Op for Reshape {
    fn name(&self) -> StaticName {
        "Reshape".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Reshape);

impl Write for Reshape {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let input = inputs.get(0)?.bytes;
        ensure!(
            input.len() == output.bytes.len(),
            "a reshape to another size"
        );
        output.bytes.copy_from_slice(input);
        Ok(())
    }

    fn only_reshapes(&self) -> bool {
        true
    }
}

impl TypedOp for Reshape {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.datum.fact(&*self.shape)])
    }
}

/// Tensors one after the other along an axis.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Concat {
    datum: DatumType,
    shape: TVec<usize>,
    /// How many blocks of each input there are.
    outer: usize,
    /// Bytes of a block of each input.
    blocks: Vec<usize>,
}

impl Concat {
    pub(super) fn new(datum: DatumType, axis: usize, inputs: &[&[usize]]) -> Option<Self> {
        let mut shape: TVec<usize> = (*inputs.first()?).into();
        let lengths = inputs.iter().map(|input| input.get(axis).copied());
        *shape.get_mut(axis)? = lengths.sum::<Option<usize>>()?;
        let block = |input: &&[usize]| datum.size_of() * input[axis..].iter().product::<usize>();
        Some(Self {
            datum,
            outer: shape[..axis].iter().product(),
            blocks: inputs.iter().map(block).collect(),
            shape,
        })
    }
}

impl Op for Concat {
    fn name(&self) -> StaticName {
        "Concat".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Concat);

impl Write for Concat {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let all: usize = self.blocks.iter().sum();
        let mut before = 0;
        for (index, &block) in self.blocks.iter().enumerate() {
            let from = inputs.get(index)?.bytes;
            for at in 0..self.outer {
                output.bytes[at * all + before..][..block]
                    .copy_from_slice(&from[at * block..][..block]);
            }
            before += block;
        }
        Ok(())
    }
}

impl TypedOp for Concat {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.datum.fact(&*self.shape)])
    }
}

/// Entries of an axis by their numbers, the second input; negative ones count from the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Gather {
    datum: DatumType,
    shape: TVec<usize>,
    outer: usize,
    entries: usize,
    /// Bytes of an entry.
    block: usize,
}

impl Gather {
    pub(super) fn new(
        datum: DatumType,
        axis: usize,
        input: &[usize],
        indices: &[usize],
    ) -> Option<Self> {
        let entries = *input.get(axis)?;
        let (before, after) = (&input[..axis], &input[axis + 1..]);
        Some(Self {
            datum,
            shape: [before, indices, after].concat().into(),
            outer: before.iter().product(),
            entries,
            block: datum.size_of() * after.iter().product::<usize>(),
        })
    }

    fn entry(&self, index: i64) -> TractResult<usize> {
        let from_start = match index < 0 {
            true => i64::try_from(self.entries)? + index,
            false => index,
        };
        let entry = usize::try_from(from_start).ok();
        entry
            .filter(|&entry| entry < self.entries)
            .with_context(|| format!("entry {index} of {}", self.entries))
    }
}

impl Op for Gather {
    fn name(&self) -> StaticName {
        "Gather".into()
    }

    op_as_typed_op!();
}

eval_by_write!(Gather);

impl Write for Gather {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let bytes = inputs.get(0)?.bytes;
        let indices = inputs.values::<i64>(1)?;
        if self.block == 0 {
            return Ok(());
        }
        let mut blocks = output.bytes.chunks_exact_mut(self.block);
        for outer in 0..self.outer {
            for (&index, to) in indices.iter().zip(&mut blocks) {
                let entry = outer * self.entries + self.entry(index)?;
                to.copy_from_slice(&bytes[entry * self.block..][..self.block]);
            }
        }
        Ok(())
    }
}

impl TypedOp for Gather {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![self.datum.fact(&*self.shape)])
    }
}
