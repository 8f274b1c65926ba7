//! One line to one message and back.

use crc::{CRC_32_ISO_HDLC, Crc};

use super::cursor::{Cursor, JsonError};
use super::writer::Writer;
use super::{BoardMessage, HostMessage, WireError, board_body, host_body};

/// The CRC of zlib, PNG and Ethernet: every language has it.
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const CRC_KEY: &[u8; 8] = br#","crc":""#;
const CRC_END: &[u8; 2] = br#""}"#;
const CRC_DIGITS: usize = 8;
/// Length of `,"crc":"xxxxxxxx"}`.
const TRAILER: usize = CRC_KEY.len() + CRC_DIGITS + CRC_END.len();

/// A message of either direction.
pub trait Message: Sized {
    #[doc(hidden)]
    fn read(seq: u32, body: Body<'_>) -> Result<Self, JsonError>;
}

/// What stands in a line's `message` field and after it.
#[derive(Debug)]
pub struct Body<'a>(Cursor<'a>);

impl Message for HostMessage {
    fn read(seq: u32, mut body: Body<'_>) -> Result<Self, JsonError> {
        let command = host_body::read(&mut body.0)?;
        body.0.end()?;
        Ok(Self { seq, command })
    }
}

impl Message for BoardMessage {
    fn read(seq: u32, mut body: Body<'_>) -> Result<Self, JsonError> {
        let message = board_body::read(seq, &mut body.0)?;
        body.0.end()?;
        Ok(message)
    }
}

/// Writes a host message and its newline to the start of `out`; returns the number of bytes.
///
/// # Errors
/// [`WireError::BufferFull`]; [`MAX_HOST_LINE`](super::MAX_HOST_LINE) bytes are always enough.
pub fn encode_host(message: &HostMessage, out: &mut [u8]) -> Result<usize, WireError> {
    let mut writer = start(message.seq, out);
    host_body::write(&message.command, &mut writer);
    seal(&mut writer)
}

/// Writes a board message and its newline to the start of `out`; returns the number of bytes.
///
/// # Errors
/// [`WireError::BufferFull`]; [`MAX_LINE`](super::MAX_LINE) bytes are always enough.
pub fn encode_board(message: &BoardMessage, out: &mut [u8]) -> Result<usize, WireError> {
    let mut writer = start(message.seq(), out);
    board_body::write(message, &mut writer);
    seal(&mut writer)
}

fn start(seq: u32, out: &mut [u8]) -> Writer<'_> {
    let mut writer = Writer::new(out);
    writer.text("{");
    writer.key("seq");
    writer.whole(seq);
    writer.key("message");
    writer
}

/// Ends the line and returns its length.
fn seal(writer: &mut Writer<'_>) -> Result<usize, WireError> {
    let body = writer.written().ok_or(WireError::BufferFull)?;
    let crc = hex(CRC.checksum(body));
    for part in [CRC_KEY.as_slice(), &crc, CRC_END, b"\n"] {
        writer.bytes(part);
    }
    let line = writer.written().ok_or(WireError::BufferFull)?;
    Ok(line.len())
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
    parse(body).map_err(WireError::Json)
}

fn parse<M: Message>(body: &[u8]) -> Result<M, JsonError> {
    let mut cursor = Cursor::new(body);
    cursor.expect(b'{')?;
    field(&mut cursor, b"seq")?;
    let seq = cursor.whole()?;
    cursor.expect(b',')?;
    field(&mut cursor, b"message")?;
    M::read(seq, Body(cursor))
}

fn field(cursor: &mut Cursor<'_>, name: &[u8]) -> Result<(), JsonError> {
    if cursor.string()? != name {
        return Err(JsonError::Unknown);
    }
    cursor.expect(b':')
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
    use crate::servo::Alerts;
    use crate::wire::{
        Capabilities, Command, Counters, Fault, Health, Hello, HoldReason, HostHello,
        MAX_HOST_LINE, MAX_LINE, Name, Pong, Refusal, Setpoint, State, Telemetry, name,
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
            held: false,
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
            speed: value,
            last_setpoint_seq: largest,
            counters: Counters::from_array([largest; Counters::COUNT]),
        }
    }

    fn hello() -> Hello {
        Hello {
            seq: 0,
            answers: 1,
            version: 2,
            joints: 7,
            description_hash: 5,
            time_us: 12,
            refused: Refusal::None,
            arm: Name::new(),
            image: Name::new(),
            capabilities: Capabilities::empty(),
        }
    }

    const PONG: Pong = Pong {
        seq: 3,
        host_time_us: 7,
        received_us: 8,
        time_us: 9,
    };

    fn health() -> Health {
        let values = |first| JointVec::from_slice(&[first, f32::NAN]).unwrap();
        Health {
            seq: 4,
            time_us: 9,
            temperatures_c: values(41.0),
            voltages_v: values(12.1),
            currents_a: values(f32::NAN),
            alerts: heapless::Vec::from_array([Alerts::empty(), Alerts::OVERHEATING]),
            ticks: 5,
            longest_tick_us: 1003,
        }
    }

    /// The line with its CRC made anew.
    fn sealed(body: &str) -> String {
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
                host_line(
                    1,
                    Command::Hello(HostHello {
                        version: 2,
                        description_hash: 5,
                    }),
                ),
                "{\"seq\":1,\"message\":{\"hello\":{\"version\":2,\"description_hash\":5}},\"crc\":\"6e8a6b64\"}\n",
            ),
            (
                host_line(9, Command::Ping { host_time_us: 7 }),
                "{\"seq\":9,\"message\":{\"ping\":{\"host_time_us\":7}},\"crc\":\"008ac0a9\"}\n",
            ),
            (
                board_line(&BoardMessage::Hello(Hello {
                    arm: name("so\"101"),
                    capabilities: Capabilities::FEEDBACK | Capabilities::STALL_GUARD,
                    ..hello()
                })),
                "{\"seq\":0,\"message\":{\"hello\":{\"answers\":1,\"version\":2,\"joints\":7,\"description_hash\":5,\"time_us\":12,\"refused\":\"none\",\"arm\":\"so?101\",\"image\":\"\",\"capabilities\":[\"feedback\",\"stall_guard\"]}},\"crc\":\"a704f9a8\"}\n",
            ),
            (
                board_line(&BoardMessage::Pong(PONG)),
                "{\"seq\":3,\"message\":{\"pong\":{\"host_time_us\":7,\"received_us\":8,\"time_us\":9}},\"crc\":\"f1c7eb1e\"}\n",
            ),
            (
                board_line(&BoardMessage::Health(health())),
                "{\"seq\":4,\"message\":{\"health\":{\"time_us\":9,\"temperatures_c\":[41.0,null],\"voltages_v\":[12.1,null],\"currents_a\":[null,null],\"alerts\":[0,4],\"ticks\":5,\"longest_tick_us\":1003}},\"crc\":\"892be7c6\"}\n",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn host_messages_survive_the_wire() {
        let commands = [
            Command::Hello(HostHello::default()),
            Command::Ping {
                host_time_us: u64::MAX,
            },
            Command::Arm,
            Command::Disarm,
            Command::PowerDown,
            Command::Hold,
            Command::ClearFault,
            Command::Speed { scale: 0.25 },
            Command::Setpoint(Setpoint {
                deadline_us: 7,
                positions: JointVec::from_slice(&[0.5]).unwrap(),
                held: true,
            }),
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
    fn board_messages_survive_the_wire() {
        let messages = [
            BoardMessage::Hello(Hello {
                refused: Refusal::Description,
                arm: name("Arm der Universität Köln, Raum 7"),
                image: name("nucleo-f411"),
                capabilities: Capabilities::all(),
                ..hello()
            }),
            BoardMessage::Pong(PONG),
            BoardMessage::Telemetry(Telemetry {
                hold: HoldReason::PoweringDown,
                ..telemetry(0.1, 7)
            }),
        ];
        for message in messages {
            let line = board_line(&message);
            assert_eq!(decode(line.trim_end().as_bytes()), Ok(message), "{line}");
        }
        let line = board_line(&BoardMessage::Health(health()));
        let Ok(BoardMessage::Health(read)) = decode(line.trim_end().as_bytes()) else {
            panic!("{line}")
        };
        assert!(read.temperatures_c[1].is_nan());
        assert_eq!((read.alerts, read.ticks), (health().alerts, 5));
    }

    #[test]
    fn spaces_and_the_order_of_fields_do_not_matter() {
        let line = sealed(
            r#"{"seq": 8, "message": {"setpoint": {"positions": [0.1, -2], "deadline_us": 7 } } "#,
        );
        let message: HostMessage = decode(line.as_bytes()).unwrap();
        assert_eq!(message.command, setpoint(7, &[0.1, -2.0]));
    }

    #[test]
    fn the_first_versions_hello_is_understood() {
        let line = sealed(r#"{"seq":1,"message":"hello""#);
        let message: HostMessage = decode(line.as_bytes()).unwrap();
        let Command::Hello(hello) = message.command else {
            panic!()
        };
        assert_eq!(hello.version, 1);
    }

    #[test]
    fn not_a_number_arrives_as_such() {
        let line = host_line(1, setpoint(1, &[f32::NAN, f32::INFINITY]));
        let message: HostMessage = decode(line.trim_end().as_bytes()).unwrap();
        let Command::Setpoint(setpoint) = message.command else {
            panic!()
        };
        assert!(setpoint.positions.iter().all(|position| position.is_nan()));
        let line =
            sealed(r#"{"seq":1,"message":{"setpoint":{"deadline_us":1,"positions":[1e999]}}"#);
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
        let json = |body: &str| decode::<HostMessage>(sealed(body).as_bytes());
        for body in [
            r#"{"seq":1,"message":"dance""#,
            r#"{"seq":1,"message":{}"#,
            r#"{"seq":1,"message":{"ping":{}}"#,
            r#"{"seq":1,"message":{"ping":{"host_time_us":1},"ping":{"host_time_us":1}}"#,
            r#"{"seq":1,"message":{"hello":{"description_hash":1}}"#,
            r#"{"message":"arm","seq":1"#,
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
        let line = sealed(
            r#"{"seq":0,"message":{"hello":{"answers":1,"version":9,"joints":6,"description_hash":5,"time_us":12,"more":[{"a":[1]}],"capabilities":["dance","feedback"]}}"#,
        );
        let message: BoardMessage = decode(line.as_bytes()).unwrap();
        let BoardMessage::Hello(hello) = message else {
            panic!()
        };
        assert_eq!(
            (hello.version, hello.capabilities),
            (9, Capabilities::FEEDBACK)
        );
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
