//! What latency costs: the figures of `wink eval --sweep-latency`, as they were stored.

mod gains;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::files::{folders, read_json, told};
use crate::bad_input::bad_input;
use crate::eval::sweep::{FILE, Sweep};

pub use gains::{Gain, Speed};

/// The folder beside the reports.
const FOLDER: &str = "latency";

/// One sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stored {
    /// Its folder.
    pub name: String,
    /// What was found.
    pub sweep: Sweep,
    /// How fast the precisions are against the first.
    pub speeds: Vec<Speed>,
    /// What they give on a computer on which the first has one of the latencies.
    pub gains: Vec<Gain>,
}

/// The sweeps in `latency/` beside the folder of reports; those with standing cards first.
pub fn read(reports: &Path) -> Result<Vec<Stored>> {
    let dir = reports.with_file_name(FOLDER);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut all: Vec<Stored> = folders(&dir)?
        .into_iter()
        .map(|name| {
            let path = dir.join(&name).join(FILE);
            let sweep: Sweep = read_json(&path)?;
            check(&sweep).map_err(|error| told(&path, bad_input(error)))?;
            let speeds = gains::speeds(&sweep);
            Ok(Stored {
                gains: gains::gains(&sweep, &speeds),
                name,
                sweep,
                speeds,
            })
        })
        .collect::<Result<_>>()?;
    all.sort_by(|a, b| {
        a.sweep
            .card_speed_m_s
            .total_cmp(&b.sweep.card_speed_m_s)
            .then_with(|| a.name.cmp(&b.name))
    });
    Ok(all)
}

/// Figures are either there or said to be impossible.
fn check(sweep: &Sweep) -> Result<(), String> {
    if sweep.cells.is_empty() {
        return Err("holds no cells".to_owned());
    }
    let undecided = sweep
        .cells
        .iter()
        .position(|cell| cell.figures.is_some() == cell.not_possible.is_some());
    match undecided {
        None => Ok(()),
        Some(index) => Err(format!(
            "cells[{index}] must have either figures or the reason why not"
        )),
    }
}
