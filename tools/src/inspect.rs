//! `wink inspect`: what is in a policy package, and whether this engine computes what its author's did; or what is in an ONNX file.

mod loose;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use wink_runtime::policy::manifest::{GraphSpec, Manifest};
use wink_runtime::policy::{Fusion, GoldenReport, GraphReport, OnnxPolicy, Package};

use crate::bad_input::{as_bad_input, bad_input};

/// Show what is in a policy package or in an ONNX file: graphs, shapes, operators, sizes
///
/// Every file's hash is checked and every precision is built for the engine, so what prints is what would run. Of an ONNX file
/// whose inputs have open shapes prints what it holds, and why it was not built.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The package, a folder with policy.json; or an ONNX file
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Show this precision only
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,

    /// Run the package's self-check (golden.json) in each precision: exit code 2 where the result is off
    #[arg(long)]
    check: bool,

    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
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
    role: &'static str,
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
    /// What feeds it, or what it is called from there on.
    feed: String,
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
    let report = examine(&package, args.precision.as_deref(), args.check)?;
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &report)?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{}", table::render(&report))?;
    }
    stdout.flush()?;
    if args.check { verdict(&report) } else { Ok(()) }
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

fn examine(package: &Package, only: Option<&str>, check: bool) -> Result<Report> {
    let manifest = package.manifest().clone();
    let names: Vec<String> = match only {
        Some(name) => vec![name.to_owned()],
        None => manifest.precisions.keys().cloned().collect(),
    };
    let mut precisions = BTreeMap::new();
    for name in names {
        let mut policy = OnnxPolicy::load(package, Some(&name)).map_err(as_bad_input)?;
        let specs = manifest
            .precisions
            .get(&name)
            .map_or(&[][..], |precision| &precision.graphs);
        let rows = policy.graphs().into_iter().filter_map(|graph| {
            let spec = specs.iter().find(|spec| spec.role.name() == graph.role)?;
            Some(graph_row(&manifest, spec, graph))
        });
        let graphs = rows.collect();
        let golden = if check {
            policy.check(package).map_err(as_bad_input)?
        } else {
            None
        };
        let check = golden.map(|golden| Check {
            passed: golden.passed(),
            golden,
        });
        precisions.insert(name, PrecisionReport { graphs, check });
    }
    Ok(Report {
        dir: package.dir().to_path_buf(),
        manifest,
        precisions,
    })
}

fn graph_row(manifest: &Manifest, spec: &GraphSpec, graph: GraphReport) -> GraphRow {
    let info = graph.info;
    let wires = |names: &BTreeMap<String, String>, tensors: &[wink_runtime::policy::TensorInfo]| {
        let wire = |(feed, name): (&String, &String)| {
            let tensor = tensors.iter().find(|tensor| tensor.name == *name)?;
            Some(Wire {
                feed: feed.clone(),
                tensor: name.clone(),
                element: tensor.element.clone(),
                shape: tensor.shape.clone(),
            })
        };
        names.iter().filter_map(wire).collect()
    };
    GraphRow {
        role: graph.role,
        bytes: manifest
            .files
            .get(&spec.file)
            .map_or(0, |record| record.bytes),
        file: graph.file,
        opset: info.opset,
        nodes: info.nodes(),
        parameters: info.parameters(),
        macs: graph.macs,
        fast_path: graph.fusion,
        inputs: wires(&spec.inputs, &info.inputs),
        outputs: wires(&spec.outputs, &info.outputs),
        producer: info.producer,
        weight_bytes: info.weight_bytes,
        weights: info.weights,
        ops: info.ops,
    }
}

fn verdict(report: &Report) -> Result<()> {
    let mut checked = 0;
    for (name, precision) in &report.precisions {
        let Some(check) = &precision.check else {
            continue;
        };
        checked += 1;
        if !check.passed {
            return Err(bad_input(format!(
                "{}: {name} is off by {:.2e} from {}, at most {:.0e} passes",
                report.dir.display(),
                check.golden.max_error,
                check.golden.engine,
                check.golden.tolerance
            )));
        }
    }
    if checked == 0 {
        let dir = report.dir.display();
        return Err(bad_input(format!(
            "{dir}: holds no self-check (golden.json) for what was asked"
        )));
    }
    Ok(())
}
