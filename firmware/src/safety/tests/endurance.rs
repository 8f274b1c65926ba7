//! Many ticks with random faults: no limit is violated and nothing jumps, as a witness beside the servos sees it.
//!
//! 20,000 ticks; as many as the variable WINK_SAFETY_TICKS says where it is set. The seed decides everything.

use super::*;
use crate::MAX_JOINTS;
use crate::config::{JointGuard, ProofOfLife, StallLimit, distance};

const PERIOD_US: u64 = 5_000;
const DT: f32 = PERIOD_US as f32 * 1e-6;
const TOOL_SPEED: f32 = 0.5;
const LIMITS: JointLimits = JointLimits {
    min: -2.0,
    max: 2.0,
    velocity: 3.0,
    acceleration: 30.0,
    jerk: 3_000.0,
};
/// Rad/s^2 that goals rounded to single precision seem to add, at this period.
const ROUNDING: f32 = 4.0 * f32::EPSILON * 2.0 / (DT * DT);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    fn within(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn workspace() -> Workspace {
    table_top([-0.5, -0.5, 0.02], [0.5, 0.5, 0.7], TOOL_SPEED)
}

fn config() -> Config {
    let mut config = Config::new(&[LIMITS; JOINTS]).unwrap();
    config.guards.fill(JointGuard {
        torque: 0.9,
        stall: Some(StallLimit {
            load: 0.8,
            current_a: f32::INFINITY,
            error: 0.1,
            time_us: 300_000,
        }),
        max_temperature_c: 70.0,
        start: 0.35,
    });
    config.period_us = PERIOD_US as u32;
    config.proof = Some(ProofOfLife::BOARDS);
    config.workspace = Some(workspace());
    config.min_voltage_v = 5.0;
    config.late_after_us = 200_000;
    config
}

/// What the servos were told, and what was wrong with it.
struct Witness {
    goals: Option<[f32; JOINTS]>,
    velocities: [f32; JOINTS],
    /// The deepest that the tool was outside since it was inside: where torque came on, it may only come in.
    depth: f32,
    found: Vec<std::string::String>,
}

impl Witness {
    fn tool(goals: [f32; JOINTS]) -> [f32; 3] {
        let mut positions = [0.0; MAX_JOINTS];
        positions[..JOINTS].copy_from_slice(&goals);
        workspace().tool_at(&positions)
    }

    /// Torque is off, or what was said to it got lost: the next goals start anew.
    fn start_anew(&mut self) {
        self.goals = None;
    }

    fn look(&mut self, goals: [f32; JOINTS], tick: u64) {
        let depth = workspace().depth(Self::tool(goals));
        let Some(before) = self.goals.replace(goals) else {
            // It may be in motion: how fast is not known yet.
            (self.velocities, self.depth) = ([f32::NAN; JOINTS], depth);
            return;
        };
        let mut complain =
            |what: std::string::String| self.found.push(std::format!("tick {tick}: {what}"));
        for joint in 0..JOINTS {
            let (goal, last) = (goals[joint], before[joint]);
            if goal < LIMITS.min.min(last) || goal > LIMITS.max.max(last) {
                complain(std::format!("joint {joint} at {goal}"));
            }
            let velocity = (goal - last) / DT;
            if velocity.abs() > LIMITS.velocity * 1.001 {
                complain(std::format!("joint {joint} at {velocity} rad/s"));
            }
            let acceleration = (velocity - self.velocities[joint]) / DT;
            if acceleration.abs() > LIMITS.acceleration * 1.02 + ROUNDING {
                complain(std::format!("joint {joint} at {acceleration} rad/s^2"));
            }
            self.velocities[joint] = velocity;
        }
        let speed = distance(Self::tool(goals), Self::tool(before)) / DT;
        if speed > TOOL_SPEED * 1.01 {
            complain(std::format!("the tool at {speed} m/s"));
        }
        if depth > self.depth.max(2e-3) + 1e-5 {
            complain(std::format!("the tool {depth} m outside"));
        }
        self.depth = self.depth.min(depth);
    }
}

/// Servos with a lag, which fail, lie and meet obstacles.
struct Faulty {
    positions: [f32; JOINTS],
    says: ServoState,
    torque: bool,
    mute: bool,
    deaf: bool,
    witness: Witness,
    tick: u64,
    /// At this tick one goal is falsified on its way.
    planted: Option<u64>,
}

impl ServoBus for Faulty {
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
        let mut goals: [f32; JOINTS] = goals.try_into().unwrap();
        if self.planted.is_some_and(|tick| self.tick >= tick) && self.torque && !self.deaf {
            self.planted = None;
            goals[1] += 0.03;
        }
        if self.deaf {
            self.witness.start_anew();
            return Err(());
        }
        self.witness.look(goals, self.tick);
        if self.torque {
            for (position, goal) in self.positions.iter_mut().zip(goals) {
                *position += (goal - *position) * 0.3;
            }
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), ()> {
        if self.deaf {
            return Err(());
        }
        self.torque = on;
        if !on {
            self.witness.start_anew();
        }
        Ok(())
    }
}

struct Trial {
    core: Core,
    servos: Faulty,
    random: Random,
    now_us: u64,
    seq: u32,
    target: [f32; JOINTS],
    /// Until when nothing is sent, or only the target before.
    silent_until: u64,
    held_until: u64,
    stop_until: u64,
    armed: u64,
}

impl Trial {
    fn new(seed: u64, planted: Option<u64>) -> Self {
        Self {
            core: Core::new(config()).unwrap(),
            servos: Faulty {
                positions: [0.0, -0.5, 0.5],
                says: ServoState::default(),
                torque: false,
                mute: false,
                deaf: false,
                witness: Witness {
                    goals: None,
                    velocities: [0.0; JOINTS],
                    depth: 0.0,
                    found: Vec::new(),
                },
                tick: 0,
                planted,
            },
            random: Random(seed),
            now_us: 1_000_000,
            seq: 0,
            target: [0.0, -0.5, 0.5],
            silent_until: 0,
            held_until: 0,
            stop_until: 0,
            armed: 0,
        }
    }

    fn send(&mut self, command: Command) {
        self.seq = self.seq.wrapping_add(1);
        let mut line = [0; MAX_LINE];
        let len = encode_host(
            &HostMessage {
                seq: self.seq,
                command,
            },
            &mut line,
        )
        .unwrap();
        if self.random.below(200) == 0 {
            line[self.random.below(len as u64) as usize] ^= 1 << self.random.below(8);
        }
        self.core.receive(&line[..len], self.now_us);
    }

    fn fault(&mut self, tick: u64) {
        match self.random.below(16) {
            0 => self.silent_until = tick + self.random.below(200),
            1 => self.held_until = tick + self.random.below(400),
            2 => self.stop_until = tick + self.random.below(100),
            3 => self.servos.mute = true,
            4 => self.servos.deaf = true,
            5 => self.servos.says.load = self.random.within(-1.5, 1.5),
            6 => self.servos.says.temperature_c = Some(self.random.within(20.0, 80.0)),
            7 => self.servos.says.voltage_v = Some(self.random.within(4.0, 13.0)),
            8 => {
                let noise: Vec<u8> = (0..60).map(|_| self.random.next() as u8).collect();
                self.core.receive(&noise, self.now_us);
            }
            9 => self.send(Command::Hold),
            10 => {
                let command = if self.random.below(2) == 0 {
                    Command::Disarm
                } else {
                    Command::PowerDown
                };
                self.send(command);
            }
            11 => {
                let scale = self.random.within(-0.2, 1.2);
                self.send(Command::Speed { scale });
            }
            12 => self.send(Command::Hello(HostHello::default())),
            13 => {
                let wild = [f32::NAN, f32::INFINITY, 1e9, -3.0][self.random.below(4) as usize];
                self.aim([wild; JOINTS], false);
            }
            14 => self.seq = self.seq.wrapping_sub(self.random.below(5) as u32),
            _ => self.send(Command::Arm),
        }
    }

    fn mend(&mut self) {
        (self.servos.mute, self.servos.deaf) = (false, false);
        self.servos.says = ServoState::default();
        self.send(Command::Hello(HostHello::default()));
        self.send(Command::ClearFault);
        self.send(Command::Arm);
    }

    fn aim(&mut self, target: [f32; JOINTS], held: bool) {
        let deadline_us = self.now_us + self.random.below(100_000);
        let positions = JointVec::from_slice(&target).unwrap();
        self.send(Command::Setpoint(Setpoint {
            deadline_us,
            positions,
            held,
        }));
    }

    fn run(&mut self, ticks: u64) {
        for tick in 0..ticks {
            if self.random.below(60) == 0 {
                self.fault(tick);
            }
            if self.random.below(150) == 0 {
                self.mend();
            }
            if self.random.below(40) == 0 {
                self.target = core::array::from_fn(|_| self.random.within(-2.1, 2.1));
            }
            if tick % 4 == 0 && tick >= self.silent_until {
                let proving = self.core.hold_reason() == HoldReason::ProofOfLife;
                let target = if proving {
                    self.servos.positions
                } else {
                    self.target
                };
                self.aim(target, tick < self.held_until);
            }
            self.now_us += PERIOD_US;
            self.servos.tick = tick;
            self.core.set_stop(tick < self.stop_until);
            self.core.tick(self.now_us, &mut self.servos);
            self.armed += u64::from(self.core.state() == State::Armed);
            let mut out = [0; MAX_LINE];
            while self.core.telemetry(self.now_us, &mut out).is_some() {}
        }
    }
}

fn ticks() -> u64 {
    let wanted = std::env::var("WINK_SAFETY_TICKS").ok();
    wanted
        .and_then(|ticks| ticks.parse().ok())
        .unwrap_or(20_000)
}

#[test]
fn random_faults_violate_no_limit() {
    let ticks = ticks();
    let mut trial = Trial::new(16, None);
    trial.run(ticks);
    let found = &trial.servos.witness.found;
    assert!(
        found.is_empty(),
        "{} of {ticks} ticks, the first: {:#?}",
        found.len(),
        &found[..found.len().min(10)]
    );
    let counters = trial.core.counters();
    assert!(
        trial.armed > ticks / 5,
        "it hardly moved: {} ticks",
        trial.armed
    );
    for (name, count) in [
        ("accepted", counters.accepted),
        ("bad_lines", counters.bad_lines),
        ("not_finite", counters.not_finite),
        ("out_of_range", counters.out_of_range),
        ("starved", counters.starved),
        ("policy_late", counters.policy_late),
        ("far_starts", counters.far_starts),
        ("outside_workspace", counters.outside_workspace),
        ("stops", counters.stops),
        ("servo_reads_failed", counters.servo_reads_failed),
        ("servo_writes_failed", counters.servo_writes_failed),
    ] {
        assert!(count > 0, "no {name} in {ticks} ticks: {counters:?}");
    }
}

#[test]
fn a_planted_fault_is_found() {
    let mut trial = Trial::new(16, Some(5_000));
    trial.run(20_000);
    let found = &trial.servos.witness.found;
    assert!(
        found.iter().any(|found| found.contains("rad/s^2")),
        "{found:?}"
    );
}
