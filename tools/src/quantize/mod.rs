//! `wink quantize`: int8, 4-bit and half-precision graphs from the float graphs of a package, or from a bare ONNX file.

pub mod error;
mod moments;
mod options;
mod package;
mod policy;
pub mod record;
mod report;
mod subject;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::value_parser;
use wink_quantize::sensitivity::{Emitted, Parts};
use wink_quantize::{Precision, Scheme};
use wink_runtime::policy::{OnnxPolicy, Package};

use crate::bad_input::{as_bad_input, bad_input};
use crate::data::Dataset;
use crate::data::walk::Matching;
use crate::eval::policy::find;
use crate::frames::dataset::Dataset as Replayed;
use crate::out_dir::OutDir;
use crate::progress;
use crate::record::lerobot::REPLAY;

use moments::{Moment, Source};
use options::Options;
use policy::PolicySubject;
use record::{ActionError, graph_bytes};
use report::{Report, Row, SchemeReport};
use subject::{Decided, Subject, decide, prepare};

/// Quantise the float graphs of a package to int8, 4-bit or half precision
///
/// Finds the range of every activation on moments of demonstrations (made by the simulator on the spot, or recorded), rounds the
/// weights of every stage, and writes standard ONNX that other engines run too, with the float graphs beside. The errors that
/// print are those of the actions after all stages and all steps of their loops, against the float policy, on moments that
/// calibration has not seen. With --max-action-error or --max-latency the layers whose rounding moves the actions most stay float.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The package: a folder with policy.json
    #[arg(long, value_name = "DIR", default_value = crate::eval::policy::SHIPPED)]
    policy: String,

    /// Folder that is written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The package's precision to begin with
    #[arg(long, value_name = "NAME", default_value = "f32")]
    from: String,

    /// Calibrate on a LeRobotDataset with the policy's cameras and states (one that `wink record` wrote without pictures is
    /// played again), instead of demonstrations made on the spot
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Demonstrations to calibrate on
    #[arg(long, value_name = "N", default_value_t = EPISODES, value_parser = value_parser!(u64).range(1..=10_000))]
    episodes: u64,

    /// Further demonstrations to measure errors on
    #[arg(long, value_name = "N", default_value_t = HELD_OUT, value_parser = value_parser!(u64).range(1..=1000))]
    held_out: u64,

    /// Moments that are looked at: one step in K
    #[arg(long, value_name = "K", default_value_t = EVERY, value_parser = value_parser!(u16).range(1..=1000))]
    every: u16,

    #[command(flatten)]
    options: Options,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,

    /// Replace an earlier package
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink quantize --scheme int8 --out out/wink-s-int8
  wink quantize --scheme int8,int8-dynamic,w4a8,w4,f16 --out out/all && wink eval --policy out/all --precision w4
  wink quantize --policy my-act --data my-recording --episodes 20 --held-out 5 --scheme int8 --out my-act-int8
  wink quantize --scheme w4 --gptq --max-action-error 0.03 --out out/w4 --layers
  wink quantize --scheme int8 --calibration percentile --percentile 99.9 --smooth 0.5 --out out/smooth";

/// Demonstrations to calibrate on, and others to measure errors on, unless others are asked for.
const EPISODES: u64 = 24;
const HELD_OUT: u64 = 6;
/// One moment in as many steps, unless another number is asked for.
const EVERY: u16 = 16;

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let told = format!("--policy {}", args.policy);
    let package = Package::open(&find(&args.policy))
        .map_err(as_bad_input)
        .context(told.clone())?;
    let float = OnnxPolicy::load(&package, Some(&args.from))
        .map_err(as_bad_input)
        .context(told)?;
    let out = OutDir::create(&args.out, args.force, "policy.json")?;
    let (calibration, held_out) = gather(args, &source(args, &float)?)?;
    let mut subject = PolicySubject {
        package: &package,
        float: &float,
        wanted: error::actions(&float, &held_out)?,
        calibration: &calibration,
        held_out: &held_out,
    };
    let (parts, reshaped) = prepare(&args.options, &mut subject)?;
    let mut writer = package::Writer::new(&package, out, &args.from)?;
    let mut report = Report {
        policy: format!("{} {}", package.manifest().name, package.manifest().version),
        calibration_samples: calibration.len(),
        held_out_samples: held_out.len(),
        calibration: args.options.method_name(),
        errors_of: "normalised actions",
        reshaped,
        float_bytes: graph_bytes(package.manifest(), &args.from),
        schemes: Vec::new(),
    };
    for scheme in args.options.scheme.iter().map(|name| name.scheme()) {
        let (emitted, mut told) = quantise(&args.options, &parts, scheme, &mut subject)?;
        told.bytes = writer.add(scheme, emitted.stages)?;
        report.schemes.push(told);
    }
    let first = args.options.scheme.first();
    let staged = writer.finish(first.map_or(Scheme::Int8, |name| name.scheme()))?;
    let written = Package::open(staged.path())?;
    for scheme in &mut report.schemes {
        let policy = OnnxPolicy::load(&written, Some(scheme.scheme))?;
        (scheme.error, scheme.numbers) = error::measure(&policy, &subject.wanted, &held_out)?;
    }
    finish(args, &report, staged)
}

/// Decides on the layers of a scheme and writes its graphs.
fn quantise(
    options: &Options,
    parts: &Parts,
    scheme: Scheme,
    subject: &mut dyn Subject,
) -> Result<(Emitted, SchemeReport)> {
    let Decided {
        plan,
        sensitivity,
        latency_ms,
    } = decide(options, parts, scheme, subject)?;
    let emitted = parts.emit(&plan, options.rounding())?;
    let layers = emitted.layers.iter().cloned().zip(parts.names());
    let rows = layers.enumerate().map(|(index, (layer, name))| Row {
        layer: wink_quantize::emit::LayerReport {
            layer: name,
            ..layer
        },
        sensitivity: sensitivity.as_ref().map(|errors| errors[index]),
    });
    let report = SchemeReport {
        scheme: scheme.name(),
        float_layers: plan.iter().filter(|p| **p == Precision::F32).count(),
        error: ActionError::default(),
        numbers: Vec::new(),
        latency_ms,
        layers: rows.collect(),
        bytes: 0,
    };
    Ok((emitted, report))
}

/// Publishes what was written, and prints the report.
fn finish(args: &Args, report: &Report, staged: OutDir) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    package::describe(&staged, &json)?;
    let path = staged.publish()?;
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{json}")?;
        return Ok(());
    }
    if args.options.layers {
        for scheme in &report.schemes {
            write!(stdout, "{}", report::layers(scheme))?;
        }
    }
    write!(stdout, "{}", report::schemes(report))?;
    writeln!(stdout, "{}", path.display())?;
    Ok(())
}

fn source(args: &Args, policy: &OnnxPolicy) -> Result<Source> {
    let Some(data) = &args.data else {
        return Ok(Source::Simulator);
    };
    let source = if pictures_are_left_out(data) {
        Source::Replayed(Box::new(Replayed::open(data).context("--data")?))
    } else {
        let dataset = Dataset::open(data).context("--data")?;
        let matching = Matching::new(&dataset, policy.manifest()).context("--data")?;
        Source::Recorded(Box::new(dataset), matching)
    };
    let wants = args.episodes + args.held_out;
    match source.demonstrations() {
        Some(has) if has < wants => Err(bad_input(format!(
            "--data {}: has {has} episodes, --episodes and --held-out ask for {wants}",
            data.display()
        ))),
        _ => Ok(source),
    }
}

/// Whether `wink record --no-images` wrote the data set.
fn pictures_are_left_out(data: &Path) -> bool {
    let has_cameras = || {
        crate::data::Info::read(data)
            .is_ok_and(|info| !info.named(&[crate::data::Kind::Image]).is_empty())
    };
    data.join(REPLAY).is_file() && !has_cameras()
}

/// Moments to calibrate on, and others.
fn gather(args: &Args, source: &Source) -> Result<(Vec<Moment>, Vec<Moment>)> {
    let bar = progress::bar(args.episodes + args.held_out, "demonstrations");
    let every = usize::from(args.every);
    let moments = |range| source.moments(range, every, || bar.inc(1));
    let calibration = moments(0..args.episodes)?;
    let held_out = moments(args.episodes..args.episodes + args.held_out)?;
    bar.finish_and_clear();
    if calibration.is_empty() || held_out.is_empty() {
        return Err(bad_input(format!(
            "--every {every}: leaves no moments; choose a smaller one"
        )));
    }
    Ok((calibration, held_out))
}
