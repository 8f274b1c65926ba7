//! `wink arm`: look at an arm, move one joint, calibrate.

mod calibrate;
mod choice;
mod drive;
mod jog;
mod lerobot;
mod machine;
mod panel;
mod release;
mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use wink_runtime::arm::{ArmClient, ArmDescription, named_file};

use crate::bad_input::bad_input;
use crate::setup::Place;
pub use choice::{CalibrationChoice, tell_uncalibrated};
pub use drive::Drive;
pub use machine::{Adapter, Machine, SerialBoard, only_port, usb_ports};
pub use panel::{JointInfo, joints};
pub use release::until_disarmed;
pub use screen::Screen;

const EXAMPLES: &str = "\
Examples:
  wink arm                                            live view of the board on the only serial port
  wink arm --board sim                                the same of the simulated arm
  wink arm status --json                              one look
  wink arm --board adapter --arm so101                the same of servos on this computer's own adapter, without a board
  wink arm jog --joint elbow --by -0.1                move one joint by -0.1 rad, then hold
  wink arm release --board adapter --arm so101        let go of the arm: hold it
  wink arm calibrate --arm so101 --id left            ranges, by hand, kept as the calibration left
  wink arm calibrate --arm so101 --lerobot my.json    from LeRobot's calibration file
  wink arm calibrate --arm so101 --to-lerobot my.json for LeRobot, from the calibration that is kept
  wink arm --arm so101 --id left                      live view of the arm with that calibration

Keys in the view: up and down choose a joint, left and right move it, a arm, h hold, p power down, c clear a fault, q quit.";

/// Longest wait for the board's answers.
pub const PATIENCE_US: u64 = 2_000_000;
/// Time between two looks at the link.
const LOOK_US: u64 = 1_000;

/// Look at an arm live, move one joint, calibrate
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: Target,

    #[command(subcommand)]
    action: Option<Action>,
}

/// Which arm on which board.
#[derive(Debug, clap::Args)]
struct Target {
    /// What the arm is connected to
    #[arg(long, value_enum, default_value_t = BoardKind::Serial, global = true)]
    board: BoardKind,

    /// Serial port of the board [default: the only one there]
    #[arg(long, value_name = "PORT", global = true)]
    port: Option<String>,

    /// Its speed
    #[arg(long, value_name = "N", default_value_t = 1_000_000, global = true)]
    baud: u32,

    /// The arm: a name under boards/arms, or a file
    #[arg(long, value_name = "NAME", default_value = "wx250s", global = true)]
    arm: String,

    #[command(flatten)]
    calibration: CalibrationChoice,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards", global = true)]
    boards: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BoardKind {
    /// A flashed board on a serial port
    Serial,
    /// The servos themselves, on an adapter of this computer
    Adapter,
    /// The simulated arm
    Sim,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// One look: joints, loads, temperatures, link
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Move one joint, then hold
    Jog(jog::Args),
    /// Let go of the arm: torque off, whatever an earlier run left
    Release(release::Args),
    /// Find how far the arm's servos go, and keep it; read and write LeRobot's calibrations
    Calibrate(calibrate::Args),
}

impl Target {
    /// The arm's file, by name or path.
    fn arm_path(&self) -> PathBuf {
        named_file(&self.boards.join("arms"), &self.arm)
    }

    /// The arm with its calibration. The simulated arm is its model.
    fn arm(&self) -> Result<ArmDescription> {
        let model = read_arm(&self.arm_path())?;
        match self.board {
            BoardKind::Serial | BoardKind::Adapter => self.calibration.applied(model),
            BoardKind::Sim if self.calibration.is_made() => Err(bad_input(
                "--board sim: the simulated arm has no calibration, leave --calibration and --id out",
            )),
            BoardKind::Sim => Ok(model),
        }
    }

    /// The arm on this computer's own adapter.
    fn place(&self) -> Place {
        Place::of(
            &self.arm,
            self.port.as_deref(),
            &self.calibration,
            &self.boards,
        )
    }

    fn open(&self, arm: &ArmDescription) -> Result<Box<dyn Machine>> {
        match self.board {
            BoardKind::Sim if self.arm != "wx250s" => Err(bad_input(format!(
                "--arm {}: the simulated arm is a wx250s",
                self.arm
            ))),
            BoardKind::Sim => machine::simulated(),
            BoardKind::Adapter => Ok(Box::new(Adapter::new(self.place().drive(arm)?))),
            BoardKind::Serial => {
                let port = match &self.port {
                    Some(port) => port.clone(),
                    None => only_port()?,
                };
                Ok(Box::new(SerialBoard::open(&port, self.baud)?))
            }
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    match &args.action {
        Some(Action::Calibrate(calibrate)) => return calibrate::run(calibrate, &args.target),
        Some(Action::Release(release)) => return release::run(release, &args.target),
        _ => {}
    }
    let arm = args.target.arm()?;
    let mut machine = args.target.open(&arm)?;
    let mut client = ArmClient::new(&arm);
    client.greet(&mut *machine, PATIENCE_US)?;
    if args.target.board != BoardKind::Sim {
        tell_uncalibrated(&arm);
    }
    match &args.action {
        Some(Action::Status { json }) => {
            measure(&mut client, &mut *machine)?;
            drive::measured(&client).map_err(|error| match machine.trouble() {
                Some(trouble) => bad_input(trouble),
                None => error,
            })?;
            let mut out = io::stdout().lock();
            if *json {
                serde_json::to_writer_pretty(&mut out, &panel::json(&client, &arm))?;
                writeln!(out)?;
            } else {
                for line in panel::lines(&client, &arm, None) {
                    writeln!(out, "{line}")?;
                }
            }
            Ok(())
        }
        Some(Action::Jog(jog)) => jog::run(jog, &arm, &mut client, &mut *machine),
        Some(Action::Calibrate(_) | Action::Release(_)) => Ok(()),
        None if io::stdout().is_terminal() => view::run(&arm, &mut client, &mut *machine),
        None => bail!("the live view needs a terminal; `wink arm status` takes one look"),
    }
}

/// Reads and checks an arm's file.
pub fn read_arm(path: &Path) -> Result<ArmDescription> {
    ArmDescription::load(path).map_err(bad_input)
}

/// Shakes hands, without arming, and tells who is there.
pub fn greet(machine: &mut dyn Machine, arm: &ArmDescription) -> Result<String> {
    let mut client = ArmClient::new(arm);
    client.greet(machine, PATIENCE_US)?;
    measure(&mut client, machine)?;
    Ok(panel::lines(&client, arm, None).join("\n"))
}

/// Lets some pings and telemetry pass.
fn measure(client: &mut ArmClient, machine: &mut dyn Machine) -> Result<()> {
    for _ in 0..12 {
        let now_us = machine.now_us();
        client.ping(machine, now_us)?;
        listen(client, machine, 50_000)?;
    }
    Ok(())
}

/// Reads what comes for so long, each line as soon as it is there.
pub fn listen(client: &mut ArmClient, machine: &mut dyn Machine, time_us: u64) -> Result<()> {
    let end_us = machine.now_us() + time_us;
    loop {
        let now_us = machine.now_us();
        client.poll(machine, now_us)?;
        if now_us >= end_us {
            return Ok(());
        }
        machine.sleep_until((now_us + LOOK_US).min(end_us));
    }
}
