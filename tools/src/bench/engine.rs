//! What can run a graph.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use wink_engine::{BareGraph, Execution, SeededInput, Source, Threads, value_of};

use super::onnxruntime::OnnxRuntime;
use super::rten::Rten;
use crate::values::npz::Named;

/// An engine by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// This runtime: fused 8-bit ops inside tract
    Wink,
    /// tract alone
    Tract,
    /// rten
    Rten,
    /// ONNX Runtime
    Onnxruntime,
    /// ONNX Runtime with exact products of 8 bits, which it has by itself only where there is VNNI
    OnnxruntimeExact,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Wink,
        Self::Tract,
        Self::Rten,
        Self::Onnxruntime,
        Self::OnnxruntimeExact,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Wink => "wink",
            Self::Tract => "tract",
            Self::Rten => "rten",
            Self::Onnxruntime => "onnxruntime",
            Self::OnnxruntimeExact => "onnxruntime-exact",
        }
    }
}

/// A loaded graph with its inputs.
pub trait Engine {
    /// Runs once.
    fn run(&mut self) -> Result<()>;

    /// Runs once more; all outputs by name.
    fn outputs(&mut self) -> Result<Vec<Named>>;

    /// From the file to being able to run, without what was done for the inputs.
    fn load_time(&self) -> Duration;
}

/// Loads a graph that is fed `inputs`; `None` where the engine cannot use that many threads.
pub fn load(
    kind: Kind,
    file: &Path,
    inputs: &[SeededInput],
    threads: usize,
) -> Result<Option<Box<dyn Engine>>> {
    let execution = match kind {
        Kind::Onnxruntime | Kind::OnnxruntimeExact => {
            let exact = kind == Kind::OnnxruntimeExact;
            let engine = OnnxRuntime::load(file, inputs, threads, exact)?;
            return Ok(Some(Box::new(engine)));
        }
        Kind::Rten => return Ok(Some(Box::new(Rten::load(file, inputs, threads)?))),
        Kind::Tract if threads > 1 => return Ok(None),
        Kind::Wink => Execution::Fused,
        Kind::Tract => Execution::Plain,
    };
    let mut fed = Vec::with_capacity(inputs.len());
    for input in inputs {
        let tensor = input.tensor();
        let tensor = tensor.with_context(|| format!("input \"{}\"", input.name))?;
        fed.push((input.name.as_str(), tensor));
    }
    let mut graph = BareGraph::fed(Source::open(file)?, execution, fed)?;
    if let Some(count) = NonZeroUsize::new(threads) {
        // Pinning the calling thread would pin what the other engines start from it.
        graph.use_threads(Threads {
            count,
            pinned: false,
        })?;
    }
    Ok(Some(Box::new(Own(graph))))
}

struct Own(BareGraph);

impl Engine for Own {
    fn run(&mut self) -> Result<()> {
        Ok(self.0.run()?)
    }

    fn outputs(&mut self) -> Result<Vec<Named>> {
        self.0.run()?;
        let named = self.0.outputs().iter().enumerate();
        let value = |(index, (name, _)): (usize, &(String, _))| {
            let value = value_of(self.0.output(index)?);
            let value = value.with_context(|| format!("output \"{name}\" cannot be read"))?;
            Ok((name.clone(), value))
        };
        named.map(value).collect()
    }

    fn load_time(&self) -> Duration {
        self.0.load_times().total()
    }
}
