//! The wire between host and board: one JSON object a line, with a sequence number and a CRC.
//!
//! Both halves live here, so that host and board cannot disagree: the host uses [`encode_host`] and
//! [`BoardReader`], the board [`HostReader`] and [`encode_board`]. The crate's front page has the
//! table of messages and the framing rules.

mod board_body;
mod codec;
mod counters;
mod cursor;
mod error;
mod host_body;
mod message;
mod number;
mod reader;
mod words;
mod writer;

pub(crate) use board_body::name;
pub use codec::{Message, decode, encode_board, encode_host};
pub use counters::Counters;
pub use cursor::JsonError;
pub use error::WireError;
pub use message::{
    BoardMessage, Command, Health, Hello, HostHello, HostMessage, Name, Pong, Setpoint, Telemetry,
};
pub use reader::{BoardReader, HostReader, LineReader};
pub use words::{Capabilities, Fault, HoldReason, Refusal, State};

/// Version of everything in this module; host and board must have the same.
pub const PROTOCOL_VERSION: u16 = 3;

/// Longest line in either direction, newline included: a telemetry line with every number at its
/// longest fits.
pub const MAX_LINE: usize = 1024;

/// Longest line from host to board, newline included. Smaller than [`MAX_LINE`] to spare the
/// board's memory.
pub const MAX_HOST_LINE: usize = 320;

/// Whether sequence number `seq` comes after `last`, wrap-around included (RFC 1982).
#[must_use]
pub const fn is_newer(seq: u32, last: u32) -> bool {
    let ahead = seq.wrapping_sub(last);
    ahead != 0 && ahead < 1 << 31
}
