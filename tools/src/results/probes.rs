//! Where the knowledge went: probes of the VLM's features, over the training seeds.

use serde::Serialize;

use super::tree::{Accuracy, Probe, ProbeGroup, Way};

/// The probes of one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WayProbe {
    /// Its folder.
    pub way: String,
    /// Training seeds with a probe.
    pub seeds: Vec<u64>,
    /// By group of layers, first to last.
    pub groups: Vec<GroupProbe>,
}

/// One group of layers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupProbe {
    /// Its name.
    pub group: String,
    /// A linear classifier on frozen features.
    pub linear_probe: Mean,
    /// Naming without any training.
    pub zero_shot: Mean,
}

/// Means over the training seeds; `None` where none has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Of the VLM.
    pub before: Option<f64>,
    /// Of what robot training made of it.
    pub after: Option<f64>,
    /// Pictures that each is measured on, if all are measured on as many.
    pub n: Option<u64>,
}

/// The probes of all ways that have some.
pub fn probes(ways: &[Way]) -> Vec<WayProbe> {
    ways.iter().filter_map(probe).collect()
}

fn probe(way: &Way) -> Option<WayProbe> {
    let runs: Vec<(u64, &Probe)> = way
        .runs
        .iter()
        .filter_map(|run| Some((run.seed, run.probe.as_ref()?)))
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for group in runs.iter().flat_map(|(_, probe)| &probe.groups) {
        if !names.contains(&&group.group[..]) {
            names.push(&group.group);
        }
    }
    let groups = names.iter().map(|&name| {
        let all: Vec<&ProbeGroup> = runs
            .iter()
            .flat_map(|(_, probe)| &probe.groups)
            .filter(|group| group.group == name)
            .collect();
        GroupProbe {
            group: name.to_owned(),
            linear_probe: mean(&all, |group| group.linear_probe),
            zero_shot: mean(&all, |group| group.zero_shot),
        }
    });
    (!names.is_empty()).then(|| WayProbe {
        way: way.folder.clone(),
        seeds: runs.iter().map(|&(seed, _)| seed).collect(),
        groups: groups.collect(),
    })
}

fn mean(groups: &[&ProbeGroup], of: impl Fn(&ProbeGroup) -> Option<Accuracy>) -> Mean {
    let all: Vec<Accuracy> = groups.iter().filter_map(|group| of(group)).collect();
    let mean = |value: fn(&Accuracy) -> Option<f64>| {
        let values: Vec<f64> = all.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let n = all.first().and_then(|first| first.n);
    Mean {
        before: mean(|accuracy| accuracy.before),
        after: mean(|accuracy| accuracy.after),
        n: n.filter(|_| all.iter().all(|accuracy| accuracy.n == n)),
    }
}
