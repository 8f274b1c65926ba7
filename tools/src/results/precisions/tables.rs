//! The figures of all variants.

use std::collections::BTreeMap;

use serde::Serialize;

use super::emojis::Forgotten;
use super::goals::{Goal, goals};
use super::plan::{PairPlan, Plan};
use super::variants::Variant;
use crate::quantize::record::ActionError;
use crate::results::SPLITS;
use crate::results::paired::{Comparison, by_metric, correct};
use crate::results::rates::Rates;
use crate::stats::Metric;

/// Comparisons by split and metric.
type BySplit = BTreeMap<&'static str, BTreeMap<Metric, Comparison>>;

/// One policy in several precisions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Precisions {
    /// Name and version of the policy.
    pub policy: Option<String>,
    /// Episodes in each split.
    pub episodes: u64,
    /// Base seed of the episodes.
    pub seed: u64,
    /// The command that evaluated each.
    pub evaluated: Option<String>,
    /// The variant that every other one is compared with.
    pub baseline: Option<String>,
    /// In order.
    pub variants: Vec<VariantTable>,
    /// Variants that are planned but have no report.
    pub without_reports: Vec<String>,
    /// Naive and action-aware schemes.
    pub pairs: Vec<PairTable>,
    /// What was aimed at.
    pub goals: Vec<Goal>,
    /// Emoji by emoji.
    pub forgotten: Option<Forgotten>,
}

/// The figures of one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantTable {
    /// Its folder.
    pub variant: String,
    /// Its name for people.
    pub title: String,
    /// Precision of its graphs.
    pub precision: Option<String>,
    /// The command that made its package.
    pub made: Option<String>,
    /// By split.
    pub rates: BTreeMap<&'static str, Rates>,
    /// Against the baseline; p values are corrected over all variants and metrics of a split.
    pub against_baseline: BySplit,
    /// Against the float graphs, on moments that calibration has not seen.
    pub action: Option<ActionError>,
    /// How many such moments.
    pub action_moments: Option<u64>,
    /// Of the graphs.
    pub bytes: Option<u64>,
    /// Of the float graphs.
    pub float_bytes: Option<u64>,
    /// How the ranges of activations were found.
    pub calibration: Option<String>,
    /// Layers that stayed float, and all.
    pub float_layers: Option<(usize, usize)>,
    /// Median of the act graph on one thread, as `wink bench` measured it.
    pub inference_ms: Option<f64>,
    /// Median of preprocessing and inference while the episodes ran.
    pub policy_p50_us: Option<u64>,
    /// Episodes that ran side by side meanwhile.
    pub jobs: Option<u64>,
}

/// What minding the actions changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairTable {
    /// Folder of the naive scheme.
    pub naive: String,
    /// Folder of the action-aware one.
    pub aware: String,
    /// The aware against the naive one; p values are corrected over all pairs and metrics of a split.
    pub aware_against_naive: BySplit,
}

impl Precisions {
    /// Counts and compares. There is at least one variant.
    pub fn of(plan: &Plan, variants: &[Variant]) -> Self {
        let report = &variants[0].run().report;
        let found = |folder: &str| variants.iter().find(|own| own.way.folder == folder);
        let baseline = plan.baseline.as_deref().and_then(found);
        let float_bytes = variants
            .iter()
            .find_map(|variant| Some(variant.record.as_ref()?.float_bytes));
        let mut tables: Vec<VariantTable> = variants
            .iter()
            .map(|variant| table(variant, baseline, float_bytes))
            .collect();
        correct_splits(tables.iter_mut().map(|own| &mut own.against_baseline));
        let mut pairs: Vec<PairTable> = plan
            .pairs
            .iter()
            .filter_map(|pair| pair_table(pair, found(&pair.naive)?, found(&pair.aware)?))
            .collect();
        correct_splits(pairs.iter_mut().map(|pair| &mut pair.aware_against_naive));
        Self {
            policy: report.policy.clone(),
            episodes: report.episodes,
            seed: report.seed,
            evaluated: plan.evaluated.clone(),
            baseline: baseline.map(|variant| variant.way.folder.clone()),
            variants: tables,
            without_reports: plan
                .variants
                .iter()
                .filter(|planned| found(&planned.folder).is_none())
                .map(|planned| planned.title.as_ref().unwrap_or(&planned.folder).clone())
                .collect(),
            pairs,
            goals: baseline.map_or_else(Vec::new, |baseline| goals(plan, variants, baseline)),
            forgotten: baseline.map(|baseline| Forgotten::of(variants, baseline)),
        }
    }

    /// A variant's figures.
    pub fn variant(&self, folder: &str) -> Option<&VariantTable> {
        self.variants.iter().find(|own| own.variant == folder)
    }

    /// A variant's name for people.
    pub fn title<'a>(&'a self, folder: &'a str) -> &'a str {
        self.variant(folder).map_or(folder, |own| &own.title)
    }
}

fn table(variant: &Variant, baseline: Option<&Variant>, float_bytes: Option<u64>) -> VariantTable {
    let way = &variant.way;
    let report = &variant.run().report;
    let scheme = variant.scheme();
    let is_baseline = baseline.is_some_and(|baseline| baseline.way.folder == way.folder);
    let against = baseline.filter(|_| !is_baseline);
    let bytes = scheme.map(|scheme| scheme.bytes);
    VariantTable {
        variant: way.folder.clone(),
        title: way.title.clone(),
        precision: report.precision.clone(),
        made: variant.made.clone(),
        rates: SPLITS
            .into_iter()
            .filter_map(|split| Some((split, Rates::of(way, split)?)))
            .collect(),
        against_baseline: against.map_or_else(BTreeMap::new, |other| compared(variant, other)),
        action: scheme.map(|scheme| scheme.error),
        action_moments: variant.record.as_ref().map(|own| own.held_out_samples),
        bytes: bytes.or(float_bytes.filter(|_| is_baseline)),
        float_bytes,
        calibration: variant
            .record
            .as_ref()
            .and_then(|own| own.calibration.clone()),
        float_layers: scheme.and_then(|scheme| scheme.float_layers()),
        inference_ms: variant.inference_ms(),
        policy_p50_us: report.latency_us.map(|latency| latency.policy.p50),
        jobs: report.jobs,
    }
}

fn pair_table(pair: &PairPlan, naive: &Variant, aware: &Variant) -> Option<PairTable> {
    let aware_against_naive = compared(aware, naive);
    (!aware_against_naive.is_empty()).then(|| PairTable {
        naive: pair.naive.clone(),
        aware: pair.aware.clone(),
        aware_against_naive,
    })
}

fn compared(first: &Variant, second: &Variant) -> BySplit {
    SPLITS
        .into_iter()
        .map(|split| (split, by_metric(&first.way, &second.way, split)))
        .filter(|(_, metrics)| !metrics.is_empty())
        .collect()
}

/// Corrects the comparisons of each split for each other.
fn correct_splits<'a>(tables: impl Iterator<Item = &'a mut BySplit>) {
    let mut all: Vec<&mut BySplit> = tables.collect();
    for split in SPLITS {
        let own = all.iter_mut().filter_map(|table| table.get_mut(split));
        correct(own.flat_map(BTreeMap::values_mut));
    }
}
