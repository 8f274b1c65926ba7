//! What can run a graph.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Result;
use wink_runtime::policy::{BareGraph, Execution, Threads};

use super::onnxruntime::OnnxRuntime;
use crate::bad_input::as_bad_input;

/// An engine by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// This runtime: fused 8-bit ops inside tract
    Wink,
    /// tract alone
    Tract,
    /// ONNX Runtime
    Onnxruntime,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Wink, Self::Tract, Self::Onnxruntime];

    pub fn name(self) -> &'static str {
        match self {
            Self::Wink => "wink",
            Self::Tract => "tract",
            Self::Onnxruntime => "onnxruntime",
        }
    }
}

/// A loaded graph with its inputs.
pub trait Engine {
    fn name(&self) -> &'static str;

    fn threads(&self) -> usize;

    /// Runs once; the first output's floats.
    fn run(&mut self) -> Result<Vec<f32>>;
}

/// Loads a graph; `None` where the engine cannot use that many threads.
pub fn load(kind: Kind, file: &Path, threads: usize) -> Result<Option<Box<dyn Engine>>> {
    let execution = match kind {
        Kind::Onnxruntime => return Ok(Some(Box::new(OnnxRuntime::load(file, threads)?))),
        Kind::Tract if threads > 1 => return Ok(None),
        Kind::Wink => Execution::Fused,
        Kind::Tract => Execution::Plain,
    };
    let mut graph = BareGraph::load(file, execution).map_err(as_bad_input)?;
    if let Some(count) = NonZeroUsize::new(threads) {
        graph.use_threads(Threads {
            count,
            pinned: false,
        });
    }
    Ok(Some(Box::new(Own {
        kind,
        graph,
        threads,
    })))
}

struct Own {
    kind: Kind,
    graph: BareGraph,
    threads: usize,
}

impl Engine for Own {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn run(&mut self) -> Result<Vec<f32>> {
        Ok(self.graph.run()?)
    }
}
