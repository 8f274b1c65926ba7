//! Moving one joint.

use std::io::{self, Write};

use anyhow::{Result, bail};
use wink_runtime::arm::{ArmClient, ArmDescription};

use super::Machine;
use super::drive::{Drive, measured};
use super::panel::{JointInfo, joints};
use crate::bad_input::bad_input;

/// A joint that did less than this share of its way did not move.
const DONE: f64 = 0.5;
/// Shares of a shorter way than this say nothing, rad or m.
const SHORT: f64 = 0.01;

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
    // Before torque is switched on: what is refused leaves the arm as it is.
    let from = measured(client)?[index];
    let to = destination(args.by, from, joint)?;
    let rejected = rejections(client);
    let mut drive = Drive::start(arm, client, machine)?;
    let mut out = io::stdout();
    for notice in drive.notices() {
        writeln!(out, "{notice}")?;
    }
    let outcome = drive
        .go(index, to)
        .and_then(|()| drive.settle())
        .and_then(|()| drive.measured(index));
    let ended = drive.end();
    let now = outcome?;
    ended?;
    if (to - from).abs() > SHORT && (now - from) / (to - from) < DONE {
        bail!(
            "{} went from {from:.4} to {now:.4} {} instead of to {to:.4}; the board refused {} setpoints; the arm holds",
            joint.name,
            joint.unit,
            rejections(client).saturating_sub(rejected)
        );
    }
    writeln!(
        out,
        "{}: {from:.4} -> {now:.4} {}; the arm holds",
        joint.name, joint.unit
    )?;
    Ok(())
}

/// Where the joint shall go, if it may.
fn destination(by: f64, from: f64, joint: &JointInfo<'_>) -> Result<f64> {
    let to = from + by;
    if (joint.min..=joint.max).contains(&to) {
        return Ok(to);
    }
    Err(bad_input(format!(
        "--by {by}: {} is at {from:.4} {}, and may go from {} to {}",
        joint.name, joint.unit, joint.min, joint.max
    )))
}

fn rejections(client: &ArmClient) -> u32 {
    client
        .telemetry()
        .map_or(0, |telemetry| telemetry.counters.rejected())
}
