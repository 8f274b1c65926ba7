//! Whatever comes, limits are kept.

use proptest::prelude::*;

use super::*;
use crate::MAX_JOINTS;
use crate::config::{JointGuard, StallLimit};

/// What can befall a board.
#[derive(Debug, Clone)]
enum Event {
    Setpoint {
        positions: Vec<f32>,
        ahead_us: i64,
        seq_step: u32,
    },
    Command(Command),
    Bytes(Vec<u8>),
    Servos {
        mute: bool,
        deaf: bool,
    },
    /// What the servos say of themselves.
    Says(ServoState),
    /// The clock jumps, back or ahead.
    Clock(i64),
}

fn event() -> impl Strategy<Value = Event> {
    let position = prop_oneof![
        20 => -2.0_f32..=2.0,
        1 => Just(f32::NAN),
        1 => Just(1e9),
        1 => -3.0_f32..3.0,
    ];
    let positions = prop_oneof![
        20 => prop::collection::vec(position.clone(), JOINTS),
        1 => prop::collection::vec(position, 0..=MAX_JOINTS),
    ];
    let command = prop_oneof![
        Just(Command::Hello(HostHello::default())),
        Just(Command::Arm),
        Just(Command::Arm),
        Just(Command::Disarm),
        Just(Command::Hold),
        Just(Command::PowerDown),
        Just(Command::ClearFault),
    ];
    prop_oneof![
        12 => (positions, -20_000_i64..600_000, prop_oneof![10 => Just(1_u32), 1 => any::<u32>()])
            .prop_map(|(positions, ahead_us, seq_step)| Event::Setpoint {
                positions,
                ahead_us,
                seq_step,
            }),
        3 => command.prop_map(Event::Command),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Event::Bytes),
        1 => (prop::bool::weighted(0.3), prop::bool::weighted(0.3))
            .prop_map(|(mute, deaf)| Event::Servos { mute, deaf }),
        1 => (0.0_f32..2.0, 20.0_f32..90.0, 8.0_f32..14.0).prop_map(|(load, hot_c, volts)| {
            Event::Says(ServoState {
                load,
                temperature_c: Some(hot_c),
                voltage_v: Some(volts),
                ..ServoState::default()
            })
        }),
        1 => prop_oneof![-900_000_i64..0, 0_i64..3_000_000].prop_map(Event::Clock),
    ]
}

/// An arm whose joints are watched for all there is.
fn watchful(jerk: f32) -> Config {
    let mut config = Config::new(&[JointLimits { jerk, ..LIMITS }; JOINTS]).unwrap();
    for guard in &mut config.guards {
        *guard = JointGuard {
            torque: 0.9,
            stall: Some(StallLimit {
                load: 0.8,
                current_a: f32::INFINITY,
                error: 0.05,
                time_us: 50_000,
            }),
            max_temperature_c: 70.0,
            start: f32::INFINITY,
        };
    }
    config.min_voltage_v = 10.0;
    config
}

proptest! {
    #[test]
    fn whatever_comes_goals_keep_their_limits_and_never_jump(
        start in prop::array::uniform3(-2.0_f32..=2.0),
        tick_us in prop_oneof![Just(1_000_u64), Just(10_000)],
        jerk in prop_oneof![Just(f32::INFINITY), Just(20_000.0_f32), Just(4_000.0)],
        uneven in prop::bool::weighted(0.3),
        events in prop::collection::vec((event(), 0_u8..30), 1..60),
    ) {
        let mut rig = Rig::with(watchful(jerk), start);
        let mut last_us = rig.now_us;
        for (event, ticks) in events {
            match event {
                Event::Setpoint { positions, ahead_us, seq_step } => {
                    rig.seq = rig.seq.wrapping_add(seq_step.wrapping_sub(1));
                    let positions = JointVec::from_slice(&positions).unwrap();
                    let deadline_us = rig.now_us.saturating_add_signed(ahead_us);
                    rig.send(Command::Setpoint(Setpoint { deadline_us, positions, held: false }));
                }
                Event::Command(command) => rig.send(command),
                Event::Bytes(bytes) => rig.core.receive(&bytes, rig.now_us),
                Event::Servos { mute, deaf } => (rig.servos.mute, rig.servos.deaf) = (mute, deaf),
                Event::Says(state) => rig.servos.says = state,
                Event::Clock(jump) => rig.now_us = rig.now_us.saturating_add_signed(jump),
            }
            for tick in 0..ticks {
                let before = rig.servos.positions;
                let jitter = if uneven { u64::from(tick) % 7 * tick_us / 3 } else { 0 };
                let past_us = last_us;
                rig.now_us += tick_us + jitter;
                rig.tick();
                last_us = rig.now_us;
                // A clock that jumped ahead is believed for as long as a tick may make up for.
                let passed_us = rig.now_us.saturating_sub(past_us).min(50_000);
                let dt = passed_us as f32 * 1e-6;
                for (after, before) in rig.servos.positions.iter().zip(before) {
                    prop_assert!((LIMITS.min..=LIMITS.max).contains(after), "at {after}");
                    let moved = (after - before).abs();
                    prop_assert!(moved <= LIMITS.velocity * dt + 1e-6, "moved {moved}");
                }
            }
        }
    }
}
