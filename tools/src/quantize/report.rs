//! What quantisation did, for people and for programs.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use wink_quantize::emit::LayerReport;

use super::Args;
use super::record::{ActionError, NumberError};

/// What is told of a package.
#[derive(Debug, Serialize)]
pub struct PackageReport {
    /// Name and version of the policy.
    pub policy: String,
    /// Moments that ranges were found on.
    pub calibration_samples: usize,
    /// Moments that errors were measured on.
    pub held_out_samples: usize,
    /// How ranges were found.
    pub calibration: String,
    /// What the errors are of.
    pub errors_of: &'static str,
    /// What was done to the float graphs before.
    pub reshaped: Vec<String>,
    /// Bytes of the float graphs.
    pub float_bytes: u64,
    /// Each scheme.
    pub schemes: Vec<PackageScheme>,
}

/// One scheme of a package.
#[derive(Debug, Serialize)]
pub struct PackageScheme {
    /// What was done to its layers.
    #[serde(flatten)]
    pub summary: Summary,
    /// In the runtime, on the file as written.
    #[serde(flatten)]
    pub error: ActionError,
    /// The error of each number without a threshold, in its unit.
    pub numbers: Vec<NumberError>,
}

/// What was done to the layers under a scheme.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Its name in `policy.json`.
    pub scheme: &'static str,
    /// Bytes of its graphs.
    pub bytes: u64,
    /// Layers that stayed float.
    pub float_layers: usize,
    /// Median time of an inference in this runtime, milliseconds; where a latency was asked for.
    pub latency_ms: Option<f64>,
    /// Each layer, in the order in which the graphs run.
    pub layers: Vec<Row>,
}

impl Summary {
    /// Scheme, megabytes, their part of the float ones, layers that stayed float.
    pub fn cells(&self, float_bytes: u64) -> [String; 4] {
        [
            self.scheme.to_owned(),
            format!("{:.2}", self.bytes as f64 / 1e6),
            format!("{:.0}%", 100.0 * self.bytes as f64 / float_bytes as f64),
            format!("{} of {}", self.float_layers, self.layers.len()),
        ]
    }
}

/// One layer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What became of it.
    #[serde(flatten)]
    pub layer: LayerReport,
    /// Root mean square error of the actions when it alone is quantised.
    pub sensitivity: Option<f32>,
}

/// Prints the report as JSON, or each scheme's layers where they are asked for, then `text`.
pub fn print<'a>(
    args: &Args,
    json: &str,
    schemes: impl Iterator<Item = &'a Summary>,
    text: &str,
) -> Result<()> {
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{json}")?;
        return Ok(());
    }
    if args.options.layers {
        for scheme in schemes {
            write!(stdout, "{}", layers(scheme))?;
        }
    }
    write!(stdout, "{text}")?;
    Ok(())
}

/// The table of schemes.
pub fn schemes(report: &PackageReport) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "scheme",
        "MB",
        "of float",
        "float layers",
        "rms",
        "max",
        "mm a step",
        "gripper flips",
    ]);
    for scheme in &report.schemes {
        let error = &scheme.error;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let mut cells = scheme.summary.cells(report.float_bytes).to_vec();
        cells.extend([
            format!("{:.4}", error.action_rms),
            format!("{:.3}", error.action_max),
            or_none(error.translation_rms_mm.map(|mm| format!("{mm:.2}"))),
            or_none(
                error
                    .gripper_flips
                    .map(|(flips, of)| format!("{flips} of {of}")),
            ),
        ]);
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!(
        "{}: ranges ({}) from {} moments, errors against float on {} others, of {}\n{table}\n",
        report.policy,
        report.calibration,
        report.calibration_samples,
        report.held_out_samples,
        report.errors_of
    );
    for scheme in &report.schemes {
        let numbers = scheme.numbers.iter();
        let numbers: Vec<String> = numbers
            .map(|n| format!("{} {:.4} ({:.4}) {}", n.name, n.rms, n.max, n.unit))
            .collect();
        let _ = writeln!(
            text,
            "{}: rms (max) of {}",
            scheme.summary.scheme,
            numbers.join(", ")
        );
    }
    text
}

/// The layers of a scheme.
pub fn layers(scheme: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "layer",
        "precision",
        "N x K",
        "seen",
        "range",
        "weights dB",
        "alone: rms",
    ]);
    for row in &scheme.layers {
        let layer = &row.layer;
        let span = |(low, high): (f32, f32)| format!("{low:.3} .. {high:.3}");
        let name = serde_json::to_value(layer.precision).unwrap_or_default();
        table.add_row([
            layer.layer.clone(),
            name.as_str().unwrap_or_default().to_owned(),
            if layer.n == 0 {
                "activations".to_owned()
            } else {
                format!("{} x {}", layer.n, layer.k)
            },
            span(layer.seen),
            layer.range.map_or_else(String::new, span),
            layer
                .weight_sqnr_db
                .map_or_else(String::new, |db| format!("{db:.1}")),
            row.sensitivity
                .map_or_else(String::new, |error| format!("{error:.5}")),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{}\n{table}\n", scheme.scheme)
}
