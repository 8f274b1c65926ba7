//! One ONNX graph of a package, checked against `policy.json` and built into a plan that threads share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::InferenceModelExt;
use tract_onnx::tract_hir::internal::{Framework, InferenceFact};
use wink_kernels::Pool;

use super::guard::{self, GraphInfo, MAX_TENSOR_ELEMENTS, TensorInfo, shape_text};
use super::manifest::GraphSpec;
use super::names::name_nodes;
use super::profile::{self, LoadTimes, OpTime};
use super::{Package, PolicyError};
use crate::executor::{Memory, Program};
use crate::fused::{Fusion, with_pool};
use crate::ops::View;

/// The engine's messages quote whole tensors.
const MAX_MESSAGE: usize = 300;

/// Element type and shape of a tensor that the runtime hands to a graph or expects of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorSpec {
    pub(crate) element: DatumType,
    pub(crate) shape: Vec<usize>,
}

impl TensorSpec {
    pub(crate) fn f32(shape: &[usize]) -> Self {
        Self {
            element: DatumType::F32,
            shape: shape.to_vec(),
        }
    }

    pub(crate) fn i64(shape: &[usize]) -> Self {
        Self {
            element: DatumType::I64,
            shape: shape.to_vec(),
        }
    }

    fn element_name(&self) -> String {
        format!("{:?}", self.element).to_lowercase()
    }
}

impl std::fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.element_name(), self.shape)
    }
}

/// What is fed to an input.
pub(crate) struct Feed {
    pub(crate) spec: TensorSpec,
    /// Whether it stays the same for many runs, until [`State::refresh`].
    pub(crate) steady: bool,
}

/// A graph that is ready to run. Cheap to clone and shared by threads; each thread has its own [`State`].
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) file: PathBuf,
    pub(crate) info: GraphInfo,
    /// Multiply-accumulates of one run.
    pub(crate) macs: u64,
    /// Feed and type of each input, in the plan's order.
    pub(crate) inputs: Vec<(String, TensorSpec)>,
    /// Name and type of each output, in the plan's order.
    pub(crate) outputs: Vec<(String, TensorSpec)>,
    /// What became of the products, where the fast path was asked for.
    pub(crate) fusion: Option<Fusion>,
    /// How long each step of loading took.
    pub(crate) load: LoadTimes,
    pub(super) runner: Runner,
}

/// What goes through the ops of a graph.
#[derive(Debug, Clone)]
pub(super) enum Runner {
    Program(Arc<Program>),
    Plain(Arc<Plan>),
}

/// Who runs a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Execution {
    /// The runtime: fused ops, small ones between them, and the engine for what neither can do.
    #[default]
    Fused,
    /// The engine alone, for comparison.
    Plain,
}

type Plan = TypedSimplePlan;

/// Tensors of one thread, and the threads that help it.
#[derive(Debug, Clone)]
pub(crate) struct State {
    tensors: Tensors,
    pub(crate) pool: Arc<Pool>,
}

#[derive(Debug, Clone)]
enum Tensors {
    Program(Memory),
    Plain {
        plan: TypedSimpleState,
        outputs: TVec<TValue>,
    },
}

impl State {
    /// Steady inputs have changed.
    pub(crate) fn refresh(&mut self) {
        if let Tensors::Program(memory) = &mut self.tensors {
            memory.refresh();
        }
    }
}

/// The outputs of a run.
pub(crate) struct Outputs<'a> {
    graph: &'a Graph,
    state: &'a State,
    inputs: &'a [Arc<Tensor>],
}

impl<'a> Outputs<'a> {
    /// The output of this number, if there is one.
    pub(crate) fn view(&self, index: usize) -> Option<View<'a>> {
        match (&self.graph.runner, &self.state.tensors) {
            (Runner::Program(program), Tensors::Program(memory)) => {
                program.output(memory, self.inputs, index).ok()
            }
            (_, Tensors::Plain { outputs, .. }) => View::of(outputs.get(index)?).ok(),
            _ => None,
        }
    }

    /// Its values, where it is of f32.
    pub(crate) fn floats(&self, index: usize) -> Option<&'a [f32]> {
        self.view(index)?.values().ok()
    }
}

impl Graph {
    /// Loads the graph of `spec`; `feed` says what each feed looks like.
    pub(crate) fn load(
        package: &Package,
        spec: &GraphSpec,
        execution: Execution,
        feed: impl Fn(&str) -> Option<Feed>,
    ) -> Result<Self, PolicyError> {
        let clock = Instant::now();
        let bytes = package.read(&spec.file)?;
        let read = clock.elapsed();
        let mut graph = Self::from_bytes(bytes, spec, execution, &package.path(&spec.file), feed)?;
        graph.load.read = read;
        Ok(graph)
    }

    /// The same from the bytes of a file, which are freed as soon as they are decoded.
    pub(crate) fn from_bytes(
        bytes: Vec<u8>,
        spec: &GraphSpec,
        execution: Execution,
        file: &Path,
        feed: impl Fn(&str) -> Option<Feed>,
    ) -> Result<Self, PolicyError> {
        build(bytes, spec, execution, feed)
            .map(|parts| Graph {
                file: file.to_owned(),
                ..parts
            })
            .map_err(|message| PolicyError::Graph {
                file: file.to_owned(),
                message: one_line(&message),
            })
    }

    /// Scratch memory for one thread.
    pub(crate) fn state(&self, pool: &Arc<Pool>) -> Result<State, PolicyError> {
        let tensors = guard::contain(|| {
            let tensors = match &self.runner {
                Runner::Program(program) => program.memory().map(Tensors::Program),
                Runner::Plain(plan) => plan.spawn().map(|plan| Tensors::Plain {
                    plan,
                    outputs: tvec![],
                }),
            };
            tensors.map_err(|e| format!("{e:#}"))
        });
        Ok(State {
            tensors: tensors.map_err(|message| self.failed(&message))?,
            pool: pool.clone(),
        })
    }

    /// Runs the graph; `times` gets a time for each of [`Graph::ops`]. After an error the state is replaced, so that nothing of
    /// the failed run stays behind.
    pub(crate) fn run<'a>(
        &'a self,
        state: &'a mut State,
        inputs: &'a [Arc<Tensor>],
        times: Option<&mut Vec<OpTime>>,
    ) -> Result<Outputs<'a>, PolicyError> {
        let State { tensors, pool } = state;
        let result = with_pool(pool, || {
            guard::contain(|| {
                let ran = match (&self.runner, tensors) {
                    (Runner::Program(program), Tensors::Program(memory)) => {
                        program.run(memory, inputs, times)
                    }
                    (_, Tensors::Plain { plan, outputs }) => {
                        profile::run_plain(plan, inputs, times).map(|made| *outputs = made)
                    }
                    _ => Err(TractError::msg("the state is of another graph")),
                };
                ran.map_err(|e| format!("{e:#}"))
            })
        });
        if let Err(message) = result {
            *state = self.state(&state.pool)?;
            return Err(self.failed(&message));
        }
        Ok(Outputs {
            graph: self,
            state,
            inputs,
        })
    }

    fn failed(&self, message: &str) -> PolicyError {
        PolicyError::Inference {
            file: self.file.clone(),
            message: one_line(message),
        }
    }
}

/// Everything of [`Graph`] but the file.
fn build(
    bytes: Vec<u8>,
    spec: &GraphSpec,
    execution: Execution,
    feed: impl Fn(&str) -> Option<Feed>,
) -> Result<Graph, String> {
    let mut load = LoadTimes::default();
    let clock = Instant::now();
    let mut model = guard::parse(&bytes)?;
    drop(bytes);
    if let Some(graph) = &mut model.graph {
        name_nodes(graph);
    }
    let mut framework = super::plain_engine();
    if execution == Execution::Fused {
        crate::fused::register(&mut framework.op_register);
    }
    let info = guard::inspect(&model, |op| framework.op_register.0.contains_key(op))?;
    let inputs = match_inputs(&info, spec, feed)?;
    keep_outputs(&mut model, spec)?;
    let outputs: Vec<String> = spec.outputs.keys().cloned().collect();
    load.parse = clock.elapsed();
    let built = guard::contain(|| optimise(&framework, model, &inputs, execution, &mut load))?;
    let (plan, macs, mut fusion) = built;
    let outputs = output_specs(&plan, outputs)?;
    let steady: Vec<bool> = inputs.iter().map(|(_, feed)| feed.steady).collect();
    let runner = match execution {
        Execution::Fused => {
            let program = guard::contain(|| Program::new(plan, &steady).map_err(words))?;
            if let Some(fusion) = &mut fusion {
                [fusion.small, fusion.engine] = program.count();
                fusion.once = program.steady();
            }
            Runner::Program(Arc::new(program))
        }
        Execution::Plain => Runner::Plain(plan),
    };
    let inputs = inputs.into_iter().map(|(name, feed)| (name, feed.spec));
    let inputs = inputs.collect();
    Ok(Graph {
        file: PathBuf::new(),
        info,
        macs,
        inputs,
        outputs,
        fusion,
        load,
        runner,
    })
}

/// Every input of the file must be fed and fit what feeds it. In the order of the file.
fn match_inputs(
    info: &GraphInfo,
    spec: &GraphSpec,
    feed: impl Fn(&str) -> Option<Feed>,
) -> Result<Vec<(String, Feed)>, String> {
    for (name, tensor) in &spec.inputs {
        if !info.inputs.iter().any(|input| input.name == *tensor) {
            return Err(format!(
                "has no input \"{}\", to which policy.json feeds \"{name}\"",
                tensor.escape_debug()
            ));
        }
    }
    let mut inputs = Vec::new();
    for input in &info.inputs {
        let Some((name, _)) = spec
            .inputs
            .iter()
            .find(|(_, tensor)| **tensor == input.name)
        else {
            return Err(format!(
                "input \"{}\" is fed by nothing in policy.json",
                input.name.escape_debug()
            ));
        };
        let Some(given) = feed(name) else {
            return Err(format!("nothing feeds \"{name}\""));
        };
        check_fit("input", input, &given.spec)?;
        inputs.push((name.clone(), given));
    }
    Ok(inputs)
}

/// Open axes of the file fit anything.
pub(crate) fn check_fit(
    side: &str,
    tensor: &TensorInfo,
    wanted: &TensorSpec,
) -> Result<(), String> {
    let axes = tensor.shape.iter().zip(&wanted.shape);
    let fits = tensor.element == wanted.element_name()
        && tensor.shape.len() == wanted.shape.len()
        && axes
            .into_iter()
            .all(|(axis, &wanted)| axis.is_none_or(|axis| axis == wanted as u64));
    if fits {
        return Ok(());
    }
    let found = format!("{}{}", tensor.element, shape_text(&tensor.shape));
    Err(format!(
        "{side} \"{}\" is {found} in the graph, policy.json makes it {wanted}",
        tensor.name.escape_debug()
    ))
}

/// Keeps the outputs that `policy.json` names, in its order; the engine then drops what only others needed.
fn keep_outputs(model: &mut ModelProto, spec: &GraphSpec) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut kept = Vec::new();
    for (name, tensor) in &spec.outputs {
        let Some(output) = graph.output.iter().find(|output| output.name == *tensor) else {
            return Err(format!(
                "has no output \"{}\", which policy.json takes as \"{name}\"",
                tensor.escape_debug()
            ));
        };
        kept.push(output.clone());
    }
    graph.output = kept;
    Ok(())
}

fn optimise(
    framework: &tract_onnx::Onnx,
    model: ModelProto,
    inputs: &[(String, Feed)],
    execution: Execution,
    load: &mut LoadTimes,
) -> Result<(Arc<Plan>, u64, Option<Fusion>), String> {
    let clock = Instant::now();
    let mut graph = framework.model_for_proto_model(&model).map_err(words)?;
    // As large as all weights, which the graph has now.
    drop(model);
    for (index, (_, Feed { spec, .. })) in inputs.iter().enumerate() {
        graph
            .set_input_fact(index, InferenceFact::dt_shape(spec.element, &*spec.shape))
            .map_err(words)?;
    }
    let graph = graph.into_typed().map_err(words)?;
    check_sizes(&graph)?;
    let (graph, fusion) = match execution {
        Execution::Fused => {
            let (graph, fusion) = crate::fused::fuse(graph).map_err(words)?;
            (graph, Some(fusion))
        }
        Execution::Plain => (graph, None),
    };
    load.rewrite = clock.elapsed();
    let clock = Instant::now();
    let graph = graph.into_decluttered().map_err(words)?;
    let macs = count_macs(&graph);
    let mut graph = graph;
    if execution == Execution::Fused {
        crate::ops::replace(&mut graph);
    }
    graph.optimize().map_err(words)?;
    let plan = TypedSimplePlan::new(graph).map_err(words)?;
    load.optimise = clock.elapsed();
    Ok((plan, macs, fusion))
}

/// A few bytes of ONNX can ask for any amount of memory.
fn check_sizes(graph: &TypedModel) -> Result<(), String> {
    for node in graph.nodes() {
        for output in &node.outputs {
            let elements = output.fact.shape.as_concrete().and_then(|shape| {
                shape
                    .iter()
                    .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
            });
            if elements.is_none_or(|elements| elements > MAX_TENSOR_ELEMENTS) {
                return Err(format!(
                    "node \"{}\": shape {:?} is not fixed or too large",
                    node.name.escape_debug(),
                    output.fact.shape
                ));
            }
        }
    }
    Ok(())
}

fn count_macs(graph: &TypedModel) -> u64 {
    graph
        .nodes()
        .iter()
        .map(|node| profile::macs(graph, node))
        .sum()
}

fn output_specs(plan: &Plan, names: Vec<String>) -> Result<Vec<(String, TensorSpec)>, String> {
    let mut specs = Vec::new();
    for (index, name) in names.into_iter().enumerate() {
        let fact = plan
            .model()
            .output_fact(index)
            .map_err(|e| format!("{e:#}"))?;
        let Some(shape) = fact.shape.as_concrete() else {
            return Err(format!(
                "output \"{name}\" has an open shape {:?}",
                fact.shape
            ));
        };
        specs.push((
            name,
            TensorSpec {
                element: fact.datum_type,
                shape: shape.to_vec(),
            },
        ));
    }
    Ok(specs)
}

fn words(error: TractError) -> String {
    format!("{error:#}")
}

fn one_line(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_MESSAGE) {
        line.truncate(end);
        line.push_str(" ...");
    }
    line
}
