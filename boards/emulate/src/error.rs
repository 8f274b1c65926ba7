//! What goes wrong with an emulator.

use std::io;
use std::path::PathBuf;

/// Why a board cannot be emulated, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// A file that has to be built first is not there.
    #[error("{}: not found; build it with `{command}`", path.display())]
    NotBuilt {
        /// What builds it.
        command: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// The emulator, or what it runs in, is not installed.
    #[error("{program} cannot be started; {hint}")]
    NotInstalled {
        /// Its name.
        program: &'static str,
        /// How to get it.
        hint: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The image cannot be read.
    #[error("{}: not an image for this board: {why}", path.display())]
    BadImage {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The arm has no servos on a bus.
    #[error("{arm} cannot be driven by an emulated board: its file names no servos on a bus")]
    NoBus {
        /// Its name.
        arm: &'static str,
    },
    /// The emulator stopped by itself.
    #[error("{program} ended: {said}")]
    Ended {
        /// Its name.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// The image has not asked its servos anything for so long that it must be stuck.
    #[error("the board has been silent for {seconds} s of real time: its image is stuck")]
    Silent {
        /// How long.
        seconds: u64,
    },
    /// The emulator does not do what it should.
    #[error("{program} misbehaves: {what}")]
    Protocol {
        /// Its name.
        program: &'static str,
        /// What it did.
        what: String,
    },
    /// The operating system refused.
    #[error("talking to the emulator: {0}")]
    Io(#[from] io::Error),
}
