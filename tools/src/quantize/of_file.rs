//! Quantises one ONNX file on tensors that are given.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use wink_engine::{GraphInfo, OnnxElement, Value, graph_info, tensor_of, value_of};
use wink_quantize::graph::to_bytes;
use wink_quantize::sensitivity::Stage;
use wink_quantize::{Graph, QuantizeError, Runner, Sample, Scheme};

use super::report::{self, Summary};
use super::subject::{Subject, prepare};
use super::{Args, package, quantise};
use crate::bad_input::{as_bad_input, bad_input};
use crate::out_dir::OutDir;
use crate::out_file::PendingFile;
use crate::progress;
use crate::values::compare::distances;
use crate::values::{json, npz};

/// Timed inferences, after one that is not.
const RUNS: usize = 21;

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    /// Samples that ranges were found on.
    calibration_samples: usize,
    /// Samples that errors were measured on.
    test_samples: usize,
    /// Whether those are the samples of the calibration.
    tested_on_calibration: bool,
    /// How ranges were found.
    calibration: String,
    /// What was done to the float graph before.
    reshaped: Vec<String>,
    float_bytes: u64,
    schemes: Vec<FileScheme>,
}

/// One file that was written.
#[derive(Debug, Serialize)]
struct FileScheme {
    #[serde(flatten)]
    summary: Summary,
    file: String,
    /// In this runtime, on the file as written.
    outputs: Vec<OutputError>,
}

/// How far an output is from that of the float file, over all samples.
#[derive(Debug, Serialize)]
struct OutputError {
    name: String,
    element: &'static str,
    /// Number of values that were compared.
    values: usize,
    /// Root mean square of the differences; "inf" where one value is not finite and the other differs.
    rms: serde_json::Value,
    /// The largest difference.
    max: serde_json::Value,
    /// Root mean square of the float file's output.
    float_rms: serde_json::Value,
    #[serde(skip)]
    error: Error,
}

/// Quantises the file.
pub fn run(file: &Path, args: &Args) -> Result<()> {
    let schemes: Vec<Scheme> = args.options.scheme.iter().map(|s| s.scheme()).collect();
    let mut out = Out::create(args, file, &schemes)?;
    let info = graph_info(file).map_err(as_bad_input)?;
    let calibration = samples(&info, file, &args.inputs)?;
    let tests = samples(&info, file, &args.test_inputs)?;
    let tested_on_calibration = tests.is_empty();
    let tests = if tested_on_calibration {
        &calibration
    } else {
        &tests
    };
    check_alike(&args.inputs, &calibration, &args.test_inputs, tests)?;
    let names: Vec<String> = info.outputs.iter().map(|o| o.name.clone()).collect();
    let mut subject = FileSubject {
        file,
        calibration: &calibration,
        tests,
        wanted: outputs(Runner::open(file, &names, &tests[0]), &names, tests)?,
        names,
    };
    let (parts, reshaped) = prepare(&args.options, &mut subject)?;
    let mut report = Report {
        file: file.display().to_string(),
        calibration_samples: calibration.len(),
        test_samples: tests.len(),
        tested_on_calibration,
        calibration: args.options.method_name(),
        reshaped,
        float_bytes: info.weight_bytes,
        schemes: Vec::new(),
    };
    for scheme in schemes {
        let (emitted, mut summary) = quantise(&args.options, &parts, scheme, &mut subject)?;
        let mut written = String::new();
        let mut outputs = Vec::new();
        for stage in emitted.stages {
            let bytes = to_bytes(stage.model);
            summary.bytes = bytes.len() as u64;
            let path = out.write(scheme, &bytes)?;
            drop(bytes);
            outputs = subject.errors(Runner::open(&path, &subject.names, &tests[0]))?;
            written = out.told(scheme);
        }
        report.schemes.push(FileScheme {
            summary,
            file: written,
            outputs,
        });
    }
    let json = serde_json::to_string_pretty(&report)?;
    out.publish(&json)?;
    let summaries = report.schemes.iter().map(|scheme| &scheme.summary);
    report::print(args, &json, summaries, &table(&report))
}

/// Where the graphs go.
enum Out {
    /// The one that there is.
    File(PathBuf, PendingFile),
    /// Each as STEM.SCHEME.onnx.
    Folder(PathBuf, OutDir, String),
}

impl Out {
    fn create(args: &Args, file: &Path, schemes: &[Scheme]) -> Result<Self> {
        let told = args.out.display();
        if args.out.extension().is_none_or(|end| end != "onnx") {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            let folder = OutDir::create(&args.out, args.force, package::REPORT)?;
            return Ok(Self::Folder(args.out.clone(), folder, stem.into_owned()));
        }
        if schemes.len() > 1 {
            return Err(bad_input(format!(
                "--out {told}: several schemes are several files; name a folder"
            )));
        }
        if args.out.exists() && !args.force {
            return Err(bad_input(format!(
                "--out {told}: is there already; name another file, or replace it with --force"
            )));
        }
        let pending = PendingFile::create("--out", &args.out)?;
        Ok(Self::File(args.out.clone(), pending))
    }

    /// Writes a graph. Returns where it lies for now.
    fn write(&mut self, scheme: Scheme, bytes: &[u8]) -> Result<PathBuf> {
        match self {
            Self::File(target, pending) => {
                let told = || target.display().to_string();
                pending.file().write_all(bytes).with_context(told)?;
                Ok(pending.path().to_owned())
            }
            Self::Folder(_, folder, stem) => {
                let path = folder.path().join(name(stem, scheme));
                fs::write(&path, bytes).with_context(|| path.display().to_string())?;
                Ok(path)
            }
        }
    }

    /// Where the graph of a scheme will lie.
    fn told(&self, scheme: Scheme) -> String {
        match self {
            Self::File(target, _) => target.display().to_string(),
            Self::Folder(target, _, stem) => target.join(name(stem, scheme)).display().to_string(),
        }
    }

    fn publish(self, report: &str) -> Result<()> {
        match self {
            Self::File(_, pending) => pending.publish(),
            Self::Folder(_, folder, _) => {
                package::describe(&folder, report)?;
                folder.publish().map(drop)
            }
        }
    }
}

fn name(stem: &str, scheme: Scheme) -> String {
    format!("{stem}.{}.onnx", scheme.name())
}

/// What each of the files holds for the graph's inputs.
fn samples(info: &GraphInfo, file: &Path, inputs: &[PathBuf]) -> Result<Vec<Sample>> {
    inputs.iter().map(|path| sample(info, file, path)).collect()
}

fn sample(info: &GraphInfo, file: &Path, path: &Path) -> Result<Sample> {
    let given = npz::read(path).map_err(as_bad_input)?;
    npz::check_names(path, &given, file, &info.inputs)?;
    let tensor = |(name, value): (String, Value<'_>)| {
        let tensor = tensor_of(&value).map_err(as_bad_input);
        let tensor = tensor.with_context(|| format!("{}: \"{name}\"", path.display()))?;
        Ok((name, tensor))
    };
    given.into_iter().map(tensor).collect()
}

/// A graph is loaded for tensors of one type and shape.
fn check_alike(
    paths: &[PathBuf],
    samples: &[Sample],
    other_paths: &[PathBuf],
    others: &[Sample],
) -> Result<()> {
    let Some(first) = samples.first() else {
        return Err(bad_input("--inputs: name at least one file"));
    };
    let all = paths.iter().zip(samples);
    for (path, sample) in all.chain(other_paths.iter().zip(others)) {
        for (name, tensor) in sample {
            let Some(wanted) = first.get(name).filter(|like| like.spec() != tensor.spec()) else {
                continue;
            };
            return Err(bad_input(format!(
                "{}: \"{}\" is {}, and {} in the first file; all samples have the same shapes",
                path.display(),
                name.escape_debug(),
                tensor.spec(),
                wanted.spec()
            )));
        }
    }
    Ok(())
}

struct FileSubject<'a> {
    file: &'a Path,
    calibration: &'a [Sample],
    tests: &'a [Sample],
    names: Vec<String>,
    /// The float file's outputs on each of the tests.
    wanted: Vec<Vec<Value<'static>>>,
}

impl FileSubject<'_> {
    /// How far a graph's outputs are from the float ones.
    fn errors(&self, runner: Result<Runner, QuantizeError>) -> Result<Vec<OutputError>> {
        let found = outputs(runner, &self.names, self.tests)?;
        let mut errors = Vec::new();
        for (place, name) in self.names.iter().enumerate() {
            let mut error = Error::default();
            let mut element = OnnxElement::F32;
            for (found, wanted) in found.iter().zip(&self.wanted) {
                let (found, wanted) = (&found[place], &wanted[place]);
                let distances = distances(found, wanted).with_context(|| {
                    format!("output \"{name}\": another type or shape than in float")
                })?;
                error.add(&distances, wanted);
                element = wanted.element;
            }
            errors.push(OutputError {
                name: name.clone(),
                element: element.name(),
                values: error.count,
                rms: json(error.mean(error.squares)),
                max: json(error.max),
                float_rms: json(error.mean(error.float_squares)),
                error,
            });
        }
        Ok(errors)
    }

    /// The one graph that differs from the float one, ready to run.
    fn changed(&self, changed: &[Stage]) -> Result<Runner, QuantizeError> {
        match changed {
            [stage] => Runner::new(stage.model.clone(), &self.names, &self.tests[0]),
            _ => Runner::open(self.file, &self.names, &self.tests[0]),
        }
    }
}

impl Subject for FileSubject<'_> {
    fn graphs(&self) -> Result<Vec<(String, Graph)>> {
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        let graph = Graph::open(self.file).map_err(as_bad_input);
        let graph = graph.with_context(|| self.file.display().to_string())?;
        Ok(vec![(stem.into_owned(), graph)])
    }

    fn feed(&mut self, each: &mut dyn FnMut(&str, Sample) -> Result<()>) -> Result<()> {
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        let bar = progress::bar(self.calibration.len() as u64, "calibrating");
        for sample in self.calibration {
            each(&stem, sample.clone())?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn error(&mut self, changed: &[Stage]) -> Result<f32> {
        let errors = self.errors(self.changed(changed))?;
        let relative = errors.iter().map(|output| output.error.relative());
        Ok(relative.fold(0.0, f64::max) as f32)
    }

    fn latency_ms(&mut self, changed: &[Stage]) -> Result<f64> {
        let mut runner = self.changed(changed)?;
        let sample = &self.tests[0];
        runner.run(sample)?;
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let start = Instant::now();
            runner.run(sample)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[RUNS / 2])
    }
}

/// All outputs on each of the samples.
fn outputs(
    runner: Result<Runner, QuantizeError>,
    names: &[String],
    samples: &[Sample],
) -> Result<Vec<Vec<Value<'static>>>> {
    let mut runner = runner.map_err(as_bad_input)?;
    let mut all = Vec::with_capacity(samples.len());
    for sample in samples {
        runner.run(sample).map_err(as_bad_input)?;
        let mut outputs = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            let value = value_of(runner.view(place, sample)?);
            outputs.push(value.with_context(|| format!("output \"{name}\" cannot be read"))?);
        }
        all.push(outputs);
    }
    Ok(all)
}

/// Sums over the values of an output.
#[derive(Debug, Default)]
struct Error {
    count: usize,
    squares: f64,
    max: f64,
    float_squares: f64,
}

impl Error {
    fn add(&mut self, distances: &[f64], wanted: &Value<'_>) {
        self.count += distances.len();
        self.squares += distances.iter().map(|d| d * d).sum::<f64>();
        self.max = distances.iter().copied().fold(self.max, f64::max);
        let finite = wanted.floats().into_iter().filter(|v| v.is_finite());
        self.float_squares += finite.map(|v| v * v).sum::<f64>();
    }

    fn mean(&self, squares: f64) -> f64 {
        (squares / self.count.max(1) as f64).sqrt()
    }

    /// The differences against the values themselves.
    fn relative(&self) -> f64 {
        if self.squares == 0.0 {
            return 0.0;
        }
        (self.squares / self.float_squares).sqrt()
    }
}

fn table(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "scheme",
        "MB",
        "of float",
        "float layers",
        "output",
        "values",
        "rms",
        "max",
        "relative",
    ]);
    for scheme in &report.schemes {
        for (place, output) in scheme.outputs.iter().enumerate() {
            let error = &output.error;
            let cells = scheme.summary.cells(report.float_bytes);
            let mut cells = match place {
                0 => cells.to_vec(),
                _ => vec![String::new(); cells.len()],
            };
            cells.extend([
                format!("{} {}", output.name, output.element),
                error.count.to_string(),
                format!("{:.3e}", error.mean(error.squares)),
                format!("{:.3e}", error.max),
                format!("{:.2}%", 100.0 * error.relative()),
            ]);
            table.add_row(cells);
        }
    }
    for index in [1, 2, 3, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let tested = match report.tested_on_calibration {
        true => "the same samples; --test-inputs names others".to_owned(),
        false => format!("{} others", report.test_samples),
    };
    let mut text = format!(
        "{}: ranges ({}) from {} samples, errors against float on {tested}\n{table}\n",
        report.file, report.calibration, report.calibration_samples
    );
    for scheme in &report.schemes {
        text += &scheme.file;
        text.push('\n');
    }
    text
}
