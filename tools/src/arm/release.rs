//! Letting go of an arm.

use std::io::{self, Write};

use anyhow::{Result, bail};
use wink_board_linux::survey::expected;
use wink_firmware::wire::State;
use wink_runtime::arm::{ArmClient, ArmClientError};

use super::{BoardKind, Machine, PATIENCE_US, Target, listen};
use crate::bad_input::as_bad_input;
use crate::setup::Dialogue;

/// Longest wait for a braking arm to come to rest.
const BRAKING_US: u64 = 10_000_000;
const LOOK_US: u64 = 20_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Without asking whether the arm is held
    #[arg(long)]
    now: bool,
}

pub fn run(args: &Args, target: &Target) -> Result<()> {
    if !args.now {
        Dialogue::new(false).ask("Hold the arm: its torque goes off when you press Enter.")?;
    }
    match target.board {
        BoardKind::Adapter => release_servos(target),
        BoardKind::Serial | BoardKind::Sim => release_board(target),
    }
}

/// Switches the torque of every servo off that answers, whatever else is the matter with it.
fn release_servos(target: &Target) -> Result<()> {
    let place = target.place();
    let arm = place.model()?;
    let mut bus = place.bus(&arm)?;
    let mut silent = vec![];
    for servo in expected(&arm) {
        if let Err(error) = bus.release(servo.id) {
            silent.push(format!("{} ({error})", servo.joint));
        }
    }
    if !silent.is_empty() {
        bail!("these may still have torque: {}", silent.join(", "));
    }
    told(arm.name())
}

/// Asks a board to let go, also one that was flashed for another arm: it can always be stopped.
fn release_board(target: &Target) -> Result<()> {
    let arm = target.arm()?;
    let mut machine = target.open(&arm)?;
    let mut client = ArmClient::new(&arm);
    let greeted = client.greet(&mut *machine, PATIENCE_US);
    if let Err(error @ (ArmClientError::Link(_) | ArmClientError::NoAnswer { .. })) = greeted {
        return Err(as_bad_input(error));
    }
    client.power_down(&mut *machine)?;
    until_disarmed(&mut client, &mut *machine)?;
    told(arm.name())
}

fn told(arm: &str) -> Result<()> {
    writeln!(io::stdout(), "{arm}: torque is off")?;
    Ok(())
}

/// Waits until the board has switched the torque off.
pub fn until_disarmed(client: &mut ArmClient, machine: &mut dyn Machine) -> Result<()> {
    let end_us = machine.now_us() + BRAKING_US;
    while machine.now_us() < end_us {
        listen(client, machine, LOOK_US)?;
        let state = client.telemetry().map(|telemetry| telemetry.state);
        if state == Some(State::Disarmed) {
            return Ok(());
        }
    }
    bail!(
        "the board did not switch the torque off within 10 s: hold the arm, and switch its supply off"
    )
}
