//! What can be quantised: float graphs, the samples they are fed, and how far off the result is when some of them change.

use anyhow::{Context, Result};
use wink_quantize::calibrate::{Counts, Ranges, calibrate};
use wink_quantize::emit::Part;
use wink_quantize::sensitivity::{Parts, Plan, Stage, fewest_spared, spare};
use wink_quantize::{Graph, Layer, Precision, Sample, Scheme, reshape};

use super::options::Options;
use crate::bad_input::{as_bad_input, bad_input};
use crate::progress;

/// Samples of each graph that smoothing looks at.
const SMOOTHED_ON: usize = 64;

/// Graphs that run together.
pub trait Subject {
    /// The float graphs, in the order in which they run.
    fn graphs(&self) -> Result<Vec<(String, Graph)>>;

    /// Runs the float graphs on the samples for calibration; `each` is given the graph's name and what it was fed at each run.
    fn feed(&mut self, each: &mut dyn FnMut(&str, Sample) -> Result<()>) -> Result<()>;

    /// Root mean square error of the result when the graphs `changed` replace the float ones.
    fn error(&mut self, changed: &[Stage]) -> Result<f32>;

    /// Median time of one inference with the graphs `changed`, milliseconds.
    fn latency_ms(&mut self, changed: &[Stage]) -> Result<f64>;
}

/// Reads the float graphs, reshapes and calibrates them. The second value says what was reshaped.
pub fn prepare(options: &Options, subject: &mut dyn Subject) -> Result<(Parts, Vec<String>)> {
    let mut graphs = subject.graphs()?;
    let mut reshaped = Vec::new();
    for (stage, graph) in &mut graphs {
        for scheme in &options.scheme {
            in_stage(stage, graph.check_opset(scheme.scheme()))?;
        }
        if options.equalise {
            let pairs = reshape::equalise(graph, &Layer::of(graph));
            reshaped.push(format!("{stage}: {pairs} pairs of layers equalised"));
        }
    }
    if let Some(alpha) = options.smooth {
        smooth(&mut graphs, alpha, subject, &mut reshaped)?;
    }
    let layers: Vec<Vec<Layer>> = graphs.iter().map(|(_, graph)| Layer::of(graph)).collect();
    let place = |stage: &str| graphs.iter().position(|(name, _)| name == stage);

    let mut ranges: Vec<Option<Ranges>> = graphs.iter().map(|_| None).collect();
    subject.feed(&mut |stage, sample| {
        let Some(place) = place(stage).filter(|place| !layers[*place].is_empty()) else {
            return Ok(());
        };
        let known = match &mut ranges[place] {
            Some(known) => known,
            unknown => {
                let graph = &graphs[place].1;
                let new = Ranges::new(graph, &layers[place], &sample, options.gptq);
                unknown.insert(in_stage(stage, new)?)
            }
        };
        in_stage(stage, known.add(&sample))
    })?;
    let mut counts: Vec<Option<Counts>> = ranges
        .into_iter()
        .map(|ranges| ranges.map(Ranges::counts))
        .collect();
    subject.feed(
        &mut |stage, sample| match place(stage).and_then(|p| counts[p].as_mut()) {
            Some(counts) => in_stage(stage, counts.add(&sample)),
            None => Ok(()),
        },
    )?;

    let parts = graphs.into_iter().zip(layers).zip(counts);
    let parts = Parts(
        parts
            .map(|(((stage, graph), layers), counts)| Part {
                stage,
                graph,
                layers,
                activations: counts.map_or_else(Default::default, Counts::finish),
            })
            .collect(),
    );
    if parts.layers() == 0 {
        return Err(bad_input(
            "no graph holds a product with constant weights (MatMul, Gemm, Conv): there is nothing to quantise",
        ));
    }
    Ok((parts, reshaped))
}

fn smooth(
    graphs: &mut [(String, Graph)],
    alpha: f32,
    subject: &mut dyn Subject,
    reshaped: &mut Vec<String>,
) -> Result<()> {
    let mut samples: Vec<Vec<Sample>> = graphs.iter().map(|_| Vec::new()).collect();
    subject.feed(&mut |stage, sample| {
        let place = graphs.iter().position(|(name, _)| name == stage);
        if let Some(few) = place.map(|place| &mut samples[place])
            && few.len() < SMOOTHED_ON
        {
            few.push(sample);
        }
        Ok(())
    })?;
    for ((stage, graph), samples) in graphs.iter_mut().zip(samples) {
        let layers = Layer::of(graph);
        if layers.is_empty() || samples.is_empty() {
            continue;
        }
        let activations = in_stage(stage, calibrate(graph, &layers, &samples, false))?;
        let norms = reshape::smooth(graph, &layers, &activations, alpha);
        reshaped.push(format!("{stage}: {norms} norms smoothed, alpha {alpha}"));
    }
    Ok(())
}

/// What was decided on each layer.
pub struct Decided {
    /// The precision of each.
    pub plan: Plan,
    /// Error of the result when each alone is quantised; where that was measured.
    pub sensitivity: Option<Vec<f32>>,
    /// Median time of an inference; where a latency was asked for.
    pub latency_ms: Option<f64>,
}

/// Decides on the precision of each layer.
pub fn decide(
    options: &Options,
    parts: &Parts,
    scheme: Scheme,
    subject: &mut dyn Subject,
) -> Result<Decided> {
    let mut plan = parts.plan(scheme);
    for (precision, name) in plan.iter_mut().zip(parts.names()) {
        if options.keep_float.iter().any(|text| name.contains(text)) {
            *precision = Precision::F32;
        }
    }
    let rounding = options.rounding();
    let mut sensitivity = None;
    if options.layers || options.has_budget() {
        let what = format!("{}: sensitivity of each layer", scheme.name());
        let bar = progress::bar(plan.len() as u64, what);
        sensitivity = Some(parts.sensitivity(&plan, rounding, |stage| {
            bar.inc(1);
            subject.error(&[stage])
        })?);
        bar.finish_and_clear();
    }
    let mut latency_ms = None;
    if let (Some(errors), Some(most)) = (&sensitivity, options.max_action_error) {
        let fewest = fewest_spared(plan.len(), |count| -> Result<bool> {
            let emitted = parts.emit(&spare(&plan, errors, count), rounding)?;
            Ok(subject.error(&emitted.stages)? <= most)
        })?;
        plan = spare(&plan, errors, fewest.unwrap_or(plan.len()));
    }
    if let (Some(errors), Some(most)) = (&sensitivity, options.max_latency) {
        // The more layers are quantised the faster: find how many may stay float.
        let all = plan.len();
        let mut fastest = f64::INFINITY;
        let fewest = fewest_spared(all, |quantised| -> Result<bool> {
            let plan = spare(&plan, errors, all - quantised);
            let ms = subject.latency_ms(&parts.emit(&plan, rounding)?.stages)?;
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
    Ok(Decided {
        plan,
        sensitivity,
        latency_ms,
    })
}

fn in_stage<T>(stage: &str, result: Result<T, wink_quantize::QuantizeError>) -> Result<T> {
    result
        .map_err(as_bad_input)
        .with_context(|| format!("stage {stage}"))
}
