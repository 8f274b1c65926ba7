//! The content of a package for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use wink_runtime::policy::Fusion;
use wink_runtime::policy::manifest::{Channels, Layout, Manifest};

use super::{GraphRow, Report, Wire};

/// What the policy is, then each precision's graphs, tensors and operators.
pub fn render(report: &Report) -> String {
    let mut text = summary(&report.manifest);
    let default = &report.manifest.default_precision;
    for (name, precision) in &report.precisions {
        let mark = if name == default { " (default)" } else { "" };
        let _ = writeln!(
            text,
            "\n{name}{mark}\n{}\n{}",
            graphs(&precision.graphs),
            tensors(&precision.graphs)
        );
        for graph in &precision.graphs {
            let _ = writeln!(text, "{} ops: {}", graph.file, ops(&graph.ops));
        }
        for graph in &precision.graphs {
            let _ = write!(text, "{}", fast_path(graph));
        }
        if let Some(check) = &precision.check {
            let word = if check.passed { "passed" } else { "FAILED" };
            let golden = &check.golden;
            let _ = writeln!(
                text,
                "self-check {word}: off by at most {:.1e} (rms {:.1e}) from {} over {} values, {:.0e} passes",
                golden.max_error, golden.rms_error, golden.engine, golden.count, golden.tolerance
            );
        }
    }
    text
}

/// What runs in fused ops, and a line for each product that does not.
fn fast_path(graph: &GraphRow) -> String {
    let Some(fusion) = &graph.fast_path else {
        return String::new();
    };
    format!("{} {}", graph.file, fused(fusion))
}

/// A line with what is fused, and one for each product that is not.
pub fn fused(fusion: &Fusion) -> String {
    let counts = match fusion.fused.is_empty() {
        true => "none".to_owned(),
        false => ops(&fusion.fused),
    };
    let mut text = format!("fast path ({}): {counts}\n", fusion.kernels);
    if !fusion.small.is_empty() {
        let _ = writeln!(text, "  small ops: {}", ops(&fusion.small));
    }
    if fusion.once > 0 {
        let _ = writeln!(text, "  once an episode: {} of all these", fusion.once);
    }
    if !fusion.engine.is_empty() {
        let _ = writeln!(text, "  in tract, which allocates: {}", ops(&fusion.engine));
    }
    for left in &fusion.unmatched {
        let _ = writeln!(
            text,
            "  not fused: {} {}: {}",
            left.op, left.node, left.reason
        );
    }
    text
}

fn summary(manifest: &Manifest) -> String {
    let mut text = format!(
        "{} {}, {}\n",
        manifest.name, manifest.version, manifest.licence
    );
    if !manifest.description.is_empty() {
        let _ = writeln!(text, "{}", manifest.description);
    }
    let action = &manifest.action;
    let _ = writeln!(
        text,
        "action  {} values, chunk of {}, {} executed, {} Hz",
        action.names.len(),
        action.chunk,
        action.execute,
        manifest.control_hz
    );
    let _ = writeln!(text, "state   {}", manifest.state.names.join(", "));
    if let Some(image) = &manifest.image {
        let channels = match image.channels {
            Channels::Rgb => "RGB",
            Channels::Bgr => "BGR",
        };
        let layout = match image.layout {
            Layout::Nchw => "NCHW",
            Layout::Nhwc => "NHWC",
        };
        let crop = image.crop.map_or_else(String::new, |crop| {
            format!(
                ", of the frame's part from {:.1}%, {:.1}% that is {:.1}% x {:.1}%",
                100.0 * crop.left,
                100.0 * crop.top,
                100.0 * crop.width,
                100.0 * crop.height
            )
        });
        let _ = writeln!(
            text,
            "image   {} x {} {channels} {layout}{crop}",
            image.width, image.height
        );
    }
    if let Some(spec) = &manifest.text {
        let _ = writeln!(
            text,
            "text    {}, at most {} tokens",
            spec.tokenizer, spec.max_tokens
        );
    }
    let total: u64 = manifest.files.values().map(|record| record.bytes).sum();
    let _ = writeln!(
        text,
        "files   {}, {}: sizes and hashes are as listed",
        manifest.files.len(),
        megabytes(total)
    );
    text
}

fn graphs(rows: &[GraphRow]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "role",
        "file",
        "size",
        "opset",
        "nodes",
        "parameters",
        "weights",
        "MMAC",
    ]);
    for row in rows {
        let weights: Vec<_> = row
            .weights
            .iter()
            // Constants of shapes and axes are not worth a word.
            .filter(|(_, count)| **count * 200 >= row.parameters)
            .map(|(element, count)| {
                format!(
                    "{element} {:.1}%",
                    100.0 * *count as f64 / row.parameters.max(1) as f64
                )
            })
            .collect();
        table.add_row([
            row.role.to_owned(),
            row.file.clone(),
            megabytes(row.bytes),
            row.opset.to_string(),
            row.nodes.to_string(),
            row.parameters.to_string(),
            weights.join(", "),
            format!("{:.1}", row.macs as f64 / 1e6),
        ]);
    }
    for index in [2, 3, 4, 5, 7] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn tensors(rows: &[GraphRow]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["graph", "", "feed", "tensor", "type"]);
    for row in rows {
        for (side, wires) in [("in", &row.inputs), ("out", &row.outputs)] {
            for wire in wires {
                table.add_row([row.role, side, &wire.feed, &wire.tensor, &kind(wire)]);
            }
        }
    }
    table
}

fn kind(wire: &Wire) -> String {
    let axes: Vec<_> = wire
        .shape
        .iter()
        .map(|axis| axis.map_or_else(|| "?".to_owned(), |size| size.to_string()))
        .collect();
    format!("{}[{}]", wire.element, axes.join(", "))
}

/// Most frequent first.
pub fn ops(ops: &BTreeMap<String, usize>) -> String {
    let mut list: Vec<_> = ops.iter().collect();
    list.sort_by_key(|&(name, count)| (std::cmp::Reverse(*count), name));
    list.iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}
