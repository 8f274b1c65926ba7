//! `--sweep-latency`: schedulers and precisions against latency, on the same episodes.

pub mod plots;
mod table;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wink_runtime::control::schedule::SchedulerKind;

use super::episode::Episode;
use super::html::fill;
use super::html::markup::escape;
use super::instruction::Control;
use super::latency::{Charge, Time};
use super::motion::Jerk;
use super::policy::Choice;
use super::report::{Report, slid, stands};
use super::run::{self, Order};
use super::timing::{Late, Plan};
use super::{json, store, write};
use crate::bad_input::one_line;
use crate::out_dir::OutDir;
use crate::stats::Proportion;

/// The figures of a sweep.
pub const FILE: &str = "sweep.json";
const PAGE: &str = include_str!("report.html");

/// `0,50,100ms`: times with commas between them, of which the last one's unit goes for those without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies(pub Vec<Time>);

impl FromStr for Latencies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit: String = text
            .chars()
            .rev()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let unit: String = unit.chars().rev().collect();
        let times = text.split(',').map(str::trim).map(|part| {
            if part.ends_with(|c: char| c.is_ascii_digit()) {
                format!("{part}{unit}").parse()
            } else {
                part.parse()
            }
        });
        let times: Vec<Time> = times.collect::<Result<_, String>>()?;
        if times.is_sorted_by(|a, b| a < b) {
            Ok(Self(times))
        } else {
            Err("latencies must rise".to_owned())
        }
    }
}

/// All cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The policy's name and version.
    pub policy: String,
    /// Base seed.
    pub seed: u64,
    /// Version of the program.
    pub wink: String,
    /// Episodes of each split in each cell.
    pub episodes: usize,
    /// The splits, all of which count in a cell.
    pub splits: Vec<String>,
    /// How fast the cards slid, m/s, where they did.
    #[serde(default, skip_serializing_if = "stands")]
    pub card_speed_m_s: f64,
    /// Latency by latency, scheduler by scheduler, precision by precision.
    pub cells: Vec<Cell>,
}

/// The cells of a scheduler at a precision, latency by latency.
pub type Line<'a> = (&'a str, Option<&'a str>, Vec<&'a Cell>);

impl Sweep {
    /// Its latencies in order, microseconds.
    pub fn latencies(&self) -> Vec<u64> {
        each_once(self.cells.iter().map(|cell| cell.latency_us))
    }

    /// Its schedulers in order.
    pub fn schedulers(&self) -> Vec<&str> {
        each_once(self.cells.iter().map(|cell| &*cell.scheduler))
    }

    /// Its precisions in order; none for a policy without any.
    pub fn precisions(&self) -> Vec<&str> {
        each_once(
            self.cells
                .iter()
                .filter_map(|cell| cell.precision.as_deref()),
        )
    }

    /// Its cells, those of a scheduler at a precision together.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let own = |cell: &Cell, (scheduler, precision): (&str, Option<&str>)| {
            cell.scheduler == scheduler && cell.precision.as_deref() == precision
        };
        let names = self.cells.iter();
        let names = names.map(|cell| (&*cell.scheduler, cell.precision.as_deref()));
        let of = |line| self.cells.iter().filter(|cell| own(cell, line)).collect();
        let lines = each_once(names).into_iter();
        lines.map(|line| (line.0, line.1, of(line))).collect()
    }

    /// What the episodes of a cell were, in words.
    pub fn conditions(&self) -> String {
        format!(
            "{} episodes of each of {} in each cell, seeds from {}{}",
            self.episodes,
            self.splits.join(", "),
            self.seed,
            slid(self.card_speed_m_s)
        )
    }
}

/// Each value at its first place.
fn each_once<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

/// A scheduler at a precision and a latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Charged, microseconds.
    pub latency_us: u64,
    /// Steps that go by in it, d.
    pub delay_steps: usize,
    /// The scheduler's name.
    pub scheduler: String,
    /// The precision; `null` for a policy without any.
    pub precision: Option<String>,
    /// What came of it; `null` where the policy cannot do this.
    pub figures: Option<Figures>,
    /// Why not.
    pub not_possible: Option<String>,
}

/// What came of the episodes of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// The cube on the named card.
    pub sr: Proportion,
    /// On any card.
    pub execution: Proportion,
    /// Of those, on the named one.
    pub recognition: Proportion,
    /// Root mean square over all ticks, m/s^3.
    pub jerk_m_s3: f64,
    /// Until the end of an executed episode, seconds, the mean.
    pub finish_s: Option<f64>,
    /// Ticks without an action and late ones.
    pub late: Late,
    /// Median wall time of an inference on this machine, which is not what was charged, microseconds.
    pub policy_p50_us: u64,
}

impl Figures {
    fn of(report: &Report, done: &[Episode]) -> Self {
        let own = || {
            done.iter()
                .filter(|episode| episode.group.control == Control::None)
        };
        let count = |of: fn(&&Episode) -> bool| own().filter(of).count() as u64;
        let (n, executed) = (own().count() as u64, count(|episode| episode.executed()));
        let succeeded = count(|episode| episode.success);
        let seconds: f64 = own()
            .filter(|episode| episode.executed())
            .map(|episode| episode.seconds)
            .sum();
        Self {
            sr: Proportion::new(succeeded, n),
            execution: Proportion::new(executed, n),
            recognition: Proportion::new(succeeded, executed),
            jerk_m_s3: Jerk::of(own().map(|episode| episode.jerk)).rms,
            finish_s: (executed > 0).then(|| seconds / executed as f64),
            late: Late::sum(own().map(|episode| episode.late)),
            policy_p50_us: report.latency_us.policy.p50,
        }
    }
}

/// What to sweep.
pub struct Axes<'a> {
    pub latencies: &'a Latencies,
    pub jitter: Time,
    pub schedulers: &'a [SchedulerKind],
}

/// Runs every cell and tells of it.
pub fn run(
    order: &Order<'_>,
    axes: &Axes<'_>,
    choices: &[Choice],
    out: Option<OutDir>,
    as_json: bool,
) -> Result<()> {
    let mut cells = Vec::new();
    for &latency in &axes.latencies.0 {
        for &scheduler in axes.schedulers {
            for choice in choices {
                let plan = Plan {
                    scheduler,
                    charge: Charge::fixed(latency, axes.jitter),
                };
                let dir = out.as_ref().map(OutDir::path);
                cells.push(cell(order, &plan, latency, choice, dir)?);
            }
        }
    }
    let splits = order.groups.iter().map(|group| group.split.to_string());
    let sweep = Sweep {
        policy: choices.first().map_or_else(String::new, Choice::name),
        seed: order.seed,
        wink: env!("CARGO_PKG_VERSION").to_owned(),
        episodes: order.episodes,
        splits: splits.collect(),
        card_speed_m_s: order.card_speed.m_s(),
        cells,
    };
    let json = json::text(&sweep)?;
    let mut stdout = io::stdout().lock();
    let told = if as_json {
        json.clone()
    } else {
        table::render(&sweep)
    };
    stdout.write_all(told.as_bytes())?;
    if let Some(out) = out {
        write(out.path(), FILE, &json)?;
        write(out.path(), "report.html", &page(&sweep))?;
        let path = out.publish()?;
        if !as_json {
            writeln!(
                stdout,
                "\n{}: report.html, {FILE}, and a folder for each cell",
                path.display()
            )?;
        }
    }
    Ok(())
}

fn cell(
    order: &Order<'_>,
    plan: &Plan,
    latency: Time,
    choice: &Choice,
    out: Option<&Path>,
) -> Result<Cell> {
    let mut cell = Cell {
        latency_us: latency.us,
        delay_steps: plan.delay(choice)?,
        scheduler: plan.scheduler.name().to_owned(),
        precision: choice.precision(),
        figures: None,
        not_possible: None,
    };
    if let Err(error) = plan.check(choice) {
        cell.not_possible = Some(one_line(&error));
        return Ok(cell);
    }
    let order = Order {
        timing: plan,
        ..*order
    };
    let done = run::run(&order, choice)?;
    let report = Report::of(&order, choice.name(), choice.precision(), &done);
    if let Some(out) = out {
        let precision = cell.precision.as_deref().unwrap_or("none");
        let dir = out.join(format!("{}-{precision}-{}us", cell.scheduler, latency.us));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        store(&dir, &report, &done, true)?;
    }
    cell.figures = Some(Figures::of(&report, &done));
    Ok(cell)
}

fn page(sweep: &Sweep) -> String {
    let summary = format!("{}; wink {}", sweep.conditions(), sweep.wink);
    let parts = [
        (
            "title",
            escape(&format!("{} against latency", sweep.policy)),
        ),
        ("summary", escape(&summary)),
        ("plots", plots::all(sweep)),
        ("cells", table::html(sweep)),
    ];
    fill(PAGE, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_goes_for_all_that_have_none() {
        let ms = |list: &[u64]| {
            let times = list.iter().map(|ms| Time { us: 1_000 * ms });
            Ok(Latencies(times.collect()))
        };
        for (text, want) in [
            ("0,50,100ms", ms(&[0, 50, 100])),
            ("0, 50ms, 1s", ms(&[0, 50, 1000])),
            ("40ms", ms(&[40])),
        ] {
            assert_eq!(text.parse::<Latencies>(), want, "{text}");
        }
        for text in ["0,50", "50,0ms", "50,50ms", "", "x", "0,,5ms"] {
            assert!(text.parse::<Latencies>().is_err(), "{text}");
        }
    }
}
