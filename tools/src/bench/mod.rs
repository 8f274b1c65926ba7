//! `wink bench`: latency of graphs in this runtime and in other engines, interleaved in one run.

mod engine;
mod onnxruntime;
mod targets;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::bad_input::bad_input;
use crate::progress;
use engine::{Engine, Kind};
use targets::Target;

/// Time a policy's graphs in this runtime and in other engines
///
/// Every engine gets the same seed-made inputs, and the engines take turns in one run, so that what disturbs the machine
/// disturbs all of them. Times are of the network alone. Plain tract runs on the calling thread: it has no rows for more.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Policy packages (their act graphs, in every precision) and ONNX files (named MODEL.PRECISION.onnx)
    #[arg(value_name = "PATH", default_value = "models/wink-s")]
    paths: Vec<PathBuf>,

    /// Engines, separated by commas; ONNX Runtime needs ORT_DYLIB_PATH
    #[arg(long, value_delimiter = ',', value_name = "ENGINE")]
    engines: Vec<Kind>,

    /// Threads, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1")]
    threads: Vec<usize>,

    /// Timed runs of each engine
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Print rows {model, precision, engine, threads, median_ms, min_ms, n} as JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink bench
  ORT_DYLIB_PATH=.../onnxruntime/capi/libonnxruntime.so.1.32.0 wink bench --threads 1,2
  wink bench vit10m.f32.onnx vit10m.int8.onnx --engines wink,tract --runs 20 --json

ONNX Runtime's shared library lies in its PyPI wheel (pip install onnxruntime). models/train/bench_models.py writes larger graphs.";

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    precision: String,
    engine: &'static str,
    threads: usize,
    median_ms: f64,
    min_ms: f64,
    n: usize,
    /// Largest difference of the first output to this runtime's.
    difference: f32,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<()> {
    if args.threads.contains(&0) {
        return Err(bad_input("--threads 0: at least one thread runs"));
    }
    let kinds = match &*args.engines {
        [] if onnxruntime::available() => Kind::ALL.to_vec(),
        [] => vec![Kind::Wink, Kind::Tract],
        chosen => chosen.to_vec(),
    };
    let targets = targets::of(&args.paths)?;
    let mut rows = Vec::new();
    let bar = progress::bar(targets.len() as u64, "timing");
    for target in &targets {
        rows.extend(time(target, &kinds, &args.threads, args.runs)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &rows)?;
        writeln!(stdout)?;
    } else {
        writeln!(stdout, "{}", table(&rows))?;
    }
    stdout.flush()?;
    Ok(())
}

fn time(target: &Target, kinds: &[Kind], threads: &[usize], runs: u32) -> Result<Vec<Row>> {
    let mut engines: Vec<Box<dyn Engine>> = Vec::new();
    for &kind in kinds {
        for &threads in threads {
            engines.extend(engine::load(kind, &target.file, threads)?);
        }
    }
    // The first run of each allocates.
    let mut outputs = Vec::new();
    for engine in &mut engines {
        outputs.push(engine.run()?);
    }
    let mut times = vec![Vec::new(); engines.len()];
    for _ in 0..runs {
        for (engine, times) in engines.iter_mut().zip(&mut times) {
            let clock = Instant::now();
            engine.run()?;
            times.push(clock.elapsed().as_secs_f64() * 1e3);
        }
    }
    let rows = engines
        .iter()
        .zip(times)
        .zip(&outputs)
        .map(|((engine, mut times), output)| {
            times.sort_by(f64::total_cmp);
            let differences = output.iter().zip(&outputs[0]).map(|(a, b)| (a - b).abs());
            Row {
                model: target.model.clone(),
                precision: target.precision.clone(),
                engine: engine.name(),
                threads: engine.threads(),
                median_ms: times[times.len() / 2],
                min_ms: times[0],
                n: times.len(),
                difference: differences.fold(0.0, f32::max),
            }
        });
    Ok(rows.collect())
}

/// Times, and how often longer than this runtime's single thread each took.
fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "model",
        "precision",
        "engine",
        "threads",
        "median ms",
        "min ms",
        "x median",
        "x min",
        "n",
        "difference",
    ]);
    let key = |row: &Row| (row.model.clone(), row.precision.clone());
    let own: BTreeMap<_, _> = rows
        .iter()
        .filter(|row| row.engine == Kind::Wink.name() && row.threads == 1)
        .map(|row| (key(row), (row.median_ms, row.min_ms)))
        .collect();
    for row in rows {
        let base = own.get(&key(row));
        let ratio = |of: f64, pick: fn(&(f64, f64)) -> f64| {
            base.map_or_else(String::new, |base| format!("{:.2}", of / pick(base)))
        };
        table.add_row([
            row.model.clone(),
            row.precision.clone(),
            row.engine.to_owned(),
            row.threads.to_string(),
            format!("{:.2}", row.median_ms),
            format!("{:.2}", row.min_ms),
            ratio(row.median_ms, |base| base.0),
            ratio(row.min_ms, |base| base.1),
            row.n.to_string(),
            format!("{:.1e}", row.difference),
        ]);
    }
    for index in 3..10 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
