//! Running the steps of a program.

use std::time::Instant;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

use super::profile::OpTime;
use super::program::{Place, Program, Step};
use super::rate::Rate;
use crate::buffer::Buffer;
use crate::ops::{Inputs, ViewMut, Write, tensor_of, view_of};
use crate::tensor::{InputViews, View};

/// Where no input is read.
const NONE: [View<'static>; 0] = [];

/// A thread's tensors of one program.
#[derive(Debug)]
pub(crate) struct Memory {
    buffers: Vec<Buffer>,
    /// What tract made, by the number of the value.
    held: Vec<Option<TValue>>,
    /// Whether all steps have run, so that slow ones may be left out.
    complete: bool,
    /// The node that is run at the moment.
    running: Option<usize>,
    tract: Option<TypedSimpleState>,
}

/// A clone begins anew: nothing is copied that the next run computes anyway.
impl Clone for Memory {
    fn clone(&self) -> Self {
        Self {
            buffers: self.buffers.iter().map(Buffer::like).collect(),
            held: vec![None; self.held.len()],
            complete: false,
            running: None,
            tract: self.tract.clone().map(with_values),
        }
    }
}

/// Tract's state with a place for what each node makes, which neither a new one nor a clone has.
pub(crate) fn with_values(mut state: TypedSimpleState) -> TypedSimpleState {
    let nodes = state.model().nodes().len();
    state.turn_state.values = vec![None; nodes];
    state
}

impl Memory {
    /// Drops the values that no later step reads.
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
        let tract = match needs_tract {
            true => Some(with_values(self.plan.spawn()?)),
            false => None,
        };
        Ok(Memory {
            buffers: self
                .buffers
                .iter()
                .map(|&bytes| Buffer::new(bytes))
                .collect(),
            held: vec![None; if needs_tract { self.values.len() } else { 0 }],
            complete: false,
            running: None,
            tract,
        })
    }

    /// Runs the steps that depend on inputs of rate `changed` or faster, and all of them the first time. `times` gets the time of
    /// each step, 0 where it did not run.
    ///
    /// # Errors
    /// When an input does not fit or an op fails, with the node's name.
    pub(crate) fn run(
        &self,
        memory: &mut Memory,
        inputs: &dyn InputViews,
        changed: Rate,
        mut times: Option<&mut Vec<OpTime>>,
    ) -> TractResult<()> {
        self.check_inputs(inputs)?;
        let first = match memory.complete {
            true => self.steps.partition_point(|step| step.rate < changed),
            false => 0,
        };
        // Until this run has ended nothing can be left out.
        memory.complete = false;
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
            memory.running = Some(step.node);
            let ran = match &step.op {
                Some(op) => self.write(memory, inputs, step, &**op),
                None => self.ask_tract(memory, inputs, step),
            };
            ran?;
            if let (Some(times), Some(start)) = (&mut times, start) {
                let time = start.elapsed();
                times.push(OpTime { start, time });
            }
        }
        memory.running = None;
        memory.complete = true;
        Ok(())
    }

    /// The name of the node at which a run ended with an error or a panic.
    pub(crate) fn running(&self, memory: &Memory) -> Option<&str> {
        memory.running.map(|node| &*self.model().node(node).name)
    }

    /// An output of the last run.
    ///
    /// # Errors
    /// When there is no such output, or no run has ended.
    pub(crate) fn output<'a>(&'a self, memory: &'a Memory, index: usize) -> TractResult<View<'a>> {
        let value = *self.outputs.get(index).context("no such output")?;
        ensure!(memory.complete, "an output before a run has ended");
        self.view(memory, &NONE, value)
    }

    fn check_inputs(&self, inputs: &dyn InputViews) -> TractResult<()> {
        let model = self.model();
        ensure!(
            inputs.count() == model.inputs.len(),
            "{} inputs instead of {}",
            inputs.count(),
            model.inputs.len()
        );
        for index in 0..inputs.count() {
            let input = inputs.view(index).context("an input is missing")?;
            let fact = model.input_fact(index)?;
            let fits =
                fact.datum_type == input.datum && fact.shape.as_concrete() == Some(input.shape);
            ensure!(
                fits,
                "input {index} is {:?}{:?} instead of {fact:?}",
                input.datum,
                input.shape
            );
        }
        Ok(())
    }

    fn write(
        &self,
        memory: &mut Memory,
        inputs: &dyn InputViews,
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
        inputs: &dyn InputViews,
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
            // A value that no step reads is dropped by the step that makes it.
            if !step.dropped.contains(&number) {
                memory.held[number] = Some(value);
            }
        }
        Ok(())
    }

    fn tract_value(
        &self,
        memory: &Memory,
        inputs: &dyn InputViews,
        number: usize,
    ) -> TractResult<TValue> {
        let value = &self.values[number];
        match &value.place {
            Place::Held(held) => return memory.held[*held].clone().context("not yet computed"),
            // Tract reads shapes that are not numbers from the tensor alone.
            Place::Constant(tensor)
                if !tensor.is_plain_ram() || tensor.shape() == &*value.shape =>
            {
                return Ok(TValue::from_const(tensor.clone()));
            }
            Place::Constant(_) | Place::Input(_) | Place::Buffer(_) => {}
        }
        let view = self.view(memory, inputs, number)?;
        Ok(tensor_of(&view)?.into_tvalue())
    }

    fn view<'a>(
        &'a self,
        memory: &'a Memory,
        inputs: &'a dyn InputViews,
        number: usize,
    ) -> TractResult<View<'a>> {
        let value = &self.values[number];
        let bytes = match &value.place {
            Place::Held(held) => {
                let tensor = memory.held[*held].as_ref().context("not yet computed")?;
                return view_of(tensor);
            }
            Place::Input(index) => inputs.view(*index).context("an input is missing")?.bytes,
            Place::Constant(tensor) => view_of(tensor)?.bytes,
            Place::Buffer(buffer) => memory.buffers[*buffer].bytes(value.bytes()),
        };
        Ok(View {
            datum: value.datum,
            shape: &value.shape,
            bytes,
        })
    }
}
