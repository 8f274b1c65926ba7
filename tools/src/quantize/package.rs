//! The package that is written: the float graphs as they were, and those of each scheme beside them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use wink_quantize::Scheme;
use wink_quantize::graph::to_bytes;
use wink_quantize::sensitivity::Stage;
use wink_runtime::policy::Package;
use wink_runtime::policy::manifest::{FileRecord, Manifest};

use crate::out_dir::OutDir;

/// What was found, beside the graphs.
pub const REPORT: &str = "quantize.json";

/// A package under way.
pub struct Writer {
    out: OutDir,
    manifest: Manifest,
    float: String,
}

impl Writer {
    /// Takes over everything but the precisions other than `float`.
    pub fn new(source: &Package, out: OutDir, float: &str) -> Result<Self> {
        let mut manifest = source.manifest().clone();
        let others = manifest
            .precisions
            .iter()
            .filter(|(name, _)| *name != float);
        let mut dropped: Vec<String> = others
            .flat_map(|(_, files)| files.values().cloned())
            .collect();
        manifest.precisions.retain(|name, _| name == float);
        let kept: Vec<&String> = manifest
            .precisions
            .values()
            .flat_map(|f| f.values())
            .collect();
        dropped.retain(|file| !kept.contains(&file));
        float.clone_into(&mut manifest.default_precision);
        let files: Vec<String> = manifest.files.keys().cloned().collect();
        let golden = manifest.golden.clone();
        manifest.files.clear();
        let mut writer = Self {
            out,
            manifest,
            float: float.to_owned(),
        };
        for file in files.into_iter().filter(|file| !dropped.contains(file)) {
            let mut bytes = source.read(&file)?;
            if Some(&file) == golden.as_ref() {
                bytes = writer.golden(&bytes)?;
            }
            writer.write(&file, &bytes)?;
        }
        Ok(writer)
    }

    /// The golden values without those of the precisions that are left out.
    fn golden(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut golden: serde_json::Value = serde_json::from_slice(bytes)?;
        if let Some(precisions) = golden["precisions"].as_object_mut() {
            precisions.retain(|name, _| *name == self.float);
        }
        Ok(serde_json::to_vec(&golden)?)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.out.path().join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        let record = FileRecord::of(bytes);
        self.manifest.files.insert(name.to_owned(), record);
        Ok(())
    }

    /// Adds a scheme's graphs. Returns their bytes.
    pub fn add(&mut self, scheme: Scheme, stages: Vec<Stage>) -> Result<u64> {
        let mut total = 0;
        let mut files = BTreeMap::new();
        for stage in stages {
            let bytes = to_bytes(stage.model);
            let file = format!("{}.{}.onnx", stage.name, scheme.name());
            self.write(&file, &bytes)?;
            total += bytes.len() as u64;
            files.insert(stage.name, file);
        }
        self.manifest
            .precisions
            .insert(scheme.name().to_owned(), files);
        Ok(total)
    }

    /// Writes `policy.json`.
    pub fn finish(mut self, default: Scheme) -> Result<OutDir> {
        default
            .name()
            .clone_into(&mut self.manifest.default_precision);
        let path = self.out.path().join("policy.json");
        let json = serde_json::to_string_pretty(&self.manifest)?;
        fs::write(&path, json + "\n").with_context(|| path.display().to_string())?;
        Ok(self.out)
    }
}

/// Puts what is known of the schemes beside the graphs. It is not part of a package: nothing reads it.
pub fn describe(staged: &OutDir, report: &str) -> Result<()> {
    let path = staged.path().join(REPORT);
    fs::write(&path, format!("{report}\n")).with_context(|| path.display().to_string())
}
