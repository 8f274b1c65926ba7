//! An ONNX graph on its own, fed with tensors that are given or made from a seed: for checks, benchmarks and comparisons.

use std::path::Path;

use crate::build::{Execution, Feed, Parsed, build};
use crate::error::EngineError;
use crate::graph::{Graph, State};
use crate::import::GraphInfo;
use crate::plan::{LoadTimes, Rate, Threads};
use crate::rewrite::Fusion;
use crate::seeded::SeededInput;
use crate::source::Source;
use crate::tensor::{Tensor, TensorError, TensorSpec, View};

/// Above the rate of constants, so that each run computes everything that depends on an input.
const EACH_RUN: Rate = Rate(1);

/// One graph with its inputs.
#[derive(Debug)]
pub struct BareGraph {
    graph: Graph,
    state: State,
    inputs: Vec<Tensor>,
}

impl BareGraph {
    /// Loads an ONNX file and feeds it with the numbers of [`inputs_of`].
    ///
    /// # Errors
    /// When it cannot be read, is broken, or leaves the shape of an input open.
    pub fn load(file: &Path, execution: Execution) -> Result<Self, EngineError> {
        let parsed = Parsed::new(Source::open(file)?)?;
        let refused = |message: String| EngineError::Graph {
            file: file.to_owned(),
            message,
        };
        let inputs = SeededInput::all(&parsed.info()?).map_err(refused)?;
        let tensors = inputs
            .iter()
            .map(|input| Ok((&*input.name, input.tensor()?)));
        let tensors: Result<Vec<_>, TensorError> = tensors.collect();
        Self::of(
            parsed,
            execution,
            tensors.map_err(|error| refused(error.to_string()))?,
        )
    }

    /// Loads a graph with all its outputs, for inputs of the types and shapes of these tensors.
    ///
    /// # Errors
    /// When the graph is broken, or an input is missing, is none of the graph's, or does not fit.
    pub fn fed(
        source: Source,
        execution: Execution,
        inputs: Vec<(&str, Tensor)>,
    ) -> Result<Self, EngineError> {
        Self::of(Parsed::new(source)?, execution, inputs)
    }

    fn of(
        parsed: Parsed,
        execution: Execution,
        mut inputs: Vec<(&str, Tensor)>,
    ) -> Result<Self, EngineError> {
        let outputs = parsed.info()?.outputs;
        let outputs: Vec<String> = outputs.into_iter().map(|output| output.name).collect();
        let feeds = inputs.iter().map(|(name, tensor)| Feed {
            tensor: (*name).to_owned(),
            spec: tensor.spec().clone(),
            rate: EACH_RUN,
        });
        let graph = build(parsed, execution, feeds.collect(), &outputs)?;
        let state = graph.state()?;
        let place = |name: &str| graph.inputs().iter().position(|(input, _)| input == name);
        inputs.sort_by_key(|(name, _)| place(name));
        Ok(Self {
            inputs: inputs.into_iter().map(|(_, tensor)| tensor).collect(),
            graph,
            state,
        })
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn run(&mut self) -> Result<(), EngineError> {
        self.graph.run(&mut self.state, &*self.inputs, EACH_RUN)
    }

    /// Name and type of each output, in the order of the file.
    #[must_use]
    pub fn outputs(&self) -> &[(String, TensorSpec)] {
        self.graph.outputs()
    }

    /// An output of the last run, by its place in [`BareGraph::outputs`].
    ///
    /// # Errors
    /// When there is no such output, or no run has ended.
    pub fn output(&self, index: usize) -> Result<View<'_>, EngineError> {
        self.graph.output(&self.state, index)
    }

    /// Shares the work of the fused ops with other threads.
    ///
    /// # Errors
    /// When the threads are to be pinned and cannot be.
    pub fn use_threads(&mut self, threads: Threads) -> Result<(), EngineError> {
        self.state.use_threads(threads)
    }

    /// What runs in fused ops; `None` where tract runs alone.
    #[must_use]
    pub fn fusion(&self) -> Option<&Fusion> {
        self.graph.fusion()
    }

    /// How long loading took, without what was done for the seeded inputs.
    #[must_use]
    pub fn load_times(&self) -> LoadTimes {
        self.graph.load_times()
    }

    /// Multiply-accumulates of one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.graph.macs()
    }
}

/// The inputs that [`BareGraph::load`] feeds to a graph, for another engine to be fed the same.
///
/// # Errors
/// When the file cannot be read or is broken, or an input's shape is open.
pub fn inputs_of(file: &Path) -> Result<Vec<SeededInput>, EngineError> {
    SeededInput::all(&graph_info(file)?).map_err(|message| EngineError::Graph {
        file: file.to_owned(),
        message,
    })
}

/// What an ONNX file holds, whether or not it can run.
///
/// # Errors
/// When it cannot be read, or is nothing that may be loaded.
pub fn graph_info(file: &Path) -> Result<GraphInfo, EngineError> {
    Source::open(file)?.info()
}
