//! Which of a file's roundings are computed.

/// Quantising and half precision round values. Fused operators need not follow each of these roundings to be useful.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// All of them, as ONNX Runtime does them on a CPU.
    AsWritten,
    /// Those that are left once products, activations and attentions are fused.
    Fused,
}
