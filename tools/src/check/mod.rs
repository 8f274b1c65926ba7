//! `wink check`: runs a bare ONNX graph on given tensors and compares its outputs with expected ones.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use wink_engine::{Execution, TensorInfo, graph_info, run_once};

use crate::bad_input::{as_bad_input, bad_input};
use crate::out_file::PendingFile;
use crate::values::compare::{Difference, difference, within};
use crate::values::json;
use crate::values::npz::{self, Named};

/// Run an ONNX file on tensors from an .npz file and compare its outputs
///
/// Tensors are matched by name and may be of any element type that NumPy has. The tolerance is absolute; NaN equals NaN, infinities
/// equal those of the same sign, integers and bools must be equal. Each rounding that the file states is computed, so that quantised
/// files and those of half precision give what ONNX Runtime gives on a CPU; --fused shows what policies get instead. Exit code 0: within the tolerance; 1: above it; 2: the file is refused,
/// or inputs are missing, extra or of another type.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The ONNX file
    file: PathBuf,

    /// Inputs by name, as numpy.savez writes them
    #[arg(long, value_name = "IN.npz")]
    inputs: PathBuf,

    /// Expected outputs by name
    #[arg(long, value_name = "OUT.npz")]
    expect: Option<PathBuf>,

    /// Largest absolute difference of a float
    #[arg(long, value_name = "X", default_value_t = 1e-4)]
    tolerance: f64,

    /// Length that open axes of the inputs must have
    #[arg(long, value_name = "N")]
    batch: Option<u64>,

    /// Write the outputs to this file
    #[arg(long, value_name = "FILE.npz")]
    out: Option<PathBuf>,

    /// Compute as policies run: quantisations and half precision between operators that are fused are left out
    #[arg(long)]
    fused: bool,

    /// Print {file, within, tolerance, outputs: [{name, element, shape, difference}]}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink check model.onnx --inputs in.npz --expect out.npz
  wink check model.onnx --inputs in.npz --expect out.npz --tolerance 1e-3 --json
  wink check model.onnx --inputs in.npz --out out.npz
  wink check model.onnx --inputs in.npz --batch 1 --expect out.npz
  wink check model-int8.onnx --inputs in.npz --expect out.npz --fused

In Python: numpy.savez(\"in.npz\", **{name: array}).";

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    /// Whether all outputs are within the tolerance; absent where nothing was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<bool>,
    tolerance: f64,
    outputs: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    element: &'static str,
    shape: Vec<usize>,
    /// Largest absolute difference as a number; "inf" where one is not finite and the other differs, "shape" where shape or type do.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<serde_json::Value>,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    within: bool,
}

/// Runs the graph; whether all outputs are within the tolerance.
pub fn run(args: &Args) -> Result<bool> {
    if args.tolerance.is_nan() || args.tolerance < 0.0 {
        return Err(bad_input(format!(
            "--tolerance {}: a number from 0 on",
            args.tolerance
        )));
    }
    if args.expect.is_none() && args.out.is_none() {
        return Err(bad_input(
            "without --expect the outputs go to --out FILE.npz",
        ));
    }
    let inputs = npz::read(&args.inputs).map_err(as_bad_input)?;
    let expected = args
        .expect
        .as_deref()
        .map(npz::read)
        .transpose()
        .map_err(as_bad_input)?;
    let out = args
        .out
        .as_deref()
        .map(|path| PendingFile::create("--out", path))
        .transpose()?;
    let info = graph_info(&args.file).map_err(as_bad_input)?;
    npz::check_names(&args.inputs, &inputs, &args.file, &info.inputs)?;
    check_batch(args, &info.inputs, &inputs)?;
    let execution = match args.fused {
        true => Execution::Fused,
        false => Execution::AsWritten,
    };
    let outputs = run_once(&args.file, execution, &inputs).map_err(as_bad_input)?;
    if let Some(mut out) = out {
        npz::write(out.file(), &outputs)?;
        out.publish()?;
    }
    let report = report(args, &outputs, expected.as_deref())?;
    print(args, &report)?;
    Ok(report.within.unwrap_or(true))
}

/// Open axes that are not of the length that `--batch` gives.
fn check_batch(args: &Args, wanted: &[TensorInfo], given: &[Named]) -> Result<()> {
    let Some(batch) = args.batch else {
        return Ok(());
    };
    for input in wanted {
        let Some((_, value)) = given.iter().find(|(given, _)| *given == input.name) else {
            continue;
        };
        for (axis, (open, &length)) in input.shape.iter().zip(&value.shape).enumerate() {
            if open.is_none() && length as u64 != batch {
                return Err(bad_input(format!(
                    "{}: input \"{}\": axis {axis} is open and --batch {batch}, but {length} is given",
                    args.file.display(),
                    input.name.escape_debug()
                )));
            }
        }
    }
    Ok(())
}

fn report(args: &Args, outputs: &[Named], expected: Option<&[Named]>) -> Result<Report> {
    let mut rows = vec![];
    for (name, value) in outputs {
        let mut row = Row {
            name: name.clone(),
            element: value.element.name(),
            shape: value.shape.clone(),
            difference: None,
            shown: String::new(),
            within: true,
        };
        if let Some(expected) = expected {
            let wanted = expected.iter().find(|(wanted, _)| wanted == name);
            let Some((_, wanted)) = wanted else {
                let file = args.expect.as_deref().unwrap_or(&args.file);
                return Err(bad_input(format!(
                    "{}: has no \"{}\"",
                    file.display(),
                    name.escape_debug()
                )));
            };
            let found = difference(value, wanted);
            row.within = within(found, value.element.is_float(), args.tolerance);
            (row.shown, row.difference) = match found {
                Difference::Of(distance) => (format!("{distance:.3e}"), Some(json(distance))),
                Difference::Unlike => {
                    let wanted = format!("{}{:?} is expected", wanted.element, wanted.shape);
                    (wanted, Some("shape".into()))
                }
            };
        }
        rows.push(row);
    }
    let extra = expected.iter().flat_map(|all| all.iter());
    let extra = extra
        .into_iter()
        .find(|(name, _)| !outputs.iter().any(|(own, _)| own == name));
    if let Some((name, _)) = extra {
        return Err(bad_input(format!(
            "{}: has no output \"{}\"",
            args.file.display(),
            name.escape_debug()
        )));
    }
    Ok(Report {
        file: args.file.display().to_string(),
        within: expected.map(|_| rows.iter().all(|row| row.within)),
        tolerance: args.tolerance,
        outputs: rows,
    })
}

fn print(args: &Args, report: &Report) -> Result<()> {
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, report)?;
        writeln!(stdout)?;
        return Ok(());
    }
    for row in &report.outputs {
        let Row {
            name,
            element,
            shape,
            ..
        } = row;
        match report.within {
            Some(_) => {
                let verdict = if row.within {
                    ""
                } else {
                    "  above the tolerance"
                };
                writeln!(stdout, "{name}  {element}{shape:?}  {}{verdict}", row.shown)?;
            }
            None => writeln!(stdout, "{name}  {element}{shape:?}")?,
        }
    }
    Ok(())
}
