//! The figures of an evaluation for a terminal.

use std::fmt::Write;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use wink_sim::outcome::Failure;

use super::report::{Report, Scores};
use crate::stats::{Percentiles, Proportion};

/// Scores, failures and latencies as three tables.
pub fn render(report: &Report) -> String {
    let precision = report
        .precision
        .as_ref()
        .map(|precision| format!(", {precision}"))
        .unwrap_or_default();
    let mut text = format!("{}{precision}: {}\n\n", report.policy, report.conditions());
    for part in [scores(report), failures(report), latencies(report)] {
        let _ = writeln!(text, "{part}\n");
    }
    if let Some(timing) = &report.timing {
        let _ = writeln!(text, "{}\n", timing.told());
    }
    if let Some(link) = &report.link {
        let _ = writeln!(text, "{link}");
    }
    if let Some(seconds) = report.emulated_episode_s {
        let _ = writeln!(
            text,
            "Emulated: an episode took {seconds:.1} s of real time on average, {} side by side. World and whole tick are the \
             emulator's time, not a board's.\n",
            report.jobs
        );
    }
    text.push_str(
        "Intervals are exact 95% (Clopper-Pearson). Recognition: of the episodes executed, the cube on the named card; chance is 33.3%.\n\
         Grounding: recognition rescaled so that chance is 0 and certainty 1.\n",
    );
    text
}

/// `97.0% [91.5, 99.4] 97/100`.
pub fn percent(rate: &Proportion) -> String {
    rate.span().map_or_else(
        || "undefined 0/0".to_owned(),
        |span| {
            let [low, value, high] = span.map(|end| 100.0 * end);
            format!("{value:.1}% [{low:.1}, {high:.1}] {}/{}", rate.k, rate.n)
        },
    )
}

/// `0.955 [0.87, 0.99] n 98`.
pub fn grounding(rate: &Proportion) -> String {
    rate.span().map_or_else(
        || "undefined n 0".to_owned(),
        |[low, value, high]| format!("{value:.3} [{low:.2}, {high:.2}] n {}", rate.n),
    )
}

/// Splits first, then controls, each with its heading.
pub fn rows(report: &Report) -> Vec<(String, &Scores)> {
    let splits = report
        .splits
        .iter()
        .map(|(key, scores)| (key.clone(), scores));
    let controls = report.controls.iter().map(|(key, scores)| {
        (
            format!("{} ({})", key.replace('_', " "), scores.split),
            scores,
        )
    });
    splits.chain(controls).collect()
}

/// Stage names and their percentiles.
pub fn stages(report: &Report) -> [(&'static str, Percentiles); 3] {
    let latency = report.latency_us;
    [
        ("policy", latency.policy),
        ("world", latency.world),
        ("whole tick", latency.tick),
    ]
}

/// How often each kind of failure occurred, in the order of [`Failure::ALL`].
pub fn failure_counts(scores: &Scores) -> [String; Failure::ALL.len()] {
    Failure::ALL.map(|kind| {
        let count = scores.failures.get(kind.name()).copied();
        count.unwrap_or(0).to_string()
    })
}

/// p50, p95, p99 and the maximum of a stage in milliseconds.
pub fn milliseconds(stage: &Percentiles) -> [String; 4] {
    [stage.p50, stage.p95, stage.p99, stage.max].map(|us| format!("{:.2}", us as f64 / 1000.0))
}

/// A kind of failure as people say it.
pub fn words(kind: Failure) -> String {
    kind.name().replace('_', " ")
}

fn scores(report: &Report) -> Table {
    let mut table = table(&["split", "SR", "execution", "recognition", "grounding"]);
    for (name, scores) in rows(report) {
        table.add_row([
            name,
            percent(&scores.sr),
            percent(&scores.execution),
            percent(&scores.recognition),
            grounding(&scores.grounding),
        ]);
    }
    table
}

fn failures(report: &Report) -> Table {
    let mut head = vec!["failures".to_owned()];
    head.extend(Failure::ALL.map(words));
    let mut table = table(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, scores) in rows(report) {
        let mut cells = vec![name];
        cells.extend(failure_counts(scores));
        table.add_row(cells);
    }
    align_right(&mut table);
    table
}

fn latencies(report: &Report) -> Table {
    let mut table = table(&["latency, ms", "p50", "p95", "p99", "max", "n"]);
    for (name, stage) in stages(report) {
        let cells = milliseconds(&stage);
        table.add_row(
            [
                vec![name.to_owned()],
                cells.to_vec(),
                vec![stage.n.to_string()],
            ]
            .concat(),
        );
    }
    align_right(&mut table);
    table
}

/// A table with a head.
pub fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(head);
    table
}

/// Numbers below each other, but for the first column.
pub fn align_right(table: &mut Table) {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
