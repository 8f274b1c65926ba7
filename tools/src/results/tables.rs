//! All figures of the page.

use std::collections::BTreeMap;

use serde::Serialize;

use super::findings::{Finding, findings};
use super::latency::Stored;
use super::paired::{Comparison, by_metric, correct};
use super::precisions::Precisions;
use super::probes::{WayProbe, probes};
use super::rates::{Rates, gap};
use super::training::{Training, training};
use super::tree::Way;
use super::ways::Plan;
use super::{CONTROLS, GROUPS, SPLITS};
use crate::stats::{Difference, Metric};

/// Everything that the page shows, and that `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tables {
    /// Episodes in each split and control of each report.
    pub episodes: u64,
    /// Base seed of the episodes.
    pub seed: u64,
    /// The split that the controls ran on.
    pub control_split: Option<String>,
    /// The way that every other one is compared with.
    pub baseline: Option<String>,
    /// In order.
    pub ways: Vec<WayTable>,
    /// Ways that are planned but have no report.
    pub without_reports: Vec<String>,
    /// Claims and their tests.
    pub findings: Vec<Finding>,
    /// Where the knowledge went.
    pub probes: Vec<WayProbe>,
    /// One policy in several precisions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precisions: Option<Precisions>,
    /// What latency costs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Stored>,
    /// Names for people by folder, of planned ways too.
    #[serde(skip)]
    titles: BTreeMap<String, String>,
}

/// The figures of one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WayTable {
    /// Its folder.
    pub way: String,
    /// Its name for people.
    pub title: String,
    /// Whether it belongs to the main rows.
    pub main: bool,
    /// Training seeds.
    pub seeds: Vec<u64>,
    /// By split and control.
    pub rates: BTreeMap<&'static str, Rates>,
    /// Recognition on train minus recognition on val.
    pub gap: Option<Difference>,
    /// Against the baseline, by split and metric; p values are corrected over all ways and metrics of a split.
    pub against_baseline: BTreeMap<&'static str, BTreeMap<Metric, Comparison>>,
    /// What the training took.
    pub training: Training,
}

impl Tables {
    /// Counts and compares.
    pub fn of(
        plan: &Plan,
        ways: &[Way],
        precisions: Option<Precisions>,
        latency: Vec<Stored>,
    ) -> Self {
        let report = ways
            .first()
            .and_then(|way| way.runs.first())
            .map(|run| &run.report);
        let found = |folder: &str| ways.iter().find(|way| way.folder == folder);
        let baseline = plan.baseline.as_deref().and_then(found);
        let mut tables: Vec<WayTable> = ways.iter().map(|way| table(way, baseline)).collect();
        for split in SPLITS {
            let comparisons = tables
                .iter_mut()
                .filter_map(|way| way.against_baseline.get_mut(split));
            correct(comparisons.flat_map(BTreeMap::values_mut));
        }
        Self {
            episodes: report.map_or(0, |report| report.episodes),
            seed: report.map_or(0, |report| report.seed),
            control_split: control_split(ways),
            baseline: baseline.map(|way| way.folder.clone()),
            ways: tables,
            without_reports: plan
                .ways
                .iter()
                .map(|way| way.folder.clone())
                .filter(|folder| found(folder).is_none())
                .collect(),
            findings: findings(plan, ways),
            probes: probes(ways),
            precisions,
            latency,
            titles: titles(plan, ways),
        }
    }

    /// A way's name for people.
    pub fn title<'a>(&'a self, folder: &'a str) -> &'a str {
        self.titles.get(folder).map_or(folder, String::as_str)
    }
}

fn titles(plan: &Plan, ways: &[Way]) -> BTreeMap<String, String> {
    let planned = plan
        .ways
        .iter()
        .filter_map(|way| Some((way.folder.clone(), way.title.clone()?)));
    let found = ways
        .iter()
        .map(|way| (way.folder.clone(), way.title.clone()));
    planned.chain(found).collect()
}

fn control_split(ways: &[Way]) -> Option<String> {
    let mut rows = ways
        .iter()
        .flat_map(|way| &way.runs)
        .flat_map(|run| &run.rows);
    rows.find(|row| CONTROLS.contains(&&row.group[..]))
        .map(|row| row.split.clone())
}

fn table(way: &Way, baseline: Option<&Way>) -> WayTable {
    let rates: BTreeMap<&'static str, Rates> = GROUPS
        .into_iter()
        .filter_map(|group| Some((group, Rates::of(way, group)?)))
        .collect();
    let other = baseline.filter(|baseline| baseline.folder != way.folder);
    WayTable {
        way: way.folder.clone(),
        title: way.title.clone(),
        main: way.main,
        seeds: way.runs.iter().map(|run| run.seed).collect(),
        gap: rates
            .get("train")
            .zip(rates.get("val"))
            .map(|(train, val)| gap(train, val)),
        against_baseline: other.map_or_else(BTreeMap::new, |other| {
            SPLITS
                .into_iter()
                .map(|split| (split, by_metric(way, other, split)))
                .filter(|(_, metrics)| !metrics.is_empty())
                .collect()
        }),
        training: training(way),
        rates,
    }
}
