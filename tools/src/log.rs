//! `wink log`: what a board logs. Its image sends defmt frames over RTT; the text is in the image.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::bad_input::bad_input;
use crate::flash::board_file::Board;

const EXAMPLES: &str = "\
Examples:
  wink log --board nucleo-f411                        live, from the board at a debug probe
  wink log --board pico --image pico.elf              with another image than the one built last
  wink log --image nucleo.elf --dump rtt.bin          frames that were saved, from RTT or a serial line
  cat /dev/ttyUSB1 | wink log --image pico.elf --dump -

A live log is read by probe-rs (`cargo install probe-rs-tools`), saved frames by defmt-print (`cargo install defmt-print`).";

/// Read a board's log
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The board, at a debug probe
    #[arg(long, value_name = "NAME", required_unless_present = "dump")]
    board: Option<String>,

    /// The image that runs on it [default: the one that was built last for the board]
    #[arg(long, value_name = "ELF")]
    image: Option<PathBuf>,

    /// Saved frames instead of a live board; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "board",
        requires = "image"
    )]
    dump: Option<PathBuf>,

    /// Which probe, where several are there
    #[arg(long, value_name = "SELECTOR", requires = "board")]
    probe: Option<String>,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    boards: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    match (&args.board, &args.dump, &args.image) {
        (_, Some(dump), Some(image)) => {
            let mut print = Command::new("defmt-print");
            print.arg("-e").arg(readable(image)?);
            if dump.as_os_str() != "-" {
                let frames = File::open(dump)
                    .map_err(|error| bad_input(format!("{}: {error}", dump.display())))?;
                print.stdin(Stdio::from(frames));
            }
            follow(print, "defmt-print", "cargo install defmt-print --locked")
        }
        (Some(name), ..) => {
            let board = Board::find(&args.boards, name)?;
            let chip = board.file.flash.chip.as_deref().ok_or_else(|| {
                bad_input(format!("--board {name}: {} has no probe", board.file.title))
            })?;
            let built = std::env::var_os("CARGO_TARGET_DIR")
                .map_or_else(|| board.folder.join("target"), PathBuf::from)
                .join(&board.file.target)
                .join("release")
                .join(&board.file.image);
            let image = readable(args.image.as_ref().unwrap_or(&built))?;
            let mut attach = Command::new("probe-rs");
            attach.args(["attach", "--chip", chip]);
            if let Some(probe) = &args.probe {
                attach.args(["--probe", probe]);
            }
            attach.arg(image);
            follow(attach, "probe-rs", "cargo install probe-rs-tools --locked")
        }
        _ => bail!("nothing to read: give --board or --dump"),
    }
}

fn readable(image: &PathBuf) -> Result<&PathBuf> {
    File::open(image).map(|_| image).map_err(|error| {
        bad_input(format!(
            "{}: {error} (build it with wink flash, or give --image)",
            image.display()
        ))
    })
}

fn follow(mut command: Command, name: &str, install: &str) -> Result<()> {
    let status = match command.status() {
        Ok(status) => status,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(bad_input(format!("{name} is not installed: `{install}`")));
        }
        Err(error) => return Err(error).context(format!("running {name}")),
    };
    if status.success() {
        Ok(())
    } else {
        bail!("{name} ended with {status}")
    }
}
