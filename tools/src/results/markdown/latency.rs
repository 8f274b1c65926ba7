//! The page's part on latency.

use std::fmt::Write;

use super::super::latency::{Gain, Stored};
use super::super::plots::Plot;
use super::super::plots::latency::file;
use super::cells::{NONE, interval, plain, points, table};
use crate::eval::sweep::plots::QUANTITIES;
use crate::eval::sweep::{Figures, Sweep};
use crate::stats::Proportion;

/// Each sweep, with what its precisions buy; empty without sweeps.
pub fn section(all: &[Stored], plots: &[Plot]) -> String {
    let mut text = String::new();
    if all.is_empty() {
        return text;
    }
    text.push_str(
        "A chunk is there so long after its frame, on the board's clock, whatever this machine is. n/a: the chunk does not last as \
         long, or the policy cannot do this.\n",
    );
    for stored in all {
        let sweep = &stored.sweep;
        let _ = writeln!(
            text,
            "\n### {}: {}\n\n{}: {}, from `models/latency/{0}`.\n",
            stored.name,
            cards(sweep),
            plain(&sweep.policy),
            sweep.conditions(),
        );
        text += &cells(sweep);
        let own = |plot: &&Plot| {
            QUANTITIES
                .iter()
                .any(|own| plot.file == file(stored, own.name))
        };
        for plot in plots.iter().filter(own) {
            let _ = writeln!(text, "\n![{}](results/{})", plot.alt, plot.file);
        }
        text += &gains(stored);
        let _ = writeln!(text, "\nMade by `{}`.", command(sweep));
    }
    text
}

fn cards(sweep: &Sweep) -> &'static str {
    match sweep.card_speed_m_s > 0.0 {
        true => "cards that slide",
        false => "standing cards",
    }
}

/// Success with the time to finish, by scheduler and latency.
fn cells(sweep: &Sweep) -> String {
    let (lines, latencies) = (sweep.lines(), sweep.latencies());
    let latency = |us: &u64| format!("{} ms", *us as f64 / 1e3);
    let mut head = vec!["scheduler".to_owned(), "precision".to_owned()];
    head.extend(latencies.iter().map(latency));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|(scheduler, precision, cells)| {
            let mut row = vec![plain(scheduler), plain(precision.unwrap_or(NONE))];
            row.extend(latencies.iter().map(|us| {
                let cell = cells.iter().find(|cell| cell.latency_us == *us);
                let figures = cell.and_then(|cell| cell.figures);
                figures.map_or_else(|| "n/a".to_owned(), |figures| told(&figures))
            }));
            row
        })
        .collect();
    table(&head, &rows)
}

/// `**94.0%** [87.4, 97.8]`, below it execution, jerk, and the time to finish.
fn told(figures: &Figures) -> String {
    let finish = figures
        .finish_s
        .map_or_else(String::new, |s| format!(", {s:.1} s"));
    let execution = figures.execution.value.map_or(0.0, |value| 100.0 * value);
    let below = format!(
        "execution {execution:.0}%, jerk {:.0}{finish}",
        figures.jerk_m_s3
    );
    interval(
        &figures.sr,
        &below,
        |value| format!("{:.1}", 100.0 * value),
        "%",
    )
}

fn rate(rate: &Proportion) -> String {
    rate.span().map_or_else(
        || "undefined".to_owned(),
        |span| {
            let [low, value, high] = span.map(|end| 100.0 * end);
            format!("**{value:.1}%** [{low:.1}, {high:.1}]")
        },
    )
}

/// What each precision gives on a computer on which the first has one of the latencies.
fn gains(stored: &Stored) -> String {
    let mut text = String::new();
    for speed in &stored.speeds {
        let own = |gain: &&Gain| gain.precision == speed.precision;
        let rows: Vec<Vec<String>> = stored.gains.iter().filter(own).map(gain).collect();
        if rows.is_empty() {
            continue;
        }
        let (first, precision) = (plain(&speed.first), plain(&speed.precision));
        let _ = write!(
            text,
            "\nWhat {precision} buys: an inference in {first} took {:.2} times as long as in {precision} here, the median over the cells \
             above. So on a computer on which {first} takes the time of a row, {precision} takes less, and its success is that of the \
             next latency of the sweep that is not below.\n\n",
            speed.ratio
        );
        text += &table(
            &[
                "scheduler",
                &format!("{first} takes"),
                &format!("SR of {first}"),
                &format!("{precision} counted at"),
                &format!("SR of {precision}"),
                "points",
            ],
            &rows,
        );
    }
    text
}

fn gain(gain: &Gain) -> Vec<String> {
    let ms = |us: u64| format!("{} ms", us as f64 / 1e3);
    let sr = |sr: &Option<Proportion>| sr.as_ref().map_or_else(|| "n/a".to_owned(), rate);
    vec![
        plain(&gain.scheduler),
        ms(gain.first_us),
        sr(&gain.first),
        ms(gain.latency_us),
        sr(&gain.sr),
        gain.difference
            .as_ref()
            .map_or_else(|| NONE.to_owned(), points),
    ]
}

/// The command that makes such a sweep.
fn command(sweep: &Sweep) -> String {
    let ms = |us: &u64| (*us as f64 / 1e3).to_string();
    let latencies: Vec<String> = sweep.latencies().iter().map(ms).collect();
    let latencies = latencies.join(",");
    let schedulers = sweep.schedulers().join(",");
    let precisions = sweep.precisions().join(",");
    let mut text = "wink eval --policy PACKAGE".to_owned();
    if !precisions.is_empty() {
        let _ = write!(text, " --precision {precisions}");
    }
    // Either one split or all of them.
    let split = match &sweep.splits[..] {
        [one] => one,
        _ => "all",
    };
    let _ = write!(
        text,
        " --split {split} --episodes {} --seed {} --sweep-latency {latencies}ms --scheduler {schedulers}",
        sweep.episodes, sweep.seed
    );
    if sweep.card_speed_m_s > 0.0 {
        let _ = write!(text, " --moving-cards {}mm/s", 1e3 * sweep.card_speed_m_s);
    }
    text + " --out DIR"
}
