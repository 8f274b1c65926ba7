//! `wink-board`: the board as a process. Servos on one side, the wire to a host on the other.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use wink_board_linux::{BoardError, BoardFile, LinuxBoard, WirePort};
use wink_runtime::arm::{ArmDescription, Calibration, named_file, read_text};

const EXAMPLES: &str = "\
Examples:
  wink-board --board raspberry-pi-5 --arm so101
  wink-board --board raspberry-pi-5 --arm so101 --id left       with the calibration left of that arm
  wink-board --board jetson-orin-nano --arm wx250s --link /run/wink/board
  wink-board --board x86 --arm so101 --device /dev/serial/by-id/usb-1a86_USB_Single_Serial-if00

and then, in another terminal:
  wink arm --arm so101 --port /tmp/wink-board

Ends with Ctrl-C. The servos then keep their torque and their last goals: an arm does not drop.
Exit codes: 0 done, 1 failed on the way, 2 bad input.";

/// Drive an arm's servos from this machine, and offer the wire that a microcontroller would
#[derive(Debug, Parser)]
#[command(name = "wink-board", version, after_help = EXAMPLES)]
struct Args {
    /// The board: a name under boards/linux, or a file
    #[arg(long, value_name = "NAME")]
    board: String,

    /// The arm: a name under boards/arms, or a file
    #[arg(long, value_name = "NAME")]
    arm: String,

    /// The arm's calibration file [default: the one that `wink arm calibrate` keeps for it]
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    calibration: Option<PathBuf>,

    /// Name of the arm's calibration, where there are several arms of one model
    #[arg(long, value_name = "NAME")]
    id: Option<String>,

    /// Where hosts find the wire
    #[arg(long, value_name = "PATH", default_value = "/tmp/wink-board")]
    link: PathBuf,

    /// The bus' device, instead of the one that the board's file names
    #[arg(long, value_name = "PATH")]
    device: Option<String>,

    /// Folder with the boards
    #[arg(long, value_name = "DIR", default_value = "boards")]
    boards: PathBuf,
}

/// Time between two looks at either end of the wire.
const PAUSE: Duration = Duration::from_millis(1);
/// Time between two looks at whether the machine keeps up.
const REPORT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            let _ = writeln!(io::stderr(), "wink-board: {message}");
            ExitCode::from(code)
        }
    }
}

struct Failure {
    code: u8,
    message: String,
}

fn bad_input(message: String) -> Failure {
    Failure { code: 2, message }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure {
        code: 1,
        message: error.to_string(),
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let arm = arm(args)?;
    let mut board = board(args)?;
    if let Some(device) = &args.device {
        board.use_device(device);
    }
    let mut link = WirePort::create(&args.link).map_err(|error| bad_input(error.to_string()))?;
    let mut running = LinuxBoard::start(&arm, &board).map_err(|error| match error {
        BoardError::Thread(_) => failed(&error),
        _ => bad_input(error.to_string()),
    })?;
    tell_uncalibrated(&arm);
    let mut out = io::stdout();
    writeln!(
        out,
        "{} on {}: every servo answers. The wire is at {} ({})",
        arm.name(),
        board.name,
        args.link.display(),
        link.device().display()
    )
    .and_then(|()| out.flush())
    .map_err(|error| failed(&error))?;
    let (mut told, mut due) = (0, Instant::now() + REPORT);
    let mut trouble = None;
    loop {
        link.exchange(&mut running)
            .map_err(|error| failed(&error))?;
        let now = running.trouble();
        if now != trouble {
            let said = now.as_deref().unwrap_or("the servos answer again");
            let _ = writeln!(io::stderr(), "wink-board: {said}");
            trouble = now;
        }
        if Instant::now() >= due {
            due += REPORT;
            let late = running.late_steps();
            if late > told {
                let _ = writeln!(
                    io::stderr(),
                    "wink-board: {} of the last {} steps were late: lower rate_hz, or start with `chrt -f 50`",
                    late - told,
                    u64::from(board.rate_hz) * REPORT.as_secs()
                );
            }
            told = late;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The arm with its calibration.
fn arm(args: &Args) -> Result<ArmDescription, Failure> {
    let path = named_file(&args.boards.join("arms"), &args.arm);
    let model = ArmDescription::load(&path).map_err(|error| bad_input(error.to_string()))?;
    Calibration::applied(model, args.calibration.as_deref(), args.id.as_deref())
        .map_err(|error| bad_input(error.to_string()))
}

fn tell_uncalibrated(arm: &ArmDescription) {
    if !arm.is_calibrated() {
        let _ = writeln!(io::stderr(), "wink-board: {}", Calibration::lack(arm));
    }
}

fn board(args: &Args) -> Result<BoardFile, Failure> {
    let path = named_file(&args.boards.join("linux"), &args.board);
    let text = read_text(&path).map_err(|error| bad_input(error.to_string()))?;
    BoardFile::from_toml(&text).map_err(|error| bad_input(format!("{}: {error}", path.display())))
}
