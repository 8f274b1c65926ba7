//! `wink results`: the page that compares all ways, from stored reports alone.

mod alike;
mod episodes;
pub mod files;
mod findings;
mod latency;
mod markdown;
mod paired;
mod plots;
mod precisions;
mod probes;
mod rates;
mod tables;
mod training;
mod tree;
mod ways;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use tables::Tables;
use ways::Plan;

/// Splits and controls, in the order in which they are shown.
const SPLITS: [&str; 3] = ["val", "train", "id"];
const CONTROLS: [&str; 3] = ["other_label", "nonsense", "paraphrase"];
const GROUPS: [&str; 6] = [
    "val",
    "train",
    "id",
    "other_label",
    "nonsense",
    "paraphrase",
];

/// Compare ways to make a policy: rebuild models/RESULTS.md and its plots from stored reports
///
/// Reads REPORTS/WAY/seed-K/ with report.json and episodes.parquet as `wink eval --no-html --out` writes them, and, where they
/// are there, train.json (what the training took) and probe.json (what can be read off the VLM's features). REPORTS/ways.toml
/// names the ways in order, the baseline, the main rows and the findings to test. Beside REPORTS, precisions/VARIANT/ may hold
/// one policy in several precisions, with report.json and episodes.parquet, and quantize.json as `wink quantize` writes it;
/// precisions/precisions.toml names the variants in order, the baseline, naive and action-aware pairs, and goals; and
/// latency/NAME/sweep.json what `wink eval --sweep-latency --out` wrote. The same reports give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the stored reports
    #[arg(long, value_name = "DIR", default_value = "models/reports")]
    reports: PathBuf,

    /// The page; its plots go to the folder `results` beside it
    #[arg(long, value_name = "FILE", default_value = "models/RESULTS.md")]
    out: PathBuf,

    /// Write nothing; exit code 1 where the page or a plot is not what the reports give
    #[arg(long)]
    check: bool,

    /// Print the tables as JSON and write nothing
    #[arg(long, conflicts_with = "check")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink results                     models/RESULTS.md and models/results/*.svg from models/reports
  wink results --check             are they what the reports give?
  wink results --json | jq '.ways[] | {way, recognition: .rates.val.recognition.value}'
  wink eval --policy out/lora-0 --no-html --out models/reports/lora/seed-0   one more report
  wink eval --policy out/q --precision f32,int8,w4 --no-html --out out/p   folders for models/precisions
  wink eval --sweep-latency 0,100ms --precision f32,int8 --out out/s       its sweep.json for models/latency/NAME";

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let plan = Plan::read(&args.reports)?;
    let ways = tree::read(&args.reports, &plan)?;
    let precisions = precisions::read(&args.reports)?;
    let latency = latency::read(&args.reports)?;
    let tables = Tables::of(&plan, &ways, precisions, latency);
    let mut stdout = io::stdout().lock();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&tables)?)?;
        return Ok(());
    }

    let plots = plots::all(&tables);
    let folder = args.out.with_file_name("results");
    let mut files: Vec<(PathBuf, String)> = plots
        .iter()
        .map(|plot| (folder.join(&plot.file), plot.svg.clone()))
        .collect();
    files.push((args.out.clone(), markdown::page(&tables, &plots)));
    if args.check {
        return check(&files);
    }
    for (path, text) in &files {
        write(path, text).with_context(|| format!("writing {}", path.display()))?;
        writeln!(stdout, "{}", path.display())?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

fn check(files: &[(PathBuf, String)]) -> Result<()> {
    let stale: Vec<String> = files
        .iter()
        .filter(|(path, text)| fs::read(path).map_or(true, |found| found != text.as_bytes()))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !stale.is_empty() {
        bail!(
            "{}: not what the reports give; `wink results` writes it again",
            stale.join(", ")
        );
    }
    Ok(())
}
