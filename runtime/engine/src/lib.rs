//! ONNX bytes in, allocation-free plan out.
//!
//! A file goes through `import/` (checks, and what tract lacks), `rewrite/` (patterns become fused operators), tract's own
//! optimiser, and `plan/` (steps over buffers that were laid out in advance). The operators that plans run live in `ops/`.
//! Nothing here knows a policy, a camera or an arm: a graph has tensors with names, element types and shapes.
//!
//! [`Graph::load`] makes a plan of a [`Source`]; each thread has a [`State`] and runs the plan in it with [`Graph::run`] on
//! borrowed [`View`]s. Outputs are views of the state's own memory, which another graph can be fed with. Inputs have a [`Rate`]:
//! what depends only on inputs that did not change since the last run is not computed again.
//!
//! ```
//! use wink_engine::{Element, EngineError, Execution, Feed, Graph, Rate, Source, TensorSpec, View};
//!
//! /// The first output of a graph of one input.
//! fn first(source: Source, image: &[f32]) -> Result<Vec<f32>, EngineError> {
//!     let feed = Feed {
//!         tensor: "image".to_owned(),
//!         spec: TensorSpec::new(Element::F32, &[1, 3, 64, 64]),
//!         rate: Rate(0),
//!     };
//!     let graph = Graph::load(source, Execution::Fused, vec![feed], &["action".to_owned()])?;
//!     let mut state = graph.state()?;
//!     let image = View::of(&[1, 3, 64, 64], image)?;
//!     graph.run(&mut state, &[image], Rate(0))?;
//!     Ok(graph.values(&state, 0)?.to_vec())
//! }
//! ```

mod bare;
mod budget;
mod buffer;
mod build;
mod contain;
mod error;
mod graph;
mod import;
mod once;
mod ops;
mod plan;
mod query;
mod rewrite;
mod rounding;
mod seeded;
mod source;
mod strided;
mod tensor;

pub use bare::{BareGraph, graph_info, inputs_of};
pub use build::{Execution, Feed};
pub use contain::{contain, quiet_panics};
pub use error::EngineError;
pub use graph::{Graph, State};
pub use import::{Element as OnnxElement, Value};
pub use import::{GraphInfo, TensorInfo, name_nodes, plain_tract};
pub use once::{run_once, run_reference, tensor_of, value_of};
pub use plan::{LoadTimes, OpInfo, OpTime, Rate, Threads};
pub use rewrite::{Fusion, Unmatched};
pub use seeded::{SeededInput, SeededValues, fill};
pub use source::Source;
pub use tensor::{Element, InputViews, Number, Tensor, TensorError, TensorSpec, View};
