//! An ONNX graph on its own, fed with numbers made from a seed: for benchmarks and comparisons.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::Tensor;

use crate::build::{Execution, Feed, Source, TensorSpec};
use crate::error::EngineError;
use crate::graph::{Graph, State};
use crate::import::{self, GraphInfo};
use crate::plan::{LoadTimes, Threads};
use crate::rewrite::Fusion;
use crate::seeded::fill;

/// One graph with inputs of fixed shapes.
#[derive(Debug)]
pub struct BareGraph {
    graph: Graph,
    state: State,
    inputs: Vec<Arc<Tensor>>,
}

/// An input of a [`BareGraph`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeededInput {
    /// Name in the file.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: SeededValues,
}

/// The values of a [`SeededInput`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SeededValues {
    /// -1 to 1.
    Float(Vec<f32>),
    /// Small token ids, 0 to 15.
    Integer(Vec<i64>),
}

impl BareGraph {
    /// Loads an ONNX file.
    ///
    /// # Errors
    /// When it cannot be read, is broken, has inputs that are not f32 or i64, or leaves a shape open.
    pub fn load(file: &Path, execution: Execution) -> Result<Self, EngineError> {
        let (source, info) = read(file)?;
        let refused = |message: String| EngineError::Graph {
            file: file.to_owned(),
            message,
        };
        let inputs = seeded_inputs(&info).map_err(refused)?;
        let feeds = inputs.iter().map(|input| Feed {
            tensor: input.name.clone(),
            spec: match input.values {
                SeededValues::Float(_) => TensorSpec::f32(&input.shape),
                SeededValues::Integer(_) => TensorSpec::i64(&input.shape),
            },
            // All of the graph is to be measured in each run.
            steady: false,
        });
        let outputs: Vec<String> = info.outputs.into_iter().map(|output| output.name).collect();
        let graph = Graph::load(source, execution, feeds.collect(), &outputs)?;
        let state = graph.state()?;
        // In the order of the graph, which is that of the file.
        let tensors = inputs.iter().map(|input| match &input.values {
            SeededValues::Float(values) => Tensor::from_shape(&input.shape, values),
            SeededValues::Integer(values) => Tensor::from_shape(&input.shape, values),
        });
        let inputs = tensors
            .map(|tensor| tensor.map(Arc::new))
            .collect::<Result<_, _>>();
        Ok(Self {
            graph,
            state,
            inputs: inputs.map_err(|e| refused(e.to_string()))?,
        })
    }

    /// Runs the graph on its seeded inputs; the first output, empty where that is not f32.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn run(&mut self) -> Result<Vec<f32>, EngineError> {
        let outputs = self.graph.run(&mut self.state, &self.inputs, None)?;
        Ok(outputs.floats(0).unwrap_or_default().to_vec())
    }

    /// Shares the work of the fused ops with other threads.
    pub fn use_threads(&mut self, threads: Threads) {
        self.state.use_threads(threads);
    }

    /// What runs in fused ops; `None` where tract runs alone.
    #[must_use]
    pub fn fusion(&self) -> Option<&Fusion> {
        self.graph.fusion.as_ref()
    }

    /// How long loading took, without what was done for the seeded inputs.
    #[must_use]
    pub fn load_times(&self) -> LoadTimes {
        self.graph.load
    }

    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.graph.macs
    }
}

/// The inputs that [`BareGraph`] feeds to a graph, for another engine to be fed the same.
///
/// # Errors
/// When the file cannot be read or is broken, or an input's shape is open or its type is not f32 or i64.
pub fn inputs_of(file: &Path) -> Result<Vec<SeededInput>, EngineError> {
    let info = graph_info(file)?;
    seeded_inputs(&info).map_err(|message| EngineError::Graph {
        file: file.to_owned(),
        message,
    })
}

/// What an ONNX file holds, whether or not it can run.
///
/// # Errors
/// When it cannot be read, or is nothing that may be loaded.
pub fn graph_info(file: &Path) -> Result<GraphInfo, EngineError> {
    read(file).map(|(_, info)| info)
}

/// A file's bytes and what they hold.
fn read(file: &Path) -> Result<(Source, GraphInfo), EngineError> {
    let source = Source::open(file)?;
    let info = import::parse(&source.bytes).and_then(|model| import::inspect(&model, |_| true));
    let info = info.map_err(|message| EngineError::Graph {
        file: file.to_owned(),
        message,
    })?;
    Ok((source, info))
}

fn seeded_inputs(info: &GraphInfo) -> Result<Vec<SeededInput>, String> {
    let mut inputs = Vec::new();
    for (seed, input) in (1..).zip(&info.inputs) {
        let closed: Option<Vec<usize>> = input
            .shape
            .iter()
            .map(|axis| axis.and_then(|axis| usize::try_from(axis).ok()))
            .collect();
        let Some(shape) = closed else {
            return Err(format!(
                "input \"{}\" has an open shape: fix it when exporting",
                input.name.escape_debug()
            ));
        };
        let count: usize = shape.iter().product();
        let mut floats = vec![0.0; count];
        fill(&mut floats, seed);
        let values = match &*input.element {
            "f32" => SeededValues::Float(floats),
            #[expect(clippy::cast_possible_truncation)]
            "i64" => {
                SeededValues::Integer(floats.iter().map(|v| ((v + 1.0) * 8.0) as i64).collect())
            }
            other => {
                return Err(format!(
                    "input \"{}\" is {other}: only f32 and i64 can be fed",
                    input.name.escape_debug()
                ));
            }
        };
        inputs.push(SeededInput {
            name: input.name.clone(),
            shape,
            values,
        });
    }
    Ok(inputs)
}
