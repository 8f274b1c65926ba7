//! What is timed: the graphs of packages that run more than once an episode, and loose ONNX files.

use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_runtime::policy::Package;
use wink_runtime::policy::manifest::Run;

use crate::bad_input::{as_bad_input, bad_input};

/// One graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub model: String,
    pub precision: String,
    pub file: PathBuf,
}

/// The graphs behind the paths, in their order.
pub fn of(paths: &[PathBuf]) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for path in paths {
        if path.is_dir() {
            targets.extend(of_package(path)?);
        } else {
            targets.push(of_file(path)?);
        }
    }
    Ok(targets)
}

fn of_package(dir: &Path) -> Result<Vec<Target>> {
    let package = Package::open(dir).map_err(as_bad_input)?;
    let manifest = package.manifest();
    let mut targets = Vec::new();
    for precision in manifest.precisions.keys() {
        let files = manifest.stage_files(precision);
        let often: Vec<_> = files
            .filter(|(stage, _)| stage.run != Run::Episode)
            .collect();
        for (stage, file) in &often {
            let model = match often.len() {
                1 => manifest.name.clone(),
                _ => format!("{} {}", manifest.name, stage.name),
            };
            targets.push(Target {
                model,
                precision: precision.clone(),
                file: package.path(file),
            });
        }
    }
    Ok(targets)
}

fn of_file(path: &Path) -> Result<Target> {
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let Some(name) = name.filter(|_| path.is_file()) else {
        return Err(bad_input(format!(
            "{}: no such package or file",
            path.display()
        )));
    };
    let (model, precision) = name.split_once('.').unwrap_or((&name, "?"));
    Ok(Target {
        model: model.to_owned(),
        precision: precision.to_owned(),
        file: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_model_and_precision() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, model, precision) in [
            ("vit.int8.onnx", "vit", "int8"),
            ("a.int8-dynamic.onnx", "a", "int8-dynamic"),
            ("b.onnx", "b", "?"),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, b"").expect("a file");
            let found = of(std::slice::from_ref(&file)).expect("a target");
            assert_eq!(
                found,
                [Target {
                    model: model.into(),
                    precision: precision.into(),
                    file
                }]
            );
        }
        assert!(of(&[dir.path().join("missing.onnx")]).is_err());
    }
}
