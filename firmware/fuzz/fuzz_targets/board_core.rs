//! A whole board under any input: goals keep their limits and never jump.
//!
//! The input is a script. Each step is one byte of what happens and its operands: a message made
//! of the next bytes, a line body that gets a CRC, raw bytes, servos failing, or time passing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wink_firmware::config::{JointGuard, JointLimits, StallLimit};
use wink_firmware::servo::{Alerts, ServoBus, ServoState};
use wink_firmware::wire::{Command, HostHello, HostMessage, MAX_LINE, Setpoint, encode_host};
use wink_firmware::{Config, Core, JointVec};

mod seal;

const LIMITS: JointLimits = JointLimits {
    min: -2.0,
    max: 2.0,
    velocity: 3.0,
    acceleration: 60.0,
    jerk: 6_000.0,
};
const JOINTS: usize = 2;
/// Most time that one goal may make up for.
const MAX_TICK_US: u64 = 50_000;

struct Servos {
    positions: [f32; JOINTS],
    torque: bool,
    deaf: bool,
    mute: bool,
    says: ServoState,
    /// Time of the ticks since goals arrived.
    waited_us: u64,
}

impl ServoBus for Servos {
    type Error = ();

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), ()> {
        for (state, position) in states.iter_mut().zip(self.positions) {
            *state = ServoState {
                position,
                ..self.says
            };
        }
        if self.mute { Err(()) } else { Ok(()) }
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), ()> {
        if self.deaf {
            return Err(());
        }
        // A goal that did not arrive at once is sent again, and may then be as far away as the time allows that has passed.
        let most = LIMITS.velocity * self.waited_us.min(MAX_TICK_US) as f32 * 1e-6;
        self.waited_us = 0;
        if self.torque {
            for (position, goal) in self.positions.iter_mut().zip(goals) {
                let moved = (goal - *position).abs();
                assert!(moved <= most + 1e-6, "moved {moved} of {most}");
                *position = *goal;
            }
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), ()> {
        if self.deaf {
            return Err(());
        }
        self.torque = on;
        Ok(())
    }
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn position(&mut self) -> Option<f32> {
        Some(match self.byte()? {
            255 => f32::NAN,
            254 => f32::INFINITY,
            byte => f32::from(byte) / 60.0 - 2.05,
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut config = Config::new(&[LIMITS; JOINTS]).expect("fits");
    config.guards.fill(JointGuard {
        torque: 0.8,
        stall: Some(StallLimit {
            load: 0.5,
            current_a: f32::INFINITY,
            error: 0.01,
            time_us: 20_000,
        }),
        max_temperature_c: 70.0,
        start: f32::INFINITY,
    });
    config.min_voltage_v = 10.0;
    let mut core = Core::new(config).expect("makes sense");
    let mut servos = Servos {
        positions: [0.5, -1.9],
        torque: false,
        deaf: false,
        mute: false,
        says: ServoState::default(),
        waited_us: 0,
    };
    let mut script = Script(bytes);
    let mut now_us = 0;
    let mut seq = 0_u32;
    while run_step(&mut script, &mut core, &mut servos, &mut now_us, &mut seq).is_some() {}
});

fn run_step(
    script: &mut Script<'_>,
    core: &mut Core,
    servos: &mut Servos,
    now_us: &mut u64,
    seq: &mut u32,
) -> Option<()> {
    let mut send = |core: &mut Core, command| {
        *seq = seq.wrapping_add(1);
        let mut line = [0; MAX_LINE];
        let message = HostMessage { seq: *seq, command };
        let len = encode_host(&message, &mut line).expect("fits");
        core.receive(&line[..len], *now_us);
    };
    match script.byte()? {
        b'h' => send(core, Command::Hello(HostHello::default())),
        b'a' => send(core, Command::Arm),
        b'd' => send(core, Command::Disarm),
        b'o' => send(core, Command::Hold),
        b'c' => send(core, Command::ClearFault),
        b's' => {
            let ahead_us = u64::from(script.byte()?) * 2_500;
            let positions = [script.position()?, script.position()?];
            let positions = JointVec::from_slice(&positions).expect("fits");
            send(
                core,
                Command::Setpoint(Setpoint {
                    deadline_us: *now_us + ahead_us,
                    positions,
                    held: false,
                }),
            );
        }
        b'l' => {
            let count = usize::from(script.byte()?);
            let mut line = seal::seal(script.bytes(count));
            line.push(b'\n');
            core.receive(&line, *now_us);
        }
        b'r' => {
            let count = usize::from(script.byte()?);
            core.receive(script.bytes(count), *now_us);
        }
        b'g' => {
            servos.says = ServoState {
                load: f32::from(script.byte()?) / 100.0,
                temperature_c: Some(f32::from(script.byte()?)),
                voltage_v: Some(f32::from(script.byte()?) / 10.0),
                alerts: Alerts::from_bits_truncate(script.byte()?),
                ..ServoState::default()
            };
        }
        b't' => *now_us = now_us.saturating_sub(u64::from(script.byte()?) * 1_000),
        b'f' => {
            let which = script.byte()?;
            (servos.deaf, servos.mute) = (which & 1 != 0, which & 2 != 0);
        }
        byte => {
            let tick_us = if byte & 1 == 0 { 1_000 } else { 10_000 };
            for _ in 0..byte >> 4 {
                tick(core, servos, now_us, tick_us);
            }
        }
    }
    let mut out = [0; MAX_LINE];
    while core.telemetry(*now_us, &mut out).is_some() {}
    Some(())
}

fn tick(core: &mut Core, servos: &mut Servos, now_us: &mut u64, tick_us: u64) {
    *now_us += tick_us;
    servos.waited_us += tick_us;
    core.tick(*now_us, servos);
    for at in servos.positions {
        assert!((LIMITS.min..=LIMITS.max).contains(&at), "at {at}");
    }
}
