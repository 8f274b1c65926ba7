//! The package that is written: the float graphs as they were, and those of each scheme beside them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use wink_quantize::Scheme;
use wink_quantize::graph::to_bytes;
use wink_quantize::sensitivity::Emitted;
use wink_runtime::policy::Package;
use wink_runtime::policy::manifest::{FileRecord, Manifest};

use crate::out_dir::OutDir;

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
        let graphs = writer.manifest.precisions.values().flat_map(|p| p.values());
        let mut kept: Vec<String> = graphs.cloned().collect();
        let text = writer.manifest.observations.text.as_ref();
        kept.extend(text.map(|text| text.tokenizer.clone()));
        for file in kept {
            let bytes = source.read(&file)?;
            writer.write(&file, &bytes)?;
        }
        writer.golden()?;
        Ok(writer)
    }

    /// Keeps the golden values of the float graphs.
    fn golden(&mut self) -> Result<()> {
        let Some(file) = self.manifest.golden.clone() else {
            return Ok(());
        };
        let mut golden: serde_json::Value = serde_json::from_slice(&self.source.read(&file)?)?;
        if let Some(precisions) = golden
            .get_mut("precisions")
            .and_then(|precisions| precisions.as_object_mut())
        {
            precisions.retain(|name, _| *name == self.float);
        }
        self.write(&file, serde_json::to_string(&golden)?.as_bytes())
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
        let mut files = BTreeMap::new();
        let mut total = 0;
        let Emitted { text, act, .. } = emitted;
        let stages = super::stages(self.source)?;
        let graphs = stages.text.zip(text).into_iter().chain([(stages.act, act)]);
        for (stage, model) in graphs {
            let bytes = to_bytes(model);
            let file = format!("{}.{}.onnx", stage.name, scheme.name());
            total += bytes.len() as u64;
            self.write(&file, &bytes)?;
            files.insert(stage.name.clone(), file);
        }
        self.manifest
            .precisions
            .insert(scheme.name().to_owned(), files);
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
