//! The wire's own JSON, written and read without a panic, against `serde-json-core`, which knows nothing of it.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use wink_firmware::JointVec;
use wink_firmware::servo::Alerts;
use wink_firmware::wire::{
    BoardMessage, Capabilities, Command, Counters, Fault, Health, Hello, HoldReason, HostHello,
    HostMessage, MAX_HOST_LINE, MAX_LINE, Name, Pong, Refusal, Setpoint, State, Telemetry, decode,
    encode_board, encode_host,
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
    Hello {
        version: u16,
        description_hash: u32,
    },
    Setpoint {
        deadline_us: u64,
        positions: heapless::Vec<f32, 8>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    Speed {
        scale: f32,
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

/// What is not a number is `null`.
type Floats = heapless::Vec<Option<f32>, 8>;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Board<'a> {
    Hello {
        answers: u32,
        version: u16,
        joints: u8,
        description_hash: u32,
        time_us: u64,
        refused: &'a str,
        arm: &'a str,
        image: &'a str,
        #[serde(borrow)]
        capabilities: heapless::Vec<&'a str, 10>,
    },
    Pong {
        host_time_us: u64,
        received_us: u64,
        time_us: u64,
    },
    Telemetry {
        time_us: u64,
        state: &'a str,
        hold: &'a str,
        fault: &'a str,
        positions: Floats,
        velocities: Floats,
        loads: Floats,
        speed: f32,
        last_setpoint_seq: u32,
        counters: [u32; 20],
    },
    Health {
        time_us: u64,
        temperatures_c: Floats,
        voltages_v: Floats,
        currents_a: Floats,
        alerts: heapless::Vec<u8, 8>,
        ticks: u32,
        longest_tick_us: u32,
    },
}

fn host() -> impl Strategy<Value = Command> {
    let joints = prop::collection::vec(-1e6_f32..1e6, 1..=8);
    let hello = (any::<u16>(), any::<u32>());
    prop_oneof![
        hello.prop_map(|(version, description_hash)| Command::Hello(HostHello {
            version,
            description_hash,
        })),
        (any::<u64>(), joints, any::<bool>()).prop_map(|(deadline_us, joints, held)| {
            Command::Setpoint(Setpoint {
                deadline_us,
                positions: JointVec::from_slice(&joints).unwrap(),
                held,
            })
        }),
        (-1e6_f32..1e6).prop_map(|scale| Command::Speed { scale }),
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
            held,
        }) => Host::Setpoint {
            deadline_us: *deadline_us,
            positions: positions.iter().copied().collect(),
            held: *held,
        },
        Command::Speed { scale } => Host::Speed { scale: *scale },
        Command::Ping { host_time_us } => Host::Ping {
            host_time_us: *host_time_us,
        },
        Command::Arm => Host::Arm,
        Command::Disarm => Host::Disarm,
        Command::PowerDown => Host::PowerDown,
        Command::Hold => Host::Hold,
        Command::ClearFault => Host::ClearFault,
        Command::Hello(HostHello {
            version,
            description_hash,
        }) => Host::Hello {
            version: *version,
            description_hash: *description_hash,
        },
    }
}

/// Any bits: zeros of both signs, subnormal numbers, infinities and NaN among them.
fn joints() -> impl Strategy<Value = JointVec> {
    let values = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..=8);
    values.prop_map(|values| JointVec::from_slice(&values).unwrap())
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9_-]{0,24}".prop_map(|name| name.parse::<Name>().unwrap())
}

fn hello() -> impl Strategy<Value = Hello> {
    let refused = [Refusal::None, Refusal::Version, Refusal::Description];
    let numbers = any::<(u32, u32, u16, u8, u32, u64)>();
    let words = (prop::sample::select(refused.to_vec()), name(), name());
    (numbers, words, any::<u32>()).prop_map(
        |((seq, answers, version, joints, description_hash, time_us), words, bits)| Hello {
            seq,
            answers,
            version,
            joints,
            description_hash,
            time_us,
            refused: words.0,
            arm: words.1,
            image: words.2,
            capabilities: Capabilities::from_bits_truncate(bits),
        },
    )
}

fn telemetry() -> impl Strategy<Value = Telemetry> {
    const STATES: [State; 4] = [State::Disarmed, State::Armed, State::Holding, State::Fault];
    const HOLDS: [HoldReason; 12] = [
        HoldReason::None,
        HoldReason::Starved,
        HoldReason::Servo,
        HoldReason::Commanded,
        HoldReason::Stall,
        HoldReason::Temperature,
        HoldReason::Voltage,
        HoldReason::Clock,
        HoldReason::PoweringDown,
        HoldReason::PolicyLate,
        HoldReason::Stop,
        HoldReason::ProofOfLife,
    ];
    const FAULTS: [Fault; 3] = [Fault::None, Fault::ServoRead, Fault::ServoWrite];

    let words = (
        prop::sample::select(STATES.to_vec()),
        prop::sample::select(HOLDS.to_vec()),
        prop::sample::select(FAULTS.to_vec()),
    );
    let values = (joints(), joints(), joints());
    let rest = (-1e3_f32..1e3, any::<[u32; 20]>());
    (any::<(u32, u64, u32)>(), words, values, rest).prop_map(
        |((seq, time_us, last_setpoint_seq), words, values, (speed, counts))| Telemetry {
            seq,
            time_us,
            state: words.0,
            hold: words.1,
            fault: words.2,
            positions: values.0,
            velocities: values.1,
            loads: values.2,
            speed,
            last_setpoint_seq,
            counters: counters(counts),
        },
    )
}

fn health() -> impl Strategy<Value = Health> {
    let alerts = prop::collection::vec(any::<u8>().prop_map(Alerts::from_bits_truncate), 0..=8);
    (
        any::<(u32, u64, u32, u32)>(),
        (joints(), joints(), joints()),
        alerts,
    )
        .prop_map(
            |((seq, time_us, ticks, longest_tick_us), values, alerts)| Health {
                seq,
                time_us,
                temperatures_c: values.0,
                voltages_v: values.1,
                currents_a: values.2,
                alerts: alerts.into_iter().collect(),
                ticks,
                longest_tick_us,
            },
        )
}

fn board() -> impl Strategy<Value = BoardMessage> {
    let pong =
        any::<(u32, u64, u64, u64)>().prop_map(|(seq, host_time_us, received_us, time_us)| {
            BoardMessage::Pong(Pong {
                seq,
                host_time_us,
                received_us,
                time_us,
            })
        });
    prop_oneof![
        hello().prop_map(BoardMessage::Hello),
        pong,
        telemetry().prop_map(BoardMessage::Telemetry),
        health().prop_map(BoardMessage::Health),
    ]
}

/// In the order of the wire.
fn counters(counts: [u32; 20]) -> Counters {
    let [
        accepted,
        bad_lines,
        repeated,
        lost,
        joint_count,
        not_finite,
        out_of_range,
        ..,
    ] = counts;
    let [
        ..,
        stale,
        too_far_ahead,
        queue_full,
        not_armed,
        refused,
        starved,
        reads,
        writes,
        held,
        policy_late,
        far_starts,
        outside_workspace,
        stops,
    ] = counts;
    Counters {
        accepted,
        bad_lines,
        repeated,
        lost,
        joint_count,
        not_finite,
        out_of_range,
        stale,
        too_far_ahead,
        queue_full,
        not_armed,
        refused,
        starved,
        servo_reads_failed: reads,
        servo_writes_failed: writes,
        held,
        policy_late,
        far_starts,
        outside_workspace,
        stops,
    }
}

fn counts(counters: &Counters) -> [u32; 20] {
    [
        counters.accepted,
        counters.bad_lines,
        counters.repeated,
        counters.lost,
        counters.joint_count,
        counters.not_finite,
        counters.out_of_range,
        counters.stale,
        counters.too_far_ahead,
        counters.queue_full,
        counters.not_armed,
        counters.refused,
        counters.starved,
        counters.servo_reads_failed,
        counters.servo_writes_failed,
        counters.held,
        counters.policy_late,
        counters.far_starts,
        counters.outside_workspace,
        counters.stops,
    ]
}

fn floats(values: &JointVec) -> Floats {
    let finite = |value: &f32| value.is_finite().then_some(*value);
    values.iter().map(finite).collect()
}

fn same_board(message: &BoardMessage) -> Board<'_> {
    match message {
        BoardMessage::Hello(hello) => Board::Hello {
            answers: hello.answers,
            version: hello.version,
            joints: hello.joints,
            description_hash: hello.description_hash,
            time_us: hello.time_us,
            refused: hello.refused.name(),
            arm: &hello.arm,
            image: &hello.image,
            capabilities: hello.capabilities.names().collect(),
        },
        BoardMessage::Pong(pong) => Board::Pong {
            host_time_us: pong.host_time_us,
            received_us: pong.received_us,
            time_us: pong.time_us,
        },
        BoardMessage::Telemetry(telemetry) => Board::Telemetry {
            time_us: telemetry.time_us,
            state: telemetry.state.name(),
            hold: telemetry.hold.name(),
            fault: telemetry.fault.name(),
            positions: floats(&telemetry.positions),
            velocities: floats(&telemetry.velocities),
            loads: floats(&telemetry.loads),
            speed: telemetry.speed,
            last_setpoint_seq: telemetry.last_setpoint_seq,
            counters: counts(&telemetry.counters),
        },
        BoardMessage::Health(health) => Board::Health {
            time_us: health.time_us,
            temperatures_c: floats(&health.temperatures_c),
            voltages_v: floats(&health.voltages_v),
            currents_a: floats(&health.currents_a),
            alerts: health.alerts.iter().map(|alerts| alerts.bits()).collect(),
            ticks: health.ticks,
            longest_tick_us: health.longest_tick_us,
        },
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
    fn what_the_board_writes_is_what_another_reader_reads(message in board()) {
        let mut line = [0; MAX_LINE];
        let len = encode_board(&message, &mut line).unwrap();
        let (read, used) = serde_json_core::from_slice::<Line<Board<'_>, &str>>(&line[..len]).unwrap();
        prop_assert!(used == len || used == len - 1, "{} of {}", used, len);
        prop_assert_eq!(read.seq, message.seq());
        prop_assert_eq!(read.message, same_board(&message));
    }
}
