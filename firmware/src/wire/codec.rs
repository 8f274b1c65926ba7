//! One line to one message and back.

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use super::{BoardMessage, HostMessage, Message, WireError};

/// The CRC of zlib, PNG and Ethernet: every language has it.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const CRC_KEY: &[u8; 8] = br#","crc":""#;
const CRC_END: &[u8; 2] = br#""}"#;
const CRC_DIGITS: usize = 8;
/// Length of `,"crc":"xxxxxxxx"}`.
const TRAILER: usize = CRC_KEY.len() + CRC_DIGITS + CRC_END.len();

#[derive(Serialize)]
struct Outgoing<'a, B> {
    seq: u32,
    message: &'a B,
}

// Unknown fields are refused, not skipped: skipping recurses once per bracket, on a small stack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "B: Deserialize<'de>"))]
struct Incoming<'a, B> {
    seq: u32,
    message: B,
    #[serde(rename = "crc")]
    _crc: &'a str,
}

/// Writes a host message and its newline to the start of `out`; returns the number of bytes.
///
/// # Errors
/// [`WireError::BufferFull`]; [`MAX_HOST_LINE`](super::MAX_HOST_LINE) bytes are always enough.
pub fn encode_host(message: &HostMessage, out: &mut [u8]) -> Result<usize, WireError> {
    encode(message.seq, &message.command, out)
}

/// Writes a board message and its newline to the start of `out`; returns the number of bytes.
///
/// # Errors
/// [`WireError::BufferFull`]; [`MAX_LINE`](super::MAX_LINE) bytes are always enough.
pub fn encode_board(message: &BoardMessage, out: &mut [u8]) -> Result<usize, WireError> {
    let seq = match message {
        BoardMessage::Hello(hello) => hello.seq,
        BoardMessage::Telemetry(telemetry) => telemetry.seq,
    };
    encode(seq, message, out)
}

fn encode<B: Serialize>(seq: u32, message: &B, out: &mut [u8]) -> Result<usize, WireError> {
    let written = serde_json_core::to_slice(&Outgoing { seq, message }, out)
        .map_err(|_| WireError::BufferFull)?;
    // The trailer takes the place of the closing brace.
    let body_len = written.saturating_sub(1);
    let (body, rest) = out
        .split_at_mut_checked(body_len)
        .ok_or(WireError::BufferFull)?;
    let crc = hex(CRC.checksum(body));
    let trailer = CRC_KEY.iter().chain(&crc).chain(CRC_END).chain(b"\n");
    let line_len = body_len.saturating_add(TRAILER).saturating_add(1);
    if rest.len() <= TRAILER {
        return Err(WireError::BufferFull);
    }
    for (slot, byte) in rest.iter_mut().zip(trailer) {
        *slot = *byte;
    }
    Ok(line_len)
}

/// Reads one line without its newline.
///
/// # Errors
/// [`WireError::Garbage`], [`WireError::Crc`] or [`WireError::Json`].
pub fn decode<M: Message>(line: &[u8]) -> Result<M, WireError> {
    let (body, trailer) = line
        .split_last_chunk::<TRAILER>()
        .ok_or(WireError::Garbage)?;
    let digits = trailer
        .strip_prefix(CRC_KEY)
        .and_then(|rest| rest.strip_suffix(CRC_END))
        .ok_or(WireError::Garbage)?;
    let claimed = unhex(digits).ok_or(WireError::Garbage)?;
    let computed = CRC.checksum(body);
    if claimed != computed {
        return Err(WireError::Crc {
            line: claimed,
            computed,
        });
    }
    let (incoming, _) =
        serde_json_core::from_slice::<Incoming<'_, M::Body>>(line).map_err(WireError::Json)?;
    Ok(M::from_parts(incoming.seq, incoming.message))
}

fn hex(value: u32) -> [u8; CRC_DIGITS] {
    let mut digits = [0; CRC_DIGITS];
    for (digit, shift) in digits.iter_mut().zip((0..CRC_DIGITS as u32).rev()) {
        let nibble = value.wrapping_shr(shift.wrapping_mul(4)) & 0xf;
        *digit = char::from_digit(nibble, 16).unwrap_or('0') as u8;
    }
    digits
}

fn unhex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, byte| {
        Some(value.wrapping_shl(4) | char::from(*byte).to_digit(16)?)
    })
}
