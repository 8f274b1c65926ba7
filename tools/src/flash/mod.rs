//! `wink flash`: build a board's image, put it there, and shake hands with it.

pub mod board_file;
mod drive;
mod plan;
mod probe;
mod uf2;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use wink_runtime::arm::{ArmDescription, ArmServos, named_file};

use crate::arm::{self, CalibrationChoice, SerialBoard};
use crate::bad_input::bad_input;
use board_file::Board;
use plan::{Plan, Transfer, Wishes};

const EXAMPLES: &str = "\
Examples:
  wink flash --board nucleo-f411 --dry-run            what would be done
  wink flash --board nucleo-f411 --arm so101          build for the SO-101, flash by ST-Link, shake hands
  wink flash --board pico --arm so101 --id left       with the calibration left of that arm
  wink flash --board pico --arm my.toml               for an arm with a file of one's own
  wink flash --board pico                             hold BOOTSEL while plugging in: copied as UF2
  wink flash --board pico --probe 2e8a:000c           by a debug probe instead

The image is built by Cargo, a probe is driven by probe-rs (`cargo install probe-rs-tools`).";

/// Time that a board gets to start.
const START: Duration = Duration::from_millis(1500);
/// Time that a board gets to take an image off its drive.
const TAKE: Duration = Duration::from_secs(20);

/// Build a board's firmware, flash it, verify, and shake hands with it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The board: a folder under boards/ with a board.toml
    #[arg(long, value_name = "NAME")]
    board: String,

    /// The arm that the image drives: a name under boards/arms, or a file [default: wx250s]
    #[arg(long, value_name = "NAME")]
    arm: Option<String>,

    #[command(flatten)]
    calibration: CalibrationChoice,

    /// Use a debug probe, this one where several are there (`probe-rs list`)
    #[arg(long, value_name = "SELECTOR", num_args = 0..=1, default_missing_value = "")]
    probe: Option<String>,

    /// Where the board's drive is mounted, if it is not found
    #[arg(long, value_name = "DIR")]
    drive: Option<PathBuf>,

    /// Serial port of the flashed board [default: the only one there]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,

    /// Leave the handshake out
    #[arg(long)]
    no_handshake: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Say it as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    boards: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let board = Board::find(&args.boards, &args.board)?;
    let arm = args.arm.as_deref().unwrap_or("wx250s");
    let path = named_file(&args.boards.join("arms"), arm);
    let model = arm::read_arm(&path)?;
    refuse_no_bus(&model, &path)?;
    let calibration = args.calibration.file(&model)?;
    let arm_file = args.calibration.applied(model)?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| board.folder.join("target"), PathBuf::from);
    let wishes = Wishes {
        arm: args
            .arm
            .as_deref()
            .map(|name| board.arm_source(name, &path))
            .transpose()?,
        calibration: calibration
            .map(std::path::absolute)
            .transpose()
            .context("finding the calibration")?,
        probe: args.probe.clone(),
        drive: args.drive.clone(),
        port: args.port.clone(),
        target_dir: std::path::absolute(target_dir).context("finding the target folder")?,
    };
    let plan = Plan::new(&board, &wishes)?;
    let mut out = io::stdout().lock();
    arm::tell_uncalibrated(&arm_file);
    if args.dry_run {
        if args.json {
            serde_json::to_writer_pretty(&mut out, &plan)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}: {}, arm {arm}", board.name, board.file.title)?;
            writeln!(out, "{plan}")?;
        }
        return Ok(());
    }
    if let Err(said) = probe::run(&plan.build)? {
        bail!(probe::explain_build(&said, &board.file.target));
    }
    transfer(&plan, &board)?;
    writeln!(out, "flashed {} and verified", plan.image.display())?;
    if args.no_handshake {
        return Ok(());
    }
    sleep(START);
    let port = match &plan.port {
        Some(port) => port.clone(),
        None => arm::only_port()?,
    };
    let told = arm::greet(&mut SerialBoard::open(&port, plan.baud)?, &arm_file)
        .with_context(|| format!("shaking hands on {port}"))?;
    writeln!(out, "{told}")?;
    Ok(())
}

/// An image drives servos on a serial bus.
fn refuse_no_bus(arm: &ArmDescription, path: &Path) -> Result<()> {
    if matches!(arm.servos(), Some(ArmServos::Bus { .. })) {
        return Ok(());
    }
    Err(bad_input(format!(
        "{}: an image drives servos on a serial bus, and this arm has none: drive it from a computer with wink-board",
        path.display()
    )))
}

fn transfer(plan: &Plan, board: &Board) -> Result<()> {
    match &plan.transfer {
        Transfer::Probe { write, start } => {
            let chip = board.file.flash.chip.as_deref().unwrap_or_default();
            for call in [write, start] {
                if let Err(said) = probe::run(call)? {
                    bail!(probe::explain_probe(&said, chip, &board.file.flash));
                }
            }
            Ok(())
        }
        Transfer::Uf2 {
            volume,
            drive,
            family,
        } => {
            let image = read_image(&plan.image)?;
            let segments = uf2::segments(&image)
                .with_context(|| format!("reading {}", plan.image.display()))?;
            let file = uf2::convert(&segments, *family)?;
            let drive = drive::find(volume, drive.as_deref())?;
            drive::copy(&drive, &file, TAKE)
        }
    }
}

fn read_image(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))
}
