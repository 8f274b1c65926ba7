//! A bare ONNX file as what is quantised, with samples of its inputs from NumPy files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use wink_engine::{TensorInfo, graph_info};
use wink_quantize::graph::to_bytes;
use wink_quantize::sensitivity::Stage;
use wink_quantize::{Graph, Runner, Sample, Scheme};

use super::options::Options;
use super::record::{ActionError, NumberError};
use super::report::Report;
use super::subject::{Subject, prepare};
use super::{quantise, samples};
use crate::bad_input::{as_bad_input, bad_input};
use crate::npz;
use crate::out_dir::OutDir;
use crate::progress;

/// Timed runs, after one that is not.
const RUNS: usize = 21;
/// One sample in as many is held out for errors.
const HELD_OUT: usize = 5;

/// A float graph with its samples.
struct BareSubject {
    name: String,
    graph: Graph,
    /// Float outputs.
    outputs: Vec<String>,
    calibration: Vec<Sample>,
    held_out: Vec<Sample>,
    /// What the float graph gives for the samples held out, by output.
    wanted: Vec<Vec<f32>>,
}

/// Quantises `file` and writes the graphs into `out`.
///
/// # Errors
/// When the file or a sample is refused.
pub fn run(
    options: &Options,
    file: &Path,
    inputs: &[PathBuf],
    out: OutDir,
) -> Result<(Report, OutDir)> {
    let told = || format!("--onnx {}", file.display());
    let mut subject = BareSubject::open(file, inputs).with_context(told)?;
    let (parts, reshaped) = prepare(options, &mut subject).with_context(told)?;
    let mut report = Report {
        policy: subject.name.clone(),
        calibration_samples: subject.calibration.len(),
        held_out_samples: subject.held_out.len(),
        calibration: options.method_name(),
        errors_of: "outputs, relative to their own root mean square",
        reshaped,
        float_bytes: fs::metadata(file).map_or(0, |file| file.len()),
        schemes: Vec::new(),
    };
    for scheme in options.scheme.iter().map(|name| name.scheme()) {
        let (emitted, mut told) = quantise(options, &parts, scheme, &mut subject)?;
        told.error = subject.measure(&emitted.stages)?;
        for stage in emitted.stages {
            told.bytes += write(&out, &stage, scheme)?;
        }
        report.schemes.push(told);
    }
    Ok((report, out))
}

fn write(out: &OutDir, stage: &Stage, scheme: Scheme) -> Result<u64> {
    let bytes = to_bytes(stage.model.clone());
    let path = out
        .path()
        .join(format!("{}.{}.onnx", stage.name, scheme.name()));
    fs::write(&path, &bytes).with_context(|| path.display().to_string())?;
    Ok(bytes.len() as u64)
}

impl BareSubject {
    fn open(file: &Path, inputs: &[PathBuf]) -> Result<Self> {
        let info = graph_info(file).map_err(as_bad_input)?;
        let graph = Graph::open(file).map_err(as_bad_input)?;
        let mut all = Vec::new();
        for path in inputs {
            let told = || format!("--inputs {}", path.display());
            let arrays = npz::read(path).with_context(told)?;
            all.extend(samples::cut(&info.inputs, arrays).with_context(told)?);
        }
        if all.is_empty() {
            return Err(bad_input("--inputs: holds no samples"));
        }
        let (mut calibration, mut held_out) = (Vec::new(), Vec::new());
        for (place, sample) in all.into_iter().enumerate() {
            match place % HELD_OUT == HELD_OUT - 1 {
                true => held_out.push(sample),
                false => calibration.push(sample),
            }
        }
        if held_out.is_empty() {
            return Err(bad_input(format!(
                "--inputs: holds {} samples; at least {HELD_OUT} are needed, since one in {HELD_OUT} is kept for measuring errors",
                calibration.len()
            )));
        }
        let floats = |output: &&TensorInfo| output.element == "f32";
        let outputs: Vec<String> = info
            .outputs
            .iter()
            .filter(floats)
            .map(|output| output.name.clone())
            .collect();
        if outputs.is_empty() {
            return Err(bad_input("has no output of f32, so there is no error to measure"));
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let mut subject = Self {
            name: name.into_owned(),
            graph,
            outputs,
            calibration,
            held_out,
            wanted: Vec::new(),
        };
        subject.wanted = subject.results(None)?;
        Ok(subject)
    }

    /// The outputs for the samples held out, of the float graph or of another one.
    fn results(&self, changed: Option<&Stage>) -> Result<Vec<Vec<f32>>> {
        let model = changed.map_or(self.graph.model(), |stage| &stage.model);
        let mut results = vec![Vec::new(); self.outputs.len()];
        let first = &self.held_out[0];
        let mut runner = Runner::new(model, &self.outputs, first).map_err(as_bad_input)?;
        for sample in &self.held_out {
            runner.run(sample).map_err(as_bad_input)?;
            for (place, result) in results.iter_mut().enumerate() {
                result.extend(runner.output(place, sample)?.0);
            }
        }
        Ok(results)
    }

    /// The errors of the outputs, each relative to the root mean square of the float graph's.
    fn measure(&self, changed: &[Stage]) -> Result<ActionError> {
        let got = self.results(changed.first())?;
        let outputs = self.outputs.iter().zip(got.iter().zip(&self.wanted));
        let numbers: Vec<NumberError> = outputs
            .map(|(name, (got, wanted))| {
                let size = rms(wanted.iter().map(|v| f64::from(*v)));
                let size = if size > 0.0 { size } else { 1.0 };
                let errors = || got.iter().zip(wanted).map(|(a, b)| f64::from(a - b));
                NumberError {
                    name: name.clone(),
                    unit: "of its rms".to_owned(),
                    rms: (rms(errors()) / size) as f32,
                    max: (errors().fold(0.0, |m: f64, e| m.max(e.abs())) / size) as f32,
                }
            })
            .collect();
        let worst = |of: fn(&NumberError) -> f32| numbers.iter().map(of).fold(0.0, f32::max);
        Ok(ActionError {
            action_rms: worst(|n| n.rms),
            action_max: worst(|n| n.max),
            translation_rms_mm: None,
            gripper_flips: None,
            numbers,
        })
    }
}

impl Subject for BareSubject {
    fn graphs(&self) -> Result<Vec<(String, Graph)>> {
        Ok(vec![(self.name.clone(), self.graph.clone())])
    }

    fn feed(&mut self, each: &mut dyn FnMut(&str, Sample) -> Result<()>) -> Result<()> {
        let bar = progress::bar(self.calibration.len() as u64, "calibrating");
        for sample in &self.calibration {
            each(&self.name, sample.clone())?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn error(&mut self, changed: &[Stage]) -> Result<f32> {
        Ok(self.measure(changed)?.action_rms)
    }

    fn latency_ms(&mut self, changed: &[Stage]) -> Result<f64> {
        let stage = changed.first().context("no graph has changed")?;
        let sample = &self.held_out[0];
        let mut runner = Runner::new(&stage.model, &self.outputs, sample)?;
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

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (mut squares, mut count) = (0.0, 0_usize);
    for value in values {
        squares += value * value;
        count += 1;
    }
    (squares / count.max(1) as f64).sqrt()
}
