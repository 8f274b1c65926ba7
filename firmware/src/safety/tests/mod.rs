//! A host, a board and servos on one clock, and what they do to each other.

mod anything;
mod endurance;
mod follows;
mod guards;
mod sessions;
mod start;
mod states;
mod stops;
mod workspace;

use std::vec::Vec;

use super::*;
use crate::JointVec;
use crate::config::{JointLimits, LinkGeometry, Workspace};
use crate::servo::ServoState;
use crate::wire::{
    BoardMessage, BoardReader, Command, HostHello, HostMessage, MAX_LINE, Setpoint, Telemetry,
    encode_host,
};

const LIMITS: JointLimits = JointLimits {
    min: -2.0,
    max: 2.0,
    velocity: 3.0,
    acceleration: 100.0,
    jerk: f32::INFINITY,
};
const JOINTS: usize = 3;
const TICK_US: u64 = 10_000;
const STEP_US: u64 = 50_000;
/// Of a servo against a wall, load per rad.
const STIFFNESS: f32 = 5.0;

/// A box, and a speed, for the tool of a table-top arm of pan, lift and elbow, 0.45 m long.
fn table_top(min: [f32; 3], max: [f32; 3], speed: f32) -> Workspace {
    let link = |offset, axis| LinkGeometry { offset, axis };
    Workspace {
        links: heapless::Vec::from_array([
            link([0.0, 0.0, 0.1], [0.0, 0.0, 1.0]),
            link([0.0, 0.0, 0.05], [0.0, 1.0, 0.0]),
            link([0.2, 0.0, 0.0], [0.0, 1.0, 0.0]),
        ]),
        tool: [0.25, 0.0, 0.0],
        min,
        max,
        speed,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Call {
    Write([f32; JOINTS]),
    Torque(bool),
}

/// Servos that reach their goal at once while they have torque and nothing is in their way.
#[derive(Default)]
struct Servos {
    positions: [f32; JOINTS],
    /// What else they say of themselves.
    says: ServoState,
    /// A wall at this position of the first joint; against it the load grows with the error.
    wall: Option<f32>,
    goals: [f32; JOINTS],
    torque: bool,
    calls: Vec<Call>,
    deaf: bool,
    mute: bool,
}

impl ServoBus for Servos {
    type Error = ();

    fn read(&mut self, states: &mut [ServoState]) -> Result<(), ()> {
        if self.mute {
            return Err(());
        }
        for (state, position) in states.iter_mut().zip(self.positions) {
            *state = ServoState {
                position,
                ..self.says
            };
        }
        if let (Some(first), Some(_)) = (states.first_mut(), self.wall) {
            first.load = ((self.goals[0] - self.positions[0]) * STIFFNESS).clamp(-1.0, 1.0);
        }
        Ok(())
    }

    fn write(&mut self, goals: &[f32]) -> Result<(), ()> {
        if self.deaf {
            return Err(());
        }
        let goals = goals.try_into().unwrap();
        self.calls.push(Call::Write(goals));
        self.goals = goals;
        if self.torque {
            self.positions = goals;
            if let Some(wall) = self.wall {
                self.positions[0] = goals[0].min(wall);
            }
        }
        Ok(())
    }

    fn set_torque(&mut self, on: bool) -> Result<(), ()> {
        if self.deaf {
            return Err(());
        }
        self.calls.push(Call::Torque(on));
        self.torque = on;
        Ok(())
    }
}

/// A host, a board and servos on one clock.
struct Rig {
    core: Core,
    servos: Servos,
    now_us: u64,
    seq: u32,
}

impl Rig {
    fn new(positions: [f32; JOINTS]) -> Self {
        Self::with(Config::new(&[LIMITS; JOINTS]).unwrap(), positions)
    }

    fn with(config: Config, positions: [f32; JOINTS]) -> Self {
        let core = Core::new(config).unwrap();
        let servos = Servos {
            positions,
            ..Servos::default()
        };
        Self {
            core,
            servos,
            now_us: 1_000_000,
            seq: 0,
        }
    }

    fn armed(positions: [f32; JOINTS]) -> Self {
        Self::new(positions).arm()
    }

    fn arm(mut self) -> Self {
        self.send(Command::Hello(HostHello::default()));
        self.send(Command::Arm);
        self.tick();
        assert_eq!(self.core.state(), State::Armed);
        self
    }

    fn send(&mut self, command: Command) {
        self.seq = self.seq.wrapping_add(1);
        self.send_as(self.seq, command);
    }

    fn send_as(&mut self, seq: u32, command: Command) {
        let mut line = [0; MAX_LINE];
        let len = encode_host(&HostMessage { seq, command }, &mut line).unwrap();
        self.core.receive(&line[..len], self.now_us);
    }

    fn setpoint(&mut self, positions: &[f32], ahead_us: u64) {
        self.target(positions, ahead_us, false);
    }

    fn target(&mut self, positions: &[f32], ahead_us: u64, held: bool) {
        let positions = JointVec::from_slice(positions).unwrap();
        let deadline_us = self.now_us + ahead_us;
        self.send(Command::Setpoint(Setpoint {
            deadline_us,
            positions,
            held,
        }));
    }

    fn tick(&mut self) {
        self.core.tick(self.now_us, &mut self.servos);
    }

    fn run(&mut self, time_us: u64) {
        for _ in 0..time_us / TICK_US {
            self.now_us += TICK_US;
            self.tick();
        }
    }

    fn lines(&mut self) -> Vec<BoardMessage> {
        let mut reader = BoardReader::new();
        let mut messages = Vec::new();
        let mut out = [0; MAX_LINE];
        while let Some(len) = self.core.telemetry(self.now_us, &mut out) {
            reader.push(&out[..len], |message| messages.push(message.unwrap()));
        }
        messages
    }

    fn telemetry(&mut self) -> Telemetry {
        let lines = self.lines();
        let telemetry = lines.iter().find_map(|line| match line {
            BoardMessage::Telemetry(telemetry) => Some(telemetry.clone()),
            _ => None,
        });
        telemetry.unwrap_or_else(|| panic!("no telemetry in {lines:?}"))
    }

    fn goals(&self) -> [f32; JOINTS] {
        match self
            .servos
            .calls
            .iter()
            .rfind(|call| matches!(call, Call::Write(_)))
        {
            Some(Call::Write(goals)) => *goals,
            _ => panic!("nothing was written"),
        }
    }
}
