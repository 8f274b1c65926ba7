//! What can go wrong between an instruction and an action.

use std::path::PathBuf;

use super::PackageError;

/// Why a policy gave no action.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The package's metadata or files are wrong.
    #[error(transparent)]
    Package(#[from] PackageError),

    /// A graph of the package cannot be loaded or run.
    #[cfg(feature = "onnx")]
    #[error(transparent)]
    Engine(#[from] wink_engine::EngineError),

    /// A graph of the package does not fit `policy.json`.
    #[error("{}: {message}", file.display())]
    Graph {
        /// The ONNX file.
        file: PathBuf,
        /// What is wrong, with the name of the tensor.
        message: String,
    },

    /// The tokenizer file does not load, or does not fit the text graph.
    #[error("{}: {message}", file.display())]
    Tokenizer {
        /// The tokenizer file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },

    /// The package was asked for a precision that it does not hold.
    #[error("precision \"{asked}\" is not in this package; it holds {}", held.join(", "))]
    UnknownPrecision {
        /// The name asked for.
        asked: String,
        /// The names that the package holds.
        held: Vec<String>,
    },

    /// The instruction does not fit the text graph.
    #[error(
        "the instruction has {tokens} tokens, this policy takes at most {max_tokens}: shorten \"{}\"",
        instruction.escape_debug()
    )]
    InstructionTooLong {
        /// The instruction as given (cut to 80 characters).
        instruction: String,
        /// How many tokens it has.
        tokens: usize,
        /// How many the text graph takes.
        max_tokens: usize,
    },

    /// The instruction holds nothing the tokenizer knows.
    #[error("the instruction is empty: tell the policy what to do")]
    EmptyInstruction,

    /// `act` was called before `begin_episode`.
    #[error("no instruction yet: begin an episode before asking for an action")]
    NoEpisode,

    /// A policy that looks was given no frame.
    #[error("this policy needs a camera frame and was given none")]
    MissingFrame,

    /// The frame's buffer does not hold `width * height * 3` bytes, or the frame is empty.
    #[error(
        "camera frame of {width} x {height} pixels holds {bytes} bytes instead of width * height * 3"
    )]
    BadFrame {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Length of the pixel buffer.
        bytes: usize,
    },

    /// The proprioception vector has another length than the policy was trained with.
    #[error("the policy takes {expected} state values, the arm gave {given}")]
    StateLength {
        /// What the package says.
        expected: usize,
        /// What the observation holds.
        given: usize,
    },

    /// A NaN or an infinity went into or came out of the policy. The arm must hold its pose.
    #[error("{what} is not finite at index {index}")]
    NotFinite {
        /// The tensor: `state`, `text` or `action`.
        what: &'static str,
        /// The flat index of the first bad value.
        index: usize,
    },

    /// A failure of a policy that is not a network (a script, a remote policy).
    #[error("{0}")]
    Other(String),
}
