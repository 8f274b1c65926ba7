//! What can be wrong with a board.

/// Why a board cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// The board's file is not TOML, or a field is missing, unknown, or of another type.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A value makes no sense.
    #[error("line {line}: {field} is {value}, outside of {min} .. {max}")]
    OutOfRange {
        /// Where, counted from 1.
        line: usize,
        /// Which.
        field: &'static str,
        /// What it is.
        value: u32,
        /// The least that is allowed.
        min: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// A camera's table makes no sense.
    #[error("line {line}: {message}")]
    Camera {
        /// Where, counted from 1.
        line: usize,
        /// The table and the field, and what to do.
        message: String,
    },
    /// The arm needs a bus that the board's file does not have.
    #[error("the arm \"{arm}\" needs {needs}, and the board \"{board}\" has no [{section}]")]
    NoBus {
        /// The arm.
        arm: String,
        /// What it needs.
        needs: &'static str,
        /// The board.
        board: String,
        /// What is missing from its file.
        section: &'static str,
    },
    /// The arm's description does not say what its servos are.
    #[error("the arm \"{arm}\" cannot be driven: {message}")]
    Arm {
        /// The arm.
        arm: String,
        /// Why.
        message: String,
    },
    /// A device cannot be opened.
    #[error("{path}: {message}")]
    Open {
        /// Its path.
        path: String,
        /// Why, and what to do.
        message: String,
    },
    /// Another program has a device open.
    #[error("{path} is taken by {by}: end that program first")]
    Taken {
        /// The device.
        path: String,
        /// The program.
        by: String,
    },
    /// An adapter's driver keeps answers back for too long.
    #[error(
        "{path}: its driver keeps answers back for {ms} ms, too long for a control step: `echo 1 | sudo tee {timer}`"
    )]
    LatencyTimer {
        /// The device.
        path: String,
        /// How long.
        ms: u32,
        /// Where the driver keeps that time.
        timer: String,
    },
    /// The servos are not as they should be.
    #[error("{path}: {message}")]
    Servos {
        /// The bus.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The operating system gives no thread.
    #[error("the firmware's thread cannot be started: {0}")]
    Thread(std::io::Error),
}
