//! `wink quantize`: int8, 4-bit and half-precision graphs from the float graphs of a package, or from a bare ONNX file.

pub mod error;
mod moments;
mod of_file;
mod of_package;
mod options;
mod package;
mod policy;
pub mod record;
mod report;
mod subject;

use std::path::PathBuf;

use anyhow::Result;
use clap::value_parser;
use wink_quantize::sensitivity::{Emitted, Parts};
use wink_quantize::{Precision, Scheme};

use options::Options;
use report::{Row, Summary};
use subject::{Decided, Subject, decide};

/// Quantise the float graphs of a package, or one ONNX file, to int8, 4-bit or half precision
///
/// Finds the range of every activation on moments of demonstrations (made by the simulator on the spot, or recorded), rounds the
/// weights of every stage, and writes standard ONNX that other engines run too, with the float graphs beside. The errors that
/// print are those of the actions after all stages and all steps of their loops, against the float policy, on moments that
/// calibration has not seen. With --max-action-error or --max-latency the layers whose rounding moves the actions most stay float.
///
/// A bare FILE is calibrated on the tensors of --inputs. The errors that print are those of each of its outputs, on the tensors
/// of --test-inputs, or on those of --inputs again.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A float ONNX file, instead of a package
    #[arg(value_name = "FILE.onnx", requires = "inputs", conflicts_with_all = ["policy", "from", "data", "episodes", "held_out", "every"])]
    file: Option<PathBuf>,

    /// With FILE: tensors to calibrate on, one for each input by name, as numpy.savez writes them; give several files for several
    /// samples, all of the same shapes
    #[arg(long, value_name = "IN.npz", requires = "file")]
    inputs: Vec<PathBuf>,

    /// With FILE: other tensors, which errors are measured on
    #[arg(long, value_name = "IN.npz", requires = "file")]
    test_inputs: Vec<PathBuf>,

    /// The package: a folder with policy.json
    #[arg(long, value_name = "DIR", default_value = crate::eval::policy::SHIPPED)]
    policy: String,

    /// Folder that is written; with FILE and one scheme also an .onnx file
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

    /// Replace an earlier result
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink quantize --scheme int8 --out out/wink-s-int8
  wink quantize --scheme int8,int8-dynamic,w4a8,w4,f16 --out out/all && wink eval --policy out/all --precision w4
  wink quantize --policy my-act --data my-recording --episodes 20 --held-out 5 --scheme int8 --out my-act-int8
  wink quantize step.onnx --inputs in.npz --scheme int8 --out step.int8.onnx
  wink quantize act.onnx --inputs a.npz --inputs b.npz --test-inputs c.npz --scheme int8,w4 --out act-quantised --json
  wink quantize --scheme w4 --gptq --max-action-error 0.03 --out out/w4 --layers
  wink quantize --scheme int8 --calibration percentile --percentile 99.9 --smooth 0.5 --out out/smooth";

/// Demonstrations to calibrate on, and others to measure errors on, unless others are asked for.
const EPISODES: u64 = 24;
const HELD_OUT: u64 = 6;
/// One moment in as many steps, unless another number is asked for.
const EVERY: u16 = 16;

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.file {
        Some(file) => of_file::run(file, args),
        None => of_package::run(args),
    }
}

/// Decides on the layers of a scheme and writes its graphs.
fn quantise(
    options: &Options,
    parts: &Parts,
    scheme: Scheme,
    subject: &mut dyn Subject,
) -> Result<(Emitted, Summary)> {
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
    let summary = Summary {
        scheme: scheme.name(),
        bytes: 0,
        float_layers: plan.iter().filter(|p| **p == Precision::F32).count(),
        latency_ms,
        layers: rows.collect(),
    };
    Ok((emitted, summary))
}
