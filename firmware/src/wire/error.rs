//! What can be wrong with a line.

use core::fmt;

use super::JsonError;

/// Why bytes are no message, or a message no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Bytes that belong to no message stood before one, or a line did not end in a CRC.
    Garbage,
    /// The line is longer than the reader's buffer.
    TooLong,
    /// The CRC does not fit the line.
    Crc {
        /// What the line says.
        line: u32,
        /// What its bytes amount to.
        computed: u32,
    },
    /// The CRC fits, but the line is no message of this protocol version.
    Json(JsonError),
    /// The message does not fit the buffer given to the encoder.
    BufferFull,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Garbage => write!(f, "bytes that are no message"),
            Self::TooLong => write!(f, "line too long"),
            Self::Crc { line, computed } => {
                write!(f, "CRC {line:08x} on the line, {computed:08x} computed")
            }
            Self::Json(error) => write!(f, "not a message of this protocol: {error}"),
            Self::BufferFull => write!(f, "message does not fit the buffer"),
        }
    }
}

impl core::error::Error for WireError {}
