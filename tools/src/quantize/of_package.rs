//! Quantises a package: its float graphs as they were, and those of each scheme beside them.

use std::path::Path;

use anyhow::{Context, Result};
use wink_quantize::Scheme;
use wink_runtime::policy::{OnnxPolicy, Package};

use super::moments::{Moment, Source};
use super::policy::PolicySubject;
use super::record::{ActionError, graph_bytes};
use super::report::{self, PackageReport, PackageScheme};
use super::subject::prepare;
use super::{Args, error, package, quantise};
use crate::bad_input::{as_bad_input, bad_input};
use crate::cell::CellArm;
use crate::data::Dataset;
use crate::data::walk::Matching;
use crate::eval::policy::{drivable, find};
use crate::frames::dataset::Dataset as Replayed;
use crate::out_dir::OutDir;
use crate::progress;
use crate::record::lerobot::REPLAY;

/// Quantises the package that the arguments name.
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
    let mut report = PackageReport {
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
        let (emitted, mut summary) = quantise(&args.options, &parts, scheme, &mut subject)?;
        summary.bytes = writer.add(scheme, emitted.stages)?;
        report.schemes.push(PackageScheme {
            summary,
            error: ActionError::default(),
            numbers: Vec::new(),
        });
    }
    let first = args.options.scheme.first();
    let staged = writer.finish(first.map_or(Scheme::Int8, |name| name.scheme()))?;
    let written = Package::open(staged.path())?;
    for scheme in &mut report.schemes {
        let policy = OnnxPolicy::load(&written, Some(scheme.summary.scheme))?;
        (scheme.error, scheme.numbers) = error::measure(&policy, &subject.wanted, &held_out)?;
    }
    finish(args, &report, staged)
}

/// Publishes what was written, and prints the report.
fn finish(args: &Args, report: &PackageReport, staged: OutDir) -> Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    package::describe(&staged, &json)?;
    let path = staged.publish()?;
    let summaries = report.schemes.iter().map(|scheme| &scheme.summary);
    let text = format!("{}{}\n", report::schemes(report), path.display());
    report::print(args, &json, summaries, &text)
}

fn source(args: &Args, policy: &OnnxPolicy) -> Result<Source> {
    let Some(data) = &args.data else {
        let setup = drivable(policy.manifest(), None).map_err(|error| {
            as_bad_input(error.context(
                "no simulated arm demonstrates for this policy: give --data, a LeRobotDataset",
            ))
        })?;
        return Ok(Source::Simulator(CellArm::of(setup)));
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
