//! The ONNX files: stages by name, their tensors, and the files that hold their weights.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use wink_engine::TensorInfo;

use super::external;
use super::processors::is_plain;
use crate::bad_input::{as_bad_input, bad_input};

/// Most graphs of one package.
const MAX_STAGES: usize = 16;

/// A graph's input or output.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its element type, as `f32` or `i64`.
    pub element: String,
    /// Its axes; `None` where the file leaves one open.
    pub shape: Vec<Option<usize>>,
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> = self
            .shape
            .iter()
            .map(|axis| axis.map_or("?".to_owned(), |axis| axis.to_string()))
            .collect();
        write!(
            f,
            "`{}` {}[{}]",
            self.name.escape_debug(),
            self.element,
            axes.join(", ")
        )
    }
}

/// A graph that becomes a stage of the package.
#[derive(Debug, Clone)]
pub struct StageGraph {
    /// Name of the stage.
    pub name: String,
    /// The ONNX file.
    pub file: PathBuf,
    /// What must be fed.
    pub inputs: Vec<Tensor>,
    /// What it gives.
    pub outputs: Vec<Tensor>,
}

impl StageGraph {
    /// A tensor as an error names it.
    pub fn told(&self, tensor: &Tensor) -> String {
        format!("{}: {tensor}", self.file.display())
    }
}

/// The stages that the options name: files of `--onnx` by their own names, those of `--stage` by the given ones.
///
/// # Errors
/// Where a name is used twice or cannot be one, or a file is no usable ONNX file.
pub fn read(onnx: &[PathBuf], stages: &[(String, String)]) -> Result<Vec<StageGraph>> {
    let mut files: Vec<(String, PathBuf)> = stages
        .iter()
        .map(|(name, file)| (name.clone(), PathBuf::from(file)))
        .collect();
    for file in onnx {
        if files.iter().any(|(_, named)| named == file) {
            continue;
        }
        let stem = file.file_stem().map(|stem| stem.to_string_lossy());
        let name = stem.unwrap_or_default();
        let name = name.replace(|c| !plain(c), "_");
        files.push((name, file.clone()));
    }
    if files.is_empty() {
        return Err(bad_input(
            "no graph is given; name the ONNX files with --onnx FILE... or --stage NAME=FILE",
        ));
    }
    if files.len() > MAX_STAGES {
        return Err(bad_input(format!(
            "{} graphs are given, a package takes at most {MAX_STAGES}",
            files.len()
        )));
    }
    let mut names = BTreeSet::new();
    for (name, file) in &files {
        if *name == "loop" || name.is_empty() || !name.chars().all(plain) {
            return Err(bad_input(format!(
                "--stage {name}={}: a stage's name has letters, digits, _ and -, and is not \"loop\"",
                file.display()
            )));
        }
        if !names.insert(name.clone()) {
            return Err(bad_input(format!(
                "two graphs are the stage `{name}`; name one with --stage NAME={}",
                file.display()
            )));
        }
    }
    let mut graphs = Vec::new();
    for (name, file) in files {
        graphs.push(open(name, file)?);
    }
    Ok(graphs)
}

/// Whether a character may be part of a stage's name.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

fn open(name: String, file: PathBuf) -> Result<StageGraph> {
    let info = wink_engine::graph_info(&file).map_err(as_bad_input)?;
    let tensors = |infos: &[TensorInfo]| {
        let tensor = |info: &TensorInfo| Tensor {
            name: info.name.clone(),
            element: info.element.clone(),
            shape: info
                .shape
                .iter()
                .map(|axis| axis.and_then(|axis| usize::try_from(axis).ok()))
                .collect(),
        };
        infos.iter().map(tensor).collect()
    };
    Ok(StageGraph {
        inputs: tensors(&info.inputs),
        outputs: tensors(&info.outputs),
        name,
        file,
    })
}

/// All files that the graphs need, by the name that they get in the package: the graphs and their weights beside them.
///
/// # Errors
/// Where weights lie outside the graph's folder, or two different files have one name.
pub fn files(graphs: &[StageGraph]) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for graph in graphs {
        let name = graph.file.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default().into_owned();
        add(&mut files, &name, &graph.file)?;
        for weights in external::locations(&graph.file)? {
            let path = graph.file.with_file_name(&weights);
            if !is_plain(&weights) {
                return Err(bad_input(format!(
                    "{}: its weights lie in \"{}\"; external data must lie beside the graph under a plain name",
                    graph.file.display(),
                    weights.escape_debug()
                )));
            }
            if !path.is_file() {
                return Err(bad_input(format!(
                    "{}: its weights {weights} are missing beside it",
                    graph.file.display()
                )));
            }
            add(&mut files, &weights, &path)?;
        }
    }
    Ok(files)
}

fn add(files: &mut BTreeMap<String, PathBuf>, name: &str, path: &Path) -> Result<()> {
    if matches!(name, "policy.json" | "golden.json" | "tokenizer.json") {
        return Err(bad_input(format!(
            "{}: a package keeps this name for a file of its own",
            path.display()
        )));
    }
    let same = |known: &Path| match (known.canonicalize(), path.canonicalize()) {
        (Ok(known), Ok(path)) => known == path,
        _ => false,
    };
    match files.insert(name.to_owned(), path.to_owned()) {
        Some(known) if !same(&known) => Err(bad_input(format!(
            "{} and {} have one name; in a package all files lie in one folder",
            known.display(),
            path.display()
        ))),
        _ => Ok(()),
    }
}
