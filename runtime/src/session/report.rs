//! What a tick did.

use crate::arm::JointValues;
use crate::control::{PROPRIO_DIM, Step};
use crate::policy::PolicyTimes;
use crate::telemetry::StageTimes;

/// What one tick did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TickReport {
    /// Number of the tick in the episode, from 0.
    pub index: u64,
    /// When it was due, on the clock of the rig.
    pub tick_us: u64,
    /// The tool's pose: see [`proprio`](crate::control::proprio).
    pub proprio: [f32; PROPRIO_DIM],
    /// Measured joints (rad), then the travel of one finger (m).
    pub measured: JointValues,
    /// The action executed, its targets and what cut them; `None` where there was none, so that the arm held its target.
    pub step: Option<Step>,
    /// The joint targets sent: angles (rad), then the travel of one finger (m).
    pub joint_targets: JointValues,
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

/// Ticks at which something came too late, by what did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateTicks {
    /// No action was there: inference was running.
    pub policy: u64,
    /// Frames took longer than the rest of the period.
    pub camera: u64,
    /// The link did.
    pub link: u64,
    /// Chunks that came later than they were conditioned on, and were not used.
    pub chunks: u64,
}

impl LateTicks {
    /// Counts a tick that had an action or not, and was late because of the camera or else the link.
    pub(super) fn count(&mut self, has_action: bool, late: bool, camera: bool) {
        self.policy += u64::from(!has_action);
        self.camera += u64::from(late && camera);
        self.link += u64::from(late && !camera);
    }
}
