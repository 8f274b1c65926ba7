//! What latency costs: a plot for each figure of each sweep.

use super::Plot;
use crate::eval::sweep::plots::{QUANTITIES, plot};
use crate::results::latency::Stored;

/// All plots of a sweep.
pub fn plots(stored: &Stored) -> Vec<Plot> {
    QUANTITIES
        .iter()
        .map(|quantity| Plot {
            file: file(stored, quantity.name),
            alt: format!("{} against latency, {}", quantity.title, stored.name),
            svg: plot(&stored.sweep, quantity),
        })
        .collect()
}

/// The file of one of them.
pub fn file(stored: &Stored, quantity: &str) -> String {
    format!("latency-{}-{quantity}.svg", stored.name)
}
