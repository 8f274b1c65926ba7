//! ONNX bytes in, allocation-free plan out.
//!
//! A file goes through [`import`] (checks, and what tract lacks), [`rewrite`] (patterns become fused operators), tract's own
//! optimiser, and [`plan`] (steps over buffers that were laid out in advance). The operators that plans run live in [`ops`].
//! Nothing here knows a policy, a camera or an arm: a graph has tensors with names, element types and shapes.

mod bare;
mod build;
mod contain;
mod error;
mod graph;
mod import;
mod ops;
mod plan;
mod query;
mod rewrite;
mod seeded;

pub use bare::{BareGraph, SeededInput, SeededValues, graph_info, inputs_of};
pub use build::{Execution, Feed, Source, TensorSpec};
pub use contain::contain;
pub use error::EngineError;
pub use graph::{Graph, Outputs, State};
pub use import::{GraphInfo, TensorInfo, name_nodes, plain_tract};
pub use plan::{LoadTimes, OpInfo, OpTime, Threads};
pub use rewrite::{Fusion, Unmatched};
pub use seeded::fill;
pub use tract_onnx::prelude::Tensor;
