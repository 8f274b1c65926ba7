//! The stored reports: a folder for each way, in it one for each training seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::alike;
use super::episodes::{self, Row};
use super::files::{folders, read_json, read_optional_json, told};
use super::ways::Plan;
use crate::bad_input::bad_input;

/// A way to make a policy, and its training runs.
#[derive(Debug, Clone)]
pub struct Way {
    /// Folder among the reports.
    pub folder: String,
    /// Its name for people.
    pub title: String,
    /// Whether it belongs to the main rows.
    pub main: bool,
    /// By training seed; at least one.
    pub runs: Vec<Run>,
}

/// One training run and its evaluation.
#[derive(Debug, Clone)]
pub struct Run {
    /// Training seed.
    pub seed: u64,
    /// Its folder.
    pub dir: PathBuf,
    /// How it was evaluated.
    pub report: Report,
    /// What came of each episode.
    pub rows: Vec<Row>,
    /// How it was trained.
    pub train: Option<Train>,
    /// Where its knowledge sits.
    pub probe: Option<Probe>,
}

/// The part of `report.json` that tells how the policy was evaluated.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Name and version of the policy.
    pub policy: Option<String>,
    /// Precision of the graphs.
    pub precision: Option<String>,
    /// Base seed of the episodes.
    pub seed: u64,
    /// Episodes in each split and control.
    pub episodes: u64,
    /// Episodes that ran side by side.
    pub jobs: Option<u64>,
    /// Where the time went.
    pub latency_us: Option<Latency>,
    splits: BTreeMap<String, Scores>,
    controls: BTreeMap<String, Scores>,
}

/// Where the time of an evaluation went.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Latency {
    /// Preprocessing and inference.
    pub policy: Stage,
}

/// Percentiles of a stage, microseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Stage {
    /// Median.
    pub p50: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct Scores {
    sr: Count,
    execution: Count,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Count {
    k: u64,
    n: u64,
}

/// `train.json`: how a policy was trained. Whatever else is in it is ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct Train {
    way: String,
    seed: u64,
    title: Option<String>,
    /// Weights in the policy.
    pub parameters_total: Option<u64>,
    /// Those that training changed.
    pub parameters_trained: Option<u64>,
    /// Optimiser steps.
    pub steps: Option<u64>,
    /// Training samples seen, repeats included.
    pub samples: Option<u64>,
    /// Wall time.
    pub minutes: Option<f64>,
    /// What it ran on.
    pub device: Option<String>,
}

/// `probe.json`: what can be read off the VLM's features, before and after robot training.
#[derive(Debug, Clone, Deserialize)]
pub struct Probe {
    /// By group of layers, first to last.
    pub groups: Vec<ProbeGroup>,
}

/// One group of layers.
#[derive(Debug, Clone, Deserialize)]
pub struct ProbeGroup {
    /// Its name.
    pub group: String,
    /// Accuracy of a linear classifier on frozen features.
    pub linear_probe: Option<Accuracy>,
    /// Accuracy of naming without any training.
    pub zero_shot: Option<Accuracy>,
}

/// An accuracy, 0 to 1, before and after robot training.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct Accuracy {
    /// Of the VLM.
    pub before: Option<f64>,
    /// Of what robot training made of it.
    pub after: Option<f64>,
    /// Pictures it was measured on.
    pub n: Option<u64>,
}

/// All ways that have reports, in the plan's order.
pub fn read(reports: &Path, plan: &Plan) -> Result<Vec<Way>> {
    let found = folders(reports)?;
    if found.is_empty() {
        return Err(bad_input(format!(
            "{}: no folder of a way in it; `wink eval --no-html --out {}` makes the first",
            reports.display(),
            reports.join("WAY/seed-0").display()
        )));
    }
    let planned = plan.ways.iter().map(|way| &way.folder[..]);
    let ways: Vec<Way> = in_order(planned, &found)
        .iter()
        .map(|folder| read_way(reports, folder, plan))
        .collect::<Result<_>>()?;
    alike::check(&ways)?;
    Ok(ways)
}

/// Of the folders found, those that are planned in the plan's order, then the others.
pub fn in_order<'a>(planned: impl Iterator<Item = &'a str>, found: &[String]) -> Vec<String> {
    let mut order: Vec<String> = planned
        .map(str::to_owned)
        .filter(|name| found.contains(name))
        .collect();
    let others: Vec<String> = found
        .iter()
        .filter(|name| !order.contains(name))
        .cloned()
        .collect();
    order.extend(others);
    order
}

fn read_way(reports: &Path, folder: &str, plan: &Plan) -> Result<Way> {
    let dir = reports.join(folder);
    let mut runs: Vec<Run> = folders(&dir)?
        .iter()
        .map(|name| {
            let seed = name
                .strip_prefix("seed-")
                .and_then(|seed| seed.parse().ok());
            let seed = seed.ok_or_else(|| {
                bad_input(format!(
                    "{}: not a training run; its folder should be called seed-0, seed-1, ...",
                    dir.join(name).display()
                ))
            })?;
            read_run(&dir.join(name), folder, seed)
        })
        .collect::<Result<_>>()?;
    if runs.is_empty() {
        return Err(bad_input(format!(
            "{}: no training run in it; the first belongs in {}",
            dir.display(),
            dir.join("seed-0").display()
        )));
    }
    runs.sort_by_key(|run| run.seed);
    let planned = plan.ways.iter().find(|way| way.folder == folder);
    let trained = || {
        runs.iter()
            .find_map(|run| run.train.as_ref()?.title.clone())
    };
    Ok(Way {
        folder: folder.to_owned(),
        title: planned
            .and_then(|way| way.title.clone())
            .or_else(trained)
            .unwrap_or_else(|| folder.to_owned()),
        main: planned.is_some_and(|way| way.main),
        runs,
    })
}

fn read_run(dir: &Path, folder: &str, seed: u64) -> Result<Run> {
    let run = read_evaluation(dir)?;
    let train_path = dir.join("train.json");
    let train: Option<Train> = read_optional_json(&train_path)?;
    if let Some(train) = &train {
        train
            .check(folder, seed)
            .map_err(|error| told(&train_path, error))?;
    }
    let probe_path = dir.join("probe.json");
    let probe: Option<Probe> = read_optional_json(&probe_path)?;
    if let Some(probe) = &probe {
        probe.check().map_err(|error| told(&probe_path, error))?;
    }
    Ok(Run {
        seed,
        train,
        probe,
        ..run
    })
}

/// report.json and episodes.parquet of a folder, as a run of training seed 0 of which nothing else is known.
pub fn read_evaluation(dir: &Path) -> Result<Run> {
    let report: Report = read_json(&dir.join("report.json"))?;
    let path = dir.join("episodes.parquet");
    let rows = episodes::read(&path)?;
    report
        .check_rows(&rows)
        .map_err(|error| told(&path, error))?;
    Ok(Run {
        seed: 0,
        dir: dir.to_owned(),
        report,
        rows,
        train: None,
        probe: None,
    })
}

impl Report {
    /// The rows must be those that the report counted.
    fn check_rows(&self, rows: &[Row]) -> Result<()> {
        for (group, scores) in self.splits.iter().chain(&self.controls) {
            let mut sr = Count { k: 0, n: 0 };
            let mut execution = sr;
            for row in rows.iter().filter(|row| row.group == *group) {
                sr.n += 1;
                execution.n += 1;
                sr.k += u64::from(row.success);
                execution.k += u64::from(row.executed);
            }
            for (what, counted, reported) in [
                ("SR", sr, scores.sr),
                ("execution", execution, scores.execution),
            ] {
                if counted != reported {
                    return Err(bad_input(format!(
                        "{group}, {what}: {}/{}, but report.json beside it says {}/{}",
                        counted.k, counted.n, reported.k, reported.n
                    )));
                }
            }
        }
        let mut seen = BTreeSet::new();
        if let Some(row) = rows
            .iter()
            .find(|row| !seen.insert((&row.group, row.index)))
        {
            return Err(bad_input(format!("has {} {} twice", row.group, row.index)));
        }
        let known =
            |group: &String| self.splits.contains_key(group) || self.controls.contains_key(group);
        match rows.iter().find(|row| !known(&row.group)) {
            None => Ok(()),
            Some(row) => Err(bad_input(format!(
                "has episodes of {}, but report.json beside it has none",
                row.group
            ))),
        }
    }
}

impl Train {
    fn check(&self, folder: &str, seed: u64) -> Result<()> {
        if self.way != folder || self.seed != seed {
            return Err(bad_input(format!(
                "is of way `{}`, seed {}, but lies in {folder}/seed-{seed}",
                self.way, self.seed
            )));
        }
        match self.minutes {
            Some(minutes) if !(minutes.is_finite() && minutes >= 0.0) => {
                Err(bad_input(format!("`minutes` is {minutes}")))
            }
            _ => Ok(()),
        }
    }
}

impl Probe {
    fn check(&self) -> Result<()> {
        for group in &self.groups {
            for accuracy in [group.linear_probe, group.zero_shot].into_iter().flatten() {
                let values = [accuracy.before, accuracy.after];
                if let Some(wrong) = values
                    .into_iter()
                    .flatten()
                    .find(|value| !(0.0..=1.0).contains(value))
                {
                    return Err(bad_input(format!(
                        "group `{}`: accuracy {wrong} is not in 0 .. 1",
                        group.group
                    )));
                }
            }
        }
        Ok(())
    }
}
