//! `wink inspect`: what is in a policy package, and whether this engine computes what its author's did; or what is in an ONNX file.

mod loose;
mod table;
mod wiring;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use wink_runtime::policy::manifest::Manifest;
use wink_runtime::policy::{Fusion, GoldenReport, OnnxPolicy, Package, StageReport, TensorInfo};

use crate::bad_input::{as_bad_input, bad_input};

/// Show what is in a policy package or in an ONNX file: wiring, graphs, shapes, operators, sizes
///
/// Every file's hash is checked and every precision is built for the engine, so what prints is what would run. The golden values
/// of each precision are computed and compared: exit code 2 where one is off. Of an ONNX file whose inputs have open shapes prints
/// what it holds, and why it was not built.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The package, a folder with policy.json; or an ONNX file
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Show this precision only
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    /// Fail with exit code 2 where the package has no golden values, too
    #[arg(long)]
    check: bool,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// What flows where in a package, before its graphs are loaded.
pub fn wiring_of(manifest: &Manifest) -> String {
    table::wired(&wiring::wires(manifest, &[]))
}

const EXAMPLES: &str = "\
Examples:
  wink inspect models/wink-s
  wink inspect models/wink-s --precision int8 --check
  wink inspect models/wink-s --json | jq '.precisions.int8.graphs[].ops'
  wink inspect exported.onnx
  wink inspect exported.onnx --json | jq '.fast_path.unmatched'";

/// All that is shown.
#[derive(Debug, Serialize)]
struct Report {
    dir: PathBuf,
    manifest: Manifest,
    /// From camera to joint.
    wiring: Vec<wiring::Wire>,
    precisions: BTreeMap<String, PrecisionReport>,
}

#[derive(Debug, Serialize)]
struct PrecisionReport {
    graphs: Vec<GraphRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Check>,
}

/// One graph: from `policy.json`, from its file, and from the engine.
#[derive(Debug, Serialize)]
struct GraphRow {
    stage: String,
    /// When it runs, and how often then.
    run: &'static str,
    steps: usize,
    file: String,
    bytes: u64,
    opset: i64,
    producer: String,
    nodes: usize,
    parameters: u64,
    weight_bytes: u64,
    weights: BTreeMap<String, u64>,
    macs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fast_path: Option<Fusion>,
    inputs: Vec<Wire>,
    outputs: Vec<Wire>,
    ops: BTreeMap<String, usize>,
}

/// A tensor at the edge of a graph.
#[derive(Debug, Serialize)]
struct Wire {
    /// The value that it reads, or that it is.
    value: String,
    tensor: String,
    element: String,
    shape: Vec<Option<u64>>,
}

#[derive(Debug, Serialize)]
struct Check {
    passed: bool,
    #[serde(flatten)]
    golden: GoldenReport,
}

/// Prints the package, and fails where `--check` finds a wrong result.
pub fn run(args: &Args) -> Result<()> {
    let is_onnx = args.path.extension().is_some_and(|end| end == "onnx");
    if args.path.is_file() || (is_onnx && !args.path.is_dir()) {
        return of_file(args);
    }
    let package = Package::open(&args.path).map_err(as_bad_input)?;
    let report = examine(&package, args.precision.as_deref())?;
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &report)?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{}", table::render(&report))?;
    }
    stdout.flush()?;
    verdict(&report, args.check)
}

fn of_file(args: &Args) -> Result<()> {
    let file = args.path.display();
    if args.check || args.precision.is_some() {
        return Err(bad_input(format!(
            "{file}: is a file, and --check and --precision are for packages; name the folder with policy.json"
        )));
    }
    if args
        .path
        .file_name()
        .is_some_and(|name| name == "policy.json")
    {
        return Err(bad_input(format!("{file}: name the folder that it is in")));
    }
    let report = loose::examine(&args.path)?;
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &report)?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{}", loose::render(&report))?;
    }
    stdout.flush()?;
    Ok(())
}

fn examine(package: &Package, only: Option<&str>) -> Result<Report> {
    let manifest = package.manifest().clone();
    let names: Vec<String> = match only {
        Some(name) => vec![name.to_owned()],
        None => manifest.precisions.keys().cloned().collect(),
    };
    let mut precisions = BTreeMap::new();
    let mut wiring = Vec::new();
    for name in names {
        let policy = OnnxPolicy::load(package, Some(&name)).map_err(as_bad_input)?;
        let stages = policy.stages();
        if wiring.is_empty() || name == manifest.default_precision {
            wiring = wiring::wires(&manifest, &stages);
        }
        let graphs = stages
            .into_iter()
            .map(|stage| graph_row(&manifest, stage))
            .collect();
        let golden = policy.check(package).map_err(as_bad_input)?;
        let check = golden.map(|golden| Check {
            passed: golden.passed(),
            golden,
        });
        precisions.insert(name, PrecisionReport { graphs, check });
    }
    Ok(Report {
        dir: package.dir().to_path_buf(),
        manifest,
        wiring,
        precisions,
    })
}

fn graph_row(manifest: &Manifest, report: StageReport) -> GraphRow {
    let info = report.info;
    let spec = manifest.stage(&report.stage);
    let wires = |tensors: &[TensorInfo], value: &dyn Fn(&str) -> Option<String>| {
        let wire = |tensor: &TensorInfo| {
            Some(Wire {
                value: value(&tensor.name)?,
                tensor: tensor.name.clone(),
                element: tensor.element.clone(),
                shape: tensor.shape.clone(),
            })
        };
        tensors.iter().filter_map(wire).collect()
    };
    let read = |tensor: &str| spec?.inputs.get(tensor).cloned();
    let kept = |tensor: &str| {
        let spec = spec?;
        let kept = spec.outputs.iter().any(|output| output == tensor);
        kept.then(|| format!("{}.{tensor}", spec.name))
    };
    GraphRow {
        stage: report.stage,
        run: report.run.name(),
        steps: report.steps,
        bytes: manifest
            .files
            .get(&report.file)
            .map_or(0, |record| record.bytes),
        file: report.file,
        opset: info.opset,
        nodes: info.nodes(),
        parameters: info.parameters(),
        macs: report.macs,
        fast_path: report.fusion,
        inputs: wires(&info.inputs, &read),
        outputs: wires(&info.outputs, &kept),
        producer: info.producer,
        weight_bytes: info.weight_bytes,
        weights: info.weights,
        ops: info.ops,
    }
}

/// Fails where a golden value is off, and where there are none but `wanted`.
fn verdict(report: &Report, wanted: bool) -> Result<()> {
    let dir = report.dir.display();
    let mut checked = 0;
    for (name, precision) in &report.precisions {
        let Some(check) = &precision.check else {
            continue;
        };
        checked += 1;
        let off = check.golden.values.iter().find(|value| !value.passed());
        if let Some(value) = off {
            return Err(bad_input(format!(
                "{dir}: {name}: \"{}\" is off by {:.2e} from {}, at most {:.0e} passes",
                value.value, value.max_error, check.golden.reference, value.tolerance
            )));
        }
    }
    if wanted && checked == 0 {
        return Err(bad_input(format!(
            "{dir}: holds no golden values for what was asked"
        )));
    }
    Ok(())
}
