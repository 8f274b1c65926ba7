//! Finding a joint's middle and range, by hand or from LeRobot's file, and saving both.

use std::f64::consts::TAU;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use anyhow::{Context, Result, bail};
use wink_firmware::servo::{TICKS_PER_TURN, TickCalibration};
use wink_runtime::arm::{ArmClient, ArmDescription};

use super::lerobot::{self, Found};
use super::panel::joints;
use super::{Machine, PATIENCE_US, Target};
use crate::bad_input::bad_input;

const LOOK_US: u64 = 20_000;
/// Less of a range than this and the joint was not moved, rad or m.
const MOVED: f64 = 0.005;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Take over LeRobot's calibration file; no board is needed
    #[arg(long, value_name = "FILE")]
    lerobot: Option<PathBuf>,

    /// Save here instead of in the arm's own file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, target: &Target) -> Result<()> {
    let path = target.arm_path();
    let text = fs::read_to_string(&path)
        .map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let arm = super::read_arm(&path)?;
    let found = match &args.lerobot {
        Some(file) => {
            let calibration = fs::read_to_string(file)
                .map_err(|error| bad_input(format!("{}: {error}", file.display())))?;
            lerobot::read(&calibration, &arm).context(file.display().to_string())?
        }
        None => by_hand(&arm, target)?,
    };
    let new = lerobot::apply(&text, &arm, &found)?;
    let out = args.out.as_ref().unwrap_or(&path);
    save(out, &new)?;
    let mut stdout = io::stdout().lock();
    for (joint, found) in joints(&arm).iter().zip(&found) {
        writeln!(
            stdout,
            "{:<14} zero at tick {:.1}, from {:.0} to {:.0}",
            joint.name, found.zero_tick, found.min_tick, found.max_tick
        )?;
    }
    writeln!(
        stdout,
        "saved to {}; the board still has the old one: wink flash",
        out.display()
    )?;
    Ok(())
}

/// Whole or not at all.
fn save(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("toml.partial");
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| bad_input(format!("{}: {error}", path.display())))
}

fn by_hand(arm: &ArmDescription, target: &Target) -> Result<Vec<Found>> {
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
    tell("Put every joint in the middle of its range, the gripper closed. Then press Enter.")?;
    let mut middle = Vec::new();
    wait(&enter, &mut client, &mut *machine, |now| {
        now.clone_into(&mut middle);
    })?;
    tell("Move every joint through its whole range. Then press Enter.")?;
    let mut ranges: Vec<[f32; 2]> = middle.iter().map(|position| [*position; 2]).collect();
    wait(&enter, &mut client, &mut *machine, |now| {
        for (range, position) in ranges.iter_mut().zip(now) {
            *range = [range[0].min(*position), range[1].max(*position)];
        }
    })?;
    let mut found = Vec::new();
    for (index, (joint, range)) in joints(arm).iter().zip(&ranges).enumerate() {
        if f64::from(range[1] - range[0]) < MOVED {
            bail!("{} was not moved: nothing was saved", joint.name);
        }
        let (Some(calibration), Some(middle)) = (calibrations.get(index), middle.get(index)) else {
            bail!("the board tells of fewer joints than the arm has: nothing was saved");
        };
        // Where the old limits end is no reason not to look further.
        let whole_turn = TickCalibration {
            min_tick: 0,
            max_tick: TICKS_PER_TURN - 1,
            ..*calibration
        };
        let ticks = |position: f32| f64::from(whole_turn.tick(position));
        let ends = [ticks(range[0]), ticks(range[1])];
        let zero_tick = match arm.gripper_lever_m() {
            _ if index < arm.joints().len() => ticks(*middle),
            // The jaw was closed: its zero is that far from where it is now.
            Some(lever_m) => {
                let away = arm.gripper().closed_m / lever_m * f64::from(TICKS_PER_TURN) / TAU;
                ticks(*middle) + if calibration.reversed { away } else { -away }
            }
            // Where a crank's horn stands across is not seen from its finger.
            None => f64::from(calibration.zero_tick),
        };
        found.push(Found {
            zero_tick,
            min_tick: ends[0].min(ends[1]),
            max_tick: ends[0].max(ends[1]),
            homing_offset: None,
            reversed: calibration.reversed,
        });
    }
    Ok(found)
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
