//! The package that is written: the float graphs as they were, and those of each scheme beside them.

use std::fs;

use anyhow::{Context, Result};
use wink_quantize::Scheme;
use wink_quantize::graph::to_bytes;
use wink_quantize::sensitivity::Emitted;
use wink_runtime::policy::Package;
use wink_runtime::policy::manifest::{FileRecord, Manifest, Precision, Role};

use crate::out_dir::OutDir;

/// The self-check of the source's other precisions is no check of these.
const GOLDEN: &str = "golden.json";

/// A package under way.
pub struct Writer<'a> {
    source: &'a Package,
    out: OutDir,
    manifest: Manifest,
    float: String,
}

impl<'a> Writer<'a> {
    /// Takes over everything but the precisions other than `float`.
    pub fn new(source: &'a Package, out: OutDir, float: &str) -> Result<Self> {
        let mut manifest = source.manifest().clone();
        manifest.precisions.retain(|name, _| name == float);
        manifest.default_precision = float.to_owned();
        manifest.files.clear();
        let mut writer = Self {
            source,
            out,
            manifest,
            float: float.to_owned(),
        };
        let graphs = writer.manifest.precisions.values().flat_map(|p| &p.graphs);
        let mut kept: Vec<String> = graphs.map(|graph| graph.file.clone()).collect();
        kept.extend(
            writer
                .manifest
                .text
                .as_ref()
                .map(|text| text.tokenizer.clone()),
        );
        for file in kept {
            let bytes = source.read(&file)?;
            writer.write(&file, &bytes)?;
        }
        writer.golden()?;
        Ok(writer)
    }

    /// Keeps of the self-check what speaks of the float graphs.
    fn golden(&mut self) -> Result<()> {
        if !self.source.manifest().files.contains_key(GOLDEN) {
            return Ok(());
        }
        let mut golden: serde_json::Value = serde_json::from_slice(&self.source.read(GOLDEN)?)?;
        if let Some(actions) = golden.get_mut("action").and_then(|a| a.as_object_mut()) {
            actions.retain(|name, _| *name == self.float);
        }
        self.write(GOLDEN, serde_json::to_string(&golden)?.as_bytes())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.out.path().join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        let record = FileRecord::of(bytes);
        self.manifest.files.insert(name.to_owned(), record);
        Ok(())
    }

    /// Adds a scheme's graphs. Returns their bytes.
    pub fn add(&mut self, scheme: Scheme, emitted: Emitted) -> Result<u64> {
        let mut precision = self
            .manifest
            .precisions
            .get(&self.float)
            .cloned()
            .unwrap_or(Precision { graphs: Vec::new() });
        let mut total = 0;
        let Emitted { text, act, .. } = emitted;
        let (mut text, mut act) = (text, Some(act));
        for graph in &mut precision.graphs {
            let model = match graph.role {
                Role::Text => text.take(),
                Role::Act => act.take(),
            };
            let bytes = to_bytes(model.context("a graph of the package was not quantised")?);
            graph.file = format!("{}.{}.onnx", graph.role.name(), scheme.name());
            total += bytes.len() as u64;
            let file = graph.file.clone();
            self.write(&file, &bytes)?;
        }
        self.manifest
            .precisions
            .insert(scheme.name().to_owned(), precision);
        scheme
            .name()
            .clone_into(&mut self.manifest.default_precision);
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

/// Puts what is known of the schemes beside the package. It is not part of it: nothing reads it.
pub fn describe(staged: OutDir, report: &str) -> Result<OutDir> {
    let path = staged.path().join("quantize.json");
    fs::write(&path, format!("{report}\n")).with_context(|| path.display().to_string())?;
    Ok(staged)
}
