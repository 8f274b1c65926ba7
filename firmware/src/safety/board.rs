//! The state machine: what commands do to it, and what it does every tick.

use crate::config::Config;
use crate::motion::{JointMotion, Positions, Reference, Trajectory, TrajectoryFull};
use crate::servo::{ServoBus, ServoState};
use crate::wire::{Command, Counters, Fault, HoldReason, HostMessage, Setpoint, State};
use crate::{JointVec, MAX_JOINTS};

use super::count;
use super::gate::{self, Rejection, Sequence};
use super::status::Outbox;

/// Longest time that a tick may make up for, so that goals do not leap after the loop was blocked.
const MAX_TICK_US: u64 = 50_000;

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
    sequence: Sequence,
    last_setpoint_us: u64,
    last_tick_us: Option<u64>,
    /// Whether torque is on, or may be: switching it on was tried.
    torque: bool,
    arm_due: bool,
    disarm_due: bool,
    /// Failures in a row.
    read_failures: u32,
    write_failures: u32,
    /// The last goals written.
    joints: [JointMotion; MAX_JOINTS],
    trajectory: Trajectory,
    /// Where the trajectory was at the last tick.
    reference: Positions,
}

impl Board {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            state: State::Disarmed,
            hold: HoldReason::None,
            fault: Fault::None,
            counters: Counters::default(),
            last_setpoint_seq: 0,
            measured: [ServoState::NOT_MEASURED; MAX_JOINTS],
            outbox: Outbox::default(),
            sequence: Sequence::default(),
            last_setpoint_us: 0,
            last_tick_us: None,
            torque: false,
            arm_due: false,
            disarm_due: false,
            read_failures: 0,
            write_failures: 0,
            joints: [JointMotion::at(0.0); MAX_JOINTS],
            trajectory: Trajectory::at(0, [0.0; MAX_JOINTS]),
            reference: [0.0; MAX_JOINTS],
        }
    }

    // Commands.

    pub fn obey(&mut self, message: HostMessage, now_us: u64) {
        let HostMessage { seq, command } = message;
        if matches!(command, Command::Hello) {
            self.sequence.restart(seq);
            return self.greet(seq);
        }
        let new = self.sequence.admit(seq, &mut self.counters);
        match command {
            // Stopping is never wrong, so an old one counts too.
            Command::Hold => self.hold(HoldReason::Commanded),
            _ if !new => {}
            Command::Hello => {}
            Command::Arm => self.arm(now_us),
            Command::Disarm => self.disarm(),
            Command::ClearFault => self.clear_fault(now_us),
            Command::Setpoint(setpoint) => match self.follow(&setpoint, now_us) {
                Ok(()) => {
                    count(&mut self.counters.accepted);
                    self.last_setpoint_seq = seq;
                }
                Err(rejection) => rejection.count(&mut self.counters),
            },
        }
    }

    fn greet(&mut self, seq: u32) {
        self.hold(HoldReason::Commanded);
        self.last_setpoint_seq = 0;
        self.outbox.greet(seq);
    }

    fn arm(&mut self, now_us: u64) {
        match self.state {
            State::Disarmed => {
                self.arm_due = true;
                self.disarm_due = false;
                self.read_failures = 0;
                self.write_failures = 0;
            }
            State::Holding => self.go_on(now_us),
            State::Armed => {}
            State::Fault => count(&mut self.counters.refused),
        }
    }

    fn disarm(&mut self) {
        self.arm_due = false;
        self.disarm_due = true;
        if self.state != State::Fault {
            self.state = State::Disarmed;
            self.hold = HoldReason::None;
        }
    }

    fn hold(&mut self, reason: HoldReason) {
        self.arm_due = false;
        if matches!(self.state, State::Armed | State::Holding) {
            self.state = State::Holding;
            self.hold = reason;
        }
    }

    fn clear_fault(&mut self, now_us: u64) {
        if self.state != State::Fault {
            return;
        }
        if !self.torque || self.disarm_due {
            self.state = State::Disarmed;
        } else if self.failures() == 0 {
            self.seed_from_measured(now_us);
            self.state = State::Holding;
            self.hold = HoldReason::Commanded;
        } else {
            return count(&mut self.counters.refused);
        }
        self.fault = Fault::None;
    }

    fn follow(&mut self, setpoint: &Setpoint, now_us: u64) -> Result<(), Rejection> {
        let goes_on = match self.hold {
            HoldReason::None | HoldReason::Starved => true,
            HoldReason::Servo => self.failures() < self.config.hold_after_failures,
            HoldReason::Commanded => false,
        };
        let follows = matches!(self.state, State::Armed | State::Holding);
        if !(follows && goes_on) {
            return Err(Rejection::NotArmed);
        }
        gate::check(setpoint, &self.config, now_us)?;
        if self.state == State::Holding {
            self.go_on(now_us);
        }
        let mut positions = Positions::default();
        for (slot, position) in positions.iter_mut().zip(&setpoint.positions) {
            *slot = *position;
        }
        let command = self.command();
        let anew = self
            .trajectory
            .push(now_us, command, setpoint.deadline_us, positions)
            .map_err(|TrajectoryFull| Rejection::QueueFull)?;
        if anew {
            self.reference = command;
        }
        self.last_setpoint_us = now_us;
        Ok(())
    }

    /// Follows setpoints from the pose in which it held.
    fn go_on(&mut self, now_us: u64) {
        self.state = State::Armed;
        self.hold = HoldReason::None;
        self.last_setpoint_us = now_us;
        self.rest_path_at_command(now_us);
    }

    // The control step.

    pub fn tick<S: ServoBus>(&mut self, now_us: u64, servos: &mut S) {
        let elapsed_us = self
            .last_tick_us
            .map_or(0, |last| now_us.saturating_sub(last));
        self.last_tick_us = Some(now_us);
        self.read(servos);
        if self.disarm_due {
            self.switch_off(servos);
        } else if self.arm_due {
            self.switch_on(now_us, servos);
        } else if self.torque {
            self.watch(now_us);
            self.advance(now_us, elapsed_us.min(MAX_TICK_US), servos);
        }
    }

    fn read<S: ServoBus>(&mut self, servos: &mut S) {
        let joints = self.config.joints.len();
        let mut states = [ServoState::default(); MAX_JOINTS];
        let Some(states) = states.get_mut(..joints) else {
            return;
        };
        let answered = servos.read(states).is_ok();
        if answered && states.iter().all(|state| state.position.is_finite()) {
            self.read_failures = 0;
            for (slot, state) in self.measured.iter_mut().zip(states) {
                *slot = *state;
            }
        } else {
            count(&mut self.read_failures);
            count(&mut self.counters.servo_reads_failed);
        }
    }

    fn switch_off<S: ServoBus>(&mut self, servos: &mut S) {
        let off = servos.set_torque(false).is_ok();
        self.note_write(off);
        if off {
            self.torque = false;
            self.disarm_due = false;
        }
    }

    /// Goals first, then torque: a servo that wakes up with an old goal would leap to it.
    fn switch_on<S: ServoBus>(&mut self, now_us: u64, servos: &mut S) {
        if self.read_failures == 0 {
            self.seed_from_measured(now_us);
            let written = self.write_goals(servos);
            self.torque |= written;
            let on = written && servos.set_torque(true).is_ok();
            self.note_write(on);
            if on {
                self.arm_due = false;
                self.state = State::Armed;
                self.hold = HoldReason::None;
                self.last_setpoint_us = now_us;
                return;
            }
        }
        if self.failures() >= self.config.fault_after_failures {
            self.arm_due = false;
            self.break_down();
        }
    }

    /// Stops following when there is a reason to.
    fn watch(&mut self, now_us: u64) {
        if self.state == State::Fault {
            return;
        }
        let failures = self.failures();
        if failures >= self.config.fault_after_failures {
            self.break_down();
        } else if self.state == State::Armed {
            let silence_us = now_us.saturating_sub(self.last_setpoint_us);
            if failures >= self.config.hold_after_failures {
                self.hold(HoldReason::Servo);
            } else if silence_us > self.config.hold_after_us {
                count(&mut self.counters.starved);
                self.hold(HoldReason::Starved);
            }
        }
    }

    fn break_down(&mut self) {
        self.state = State::Fault;
        self.hold = HoldReason::None;
        self.fault = if self.write_failures > self.read_failures {
            Fault::ServoWrite
        } else {
            Fault::ServoRead
        };
    }

    fn advance<S: ServoBus>(&mut self, now_us: u64, elapsed_us: u64, servos: &mut S) {
        let before = self.joints;
        let dt = elapsed_us as f32 * 1e-6;
        if dt > 0.0 {
            if self.state == State::Armed {
                self.step_along_path(now_us, dt);
            } else {
                for (joint, limits) in self.joints.iter_mut().zip(&self.config.joints) {
                    joint.step(limits, None, dt);
                }
            }
        }
        let written = self.write_goals(servos);
        self.note_write(written);
        if !written {
            // The servos are still where they were: do not get ahead of them.
            self.joints = before;
        }
    }

    fn step_along_path(&mut self, now_us: u64, dt: f32) {
        let positions = self.trajectory.at_time(now_us);
        let last = core::mem::replace(&mut self.reference, positions);
        let path = positions.into_iter().zip(last);
        for ((joint, limits), (position, last)) in
            self.joints.iter_mut().zip(&self.config.joints).zip(path)
        {
            let reference = Reference {
                position,
                velocity: (position - last) / dt,
            };
            joint.step(limits, Some(reference), dt);
        }
    }

    fn write_goals<S: ServoBus>(&self, servos: &mut S) -> bool {
        let command = self.command();
        let goals = command.get(..self.config.joints.len()).unwrap_or_default();
        servos.write(goals).is_ok()
    }

    fn note_write(&mut self, written: bool) {
        if written {
            self.write_failures = 0;
        } else {
            count(&mut self.write_failures);
            count(&mut self.counters.servo_writes_failed);
        }
    }

    fn failures(&self) -> u32 {
        self.read_failures.max(self.write_failures)
    }

    fn seed_from_measured(&mut self, now_us: u64) {
        for (joint, measured) in self.joints.iter_mut().zip(self.measured) {
            *joint = JointMotion::at(measured.position);
        }
        self.rest_path_at_command(now_us);
    }

    fn rest_path_at_command(&mut self, now_us: u64) {
        let command = self.command();
        self.trajectory.restart(now_us, command);
        self.reference = command;
    }

    fn command(&self) -> Positions {
        self.joints.map(|joint| joint.position)
    }

    /// One measured value per joint.
    pub fn each_measured(&self, value: impl Fn(&ServoState) -> f32) -> JointVec {
        let mut values = JointVec::new();
        for (measured, _) in self.measured.iter().zip(&self.config.joints) {
            // There are no more joints than a `JointVec` holds.
            let _ = values.push(value(measured));
        }
        values
    }
}
