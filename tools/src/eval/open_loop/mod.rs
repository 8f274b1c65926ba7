//! `wink eval --data`: predicted against recorded actions, without a robot or a simulator.

mod errors;
mod html;
mod plots;
mod report;
mod table;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use wink_runtime::policy::manifest::{ActionSpace, ActionSpec, Reference};
use wink_runtime::policy::{ActionChunk, OnnxPolicy, Policy};

use super::json;
use crate::bad_input::{as_bad_input, bad_input};
use crate::data::Dataset;
use crate::data::walk::{Matching, pick, places};
use crate::out_dir::OutDir;
use crate::progress;

use errors::Errors;
use plots::Trace;
use report::{Number, Report};

/// LeRobot's name of the recorded actions.
const ACTION: &str = "action";
/// Episodes whose actions are plotted.
const PLOTTED: usize = 3;

/// What to compare.
pub struct Order<'a> {
    /// The data set's folder.
    pub data: &'a Path,
    /// The first N episodes.
    pub episodes: usize,
    /// Frames from one prediction to the next; the executed steps unless given.
    pub stride: Option<usize>,
    /// Whether `report.json` is printed.
    pub json: bool,
    /// Whether `report.html` is written.
    pub html: bool,
}

/// Compares a policy with a recording.
///
/// # Errors
/// When the data set does not fit the policy.
pub fn run(order: &Order<'_>, policy: &OnnxPolicy, out: Option<OutDir>) -> Result<()> {
    let dataset = Dataset::open(order.data).context("--data")?;
    let (report, traces) = compare(order, policy, &dataset).context("--data")?;
    let text = json::text(&report)?;
    let mut stdout = io::stdout().lock();
    let told = match order.json {
        true => text.clone(),
        false => table::render(&report),
    };
    stdout.write_all(told.as_bytes())?;
    if let Some(out) = out {
        let write = |name: &str, text: &str| {
            fs::write(out.path().join(name), text).with_context(|| format!("writing {name}"))
        };
        write(super::REPORT, &text)?;
        if order.html {
            write("report.html", &html::render(&report, &traces))?;
        }
        let path = out.publish()?;
        if !order.json {
            let files = if order.html { "report.html, " } else { "" };
            writeln!(stdout, "{}: {files}report.json", path.display())?;
        }
    }
    Ok(())
}

fn compare(
    order: &Order<'_>,
    policy: &OnnxPolicy,
    dataset: &Dataset,
) -> Result<(Report, Vec<Trace>)> {
    let mut policy = policy.clone();
    let manifest = policy.manifest().clone();
    let action = &manifest.action;
    let matching = Matching::new(dataset, &manifest)?;
    let recorded = Recorded::new(dataset, action)?;
    let (chunk, execute) = (action.chunk, action.execute);
    let stride = order.stride.unwrap_or(execute);
    let count = order.episodes.min(dataset.episodes.len());

    let mut errors = Errors::new(chunk, action.names.len());
    let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; action.names.len()];
    let (mut traces, mut frames, mut chunks) = (Vec::new(), 0, 0);
    let mut predicted = ActionChunk::default();
    let bar = progress::bar(count as u64, "episodes");
    for episode in 0..count {
        let rows = recorded.read(dataset, episode)?;
        frames += rows.len();
        for row in &rows {
            for (range, value) in ranges.iter_mut().zip(row) {
                *range = [range[0].min(*value), range[1].max(*value)];
            }
        }
        let wanted: Vec<usize> = (0..rows.len()).step_by(stride).collect();
        let mut pieces = Vec::new();
        let mut task: Option<String> = None;
        matching.walk(dataset, episode, &wanted, |moment| {
            if task.as_deref() != Some(moment.task) {
                policy.begin_episode(moment.task).map_err(as_bad_input)?;
                task = Some(moment.task.to_owned());
            }
            if !moment.wanted {
                return policy.see(&moment.observation).map_err(as_bad_input);
            }
            policy
                .act(&moment.observation, &mut predicted)
                .map_err(as_bad_input)?;
            chunks += 1;
            let steps = predicted.data.chunks_exact(action.names.len());
            let steps: Vec<Vec<f32>> = steps.map(<[f32]>::to_vec).collect();
            let meant = rows[moment.frame..].iter();
            for (step, (predicted, recorded)) in steps.iter().zip(meant).enumerate() {
                errors.add(step, predicted, recorded);
            }
            let shown = execute.min(stride).min(rows.len() - moment.frame);
            pieces.push((moment.frame, steps[..shown].to_vec()));
            Ok(())
        })?;
        if traces.len() < PLOTTED {
            traces.push(Trace {
                episode: dataset.episodes[episode].index,
                recorded: rows,
                predicted: pieces,
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let names = action.names.iter().zip(&action.units).zip(ranges);
    let numbers = names.enumerate().map(|(place, ((name, unit), range))| {
        Number::of(name, unit.name(), range, &errors, place, [chunk, execute])
    });
    let report = Report {
        policy: format!("{} {}", manifest.name, manifest.version),
        precision: policy.precision().to_owned(),
        data: order.data.display().to_string(),
        wink: env!("CARGO_PKG_VERSION"),
        episodes: count,
        frames,
        chunks,
        stride,
        chunk,
        execute,
        fps: dataset.info.fps,
        numbers: numbers.collect(),
    };
    Ok((report, traces))
}

/// Where recorded actions stand, in the policy's order.
struct Recorded {
    places: Vec<usize>,
}

impl Recorded {
    fn new(dataset: &Dataset, action: &ActionSpec) -> Result<Self> {
        if (action.space, action.reference) == (ActionSpace::JointPosition, Reference::Relative) {
            return Err(bad_input(
                "the policy's actions are positions relative to the state (action.reference), recorded actions are not",
            ));
        }
        Ok(Self {
            places: places(dataset, ACTION, &action.names)?,
        })
    }

    fn read(&self, dataset: &Dataset, episode: usize) -> Result<Vec<Vec<f32>>> {
        let rows = dataset.rows(episode, &[ACTION])?;
        let frames = 0..rows.length;
        Ok(frames
            .map(|frame| pick(rows.at(ACTION, frame), &self.places))
            .collect())
    }
}
