//! How an arm starts to follow: which host may switch torque on, and how a first target that is far away is approached.

use crate::config::{JointLimits, ProofOfLife};
use crate::motion::Positions;
use crate::wire::{HoldReason, Setpoint, State};

use super::board::Board;
use super::count;
use super::gate::{self, Rejection};

/// Setpoints that came since `arm`.
#[derive(Debug, Clone, Copy)]
struct Proving {
    count: u32,
    last_us: u64,
}

/// What a start still waits for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Start {
    /// Torque waits for setpoints at rate.
    proving: Option<Proving>,
    /// No target near the arm has come since it was armed, or went on after a hold.
    awaits: bool,
    /// Targets have come since then, but none near the arm.
    approaches: bool,
}

impl Start {
    /// The next target is a first one.
    pub fn begin(&mut self) {
        self.awaits = true;
        self.approaches = false;
    }
}

impl Board {
    /// What is to be done before torque is switched on: nothing, or to wait for setpoints.
    pub(super) fn begin_to_arm(&mut self, now_us: u64) {
        if self.config.proof.is_none() {
            self.arm_due = true;
        } else if self.start.proving.is_none() {
            // A second `arm` does not start anew what is under way.
            self.hold = HoldReason::ProofOfLife;
            self.start.proving = Some(Proving {
                count: 0,
                last_us: now_us,
            });
        }
    }

    /// Torque will not be switched on for what came so far.
    pub(super) fn cancel_proof(&mut self) {
        if self.start.proving.take().is_some() && self.state == State::Disarmed {
            self.hold = HoldReason::None;
        }
    }

    /// Forgets a wish to arm that nothing came after.
    pub(super) fn let_proof_lapse(&mut self, now_us: u64) {
        let lapsed = self
            .start
            .proving
            .is_some_and(|proving| now_us.saturating_sub(proving.last_us) > ProofOfLife::LAPSE_US);
        if lapsed {
            self.cancel_proof();
        }
    }

    /// Counts a setpoint towards the proof that torque waits for; the arm does not follow it. `false` where there is none to give.
    pub(super) fn prove(&mut self, setpoint: &Setpoint, now_us: u64) -> Result<bool, Rejection> {
        let (Some(proof), Some(mut proving)) = (self.config.proof, self.start.proving) else {
            return Ok(false);
        };
        let measured = self.measured.map(|servo| servo.position);
        gate::check(setpoint, &self.config, &measured, now_us)?;
        if !self.is_near(&gate::positions(setpoint)) {
            count(&mut self.counters.far_starts);
            return Err(Rejection::NotArmed);
        }
        let gap_us = now_us.saturating_sub(proving.last_us);
        if gap_us > proof.longest_gap_us.into() {
            proving.count = 0;
        }
        count(&mut proving.count);
        proving.last_us = now_us;
        self.start.proving = Some(proving);
        if proving.count >= proof.setpoints {
            self.cancel_proof();
            self.arm_due = true;
        }
        Ok(true)
    }

    /// Looks whether the arm still starts: until a target near it has come it moves slowly.
    pub(super) fn look_at_start(&mut self, target: &Positions) {
        if !self.start.awaits {
            return;
        }
        self.start.approaches = !self.is_near(target);
        self.start.awaits = self.start.approaches;
        if self.start.approaches {
            count(&mut self.counters.far_starts);
        }
    }

    /// Share of the joints' highest velocities at which the arm may move now.
    pub(super) fn speed_now(&self) -> f32 {
        if self.outside {
            self.speed * JointLimits::INWARDS_SHARE
        } else if self.start.approaches {
            self.speed * JointLimits::START_SHARE
        } else {
            self.speed
        }
    }

    /// Whether each joint is measured near a target. One whose torque is being capped cannot come nearer.
    fn is_near(&self, target: &Positions) -> bool {
        let joints = self.config.guards.iter().zip(&self.measured).zip(target);
        joints.enumerate().all(|(index, ((guard, servo), target))| {
            guard.start.is_infinite()
                || (target - servo.position).abs() <= guard.start
                || self.guards.caps(index)
        })
    }
}
