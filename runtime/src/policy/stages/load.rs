//! One stage: loads its graph and finds what feeds each of its inputs.

use std::path::Path;
use std::time::{Duration, Instant};

use wink_engine::{Element, EngineError, Execution, Feed, Graph, Source, TensorSpec};

use super::super::manifest::{Method, Run, StageSpec};
use super::super::{Package, PolicyError};
use super::rate;
use super::tokens::{TokenStage, cache_specs, token_stage};
use super::values::{Known, ValueRef, changes_of, loop_value};

/// One loaded stage.
#[derive(Debug, Clone)]
pub(in super::super) struct Stage {
    pub(in super::super) spec: StageSpec,
    pub(in super::super) graph: Graph,
    /// What feeds each input of the graph, in the graph's order.
    pub(super) inputs: Vec<ValueRef>,
    /// What the graph was told of its inputs.
    feeds: Vec<Feed>,
    /// For a token loop.
    pub(super) tokens: Option<TokenStage>,
}

impl Stage {
    pub(super) fn load(
        package: &Package,
        spec: &StageSpec,
        file: &str,
        execution: Execution,
        known: &Known<'_>,
    ) -> Result<Self, PolicyError> {
        let path = package.path(file);
        let refused = |message: String| PolicyError::Graph {
            file: path.clone(),
            message,
        };
        let clock = Instant::now();
        let parts = package.read_parts(file)?;
        let source = Source::of_parts(path.clone(), parts, clock.elapsed());
        let caches = match spec.method() {
            Some(Method::Tokens(tokens)) => cache_specs(spec, tokens, &path)?,
            _ => Vec::new(),
        };
        let mut feeds = Vec::new();
        let mut inputs = Vec::new();
        for (tensor, value) in &spec.inputs {
            let own = value.strip_prefix("loop.");
            let found = match own {
                Some(own) => loop_value(spec, own, &caches),
                None => known.find(value),
            };
            let Some((place, found)) = found else {
                return Err(refused(format!("nothing gives the value \"{value}\"")));
            };
            let changes = match place {
                ValueRef::Observed(_) | ValueRef::Output(..) | ValueRef::Result(_) => {
                    changes_of(package.manifest(), known, place)
                }
                _ => Run::Loop,
            };
            feeds.push(Feed {
                tensor: tensor.clone(),
                spec: found,
                rate: rate(changes),
            });
            inputs.push((tensor.as_str(), place));
        }
        let graph = Graph::load(source, execution, feeds.clone(), &spec.outputs)
            .map_err(|error| explain(error, spec, &path))?;
        let inputs = places(&graph, &inputs);
        let tokens = match spec.method() {
            Some(Method::Tokens(tokens)) => Some(token_stage(
                package, spec, tokens, &graph, caches, known, &path,
            )?),
            Some(Method::Flow(flow, sample)) => {
                check_output(&graph, &flow.velocity, &sample.shape).map_err(refused)?;
                None
            }
            Some(Method::Diffusion(diffusion, sample)) => {
                check_output(&graph, &diffusion.output, &sample.shape).map_err(refused)?;
                None
            }
            None => None,
        };
        Ok(Self {
            spec: spec.clone(),
            graph,
            inputs,
            feeds,
            tokens,
        })
    }

    /// Runs another graph of the same inputs and outputs from now on.
    pub(in super::super) fn replace(&mut self, bytes: Vec<u8>) -> Result<(), PolicyError> {
        let file = self.graph.file().to_owned();
        let source = Source::of_parts(file.clone(), vec![bytes], Duration::ZERO);
        let outputs = &self.spec.outputs;
        let graph = Graph::load(source, Execution::default(), self.feeds.clone(), outputs)
            .map_err(|error| explain(error, &self.spec, &file))?;
        if graph.outputs() != self.graph.outputs() {
            return Err(PolicyError::Graph {
                file,
                message: "gives other types or shapes than the graph that it replaces".to_owned(),
            });
        }
        let names = self.graph.inputs().iter().map(|(name, _)| name.as_str());
        let known: Vec<(&str, ValueRef)> = names.zip(self.inputs.iter().copied()).collect();
        self.inputs = places(&graph, &known);
        self.graph = graph;
        Ok(())
    }

    /// The place of an output by its name in the file.
    pub(super) fn output(&self, tensor: &str) -> usize {
        let mut outputs = self.graph.outputs().iter();
        // The names were checked to be among the outputs.
        outputs.position(|(name, _)| name == tensor).unwrap_or(0)
    }
}

/// What feeds each input of a graph, in the graph's order.
fn places(graph: &Graph, known: &[(&str, ValueRef)]) -> Vec<ValueRef> {
    let names = graph.inputs().iter().map(|(name, _)| name);
    names
        .filter_map(|name| known.iter().find(|(tensor, _)| tensor == name))
        .map(|(_, place)| *place)
        .collect()
}

/// The output that a loop takes has the type of the sample.
fn check_output(graph: &Graph, tensor: &str, shape: &[usize]) -> Result<(), String> {
    let wanted = TensorSpec::new(Element::F32, shape);
    let found = graph.outputs().iter().find(|(name, _)| name == tensor);
    match found {
        Some((_, spec)) if *spec == wanted => Ok(()),
        Some((_, spec)) => Err(format!(
            "output \"{}\" is {spec}, the loop's sample is {wanted}",
            tensor.escape_debug()
        )),
        None => Err(format!("has no output \"{}\"", tensor.escape_debug())),
    }
}

/// The engine's error with what `policy.json` says of the tensor.
fn explain(error: EngineError, spec: &StageSpec, file: &Path) -> PolicyError {
    let value = |tensor: &str| spec.inputs.get(tensor).map_or("", String::as_str);
    let message = match &error {
        EngineError::NoInput { tensor, .. } => format!(
            "has no input \"{}\", to which policy.json feeds \"{}\"",
            tensor.escape_debug(),
            value(tensor)
        ),
        EngineError::NoOutput { tensor, .. } => format!(
            "has no output \"{}\", which policy.json names in stage \"{}\"",
            tensor.escape_debug(),
            spec.name
        ),
        EngineError::Unfed { tensor, .. } => format!(
            "input \"{}\" is fed by nothing in policy.json",
            tensor.escape_debug()
        ),
        EngineError::Unfit {
            tensor, found, fed, ..
        } => format!(
            "input \"{}\" is {found} in the graph, \"{}\" in policy.json is {fed}",
            tensor.escape_debug(),
            value(tensor)
        ),
        _ => return error.into(),
    };
    PolicyError::Graph {
        file: file.to_owned(),
        message,
    }
}
