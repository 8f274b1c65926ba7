//! The content of a package for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use wink_runtime::policy::Fusion;
use wink_runtime::policy::manifest::Manifest;

use super::{Check, GraphRow, Report, Wire};

/// What the policy is, then each precision's graphs, tensors and operators.
pub fn render(report: &Report) -> String {
    let mut text = summary(&report.manifest);
    text.push_str(&wired(&report.wiring));
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
        match &precision.check {
            Some(check) => {
                let word = if check.passed { "passed" } else { "FAILED" };
                let reference = &check.golden.reference;
                let _ = writeln!(text, "golden values of {reference}: {word}");
                let _ = writeln!(text, "{}", golden(check));
            }
            None => text.push_str("no golden values\n"),
        }
    }
    text
}

/// How far each golden value is off.
fn golden(check: &Check) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "value",
        "numbers",
        "largest difference",
        "rms",
        "passes",
        "",
    ]);
    for row in &check.golden.values {
        table.add_row([
            row.value.clone(),
            row.count.to_string(),
            format!("{:.1e}", row.max_error),
            format!("{:.1e}", row.rms_error),
            format!("{:.0e}", row.tolerance),
            if row.passed() { "" } else { "OFF" }.to_owned(),
        ]);
    }
    for index in 1..5 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
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

/// From camera to joint.
pub fn wired(wires: &[super::wiring::Wire]) -> String {
    let mut text = String::from("\nwiring\n");
    for wire in wires {
        let _ = writeln!(text, "{}", wire.from);
        for step in &wire.through {
            let _ = writeln!(text, "    {step}");
        }
        let _ = writeln!(text, "  -> {}", wire.to);
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
        "stage",
        "runs",
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
            row.stage.clone(),
            match row.steps {
                1 => format!("per {}", row.run),
                steps => format!("{steps} per observation"),
            },
            row.file.clone(),
            megabytes(row.bytes),
            row.opset.to_string(),
            row.nodes.to_string(),
            row.parameters.to_string(),
            weights.join(", "),
            format!("{:.1}", row.macs as f64 / 1e6),
        ]);
    }
    for index in [3, 4, 5, 6, 8] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn tensors(rows: &[GraphRow]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["stage", "", "value", "tensor", "type"]);
    for row in rows {
        for (side, wires) in [("in", &row.inputs), ("out", &row.outputs)] {
            for wire in wires {
                table.add_row([
                    row.stage.as_str(),
                    side,
                    &wire.value,
                    &wire.tensor,
                    &kind(wire),
                ]);
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
