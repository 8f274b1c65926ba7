//! Each joint moves a little and is named.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use wink_runtime::arm::ArmClient;

use super::{Dialogue, Place};
use crate::arm::{Adapter, Drive, JointInfo, Machine, PATIENCE_US, joints};
use crate::bad_input::bad_input;

/// How far a joint moves, as a share of its range, and at most: rad or m.
const SHARE: f64 = 0.1;
const MOST: f64 = 0.15;
/// A joint that did less than this share of its way did not move.
const DONE: f64 = 0.5;

pub fn run(place: &Place, dialogue: &mut Dialogue) -> Result<Value> {
    let arm = place.calibrated()?;
    dialogue.ask("The arm will move. Clear its way and keep a hand on its supply's switch. Then press Enter.")?;
    let mut machine = Adapter::new(place.drive(&arm)?);
    let mut client = ArmClient::new(&arm);
    client.greet(&mut machine, PATIENCE_US)?;
    let mut drive = Drive::start(&arm, &mut client, &mut machine)?;
    for notice in drive.notices() {
        dialogue.tell(notice)?;
    }
    let all = joints(&arm);
    let mut report = vec![];
    let mut still = vec![];
    let outcome = (|| {
        drive.settle()?;
        for (index, joint) in all.iter().enumerate() {
            let (by, moved) = nudge(&mut drive, index, joint)?;
            let said = if moved.abs() >= by.abs() * DONE {
                "moved"
            } else {
                still.push(joint.name);
                "did not move"
            };
            dialogue.tell(&format!(
                "  {:<14} {said}: {moved:+.3} of {by:+.3} {} and back",
                joint.name, joint.unit
            ))?;
            report.push(json!({ "joint": joint.name, "asked": by, "moved": moved }));
        }
        Ok(())
    })();
    // Torque goes off whatever happened. Where nothing did, the arm is where it began.
    drive.end()?;
    client.power_down(&mut machine)?;
    crate::arm::until_disarmed(&mut client, &mut machine)?;
    outcome.map_err(|error: anyhow::Error| match machine.trouble() {
        Some(trouble) => bad_input(trouble),
        None => error,
    })?;
    if !still.is_empty() {
        bail!(
            "{} did not move: is something in the way, and is the supply strong enough?",
            still.join(", ")
        );
    }
    dialogue.tell("Every joint moved. The torque is off again.")?;
    Ok(json!({ "joints": report }))
}

/// Moves a joint a little towards its middle and back. Returns how far it should have gone, and went.
fn nudge(drive: &mut Drive<'_>, index: usize, joint: &JointInfo<'_>) -> Result<(f64, f64)> {
    let from = drive.target(index);
    let size = ((joint.max - joint.min) * SHARE).min(MOST);
    let by = if from > (joint.min + joint.max) / 2.0 {
        -size
    } else {
        size
    };
    let began = drive.measured(index)?;
    drive.go(index, from + by)?;
    drive.settle()?;
    let moved = drive.measured(index)? - began;
    drive.go(index, from)?;
    drive.settle()?;
    Ok((by, moved))
}
