//! `wink run`: a policy drives an arm, in real time, watched by an operator.

mod ask;
mod command;
mod console;
mod drive;
mod figures;
mod known;
mod status;
mod stop;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::value_parser;
use serde_json::json;
use wink_runtime::control::schedule::SchedulerKind;
use wink_runtime::session::{Latency, RuntimeError, Session, StartGuard, Timing};

use crate::arm::CalibrationChoice;
use crate::bad_input::{as_bad_input, bad_input};
use crate::eval::policy::{Choice, SHIPPED, package_sha256};
use crate::hardware::BoardArgs;
use crate::recording::{Facts, PolicyFacts, Recorder};
use crate::teleop::{LeaderArm, Person};
use crate::threads::ThreadArgs;
use ask::Proposal;
use command::Commands;
use drive::{Drive, End};
use known::Known;
use stop::Stop;

/// A first target that is farther away than this is approached slowly, rad.
const GUARD_RAD: f64 = 0.1;
/// The speed of that approach, as a share of each joint's limit.
const SLOW: f64 = 0.15;
/// The speed of a policy that has not driven an arm yet.
const FIRST_SPEED: f64 = 0.25;

/// Run a policy on an arm: simulated, emulated or real
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    board: BoardArgs,

    /// The policy package
    #[arg(long, value_name = "DIR", default_value = SHIPPED)]
    policy: String,

    /// Which of the package's graphs to run; the package's own default unless given
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    /// What the policy is told [default: on a simulated table, what the table is laid for]
    #[arg(long, value_name = "TEXT")]
    instruction: Option<String>,

    /// What happens while inference runs; `wink eval --help` lists them
    #[arg(long, value_name = "NAME", default_value_t = SchedulerKind::Synchronous)]
    scheduler: SchedulerKind,

    /// Speed of the policy's actions, above 0 and at most 1 [default: 1; 0.25 where the policy drives an arm for the first time]
    #[arg(long, value_name = "SCALE")]
    speed: Option<f64>,

    /// End after so many seconds: park and let go
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    seconds: Option<u32>,

    /// Do everything, but arm nothing and send no setpoint
    #[arg(long)]
    shadow: bool,

    /// Do not ask before the arm is armed
    #[arg(long)]
    yes: bool,

    /// The recording [default: recordings/run-SECONDS.mcap]
    #[arg(long, value_name = "FILE.mcap", conflicts_with = "no_record")]
    record: Option<PathBuf>,

    /// Record nothing
    #[arg(long)]
    no_record: bool,

    /// A leader arm for `t`: the port of its adapter; without one, `t` hands over to keys
    #[arg(long, value_name = "PORT")]
    leader: Option<String>,

    /// The leader's model [default: that of the arm]
    #[arg(long, value_name = "NAME|FILE", requires = "leader")]
    leader_arm: Option<String>,

    /// Name of the leader's calibration
    #[arg(
        long,
        value_name = "NAME",
        default_value = "leader",
        requires = "leader"
    )]
    leader_id: String,

    #[command(flatten)]
    threads: ThreadArgs,

    /// A line of JSON each second, and one for each event, instead of the view
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink run --policy models/wink-so101                             the second shipped policy on a simulated table
  wink run --policy models/wink-so101 --yes --seconds 60 --json   the same without an operator
  wink run --board raspberry-pi-5 --arm so101 --policy models/wink-so101 --instruction \"pick the block and place it on ear\"
  wink run --board raspberry-pi-5 --arm so101 --policy mine --instruction \"...\" --shadow   look, and move nothing

Keys: space holds, Enter goes on, i another instruction, s speed, t a person takes over and gives back, q parks and lets go.
Ctrl-C, SIGTERM, SIGHUP and a lost terminal end as q does.

Exit codes: 0 done, 1 the arm was held or could not be parked, 2 bad input: nothing was armed.";

/// Runs until it is told to end.
pub fn run(args: &Args) -> Result<()> {
    let stop = Stop::install()?;
    let interactive = !args.json && io::stdin().is_terminal() && io::stdout().is_terminal();
    if !interactive && !args.yes {
        return Err(bad_input(
            "without a terminal nobody can confirm what will run: give --yes",
        ));
    }
    let mut policy = Choice::open_any(&args.policy, args.precision.as_deref())?;
    policy
        .use_threads(args.threads.threads())
        .map_err(as_bad_input)?;
    if args.board.is_simulated() {
        policy.seed(args.board.seed);
    }
    let sha256 = package_sha256(&args.policy)?;
    let known = Known::open(&sha256);
    let speed = speed(args, &known)?;
    let manifest = policy.manifest().clone();
    let mut hardware = args.board.open(&manifest)?;
    let instruction = match (&args.instruction, &hardware.table) {
        (Some(text), _) => text.clone(),
        (None, Some((_, scene))) => scene.instruction(),
        (None, None) if manifest.observations.text.is_none() => String::new(),
        (None, None) => {
            return Err(bad_input(
                "the policy takes an instruction: --instruction TEXT",
            ));
        }
    };
    if manifest.observations.text.is_some() {
        policy.tokens(&instruction).map_err(as_bad_input)?;
    }
    let person: Option<Box<dyn Person>> = match &args.leader {
        Some(port) => Some(Box::new(LeaderArm::open(
            args.leader_arm.as_deref().unwrap_or(hardware.arm.name()),
            port,
            &CalibrationChoice::new(None, Some(args.leader_id.clone())),
            &args.board.boards,
            &hardware.arm,
        )?)),
        None => None,
    };

    let cameras = hardware.rig.cameras.iter().zip(&hardware.pinned);
    let mut facts = Facts::of(&hardware.arm, &hardware.board, manifest.control_hz)
        .with_cameras(cameras.map(|(camera, pinned)| (&*camera.name, &pinned[..])));
    facts.calibration = hardware
        .calibration
        .as_ref()
        .map(|path| path.display().to_string());
    facts.policy = Some(PolicyFacts {
        name: args.policy.clone(),
        sha256: Some(sha256.clone()),
        actions: manifest.action.names.clone(),
    });

    let proposal = Proposal {
        args,
        sha256: &sha256,
        first: !known.has_run(),
        speed,
        instruction: &instruction,
        policy: &manifest,
    };
    let trouble = hardware.take_trouble();
    let timing = Timing {
        scheduler: args.scheduler,
        latency: Latency::Real,
    };
    let stills = ask::stills(&mut hardware)?;
    let checker = policy.clone();
    let mut session = Session::new(
        hardware.arm.clone(),
        hardware.config.clone(),
        std::mem::replace(&mut hardware.rig, ask::no_rig()),
        Box::new(policy),
        timing,
    )
    .map_err(as_bad_input)?;
    session.set_start_guard(StartGuard {
        within_rad: GUARD_RAD,
        share: SLOW,
    });
    session.set_speed(speed).map_err(as_bad_input)?;
    if args.shadow {
        session.set_shadow();
    }
    session.greet().map_err(|error| match trouble() {
        Some(trouble) => bad_input(trouble),
        None => as_bad_input(error),
    })?;
    if !proposal.confirm(&hardware, &session, &stills)? {
        writeln!(io::stdout(), "nothing was armed")?;
        return Ok(());
    }
    let recorder = recorder(args, facts, &hardware.arm, &mut session)?;
    let commands = if interactive {
        Commands::from_console(&stop)?
    } else {
        Commands::none()
    };
    let mut drive = Drive::new(Parts {
        session,
        checker,
        instruction,
        rest: hardware.rest,
        commands,
        recorder,
        person,
        stop,
        json: args.json || !interactive,
        seconds: args
            .seconds
            .map(|seconds| Duration::from_secs(seconds.into())),
        trouble,
        goes_on: interactive,
    });
    let end = drive.run();
    if matches!(end, Ok(End::Parked)) && !args.shadow {
        known.remember();
    }
    let outcome = hardware.table.as_ref().map(|(world, scene)| {
        let outcome = world.borrow().outcome();
        json!({ "named": scene.card_named(drive.instruction()), "set_down_on": outcome.executed() })
    });
    drive.summary(outcome)?;
    match end? {
        End::Parked => Ok(()),
        End::Held(why) => anyhow::bail!("the arm holds where it is: {why}"),
    }
}

/// What the loop is made of.
pub struct Parts {
    session: Session,
    checker: wink_runtime::policy::OnnxPolicy,
    instruction: String,
    rest: wink_runtime::arm::JointValues,
    commands: Commands,
    recorder: Option<Recorder>,
    /// A leader arm; `None`: keys.
    person: Option<Box<dyn Person>>,
    stop: Stop,
    json: bool,
    seconds: Option<Duration>,
    trouble: Box<dyn Fn() -> Option<String>>,
    /// Whether an operator can go on after the arm was held.
    goes_on: bool,
}

/// The speed to begin with: lower for a policy that has not driven an arm yet.
fn speed(args: &Args, known: &Known) -> Result<f64> {
    let first = !args.board.is_simulated() && !known.has_run();
    let most = if first { FIRST_SPEED } else { 1.0 };
    match args.speed {
        Some(speed) if !(speed > 0.0 && speed <= 1.0) => {
            Err(as_bad_input(RuntimeError::Speed { scale: speed }))
        }
        Some(speed) => Ok(speed.min(most)),
        None => Ok(most),
    }
}

fn recorder(
    args: &Args,
    facts: Facts,
    arm: &wink_runtime::arm::ArmDescription,
    session: &mut Session,
) -> Result<Option<Recorder>> {
    if args.no_record {
        return Ok(None);
    }
    let now_us = session.now_us();
    let path = match &args.record {
        Some(path) => path.clone(),
        None => {
            let folder = PathBuf::from("recordings");
            std::fs::create_dir_all(&folder)
                .map_err(|error| bad_input(format!("{}: {error}", folder.display())))?;
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            folder.join(format!("run-{}.mcap", since.unwrap_or_default().as_secs()))
        }
    };
    let recorder = Recorder::start(&path, facts, arm, now_us)?;
    recorder.tap(session.rig_mut());
    Ok(Some(recorder))
}
