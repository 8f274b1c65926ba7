//! `wink bench`: latency of graphs in this runtime and in other engines, side by side.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use wink_runtime::policy::{BareGraph, Execution};

use crate::bad_input::as_bad_input;

/// Time graphs in this runtime and in other engines
#[derive(Debug, clap::Args)]
pub struct Args {
    /// ONNX files
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Runs of each engine
    #[arg(long, default_value_t = 30)]
    runs: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    model: String,
    engine: &'static str,
    median_ms: f64,
    min_ms: f64,
}

/// Prints the table.
pub fn run(args: &Args) -> Result<()> {
    for path in &args.paths {
        bench(path, args.runs)?;
    }
    Ok(())
}

fn bench(path: &Path, runs: usize) -> Result<()> {
    let mut out = io::stdout().lock();
    let clock = Instant::now();
    let mut fused = BareGraph::load(path, Execution::Fused).map_err(as_bad_input)?;
    let load = clock.elapsed();
    let clock = Instant::now();
    let mut plain = BareGraph::load(path, Execution::Plain).map_err(as_bad_input)?;
    writeln!(out, "load fused {load:?} plain {:?}", clock.elapsed())?;
    writeln!(out, "{:#?}", fused.fusion())?;
    let (a, b) = (fused.run()?, plain.run()?);
    let max = a
        .iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let mean = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
    writeln!(out, "max diff {max} mean {mean}")?;
    let mut times = [vec![], vec![]];
    for _ in 0..runs {
        for (graph, times) in [&mut fused, &mut plain].into_iter().zip(&mut times) {
            let clock = Instant::now();
            graph.run()?;
            times.push(clock.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (engine, times) in ["wink", "tract"].into_iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let row = Row {
            model: path.display().to_string(),
            engine,
            median_ms: times[times.len() / 2],
            min_ms: times[0],
        };
        writeln!(out, "{}", serde_json::to_string(&row)?)?;
    }
    Ok(())
}
