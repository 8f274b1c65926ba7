//! What each op of a loaded graph is, and how long it takes.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::Cost;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::matmul::optimized::{MatMulOperand, OptMatMul, ProtoFusedSpec};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_core::plan::eval;
use tract_onnx::tract_hir::internal::{TractErrorContext, TypedOp};

use crate::ops::{as_write, is_fused, tensor_of};
use crate::tensor::InputViews;

/// One op of a graph as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpInfo {
    /// Name of the node.
    pub node: String,
    /// Tract's name of the operator, or this crate's: `FusedLinear` and the like.
    pub op: String,
    /// Whether it is one of the fused ops.
    pub fused: bool,
    /// Whether it is computed once and kept, since it depends only on inputs that stay the same; its time is 0 in all other runs.
    #[serde(default)]
    pub once: bool,
    /// What computes it: an instruction set for fused ops, the name of the kernel for tract's products, else empty.
    pub kernel: String,
    /// Sizes and parameters: rows x depth x columns of a product.
    pub sizes: String,
    /// Element type and shape of the output.
    pub output: String,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Bytes of the tensors that it reads, constants not counted.
    pub input_bytes: u64,
    /// Bytes of the constants that it reads; of fused ops, the packed weights.
    pub weight_bytes: u64,
    /// Bytes that it writes.
    pub output_bytes: u64,
}

/// When one op ran, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpTime {
    /// When it began.
    pub start: Instant,
    /// How long it ran.
    pub time: Duration,
}

/// How long it took until a graph was ready to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Reading the file and checking its hash.
    pub read: Duration,
    /// Decoding the ONNX and checking it.
    pub parse: Duration,
    /// Types and shapes of all tensors, and the fused ops with their packed weights.
    pub rewrite: Duration,
    /// Tract's own optimiser, with the packing of the weights that it runs on.
    pub optimise: Duration,
}

impl LoadTimes {
    /// From the file to a graph that can run.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.read + self.parse + self.rewrite + self.optimise
    }
}

/// The ops of a graph that tract runs alone, in their order.
pub(crate) fn plain_ops(plan: &TypedSimplePlan, kernels: &str) -> Vec<OpInfo> {
    let nodes = plan.order_without_consts().iter();
    nodes
        .map(|&id| plan.model().node(id))
        .filter(|node| is_timed(node))
        .map(|node| describe(plan.model(), node, kernels))
        .collect()
}

/// Runs a graph in tract alone.
pub(crate) fn run_plain(
    state: &mut TypedSimpleState,
    inputs: &dyn InputViews,
    times: Option<&mut Vec<OpTime>>,
) -> TractResult<TVec<TValue>> {
    let values: TVec<TValue> = (0..inputs.count())
        .map(|index| {
            let input = inputs.view(index).context("an input is missing")?;
            Ok(tensor_of(&input)?.into_tvalue())
        })
        .collect::<TractResult<_>>()?;
    let Some(times) = times else {
        return state.run(values);
    };
    times.clear();
    state.run_plan_with_eval(values, |context, op_state, node, inputs| {
        let start = Instant::now();
        let outputs = eval(context, op_state, node, inputs);
        let time = start.elapsed();
        if is_timed(node) {
            times.push(OpTime { start, time });
        }
        outputs
    })
}

/// Inputs of the graph only hand on what they are given.
fn is_timed(node: &TypedNode) -> bool {
    !node.op_is::<TypedSource>()
}

pub(super) fn describe(model: &TypedModel, node: &TypedNode, kernels: &str) -> OpInfo {
    let op = node.op.name().into_owned();
    let fused = is_fused(&*node.op);
    let (kernel, sizes) = kernel(&*node.op, fused, kernels);
    let (mut input_bytes, mut weight_bytes) = (0, own_weight_bytes(&*node.op));
    for &outlet in &node.inputs {
        let Ok(fact) = model.outlet_fact(outlet) else {
            continue;
        };
        if model.node(outlet.node).op_is::<Const>() {
            weight_bytes += bytes(fact);
        } else {
            input_bytes += bytes(fact);
        }
    }
    OpInfo {
        node: node.name.clone(),
        op,
        fused,
        once: false,
        kernel,
        sizes,
        output: node
            .outputs
            .first()
            .map_or_else(String::new, |output| shape(&output.fact)),
        macs: macs(model, node),
        input_bytes,
        weight_bytes,
        output_bytes: node.outputs.iter().map(|output| bytes(&output.fact)).sum(),
    }
}

/// Multiply-accumulates of a node, as tract counts them.
pub(crate) fn macs(model: &TypedModel, node: &TypedNode) -> u64 {
    let facts = model.node_input_facts(node.id);
    let costs = facts.and_then(|facts| node.op.cost(&facts));
    costs
        .unwrap_or_default()
        .into_iter()
        .filter(|(cost, _)| matches!(cost, Cost::FMA(_)))
        .filter_map(|(_, count)| u64::try_from(count.to_i64().ok()?).ok())
        .sum()
}

fn kernel(op: &dyn TypedOp, fused: bool, kernels: &str) -> (String, String) {
    if let Some(product) = op.downcast_ref::<OptMatMul>() {
        let mut names: Vec<&str> = product.mmm.iter().map(|kernel| kernel.name()).collect();
        names.dedup();
        let k = product
            .guess_k()
            .map_or_else(|| "?".into(), |k| k.to_string());
        let sizes = format!("{}x{k}x{}", product.m(), product.n());
        return (names.join(", "), sizes);
    }
    let info = op.info().unwrap_or_default();
    let info = info.into_iter().next().unwrap_or_default();
    if !fused {
        return (String::new(), info);
    }
    match info.split_once(" by ") {
        Some((sizes, kernel)) => (kernel.to_owned(), sizes.to_owned()),
        None => (kernels.to_owned(), info),
    }
}

/// Weights that are part of the op instead of being fed to it.
fn own_weight_bytes(op: &dyn TypedOp) -> u64 {
    let Some(product) = op.downcast_ref::<OptMatMul>() else {
        return as_write(op).map_or(0, |op| op.weight_bytes() as u64);
    };
    let operands = product.micro_ops.iter().filter_map(|op| match op {
        ProtoFusedSpec::AddMatMul { a, b, .. } => Some([a, b]),
        _ => None,
    });
    let constants = operands.flatten().filter_map(|operand| match operand {
        MatMulOperand::Const(value) => Some(value),
        MatMulOperand::Input(_) => None,
    });
    constants
        .flat_map(|value| value.exotic_fact().buffer_sizes())
        .map(|size| count(&size))
        .sum()
}

fn bytes(fact: &TypedFact) -> u64 {
    count(&fact.mem_size())
}

fn count(size: &TDim) -> u64 {
    size.to_i64()
        .ok()
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(0)
}

fn shape(fact: &TypedFact) -> String {
    let element = format!("{:?}", fact.datum_type).to_lowercase();
    let axes: Vec<String> = fact.shape.iter().map(|axis| axis.to_string()).collect();
    format!("{element}[{}]", axes.join(", "))
}
