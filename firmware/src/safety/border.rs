//! Keeps the tool in its workspace and below its speed, whatever the joints were asked for.
//!
//! A tick's step is taken only if the arm could still come to rest inside after it; else the joints brake together, which ends where
//! the step before could have ended. So the arm comes to rest at the border and goes on when its path comes back. A tool that is too
//! fast gets a mixture of the step wanted and of braking, as much of the first as its speed allows.

use crate::MAX_JOINTS;
use crate::config::{JointLimits, Workspace, distance};
use crate::motion::{JointMotion, Positions};

use super::board::Board;
use super::count;

/// The tool is held to this share of its highest speed, so that what rounding and curved paths add stays below it.
const SPEED_SHARE: f32 = 0.95;
/// A tool further outside than this moves slowly, metres.
const OUTSIDE_M: f32 = 1e-4;

type Joints = [JointMotion; MAX_JOINTS];

impl Board {
    /// Looks at the step from `before` to the joints' commands and shortens it where the workspace asks for that.
    pub(super) fn keep_in_workspace(&mut self, before: &Joints, dt: f32) {
        let Some(workspace) = &self.config.workspace else {
            return;
        };
        let limits = &self.config.joints;
        let start = workspace.tool_at(&positions(before));
        let depth = workspace.depth(start);
        self.outside = depth > OUTSIDE_M;
        let braked = mixed(before, limits, dt, |joint| {
            joint.velocity * (1.0 - share(before, limits, dt))
        });
        if workspace.speed.is_finite() {
            let speed =
                |joints: &Joints| distance(workspace.tool_at(&positions(joints)), start) / dt;
            let most = workspace.speed * SPEED_SHARE;
            let wanted = speed(&self.joints);
            if wanted > most {
                let least = speed(&braked);
                // Speed is convex in the mixture: the chord is never below it.
                let part = (most - least) / (wanted - least);
                let part = if part.is_finite() {
                    part.clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let pairs = braked.iter().zip(&self.joints);
                let mut velocities = pairs
                    .map(|(slow, fast)| slow.velocity + (fast.velocity - slow.velocity) * part);
                self.joints = mixed(before, limits, dt, |_| velocities.next().unwrap_or(0.0));
            }
        }
        if workspace.depth(rest(workspace, &self.joints, limits)) > depth {
            self.joints = braked;
        }
    }

    /// Counts a target that the arm will not reach.
    pub(super) fn look_at_border(&mut self, target: &Positions) {
        let outside = self
            .config
            .workspace
            .as_ref()
            .is_some_and(|workspace| workspace.depth(workspace.tool_at(target)) > 0.0);
        if outside {
            count(&mut self.counters.outside_workspace);
        }
    }
}

/// Share of all joints' velocities that they lose together in one tick, when the one with the least acceleration for its speed brakes
/// as hard as it may.
fn share(joints: &Joints, limits: &[JointLimits], dt: f32) -> f32 {
    let shares = joints.iter().zip(limits).map(|(joint, limits)| {
        let speed = joint.velocity.abs();
        if speed > 0.0 {
            limits.acceleration * dt / speed
        } else {
            1.0
        }
    });
    shares.fold(1.0, f32::min)
}

/// The joints a tick after `before`, at these velocities as far as their own limits allow.
fn mixed(
    before: &Joints,
    limits: &[JointLimits],
    dt: f32,
    mut velocity: impl FnMut(&JointMotion) -> f32,
) -> Joints {
    let mut joints = *before;
    for (joint, limits) in joints.iter_mut().zip(limits) {
        let velocity = velocity(joint);
        joint.go(limits, velocity, dt);
    }
    joints
}

/// Where the tool comes to rest when the joints brake together from now on.
fn rest(workspace: &Workspace, joints: &Joints, limits: &[JointLimits]) -> [f32; 3] {
    let times = joints.iter().zip(limits);
    let time = times.fold(0.0, |time: f32, (joint, limits)| {
        time.max(joint.velocity.abs() / limits.acceleration)
    });
    let mut rest = Positions::default();
    for (slot, joint) in rest.iter_mut().zip(joints) {
        *slot = joint.position + joint.velocity * time * 0.5;
    }
    workspace.tool_at(&rest)
}

fn positions(joints: &Joints) -> Positions {
    joints.map(|joint| joint.position)
}
