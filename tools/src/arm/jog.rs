//! Moving one joint.

use std::io::{self, Write};

use anyhow::Result;
use wink_runtime::arm::{ArmClient, ArmDescription};

use super::panel::joints;
use super::{Machine, PATIENCE_US};
use crate::bad_input::bad_input;

/// Time from setpoint to setpoint.
const STEP_US: u64 = 50_000;
/// Speed of a jog, as a share of the joint's limit.
const SHARE: f64 = 0.2;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which
    #[arg(long, value_name = "NAME")]
    joint: String,

    /// How far, rad (the gripper: m)
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    by: f64,
}

pub fn run(
    args: &Args,
    arm: &ArmDescription,
    client: &mut ArmClient,
    machine: &mut dyn Machine,
) -> Result<()> {
    let all = joints(arm);
    let Some(index) = all.iter().position(|joint| joint.name == args.joint) else {
        let names: Vec<&str> = all.iter().map(|joint| joint.name).collect();
        return Err(bad_input(format!(
            "--joint {}: the arm has {}",
            args.joint,
            names.join(", ")
        )));
    };
    let joint = &all[index];
    client.arm(machine, PATIENCE_US)?;
    let mut targets = targets(client)?;
    let from = targets[index];
    let to = from + args.by;
    if !(joint.min..=joint.max).contains(&to) {
        client.hold(machine)?;
        return Err(bad_input(format!(
            "--by {}: {} is at {from:.4} {}, and may go from {} to {}",
            args.by, joint.name, joint.unit, joint.min, joint.max
        )));
    }
    let velocity = joint.velocity;
    let seconds = args.by.abs() / (velocity * SHARE);
    let steps = ((seconds * 1e6 / STEP_US as f64).ceil() as u32).max(1);
    for step in 1..=steps {
        targets[index] = from + args.by * f64::from(step) / f64::from(steps);
        follow(client, machine, &targets)?;
    }
    // As long again as it takes to settle.
    for _ in 0..10 {
        follow(client, machine, &targets)?;
    }
    client.hold(machine)?;
    let now = client.measured().and_then(|measured| measured.get(index));
    writeln!(
        io::stdout(),
        "{}: {from:.4} -> {:.4} {}; the arm holds",
        joint.name,
        now.map_or(f64::NAN, |now| f64::from(*now)),
        joint.unit
    )?;
    Ok(())
}

/// Where the arm is, as setpoints start from.
pub fn targets(client: &ArmClient) -> Result<Vec<f64>> {
    let measured = client
        .measured()
        .ok_or(wink_runtime::arm::ArmClientError::NotMeasured)?;
    Ok(measured.iter().map(|value| f64::from(*value)).collect())
}

/// One step towards the targets.
pub fn follow(client: &mut ArmClient, machine: &mut dyn Machine, targets: &[f64]) -> Result<()> {
    let now_us = machine.now_us();
    client.check(now_us, PATIENCE_US)?;
    client.send_setpoint(machine, now_us, STEP_US, targets)?;
    machine.sleep_until(now_us + STEP_US);
    let now_us = machine.now_us();
    Ok(client.poll(machine, now_us)?)
}
