//! A graph as a list of steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tract_onnx::tract_core::dyn_clone;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::buffers::{Need, share};
use super::profile::{OpInfo, describe};
use super::rate::Rate;
use crate::ops::{Reshape, Write, as_write, is_fused};

/// What is known of a graph when it is loaded. Threads share it; each has a [`super::Memory`] of its own.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) plan: Arc<TypedSimplePlan>,
    /// Slowest rate first, each behind those whose outputs it reads.
    pub(super) steps: Vec<Step>,
    pub(super) values: Vec<Value>,
    /// Bytes of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) outputs: Vec<usize>,
    /// Of each input.
    rates: Vec<Rate>,
}

/// One op.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) node: usize,
    /// The fastest of its inputs.
    pub(super) rate: Rate,
    /// Indices into the program's values.
    pub(super) inputs: Vec<usize>,
    /// Values of the node's outputs.
    pub(super) outputs: Vec<usize>,
    /// `None` where tract runs it.
    pub(super) op: Option<Box<dyn Write>>,
    /// Tract's values that no later step reads.
    pub(super) dropped: Vec<usize>,
}

/// A tensor of a graph.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) datum: DatumType,
    pub(super) shape: TVec<usize>,
    pub(super) place: Place,
    /// How often it changes.
    rate: Rate,
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Input(usize),
    Constant(Arc<Tensor>),
    Buffer(usize),
    /// Made by tract.
    Held(usize),
}

impl Value {
    pub(super) fn bytes(&self) -> usize {
        self.datum.size_of() * self.shape.iter().product::<usize>()
    }
}

impl Program {
    /// Lays a graph out, whose inputs change at these rates.
    ///
    /// # Errors
    /// When tract finds no order to run the graph in, or an output's shape is open.
    pub(crate) fn new(plan: Arc<TypedSimplePlan>, rates: &[Rate]) -> TractResult<Self> {
        let mut layout = Layout::default();
        let model = plan.model();
        for node in constants(model).chain(plan.order_without_consts().iter().copied()) {
            layout.add(model, node, rates)?;
        }
        let outputs = model.outputs.iter().map(|outlet| layout.output(*outlet));
        let outputs: Vec<usize> = outputs.collect::<TractResult<_>>()?;
        let Layout {
            mut values,
            mut steps,
            ..
        } = layout;
        // Stable: what a step reads is never faster than the step.
        steps.sort_by_key(|step| step.rate);
        let last_reads = last_reads(&values, &steps, &outputs);
        let buffers = share_buffers(&mut values, &steps, &last_reads);
        drop_held(&values, &mut steps, &last_reads);
        Ok(Self {
            plan,
            steps,
            values,
            buffers,
            outputs,
            rates: rates.to_vec(),
        })
    }

    /// The steps in their order; `kernels` names the instruction set of the fused ops.
    pub(crate) fn ops(&self, kernels: &str) -> Vec<OpInfo> {
        let fastest = self.fastest();
        let describe = |step: &Step| OpInfo {
            once: step.rate < fastest,
            ..describe(self.model(), self.model().node(step.node), kernels)
        };
        self.steps.iter().map(describe).collect()
    }

    /// How many of each small op of this crate there are, and of each of tract.
    pub(crate) fn count(&self) -> [BTreeMap<String, usize>; 2] {
        let mut counts = [BTreeMap::new(), BTreeMap::new()];
        for step in &self.steps {
            let op = &*self.model().node(step.node).op;
            if !is_fused(op) {
                let side = usize::from(step.op.is_none());
                *counts[side].entry(op.name().into_owned()).or_default() += 1;
            }
        }
        counts
    }

    /// How many steps are slower than the fastest.
    pub(crate) fn kept(&self) -> usize {
        let fastest = self.fastest();
        self.steps.iter().filter(|step| step.rate < fastest).count()
    }

    fn fastest(&self) -> Rate {
        self.rates.iter().copied().max().unwrap_or_default()
    }

    /// Bytes of each buffer.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = usize> {
        self.buffers.iter().copied()
    }

    pub(crate) fn model(&self) -> &TypedModel {
        self.plan.model()
    }
}

fn constants(model: &TypedModel) -> impl Iterator<Item = usize> {
    let nodes = model.nodes().iter();
    nodes
        .filter(|node| node.op_is::<Const>())
        .map(|node| node.id)
}

/// A program in the making; buffers and held tensors have a number each, not yet shared.
#[derive(Default)]
struct Layout {
    numbers: HashMap<OutletId, usize>,
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Layout {
    fn add(&mut self, model: &TypedModel, id: usize, rates: &[Rate]) -> TractResult<()> {
        let node = model.node(id);
        if let Some(op) = node.op_as::<Const>() {
            self.value(
                model,
                id.into(),
                Place::Constant(op.val().clone()),
                Rate::default(),
            );
            return Ok(());
        }
        if node.op_is::<TypedSource>() {
            let position = model.inputs.iter().position(|input| input.node == id);
            let index = position.context("an input that is not fed")?;
            let rate = rates
                .get(index)
                .copied()
                .context("an input that is not fed")?;
            self.value(model, id.into(), Place::Input(index), rate);
            return Ok(());
        }
        let inputs: Vec<usize> = node
            .inputs
            .iter()
            .map(|outlet| self.numbers.get(outlet).copied())
            .collect::<Option<_>>()
            .with_context(|| format!("{}: an input that nothing computes", node.name))?;
        let rate = inputs.iter().map(|&input| self.values[input].rate).max();
        let rate = rate.unwrap_or_default();
        let op = as_write(&*node.op).map(dyn_clone::clone_box);
        if let (Some(op), [input]) = (&op, &*inputs)
            && op.only_reshapes()
            && !matches!(self.values[*input].place, Place::Held(_))
        {
            let place = self.values[*input].place.clone();
            self.value(model, id.into(), place, rate);
            return Ok(());
        }
        let shapes = node.outputs.iter().map(|output| &output.fact.shape);
        ensure!(
            op.is_none() || shapes.clone().all(|shape| shape.as_concrete().is_some()),
            "{}: an open shape",
            node.name
        );
        let outputs = (0..node.outputs.len())
            .map(|slot| {
                let number = self.values.len();
                let place = match op {
                    Some(_) => Place::Buffer(number),
                    None => Place::Held(number),
                };
                self.value(model, OutletId::new(id, slot), place, rate)
            })
            .collect();
        let step = Step {
            node: id,
            rate,
            inputs,
            outputs,
            op,
            dropped: vec![],
        };
        self.steps.push(step);
        Ok(())
    }

    /// The value of an output of the graph. One that is an input, perhaps in another shape, is copied, so that outputs are read
    /// without the inputs.
    fn output(&mut self, outlet: OutletId) -> TractResult<usize> {
        let number = self.numbers.get(&outlet).copied();
        let number = number.context("an output that nothing computes")?;
        let Value { datum, rate, .. } = self.values[number];
        if !matches!(self.values[number].place, Place::Input(_)) {
            return Ok(number);
        }
        let shape = self.values[number].shape.clone();
        let copy = self.values.len();
        self.values.push(Value {
            datum,
            shape: shape.clone(),
            place: Place::Buffer(copy),
            rate,
        });
        self.steps.push(Step {
            node: outlet.node,
            rate,
            inputs: vec![number],
            outputs: vec![copy],
            op: Some(Box::new(Reshape { datum, shape })),
            dropped: vec![],
        });
        Ok(copy)
    }

    fn value(&mut self, model: &TypedModel, outlet: OutletId, place: Place, rate: Rate) -> usize {
        let number = self.values.len();
        let fact = &model.node(outlet.node).outputs[outlet.slot].fact;
        self.values.push(Value {
            datum: fact.datum_type,
            // What tract makes may have a shape that numbers cannot tell; it is not asked for.
            shape: fact.shape.as_concrete().unwrap_or(&[]).into(),
            place,
            rate,
        });
        self.numbers.insert(outlet, number);
        number
    }
}

/// The last step that reads each buffer or held tensor, by the number that it has before buffers are shared.
fn last_reads(values: &[Value], steps: &[Step], outputs: &[usize]) -> HashMap<usize, usize> {
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut read = |value: usize, step: usize| {
        if let Place::Buffer(number) | Place::Held(number) = values[value].place {
            let last = last.entry(number).or_insert(step);
            *last = step.max(*last);
        }
    };
    for (index, step) in steps.iter().enumerate() {
        for &value in &step.inputs {
            // A slower value is read again by runs in which it is not computed.
            let outlives = values[value].rate < step.rate;
            read(value, if outlives { usize::MAX } else { index });
        }
        for &value in &step.outputs {
            read(value, index);
        }
    }
    for &value in outputs {
        read(value, usize::MAX);
    }
    last
}

/// Gives values their shared buffers; the sizes of these.
fn share_buffers(
    values: &mut [Value],
    steps: &[Step],
    last_reads: &HashMap<usize, usize>,
) -> Vec<usize> {
    let mut needs = vec![];
    let mut positions: HashMap<usize, usize> = HashMap::new();
    for (written, step) in steps.iter().enumerate() {
        for &value in &step.outputs {
            if let Place::Buffer(number) = values[value].place {
                positions.insert(number, needs.len());
                needs.push(Need {
                    bytes: values[value].bytes(),
                    written,
                    last_read: last_reads.get(&number).copied().unwrap_or(usize::MAX),
                });
            }
        }
    }
    let (chosen, sizes) = share(&needs);
    for value in values {
        if let Place::Buffer(number) = &mut value.place
            && let Some(&position) = positions.get(number)
        {
            *number = chosen[position];
        }
    }
    sizes
}

fn drop_held(values: &[Value], steps: &mut [Step], last_reads: &HashMap<usize, usize>) {
    for value in values {
        if let Place::Held(number) = value.place
            && let Some(step) = last_reads
                .get(&number)
                .and_then(|&last| steps.get_mut(last))
            && !step.dropped.contains(&number)
        {
            step.dropped.push(number);
        }
    }
}
