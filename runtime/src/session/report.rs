//! What a tick did, and how long its stages took.

use std::time::Duration;

use super::RuntimeError;
use crate::arm::JointValues;
use crate::control::{PROPRIO_DIM, Step};
use crate::policy::PolicyTimes;

/// What one tick did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickReport {
    /// Number of the tick in the episode, from 0.
    pub index: u64,
    /// When it was due, on the clock of the rig.
    pub tick_us: u64,
    /// When it began, on the same clock.
    pub start_us: u64,
    /// The tool's pose: see [`proprio`](crate::control::proprio).
    pub proprio: [f32; PROPRIO_DIM],
    /// Measured joints (rad), then the travel of one finger (m).
    pub measured: JointValues,
    /// The action executed, its targets and what cut them; `None` where there was none, so that the arm held its target.
    pub step: Option<Step>,
    /// The joint targets sent: angles (rad), then the travel of one finger (m).
    pub joint_targets: JointValues,
    /// Whether the arm is on its slow way to a target that was far from where it began.
    pub approaching: bool,
    /// The camera, by its place in the rig, whose frames are too old or repeat: the arm holds for them.
    pub waits_for_camera: Option<usize>,
    /// Whether the policy was asked for a new chunk.
    pub inferred: bool,
    /// Whether a chunk came.
    pub arrived: bool,
    /// Whether frames were captured.
    pub captured: bool,
    /// Whether the work of this tick took longer than the control period.
    pub overrun: bool,
    /// How long each stage took; the policy's time is that of the chunk that came.
    pub times: StageTimes,
    /// How the policy's time was spent, where a chunk came and the policy measures; else zero.
    pub policy_times: PolicyTimes,
}

/// Ticks that were late or failed, by the cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateTicks {
    /// No action was there because inference was running, the loop waited for it too long, or the policy failed.
    pub policy: u64,
    /// Frames took longer than the rest of the period, or did not come.
    pub camera: u64,
    /// The link did, or the board does not let the arm be driven.
    pub link: u64,
    /// Chunks that came later than they were conditioned on, and were not used.
    pub chunks: u64,
}

/// The board's time that a tick spent, microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) camera_us: u64,
    pub(super) policy_us: u64,
    pub(super) link_us: u64,
}

impl LateTicks {
    /// Counts a tick without an action.
    pub(super) fn without_action(&mut self) {
        self.policy += 1;
    }

    /// Counts a tick that took longer than the period, by what took most of it.
    pub(super) fn overrun(&mut self, spent: Spent) {
        let Spent {
            camera_us,
            policy_us,
            link_us,
        } = spent;
        if camera_us >= policy_us.max(link_us) {
            self.camera += 1;
        } else if policy_us >= link_us {
            self.policy += 1;
        } else {
            self.link += 1;
        }
    }

    /// Counts a tick that failed.
    pub(super) fn failed(&mut self, error: &RuntimeError) {
        match error {
            RuntimeError::Arm(_) => self.link += 1,
            RuntimeError::Camera(_) => self.camera += 1,
            _ => self.policy += 1,
        }
    }
}

/// How long the stages of one tick took, on the host's clock. Zero for what did not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Getting frames. In simulation this is the renderer.
    pub capture: Duration,
    /// The policy's thread, from observation to chunk: beside the loop, but for the time that the loop waits for it.
    pub policy: Duration,
    /// From an action to joint targets, and the proprioception.
    pub control: Duration,
    /// Reading telemetry and writing the setpoint.
    pub link: Duration,
    /// The part of `link` before the policy: reading telemetry.
    pub measure: Duration,
    /// The part of `control` before the policy: the proprioception.
    pub proprio: Duration,
    /// All of the loop's work: what has to fit into the control period.
    pub work: Duration,
    /// Waiting for the next tick. In simulation this is the physics and the firmware.
    pub wait: Duration,
}
