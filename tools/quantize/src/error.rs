//! Why a graph is not quantised.

use std::path::PathBuf;

/// What is wrong, with the name of the node or tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// The bytes are no ONNX graph.
    #[error("is not an ONNX graph: {0}")]
    Parse(String),

    /// A weight has no values that can be read.
    #[error("weight \"{tensor}\": {message}")]
    Weight {
        /// Its name.
        tensor: String,
        /// What is wrong.
        message: String,
    },

    /// The engine does not run the graph.
    #[error("the graph does not run: {0}")]
    Engine(String),

    /// A sample does not fit the graph.
    #[error("the calibration samples do not fit this graph: {0}")]
    Sample(String),

    /// An activation is not finite during calibration, so no range fits it.
    #[error(
        "tensor \"{tensor}\" holds a value that is not finite while calibrating (sample {sample})"
    )]
    NotFinite {
        /// Its name.
        tensor: String,
        /// Which sample.
        sample: usize,
    },

    /// The graph holds quantised ops already.
    #[error("node \"{node}\": {op}: is quantised already; give the float precision of the package")]
    Quantised {
        /// Its name.
        node: String,
        /// Its op.
        op: String,
    },

    /// The graph's opset lacks what a scheme writes.
    #[error(
        "is of opset {found}, and {scheme} writes operators of opset {needed}; export the graph anew at opset {needed} or later"
    )]
    Opset {
        /// The scheme.
        scheme: &'static str,
        /// The graph's.
        found: i64,
        /// The oldest that has them.
        needed: i64,
    },

    /// Two tensors share a name.
    #[error(
        "tensor \"{tensor}\" is made more than once, and ONNX wants each name to stand for one tensor; export the graph anew"
    )]
    Twice {
        /// Their name.
        tensor: String,
    },
}
