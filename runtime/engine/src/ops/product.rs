//! The product of two tensors that are both computed: one side is packed anew in each run.

use std::sync::Arc;

use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::{Epilogue, FloatRows, Isa, Output, PackedFloats, Pool, Residual, float_product};

use super::scratch::{self, Scratch};
use super::view::ViewMut;
use super::walk::{Walk, steps};
use super::write::{Inputs, Write, eval_by_write};

/// An axis of the product with its steps in both inputs and the output, in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    length: usize,
    steps: [usize; 3],
}

/// `output = left x right` of floats, for each index of the axes that all three have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Product {
    isa: Isa,
    shape: TVec<usize>,
    /// Which of the inputs has the rows, and which the columns.
    inputs: [usize; 2],
    batches: Walk<3>,
    rows: Axis,
    depth: Axis,
    columns: Axis,
    /// Where each row begins, in the input or in its copy.
    offsets: Arc<Vec<u32>>,
    epilogue: Arc<Epilogue>,
}

impl Eq for Product {}

impl Product {
    /// `None` where it is no product of matrices, has no elements, or there is no kernel for floats on this machine.
    pub(super) fn new(op: &EinSum, shapes: [&[usize]; 2], output: &[usize]) -> Option<Self> {
        let isa = Isa::detect();
        if op.q_params.is_some() || isa == Isa::Scalar {
            return None;
        }
        let mut axes = Axes::of(op, shapes, output)?;
        // Rows of the output lie together.
        let last = |axes: &[Axis]| axes.iter().any(|axis| axis.steps[2] == 1);
        let inputs = if last(&axes.of_first) { [1, 0] } else { [0, 1] };
        let of_first = innermost(&mut axes.of_first, &mut axes.batches)?;
        let of_second = innermost(&mut axes.of_second, &mut axes.batches)?;
        let [rows, columns] = inputs.map(|input| [of_first, of_second][input]);
        let ordered = |axis: Axis| Axis {
            steps: [axis.steps[inputs[0]], axis.steps[inputs[1]], axis.steps[2]],
            ..axis
        };
        let [rows, columns, depth] = [rows, columns, one(&axes.depth)?].map(ordered);
        axes.batches
            .sort_by_key(|axis| std::cmp::Reverse(axis.steps[2]));
        let batches: Vec<Axis> = axes.batches.iter().copied().map(ordered).collect();
        let stride = match depth.steps[0] {
            0 | 1 => rows.steps[0],
            _ => depth.length,
        };
        let offsets: Result<Vec<u32>, _> = (0..rows.length)
            .map(|row| u32::try_from(row * stride))
            .collect();
        Some(Self {
            isa,
            shape: output.into(),
            inputs,
            batches: walk(&batches)?,
            rows,
            depth,
            columns,
            offsets: Arc::new(offsets.ok()?),
            epilogue: Arc::new(Epilogue::new(&vec![1.0; columns.length], None, None)),
        })
    }

    /// Whether rows are read where they lie.
    fn rows_lie_together(&self) -> bool {
        self.depth.steps[0] <= 1
    }

    /// Whether the output of one product lies together.
    fn output_lies_together(&self) -> bool {
        let (rows, columns) = (self.rows, self.columns);
        columns.steps[2] <= 1 && (rows.length == 1 || rows.steps[2] == columns.length)
    }

    fn one(&self, left: &[f32], weights: &PackedFloats, out: &mut [f32], pool: &Pool) {
        let rows = FloatRows {
            values: left,
            offsets: &self.offsets,
            segments: &[0],
        };
        let mut out = Output::Float(out);
        float_product(
            weights,
            rows,
            &self.epilogue,
            Residual::None,
            &mut out,
            pool,
        );
    }

    fn products(&self, left: &[f32], right: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        let Scratch {
            floats,
            panels,
            sums,
            pool,
            ..
        } = scratch;
        let (rows, depth, columns) = (self.rows, self.depth, self.columns);
        let weights = panels_of(panels, self.isa, depth.length, columns.length);
        let elements = rows.length * columns.length;
        let (count, steps) = self.batches.run();
        let mut packed = None;
        self.batches.each(|start| {
            for index in 0..count {
                let [l, r, o] = [0, 1, 2].map(|side| start[side] + index * steps[side]);
                if packed != Some(r) {
                    weights.fill(|_, k, n| right[r + k * depth.steps[1] + n * columns.steps[1]]);
                    packed = Some(r);
                }
                let left = match self.rows_lie_together() {
                    true => &left[l..],
                    false => {
                        floats.resize(rows.length * depth.length, 0.0);
                        let lines = floats.chunks_exact_mut(depth.length);
                        for (row, line) in lines.enumerate() {
                            let from = left[l + row * rows.steps[0]..].iter();
                            for (to, &from) in line.iter_mut().zip(from.step_by(depth.steps[0])) {
                                *to = from;
                            }
                        }
                        &floats[..]
                    }
                };
                if self.output_lies_together() {
                    self.one(left, weights, &mut out[o..o + elements], pool);
                    continue;
                }
                sums.resize(elements, 0.0);
                self.one(left, weights, sums, pool);
                for (row, line) in sums.chunks_exact(columns.length).enumerate() {
                    let to = out[o + row * rows.steps[2]..].iter_mut();
                    for (to, &from) in to.step_by(columns.steps[2].max(1)).zip(line) {
                        *to = from;
                    }
                }
            }
        });
    }
}

/// The panels of this size that were used before, or new ones.
fn panels_of(
    all: &mut Vec<PackedFloats>,
    isa: Isa,
    depth: usize,
    columns: usize,
) -> &mut PackedFloats {
    let fits = |panels: &PackedFloats| panels.segment() == depth && panels.columns() == columns;
    let at = all.iter().position(fits).unwrap_or_else(|| {
        all.push(PackedFloats::zeros(isa, 1, depth, columns));
        all.len() - 1
    });
    &mut all[at]
}

/// The axes of an einsum by which tensors have them. Axes of one index do not matter.
struct Axes {
    batches: Vec<Axis>,
    of_first: Vec<Axis>,
    of_second: Vec<Axis>,
    depth: Vec<Axis>,
}

impl Axes {
    fn of(op: &EinSum, [a, b]: [&[usize]; 2], output: &[usize]) -> Option<Self> {
        let shapes = [a, b, output];
        let all_steps = shapes.map(steps);
        let mut axes = Self {
            batches: vec![],
            of_first: vec![],
            of_second: vec![],
            depth: vec![],
        };
        for axis in op.axes.iter_all_axes() {
            let places = [&axis.inputs[0], &axis.inputs[1], &axis.outputs[0]];
            let mut found = Axis {
                length: 1,
                steps: [0; 3],
            };
            for (tensor, places) in places.into_iter().enumerate() {
                let at = match places[..] {
                    [] => continue,
                    [at] => at,
                    _ => return None,
                };
                let length = *shapes[tensor].get(at)?;
                found.length = match (found.length, length) {
                    (1, length) | (length, 1) => length,
                    (before, length) => (before == length).then_some(length)?,
                };
                found.steps[tensor] = all_steps[tensor][at];
            }
            match found.steps.map(|step| step > 0) {
                _ if found.length == 0 => return None,
                [false, false, false] => {}
                [true, true, true] => axes.batches.push(found),
                [true, false, true] => axes.of_first.push(found),
                [false, true, true] => axes.of_second.push(found),
                [true, true, false] => axes.depth.push(found),
                _ => return None,
            }
        }
        // An order in which axes that lie together stand together.
        axes.depth
            .sort_by_key(|axis| std::cmp::Reverse(axis.steps[0]));
        for group in [&mut axes.of_first, &mut axes.of_second] {
            group.sort_by_key(|axis| std::cmp::Reverse(axis.steps[2]));
        }
        Some(axes)
    }
}

fn walk(axes: &[Axis]) -> Option<Walk<3>> {
    let lengths: Vec<usize> = axes.iter().map(|axis| axis.length).collect();
    let steps = [0, 1, 2]
        .map(|tensor| -> Vec<usize> { axes.iter().map(|axis| axis.steps[tensor]).collect() });
    Walk::new(&lengths, [&steps[0], &steps[1], &steps[2]])
}

/// The one axis that the innermost of these are together; the others become axes of the batches.
fn innermost(axes: &mut Vec<Axis>, batches: &mut Vec<Axis>) -> Option<Axis> {
    loop {
        if let Some(axis) = one(axes) {
            return Some(axis);
        }
        if axes.is_empty() {
            return None;
        }
        batches.push(axes.remove(0));
    }
}

/// The one axis that these are together.
fn one(axes: &[Axis]) -> Option<Axis> {
    let walk = walk(axes)?;
    let (length, steps) = walk.run();
    walk.is_one_run().then_some(Axis { length, steps })
}

impl Op for Product {
    fn name(&self) -> StaticName {
        "MatMul".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        let (m, k, n) = (self.rows.length, self.depth.length, self.columns.length);
        let times = match self.batches.count() {
            1 => String::new(),
            count => format!("{count} times "),
        };
        Ok(vec![format!("{times}{m}x{k}x{n} by {}", self.isa.name())])
    }

    op_as_typed_op!();
}

eval_by_write!(Product);

impl Write for Product {
    fn write(&self, inputs: &Inputs<'_>, output: ViewMut<'_>) -> TractResult<()> {
        let (left, right) = (
            inputs.values(self.inputs[0])?,
            inputs.values(self.inputs[1])?,
        );
        let out = output.into_values()?;
        scratch::with(|scratch| self.products(left, right, out, scratch));
        Ok(())
    }
}

impl TypedOp for Product {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(inputs.len() == 2);
        Ok(tvec![f32::fact(&*self.shape)])
    }

    fn cost(&self, _: &[&TypedFact]) -> TractResult<TVec<(Cost, TDim)>> {
        let sizes = [self.rows, self.depth, self.columns].map(|axis| axis.length);
        let macs = self.batches.count() * sizes.iter().product::<usize>();
        Ok(tvec![(Cost::FMA(f32::datum_type()), macs.to_dim())])
    }
}
