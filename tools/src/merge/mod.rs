//! `wink merge`: the shards of an evaluation as one report.

mod shards;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;

use crate::eval;
use crate::out_dir::OutDir;

/// Merge the shards of an evaluation into the report of the whole run
///
/// Reads the folders that `wink eval --shard K/N --out DIR` wrote, all N of them in any order, and writes report.json,
/// report.html and episodes.parquet as the run without --shard writes them: episodes.parquet is the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shards' folders
    #[arg(value_name = "DIR", required = true)]
    shards: Vec<PathBuf>,

    /// Folder for the report; it appears when everything is in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Replace an earlier report
    #[arg(long)]
    force: bool,

    /// Print report.json instead of tables
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink eval --shard 1/2 --out out/1; wink eval --shard 2/2 --out out/2     each on a machine of its own
  wink merge out/1 out/2 --out out/all
  wink merge out/shard-* --out out/all --force --json";

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let merged = shards::read(&args.shards)?;
    let out = OutDir::create(&args.out, args.force, eval::REPORT)?;
    let no_html = merged.run.pictures.is_none();
    let report = merged.report();
    let told = eval::told(&report, args.json)?;
    eval::store(out.path(), &report, &merged.episodes, no_html)?;
    let path = out.publish()?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(told.as_bytes())?;
    if !args.json {
        writeln!(stdout, "\n{}", eval::stored(&path, no_html))?;
    }
    Ok(())
}
