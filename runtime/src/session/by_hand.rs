//! What an operator does with a session besides letting the policy run: hold and go on, other instructions and speeds, moving the arm
//! to given joints, letting go of it.

use super::pace::towards;
use super::tick::{Sent, Thought};
use super::worker::Job;
use super::{Retold, RuntimeError, Session, StageTimes, TickReport};
use crate::arm::{ArmClientError, JointValues, Target};
use crate::rig::Rig;
use wink_firmware::State;

/// Without a policy's rate yet: from look to look.
const IDLE_US: u64 = 50_000;
/// Between two looks at an arm that lets go.
const RELEASE_US: u64 = 20_000;

impl Session {
    /// Arms the arm where it is, so that [`follow`](Self::follow) moves it. Where it was told to be before and, within the start
    /// guard's distance, still is, it is told to be there again: an arm that sags under its weight does not sink further.
    ///
    /// # Errors
    /// When the arm cannot be driven.
    pub fn rise(&mut self) -> Result<(), RuntimeError> {
        self.running = false;
        if self.period_us == 0 {
            self.set_period()?;
        }
        if !self.shadow {
            let timeout_us = self.config.connect_timeout_us;
            self.client.arm(&mut self.rig.wire(), timeout_us)?;
            // A board that greeted anew has forgotten it.
            if self.pace.scale() < 1.0 {
                let scale = self.pace.scale();
                self.client.set_speed(&mut *self.rig.link, scale)?;
            }
        } else {
            let now_us = self.rig.clock.now_us();
            self.client.poll(&mut *self.rig.link, now_us)?;
        }
        let measured = self.measured()?;
        let mut start = measured;
        if let (Some(guard), Some(sent)) = (self.guard, self.sent) {
            for ((start, sent), measured) in start.iter_mut().zip(sent.iter()).zip(measured.iter())
            {
                if (sent - measured).abs() <= guard.within_rad {
                    *start = *sent;
                }
            }
        }
        self.space.begin(&start);
        self.pace.begin(self.space.targets());
        self.sent = Some(*self.space.targets());
        self.running = true;
        self.tick_us = self.rig.clock.now_us();
        Ok(())
    }

    /// One tick without the policy: sends a setpoint on the straight way to `targets` (rad, the gripper m of one finger), at most
    /// `share` of each joint's speed limit, and waits for the next tick's time.
    ///
    /// # Errors
    /// As [`tick`](Self::tick).
    pub fn follow(
        &mut self,
        targets: &JointValues,
        share: f64,
    ) -> Result<TickReport, RuntimeError> {
        let targets = self.arm.clamp_wire(targets);
        self.run_tick(|session| session.work_without_policy(&targets, share))
    }

    fn work_without_policy(
        &mut self,
        targets: &JointValues,
        share: f64,
    ) -> Result<TickReport, RuntimeError> {
        let mut times = StageTimes::default();
        let look = self.look_at_arm(&mut times)?;
        let from = self.sent.unwrap_or(look.measured);
        let joint_targets = towards(&from, targets, &self.arm, share * self.period_s());
        self.transmit(&joint_targets, Target::New, &mut times)?;
        let sent = Sent {
            step: None,
            joint_targets,
        };
        Ok(self.report(&look, sent, Thought::default(), times))
    }

    /// Waits for a period while the arm holds, and looks at it: where it is, as far as it is known.
    ///
    /// # Errors
    /// When the link is broken or the board restarted.
    pub fn idle(&mut self) -> Result<Option<JointValues>, RuntimeError> {
        self.running = false;
        let now_us = self.rig.clock.now_us();
        self.client.poll(&mut *self.rig.link, now_us)?;
        let period_us = if self.period_us == 0 {
            IDLE_US
        } else {
            self.period_us
        };
        self.rig.clock.sleep_until(now_us + period_us);
        Ok(self.client.positions())
    }

    /// Tells the policy another instruction while it runs. The arm holds its target until the policy has taken it in and the first
    /// chunk for it is there.
    ///
    /// # Errors
    /// When no episode runs. What the policy refuses ends the episode at a later tick.
    pub fn instruct(&mut self, instruction: &str) -> Result<(), RuntimeError> {
        if !self.running {
            return Err(RuntimeError::NoEpisode);
        }
        self.instruction.clear();
        self.instruction.push_str(instruction);
        self.retold = Retold::Wanted;
        Ok(())
    }

    /// Goes on with what [`instruct`](Self::instruct) has begun. Whether the policy is busy with it.
    pub(super) fn retell(&mut self) -> Result<bool, RuntimeError> {
        if self.retold == Retold::Wanted && self.under_way.is_none() {
            self.settle()?;
            self.observer.forget();
            self.tell()?;
            self.begin_schedule();
            self.retold = Retold::Asked;
        }
        if self.retold == Retold::Asked {
            let take = |job: &mut Job| job.outcome.take();
            // Where time is charged, a run must not depend on how fast this machine is.
            let done = if self.timing.latency.is_charged() {
                self.worker.wait(take)?
            } else {
                self.worker.collect(take)?
            };
            if let Some(refused) = done {
                self.retold = Retold::No;
                if let Some(error) = refused {
                    return Err(error.into());
                }
            }
        }
        Ok(self.retold == Retold::Asked)
    }

    /// The part of the policy's rate at which its actions are gone through.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.pace.scale()
    }

    /// Goes through the policy's actions at a part of its rate, above 0 and at most 1. The targets between two actions lie on the
    /// straight way. The board lowers its own limits by as much.
    ///
    /// # Errors
    /// When it is no such part, or the link is broken.
    pub fn set_speed(&mut self, scale: f64) -> Result<(), RuntimeError> {
        if !(scale > 0.0 && scale <= 1.0) {
            return Err(RuntimeError::Speed { scale });
        }
        self.pace.set_scale(scale);
        if self.running && !self.shadow {
            self.client.set_speed(&mut *self.rig.link, scale)?;
        }
        Ok(())
    }

    /// The targets that were sent last: where the arm was told to be.
    #[must_use]
    pub const fn commanded(&self) -> Option<&JointValues> {
        self.sent.as_ref()
    }

    /// The present time on the clock of the rig.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.rig.clock.now_us()
    }

    /// Cameras, link and clock.
    pub fn rig_mut(&mut self) -> &mut Rig {
        &mut self.rig
    }

    /// The arm that is driven.
    #[must_use]
    pub const fn arm(&self) -> &crate::arm::ArmDescription {
        &self.arm
    }

    /// Lets go of the arm once it stands still, and waits for the board to say so. An arm that does not rest by itself falls then.
    ///
    /// # Errors
    /// When the link is broken, or torque is still on after `timeout_us`.
    pub fn release(&mut self, timeout_us: u64) -> Result<(), RuntimeError> {
        self.running = false;
        self.sent = None;
        if self.shadow {
            return Ok(());
        }
        self.client.power_down(&mut *self.rig.link)?;
        let start_us = self.rig.clock.now_us();
        loop {
            let now_us = self.rig.clock.now_us();
            self.client.poll(&mut *self.rig.link, now_us)?;
            let state = self.client.telemetry().map(|telemetry| telemetry.state);
            if state == Some(State::Disarmed) {
                return Ok(());
            }
            if now_us.saturating_sub(start_us) > timeout_us {
                return Err(RuntimeError::StillArmed {
                    waited_us: timeout_us,
                });
            }
            self.rig.clock.sleep_until(now_us + RELEASE_US);
        }
    }

    /// Where the arm is, of telemetry that is fresh.
    pub(super) fn measured(&self) -> Result<JointValues, RuntimeError> {
        let now_us = self.rig.clock.now_us();
        let timeout_us = self.config.telemetry_timeout_us;
        if self.shadow {
            self.client.heard(now_us, timeout_us)?;
        } else {
            self.client.check(now_us, timeout_us)?;
        }
        Ok(self.client.positions().ok_or(ArmClientError::NotMeasured)?)
    }
}
