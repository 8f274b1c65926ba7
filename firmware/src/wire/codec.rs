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

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;
    use crate::wire::{
        Command, Counters, Fault, Hello, HoldReason, MAX_HOST_LINE, MAX_LINE, Setpoint, State,
        Telemetry,
    };
    use crate::{JointVec, MAX_JOINTS};

    fn host_line(seq: u32, command: Command) -> String {
        let mut out = [0; MAX_HOST_LINE];
        let len = encode_host(&HostMessage { seq, command }, &mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    fn board_line(message: &BoardMessage) -> String {
        let mut out = [0; MAX_LINE];
        let len = encode_board(message, &mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    fn setpoint(deadline_us: u64, positions: &[f32]) -> Command {
        let positions = JointVec::from_slice(positions).unwrap();
        Command::Setpoint(Setpoint {
            deadline_us,
            positions,
        })
    }

    fn telemetry(value: f32, largest: u32) -> Telemetry {
        let values = JointVec::from_slice(&[value; MAX_JOINTS]).unwrap();
        Telemetry {
            seq: largest,
            time_us: u64::from(largest).pow(2),
            state: State::Disarmed,
            hold: HoldReason::Commanded,
            fault: Fault::ServoWrite,
            positions: values.clone(),
            velocities: values.clone(),
            loads: values,
            last_setpoint_seq: largest,
            counters: Counters::from([largest; 15]),
        }
    }

    /// The line with its CRC made anew.
    fn seal(body: &str) -> String {
        std::format!(r#"{body},"crc":"{:08x}"}}"#, CRC.checksum(body.as_bytes()))
    }

    #[test]
    fn lines_look_as_documented() {
        // CRCs computed with Python's zlib.crc32 over the text before `,"crc"`.
        let cases = [
            (
                host_line(7, Command::Arm),
                "{\"seq\":7,\"message\":\"arm\",\"crc\":\"5882570f\"}\n",
            ),
            (
                host_line(8, setpoint(1_050_000, &[0.1, -2.0, 1e-9])),
                "{\"seq\":8,\"message\":{\"setpoint\":{\"deadline_us\":1050000,\
                 \"positions\":[0.1,-2.0,1e-9]}},\"crc\":\"7d35da9d\"}\n",
            ),
            (
                board_line(&BoardMessage::Hello(Hello {
                    seq: 0,
                    answers: 1,
                    version: 1,
                    joints: 7,
                    description_hash: 5,
                    time_us: 12,
                })),
                "{\"seq\":0,\"message\":{\"hello\":{\"answers\":1,\"version\":1,\"joints\":7,\
                 \"description_hash\":5,\"time_us\":12}},\"crc\":\"a89e1766\"}\n",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn host_messages_survive_the_wire() {
        let commands = [
            Command::Hello,
            Command::Arm,
            Command::Disarm,
            Command::Hold,
            Command::ClearFault,
            setpoint(0, &[]),
            setpoint(
                u64::MAX,
                &[f32::MIN, f32::MAX, f32::MIN_POSITIVE, 1e-45, -0.0, 0.1, 1e9],
            ),
        ];
        for command in commands {
            let line = host_line(u32::MAX, command.clone());
            let message: HostMessage = decode(line.trim_end().as_bytes()).unwrap();
            assert_eq!(
                message,
                HostMessage {
                    seq: u32::MAX,
                    command
                }
            );
        }
    }

    #[test]
    fn not_a_number_arrives_as_such() {
        let line = host_line(1, setpoint(1, &[f32::NAN, f32::INFINITY]));
        let message: HostMessage = decode(line.trim_end().as_bytes()).unwrap();
        let Command::Setpoint(setpoint) = message.command else {
            panic!()
        };
        assert!(setpoint.positions.iter().all(|position| position.is_nan()));
        let line = seal(r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[1e999]}}"#);
        let message: HostMessage = decode(line.as_bytes()).unwrap();
        let Command::Setpoint(setpoint) = message.command else {
            panic!()
        };
        assert_eq!(setpoint.positions, [f32::INFINITY]);
    }

    #[test]
    fn the_longest_messages_fit() {
        let longest = -1.234_567_9e-38;
        let message = BoardMessage::Telemetry(telemetry(longest, u32::MAX));
        let line = board_line(&message);
        assert_eq!(
            decode::<BoardMessage>(line.trim_end().as_bytes()),
            Ok(message)
        );
        let line = host_line(u32::MAX, setpoint(u64::MAX, &[longest; MAX_JOINTS]));
        assert!(decode::<HostMessage>(line.trim_end().as_bytes()).is_ok());
    }

    #[test]
    fn too_small_a_buffer_is_an_error_at_every_size() {
        let message = HostMessage {
            seq: 3,
            command: setpoint(1, &[0.5; 7]),
        };
        let len = encode_host(&message, &mut [0; MAX_HOST_LINE]).unwrap();
        for size in 0..len {
            let mut out = std::vec![0; size];
            assert_eq!(
                encode_host(&message, &mut out),
                Err(WireError::BufferFull),
                "{size}"
            );
        }
        assert_eq!(encode_host(&message, &mut std::vec![0; len]), Ok(len));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let line = host_line(8, setpoint(1_050_000, &[0.1, -2.0]));
        let line = line.trim_end().as_bytes();
        for byte in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.to_vec();
                damaged[byte] ^= 1 << bit;
                // A CRC digit in the other case says the same.
                if damaged.eq_ignore_ascii_case(line) && byte > line.len() - TRAILER + 8 {
                    continue;
                }
                assert!(
                    decode::<HostMessage>(&damaged).is_err(),
                    "byte {byte} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        let json = |body: &str| decode::<HostMessage>(seal(body).as_bytes());
        for body in [
            r#"{"seq":1,"message":"dance""#,
            r#"{"seq":-1,"message":"arm""#,
            r#"{"seq":4294967296,"message":"arm""#,
            r#"{"seq":1"#,
            r#"{"seq":1,"message":"arm","more":[[[[]]]]"#,
            r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[0.1],"more":1}}"#,
            r#"{"seq":1,"message":{"setpoint":{"positions":[0.1]}}"#,
            r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[1,2,3,4,5,6,7,8,9]}}"#,
            r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[1,]}}"#,
            r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[--1]}}"#,
            "",
        ] {
            assert!(
                matches!(json(body), Err(WireError::Json(_))),
                "{body}: {:?}",
                json(body)
            );
        }
        for line in [
            "",
            "{",
            "boot 1.0",
            r#"{"seq":1,"message":"arm"}"#,
            &"x".repeat(30),
        ] {
            assert_eq!(
                decode::<HostMessage>(line.as_bytes()),
                Err(WireError::Garbage),
                "{line}"
            );
        }
        let crc = decode::<HostMessage>(br#"{"seq":1,"message":"arm","crc":"00000000"}"#);
        let computed = CRC.checksum(br#"{"seq":1,"message":"arm""#);
        assert_eq!(crc, Err(WireError::Crc { line: 0, computed }));
    }

    #[test]
    fn a_later_boards_hello_can_still_be_read() {
        let line = seal(
            r#"{"seq":0,"message":{"hello":{"answers":1,"version":9,"joints":6,"description_hash":5,"time_us":12,"capabilities":["stall",{"a":[1]}]}}"#,
        );
        let message: BoardMessage = decode(line.as_bytes()).unwrap();
        let BoardMessage::Hello(hello) = message else {
            panic!()
        };
        assert_eq!(hello.version, 9);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let lines: Vec<String> = [
            WireError::TooLong.to_string(),
            WireError::Crc {
                line: 1,
                computed: 2,
            }
            .to_string(),
        ]
        .into();
        assert_eq!(
            lines,
            [
                "line too long",
                "CRC 00000001 on the line, 00000002 computed"
            ]
        );
    }
}
