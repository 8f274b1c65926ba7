//! `wink bench`: latency of graphs in this runtime and in other engines, interleaved in one run.

mod difference;
mod engine;
mod fed;
mod footprint;
mod onnxruntime;
mod rten;
mod targets;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use wink_engine::{SeededInput, inputs_of};

use crate::bad_input::{as_bad_input, bad_input, exit_code};
use crate::progress;
use crate::values::npz::Named;
use difference::{Verdict, compare};
use engine::{Engine, Kind};
use targets::Target;

/// Time a policy's graphs in this runtime and in other engines
///
/// Every engine gets the same inputs (made from a seed, or those of --inputs), and the engines take turns in one run, so that what disturbs the machine
/// disturbs all of them. A turn is two runs, of which the second is timed: it finds its weights in the caches and no other
/// engine's threads spinning. Times are of the network alone. Plain tract runs on the calling thread: it has no rows for more.
///
/// "load" is from the file to being able to run, the median of three loads. "peak" is the most memory that loading and one run
/// held, in a process with nothing else in it; only Linux tells. "difference" is the largest one of all outputs, of whatever type,
/// to those of the first engine that runs the graph.
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

    /// Inputs by name, as numpy.savez writes them, instead of ones made from a seed; they fix open axes, too. For one ONNX file
    #[arg(long, value_name = "IN.npz")]
    inputs: Option<PathBuf>,

    /// Timed runs of each engine
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Print rows {model, precision, engine, threads, median_ms, min_ms, n, load_ms, peak_bytes, difference,
    /// output, compared} as JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Load one graph in one engine for inputs from stdin, run it once and print the memory that took
    #[arg(long, hide = true)]
    footprint: bool,
}

const EXAMPLES: &str = "\
Examples:
  wink bench
  ORT_DYLIB_PATH=.../onnxruntime/capi/libonnxruntime.so.1.32.0 wink bench --threads 1,2
  wink bench step.onnx --inputs in.npz --engines wink,rten
  wink bench vla10m.f32.onnx vla10m.int8.onnx --engines wink,rten --threads 1,2 --runs 20 --json

Without VNNI, ONNX Runtime's products of 8 bits saturate by default; onnxruntime-exact has it multiply exactly.
ONNX Runtime's shared library lies in its PyPI wheel (pip install onnxruntime). models/train/bench_models.py
writes larger graphs.";

/// Loads of each engine that are timed: the first one may wait for the disk.
const LOADS: usize = 3;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    precision: String,
    engine: &'static str,
    threads: usize,
    median_ms: Option<f64>,
    min_ms: Option<f64>,
    n: usize,
    load_ms: Option<f64>,
    /// Most bytes that loading and a run held; where the system tells.
    peak_bytes: Option<u64>,
    /// Largest difference of any output to that of the first engine that ran; "inf" where one value is not finite and the other
    /// differs, "unlike" where types, shapes or names do. None where nothing was compared.
    difference: Option<serde_json::Value>,
    /// The output that differs most.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// Number of values that were compared.
    compared: usize,
    /// The difference for people.
    #[serde(skip)]
    shown: String,
    /// Why the engine did not run the graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<()> {
    if args.threads.contains(&0) {
        return Err(bad_input("--threads 0: at least one thread runs"));
    }
    let kinds = match &*args.engines {
        [] if onnxruntime::available() => Kind::ALL.to_vec(),
        [] => vec![Kind::Wink, Kind::Tract, Kind::Rten],
        chosen => chosen.to_vec(),
    };
    let targets = targets::of(&args.paths)?;
    if args.inputs.is_some() && targets.len() != 1 {
        return Err(bad_input("--inputs: for one ONNX file"));
    }
    if args.footprint {
        return footprint::print(&targets, &kinds, &args.threads);
    }
    let mut rows = Vec::new();
    let bar = progress::bar(targets.len() as u64, "timing");
    for target in &targets {
        rows.extend(time(target, &kinds, args)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut stdout = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &rows)?;
        writeln!(stdout)?;
    } else {
        writeln!(stdout, "{}", table(&rows))?;
        for row in &rows {
            if let Some(reason) = &row.refused {
                let Row {
                    model,
                    precision,
                    engine,
                    ..
                } = row;
                writeln!(stdout, "{engine} refuses {model} {precision}: {reason}")?;
            }
        }
        if rows.iter().all(|row| row.compared == 0) {
            writeln!(stdout, "nothing compared: no values of two engines")?;
        }
    }
    stdout.flush()?;
    Ok(())
}

/// An engine with a graph, and what came of it.
struct Contender {
    kind: Kind,
    threads: usize,
    engine: Result<Box<dyn Engine>, String>,
    outputs: Vec<Named>,
    load_ms: Vec<f64>,
    peak_bytes: Option<u64>,
    times_ms: Vec<f64>,
}

impl Contender {
    /// Loads the graph and runs it once, since the first run allocates; `None` where the engine cannot use that many threads.
    fn new(
        kind: Kind,
        target: &Target,
        inputs: &[SeededInput],
        threads: usize,
    ) -> Result<Option<Self>> {
        let mut contender = Self {
            kind,
            threads,
            engine: Err(String::new()),
            outputs: Vec::new(),
            load_ms: Vec::new(),
            peak_bytes: None,
            times_ms: Vec::new(),
        };
        match contender.load(target, inputs) {
            Ok(None) => return Ok(None),
            Ok(Some(engine)) => {
                contender.engine = Ok(engine);
                contender.peak_bytes = footprint::measure(kind, &target.file, inputs, threads);
            }
            // What the user can put right is no refusal of the engine's.
            Err(error) if exit_code(&error) == 2 => return Err(error),
            Err(error) => contender.engine = Err(format!("{error:#}")),
        }
        Ok(Some(contender))
    }

    /// Loads the graph several times, the last one to stay.
    fn load(&mut self, target: &Target, inputs: &[SeededInput]) -> Result<Option<Box<dyn Engine>>> {
        let mut loaded = None;
        for _ in 0..LOADS {
            // Never two at a time.
            drop(loaded.take());
            let Some(engine) = engine::load(self.kind, &target.file, inputs, self.threads)? else {
                return Ok(None);
            };
            self.load_ms.push(engine.load_time().as_secs_f64() * 1e3);
            loaded = Some(engine);
        }
        if let Some(engine) = &mut loaded {
            self.outputs = engine.outputs()?;
        }
        Ok(loaded)
    }

    fn run(&mut self) -> Result<()> {
        if let Ok(engine) = &mut self.engine {
            // Untimed: it fetches the weights that the others have driven from the caches, and outlasts their spinning threads.
            engine.run()?;
            let clock = Instant::now();
            engine.run()?;
            self.times_ms.push(clock.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }

    /// `first` are the outputs of the first engine that ran, where this is another.
    fn row(mut self, target: &Target, first: Option<&[Named]>) -> Row {
        self.times_ms.sort_by(f64::total_cmp);
        self.load_ms.sort_by(f64::total_cmp);
        let verdict = match (&self.engine, first) {
            (Ok(_), Some(first)) => compare(self.kind, &self.outputs, first),
            (Ok(_), None) => Verdict::first(),
            (Err(_), _) => Verdict::refused(),
        };
        Row {
            model: target.model.clone(),
            precision: target.precision.clone(),
            engine: self.kind.name(),
            threads: self.threads,
            median_ms: self.times_ms.get(self.times_ms.len() / 2).copied(),
            min_ms: self.times_ms.first().copied(),
            n: self.times_ms.len(),
            load_ms: self.load_ms.get(self.load_ms.len() / 2).copied(),
            peak_bytes: self.peak_bytes,
            difference: verdict.difference,
            output: verdict.output,
            compared: verdict.compared,
            shown: verdict.shown,
            refused: self.engine.err(),
        }
    }
}

fn time(target: &Target, kinds: &[Kind], args: &Args) -> Result<Vec<Row>> {
    let inputs = match &args.inputs {
        Some(path) => fed::read(path, &target.file)?,
        None => inputs_of(&target.file).map_err(as_bad_input)?,
    };
    let mut contenders = Vec::new();
    for &kind in kinds {
        for &threads in &args.threads {
            contenders.extend(Contender::new(kind, target, &inputs, threads)?);
        }
    }
    for _ in 0..args.runs {
        for contender in &mut contenders {
            contender.run()?;
        }
    }
    let ran = contenders.iter().position(|c| c.engine.is_ok());
    let Some(ran) = ran else {
        let reasons = contenders
            .into_iter()
            .filter_map(|c| Some(format!("{}: {}", c.kind.name(), c.engine.err()?)));
        let reasons: Vec<String> = reasons.collect();
        return Err(bad_input(format!(
            "{}: no engine runs it: {}",
            target.file.display(),
            reasons.join("; ")
        )));
    };
    let first = contenders[ran].outputs.clone();
    let rows = contenders.into_iter().enumerate();
    let rows = rows.map(|(place, c)| c.row(target, (place != ran).then_some(&*first)));
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
        "load ms",
        "peak MB",
        "difference",
    ]);
    let key = |row: &Row| (row.model.clone(), row.precision.clone());
    let own: BTreeMap<_, _> = rows
        .iter()
        .filter(|row| row.engine == Kind::Wink.name() && row.threads == 1)
        .filter_map(|row| Some((key(row), (row.median_ms?, row.min_ms?))))
        .collect();
    for row in rows {
        let base = own.get(&key(row));
        let ratio = |of: Option<f64>, pick: fn(&(f64, f64)) -> f64| {
            of.zip(base)
                .map_or_else(String::new, |(of, base)| format!("{:.2}", of / pick(base)))
        };
        let ms = |of: Option<f64>| of.map_or_else(String::new, |of| format!("{of:.2}"));
        table.add_row([
            row.model.clone(),
            row.precision.clone(),
            row.engine.to_owned(),
            row.threads.to_string(),
            ms(row.median_ms),
            ms(row.min_ms),
            ratio(row.median_ms, |base| base.0),
            ratio(row.min_ms, |base| base.1),
            row.n.to_string(),
            row.load_ms
                .map_or_else(String::new, |ms| format!("{ms:.0}")),
            row.peak_bytes
                .map_or_else(String::new, |bytes| format!("{:.0}", bytes as f64 / 1e6)),
            row.shown.clone(),
        ]);
    }
    for index in 3..12 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
