//! What a token loop needs of its graph and of other stages.

use std::path::Path;

use wink_engine::{Element, Graph, TensorInfo, TensorSpec, graph_info};

use super::super::manifest::{Decode, FirstToken, StageSpec, TokensSpec};
use super::super::{Package, PackageError, PolicyError};
use super::values::{Known, ValueRef};

/// What a token loop needs to know of other stages.
#[derive(Debug, Clone)]
pub(super) struct TokenStage {
    /// The value that the first token is the largest of.
    pub(super) first: Option<ValueRef>,
    /// Each cache in the order of its name: type, first value, place of its output in the graph.
    pub(super) caches: Vec<Cache>,
    /// Place of the logits among the graph's outputs.
    pub(super) logits: usize,
    /// Integers of each token index, for the DCT.
    pub(super) table: Vec<Vec<i32>>,
}

#[derive(Debug, Clone)]
pub(super) struct Cache {
    pub(super) spec: TensorSpec,
    pub(super) from: Option<ValueRef>,
    pub(super) output: usize,
    pub(super) axis: Option<usize>,
}

/// The type of each cache, which is that of the graph's input that reads it.
pub(super) fn cache_specs(
    spec: &StageSpec,
    tokens: &TokensSpec,
    file: &Path,
) -> Result<Vec<(String, TensorSpec)>, PolicyError> {
    if tokens.cache.is_empty() {
        return Ok(Vec::new());
    }
    let info = graph_info(file)?;
    let mut specs = Vec::new();
    for name in tokens.cache.keys() {
        let value = format!("loop.{name}");
        let tensor = spec.inputs.iter().find(|(_, read)| **read == value);
        let input = tensor.and_then(|(tensor, _)| {
            let mut inputs = info.inputs.iter();
            inputs.find(|input| input.name == *tensor)
        });
        let found = input.and_then(closed).ok_or_else(|| PolicyError::Graph {
            file: file.to_owned(),
            message: format!("has no input of fixed shape for the cache \"{name}\""),
        })?;
        specs.push((name.clone(), found));
    }
    Ok(specs)
}

fn closed(input: &TensorInfo) -> Option<TensorSpec> {
    let axes = input.shape.iter();
    let shape: Option<Vec<usize>> = axes.map(|axis| usize::try_from((*axis)?).ok()).collect();
    Some(TensorSpec::new(Element::named(&input.element)?, &shape?))
}

pub(super) fn token_stage(
    package: &Package,
    spec: &StageSpec,
    tokens: &TokensSpec,
    graph: &Graph,
    specs: Vec<(String, TensorSpec)>,
    known: &Known<'_>,
    file: &Path,
) -> Result<TokenStage, PolicyError> {
    let refused = |message: String| PolicyError::Graph {
        file: file.to_owned(),
        message,
    };
    let value = |name: &str| known.find(name);
    let first = match &tokens.first {
        FirstToken::Token(_) => None,
        FirstToken::Logits(name) => match value(name) {
            Some((place, spec)) if spec.element == Element::F32 => Some(place),
            _ => return Err(refused(format!("the first logits \"{name}\" are not f32"))),
        },
    };
    let output = |name: &str| {
        let outputs = graph.outputs().iter();
        let found = outputs.enumerate().find(|(_, (tensor, _))| tensor == name);
        found.map(|(place, (_, spec))| (place, spec))
    };
    let mut caches = Vec::new();
    for ((name, spec), cache) in specs.into_iter().zip(tokens.cache.values()) {
        let from = cache.from.as_deref().map(|from| (from, value(from)));
        let kept = output(&cache.output);
        let fits = |part: &TensorSpec, axis: Option<usize>| {
            let axes = part.shape.iter().zip(&spec.shape).enumerate();
            part.element == spec.element
                && part.shape.len() == spec.shape.len()
                && axes.into_iter().all(|(index, (part, whole))| {
                    part == whole || (Some(index) == axis && part < whole)
                })
        };
        let from = match from {
            None => None,
            Some((_, Some((place, part)))) if fits(&part, cache.axis) => Some(place),
            Some((from, found)) => {
                let found = found.map_or_else(|| "nothing".to_owned(), |(_, s)| s.to_string());
                return Err(refused(format!(
                    "the cache \"{name}\" is {spec}, and \"{from}\", with which it begins, is {found}"
                )));
            }
        };
        if spec.element != Element::F32 || cache.axis.is_some_and(|axis| axis >= spec.shape.len()) {
            return Err(refused(format!(
                "the cache \"{name}\" is {spec}: it must be f32 and have the axis"
            )));
        }
        let output = match kept {
            Some((place, part)) if fits(part, cache.axis) => place,
            _ => {
                return Err(refused(format!(
                    "the cache \"{name}\" is {spec}, which the output \"{}\" does not fit",
                    cache.output
                )));
            }
        };
        caches.push(Cache {
            spec,
            from,
            output,
            axis: cache.axis,
        });
    }
    let logits = match output(&tokens.logits) {
        Some((place, spec)) if spec.element == Element::F32 && !spec.shape.is_empty() => place,
        _ => {
            return Err(refused(format!(
                "the logits \"{}\" of stage \"{}\" are not f32",
                tokens.logits, spec.name
            )));
        }
    };
    let table = match &tokens.decode {
        Decode::Bins { .. } => Vec::new(),
        Decode::Dct { table, utf8, .. } => {
            let wrong = |message: String| PackageError::Manifest {
                file: package.path(table),
                message,
            };
            let content = package.read(table)?;
            let runs: Vec<Vec<i32>> =
                serde_json::from_slice(&content).map_err(|e| wrong(e.to_string()))?;
            let byte = |integer: &i32| u8::try_from(*integer).is_ok();
            if utf8.is_some() && !runs.iter().flatten().all(byte) {
                return Err(wrong("holds a number that is no byte".to_owned()).into());
            }
            runs
        }
    };
    Ok(TokenStage {
        first,
        caches,
        logits,
        table,
    })
}
