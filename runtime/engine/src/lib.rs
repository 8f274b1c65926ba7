//! ONNX bytes in, allocation-free plan out.
//!
//! A file goes through [`import`] (checks, and what tract lacks), [`rewrite`] (patterns become fused operators), tract's own
//! optimiser, and [`plan`] (steps over buffers that were laid out in advance). The operators that plans run live in [`ops`].
//! Nothing here knows a policy, a camera or an arm: a graph has tensors with names, element types and shapes.

mod bare;
mod budget;
mod buffer;
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
mod tensor;

pub use bare::{BareGraph, graph_info, inputs_of};
pub use build::{Execution, Feed, Source};
pub use contain::{contain, quiet_panics};
pub use error::EngineError;
pub use graph::{Graph, State};
pub use import::{GraphInfo, TensorInfo, name_nodes, plain_tract};
pub use plan::{LoadTimes, OpInfo, OpTime, Rate, Threads};
pub use rewrite::{Fusion, Unmatched};
pub use seeded::{SeededInput, SeededValues, fill};
pub use tensor::{Element, InputViews, Number, Tensor, TensorError, TensorSpec, View};
