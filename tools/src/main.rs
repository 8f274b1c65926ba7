//! `wink`: evaluate, compare, record and inspect robot-arm policies.

mod arm;
mod bad_input;
mod bench;
mod cameras;
mod cards;
mod cell;
mod check;
mod data;
mod eval;
mod flash;
mod frames;
mod hardware;
mod import;
mod inspect;
mod kit;
mod log;
mod memory;
mod merge;
mod ordered;
mod out_dir;
mod out_file;
mod plot;
mod profile;
mod progress;
mod quantize;
mod real_time;
mod record;
mod recording;
mod replay;
mod results;
mod rollout;
mod run;
mod setup;
mod stats;
mod teleop;
mod threads;
mod values;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run vision-language-action policies on a robot arm, and find out what they know
#[derive(Debug, Parser)]
#[command(name = "wink", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  wink run --policy models/wink-so101                 a policy on an arm, in real time: simulated, or --board FILE --arm NAME
  wink eval                                           the shipped policy on all three splits, with its controls
  wink eval --policy expert --split val --out out/x   the scripted expert; report.html, report.json, episodes.parquet
  wink merge out/shard-* --out out/all                the shards of an evaluation as one report
  wink record --episodes 500 --out data/demos         demonstrations as a LeRobotDataset v3.0
  wink record --from run.mcap --out data/real         the same from recordings of runs and of teleoperation
  wink replay run.mcap --policy models/wink-so101     a recording fed to a policy: are its actions still the same?
  wink frames --data data/demos --out frames.npy      its camera frames, rendered again into one memory-mappable file
  wink import --onnx act.onnx --config ckpt --out p   a policy package from another exporter's ONNX file; see --help
  wink inspect models/wink-s                          a package's or an ONNX file's graphs, shapes, operators, sizes
  wink quantize --scheme int8 --out out/int8          int8, 4-bit or half-precision graphs from a float package
  wink check model.onnx --inputs in.npz               an ONNX file on given tensors, compared with expected outputs
  wink bench models/wink-s                            its latency here, in plain tract and in ONNX Runtime
  wink profile                                        where its time goes: each stage of a tick, each op, loading, memory
  wink results                                        models/RESULTS.md: all ways compared, from stored reports
  wink cards --out cards.pdf                          the emoji cards at 14 cm, to print
  wink flash --board nucleo-f411 --dry-run            build and flash a microcontroller's firmware
  wink setup --arm so101                              the first hour of a new arm: port, ids, calibration, rest pose
  wink teleop --leader /dev/ttyACM1 --dataset data/d  a leader arm moves the arm; demonstrations are recorded
  wink cameras                                        cameras: formats, the rate that they deliver, frame age, stills
  wink arm                                            an arm live: joints, loads, link; jog, calibrate, release
  wink log --board nucleo-f411                        what a board logs

Exit codes: 0 done, 1 failed on the way, 2 bad input.";

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Args),
    Profile(profile::Args),
    Eval(eval::Args),
    Merge(merge::Args),
    Record(record::Args),
    Run(Box<run::Args>),
    Replay(replay::Args),
    Frames(frames::Args),
    Import(Box<import::Args>),
    Inspect(inspect::Args),
    Quantize(quantize::Args),
    Results(results::Args),
    Cameras(cameras::Args),
    Cards(cards::Args),
    Check(check::Args),
    Flash(flash::Args),
    Arm(arm::Args),
    Setup(setup::Args),
    Teleop(teleop::Args),
    Kit(kit::Args),
    Log(log::Args),
}

fn main() -> ExitCode {
    // A caught panic becomes an error that names the file; the panic's own text would stand beside it.
    wink_engine::quiet_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are no errors, and clap knows how to print them.
        Err(asked) if !asked.use_stderr() => asked.exit(),
        Err(wrong)
            if wrong.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            wrong.exit()
        }
        Err(wrong) => return fail(&wrong.into()),
    };
    let done = match cli.command {
        Command::Bench(args) => bench::run(&args),
        Command::Profile(args) => profile::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Replay(args) => match replay::run(&args) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Frames(args) => frames::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Results(args) => results::run(&args),
        Command::Cameras(args) => cameras::run(&args),
        Command::Cards(args) => cards::run(&args),
        Command::Check(args) => match check::run(&args) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Flash(args) => flash::run(&args),
        Command::Arm(args) => arm::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Teleop(args) => teleop::run(&args),
        Command::Kit(args) => kit::run(&args),
        Command::Log(args) => log::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has stopped reading, as `head` does.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {}", bad_input::one_line(error));
    ExitCode::from(bad_input::exit_code(error))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
