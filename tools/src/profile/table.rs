//! A profile for a terminal.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use wink_runtime::policy::OpInfo;

use super::names::short;
use super::report::{Graph, Load, Memory, OpRow, Profile};
use super::ticks::RealTime;
use crate::stats::Spread;

const MAX_NAME: usize = 48;
const MAX_SIZES: usize = 36;

/// Head, load, stages, and of each graph its kinds of ops and the `top` that take longest.
pub fn render(profile: &Profile, top: usize) -> String {
    let mut text = head(profile);
    let _ = writeln!(
        text,
        "\n{}\n{}",
        loads(&profile.load_ms),
        memory(&profile.memory)
    );
    let _ = writeln!(text, "\n{}", stages(profile));
    if let Some(real_time) = &profile.real_time {
        let _ = writeln!(text, "\n{}", ticks(real_time));
    }
    for graph in &profile.graphs {
        let _ = writeln!(text, "\n{}", about(graph));
        let _ = writeln!(text, "{}\n{}", kinds(graph), ops(graph, top));
    }
    text.push_str(
        "\nMFLOP counts two operations for each multiply-accumulate; kB is all that an op reads and writes, weights included.\n",
    );
    text
}

/// What was profiled, where and how often.
pub fn head(profile: &Profile) -> String {
    let threads = match profile.threads {
        1 => "1 thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    format!(
        "{}, {threads}\n{}\n{} inferences on frames of the simulated board after {} to warm up, each once as ever, for the stages, \
         and once with every op timed\n",
        profile.title(),
        profile.machine,
        profile.runs,
        profile.warmup
    )
}

fn loads(load: &Load) -> Table {
    let mut table = table(
        &["load, ms", "read", "parse", "rewrite", "optimise", "sum"],
        1,
    );
    let only_sum = |name: &str, ms: f64| {
        let mut row = vec![name.to_owned()];
        row.extend(vec![String::new(); 4]);
        row.push(format!("{ms:.1}"));
        row
    };
    table.add_row(only_sum("sizes and hashes", load.check));
    for (role, times) in &load.graphs {
        let parts = [times.read, times.parse, times.rewrite, times.optimise];
        let mut row = vec![format!("{role} graph")];
        row.extend(parts.map(|ms| format!("{ms:.1}")));
        row.push(format!("{:.1}", parts.iter().sum::<f64>()));
        table.add_row(row);
    }
    table.add_row(only_sum("tokenizer and rest", load.rest));
    table.add_row(only_sum("until it can run", load.total));
    if let Some(ms) = load.first_text {
        table.add_row(only_sum("first text", ms));
    }
    table.add_row(only_sum("first inference", load.first_inference));
    table
}

fn memory(memory: &Memory) -> String {
    format!(
        "memory: {} for the policy; at most {} while loading, {} in all with the simulator",
        megabytes(memory.policy_bytes),
        megabytes(memory.peak_load_bytes),
        megabytes(memory.peak_bytes)
    )
}

fn stages(profile: &Profile) -> Table {
    let mut table = table(
        &["stage, ms", "of", "min", "p50", "p90", "p99", "max", "n"],
        2,
    );
    for stage in &profile.stages {
        let mut row = vec![stage.stage.clone(), stage.of.clone()];
        row.extend(milliseconds(&stage.us));
        row.push(stage.us.n.to_string());
        table.add_row(row);
    }
    table
}

/// How punctual the loop was in real time.
pub fn ticks(real_time: &RealTime) -> String {
    let RealTime {
        hz,
        ticks,
        jitter_us,
        work_us,
        late,
    } = real_time;
    let head = [
        "in real time, ms",
        "of",
        "min",
        "p50",
        "p90",
        "p99",
        "max",
        "n",
    ];
    let mut table = table(&head, 2);
    for (name, us) in [
        ("from due time to beginning of a tick", jitter_us),
        ("work in a tick, rendering included", work_us),
    ] {
        let mut row = vec![name.to_owned(), "runtime".to_owned()];
        row.extend(milliseconds(us));
        row.push(us.n.to_string());
        table.add_row(row);
    }
    format!(
        "{table}\n{ticks} ticks at {hz} Hz, synchronous: {} without an action because inference ran, {} late by the camera, {} by the \
         link",
        late.policy, late.camera, late.link
    )
}

fn milliseconds(us: &Spread) -> [String; 5] {
    [us.min, us.p50, us.p90, us.p99, us.max].map(|us| format!("{:.3}", us / 1e3))
}

/// How the sum of the ops compares with the whole, and what timing them costs.
fn about(graph: &Graph) -> String {
    let whole = match graph.role.as_str() {
        "text" => "text encoding with its tokenizer",
        _ => "inference",
    };
    let cost = 100.0 * (graph.timed_us.p50 / graph.us.p50 - 1.0);
    format!(
        "{} graph {}: {} ops, {:.1} MFLOP, {:.1} GOP/s\nmedians: {whole} {:.3} ms; with every op timed {:.3} ms ({cost:+.1}%), of which the \
         ops {:.3} ms",
        graph.role,
        graph.file,
        graph.ops.len(),
        megaflops(graph.macs),
        graph.gops,
        graph.us.p50 / 1e3,
        graph.timed_us.p50 / 1e3,
        graph.ops_us.p50 / 1e3,
    )
}

fn kinds(graph: &Graph) -> Table {
    let head = [
        "kind of op",
        "fused",
        "count",
        "us",
        "share",
        "MFLOP",
        "GOP/s",
        "kB",
    ];
    let mut table = table(&head, 2);
    for kind in &graph.kinds {
        table.add_row([
            kind.op.clone(),
            yes(kind.fused),
            kind.count.to_string(),
            format!("{:.1}", kind.us),
            percent(kind.share),
            flops(kind.macs),
            rate(kind.macs, kind.gops),
            kilobytes(kind.bytes),
        ]);
    }
    table
}

fn ops(graph: &Graph, top: usize) -> Table {
    let head = [
        "node", "op", "kernel", "sizes", "output", "fused", "min us", "p50", "p90", "p99", "max",
        "share", "MFLOP", "GOP/s", "kB",
    ];
    let mut table = table(&head, 6);
    let (shown, rest) = graph.ops.split_at(top.min(graph.ops.len()));
    for row in shown {
        table.add_row(op(row));
    }
    if !rest.is_empty() {
        let sum = |of: fn(&OpRow) -> f64| rest.iter().map(of).sum::<f64>();
        let mut cells = vec![String::new(); head.len()];
        cells[0] = format!("{} more", rest.len());
        cells[7] = format!("{:.1}", sum(|row| row.us.p50));
        cells[11] = percent(sum(|row| row.share));
        cells[12] = flops(rest.iter().map(|row| row.info.macs).sum());
        cells[14] = kilobytes(rest.iter().map(OpRow::bytes).sum());
        table.add_row(cells);
    }
    table
}

fn op(row: &OpRow) -> Vec<String> {
    let info = &row.info;
    let us = &row.us;
    let mut cells = vec![
        short(&info.node, MAX_NAME),
        info.op.clone(),
        info.kernel.clone(),
        start_of(&info.sizes, MAX_SIZES),
        info.output.clone(),
        manner(info),
    ];
    cells.extend([us.min, us.p50, us.p90, us.p99, us.max].map(|us| format!("{us:.1}")));
    cells.extend([
        percent(row.share),
        flops(info.macs),
        rate(info.macs, row.gops),
        kilobytes(row.bytes()),
    ]);
    cells
}

/// A table whose columns from `right` on are numbers.
pub fn table(head: &[&str], right: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(head);
    for column in table.column_iter_mut().skip(right) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} MB", bytes as f64 / 1e6),
    )
}

pub fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn start_of(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let start: String = text.chars().take(max - 2).collect();
    format!("{start}..")
}

/// Whether an op is fused, and whether it runs once an episode only.
fn manner(info: &OpInfo) -> String {
    match (info.fused, info.once) {
        (true, true) => "yes, once".to_owned(),
        (false, true) => "once".to_owned(),
        (fused, false) => yes(fused),
    }
}

fn yes(fused: bool) -> String {
    if fused { "yes" } else { "" }.to_owned()
}

fn megaflops(macs: u64) -> f64 {
    2.0 * macs as f64 / 1e6
}

/// Blank where the engine counts nothing.
fn flops(macs: u64) -> String {
    if macs == 0 {
        return String::new();
    }
    format!("{:.2}", megaflops(macs))
}

fn rate(macs: u64, gops: f64) -> String {
    if macs == 0 {
        return String::new();
    }
    format!("{gops:.1}")
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e3)
}
