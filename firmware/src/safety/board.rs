//! All that the board knows. What commands do to it stands in `commands`, what a tick does in
//! `step`.

use crate::MAX_JOINTS;
use crate::config::Config;
use crate::motion::{JointMotion, Positions, Smoother, Trajectory};
use crate::servo::ServoState;
use crate::wire::{Counters, Fault, HoldReason, Refusal, State};

use super::count;
use super::gate::Sequence;
use super::guard::Guards;
use super::start::Start;
use super::status::Outbox;

#[derive(Debug, Clone)]
pub(super) struct Board {
    pub config: Config,
    pub state: State,
    pub hold: HoldReason,
    pub fault: Fault,
    pub counters: Counters,
    pub last_setpoint_seq: u32,
    /// As last read; NaN before the first time.
    pub measured: [ServoState; MAX_JOINTS],
    pub outbox: Outbox,
    /// Whether the host that said hello fits; `None` before one did.
    pub session: Option<Refusal>,
    /// Ticks since the start.
    pub ticks: u32,
    /// Longest time between two ticks since it was last told.
    pub longest_tick_us: u32,
    pub(super) sequence: Sequence,
    pub(super) last_setpoint_us: u64,
    /// When a setpoint was last accepted that did not only repeat its target.
    pub(super) last_action_us: u64,
    pub(super) last_tick_us: Option<u64>,
    /// Share of the joints' highest velocities that the host asked for.
    pub(super) speed: f32,
    pub(super) start: Start,
    /// Whether the tool is outside of its workspace.
    pub(super) outside: bool,
    /// Whether the stop input is active.
    pub(super) stopped: bool,
    /// Whether torque is on, or may be: switching it on was tried.
    pub(super) torque: bool,
    pub(super) arm_due: bool,
    pub(super) disarm_due: bool,
    /// Failures in a row.
    pub(super) read_failures: u32,
    pub(super) write_failures: u32,
    /// The commands, which the goals follow smoothed.
    pub(super) joints: [JointMotion; MAX_JOINTS],
    pub(super) smoother: Smoother,
    /// The last goals written, or that are still to be.
    pub(super) goals: Positions,
    /// The goals could not be written yet.
    pub(super) write_due: bool,
    pub(super) guards: Guards,
    pub(super) trajectory: Trajectory,
    /// Where the trajectory was at the last tick.
    pub(super) reference: Positions,
}

impl Board {
    pub fn new(config: Config) -> Self {
        Self {
            speed: config.speed,
            smoother: Smoother::new(&config.joints, config.period_us),
            config,
            state: State::Disarmed,
            hold: HoldReason::None,
            fault: Fault::None,
            counters: Counters::default(),
            last_setpoint_seq: 0,
            measured: [ServoState::NOT_MEASURED; MAX_JOINTS],
            outbox: Outbox::default(),
            session: None,
            ticks: 0,
            longest_tick_us: 0,
            sequence: Sequence::default(),
            last_setpoint_us: 0,
            last_action_us: 0,
            last_tick_us: None,
            start: Start::default(),
            outside: false,
            stopped: false,
            torque: false,
            arm_due: false,
            disarm_due: false,
            read_failures: 0,
            write_failures: 0,
            joints: [JointMotion::at(0.0); MAX_JOINTS],
            goals: [0.0; MAX_JOINTS],
            write_due: false,
            guards: Guards::new(),
            trajectory: Trajectory::at(0, [0.0; MAX_JOINTS]),
            reference: [0.0; MAX_JOINTS],
        }
    }

    pub(super) fn note_write(&mut self, written: bool) {
        if written {
            self.write_failures = 0;
        } else {
            count(&mut self.write_failures);
            count(&mut self.counters.servo_writes_failed);
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.read_failures.max(self.write_failures)
    }

    pub(super) fn seed_from_measured(&mut self, now_us: u64) {
        for (joint, measured) in self.joints.iter_mut().zip(self.measured) {
            *joint = JointMotion::at(measured.position);
        }
        self.goals = self.command();
        self.smoother.rest_at(self.goals);
        self.write_due = false;
        self.guards.start_anew();
        self.rest_path_at_command(now_us);
    }

    pub(super) fn rest_path_at_command(&mut self, now_us: u64) {
        let command = self.command();
        self.trajectory.restart(now_us, command);
        self.reference = command;
    }

    pub(super) fn command(&self) -> Positions {
        self.joints.map(|joint| joint.position)
    }
}
