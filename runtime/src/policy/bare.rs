//! An ONNX graph outside a package, fed with numbers made from a seed: for benchmarks and comparisons.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::Tensor;
use wink_kernels::Pool;

use super::golden::fill;
use super::graph::{Execution, Feed, Graph, State, TensorSpec};
use super::guard::{self, GraphInfo};
use super::manifest::{GraphSpec, Role};
use super::profile::LoadTimes;
use super::threads::Threads;
use super::{PackageError, PolicyError};
use crate::fused::Fusion;

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
    pub fn load(file: &Path, execution: Execution) -> Result<Self, PolicyError> {
        let (bytes, info, read) = read(file)?;
        let refused = |message: String| PolicyError::Graph {
            file: file.to_owned(),
            message,
        };
        let inputs = seeded_inputs(&info).map_err(refused)?;
        let names = |list: &[guard::TensorInfo]| -> BTreeMap<String, String> {
            list.iter()
                .map(|t| (t.name.clone(), t.name.clone()))
                .collect()
        };
        let spec = GraphSpec {
            role: Role::Act,
            file: file.to_string_lossy().into_owned(),
            inputs: names(&info.inputs),
            outputs: names(&info.outputs),
        };
        let mut graph = Graph::from_bytes(bytes, &spec, execution, file, |feed| {
            let input = inputs.iter().find(|input| input.name == feed)?;
            let spec = match input.values {
                SeededValues::Float(_) => TensorSpec::f32(&input.shape),
                SeededValues::Integer(_) => TensorSpec::i64(&input.shape),
            };
            // All of the graph is to be measured in each run.
            let steady = false;
            Some(Feed { spec, steady })
        })?;
        graph.load.read = read;
        let state = graph.state(&Arc::new(Pool::alone()))?;
        let mut tensors = Vec::new();
        for (name, _) in &graph.inputs {
            let input = inputs.iter().find(|input| input.name == *name);
            let tensor = match input.map(|input| (&input.shape, &input.values)) {
                Some((shape, SeededValues::Float(values))) => Tensor::from_shape(shape, values),
                Some((shape, SeededValues::Integer(values))) => Tensor::from_shape(shape, values),
                None => Ok(Tensor::default()),
            };
            tensors.push(Arc::new(tensor.map_err(|e| refused(e.to_string()))?));
        }
        Ok(Self {
            graph,
            state,
            inputs: tensors,
        })
    }

    /// Runs the graph on its seeded inputs; the first output, empty where that is not f32.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn run(&mut self) -> Result<Vec<f32>, PolicyError> {
        let outputs = self.graph.run(&mut self.state, &self.inputs, None)?;
        Ok(outputs.floats(0).unwrap_or_default().to_vec())
    }

    /// Shares the work of the fused ops with other threads.
    pub fn use_threads(&mut self, threads: Threads) {
        self.state.pool = threads.pool();
    }

    /// What runs in fused ops; `None` where the engine runs alone.
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
pub fn inputs_of(file: &Path) -> Result<Vec<SeededInput>, PolicyError> {
    let info = graph_info(file)?;
    seeded_inputs(&info).map_err(|message| PolicyError::Graph {
        file: file.to_owned(),
        message,
    })
}

/// What an ONNX file holds, whether or not it can run.
///
/// # Errors
/// When it cannot be read, or is nothing that the engine may see.
pub fn graph_info(file: &Path) -> Result<GraphInfo, PolicyError> {
    read(file).map(|(_, info, _)| info)
}

/// A file's bytes, what they hold, and how long reading took.
fn read(file: &Path) -> Result<(Vec<u8>, GraphInfo, Duration), PolicyError> {
    let clock = Instant::now();
    let bytes = std::fs::read(file).map_err(|source| PackageError::Read {
        path: file.to_owned(),
        source,
    })?;
    let read = clock.elapsed();
    let info = guard::parse(&bytes).and_then(|model| guard::inspect(&model, |_| true));
    let info = info.map_err(|message| PolicyError::Graph {
        file: file.to_owned(),
        message,
    })?;
    Ok((bytes, info, read))
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
