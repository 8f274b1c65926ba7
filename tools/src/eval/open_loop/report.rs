//! What the open-loop check found: `report.json`.

use serde::Serialize;

use super::errors::{Error, Errors};

/// All figures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name and version of the policy.
    pub policy: String,
    /// The precision that ran.
    pub precision: String,
    /// The data set's folder.
    pub data: String,
    /// Version of the tool.
    pub wink: &'static str,
    /// Episodes compared.
    pub episodes: usize,
    /// Their frames.
    pub frames: usize,
    /// Chunks predicted.
    pub chunks: usize,
    /// Frames from one prediction to the next.
    pub stride: usize,
    /// Actions in a chunk.
    pub chunk: usize,
    /// Actions of it that a control loop executes.
    pub execute: usize,
    /// Frames a second.
    pub fps: f64,
    /// Each number of the action.
    pub numbers: Vec<Number>,
}

/// One number of the action, in its unit.
#[derive(Debug, Serialize)]
pub struct Number {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Smallest and largest recorded value.
    pub recorded: [f32; 2],
    /// Errors of the steps that are executed.
    pub executed: Error,
    /// Errors of all steps.
    pub chunk: Error,
    /// Errors of each step.
    pub by_step: Vec<Error>,
}

impl Number {
    /// Sums up the errors of the number at `place`.
    pub fn of(
        name: &str,
        unit: &str,
        recorded: [f32; 2],
        errors: &Errors,
        place: usize,
        [chunk, execute]: [usize; 2],
    ) -> Self {
        Self {
            name: name.to_owned(),
            unit: unit.to_owned(),
            recorded,
            executed: errors.of(place, 0..execute),
            chunk: errors.of(place, 0..chunk),
            by_step: (0..chunk)
                .map(|step| errors.of(place, step..step + 1))
                .collect(),
        }
    }
}
