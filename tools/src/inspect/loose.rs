//! An ONNX file outside a package: what it holds, and what the engine makes of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;
use wink_engine::{BareGraph, Execution, Fusion, TensorInfo, graph_info, inputs_of};

use super::table::{fused, megabytes, ops};
use crate::bad_input::as_bad_input;

/// All that is shown.
#[derive(Debug, Serialize)]
pub struct FileReport {
    file: PathBuf,
    bytes: u64,
    opset: i64,
    producer: String,
    nodes: usize,
    ops: BTreeMap<String, usize>,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    parameters: u64,
    weight_bytes: u64,
    weights: BTreeMap<String, Weights>,
    /// As the engine counts them; `None` where it was not built.
    macs: Option<u64>,
    fast_path: Option<Fusion>,
    /// Why it was not built.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_built: Option<String>,
}

/// The weights of one element type.
#[derive(Debug, Serialize)]
struct Weights {
    count: u64,
    bytes: u64,
}

/// Reads the file and builds it, unless its inputs leave open with what.
pub fn examine(file: &Path) -> Result<FileReport> {
    let info = graph_info(file).map_err(as_bad_input)?;
    let bytes = std::fs::metadata(file).map_err(as_bad_input)?.len();
    let (graph, not_built) = match inputs_of(file) {
        Ok(_) => {
            let graph = BareGraph::load(file, Execution::Fused).map_err(as_bad_input)?;
            (Some(graph), None)
        }
        Err(open) => (None, Some(open.to_string())),
    };
    let weights = info.weights.iter().map(|(element, &count)| {
        let bytes = info.weight_bytes_of.get(element).copied();
        let bytes = bytes.unwrap_or_default();
        (element.clone(), Weights { count, bytes })
    });
    Ok(FileReport {
        file: file.to_owned(),
        bytes,
        opset: info.opset,
        nodes: info.nodes(),
        parameters: info.parameters(),
        weight_bytes: info.weight_bytes,
        weights: weights.collect(),
        macs: graph.as_ref().map(BareGraph::macs),
        fast_path: graph.and_then(|graph| graph.fusion().cloned()),
        not_built,
        producer: info.producer,
        ops: info.ops,
        inputs: info.inputs,
        outputs: info.outputs,
    })
}

/// The same for a terminal.
pub fn render(report: &FileReport) -> String {
    let mut text = format!(
        "{}: {}, opset {}",
        report.file.display(),
        megabytes(report.bytes),
        report.opset
    );
    if !report.producer.is_empty() {
        let _ = write!(text, ", written by {}", report.producer.escape_debug());
    }
    if let Some(macs) = report.macs {
        let _ = write!(text, ", {:.1} MMAC", macs as f64 / 1e6);
    }
    let _ = writeln!(text, "\n{}", tensors(report));
    let weights: Vec<String> = report
        .weights
        .iter()
        .map(|(element, of)| format!("{element} {} ({})", megabytes(of.bytes), of.count))
        .collect();
    let _ = writeln!(
        text,
        "weights {}: {}",
        megabytes(report.weight_bytes),
        weights.join(", ")
    );
    let _ = writeln!(text, "{} nodes: {}", report.nodes, ops(&report.ops));
    match (&report.fast_path, &report.not_built) {
        (_, Some(reason)) => {
            let _ = writeln!(text, "not built, so what is fused is not known: {reason}");
        }
        (Some(fusion), None) => text.push_str(&fused(fusion)),
        (None, None) => {}
    }
    text
}

fn tensors(report: &FileReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["", "tensor", "type"]);
    for (side, tensors) in [("in", &report.inputs), ("out", &report.outputs)] {
        for tensor in tensors {
            let name = tensor.name.escape_debug().to_string();
            table.add_row([side, &name, &tensor.to_string()]);
        }
    }
    table
}
