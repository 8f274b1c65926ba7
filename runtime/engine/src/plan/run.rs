//! Running the steps of a program.

use std::sync::Arc;
use std::time::Instant;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

use super::buffers::Buffer;
use super::profile::OpTime;
use super::program::{Place, Program, Step};
use crate::ops::{Inputs, View, ViewMut, Write};

/// A thread's tensors of one program.
#[derive(Debug)]
pub(crate) struct Memory {
    buffers: Vec<Buffer>,
    /// What tract made, by the number of the value.
    held: Vec<Option<TValue>>,
    /// Whether what hangs on steady inputs only is as it should be.
    up_to_date: bool,
    tract: Option<TypedSimpleState>,
}

/// A clone begins anew: nothing is copied that the next run computes anyway.
impl Clone for Memory {
    fn clone(&self) -> Self {
        Self {
            buffers: self.buffers.iter().map(Buffer::like).collect(),
            held: vec![None; self.held.len()],
            up_to_date: false,
            tract: self.tract.clone(),
        }
    }
}

impl Memory {
    /// What hangs on steady inputs is computed anew by the next run.
    pub(crate) fn refresh(&mut self) {
        self.up_to_date = false;
    }

    /// Drops what nobody reads after a step.
    fn forget(&mut self, step: &Step) {
        for &number in &step.dropped {
            self.held[number] = None;
        }
    }
}

impl Program {
    /// Memory for one thread.
    ///
    /// # Errors
    /// When tract cannot make the state of an op that only it knows.
    pub(crate) fn memory(&self) -> TractResult<Memory> {
        let needs_tract = self.steps.iter().any(|step| step.op.is_none());
        let mut tract = None;
        if needs_tract {
            let mut state = self.plan.spawn()?;
            state.turn_state.values = vec![None; self.model().nodes().len()];
            tract = Some(state);
        }
        Ok(Memory {
            buffers: self
                .buffers
                .iter()
                .map(|&bytes| Buffer::new(bytes))
                .collect(),
            held: vec![None; if needs_tract { self.values.len() } else { 0 }],
            up_to_date: false,
            tract,
        })
    }

    /// Runs all steps that have something to do. `times` gets the time of each step, 0 where it had not.
    ///
    /// # Errors
    /// When an input does not fit or an op fails, with the node's name.
    pub(crate) fn run(
        &self,
        memory: &mut Memory,
        inputs: &[Arc<Tensor>],
        mut times: Option<&mut Vec<OpTime>>,
    ) -> TractResult<()> {
        self.check_inputs(inputs)?;
        let first = if memory.up_to_date { self.steady } else { 0 };
        if let Some(times) = &mut times {
            let none = OpTime {
                start: Instant::now(),
                time: std::time::Duration::ZERO,
            };
            times.clear();
            times.resize(first, none);
        }
        for step in &self.steps[first..] {
            let start = times.is_some().then(Instant::now);
            let ran = match &step.op {
                Some(op) => self.write(memory, inputs, step, &**op),
                None => self.ask_tract(memory, inputs, step),
            };
            ran.with_context(|| format!("node \"{}\"", self.model().node(step.node).name))?;
            if let (Some(times), Some(start)) = (&mut times, start) {
                let time = start.elapsed();
                times.push(OpTime { start, time });
            }
        }
        memory.up_to_date = true;
        Ok(())
    }

    /// An output of the last run on these inputs.
    ///
    /// # Errors
    /// When there is no such output, or nothing was run.
    pub(crate) fn output<'a>(
        &'a self,
        memory: &'a Memory,
        inputs: &'a [Arc<Tensor>],
        index: usize,
    ) -> TractResult<View<'a>> {
        let value = *self.outputs.get(index).context("no such output")?;
        self.view(memory, inputs, value)
    }

    fn check_inputs(&self, inputs: &[Arc<Tensor>]) -> TractResult<()> {
        let model = self.model();
        ensure!(
            inputs.len() == model.inputs.len(),
            "{} inputs instead of {}",
            inputs.len(),
            model.inputs.len()
        );
        for (index, input) in inputs.iter().enumerate() {
            let fact = model.input_fact(index)?;
            let fits = fact.datum_type == input.datum_type()
                && fact.shape.as_concrete() == Some(input.shape());
            ensure!(fits, "input {index} is {input:?} instead of {fact:?}");
        }
        Ok(())
    }

    fn write(
        &self,
        memory: &mut Memory,
        inputs: &[Arc<Tensor>],
        step: &Step,
        op: &dyn Write,
    ) -> TractResult<()> {
        let output = &self.values[step.outputs[0]];
        let Place::Buffer(buffer) = output.place else {
            bail!("its output has no buffer");
        };
        // Taken out while it is written, so that the inputs can be read beside it.
        let mut taken = std::mem::take(&mut memory.buffers[buffer]);
        let of = |index: usize| {
            let value = step.inputs.get(index).context("an input is missing")?;
            self.view(memory, inputs, *value)
        };
        let to = ViewMut {
            datum: output.datum,
            bytes: taken.bytes_mut(output.bytes()),
        };
        let written = op.write(&Inputs::new(&of), to);
        memory.buffers[buffer] = taken;
        memory.forget(step);
        written
    }

    fn ask_tract(
        &self,
        memory: &mut Memory,
        inputs: &[Arc<Tensor>],
        step: &Step,
    ) -> TractResult<()> {
        let values: TractResult<TVec<TValue>> = step
            .inputs
            .iter()
            .map(|&value| self.tract_value(memory, inputs, value))
            .collect();
        memory.forget(step);
        let tract = memory.tract.as_mut().context("tract has no state")?;
        tract.compute_one_with_inputs(step.node, values?)?;
        let made = tract.turn_state.values[step.node].take();
        let made = made.context("tract made nothing")?;
        for (&number, value) in step.outputs.iter().zip(made) {
            // What nobody reads is dropped by the step that makes it.
            if !step.dropped.contains(&number) {
                memory.held[number] = Some(value);
            }
        }
        Ok(())
    }

    fn tract_value(
        &self,
        memory: &Memory,
        inputs: &[Arc<Tensor>],
        number: usize,
    ) -> TractResult<TValue> {
        let value = &self.values[number];
        let shared = match &value.place {
            Place::Held(held) => return memory.held[*held].clone().context("not yet computed"),
            Place::Input(index) => Some(&inputs[*index]),
            Place::Constant(tensor) => Some(tensor),
            Place::Buffer(_) => None,
        };
        // Tract reads shapes that are not numbers from the tensor alone.
        if let Some(tensor) =
            shared.filter(|tensor| !tensor.is_plain_ram() || tensor.shape() == &*value.shape)
        {
            return Ok(TValue::from_const(tensor.clone()));
        }
        let view = self.view(memory, inputs, number)?;
        let mut tensor = Tensor::zero_dt(view.datum, view.shape)?;
        ViewMut::of(&mut tensor)?.bytes.copy_from_slice(view.bytes);
        Ok(tensor.into_tvalue())
    }

    fn view<'a>(
        &'a self,
        memory: &'a Memory,
        inputs: &'a [Arc<Tensor>],
        number: usize,
    ) -> TractResult<View<'a>> {
        let value = &self.values[number];
        let bytes = match &value.place {
            Place::Held(held) => {
                let tensor = memory.held[*held].as_ref().context("not yet computed")?;
                return View::of(tensor);
            }
            Place::Input(index) => View::of(&inputs[*index])?.bytes,
            Place::Constant(tensor) => View::of(tensor)?.bytes,
            Place::Buffer(buffer) => memory.buffers[*buffer].bytes(value.bytes()),
        };
        Ok(View {
            datum: value.datum,
            shape: &value.shape,
            bytes,
        })
    }
}
