//! Why a graph cannot be loaded or run.

use std::path::PathBuf;

use crate::tensor::{Element, TensorError};

/// A failure of the engine, in one line that names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The ONNX file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// The graph cannot be run: unknown op, wrong shape, broken file.
    #[error("{}: {message}", file.display())]
    Graph {
        /// The ONNX file.
        file: PathBuf,
        /// What is wrong, with the name of the node or tensor.
        message: String,
    },

    /// A tensor is fed that is no input of the graph.
    #[error("{}: has no input \"{}\"", file.display(), tensor.escape_debug())]
    NoInput {
        /// The ONNX file.
        file: PathBuf,
        /// The name.
        tensor: String,
    },

    /// An input of the graph is not fed.
    #[error("{}: input \"{}\" is not fed", file.display(), tensor.escape_debug())]
    Unfed {
        /// The ONNX file.
        file: PathBuf,
        /// The input.
        tensor: String,
    },

    /// An output is asked for that the graph does not have.
    #[error("{}: has no output \"{}\"", file.display(), tensor.escape_debug())]
    NoOutput {
        /// The ONNX file.
        file: PathBuf,
        /// The name.
        tensor: String,
    },

    /// What is fed to an input has another element type or shape.
    #[error("{}: input \"{}\" is {found} in the graph, {fed} is fed", file.display(), tensor.escape_debug())]
    Unfit {
        /// The ONNX file.
        file: PathBuf,
        /// The input.
        tensor: String,
        /// Type and shape in the graph.
        found: String,
        /// Type and shape of what is fed.
        fed: String,
    },

    /// An output is read as another element type than it has.
    #[error("{}: output \"{}\" is {found}, not {wanted}", file.display(), tensor.escape_debug())]
    OutputType {
        /// The ONNX file.
        file: PathBuf,
        /// The output.
        tensor: String,
        /// Its type and shape.
        found: String,
        /// The element type that was asked for.
        wanted: Element,
    },

    /// A tensor is not what it was taken for.
    #[error(transparent)]
    Tensor(#[from] TensorError),

    /// A thread cannot be kept to a processor.
    #[error("threads cannot be pinned: {0}")]
    Pin(std::io::Error),

    /// More threads are to be pinned than there are processors.
    #[error("{threads} threads cannot be pinned to {processors} processors")]
    TooFewProcessors {
        /// Threads asked for.
        threads: usize,
        /// Processors that the process may use.
        processors: usize,
    },

    /// A run of the graph failed.
    #[error("{}: inference failed: {message}", file.display())]
    Inference {
        /// The ONNX file.
        file: PathBuf,
        /// What failed, with the name of the node.
        message: String,
    },
}

/// Tract's messages quote whole tensors.
const MAX_MESSAGE: usize = 300;

/// A message without line breaks, cut where it gets long.
pub(crate) fn one_line(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}
