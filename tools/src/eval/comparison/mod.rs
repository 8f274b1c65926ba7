//! Several precisions of a package on the same episodes.

mod table;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use wink_runtime::policy::OnnxPolicy;

use super::episode::Episode;
use super::policy::Choice;
use super::report::{Report, Scores};
use crate::cell::CellArm;
use crate::quantize::error::errors_against_first;
use crate::quantize::record::{ActionError, Record, SchemeRecord, graph_bytes};
use crate::results::files::read_optional_json;
use crate::stats::{Metric, Paired, Proportion, holm};

pub use table::render;

/// The comparison, above the folders of its precisions.
pub const FILE: &str = "precisions.json";
/// What a precision takes and how far its actions are off, in its folder.
pub const RECORD: &str = "quantize.json";

/// All precisions, against the first.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The policy's name and version.
    pub policy: String,
    /// Base seed: episode i of each split has this plus i.
    pub seed: u64,
    /// Version of the program.
    pub wink: &'static str,
    /// Episodes in each split and control.
    pub episodes: usize,
    /// Threads that ran episodes side by side.
    pub jobs: usize,
    /// In the order asked for.
    pub precisions: Vec<Side>,
}

/// One precision.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// Its name in the package.
    pub precision: String,
    /// Of its graphs.
    pub bytes: u64,
    /// How far its actions are from the first's, on moments of demonstrations; `null` for the first.
    pub action: Option<ActionError>,
    /// How many such moments.
    pub action_moments: Option<u64>,
    /// Median of preprocessing and inference, microseconds.
    pub policy_p50_us: u64,
    /// By split and control.
    pub groups: BTreeMap<String, Group>,
    #[serde(skip)]
    report: Report,
}

/// One precision on one split or control.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Success rate.
    pub sr: Proportion,
    /// Set down on some card.
    pub execution: Proportion,
    /// Of those, on the named one.
    pub recognition: Proportion,
    /// Recognition rescaled so that chance is 0.
    pub grounding: Proportion,
    /// Against the first precision on the same episodes; empty for the first.
    pub against_first: BTreeMap<Metric, Against>,
    /// Of each episode, in order: was it executed, and did it succeed?
    #[serde(skip)]
    endings: Vec<(bool, bool)>,
}

/// A difference to the first precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Against {
    /// Counts, test and difference; the first of the two is this precision.
    #[serde(flatten)]
    pub paired: Paired,
    /// `p` after Holm's correction over all precisions and rates of the split or control.
    pub p_holm: f64,
}

/// What `wink quantize` would tell of each precision but the first, which stands for the float one; `None` for that.
pub fn records(
    choices: &[Choice],
    arm: CellArm,
    episodes: usize,
    package: &Path,
) -> Result<Vec<Option<Record>>> {
    let networks: Vec<&OnnxPolicy> = choices.iter().filter_map(Choice::network).collect();
    let known: Option<Record> = read_optional_json(&package.join(RECORD))?;
    let (errors, moments) = errors_against_first(&networks, arm, episodes as u64)?;
    let first_bytes = networks.first().map_or(0, |first| bytes(first));
    let record = |network: &OnnxPolicy, error: ActionError| {
        let of_package = known.as_ref().and_then(|known| {
            let mut schemes = known.schemes.iter();
            schemes.find(|scheme| scheme.scheme == network.precision())
        });
        Record {
            held_out_samples: moments as u64,
            calibration: known
                .as_ref()
                .filter(|_| of_package.is_some())
                .and_then(|known| known.calibration.clone()),
            float_bytes: first_bytes,
            schemes: vec![SchemeRecord {
                scheme: network.precision().to_owned(),
                bytes: bytes(network),
                error,
                layers: of_package.and_then(|scheme| scheme.layers.clone()),
            }],
        }
    };
    let others = networks.iter().skip(1).zip(errors);
    let mut records = vec![None];
    records.extend(others.map(|(network, error)| Some(record(network, error))));
    Ok(records)
}

fn bytes(network: &OnnxPolicy) -> u64 {
    graph_bytes(network.manifest(), network.precision())
}

impl Side {
    /// The figures of one evaluation.
    pub fn of(choice: &Choice, report: Report, done: &[Episode], record: Option<Record>) -> Self {
        let endings = |key: &str| {
            let own = done.iter().filter(|episode| episode.group.key() == key);
            own.map(|episode| (episode.executed(), episode.success))
                .collect()
        };
        let group = |(key, scores): (&String, &Scores)| {
            let group = Group {
                sr: scores.sr,
                execution: scores.execution,
                recognition: scores.recognition,
                grounding: scores.grounding,
                against_first: BTreeMap::new(),
                endings: endings(key),
            };
            (key.clone(), group)
        };
        Self {
            precision: report.precision.clone().unwrap_or_default(),
            bytes: choice.network().map_or(0, bytes),
            action: record
                .as_ref()
                .and_then(|record| Some(record.schemes.first()?.error)),
            action_moments: record.map(|record| record.held_out_samples),
            policy_p50_us: report.latency_us.policy.p50,
            groups: report
                .splits
                .iter()
                .chain(&report.controls)
                .map(group)
                .collect(),
            report,
        }
    }
}

impl Comparison {
    /// Tests every precision against the first. There is at least one.
    pub fn of(mut sides: Vec<Side>) -> Self {
        if let Some((first, others)) = sides.split_first_mut() {
            for (key, group) in &first.groups {
                let groups = others.iter_mut().filter_map(|own| own.groups.get_mut(key));
                test(groups.collect(), &group.endings);
            }
        }
        let report = &sides[0].report;
        Self {
            policy: report.policy.clone(),
            seed: report.seed,
            wink: report.wink,
            episodes: report.episodes,
            jobs: report.jobs,
            precisions: sides,
        }
    }
}

fn test(mut groups: Vec<&mut Group>, first: &[(bool, bool)]) {
    for group in &mut groups {
        let endings = std::mem::take(&mut group.endings);
        group.against_first = Metric::ALL
            .into_iter()
            .map(|metric| {
                let right = |&(executed, success): &(bool, bool)| metric.right(executed, success);
                let pairs = endings.iter().map(right).zip(first.iter().map(right));
                let paired = Paired::of(pairs);
                let p_holm = paired.p;
                (metric, Against { paired, p_holm })
            })
            .collect();
    }
    let mut all: Vec<&mut Against> = groups
        .into_iter()
        .flat_map(|group| group.against_first.values_mut())
        .collect();
    let p: Vec<f64> = all.iter().map(|against| against.paired.p).collect();
    for (against, p_holm) in all.iter_mut().zip(holm(&p)) {
        against.p_holm = p_holm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(endings: &[(bool, bool)]) -> Group {
        let none = Proportion::new(0, 0);
        Group {
            sr: none,
            execution: none,
            recognition: none,
            grounding: none,
            against_first: BTreeMap::new(),
            endings: endings.to_vec(),
        }
    }

    #[test]
    fn the_same_episodes_are_paired_and_corrected_together() {
        let right = (true, true);
        let first = vec![right; 10];
        let mut wrong = group(&[vec![right; 2], vec![(true, false); 8]].concat());
        let mut dropped = group(&[vec![right; 9], vec![(false, false)]].concat());
        test(vec![&mut wrong, &mut dropped], &first);
        let against = wrong.against_first[&Metric::Recognition];
        let paired = against.paired;
        assert_eq!(
            (paired.pairs, paired.only_first, paired.only_second),
            (10, 0, 8)
        );
        // Twice the tail of eight coins, among six tests, of which success has the same p.
        assert!((against.paired.p - 2.0 / 256.0).abs() < 1e-12);
        assert!((against.p_holm - 12.0 / 256.0).abs() < 1e-12);
        // Recognition is undefined where nothing was executed.
        let against = dropped.against_first[&Metric::Recognition];
        assert_eq!((against.paired.pairs, against.p_holm), (9, 1.0));
    }
}
