//! What can go wrong between an instruction and an action.

use std::path::PathBuf;

use super::PackageError;
use super::manifest::Size;

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

    /// A camera or a state that the policy reads is not there.
    #[error("the policy needs the {kind} \"{name}\" and was given {given}")]
    Missing {
        /// `camera` or `state`.
        kind: &'static str,
        /// The name in `policy.json`.
        name: String,
        /// The names that are there.
        given: String,
    },

    /// There is a camera or a state that the policy does not read: it was wired to another robot.
    #[error("the policy does not read the {kind} \"{name}\"; it reads {wanted}")]
    Superfluous {
        /// `camera` or `state`.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names in `policy.json`.
        wanted: String,
    },

    /// The frame's buffer does not hold `width * height * 3` bytes, or the frame is empty.
    #[error(
        "camera \"{camera}\": a frame of {width} x {height} pixels holds {bytes} bytes instead of width * height * 3"
    )]
    BadFrame {
        /// Name of the camera.
        camera: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Length of the pixel buffer.
        bytes: usize,
    },

    /// The policy does not take frames of this size.
    #[error("camera \"{camera}\" gives frames of {found}: {message}")]
    FrameSize {
        /// Name of the camera.
        camera: String,
        /// Size of the frame.
        found: Size,
        /// What the policy takes.
        message: String,
    },

    /// A state vector has another length than the policy was trained with.
    #[error("state \"{state}\": the policy takes {expected} values, the arm gave {given}")]
    StateLength {
        /// Name of the state.
        state: String,
        /// What the package says.
        expected: usize,
        /// What the observation holds.
        given: usize,
    },

    /// A state vector holds other numbers, or in another order, than the policy was trained with.
    #[error(
        "state \"{state}\": value {index} is \"{expected}\" to the policy and \"{given}\" to the arm"
    )]
    StateOrder {
        /// Name of the state.
        state: String,
        /// Position of the value.
        index: usize,
        /// What the package says.
        expected: String,
        /// What the observation holds.
        given: String,
    },

    /// A value of a state is measured in another unit than the policy was trained with.
    #[error(
        "state \"{state}\": \"{name}\" is in {expected} to the policy and in {given} to the arm"
    )]
    StateUnit {
        /// Name of the state.
        state: String,
        /// Name of the value.
        name: String,
        /// What the package says.
        expected: &'static str,
        /// What the observation holds.
        given: &'static str,
    },

    /// A NaN or an infinity went into or came out of the policy. The arm must hold its pose.
    #[error("{what} is not finite at index {index}")]
    NotFinite {
        /// The value by its name in `policy.json`, or `action`.
        what: String,
        /// The flat index of the first bad value.
        index: usize,
    },

    /// The tokens that a policy decoded stand for no chunk of actions.
    #[error("stage \"{stage}\": {message}")]
    Decode {
        /// Name of the stage.
        stage: String,
        /// What is wrong with the tokens.
        message: String,
    },

    /// A tool asked a policy for something that it does not have.
    #[error("the policy has no {kind} \"{name}\"; it has {held}")]
    Unknown {
        /// `stage` or `value`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The names that there are.
        held: String,
    },

    /// The policy cannot take the rest of the chunk before into account.
    #[error("{how} {message}")]
    Conditioning {
        /// What was asked for.
        how: &'static str,
        /// What the policy lacks.
        message: String,
    },

    /// A failure of a policy that is not a network (a script, a remote policy).
    #[error("{0}")]
    Other(String),
}
