//! `wink teleop`: a person drives an arm, with a leader arm or with keys, from where the arm is and no faster than its limits.

mod drive;
mod follower;
mod guide;
mod keys;
mod leader;
mod operator;
mod person;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::value_parser;
use serde_json::json;

use crate::arm::CalibrationChoice;
use crate::bad_input::bad_input;
use crate::recording::{self, Facts, Recorder};
use crate::setup::Dialogue;

pub use drive::{Drive, Driven, Plan, Progress};
pub use follower::{Follower, Target};
pub use guide::Guide;
pub use keys::Keys;
pub use leader::LeaderArm;
pub use operator::Operator;
pub use person::Person;

const EXAMPLES: &str = "\
Examples:
  wink teleop --arm so101 --port /dev/ttyACM0 --leader /dev/ttyACM1 --leader-id leader
  wink teleop --board my-pi.toml --leader /dev/ttyACM1 --dataset data/pick --instruction \"pick the cube\"
  wink teleop --board sim --arm so101                                 keys move a simulated arm, without a leader
  wink teleop --board sim --arm so101 --yes --seconds 5 --json        without a terminal

Keys: space hold or go on, Enter begin or end an episode, y success, n failure, k keep, d drop (an episode is kept unless dropped),
l keep the last seconds as an episode, q park and release; without a leader up and down choose a joint, left and right move it.
Without a terminal all of it is one episode; Ctrl-C and SIGTERM park and release.";

/// Move an arm with a leader arm or with keys, and record demonstrations
///
/// The arm first goes slowly to the leader's pose; after each hold it does so again. Where the leader is not read, the arm holds.
/// At the end it goes slowly to where it rests (`wink setup rest`), or to where it began, and is let go of.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    target: Target,

    /// Port of the leader arm's adapter [default: keys move the arm]
    #[arg(long, value_name = "PORT")]
    leader: Option<String>,

    /// The leader arm: a name under boards/arms, or a file
    #[arg(
        long,
        value_name = "NAME",
        default_value = "so101",
        requires = "leader"
    )]
    leader_arm: String,

    /// Its calibration file
    #[arg(long, value_name = "FILE", requires = "leader")]
    leader_calibration: Option<PathBuf>,

    /// Name of its calibration
    #[arg(
        long,
        value_name = "NAME",
        requires = "leader",
        conflicts_with = "leader_calibration"
    )]
    leader_id: Option<String>,

    /// Ticks, and frames of a data set, a second
    #[arg(long, value_name = "HZ", default_value_t = 30, value_parser = value_parser!(u32).range(5..=100))]
    hz: u32,

    #[command(flatten)]
    output: Output,

    /// Park after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,

    /// Arm without asking
    #[arg(long)]
    yes: bool,

    /// A line of JSON a second, and one at the end
    #[arg(long)]
    json: bool,
}

/// Where demonstrations go.
#[derive(Debug, clap::Args)]
pub struct Output {
    /// What is demonstrated, for the data set
    #[arg(long, value_name = "TEXT", default_value = "")]
    instruction: String,

    /// The recording [default: wink-TIME.mcap in this folder]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Record nothing
    #[arg(long, conflicts_with_all = ["record", "dataset"])]
    no_record: bool,

    /// Write the episodes that were not dropped to this new folder, as a LeRobotDataset v3.0
    #[arg(long, value_name = "DIR", requires = "instruction")]
    dataset: Option<PathBuf>,

    /// How much the key l keeps
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    keep_last: f64,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let none = |seconds: f64| seconds.is_nan() || seconds <= 0.0;
    if args.seconds.is_some_and(none) || none(args.output.keep_last) {
        return Err(bad_input("--seconds and --keep-last must be above 0"));
    }
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if args.leader.is_none() && !terminal && args.seconds.is_none() {
        return Err(bad_input(
            "keys need a terminal: give a leader arm with --leader, or an end with --seconds",
        ));
    }
    let mut follower = args.target.open()?;
    let mut person: Box<dyn Person> = match &args.leader {
        None => Box::new(Keys::new(&follower.arm)),
        Some(port) => Box::new(LeaderArm::open(
            &args.leader_arm,
            port,
            &CalibrationChoice::new(args.leader_calibration.clone(), args.leader_id.clone()),
            &args.target.boards,
            &follower.arm,
        )?),
    };
    confirm(&follower, person.with(), args.yes)?;
    let summary = start(&mut follower, f64::from(args.hz), &args.output)?;
    let driven = drive(
        follower,
        &mut *person,
        f64::from(args.hz),
        summary.as_ref(),
        args,
    );
    finish(driven, summary, args)
}

/// Begins the recording.
pub fn start(follower: &mut Follower, hz: f64, output: &Output) -> Result<Option<Recorder>> {
    if output.no_record {
        return Ok(None);
    }
    let path = match &output.record {
        Some(path) => path.clone(),
        None => {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            PathBuf::from(format!(
                "wink-{}.mcap",
                unix.map_or(0, |time| time.as_secs())
            ))
        }
    };
    let cameras = follower.rig.cameras.iter().zip(&follower.pinned);
    let mut facts = Facts::of(&follower.arm, &follower.board, hz)
        .with_cameras(cameras.map(|(camera, pinned)| (&*camera.name, &pinned[..])));
    facts.calibration = follower
        .calibration
        .as_ref()
        .map(|path| path.display().to_string());
    let now_us = follower.rig.clock.now_us();
    let recorder = Recorder::start(&path, facts, &follower.arm, now_us)?;
    recorder.tap(&mut follower.rig);
    Ok(Some(recorder))
}

fn confirm(follower: &Follower, with: &str, yes: bool) -> Result<()> {
    let mut out = io::stderr();
    writeln!(
        out,
        "{} on {} follows {with}",
        follower.arm.name(),
        follower.board
    )?;
    match &follower.calibration {
        Some(path) => writeln!(out, "calibration: {}", path.display())?,
        None => writeln!(out, "calibration: none")?,
    }
    for camera in &follower.rig.cameras {
        writeln!(out, "camera: {}", camera.name)?;
    }
    for joint in crate::arm::joints(&follower.arm) {
        writeln!(
            out,
            "  {:<14} {:>8.3} .. {:<8.3} {}, at most {:.2} {}/s",
            joint.name, joint.min, joint.max, joint.unit, joint.velocity, joint.unit
        )?;
    }
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(bad_input(
            "nothing is armed without a confirmation: give --yes",
        ));
    }
    let answer = Dialogue::new(true).ask("Type yes to arm it: ")?;
    match answer.as_str() {
        "yes" => Ok(()),
        _ => Err(bad_input("not confirmed: nothing was armed")),
    }
}

fn drive(
    follower: Follower,
    person: &mut dyn Person,
    hz: f64,
    recorder: Option<&Recorder>,
    args: &Args,
) -> Result<Driven> {
    let rest = follower.rest.clone();
    let (mut session, cameras) = follower.session(hz)?;
    session.greet()?;
    let mut operator = Operator::new(true)?;
    let one_episode = !operator.has_keys();
    let json = args.json;
    let mut say = move |progress: &Progress| -> Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, progress)?;
            writeln!(out)?;
        } else {
            write!(
                out,
                "\r{:7.1} s  {:5.1} Hz  {}{}{}\x1b[K\r",
                progress.seconds,
                progress.hz,
                progress.state,
                if progress.episode { "  episode" } else { "" },
                progress
                    .trouble
                    .as_ref()
                    .map_or_else(String::new, |why| format!("  not recorded: {why}")),
            )?;
            out.flush()?;
        }
        Ok(())
    };
    let mut plan = Plan {
        instruction: &args.output.instruction,
        seconds: args.seconds,
        keep_last_s: args.output.keep_last,
        one_episode,
        rest,
        say: &mut say,
    };
    Drive {
        session,
        cameras,
        person,
        operator: &mut operator,
        recorder,
    }
    .run(&mut plan)
}

/// Ends the recording, makes the data set, and tells what came of it.
fn finish(driven: Result<Driven>, recorder: Option<Recorder>, args: &Args) -> Result<()> {
    let summary = recorder.map(Recorder::finish);
    let driven = driven?;
    let exported = match (&args.output.dataset, &summary) {
        (Some(out), Some(summary)) => Some(recording::export(
            std::slice::from_ref(&summary.path),
            out,
            false,
        )?),
        _ => None,
    };
    let mut out = io::stdout().lock();
    if args.json {
        let told = json!({"driven": driven, "recording": summary, "dataset": exported});
        serde_json::to_writer(&mut out, &told)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "\n{} ticks, {} late; {} episodes; the leader was lost {} times; the arm is let go of",
        driven.ticks, driven.late, driven.episodes, driven.lost
    )?;
    if let Some(summary) = summary {
        writeln!(
            out,
            "{}: {} messages, {:.1} MB, {} left out",
            summary.path.display(),
            summary.messages,
            summary.bytes as f64 / 1e6,
            summary.lost.total()
        )?;
        if let Some(trouble) = summary.trouble {
            writeln!(out, "the recording ends early: {trouble}")?;
        }
    }
    if let Some(exported) = exported {
        writeln!(
            out,
            "{} episodes, {} frames in the data set",
            exported.episodes, exported.frames
        )?;
    }
    Ok(())
}
