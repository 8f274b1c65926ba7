//! Calibrating by hand over the wire: every joint is moved through its range.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use anyhow::{Result, bail};
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration, Transmission};
use wink_runtime::arm::{ArmClient, ArmDescription, Calibration, JointCalibration};

use super::{Machine, PATIENCE_US, Target};
use crate::bad_input::bad_input;

const LOOK_US: u64 = 20_000;

/// The calibration that comes of moving every joint through its range.
pub fn calibrate(arm: &ArmDescription, target: &Target) -> Result<Calibration> {
    let calibrations = arm.tick_calibrations().ok_or_else(|| {
        bad_input("the arm's file names no servos whose ticks could be calibrated")
    })?;
    let mut machine = target.open()?;
    let mut client = ArmClient::new(arm);
    client.greet(&mut *machine, PATIENCE_US)?;
    let enter = key_presses();
    tell("Hold the arm: torque goes off when you press Enter.")?;
    wait(&enter, &mut client, &mut *machine, |_| {})?;
    client.power_down(&mut *machine)?;
    tell("Move every joint through its whole range, the gripper too. Then press Enter.")?;
    let mut ranges: Vec<[f32; 2]> = Vec::new();
    wait(&enter, &mut client, &mut *machine, |now| {
        ranges.resize(now.len(), [f32::INFINITY, f32::NEG_INFINITY]);
        for (range, position) in ranges.iter_mut().zip(now) {
            *range = [range[0].min(*position), range[1].max(*position)];
        }
    })?;
    let mut joints = Vec::new();
    for (index, name) in arm.wire_names().enumerate() {
        let (Some(calibration), Some(range), Some(servo)) = (
            calibrations.get(index),
            ranges.get(index),
            arm.first_servo(index),
        ) else {
            bail!("the board tells of fewer joints than the arm has: nothing was saved");
        };
        // A finger behind a crank does not say where its zero is.
        if matches!(calibration.transmission, Transmission::Crank { .. }) {
            continue;
        }
        // Where the old limits end is no reason not to look further.
        let whole_turn = TickCalibration {
            min_tick: 0,
            max_tick: TICKS_PER_TURN - 1,
            ..*calibration
        };
        let ends = range.map(|position| i32::from(whole_turn.tick(position)));
        let homing_offset = arm.homing_offset(index).ok_or_else(|| {
            bad_input(format!(
                "{name}: a board does not tell the homing offset of its servo, and the arm's file has none: take over LeRobot's file"
            ))
        })?;
        joints.push(JointCalibration {
            name: name.to_owned(),
            servo_id: servo.id,
            reversed: false,
            homing_offset,
            range_min: ends[0].min(ends[1]),
            range_max: ends[0].max(ends[1]),
        });
    }
    Ok(Calibration {
        arm: arm.name().to_owned(),
        joints,
    })
}

fn tell(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// One message per line on standard input.
fn key_presses() -> Receiver<()> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if line.is_err() || send.send(()).is_err() {
                break;
            }
        }
    });
    receive
}

/// Shows `each` measured pose until Enter is pressed.
fn wait(
    enter: &Receiver<()>,
    client: &mut ArmClient,
    machine: &mut dyn Machine,
    mut each: impl FnMut(&[f32]),
) -> Result<()> {
    loop {
        let now_us = machine.now_us() + LOOK_US;
        machine.sleep_until(now_us);
        client.poll(machine, now_us)?;
        if let Some(measured) = client.measured() {
            each(measured);
        }
        match enter.try_recv() {
            Ok(()) => return Ok(()),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                bail!("standard input ended before the calibration did: nothing was saved")
            }
        }
    }
}
