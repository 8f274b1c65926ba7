//! One tick of a session: measure, look, ask, send the setpoint, wait.

use std::time::{Duration, Instant};

use super::inference::Arrival;
use super::report::Spent;
use super::{RuntimeError, Session, StageTimes, TickReport};
use crate::arm::{JointValues, Target};
use crate::control::{PROPRIO_DIM, Step, proprio};

/// What was sent at a tick.
pub(super) struct Sent {
    pub(super) step: Option<Step>,
    pub(super) joint_targets: JointValues,
}

/// A look at the arm at the beginning of a tick.
pub(super) struct Look {
    start_us: u64,
    pub(super) measured: JointValues,
    proprio: [f32; PROPRIO_DIM],
}

/// What a tick had to do with the policy.
#[derive(Default)]
pub(super) struct Thought {
    inferred: bool,
    captured: bool,
    arrival: Arrival,
    camera_us: u64,
    policy_us: u64,
}

impl Session {
    /// One tick: reads the arm, takes the chunk that has come, asks the policy where its scheduler wants a chunk (capturing frames
    /// first where the policy looks), sends the setpoint of this tick and waits for the next tick's time.
    ///
    /// # Errors
    /// Whatever goes wrong ends the episode, and the arm is told to hold.
    pub fn tick(&mut self) -> Result<TickReport, RuntimeError> {
        self.run_tick(Self::work)
    }

    pub(super) fn run_tick(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<TickReport, RuntimeError>,
    ) -> Result<TickReport, RuntimeError> {
        if !self.running {
            return Err(RuntimeError::NoEpisode);
        }
        let watch = Stopwatch::start();
        let report = work(self);
        if let Err(error) = &report {
            self.running = false;
            self.late.failed(error);
            // Where the link is what failed this cannot help; the firmware then holds for want of
            // setpoints.
            if !self.shadow {
                let _ = self.client.hold(&mut *self.rig.link);
            }
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
        let mut times = StageTimes::default();
        let look = self.look_at_arm(&mut times)?;
        if self.waits_for_frames()? {
            return self.hold_for_frames(&look, times);
        }
        let mut thought = Thought::default();
        self.collect(&mut thought.arrival)?;
        let retold = self.retell()?;
        // At a lower speed there are ticks between the actions.
        let due = self.pace.is_due();
        let free = due && !retold;
        thought.inferred = free && self.under_way.is_none() && self.scheduler.wants_chunk();
        let inferred = thought.inferred;
        let observed = inferred || (free && self.facts.keeps_history);
        let captured = observed && self.facts.looks;
        thought.captured = captured;
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
            sent = Some(self.send(due, &mut times)?);
        }
        let looking_us = self.rig.clock.now_us();
        if observed {
            let watch = Stopwatch::start();
            let timeout_us = self.config.frame_timeout_us;
            let looked =
                self.observer
                    .look(&mut self.rig, self.facts.looks, timeout_us, &look.measured);
            if let Err((camera, error)) = looked {
                self.look_failed(camera, error)?;
                let sent = match sent {
                    Some(sent) => sent,
                    None => self.stay(&mut times)?,
                };
                thought.camera_us = self.rig.clock.now_us() - looking_us;
                thought.inferred = false;
                thought.captured = false;
                let report = self.report(&look, sent, thought, times);
                return Ok(TickReport {
                    waits_for_camera: Some(camera),
                    ..report
                });
            }
            if captured {
                self.frames.looked();
            }
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
        self.collect(&mut thought.arrival)?;
        times.policy = thought.arrival.took;
        let collected_us = self.rig.clock.now_us();
        thought.camera_us = captured_us - looking_us;
        thought.policy_us = collected_us - asked_us;
        let sent = match sent {
            Some(sent) => sent,
            None => self.send(due, &mut times)?,
        };
        if due && sent.step.is_none() {
            self.late.without_action();
        }
        Ok(self.report(&look, sent, thought, times))
    }

    /// Reads the arm.
    pub(super) fn look_at_arm(&mut self, times: &mut StageTimes) -> Result<Look, RuntimeError> {
        let start_us = self.rig.clock.now_us();
        let watch = Stopwatch::start();
        self.client.poll(&mut *self.rig.link, start_us)?;
        let measured = self.measured()?;
        times.measure = watch.time();
        times.link = times.measure;
        let watch = Stopwatch::start();
        let proprio = proprio(&self.arm, &self.config, &measured);
        times.proprio = watch.time();
        times.control = times.proprio;
        Ok(Look {
            start_us,
            measured,
            proprio,
        })
    }

    /// Ends the work of a tick: when the next one is due, and what this one did.
    pub(super) fn report(
        &mut self,
        look: &Look,
        sent: Sent,
        thought: Thought,
        times: StageTimes,
    ) -> TickReport {
        let tick_us = self.tick_us;
        let now_us = self.rig.clock.now_us();
        // A late tick moves all later ones: none is hurried to make up for it.
        self.tick_us = (tick_us + self.period_us).max(now_us);
        let late = now_us > tick_us + self.period_us;
        if late {
            let Thought {
                camera_us,
                policy_us,
                ..
            } = thought;
            self.late.overrun(Spent {
                camera_us,
                policy_us,
                link_us: (now_us - look.start_us) - camera_us - policy_us,
            });
        }
        TickReport {
            index: self.index,
            tick_us,
            start_us: look.start_us,
            proprio: look.proprio,
            measured: look.measured,
            step: sent.step,
            joint_targets: sent.joint_targets,
            approaching: self.pace.is_approaching(),
            waits_for_camera: None,
            inferred: thought.inferred,
            arrived: thought.arrival.arrived,
            captured: thought.captured,
            overrun: late,
            times,
            policy_times: thought.arrival.times,
        }
    }

    /// Sends the setpoint of this tick: the action that is due, or the targets before.
    fn send(&mut self, due: bool, times: &mut StageTimes) -> Result<Sent, RuntimeError> {
        let watch = Stopwatch::start();
        let step = match due && self.scheduler.next(&mut self.action) {
            true => Some(self.space.act(&self.action)?),
            false => None,
        };
        if let Some(step) = &step {
            self.pace.take(&step.joint_targets);
        }
        let before = self.sent.unwrap_or(*self.space.targets());
        let joint_targets = self.pace.next(&before, &self.arm, self.period_s());
        times.control += watch.time();
        let target = if step.is_some() || joint_targets != before {
            Target::New
        } else {
            Target::Held
        };
        self.transmit(&joint_targets, target, times)?;
        Ok(Sent {
            step,
            joint_targets,
        })
    }

    /// Sends a setpoint that is due a period after this tick's time.
    pub(super) fn transmit(
        &mut self,
        joint_targets: &JointValues,
        target: Target,
        times: &mut StageTimes,
    ) -> Result<(), RuntimeError> {
        let watch = Stopwatch::start();
        let now_us = self.rig.clock.now_us();
        let lead_us = (self.tick_us + self.period_us).saturating_sub(now_us);
        if !self.shadow {
            self.client.send_setpoint(
                &mut *self.rig.link,
                now_us,
                lead_us,
                joint_targets,
                target,
            )?;
        }
        self.sent = Some(*joint_targets);
        times.link += watch.time();
        Ok(())
    }

    pub(super) fn period_s(&self) -> f64 {
        self.period_us as f64 / 1e6
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
