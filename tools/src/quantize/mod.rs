//! `wink quantize`: int8, 4-bit and half-precision graphs from a float package.

pub mod error;
mod package;
pub mod record;
mod report;
mod samples;

use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{ValueEnum, value_parser};
use wink_quantize::calibrate::calibrate;
use wink_quantize::emit::{Part, Rounding};
use wink_quantize::range::Method;
use wink_quantize::sensitivity::{HeldOut, Plan, Policy, fewest_spared, spare};
use wink_quantize::{Graph, Layer, Precision, Sample, Scheme, reshape};
use wink_runtime::policy::manifest::{Run, StageSpec};
use wink_runtime::policy::{OnnxPolicy, Package};

use crate::bad_input::{as_bad_input, bad_input};
use crate::eval::policy::find;
use crate::frames::dataset::Dataset;
use crate::out_dir::OutDir;
use crate::progress;

use record::{ActionError, graph_bytes};
use report::{Report, Row, SchemeReport};
use samples::{Moment, Source, sample};

/// Quantise a float policy package to int8, 4-bit or half precision
///
/// Finds the range of every activation on moments of demonstrations (made by the simulator on the spot, or recorded), rounds the
/// weights, and writes standard ONNX that other engines run too, with the float graphs beside. The errors that print are
/// those of the actions, against the float policy, on moments that calibration has not seen. With --max-action-error or
/// --max-latency the layers whose rounding moves the actions most stay float.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The package: a folder with policy.json
    #[arg(long, value_name = "DIR", default_value = crate::eval::policy::SHIPPED)]
    policy: String,

    /// Schemes, with a comma between
    #[arg(
        long,
        value_name = "S",
        value_enum,
        value_delimiter = ',',
        required = true
    )]
    scheme: Vec<SchemeName>,

    /// Folder of the package that is written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The package's precision to begin with
    #[arg(long, value_name = "NAME", default_value = "f32")]
    from: String,

    /// How the ranges of activations are found
    #[arg(long, value_enum, default_value_t = Calibration::Mse)]
    calibration: Calibration,

    /// With --calibration percentile: the percentage of values that lies within
    #[arg(long, value_name = "PERCENT", default_value_t = 99.99, value_parser = percentile)]
    percentile: f64,

    /// Calibrate on a dataset that `wink record` wrote, instead of demonstrations made on the spot
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

    /// Move this part of the difficulty from activations to weights (SmoothQuant), 0 to 1
    #[arg(long, value_name = "ALPHA", value_parser = fraction)]
    smooth: Option<f32>,

    /// Give neighbouring layers channels of like range
    #[arg(long)]
    equalise: bool,

    /// Let biases make up for the mean error of the rounded weights
    #[arg(long)]
    bias_correction: bool,

    /// Round 4-bit weights by GPTQ, instead of each to the nearest
    #[arg(long)]
    gptq: bool,

    /// Keep layers float, the most sensitive first, until the root mean square error of the normalised actions is at most E
    #[arg(long, value_name = "E", value_parser = positive)]
    max_action_error: Option<f32>,

    /// Quantise layers, the least sensitive first, until the act graph takes at most MS on this machine
    #[arg(long, value_name = "MS", value_parser = positive, conflicts_with = "max_action_error")]
    max_latency: Option<f32>,

    /// Keep layers float whose name holds TEXT; may be repeated
    #[arg(long, value_name = "TEXT")]
    keep_float: Vec<String>,

    /// Measure each layer's sensitivity and print a table of the layers
    #[arg(long)]
    layers: bool,

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
  wink quantize --scheme w4 --gptq --max-action-error 0.03 --out out/w4 --layers
  wink quantize --scheme int8 --calibration percentile --percentile 99.9 --smooth 0.5 --out out/smooth";

/// Demonstrations to calibrate on, and others to measure errors on, unless told otherwise.
const EPISODES: u64 = 24;
const HELD_OUT: u64 = 6;
/// One moment in as many steps, unless told otherwise.
const EVERY: u16 = 16;

/// The schemes as arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
enum SchemeName {
    /// int8 weights per channel, uint8 activations of fixed range (QDQ)
    Int8,
    /// int8 weights per channel, uint8 activations of the moment's range
    Int8Dynamic,
    /// 4-bit weights in blocks of 32, uint8 activations
    #[value(name = "w4a8")]
    W4a8,
    /// 4-bit weights in blocks of 32, float activations
    W4,
    /// f16 weights and activations, f32 sums
    F16,
}

impl SchemeName {
    fn scheme(self) -> Scheme {
        match self {
            Self::Int8 => Scheme::Int8,
            Self::Int8Dynamic => Scheme::Int8Dynamic,
            Self::W4a8 => Scheme::W4a8,
            Self::W4 => Scheme::W4,
            Self::F16 => Scheme::F16,
        }
    }
}

/// The ways to find a range, as arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Calibration {
    /// From the smallest to the largest value seen
    Minmax,
    /// Leaves the rarest values out
    Percentile,
    /// Least squared error
    Mse,
    /// Least Kullback-Leibler divergence
    Entropy,
}

fn percentile(text: &str) -> Result<f64, String> {
    number(text, |value| (50.0..=100.0).contains(value), "50 to 100")
}

fn fraction(text: &str) -> Result<f32, String> {
    number(text, |value| (0.0..=1.0).contains(value), "0 to 1")
}

fn positive(text: &str) -> Result<f32, String> {
    let fits = |value: &f32| value.is_finite() && *value > 0.0;
    number(text, fits, "above 0")
}

fn number<T: FromStr>(text: &str, fits: impl Fn(&T) -> bool, range: &str) -> Result<T, String> {
    let value: T = text.parse().map_err(|_| "is not a number".to_owned())?;
    if fits(&value) {
        Ok(value)
    } else {
        Err(format!("must be {range}"))
    }
}

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
    let source = source(args)?;
    let moments = gather(args, &source)?;
    let split = moments.calibration;
    let (calibration, held_out) = moments.all.split_at(split);
    let samples = moments
        .all
        .iter()
        .map(|moment| sample(&float, moment))
        .collect::<Result<Vec<_>>>()?;
    let (policy, reshaped) = prepare(args, &package, &samples[..split])?;
    let measured = HeldOut::new(&policy, samples[split..].to_vec())?;
    let mut writer = package::Writer::new(&package, out, &args.from)?;
    let mut report = Report {
        policy: format!("{} {}", package.manifest().name, package.manifest().version),
        calibration_samples: calibration.len(),
        held_out_samples: held_out.len(),
        calibration: args.method_name(),
        reshaped,
        float_bytes: graph_bytes(package.manifest(), &args.from),
        schemes: Vec::new(),
    };
    for scheme in args.scheme.iter().map(|name| name.scheme()) {
        let Quantised {
            plan,
            sensitivity,
            latency_ms,
        } = quantise(args, &policy, scheme, &measured, &package)?;
        let emitted = policy.emit(&plan, args.rounding())?;
        let rows = emitted.layers.iter().cloned().enumerate();
        let rows = rows.map(|(index, layer)| Row {
            layer,
            sensitivity: sensitivity.as_ref().map(|errors| errors[index]),
        });
        report.schemes.push(SchemeReport {
            scheme: scheme.name(),
            float_layers: plan.iter().filter(|p| **p == Precision::F32).count(),
            error: ActionError::default(),
            latency_ms,
            layers: rows.collect(),
            bytes: writer.add(scheme, emitted)?,
        });
    }
    let first = args
        .scheme
        .first()
        .map_or(Scheme::Int8, |name| name.scheme());
    let staged = writer.finish(first)?;
    let written = Package::open(staged.path())?;
    for scheme in &mut report.schemes {
        let policy = OnnxPolicy::load(&written, Some(scheme.scheme))?;
        scheme.error = error::measure(&policy, &float, held_out)?;
    }
    let json = serde_json::to_string_pretty(&report)?;
    let staged = package::describe(staged, &json)?;
    let path = staged.publish()?;
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{json}")?;
        return Ok(());
    }
    if args.layers {
        for scheme in &report.schemes {
            write!(stdout, "{}", report::layers(scheme))?;
        }
    }
    write!(stdout, "{}", report::schemes(&report))?;
    writeln!(stdout, "{}", path.display())?;
    Ok(())
}

impl Args {
    fn rounding(&self) -> Rounding {
        Rounding {
            method: match self.calibration {
                Calibration::Minmax => Method::MinMax,
                Calibration::Percentile => Method::Percentile(1.0 - self.percentile / 100.0),
                Calibration::Mse => Method::Mse,
                Calibration::Entropy => Method::Entropy,
            },
            gptq: self.gptq,
            bias_correction: self.bias_correction,
        }
    }

    fn method_name(&self) -> String {
        match self.calibration {
            Calibration::Minmax => "min-max".to_owned(),
            Calibration::Percentile => format!("percentile {}", self.percentile),
            Calibration::Mse => "least squared error".to_owned(),
            Calibration::Entropy => "entropy".to_owned(),
        }
    }
}

fn source(args: &Args) -> Result<Source> {
    let Some(data) = &args.data else {
        return Ok(Source::Simulator);
    };
    let dataset = Dataset::open(data).context("--data")?;
    let (has, wants) = (dataset.episodes.len() as u64, args.episodes + args.held_out);
    if has < wants {
        return Err(bad_input(format!(
            "--data {}: has {has} episodes, --episodes and --held-out ask for {wants}",
            data.display()
        )));
    }
    Ok(Source::Recorded(Box::new(dataset)))
}

/// Moments, those to calibrate on first.
struct Moments {
    all: Vec<Moment>,
    calibration: usize,
}

fn gather(args: &Args, source: &Source) -> Result<Moments> {
    let bar = progress::bar(args.episodes + args.held_out, "demonstrations");
    let every = usize::from(args.every);
    let mut all = source.moments(0..args.episodes, every, || bar.inc(1))?;
    let calibration = all.len();
    all.extend(
        source.moments(args.episodes..args.episodes + args.held_out, every, || {
            bar.inc(1)
        })?,
    );
    bar.finish_and_clear();
    if calibration == 0 || calibration == all.len() {
        return Err(bad_input(format!(
            "--every {every}: leaves no moments; choose a smaller one"
        )));
    }
    Ok(Moments { all, calibration })
}

/// The stages of a policy that can be quantised: at most one an episode, and one an observation.
pub struct Stages<'a> {
    pub text: Option<&'a StageSpec>,
    pub act: &'a StageSpec,
}

/// The stages of a package, where it has no others.
pub fn stages(package: &Package) -> Result<Stages<'_>> {
    let runs = |run: Run| {
        let stages = package.manifest().stages.iter();
        stages.filter(move |stage| stage.run == run)
    };
    let (mut episode, mut observation) = (runs(Run::Episode), runs(Run::Observation));
    let text = episode.next();
    match (observation.next(), observation.next(), episode.next()) {
        (Some(act), None, None) if runs(Run::Loop).next().is_none() => Ok(Stages { text, act }),
        _ => Err(bad_input(format!(
            "{}: only policies of one stage an observation and at most one an episode can be quantised",
            package.dir().display()
        ))),
    }
}

/// Reads the float graphs, reshapes and calibrates them.
fn prepare(args: &Args, package: &Package, samples: &[Sample]) -> Result<(Policy, Vec<String>)> {
    let stages = stages(package)?;
    let read = |stage: &StageSpec| -> Result<Graph> {
        let mut files = package.manifest().stage_files(&args.from);
        let Some((_, file)) = files.find(|(spec, _)| spec.name == stage.name) else {
            return Err(bad_input(format!(
                "--from {}: is not in the package",
                args.from
            )));
        };
        let inputs = stage.inputs.iter();
        let outputs = stage.outputs.iter();
        let parsed = Graph::parse(
            &package.read(file)?,
            inputs
                .map(|(tensor, value)| (value.clone(), tensor.clone()))
                .collect(),
            outputs
                .map(|tensor| (format!("{}.{tensor}", stage.name), tensor.clone()))
                .collect(),
        );
        parsed
            .map_err(as_bad_input)
            .with_context(|| package.path(file).display().to_string())
    };
    let text = stages.text.map(read).transpose()?;
    let act = read(stages.act)?;
    let mut reshaped = Vec::new();
    let bar = progress::bar(4 * samples.len() as u64, "calibrating");
    let text = match text {
        Some(graph) => Some(ready(args, "text", graph, samples, &mut reshaped, || {
            bar.inc(1)
        })?),
        None => None,
    };
    let samples = match &text {
        Some(text) => wink_quantize::with_text(text.graph.model(), &text.graph, samples)?,
        None => samples.to_vec(),
    };
    let act = ready(args, "act", act, &samples, &mut reshaped, || bar.inc(1))?;
    bar.finish_and_clear();
    Ok((Policy { text, act }, reshaped))
}

fn ready(
    args: &Args,
    role: &str,
    mut graph: Graph,
    samples: &[Sample],
    reshaped: &mut Vec<String>,
    step: impl Fn(),
) -> Result<Part> {
    let layers = Layer::of(&graph).map_err(as_bad_input)?;
    if args.equalise {
        let pairs = reshape::equalise(&mut graph, &layers);
        reshaped.push(format!("{role}: {pairs} pairs of layers equalised"));
    }
    if let Some(alpha) = args.smooth {
        let few = &samples[..samples.len().min(64)];
        let activations = calibrate(&graph, &layers, few, false, || {})?;
        let norms = reshape::smooth(&mut graph, &layers, &activations, alpha);
        reshaped.push(format!("{role}: {norms} norms smoothed, alpha {alpha}"));
    }
    let layers = Layer::of(&graph)?;
    let activations = calibrate(&graph, &layers, samples, args.gptq, step).map_err(as_bad_input)?;
    Ok(Part {
        graph,
        layers,
        activations,
    })
}

struct Quantised {
    plan: Plan,
    sensitivity: Option<Vec<f32>>,
    latency_ms: Option<f64>,
}

/// Decides on each layer.
fn quantise(
    args: &Args,
    policy: &Policy,
    scheme: Scheme,
    held_out: &HeldOut,
    package: &Package,
) -> Result<Quantised> {
    let mut plan = policy.plan(scheme);
    let names = policy
        .text
        .iter()
        .flat_map(|text| &text.layers)
        .chain(&policy.act.layers);
    for (precision, layer) in plan.iter_mut().zip(names) {
        if args
            .keep_float
            .iter()
            .any(|text| layer.name.contains(text.as_str()))
        {
            *precision = Precision::F32;
        }
    }
    let rounding = args.rounding();
    let budget = args.max_action_error.is_some() || args.max_latency.is_some();
    let mut sensitivity = None;
    if args.layers || budget {
        let bar = progress::bar(
            plan.len() as u64,
            format!("{}: sensitivity of each layer", scheme.name()),
        );
        sensitivity = Some(policy.sensitivity(&plan, rounding, held_out, || bar.inc(1))?);
        bar.finish_and_clear();
    }
    let mut latency_ms = None;
    if let (Some(errors), Some(most)) = (&sensitivity, args.max_action_error) {
        let fewest = fewest_spared(plan.len(), |count| {
            let emitted = policy.emit(&spare(&plan, errors, count), rounding)?;
            Ok::<_, wink_quantize::QuantizeError>(policy.error(&emitted, held_out)?.0 <= most)
        })?;
        plan = spare(&plan, errors, fewest.unwrap_or(plan.len()));
    }
    if let (Some(errors), Some(most)) = (&sensitivity, args.max_latency) {
        // The more layers are quantised the faster: find how many may stay float.
        let all = plan.len();
        let mut fastest = f64::INFINITY;
        let fewest = fewest_spared(all, |quantised| -> Result<bool> {
            let plan = spare(&plan, errors, all - quantised);
            let ms = error::latency_ms(package, &args.from, policy.emit(&plan, rounding)?)?;
            fastest = fastest.min(ms);
            if ms <= f64::from(most) {
                latency_ms = Some(ms);
            }
            Ok(ms <= f64::from(most))
        })?;
        let Some(quantised) = fewest else {
            return Err(bad_input(format!(
                "--max-latency {most}: {} takes {fastest:.1} ms at best on this machine",
                scheme.name()
            )));
        };
        plan = spare(&plan, errors, all - quantised);
    }
    Ok(Quantised {
        plan,
        sensitivity,
        latency_ms,
    })
}

/// Wall time of a call, milliseconds.
fn timed<T>(call: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = call();
    (value, start.elapsed().as_secs_f64() * 1e3)
}
