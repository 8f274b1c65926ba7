//! What a way's training took, over its seeds.

use serde::Serialize;

use super::tree::{Train, Way};

/// What the training of one way took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Training {
    /// Weights in the policy.
    pub parameters_total: Option<Range>,
    /// Those that training changed.
    pub parameters_trained: Option<Range>,
    /// Optimiser steps.
    pub steps: Option<Range>,
    /// Training samples seen, repeats included.
    pub samples: Option<Range>,
    /// Wall time of one training run.
    pub minutes: Option<Range>,
    /// What it ran on.
    pub devices: Vec<String>,
    /// Precision of the graphs that were evaluated.
    pub precision: Option<String>,
}

/// Lowest and highest among the training seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
}

/// What `train.json` says; everything `None` without one.
pub fn training(way: &Way) -> Training {
    let trains: Vec<&Train> = way
        .runs
        .iter()
        .filter_map(|run| run.train.as_ref())
        .collect();
    let range = |value: &dyn Fn(&Train) -> Option<f64>| {
        let values: Vec<f64> = trains.iter().filter_map(|train| value(train)).collect();
        (!values.is_empty()).then(|| Range {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    };
    let count =
        |value: fn(&Train) -> Option<u64>| range(&|train| value(train).map(|count| count as f64));
    let mut devices: Vec<String> = trains
        .iter()
        .filter_map(|train| train.device.clone())
        .collect();
    devices.sort();
    devices.dedup();
    Training {
        parameters_total: count(|train| train.parameters_total),
        parameters_trained: count(|train| train.parameters_trained),
        steps: count(|train| train.steps),
        samples: count(|train| train.samples),
        minutes: range(&|train| train.minutes),
        devices,
        precision: way
            .runs
            .first()
            .and_then(|run| run.report.precision.clone()),
    }
}
