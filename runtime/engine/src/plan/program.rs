//! A graph as a list of steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tract_onnx::tract_core::dyn_clone;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::buffers::{Need, share};
use super::profile::{OpInfo, describe};
use crate::ops::{Write, as_write, is_fused};

/// What is known of a graph when it is loaded. Threads share it; each has a [`super::Memory`] of its own.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) plan: Arc<TypedSimplePlan>,
    /// First those that need only run where a steady input changed.
    pub(super) steps: Vec<Step>,
    /// How many of these there are.
    pub(super) steady: usize,
    pub(super) values: Vec<Value>,
    /// Bytes of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) outputs: Vec<usize>,
}

/// One op.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) node: usize,
    /// Numbers of values.
    pub(super) inputs: Vec<usize>,
    /// Values of the node's outputs.
    pub(super) outputs: Vec<usize>,
    /// `None` where tract runs it.
    pub(super) op: Option<Box<dyn Write>>,
    /// Values of tract that nobody reads any more after this.
    pub(super) dropped: Vec<usize>,
}

/// A tensor of a graph.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) datum: DatumType,
    pub(super) shape: TVec<usize>,
    pub(super) place: Place,
    /// Whether it changes with steady inputs only.
    steady: bool,
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
    /// Lays a graph out. `steady` says of each input whether it stays the same for many runs.
    ///
    /// # Errors
    /// When tract finds no order to run the graph in, or an output's shape is open.
    pub(crate) fn new(plan: Arc<TypedSimplePlan>, steady: &[bool]) -> TractResult<Self> {
        let mut layout = Layout::default();
        let model = plan.model();
        for node in constants(model).chain(plan.order_without_consts().iter().copied()) {
            layout.add(model, node, steady)?;
        }
        let Layout {
            numbers,
            mut values,
            steady_steps: mut steps,
            other_steps,
        } = layout;
        let steady = steps.len();
        steps.extend(other_steps);
        let outputs = model.outputs.iter().map(|outlet| numbers.get(outlet));
        let outputs: Vec<usize> = outputs
            .map(|number| number.copied().context("an output that nothing computes"))
            .collect::<TractResult<_>>()?;
        let last_reads = last_reads(&values, &steps, steady, &outputs);
        let buffers = share_buffers(&mut values, &steps, &last_reads);
        drop_held(&values, &mut steps, &last_reads);
        Ok(Self {
            plan,
            steps,
            steady,
            values,
            buffers,
            outputs,
        })
    }

    /// The steps in their order; `kernels` names the instruction set of the fused ops.
    pub(crate) fn ops(&self, kernels: &str) -> Vec<OpInfo> {
        let describe = |(index, step): (usize, &Step)| OpInfo {
            once: index < self.steady,
            ..describe(self.model(), self.model().node(step.node), kernels)
        };
        self.steps.iter().enumerate().map(describe).collect()
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

    /// How many steps need to run only where a steady input changed.
    pub(crate) fn steady(&self) -> usize {
        self.steady
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
    steady_steps: Vec<Step>,
    other_steps: Vec<Step>,
}

impl Layout {
    fn add(&mut self, model: &TypedModel, id: usize, steady: &[bool]) -> TractResult<()> {
        let node = model.node(id);
        if let Some(op) = node.op_as::<Const>() {
            self.value(model, id.into(), Place::Constant(op.val().clone()), true);
            return Ok(());
        }
        if node.op_is::<TypedSource>() {
            let position = model.inputs.iter().position(|input| input.node == id);
            let index = position.context("an input that is not fed")?;
            let steady = steady.get(index).copied().unwrap_or(false);
            self.value(model, id.into(), Place::Input(index), steady);
            return Ok(());
        }
        let inputs: Vec<usize> = node
            .inputs
            .iter()
            .map(|outlet| self.numbers.get(outlet).copied())
            .collect::<Option<_>>()
            .with_context(|| format!("{}: an input that nothing computes", node.name))?;
        let steady = inputs.iter().all(|&input| self.values[input].steady);
        let op = as_write(&*node.op).map(dyn_clone::clone_box);
        if let (Some(op), [input]) = (&op, &*inputs)
            && op.only_reshapes()
            && !matches!(self.values[*input].place, Place::Held(_))
        {
            let place = self.values[*input].place.clone();
            self.value(model, id.into(), place, steady);
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
                self.value(model, OutletId::new(id, slot), place, steady)
            })
            .collect();
        let step = Step {
            node: id,
            inputs,
            outputs,
            op,
            dropped: vec![],
        };
        match steady {
            true => self.steady_steps.push(step),
            false => self.other_steps.push(step),
        }
        Ok(())
    }

    fn value(&mut self, model: &TypedModel, outlet: OutletId, place: Place, steady: bool) -> usize {
        let number = self.values.len();
        let fact = &model.node(outlet.node).outputs[outlet.slot].fact;
        self.values.push(Value {
            datum: fact.datum_type,
            // What tract makes may have a shape that numbers cannot tell; it is not asked for.
            shape: fact.shape.as_concrete().unwrap_or(&[]).into(),
            place,
            steady,
        });
        self.numbers.insert(outlet, number);
        number
    }
}

/// The last step that reads each buffer or held tensor, by the number that it has before buffers are shared.
fn last_reads(
    values: &[Value],
    steps: &[Step],
    steady: usize,
    outputs: &[usize],
) -> HashMap<usize, usize> {
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut read = |value: usize, step: usize| {
        if let Place::Buffer(number) | Place::Held(number) = values[value].place {
            let last = last.entry(number).or_insert(step);
            *last = step.max(*last);
        }
    };
    for (index, step) in steps.iter().enumerate() {
        for &value in &step.inputs {
            let outlives = index >= steady && values[value].steady;
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
