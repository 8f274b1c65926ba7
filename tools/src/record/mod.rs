//! `wink record`: the scripted expert's demonstrations as a LeRobotDataset v3.0.

pub mod columns;
pub mod course;
pub mod demonstration;
mod episode_stats;
pub mod features;
pub mod lerobot;
mod noise;
pub mod stats;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::value_parser;

use crate::bad_input::bad_input;
use crate::cell::CellArm;
use crate::ordered::{default_jobs, for_each_ordered};
use crate::out_dir::OutDir;
use crate::progress;
use crate::recording;

use course::Tasks;
use demonstration::{Demonstrator, FRAME_PX, NOISE_M, Settings, TAIL_STEPS};
use features::Features;
use lerobot::{CameraInfo, DatasetInfo, DatasetWriter};

/// Width and height of the benchmark's frames, pixels.
const BENCHMARK_FRAME: u32 = 224;

/// Record the scripted expert's demonstrations as a LeRobotDataset v3.0
///
/// Demonstration i is the scene that seed S + i stands for; those of the benchmark are 0 to 499. The same arguments
/// write the same bytes, whatever --jobs is. observation.cube_position is where the object is that the task is about,
/// observation.target_card_position where it is to be put. A demonstration that fails is tried again with other noise, then left out
/// and replaced by a later one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct Args {
    /// The arm: each has a table of its own, and its data its own states, actions, cameras and rate
    #[arg(long, value_enum, default_value_t)]
    arm: CellArm,

    /// What is demonstrated
    #[arg(long, value_enum, default_value_t)]
    tasks: Tasks,

    /// How many demonstrations
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), required_unless_present = "from")]
    episodes: Option<u64>,

    /// The episodes of recordings instead: those of `wink run` and `wink teleop` that were not dropped
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["episodes", "arm", "tasks", "seed", "noise", "tail", "randomise", "no_images", "frame", "jobs"])]
    from: Vec<PathBuf>,

    /// With --from: what came of it, as JSON
    #[arg(long, requires = "from")]
    json: bool,

    /// Folder to write; it appears when everything is in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Replace an earlier dataset
    #[arg(long)]
    force: bool,

    /// First demonstration
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Disturb what is executed, not what is recorded: standard deviation in metres a step on x, y and z (DART)
    #[arg(long, value_name = "SIGMA", default_value_t = 0.0)]
    noise: f64,

    /// Steps to go on after the task is done, so that letting go is more than one frame of the recording
    #[arg(long, value_name = "STEPS", default_value_t = 10, value_parser = value_parser!(u32).range(TAIL_STEPS))]
    tail: u32,

    /// Draw light, colours, table texture and camera pose anew for every demonstration; with --tasks diverse the camera
    /// stands up to 6 cm off
    #[arg(long)]
    randomise: bool,

    /// Leave the frames out: kilobytes an episode instead of megabytes; `wink frames` renders them when they are wanted
    #[arg(long)]
    no_images: bool,

    /// Width and height of the frames, in pixels; those of each camera unless given (224 in front, 112 at the wrist)
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(FRAME_PX))]
    frame: Option<u32>,

    /// Threads; one per core unless given
    #[arg(long, value_name = "J", value_parser = value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  wink record --episodes 500 --out data/demos
  wink record --episodes 2000 --out data/wide --noise 0.005 --randomise --seed 500
  wink record --episodes 10000 --out data/many --no-images
  wink record --episodes 10000 --out data/other --no-images --tasks diverse --randomise
  wink record --episodes 2 --out data/tiny --frame 96
  wink record --from run.mcap teleop.mcap --out data/real           episodes of recordings
  wink record --episodes 500 --out data/so101 --arm so101           joints in degrees, front and wrist camera, 30 Hz

Load it with lerobot, offline:
  LeRobotDataset(\"local/demos\", root=\"data/demos\")";

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let Some(episodes) = args.episodes else {
        return from_recordings(args);
    };
    if !NOISE_M.contains(&args.noise) {
        return Err(bad_input(format!(
            "--noise {}: must be 0 to {} m",
            args.noise,
            NOISE_M.end()
        )));
    }
    let last = args.seed.checked_add(2 * episodes);
    if last.is_none() || usize::try_from(episodes).is_err() {
        return Err(bad_input(format!(
            "--seed {}: too large for --episodes {}",
            args.seed, episodes
        )));
    }
    let out = OutDir::create(&args.out, args.force, "meta/info.json")?;
    if args.tasks == Tasks::Diverse && !args.arm.is_benchmarks() {
        return Err(bad_input(
            "--tasks diverse: these tasks are the wx250s' only; record them without --arm",
        ));
    }
    let settings = Settings {
        arm: args.arm,
        tasks: args.tasks,
        noise_m: args.noise,
        tail: args.tail,
        randomise: args.randomise,
        images: !args.no_images,
        frame: args
            .frame
            .or(args.arm.is_benchmarks().then_some(BENCHMARK_FRAME)),
    };
    let setup = args.arm.setup();
    let features = Features::of(setup)?;
    let cameras = features.cameras.iter().enumerate();
    let cameras = cameras.map(|(place, name)| CameraInfo {
        name: (*name).to_owned(),
        size_px: settings.frame_px(place),
    });
    let info = DatasetInfo {
        robot_type: setup.name.to_owned(),
        fps: setup.control_hz as u32,
        state: features.state.clone(),
        action: features.action.clone(),
        cameras: match settings.images {
            true => cameras.collect(),
            false => Vec::new(),
        },
        demonstrated: Some(settings),
    };
    let mut writer = DatasetWriter::create(out.path(), info)?;

    let started = Instant::now();
    let bar = progress::bar(episodes, "recording");
    let (mut recorded, mut retried, mut left_out) = (0, 0, 0);
    let mut kinds: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    // Enough spare ones that only a broken expert runs out of them.
    let attempts = 2 * episodes as usize + 10;
    let jobs = args.jobs.map_or_else(default_jobs, usize::from);
    for_each_ordered(
        (0..jobs).map(|_| Demonstrator::new(&settings)).collect(),
        attempts,
        |demonstrator, index| demonstrator.demonstrate(args.seed + index as u64),
        |_, demonstrated| {
            retried += demonstrated.retries;
            let [done, tried] = kinds.entry(demonstrated.kind).or_default();
            *tried += 1;
            *done += u64::from(demonstrated.episode.is_some());
            match demonstrated.episode {
                Some(episode) => {
                    writer.add(&episode)?;
                    recorded += 1;
                    bar.inc(1);
                }
                None => left_out += 1,
            }
            Ok(if recorded == episodes {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )?;
    bar.finish_and_clear();
    if recorded < episodes {
        bail!(
            "the expert failed in {left_out} of {attempts} demonstrations: too much --noise {}?",
            args.noise
        );
    }
    let totals = writer.finish()?;
    let path = out.publish()?;
    writeln!(
        io::stdout(),
        "{}: {} demonstrations, {} frames, {} tasks, {:.1} MB in {:.1} s; {retried} retried, {left_out} left out",
        path.display(),
        totals.episodes,
        totals.frames,
        totals.tasks,
        totals.bytes as f64 / 1e6,
        started.elapsed().as_secs_f64(),
    )?;
    if args.tasks == Tasks::Diverse {
        let each: Vec<String> = kinds
            .iter()
            .map(|(kind, [done, tried])| format!("{kind} {done} of {tried}"))
            .collect();
        writeln!(io::stdout(), "{}", each.join(", "))?;
    }
    Ok(())
}

/// The episodes of recordings as a data set.
fn from_recordings(args: &Args) -> Result<()> {
    let exported = recording::export(&args.from, &args.out, args.force)?;
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &exported)?;
        writeln!(out)?;
        return Ok(());
    }
    for told in exported.cut_off.iter().chain(&exported.left_out) {
        writeln!(out, "{told}")?;
    }
    writeln!(
        out,
        "{}: {} episodes, {} frames; {} dropped, {} left out",
        args.out.display(),
        exported.episodes,
        exported.frames,
        exported.dropped,
        exported.left_out.len(),
    )?;
    Ok(())
}
