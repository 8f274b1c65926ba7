//! Driving an arm joint by joint: slowly, and with those that are outside of their limits led back into them.

use anyhow::Result;
use wink_runtime::arm::{ArmClient, ArmClientError, ArmDescription, Target};

use super::panel::{JointInfo, joints};
use super::{Machine, PATIENCE_US, listen};

/// Time from setpoint to setpoint.
pub const STEP_US: u64 = 50_000;
/// How long before a setpoint is due it is sent: a busy computer may be late by a step.
const AHEAD_US: u64 = 2 * STEP_US;
/// Speed, as a share of the joint's limit.
const SHARE: f64 = 0.2;
/// An arm that moved less than this in each of the last steps stands still, rad or m.
const STILL: f64 = 0.003;
/// Steps in which an arm must stand still.
const STILL_STEPS: u32 = 4;
/// Steps after which an arm that does not stand still is left to itself.
const MOST_STEPS: u32 = 400;

/// An armed arm, where it was told to be.
pub struct Drive<'a> {
    client: &'a mut ArmClient,
    machine: &'a mut dyn Machine,
    joints: Vec<JointInfo<'a>>,
    targets: Vec<f64>,
    notices: Vec<String>,
}

impl<'a> Drive<'a> {
    /// Switches torque on. A joint outside of its limits is told to go back to them, which it does slowly.
    pub fn start(
        arm: &'a ArmDescription,
        client: &'a mut ArmClient,
        machine: &'a mut dyn Machine,
    ) -> Result<Self> {
        let joints = joints(arm);
        client.arm(machine, PATIENCE_US)?;
        let measured = measured(client)?;
        let notices = outside(&joints, &measured);
        let targets = inside(&joints, &measured);
        Ok(Self {
            client,
            machine,
            joints,
            targets,
            notices,
        })
    }

    /// What is told of joints outside of their limits.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Where a joint was told to be, rad or m.
    pub fn target(&self, joint: usize) -> f64 {
        self.targets[joint]
    }

    /// Where a joint is, rad or m.
    pub fn measured(&self, joint: usize) -> Result<f64> {
        Ok(measured(self.client)?[joint])
    }

    /// Moves a joint to a position within its limits.
    pub fn go(&mut self, joint: usize, to: f64) -> Result<()> {
        let to = to.clamp(self.joints[joint].min, self.joints[joint].max);
        let from = self.targets[joint];
        let seconds = (to - from).abs() / (self.joints[joint].velocity * SHARE);
        let steps = ((seconds * 1e6 / STEP_US as f64).ceil() as u32).max(1);
        for step in 1..=steps {
            self.targets[joint] = from + (to - from) * f64::from(step) / f64::from(steps);
            self.follow()?;
        }
        Ok(())
    }

    /// Waits until the arm stands still.
    pub fn settle(&mut self) -> Result<()> {
        let mut still = 0;
        let mut before = measured(self.client)?;
        for _ in 0..MOST_STEPS {
            self.follow()?;
            let now = measured(self.client)?;
            let furthest = now
                .iter()
                .zip(&before)
                .fold(0.0_f64, |most, (now, before)| {
                    most.max((now - before).abs())
                });
            still = if furthest < STILL { still + 1 } else { 0 };
            if still >= STILL_STEPS {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Has the arm hold where it is.
    pub fn end(self) -> Result<()> {
        Ok(self.client.hold(self.machine)?)
    }

    fn follow(&mut self) -> Result<()> {
        follow(self.client, self.machine, &self.targets)
    }
}

/// Where the arm is, rad or m.
pub fn measured(client: &ArmClient) -> Result<Vec<f64>> {
    let measured = client.measured().ok_or(ArmClientError::NotMeasured)?;
    Ok(measured.iter().map(|value| f64::from(*value)).collect())
}

/// A pose with every joint within its limits.
pub fn inside(joints: &[JointInfo<'_>], measured: &[f64]) -> Vec<f64> {
    joints
        .iter()
        .zip(measured)
        .map(|(joint, position)| position.clamp(joint.min, joint.max))
        .collect()
}

/// What is told of joints that are outside of their limits.
pub fn outside(joints: &[JointInfo<'_>], measured: &[f64]) -> Vec<String> {
    joints
        .iter()
        .zip(measured)
        .filter(|(joint, position)| !(joint.min..=joint.max).contains(*position))
        .map(|(joint, position)| {
            format!(
                "{} is at {position:.4} {}, outside of its limits {:.4} .. {:.4}: it moves inwards, slowly",
                joint.name, joint.unit, joint.min, joint.max
            )
        })
        .collect()
}

/// One step towards the targets.
pub fn follow(client: &mut ArmClient, machine: &mut dyn Machine, targets: &[f64]) -> Result<()> {
    let now_us = machine.now_us();
    client.check(now_us, PATIENCE_US)?;
    client.send_setpoint(machine, now_us, AHEAD_US, targets, Target::New)?;
    listen(client, machine, STEP_US)
}
