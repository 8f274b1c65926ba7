//! Patterns of a graph that become a few ops, which run on packed weights, 8-bit ones where the graph is quantised.
//!
//! [`fuse`] rewrites the typed graph before tract's own optimiser, which would fold reshapes into products so that nothing is told
//! apart any more. What is not matched still runs by tract; [`Fusion`] names it with the reason.
//!
//! The fused ops deviate from strict ONNX in four ways, all towards the float model: where a tensor between a product and its
//! activation is quantised, only its range is kept (the value is clamped, not rounded); tensors inside an attention are not
//! quantised at all; scales are multiplied together before they meet the sum; floats are not rounded to half precision and back.
//! A graph that is computed as written ([`crate::Execution::AsWritten`]) gets here with its roundings as operators that no pattern matches.
//! Besides, an infinity that meets a 3 x 3 convolution of many channels becomes NaN; as written it stays one.

mod attention;
mod casts;
mod gated;
mod layout;
mod norm;
mod packer;
mod pattern;
mod products;
mod rotary;
mod tail;
mod transposed;
mod weights;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tract_onnx::tract_core::ops::cnn::{Conv, Deconv, MaxPool};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::Softmax;
use tract_onnx::tract_hir::internal::*;
use wink_kernels::Isa;

use packer::Packer;
use products::Rewrite;

use crate::ops::{as_write, is_fused};
use crate::rounding::Rounding;

/// What became of a graph's products, convolutions and attentions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fusion {
    /// The instruction set of the kernels.
    pub kernels: &'static str,
    /// How many of each fused op there are.
    pub fused: BTreeMap<String, usize>,
    /// Products, convolutions and softmaxes that are not part of a fused op.
    pub unmatched: Vec<Unmatched>,
    /// How many of each small op this crate runs between them.
    pub small: BTreeMap<String, usize>,
    /// How many of each op tract runs; each of them allocates.
    pub engine: BTreeMap<String, usize>,
    /// How many of all these are computed once and kept, since they depend only on inputs that stay the same.
    pub once: usize,
}

/// A node that is not part of the fast path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// Name of the node.
    pub node: String,
    /// Tract's name of its operator.
    pub op: String,
    /// Why.
    pub reason: String,
}

/// Rewrites a typed graph that was not optimised yet.
///
/// # Errors
/// When tract refuses a rewrite that fits by shape and type.
pub(crate) fn fuse(mut model: TypedModel, rounding: Rounding) -> TractResult<(TypedModel, Fusion)> {
    let floats = match rounding {
        Rounding::AsWritten => exact_floats,
        Rounding::Fused => floats,
    };
    let mut report = Fusion {
        kernels: Isa::detect().name(),
        ..Fusion::default()
    };
    for round in [
        simplify, rotaries, attentions, four_bits, eight_bits, floats, transposed, pools, simplify,
    ] {
        round(&mut model, &mut report)?;
    }
    let mut scratch = vec![];
    for op in model.nodes().iter().filter_map(|node| as_write(&*node.op)) {
        op.settle(&mut scratch);
    }
    for node in model.nodes().iter().filter(|node| is_fused(&*node.op)) {
        let name = node.op.name().into_owned();
        *report.fused.entry(name).or_default() += 1;
    }
    Ok((model, report))
}

/// Applies rewrites until none fits. `rewrite` says `None` of nodes that are not its business.
fn apply(
    model: &mut TypedModel,
    report: &mut Fusion,
    rewrite: impl Fn(&TypedModel, &TypedNode) -> Option<Rewrite>,
) -> TractResult<()> {
    let mut refused: BTreeMap<usize, Unmatched> = BTreeMap::new();
    let mut dead = Dead::new(model)?;
    loop {
        let mut changed = false;
        for id in model.eval_order()? {
            let node = model.node(id);
            // What a patch made superfluous keeps its id and loses its outputs.
            if node.outputs.is_empty() {
                continue;
            }
            match rewrite(model, node) {
                None => {}
                Some(Ok(patch)) => {
                    refused.remove(&id);
                    patch.apply(model)?;
                    dead.free(model, id)?;
                    changed = true;
                }
                Some(Err(reason)) => {
                    let left = Unmatched {
                        node: node.name.clone(),
                        op: node.op.name().into_owned(),
                        reason,
                    };
                    refused.insert(id, left);
                }
            }
        }
        if !changed {
            break;
        }
    }
    // What was refused at first may have become part of another rewrite.
    let left = model.eval_order()?.into_iter();
    report
        .unmatched
        .extend(left.filter_map(|id| refused.remove(&id)));
    model.compact()
}

/// The nodes that nothing reads any more, which stay until the graph is compacted.
struct Dead {
    nodes: Vec<bool>,
    nothing: Arc<Tensor>,
}

impl Dead {
    fn new(model: &TypedModel) -> TractResult<Self> {
        let mut nodes = vec![true; model.nodes().len()];
        for id in model.eval_order()? {
            nodes[id] = false;
        }
        Ok(Self {
            nodes,
            nothing: Tensor::default().into_arc_tensor(),
        })
    }

    /// Frees the weights that only the nodes read which a patch of node `id` has replaced: itself, and what followed it.
    fn free(&mut self, model: &mut TypedModel, id: usize) -> TractResult<()> {
        self.nodes.resize(model.nodes().len(), false);
        let mut seen = BTreeSet::from([id]);
        let mut following = vec![id];
        let mut unread = vec![];
        while let Some(id) = following.pop() {
            let readers = model.node(id).outputs.iter().flat_map(|o| &o.successors);
            let readers: Vec<usize> = readers.map(|reader| reader.node).collect();
            if readers.is_empty() {
                unread.push(id);
            }
            following.extend(readers.into_iter().filter(|&reader| seen.insert(reader)));
        }
        while let Some(id) = unread.pop() {
            let node = model.node(id);
            let mut readers = node.outputs.iter().flat_map(|o| &o.successors);
            let read = readers.any(|reader| !self.nodes[reader.node]);
            let is_end = |outlet: &OutletId| outlet.node == id;
            if self.nodes[id] || read || model.inputs.iter().chain(&model.outputs).any(is_end) {
                continue;
            }
            self.nodes[id] = true;
            unread.extend(node.inputs.iter().map(|input| input.node));
            let node = model.node_mut(id);
            for output in &mut node.outputs {
                output.fact.konst = None;
            }
            if node.op_is::<Const>() {
                node.op = Box::new(Const::new(self.nothing.clone())?);
            }
        }
        Ok(())
    }
}

/// Rewrites that save work and lose nothing.
fn simplify(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    apply(model, report, |model, node| {
        let norm = || norm::quantised(model, node, node.op_as()?);
        layout::identity(model, node)
            .or_else(|| layout::duplicate(model, node))
            .or_else(|| layout::there_and_back(model, node))
            .or_else(|| casts::needless(model, node))
            .or_else(norm)
            .map(Ok)
    })
}

fn attentions(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    apply(model, report, |model, node| {
        Some(attention::attention(model, node, node.op_as::<Softmax>()?))
    })
}

fn rotaries(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    apply(model, report, rotary::rotary)
}

fn four_bits(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    apply(model, report, |model, node| {
        Some(products::four_bits(model, node, node.op_as()?))
    })
}

/// What is refused here may still be a product of floats.
fn eight_bits(model: &mut TypedModel, _: &mut Fusion) -> TractResult<()> {
    products(
        model,
        &mut Fusion::default(),
        products::linear,
        products::conv,
    )
}

fn floats(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    products(
        model,
        report,
        products::float_linear,
        products::winograd_or_float_conv,
    )
}

/// An infinity stays one.
fn exact_floats(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    products(model, report, products::float_linear, products::float_conv)
}

fn transposed(model: &mut TypedModel, report: &mut Fusion) -> TractResult<()> {
    let packer = Packer::new(Isa::detect());
    apply(model, report, |model, node| {
        let op = node.op_as::<Deconv>()?;
        Some(transposed::transposed(model, node, op, &packer))
    })
}

/// What is refused here runs in tract as it is, and is no product that should be named.
fn pools(model: &mut TypedModel, _: &mut Fusion) -> TractResult<()> {
    apply(model, &mut Fusion::default(), |model, node| {
        Some(windows::max_pool(model, node, node.op_as::<MaxPool>()?))
    })
}

type Of<O> = fn(&TypedModel, &TypedNode, &O, &Packer) -> Rewrite;

fn products(
    model: &mut TypedModel,
    report: &mut Fusion,
    linear: Of<EinSum>,
    conv: Of<Conv>,
) -> TractResult<()> {
    let packer = Packer::new(Isa::detect());
    apply(model, report, |model, node| {
        if let Some(op) = node.op_as::<EinSum>() {
            return Some(linear(model, node, op, &packer));
        }
        Some(conv(model, node, node.op_as::<Conv>()?, &packer))
    })
}
