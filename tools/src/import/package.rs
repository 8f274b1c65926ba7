//! Writing the package: files copied and hashed, `policy.json`, and the runtime's own check of the result.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use wink_runtime::policy::manifest::{FileRecord, Manifest};
use wink_runtime::policy::{GoldenReport, OnnxPolicy, Package};

use crate::bad_input::{as_bad_input, bad_input};
use crate::out_dir::OutDir;
use crate::progress;

/// Copies the files into the folder and returns their records.
///
/// # Errors
/// Where one cannot be read or written.
pub fn copy(files: &BTreeMap<String, PathBuf>, out: &Path) -> Result<BTreeMap<String, FileRecord>> {
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let bar = progress::bar(files.values().map(size).sum(), "bytes copied");
    let mut records = BTreeMap::new();
    for (name, path) in files {
        let told = || path.display().to_string();
        let mut from = File::open(path).map_err(as_bad_input).with_context(told)?;
        let mut to = BufWriter::new(File::create(out.join(name)).with_context(|| name.clone())?);
        let mut hash = Sha256::new();
        let mut bytes = 0_u64;
        let mut part = vec![0; 1 << 20];
        loop {
            let count = from.read(&mut part).with_context(told)?;
            if count == 0 {
                break;
            }
            hash.update(&part[..count]);
            to.write_all(&part[..count]).with_context(|| name.clone())?;
            bytes += count as u64;
            bar.inc(count as u64);
        }
        to.flush().with_context(|| name.clone())?;
        let hash = hash.finalize();
        let record = FileRecord {
            bytes,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        records.insert(name.clone(), record);
    }
    bar.finish_and_clear();
    Ok(records)
}

/// Writes `policy.json`, then opens and loads the package as a robot would, and computes its golden values where it has any.
///
/// # Errors
/// Where it cannot be written, the runtime refuses it, or it gives other values than the golden ones.
pub fn write(manifest: &Manifest, out: &OutDir) -> Result<Option<GoldenReport>> {
    let path = out.path().join("policy.json");
    let json = serde_json::to_string_pretty(manifest)?;
    std::fs::write(&path, json + "\n").with_context(|| path.display().to_string())?;
    let refused = |error: anyhow::Error| {
        let staged = format!("{}/", out.path().display());
        let message = crate::bad_input::one_line(&error).replace(&staged, "");
        bad_input(format!("the package would not run: {message}"))
    };
    let package = Package::open(out.path()).map_err(|error| refused(error.into()))?;
    let waiting = progress::waiting("loading the graphs");
    let loaded = OnnxPolicy::load(&package, None);
    waiting.finish_and_clear();
    let policy = loaded.map_err(|error| refused(error.into()))?;
    let report = policy.check(&package);
    let report = report.map_err(|error| refused(error.into()))?;
    let failed = report.as_ref().filter(|report| !report.passed());
    if let Some(worst) = failed.and_then(GoldenReport::worst) {
        bail!(
            "the package does not give the expected values: \"{}\" differs by {:.3e}, allowed are {:.3e}",
            worst.value,
            worst.max_error,
            worst.tolerance
        );
    }
    Ok(report)
}
