//! What the board does every tick.

use crate::MAX_JOINTS;
use crate::motion::Reference;
use crate::servo::{Alerts, ServoBus, ServoState};
use crate::wire::{Fault, HoldReason, State};

use super::board::Board;
use super::count;

/// Longest time that a tick may make up for, so that goals do not leap after the loop was blocked.
const MAX_TICK_US: u64 = 50_000;

impl Board {
    pub fn tick<S: ServoBus>(&mut self, now_us: u64, servos: &mut S) {
        let elapsed_us = self.pass_time(now_us);
        self.let_proof_lapse(now_us);
        let trouble = if self.read(servos) {
            let goals = self.torque.then_some(self.goals);
            self.guards
                .look(&self.config, &self.measured, goals, now_us)
        } else {
            None
        };
        if self.disarm_due {
            self.switch_off(servos);
        } else if self.arm_due {
            self.switch_on(now_us, servos);
        } else if self.torque {
            self.watch(now_us, trouble);
            self.advance(now_us, elapsed_us.min(MAX_TICK_US), servos);
        }
    }

    /// Time since the last tick.
    fn pass_time(&mut self, now_us: u64) -> u64 {
        let last_us = self.last_tick_us.replace(now_us).unwrap_or(now_us);
        count(&mut self.ticks);
        if now_us < last_us {
            // No deadline or timeout from before means anything now.
            self.hold(HoldReason::Clock);
            self.rest_path_at_command(now_us);
            self.last_setpoint_us = now_us;
            self.last_action_us = now_us;
            self.guards.start_anew();
            self.outbox.say_now();
        }
        let elapsed_us = now_us.saturating_sub(last_us);
        let told_us = u32::try_from(elapsed_us).unwrap_or(u32::MAX);
        self.longest_tick_us = self.longest_tick_us.max(told_us);
        elapsed_us
    }

    /// Whether every servo answered.
    fn read<S: ServoBus>(&mut self, servos: &mut S) -> bool {
        let joints = self.config.joints.len();
        let mut states = [ServoState::default(); MAX_JOINTS];
        let Some(states) = states.get_mut(..joints) else {
            return false;
        };
        let answered = servos.read(states).is_ok();
        let answered = answered && states.iter().all(is_believed);
        if answered {
            self.read_failures = 0;
            for (slot, state) in self.measured.iter_mut().zip(states) {
                *slot = *state;
            }
        } else {
            count(&mut self.read_failures);
            count(&mut self.counters.servo_reads_failed);
            if self.read_failures >= self.config.fault_after_failures {
                // Where the arm was last seen is not where it is.
                self.measured = [ServoState::NOT_MEASURED; MAX_JOINTS];
            }
        }
        answered
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
        if let Some(alarm) = self.guards.alarm() {
            self.arm_due = false;
            self.hold = alarm;
            return count(&mut self.counters.refused);
        }
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
                self.start.begin();
                self.last_setpoint_us = now_us;
                self.last_action_us = now_us;
                return;
            }
        }
        if self.failures() >= self.config.fault_after_failures {
            self.arm_due = false;
            self.break_down();
        }
    }

    /// Stops following when there is a reason to.
    fn watch(&mut self, now_us: u64, trouble: Option<HoldReason>) {
        if self.state == State::Fault {
            return;
        }
        let failures = self.failures();
        if failures >= self.config.fault_after_failures {
            return self.break_down();
        }
        let follows = matches!(
            self.hold,
            HoldReason::None | HoldReason::Starved | HoldReason::PolicyLate | HoldReason::Servo
        );
        let silence_us = now_us.saturating_sub(self.last_setpoint_us);
        if let Some(reason) = trouble.filter(|_| follows) {
            self.hold(reason);
        } else if self.hold == HoldReason::PolicyLate && silence_us > self.config.hold_after_us {
            // Not even repeated targets come any more.
            count(&mut self.counters.starved);
            self.hold(HoldReason::Starved);
        } else if self.state == State::Armed {
            let late_us = now_us.saturating_sub(self.last_action_us);
            if failures >= self.config.hold_after_failures {
                self.hold(HoldReason::Servo);
            } else if silence_us > self.config.hold_after_us {
                count(&mut self.counters.starved);
                self.hold(HoldReason::Starved);
            } else if late_us > self.config.late_after_us {
                count(&mut self.counters.policy_late);
                self.hold(HoldReason::PolicyLate);
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
        let dt = elapsed_us as f32 * 1e-6;
        // Goals that are still to be written: do not get ahead of the servos.
        if dt > 0.0 && !self.write_due {
            let before = self.joints;
            if self.state == State::Armed {
                self.step_along_path(now_us, dt);
            } else {
                self.step_to_rest(dt);
            }
            self.keep_in_workspace(&before, dt);
            self.smooth(elapsed_us, dt);
        }
        let written = self.write_goals(servos);
        self.note_write(written);
        self.write_due = !written;
        if self.hold == HoldReason::PoweringDown && written && self.is_at_rest(dt) {
            self.disarm();
        }
    }

    fn step_along_path(&mut self, now_us: u64, dt: f32) {
        let positions = self.trajectory.at_time(now_us);
        let last = core::mem::replace(&mut self.reference, positions);
        for (index, (position, last)) in positions.into_iter().zip(last).enumerate() {
            let wanted = Reference {
                position,
                velocity: (position - last) / dt,
            };
            self.step_joint(index, Some(wanted), dt);
        }
    }

    fn step_to_rest(&mut self, dt: f32) {
        for index in 0..self.config.joints.len() {
            let retreat = self.guards.retreat(index).map(Reference::rest);
            self.step_joint(index, retreat, dt);
        }
    }

    /// Moves a command towards where it is wanted (to a stop without that), as its torque cap allows.
    fn step_joint(&mut self, index: usize, wanted: Option<Reference>, dt: f32) {
        let speed = self.speed_now();
        let (Some(joint), Some(limits), Some(guard), Some(servo), Some(goal)) = (
            self.joints.get_mut(index),
            self.config.joints.get(index),
            self.config.guards.get(index),
            self.measured.get(index),
            self.goals.get(index),
        ) else {
            return;
        };
        let position = wanted.map_or(joint.position, |wanted| wanted.position);
        let allowed = self
            .guards
            .cap_torque(index, guard, servo, *goal, position, dt);
        let reference = if allowed == position {
            wanted
        } else {
            Some(Reference::rest(allowed))
        };
        joint.step(limits, speed, reference, dt);
    }

    /// From commands to goals.
    fn smooth(&mut self, elapsed_us: u64, dt: f32) {
        let smoothed = self.smoother.push(self.command(), elapsed_us);
        if !self.smoother.is_active() {
            self.goals = smoothed;
            return;
        }
        let goals = self.goals.iter_mut().zip(smoothed);
        for ((goal, smoothed), limits) in goals.zip(&self.config.joints) {
            // Ticks that are not even, or rounding, must not break what no tick may.
            let most = limits.velocity * dt;
            let lowest = limits.min.min(*goal);
            let highest = limits.max.max(*goal);
            let change = (smoothed - *goal).max(-most).min(most);
            *goal = (*goal + change).max(lowest).min(highest);
        }
    }

    /// Whether every goal has arrived where its command rests, or is within a step of `dt` seconds of that.
    pub(super) fn is_at_rest(&self, dt: f32) -> bool {
        /// Rad or m.
        const CLOSE: f32 = 1e-3;
        let joints = self.joints.iter().zip(&self.goals);
        joints
            .zip(&self.config.joints)
            .all(|((joint, goal), limits)| {
                joint.velocity.abs() <= limits.acceleration * dt
                    && (joint.position - goal).abs() <= CLOSE
            })
    }

    fn write_goals<S: ServoBus>(&self, servos: &mut S) -> bool {
        let goals = self.goals.get(..self.config.joints.len());
        servos.write(goals.unwrap_or_default()).is_ok()
    }
}

/// Whether what a servo says of its position can be used.
fn is_believed(state: &ServoState) -> bool {
    state.position.is_finite() && !state.alerts.contains(Alerts::ENCODER)
}
