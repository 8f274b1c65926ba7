//! What the host's messages do.

use crate::config::is_speed_scale;
use crate::motion::TrajectoryFull;
use crate::wire::{
    Command, Fault, HoldReason, HostHello, HostMessage, PROTOCOL_VERSION, Refusal, Setpoint, State,
};

use super::board::Board;
use super::count;
use super::gate::{self, Rejection};

impl Board {
    pub fn obey(&mut self, message: HostMessage, now_us: u64) {
        let HostMessage { seq, command } = message;
        if let Command::Hello(hello) = command {
            self.sequence.restart(seq);
            return self.greet(seq, hello);
        }
        let new = self.sequence.admit(seq, &mut self.counters);
        match command {
            // Stopping is never wrong, so an old one counts too.
            Command::Hold => self.hold(HoldReason::Commanded),
            _ if !new => {}
            Command::Disarm => self.disarm(),
            Command::PowerDown => self.power_down(),
            Command::Ping { host_time_us } => self.outbox.answer(host_time_us, now_us),
            // From here on, only for a host that fits.
            _ if self.session != Some(Refusal::None) => count(&mut self.counters.refused),
            Command::Arm => self.arm(now_us),
            Command::ClearFault => self.clear_fault(now_us),
            Command::Speed { scale } if is_speed_scale(scale) => self.speed = scale,
            Command::Speed { .. } => count(&mut self.counters.refused),
            Command::Setpoint(setpoint) => match self.follow(&setpoint, now_us) {
                Ok(()) => {
                    count(&mut self.counters.accepted);
                    if setpoint.held {
                        count(&mut self.counters.held);
                    }
                    self.last_setpoint_seq = seq;
                }
                Err(rejection) => rejection.count(&mut self.counters),
            },
            Command::Hello(_) => {}
        }
    }

    fn greet(&mut self, seq: u32, hello: HostHello) {
        self.session = Some(self.fit(hello));
        self.hold(HoldReason::Commanded);
        self.speed = self.config.speed;
        self.last_setpoint_seq = 0;
        self.outbox.greet(seq);
    }

    fn fit(&self, host: HostHello) -> Refusal {
        let (theirs, ours) = (host.description_hash, self.config.description_hash);
        if host.version != PROTOCOL_VERSION {
            Refusal::Version
        } else if theirs != ours && theirs != 0 && ours != 0 {
            Refusal::Description
        } else {
            Refusal::None
        }
    }

    fn arm(&mut self, now_us: u64) {
        match self.state {
            _ if self.stopped => {
                self.set_stop(true);
                count(&mut self.counters.refused);
            }
            State::Disarmed => {
                self.disarm_due = false;
                self.read_failures = 0;
                self.write_failures = 0;
                self.begin_to_arm(now_us);
            }
            State::Holding => self.arm_after_hold(now_us),
            // A new episode starts like the first one.
            State::Armed => self.start.begin(),
            State::Fault => count(&mut self.counters.refused),
        }
    }

    fn arm_after_hold(&mut self, now_us: u64) {
        if let Some(alarm) = self.guards.alarm() {
            self.hold = alarm;
            return count(&mut self.counters.refused);
        }
        self.guards.start_anew();
        self.go_on(now_us);
    }

    /// Stops the arm while the stop input is active. Its release alone lets nothing go on.
    pub fn set_stop(&mut self, active: bool) {
        if active && !self.stopped {
            count(&mut self.counters.stops);
        }
        self.stopped = active;
        if active {
            // Powering down brakes as well, and then releases the arm.
            if self.hold != HoldReason::PoweringDown {
                self.hold(HoldReason::Stop);
            }
            if self.state == State::Disarmed {
                self.hold = HoldReason::Stop;
            }
        } else if self.state == State::Disarmed && self.hold == HoldReason::Stop {
            self.hold = HoldReason::None;
        }
    }

    pub(super) fn disarm(&mut self) {
        self.arm_due = false;
        self.cancel_proof();
        self.disarm_due = true;
        if self.state != State::Fault {
            self.state = State::Disarmed;
            self.hold = HoldReason::None;
        }
    }

    /// Braking comes first; the control step disarms when the arm is at rest.
    fn power_down(&mut self) {
        match self.state {
            State::Armed | State::Holding => self.hold(HoldReason::PoweringDown),
            // A fault's arm is braked as well as it can be.
            State::Fault | State::Disarmed => self.disarm(),
        }
    }

    pub(super) fn hold(&mut self, reason: HoldReason) {
        self.arm_due = false;
        self.cancel_proof();
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
        } else if self.failures() == 0 && self.is_at_rest(self.config.period_us as f32 * 1e-6) {
            // At rest only: in motion what was measured lies behind the goals, and they would leap back.
            self.seed_from_measured(now_us);
            self.state = State::Holding;
            self.hold = HoldReason::Commanded;
        } else {
            return count(&mut self.counters.refused);
        }
        self.fault = Fault::None;
    }

    fn follow(&mut self, setpoint: &Setpoint, now_us: u64) -> Result<(), Rejection> {
        if self.state == State::Disarmed && self.prove(setpoint, now_us)? {
            return Ok(());
        }
        let goes_on = match self.hold {
            HoldReason::None | HoldReason::Starved => true,
            // A target that is only repeated keeps the link alive and no more.
            HoldReason::PolicyLate if setpoint.held => {
                self.last_setpoint_us = now_us;
                false
            }
            HoldReason::PolicyLate => true,
            HoldReason::Servo => self.failures() < self.config.hold_after_failures,
            HoldReason::Commanded
            | HoldReason::Stall
            | HoldReason::Temperature
            | HoldReason::Voltage
            | HoldReason::Clock
            | HoldReason::PoweringDown
            | HoldReason::Stop
            | HoldReason::ProofOfLife => false,
        };
        let follows = matches!(self.state, State::Armed | State::Holding);
        if !(follows && goes_on) {
            return Err(Rejection::NotArmed);
        }
        let command = self.command();
        gate::check(setpoint, &self.config, &command, now_us)?;
        if self.state == State::Holding {
            self.go_on(now_us);
        }
        let positions = gate::positions(setpoint);
        self.look_at_start(&positions);
        self.look_at_border(&positions);
        let anew = self
            .trajectory
            .push(now_us, command, setpoint.deadline_us, positions)
            .map_err(|TrajectoryFull| Rejection::QueueFull)?;
        if anew {
            self.reference = command;
        }
        self.last_setpoint_us = now_us;
        if !setpoint.held {
            self.last_action_us = now_us;
        }
        Ok(())
    }

    /// Follows setpoints from the pose in which it held.
    fn go_on(&mut self, now_us: u64) {
        self.state = State::Armed;
        self.hold = HoldReason::None;
        self.start.begin();
        self.last_setpoint_us = now_us;
        self.last_action_us = now_us;
        self.rest_path_at_command(now_us);
    }
}
