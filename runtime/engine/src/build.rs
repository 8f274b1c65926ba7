//! From the bytes of a file to a [`Graph`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::cast::cast;
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_hir::infer::InferenceModelExt;
use tract_onnx::tract_hir::internal::InferenceFact;

use crate::budget;
use crate::contain::contain;
use crate::error::{EngineError, one_line};
use crate::graph::{Graph, Runner};
use crate::import::lower::{self, Fixed};
use crate::import::{self, GraphInfo, TensorInfo, name_nodes, plain_tract, shape_text};
use crate::plan::{LoadTimes, Program, Rate, macs};
use crate::rewrite::{Fusion, fuse};
use crate::rounding::Rounding;
use crate::source::{Source, folder_of};
use crate::tensor::{Element, TensorSpec, datum_name};

/// Who runs a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Execution {
    /// This crate: fused ops, small ones between them, and tract for what neither can do. Fused ops leave out roundings that the
    /// file states between the operators that they replace: quantisations, and half precision.
    #[default]
    Fused,
    /// This crate with every rounding of the file, done as ONNX Runtime does it on a CPU: for checking what a file computes. Slower
    /// where a file is quantised or of half precision; elsewhere the same as [`Execution::Fused`].
    AsWritten,
    /// Tract alone, for comparison.
    Plain,
}

impl Execution {
    fn rounding(self) -> Rounding {
        match self {
            Self::AsWritten => Rounding::AsWritten,
            Self::Fused | Self::Plain => Rounding::Fused,
        }
    }
}

/// What an input of a graph is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Name of the input.
    pub tensor: String,
    /// Type and shape of what it is given.
    pub spec: TensorSpec,
    /// How often it changes.
    pub rate: Rate,
}

impl Graph {
    /// Loads a graph. `feeds` says what each input will be given, `outputs` which tensors are wanted and in which order; what only
    /// other outputs need is not computed.
    ///
    /// # Errors
    /// When the file is broken, has an op that nothing here computes, or an input or output that does not fit.
    pub fn load(
        source: Source,
        execution: Execution,
        feeds: Vec<Feed>,
        outputs: &[String],
    ) -> Result<Self, EngineError> {
        build(Parsed::new(source)?, execution, feeds, outputs)
    }
}

/// A decoded file.
pub(crate) struct Parsed {
    file: PathBuf,
    model: ModelProto,
    load: LoadTimes,
}

impl Parsed {
    pub(crate) fn new(source: Source) -> Result<Self, EngineError> {
        let clock = Instant::now();
        let (model, file, read) = source.consume()?;
        let load = LoadTimes {
            read,
            parse: clock.elapsed(),
            ..LoadTimes::default()
        };
        Ok(Self { file, model, load })
    }

    /// Makes an input a constant of this value.
    pub(crate) fn fix(&mut self, name: &str, value: &import::Value<'_>) {
        if let Some(graph) = &mut self.model.graph {
            graph.initializer.push(value.to_proto(name));
        }
    }

    /// As [`Source::info`].
    pub(crate) fn info(&self) -> Result<GraphInfo, EngineError> {
        import::inspect(&self.model, |_| true).map_err(|message| EngineError::Graph {
            file: self.file.clone(),
            message: one_line(&message),
        })
    }
}

pub(crate) fn build(
    parsed: Parsed,
    execution: Execution,
    feeds: Vec<Feed>,
    outputs: &[String],
) -> Result<Graph, EngineError> {
    let Parsed {
        file,
        mut model,
        mut load,
    } = parsed;
    let refused = |message: String| EngineError::Graph {
        file: file.clone(),
        message: one_line(&message),
    };
    let clock = Instant::now();
    if let Some(graph) = &mut model.graph {
        name_nodes(graph);
    }
    let mut framework = plain_tract();
    if execution != Execution::Plain {
        import::register(&mut framework.op_register);
    }
    let known = |op: &str| import::knows(&framework, op);
    let info = import::inspect(&model, known).map_err(refused)?;
    let feeds = match_inputs(&info, feeds, &file)?;
    keep_outputs(&mut model, outputs, &file)?;
    contain(|| lower::lower(&mut model, &fixed(&feeds), execution.rounding())).map_err(refused)?;
    load.parse += clock.elapsed();
    let built = contain(|| optimise(&framework, model, &file, &feeds, execution, &mut load));
    let (plan, macs, mut fusion) = built.map_err(refused)?;
    let outputs = output_specs(&plan, outputs).map_err(refused)?;
    let rates: Vec<Rate> = feeds.iter().map(|feed| feed.rate).collect();
    let runner = match execution {
        Execution::Fused | Execution::AsWritten => {
            let program = contain(|| {
                let program = Program::new(plan, &rates).map_err(words)?;
                budget::check_buffers(program.buffers())?;
                Ok(program)
            });
            let program = program.map_err(refused)?;
            if let Some(fusion) = &mut fusion {
                [fusion.small, fusion.engine] = program.count();
                fusion.once = program.kept();
            }
            Runner::Program(Arc::new(program))
        }
        Execution::Plain => Runner::Plain(plan),
    };
    let inputs = feeds.into_iter().map(|feed| (feed.tensor, feed.spec));
    Ok(Graph {
        inputs: inputs.collect(),
        file,
        info,
        macs,
        outputs,
        fusion,
        load,
        runner,
    })
}

fn fixed(feeds: &[Feed]) -> Vec<Fixed> {
    let feeds = feeds.iter().filter_map(|feed| {
        Some(Fixed {
            name: feed.tensor.clone(),
            element: import::Element::of_datum(feed.spec.element.datum())?,
            shape: feed.spec.shape.clone(),
        })
    });
    feeds.collect()
}

/// Every input of the file must be fed and fit what feeds it. In the order of the file.
fn match_inputs(
    info: &GraphInfo,
    mut feeds: Vec<Feed>,
    file: &Path,
) -> Result<Vec<Feed>, EngineError> {
    let unknown = feeds
        .iter()
        .find(|feed| !info.inputs.iter().any(|input| input.name == feed.tensor));
    if let Some(feed) = unknown {
        return Err(EngineError::NoInput {
            file: file.to_owned(),
            tensor: feed.tensor.clone(),
        });
    }
    let mut ordered = Vec::new();
    for input in &info.inputs {
        let Some(at) = feeds.iter().position(|feed| feed.tensor == input.name) else {
            return Err(EngineError::Unfed {
                file: file.to_owned(),
                tensor: input.name.clone(),
            });
        };
        let feed = feeds.swap_remove(at);
        check_fit(input, &feed.spec, file)?;
        ordered.push(feed);
    }
    Ok(ordered)
}

/// Open axes of the file fit anything.
fn check_fit(tensor: &TensorInfo, fed: &TensorSpec, file: &Path) -> Result<(), EngineError> {
    let axes = tensor.shape.iter().zip(&fed.shape);
    let fits = tensor.element == fed.element.name()
        && tensor.shape.len() == fed.shape.len()
        && axes
            .into_iter()
            .all(|(axis, &fed)| axis.is_none_or(|axis| axis == fed as u64));
    if fits {
        return Ok(());
    }
    Err(EngineError::Unfit {
        file: file.to_owned(),
        tensor: tensor.name.clone(),
        found: format!("{}{}", tensor.element, shape_text(&tensor.shape)),
        fed: fed.to_string(),
    })
}

/// Keeps the outputs that are wanted, in this order; tract then drops what only others needed.
fn keep_outputs(
    model: &mut ModelProto,
    outputs: &[String],
    file: &Path,
) -> Result<(), EngineError> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut kept = Vec::new();
    for name in outputs {
        let Some(output) = graph.output.iter().find(|output| output.name == *name) else {
            return Err(EngineError::NoOutput {
                file: file.to_owned(),
                tensor: name.clone(),
            });
        };
        kept.push(output.clone());
    }
    graph.output = kept;
    Ok(())
}

fn optimise(
    framework: &tract_onnx::Onnx,
    mut model: ModelProto,
    file: &Path,
    feeds: &[Feed],
    execution: Execution,
    load: &mut LoadTimes,
) -> Result<(Arc<TypedSimplePlan>, u64, Option<Fusion>), String> {
    let clock = Instant::now();
    let weights = model.graph.as_mut().map(import::take_large);
    // Large weights in other files are read from the folder.
    let folder = folder_of(file).to_str();
    let mut graph = framework.parse(&model, folder).map_err(words)?.model;
    import::put_back(&mut graph, weights.unwrap_or_default()).map_err(words)?;
    drop(model);
    for (index, Feed { spec, .. }) in feeds.iter().enumerate() {
        graph
            .set_input_fact(
                index,
                InferenceFact::dt_shape(spec.element.datum(), &*spec.shape),
            )
            .map_err(words)?;
    }
    let mut graph = graph.into_typed().map_err(words)?;
    budget::check_tensors(&graph)?;
    number_outputs(&mut graph).map_err(words)?;
    start_anew(&mut graph);
    let (graph, fusion) = match execution {
        Execution::Fused | Execution::AsWritten => {
            let (mut graph, fusion) = fuse(graph, execution.rounding()).map_err(words)?;
            crate::ops::keep_quotients(&mut graph, execution.rounding()).map_err(words)?;
            (graph, Some(fusion))
        }
        Execution::Plain => (graph, None),
    };
    load.rewrite = clock.elapsed();
    let clock = Instant::now();
    let graph = graph.into_decluttered().map_err(words)?;
    let macs = count_macs(&graph);
    budget::check_work(macs)?;
    let mut graph = graph;
    if execution != Execution::Plain {
        crate::ops::replace(&mut graph);
    }
    graph.optimize().map_err(words)?;
    let plan = TypedSimplePlan::new(graph).map_err(words)?;
    load.optimise = clock.elapsed();
    Ok((plan, macs, fusion))
}

/// Outputs that tract computes in symbolic dimensions become int64 again.
fn number_outputs(graph: &mut TypedModel) -> TractResult<()> {
    let mut outputs = graph.outputs.clone();
    for (index, output) in outputs.iter_mut().enumerate() {
        if graph.outlet_fact(*output)?.datum_type == TDim::datum_type() {
            let name = format!("{}.output.{index}", graph.node(output.node).name);
            *output = graph.wire_node(name, cast(i64::datum_type()), &[*output])?[0];
        }
    }
    graph.select_output_outlets(&outputs)
}

/// In ONNX a loop or a recurrent layer starts from its initial state in each run; tract would go on from the last run's.
fn start_anew(graph: &mut TypedModel) {
    for node in graph.nodes_mut() {
        if let Some(scan) = node.op_as_mut::<Scan>() {
            scan.reset_every_turn = true;
            start_anew(&mut scan.body);
        }
    }
}

fn count_macs(graph: &TypedModel) -> u64 {
    graph.nodes().iter().map(|node| macs(graph, node)).sum()
}

fn output_specs(
    plan: &TypedSimplePlan,
    names: &[String],
) -> Result<Vec<(String, TensorSpec)>, String> {
    let mut specs = Vec::new();
    for (index, name) in names.iter().enumerate() {
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
        let Some(element) = Element::of(fact.datum_type) else {
            return Err(format!(
                "output \"{name}\" is of {}, which cannot be read",
                datum_name(fact.datum_type)
            ));
        };
        specs.push((name.clone(), TensorSpec::new(element, shape)));
    }
    Ok(specs)
}

fn words(error: TractError) -> String {
    format!("{error:#}")
}
