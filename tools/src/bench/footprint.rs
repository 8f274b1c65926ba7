//! What a graph in an engine needs of memory, measured where nothing else is: in a process of its own.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use wink_engine::SeededInput;

use super::engine::{self, Kind};
use super::targets::Target;
use crate::bad_input::bad_input;
use crate::memory;

/// Starts this program anew for one engine. `None` where that fails or the system does not tell: the other figures stand without it.
pub fn measure(kind: Kind, file: &Path, inputs: &[SeededInput], threads: usize) -> Option<u64> {
    let fed = serde_json::to_vec(inputs).ok()?;
    let mut child = Command::new(env::current_exe().ok()?)
        .args(["bench", "--footprint", "--engines", kind.name()])
        .args(["--threads", &threads.to_string(), "--"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let written = child.stdin.take()?.write_all(&fed);
    let output = child.wait_with_output().ok()?;
    written.ok()?;
    std::str::from_utf8(&output.stdout)
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// The other end: loads the graph, runs it once and prints the most bytes that were resident above those before.
pub fn print(targets: &[Target], kinds: &[Kind], threads: &[usize]) -> Result<()> {
    let ([target], [kind], [threads]) = (targets, kinds, threads) else {
        return Err(bad_input(
            "--footprint: one graph, one engine, one --threads",
        ));
    };
    let inputs: Vec<SeededInput> = serde_json::from_reader(io::stdin().lock())
        .map_err(|error| bad_input(format!("--footprint: inputs on stdin: {error}")))?;
    let before = memory::resident().context("the system does not tell")?;
    if let Some(mut engine) = engine::load(*kind, &target.file, &inputs, *threads)? {
        engine.run()?;
    }
    let peak = memory::peak().context("the system does not tell")?;
    writeln!(io::stdout(), "{}", peak.saturating_sub(before))?;
    Ok(())
}
