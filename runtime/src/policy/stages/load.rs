//! Loads the graphs of a precision and finds what feeds each of their inputs.

use std::path::Path;
use std::time::{Duration, Instant};

use wink_engine::{
    Element, EngineError, Execution, Feed, Graph, Source, TensorInfo, TensorSpec, graph_info,
};

use super::super::manifest::{
    Decode, FirstToken, Manifest, MaskElement, Method, Run, StageSpec, TimeShape, TokenElement,
    TokensSpec,
};
use super::super::{Package, PackageError, PolicyError};
use super::rate;

/// The loaded stages, shared by the threads that run them.
#[derive(Debug, Clone)]
pub(in super::super) struct Network {
    pub(in super::super) stages: Vec<Stage>,
    /// Names and types of the observed values: cameras, states, tokens, mask.
    pub(in super::super) observed: Vec<(String, TensorSpec)>,
    /// Where the chunk comes from, and its type.
    pub(in super::super) action: (ValueRef, TensorSpec),
    /// The auxiliary values, in the order of `policy.json`.
    pub(in super::super) auxiliary: Vec<(ValueRef, TensorSpec)>,
}

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

/// A value that can be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum ValueRef {
    /// Of the observation or the instruction, by its place in [`Network::observed`].
    Observed(usize),
    /// An output of a stage.
    Output(usize, usize),
    /// What the loop of a stage ended with.
    Result(usize),
    /// What the loop of the stage itself hands to its graph.
    Sample,
    Time,
    Token,
    Index,
    Cache(usize),
}

impl Network {
    /// Loads the graphs of a precision; their wiring was checked.
    pub(in super::super) fn load(
        package: &Package,
        precision: &str,
        execution: Execution,
    ) -> Result<Self, PolicyError> {
        let manifest = package.manifest();
        let observed = observed(manifest);
        let mut stages: Vec<Stage> = Vec::new();
        for (spec, file) in manifest.stage_files(precision) {
            let known = Known {
                observed: &observed,
                stages: &stages,
            };
            let stage = Stage::load(package, spec, file, execution, &known)?;
            stages.push(stage);
        }
        let known = Known {
            observed: &observed,
            stages: &stages,
        };
        let find = |field: &str, name: &str| {
            known.find(name).ok_or_else(|| PackageError::Field {
                file: package.path("policy.json"),
                field: field.to_owned(),
                message: format!("is \"{}\", which is no value", name.escape_debug()),
            })
        };
        let action = find("action.from", &manifest.action.from)?;
        let mut auxiliary = Vec::new();
        for (index, spec) in manifest.auxiliary.iter().enumerate() {
            auxiliary.push(find(&format!("auxiliary[{index}].from"), &spec.from)?);
        }
        let network = Self {
            action,
            auxiliary,
            stages,
            observed,
        };
        network.check(package)?;
        Ok(network)
    }

    /// The place of a stage.
    pub(in super::super) fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.spec.name == name)
    }

    /// Whether the chunk and the auxiliary values have the type and shape that `policy.json` says.
    fn check(&self, package: &Package) -> Result<(), PolicyError> {
        let manifest = package.manifest();
        let action = &manifest.action;
        let refused = |field: String, message: String| PackageError::Field {
            file: package.path("policy.json"),
            field,
            message,
        };
        let spec = &self.action.1;
        let steps = match spec.shape[..] {
            [1, steps, width] if spec.element == Element::F32 && width == action.width => steps,
            _ => {
                let message = format!(
                    "is \"{}\", which is {spec}, must be f32[1, steps, {}]",
                    action.from, action.width
                );
                return Err(refused("action.from".to_owned(), message).into());
            }
        };
        if action.first + action.chunk > steps {
            let message = format!(
                "is {}, and with `first` {} goes past the {steps} steps of \"{}\"",
                action.chunk, action.first, action.from
            );
            return Err(refused("action.chunk".to_owned(), message).into());
        }
        for (index, (spec, (_, tensor))) in
            manifest.auxiliary.iter().zip(&self.auxiliary).enumerate()
        {
            let cells = spec.grid.map(|[columns, rows]| columns * rows);
            let fits = tensor.element == Element::F32
                && cells.is_none_or(|cells| tensor.elements() == Some(cells));
            if !fits {
                let message = format!(
                    "is \"{}\", which is {tensor}, must be f32{}",
                    spec.from,
                    cells.map_or_else(String::new, |cells| format!(" with {cells} values"))
                );
                return Err(refused(format!("auxiliary[{index}].from"), message).into());
            }
        }
        Ok(())
    }
}

/// What the observation and the instruction give.
fn observed(manifest: &Manifest) -> Vec<(String, TensorSpec)> {
    let observations = &manifest.observations;
    let mut values = Vec::new();
    for camera in &observations.cameras {
        let spec = TensorSpec::new(Element::F32, &camera.shape());
        values.push((camera.name.clone(), spec));
    }
    for state in &observations.states {
        let spec = TensorSpec::new(Element::F32, &state.shape());
        values.push((state.name.clone(), spec));
    }
    if let Some(text) = &observations.text {
        let shape = [1, text.max_tokens];
        let element = match text.element {
            TokenElement::I64 => Element::I64,
            TokenElement::I32 => Element::I32,
        };
        values.push((text.name.clone(), TensorSpec::new(element, &shape)));
        if let Some(mask) = &text.mask {
            let element = match mask.element {
                MaskElement::Bool => Element::Bool,
                MaskElement::I64 => Element::I64,
                MaskElement::I32 => Element::I32,
                MaskElement::F32 => Element::F32,
            };
            values.push((mask.name.clone(), TensorSpec::new(element, &shape)));
        }
    }
    values
}

/// The values that a stage can read.
struct Known<'a> {
    observed: &'a [(String, TensorSpec)],
    stages: &'a [Stage],
}

impl Known<'_> {
    fn find(&self, name: &str) -> Option<(ValueRef, TensorSpec)> {
        let observed = self.observed.iter().position(|(value, _)| value == name);
        if let Some(index) = observed {
            return Some((ValueRef::Observed(index), self.observed[index].1.clone()));
        }
        let (stage, output) = name.split_once('.')?;
        let index = self.stages.iter().position(|s| s.spec.name == stage)?;
        let stage = &self.stages[index];
        if stage.spec.run == Run::Loop {
            let shape = match stage.spec.method()? {
                Method::Flow(_, sample) | Method::Diffusion(_, sample) => sample.shape.clone(),
                Method::Tokens(tokens) => {
                    let [steps, dim] = tokens.decode.shape();
                    vec![1, steps, dim]
                }
            };
            let spec = TensorSpec::new(Element::F32, &shape);
            return (output == "sample").then_some((ValueRef::Result(index), spec));
        }
        let outputs = stage.graph.outputs();
        let place = outputs.iter().position(|(tensor, _)| tensor == output)?;
        Some((ValueRef::Output(index, place), outputs[place].1.clone()))
    }
}

impl Stage {
    fn load(
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
        let source = Source {
            file: path.clone(),
            bytes: package.read(file)?,
            read: clock.elapsed(),
        };
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
        let source = Source {
            file: file.clone(),
            bytes,
            read: Duration::ZERO,
        };
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

/// How often a value changes.
fn changes_of(manifest: &Manifest, known: &Known<'_>, value: ValueRef) -> Run {
    match value {
        ValueRef::Output(stage, _) => known.stages[stage].spec.run,
        ValueRef::Observed(index) => {
            let name = &known.observed[index].0;
            let text = manifest.observations.text.as_ref();
            let of_text = text.is_some_and(|text| {
                let mask = text.mask.as_ref().map(|mask| &mask.name);
                !text.holds_state() && (text.name == *name || mask == Some(name))
            });
            if of_text {
                Run::Episode
            } else {
                Run::Observation
            }
        }
        _ => Run::Observation,
    }
}

/// What the loop of a stage hands to its graph.
fn loop_value(
    spec: &StageSpec,
    name: &str,
    caches: &[(String, TensorSpec)],
) -> Option<(ValueRef, TensorSpec)> {
    let scalar = |place, element| Some((place, TensorSpec::new(element, &[1])));
    match (spec.method()?, name) {
        (Method::Flow(_, sample) | Method::Diffusion(_, sample), "sample") => Some((
            ValueRef::Sample,
            TensorSpec::new(Element::F32, &sample.shape),
        )),
        (Method::Flow(flow, sample), "time") => match flow.time {
            TimeShape::Scalar => scalar(ValueRef::Time, Element::F32),
            TimeShape::Chunk => Some((
                ValueRef::Time,
                TensorSpec::new(Element::F32, &sample.shape[..2]),
            )),
        },
        (Method::Diffusion(..), "time") => scalar(ValueRef::Time, Element::I64),
        (Method::Tokens(_), "token") => {
            Some((ValueRef::Token, TensorSpec::new(Element::I64, &[1, 1])))
        }
        (Method::Tokens(_), "index") => scalar(ValueRef::Index, Element::I64),
        (Method::Tokens(_), name) => {
            let place = caches.iter().position(|(cache, _)| cache == name)?;
            Some((ValueRef::Cache(place), caches[place].1.clone()))
        }
        _ => None,
    }
}

/// The type of each cache, which is that of the graph's input that reads it.
fn cache_specs(
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

fn token_stage(
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
        Decode::Dct { table, .. } => {
            let content = package.read(table)?;
            serde_json::from_slice(&content).map_err(|e| PackageError::Manifest {
                file: package.path(table),
                message: e.to_string(),
            })?
        }
    };
    Ok(TokenStage {
        first,
        caches,
        logits,
        table,
    })
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
