//! `--compare`: two policies, precisions, engines or builds side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use wink_runtime::policy::{Execution, Threads};

use super::names::{block, end_of};
use super::report::{Graph, OpRow, Profile};
use super::subject::Source;
use super::table::{head, percent, table, ticks};
use crate::bad_input::{as_bad_input, bad_input};
use crate::stats::Spread;

const FLAG: &str = "--compare";
const PLAIN: &str = ":plain";
const MAX_NAME: usize = 48;

/// What a profile is compared with.
pub enum Other {
    /// An earlier one, perhaps of another build or machine.
    Saved(Box<Profile>),
    /// A package that is profiled in turns with the first.
    Package(Source),
}

/// Reads `FILE.json` or `[DIR][:PRECISION][:plain]`; without DIR it is the package `dir`.
pub fn parse(text: &str, dir: &str) -> Result<Other> {
    if Path::new(text).is_file() || text.ends_with(".json") {
        return saved(text).map(|profile| Other::Saved(Box::new(profile)));
    }
    Ok(Other::Package(package(text, dir)))
}

fn package(text: &str, dir: &str) -> Source {
    let (rest, execution) = match text.strip_suffix(PLAIN) {
        Some(rest) => (rest, Execution::Plain),
        None => (text, Execution::Fused),
    };
    let (other, precision) = match rest.rsplit_once(':') {
        Some((other, precision)) if !Path::new(rest).is_dir() => (other, Some(precision)),
        _ => (rest, None),
    };
    Source {
        flag: FLAG,
        dir: if other.is_empty() { dir } else { other }.to_owned(),
        precision: precision.map(str::to_owned),
        execution,
    }
}

fn saved(file: &str) -> Result<Profile> {
    let told = || format!("{FLAG} {file}");
    let bytes = fs::read(file).with_context(told).map_err(as_bad_input)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| bad_input(format!("{}: no profile of --json: {error}", told())))
}

/// Load times and memory are those of a process that holds nothing else: each package gets one of its own.
pub fn alone(source: &Source, seed: u64, threads: Threads) -> Result<Profile> {
    let mut command = Command::new(env::current_exe()?);
    command.args([
        "profile",
        "--runs",
        "1",
        "--warmup",
        "1",
        "--real-time",
        "0",
        "--json",
        "--policy",
    ]);
    command.arg(&source.dir).args(["--seed", &seed.to_string()]);
    command.args(["--threads", &threads.count.to_string()]);
    if let Some(precision) = &source.precision {
        command.args(["--precision", precision]);
    }
    if source.execution == Execution::Plain {
        command.arg("--plain");
    }
    let output = command
        .output()
        .context("profiling in a process of its own")?;
    if !output.status.success() {
        bail!(
            "profiling {} in a process of its own: {}",
            source.dir,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Both heads, then loading, memory, stages, kinds of ops and the `top` blocks, each with the second's part of the first.
pub fn render(first: &Profile, second: &Profile, top: usize) -> String {
    let mut text = format!("A: {}\nB: {}\n", head(first), head(second));
    let _ = writeln!(
        text,
        "{}\n\n{}",
        whole(first, second),
        stages(first, second)
    );
    for (name, profile) in [("A", first), ("B", second)] {
        if let Some(real_time) = &profile.real_time {
            let _ = writeln!(text, "\n{name}\n{}", ticks(real_time));
        }
    }
    for a in &first.graphs {
        let Some(b) = second.graphs.iter().find(|graph| graph.role == a.role) else {
            continue;
        };
        let _ = writeln!(
            text,
            "\n{} graph: A {}, {:.1} GOP/s; B {}, {:.1} GOP/s\n{}\n{}",
            a.role,
            a.file,
            a.gops,
            b.file,
            b.gops,
            kinds(a, b),
            blocks(a, b, top)
        );
    }
    text.push_str("\nB/A: below 1, B takes less.\n");
    text
}

/// Loading and memory.
fn whole(first: &Profile, second: &Profile) -> Table {
    let mut table = table(&["", "A", "B", "B/A"], 1);
    let mut row = |name: &str, of: &dyn Fn(&Profile) -> Option<f64>| {
        let (a, b) = (of(first), of(second));
        table.add_row([name.to_owned(), number(a), number(b), ratio(a, b)]);
    };
    let mb = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / 1e6);
    row("until it can run, ms", &|p| Some(p.load_ms.total));
    row("first text, ms", &|p| p.load_ms.first_text);
    row("first inference, ms", &|p| Some(p.load_ms.first_inference));
    row("memory of the policy, MB", &|p| mb(p.memory.policy_bytes));
    row("most while loading, MB", &|p| mb(p.memory.peak_load_bytes));
    row("most in all, MB", &|p| mb(p.memory.peak_bytes));
    table
}

fn stages(first: &Profile, second: &Profile) -> Table {
    let head = [
        "stage, ms",
        "of",
        "A p50",
        "B p50",
        "B/A",
        "A p99",
        "B p99",
        "B/A",
    ];
    let mut table = table(&head, 2);
    for a in &first.stages {
        let Some(b) = second.stages.iter().find(|stage| stage.stage == a.stage) else {
            continue;
        };
        let mut row = vec![a.stage.clone(), a.of.clone()];
        for of in [|us: &Spread| us.p50, |us: &Spread| us.p99] {
            let (a, b) = (of(&a.us), of(&b.us));
            row.extend([a, b].map(|us| format!("{:.3}", us / 1e3)));
            row.push(ratio(Some(a), Some(b)));
        }
        table.add_row(row);
    }
    table
}

/// Ops of the same kind.
fn kinds(a: &Graph, b: &Graph) -> Table {
    let sums = |graph: &Graph| sum_by(graph, |op| op.info.op.clone());
    side_by_side("kind of op", sums(a), sums(b), usize::MAX)
}

/// Ops of the same block, whatever they are called in the one and in the other.
fn blocks(a: &Graph, b: &Graph, top: usize) -> Table {
    let sums = |graph: &Graph| sum_by(graph, |op| block(&op.info.node));
    side_by_side("block", sums(a), sums(b), top)
}

/// How many ops there are and how long they take together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: usize,
    us: f64,
    share: f64,
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.us += other.us;
        self.share += other.share;
    }
}

fn sum_by(graph: &Graph, key: impl Fn(&OpRow) -> String) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for op in &graph.ops {
        sums.entry(key(op)).or_default().add(&Sum {
            count: 1,
            us: op.us.p50,
            share: op.share,
        });
    }
    sums
}

/// The `top` that take longest in the one or the other, the rest summed up.
fn side_by_side(
    what: &str,
    a: BTreeMap<String, Sum>,
    b: BTreeMap<String, Sum>,
    top: usize,
) -> Table {
    let head = [
        what, "A count", "B count", "A us", "B us", "B/A", "A share", "B share",
    ];
    let mut table = table(&head, 1);
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let of = |sums: &BTreeMap<String, Sum>, name| sums.get(name).copied().unwrap_or_default();
    let mut rows: Vec<(String, [Sum; 2])> = names
        .into_iter()
        .map(|name| (end_of(name, MAX_NAME), [of(&a, name), of(&b, name)]))
        .collect();
    let longest = |[a, b]: &[Sum; 2]| a.us.max(b.us);
    rows.sort_by(|x, y| longest(&y.1).total_cmp(&longest(&x.1)));
    let rest = rows.split_off(top.min(rows.len()));
    if !rest.is_empty() {
        let mut sums = [Sum::default(); 2];
        for (_, parts) in &rest {
            sums[0].add(&parts[0]);
            sums[1].add(&parts[1]);
        }
        rows.push((format!("{} more", rest.len()), sums));
    }
    for (name, sums) in rows {
        let there = |sum: &Sum, text: String| if sum.count == 0 { String::new() } else { text };
        let us = sums.map(|sum| (sum.count > 0).then_some(sum.us));
        let mut row = vec![name];
        row.extend(sums.map(|sum| there(&sum, sum.count.to_string())));
        row.extend(us.map(number));
        row.push(ratio(us[0], us[1]));
        row.extend(sums.map(|sum| there(&sum, percent(sum.share))));
        table.add_row(row);
    }
    table
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.1}"))
}

fn ratio(a: Option<f64>, b: Option<f64>) -> String {
    match (a, b) {
        (Some(a), Some(b)) if a > 0.0 => format!("{:.2}", b / a),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_with_its_precision_and_engine() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().display().to_string();
        for (text, other, precision, execution) in [
            (dir.clone(), dir.as_str(), None, Execution::Fused),
            (format!("{dir}:f32"), &dir, Some("f32"), Execution::Fused),
            (format!("{dir}:plain"), &dir, None, Execution::Plain),
            (
                format!("{dir}:int8:plain"),
                &dir,
                Some("int8"),
                Execution::Plain,
            ),
            (":f32".to_owned(), "own", Some("f32"), Execution::Fused),
            (":plain".to_owned(), "own", None, Execution::Plain),
        ] {
            let expected = Source {
                flag: FLAG,
                dir: other.to_owned(),
                precision: precision.map(str::to_owned),
                execution,
            };
            assert_eq!(package(&text, "own"), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_profile_is_bad_input() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.json");
        let text = file.display().to_string();
        for content in [None, Some("{}"), Some("[1, 2")] {
            if let Some(content) = content {
                fs::write(&file, content).expect("a file");
            }
            let error = parse(&text, "own").err().expect("refused");
            assert_eq!(crate::bad_input::exit_code(&error), 2);
        }
    }
}
