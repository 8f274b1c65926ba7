//! One tick of a session: measure, look, ask, send the setpoint, wait.

use std::time::{Duration, Instant};

use super::inference::Arrival;
use super::report::Spent;
use super::{RuntimeError, Session, StageTimes, TickReport};
use crate::arm::{ArmClientError, JointValues};
use crate::control::{Step, proprio};

/// What was sent at a tick.
struct Sent {
    step: Option<Step>,
    joint_targets: JointValues,
}

impl Session {
    /// One tick: reads the arm, takes the chunk that has come, asks the policy where its scheduler wants a chunk (capturing frames
    /// first where the policy looks), sends the setpoint of this tick and waits for the next tick's time.
    ///
    /// # Errors
    /// Whatever goes wrong ends the episode, and the arm is told to hold.
    pub fn tick(&mut self) -> Result<TickReport, RuntimeError> {
        if !self.running {
            return Err(RuntimeError::NoEpisode);
        }
        let watch = Stopwatch::start();
        let report = self.work();
        if let Err(error) = &report {
            self.running = false;
            self.late.failed(error);
            // Where the link is what failed this cannot help; the firmware then holds for want of
            // setpoints.
            let _ = self.client.hold(&mut *self.rig.link);
        }
        let mut report = report?;
        report.times.work = watch.time();
        let wait = Stopwatch::start();
        self.rig.clock.sleep_until(self.tick_us);
        report.times.wait = wait.time();
        self.index += 1;
        Ok(report)
    }

    /// Everything of a tick but the wait.
    fn work(&mut self) -> Result<TickReport, RuntimeError> {
        let tick_us = self.tick_us;
        let start_us = self.rig.clock.now_us();
        let mut times = StageTimes::default();

        let watch = Stopwatch::start();
        let measured = self.measure()?;
        times.measure = watch.time();
        times.link = times.measure;
        let watch = Stopwatch::start();
        let proprio = proprio(&self.arm, &self.config, &measured);
        times.proprio = watch.time();
        times.control = times.proprio;

        let mut arrival = Arrival::default();
        self.collect(&mut arrival)?;
        let inferred = self.under_way.is_none() && self.scheduler.wants_chunk();
        let observed = inferred || self.facts.keeps_history;
        let captured = observed && self.facts.looks;
        let charged_us = if inferred {
            self.scheduler.ask(&mut self.condition);
            self.timing.latency.next_us()
        } else {
            None
        };
        // Looking takes time: the setpoint goes first, unless it needs the chunk that is made of this very look.
        let looks_first = inferred && charged_us == Some(0);
        let mut sent = None;
        if !looks_first {
            sent = Some(self.send(tick_us, &mut times)?);
        }
        let looking_us = self.rig.clock.now_us();
        if observed {
            let watch = Stopwatch::start();
            let timeout_us = self.config.frame_timeout_us;
            self.observer
                .look(&mut self.rig, self.facts.looks, timeout_us, &measured)?;
            times.capture = if captured {
                watch.time()
            } else {
                Duration::ZERO
            };
        }
        let captured_us = self.rig.clock.now_us();
        if captured {
            self.client.poll(&mut *self.rig.link, captured_us)?;
            self.observer.place_in_time(&self.client);
        }
        let asked_us = self.rig.clock.now_us();
        if inferred {
            self.ask(charged_us.map(|us| captured_us + us))?;
        } else if observed {
            self.show()?;
        }
        self.collect(&mut arrival)?;
        times.policy = arrival.took;
        let collected_us = self.rig.clock.now_us();
        let Sent {
            step,
            joint_targets,
        } = match sent {
            Some(sent) => sent,
            None => self.send(tick_us, &mut times)?,
        };

        let now_us = self.rig.clock.now_us();
        let (camera_us, policy_us) = (captured_us - looking_us, collected_us - asked_us);
        // A late tick moves all later ones: none is hurried to make up for it.
        self.tick_us = (tick_us + self.period_us).max(now_us);
        let late = now_us > tick_us + self.period_us;
        if step.is_none() {
            self.late.without_action();
        }
        if late {
            self.late.overrun(Spent {
                camera_us,
                policy_us,
                link_us: (now_us - start_us) - camera_us - policy_us,
            });
        }
        Ok(TickReport {
            index: self.index,
            tick_us,
            start_us,
            proprio,
            measured,
            step,
            joint_targets,
            inferred,
            arrived: arrival.arrived,
            captured,
            overrun: late,
            times,
            policy_times: arrival.times,
        })
    }

    /// Sends the setpoint of this tick: the action that is due, or the targets before.
    fn send(&mut self, tick_us: u64, times: &mut StageTimes) -> Result<Sent, RuntimeError> {
        let watch = Stopwatch::start();
        let step = match self.scheduler.next(&mut self.action) {
            true => Some(self.space.act(&self.action)?),
            false => None,
        };
        let joint_targets = *self.space.targets();
        times.control += watch.time();

        let watch = Stopwatch::start();
        let now_us = self.rig.clock.now_us();
        let lead_us = (tick_us + self.period_us).saturating_sub(now_us);
        self.client
            .send_setpoint(&mut *self.rig.link, now_us, lead_us, &joint_targets)?;
        times.link += watch.time();
        Ok(Sent {
            step,
            joint_targets,
        })
    }

    /// The measured joints, fresh off the link.
    pub(super) fn measure(&mut self) -> Result<JointValues, RuntimeError> {
        let now_us = self.rig.clock.now_us();
        self.client.poll(&mut *self.rig.link, now_us)?;
        self.client
            .check(now_us, self.config.telemetry_timeout_us)?;
        Ok(self.client.positions().ok_or(ArmClientError::NotMeasured)?)
    }
}

/// Wall time, which in simulation is not the board's.
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn time(&self) -> Duration {
        self.0.elapsed()
    }
}
