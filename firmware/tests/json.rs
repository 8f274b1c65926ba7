//! The wire's own JSON, written and read without a panic, against `serde-json-core`, which knows nothing of it.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wink_firmware::JointVec;
use wink_firmware::wire::{
    Command, HostMessage, MAX_HOST_LINE, Pong, Setpoint, decode, encode_board, encode_host,
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Line<T, C> {
    seq: u32,
    message: T,
    crc: C,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Host {
    Setpoint {
        deadline_us: u64,
        positions: heapless::Vec<f32, 8>,
    },
    Ping {
        host_time_us: u64,
    },
    Arm,
    Disarm,
    PowerDown,
    Hold,
    ClearFault,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Board {
    Pong {
        host_time_us: u64,
        received_us: u64,
        time_us: u64,
    },
}

fn host() -> impl Strategy<Value = Command> {
    let joints = prop::collection::vec(-1e6_f32..1e6, 1..=8);
    prop_oneof![
        (any::<u64>(), joints).prop_map(|(deadline_us, joints)| Command::Setpoint(Setpoint {
            deadline_us,
            positions: JointVec::from_slice(&joints).unwrap(),
        })),
        any::<u64>().prop_map(|host_time_us| Command::Ping { host_time_us }),
        Just(Command::Arm),
        Just(Command::Disarm),
        Just(Command::PowerDown),
        Just(Command::Hold),
        Just(Command::ClearFault),
    ]
}

fn same(command: &Command) -> Host {
    match command {
        Command::Setpoint(Setpoint {
            deadline_us,
            positions,
        }) => Host::Setpoint {
            deadline_us: *deadline_us,
            positions: positions.iter().copied().collect(),
        },
        Command::Ping { host_time_us } => Host::Ping {
            host_time_us: *host_time_us,
        },
        Command::Arm => Host::Arm,
        Command::Disarm => Host::Disarm,
        Command::PowerDown => Host::PowerDown,
        Command::Hold => Host::Hold,
        Command::ClearFault => Host::ClearFault,
        Command::Hello(_) => unreachable!("is not drawn"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_host_writes_is_what_another_reader_reads(seq in any::<u32>(), command in host()) {
        let mut line = [0; MAX_HOST_LINE];
        let len = encode_host(&HostMessage { seq, command: command.clone() }, &mut line).unwrap();
        let (read, used) = serde_json_core::from_slice::<Line<Host, &str>>(&line[..len]).unwrap();
        prop_assert!(used == len || used == len - 1, "{} of {}", used, len);
        prop_assert_eq!(read.seq, seq);
        prop_assert_eq!(read.message, same(&command));
    }

    #[test]
    fn what_another_writer_writes_is_what_the_board_reads(seq in any::<u32>(), command in host()) {
        let mut line = [0_u8; 512];
        let len = serde_json_core::to_slice(&Line { seq, message: same(&command), crc: "00000000" }, &mut line).unwrap();
        // The checksum is over all before its own key, which is the last.
        let body = len - r#","crc":"00000000"}"#.len();
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&line[..body]);
        let digits = format!("{crc:08x}");
        line[len - 10..len - 2].copy_from_slice(digits.as_bytes());
        let read: HostMessage = decode(&line[..len]).unwrap();
        prop_assert_eq!(read, HostMessage { seq, command });
    }

    #[test]
    fn what_the_board_writes_is_what_another_reader_reads(seq in any::<u32>(), times in any::<[u64; 3]>()) {
        let [host_time_us, received_us, time_us] = times;
        let pong = Pong { seq, host_time_us, received_us, time_us };
        let mut line = [0; 256];
        let len = encode_board(&wink_firmware::wire::BoardMessage::Pong(pong), &mut line).unwrap();
        let (read, _) = serde_json_core::from_slice::<Line<Board, &str>>(&line[..len]).unwrap();
        prop_assert_eq!(read.message, Board::Pong { host_time_us, received_us, time_us });
    }
}
