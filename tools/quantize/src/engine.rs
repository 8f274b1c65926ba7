//! Runs graphs, with any of their tensors as outputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TypeProto, ValueInfoProto, type_proto};
use wink_engine::{Execution, Feed, Graph, Rate, Source, State, Tensor, View};

use crate::QuantizeError;

/// What a graph is fed at one run, by the names of its tensors.
pub type Sample = BTreeMap<String, Tensor>;

/// Everything may change from run to run.
const ALWAYS: Rate = Rate(0);

/// A graph ready to run.
pub struct Runner {
    graph: Graph,
    state: State,
    /// Inputs in the order in which they are fed.
    inputs: Vec<String>,
    /// Where each tensor that was asked for is found.
    outputs: Vec<Found>,
}

enum Found {
    /// An output of the graph.
    Output(usize),
    /// An input, which the caller has.
    Input(String),
}

impl Runner {
    /// Gets `model` ready to give the tensors `outputs`. `like` tells the types and shapes of its inputs.
    ///
    /// # Errors
    /// When a tensor is fed that is no input, an input is not fed, or the engine refuses the graph.
    pub fn new(
        mut model: ModelProto,
        outputs: &[String],
        like: &Sample,
    ) -> Result<Self, QuantizeError> {
        let graph = model.graph.get_or_insert_default();
        let held = &graph.initializer;
        let inputs = graph.input.iter().map(|input| &input.name);
        let inputs: Vec<String> = inputs
            .filter(|name| !held.iter().any(|tensor| tensor.name == **name))
            .cloned()
            .collect();
        for name in outputs.iter().filter(|name| !like.contains_key(*name)) {
            if !graph.output.iter().any(|output| output.name == *name) {
                graph.output.push(floats_of_any_shape(name));
            }
        }
        let file = PathBuf::from("the float graph");
        let source = Source::of_parts(file, vec![model.encode_to_vec()], Duration::ZERO);
        drop(model);
        Self::load(source, inputs.iter(), outputs, like)
    }

    /// Gets the graph of a file ready to give those of its outputs that are named. `like` tells the types and shapes of its inputs.
    ///
    /// # Errors
    /// As for [`Runner::new`], and when the file cannot be read.
    pub fn open(file: &Path, outputs: &[String], like: &Sample) -> Result<Self, QuantizeError> {
        let source = Source::open(file).map_err(engine)?;
        Self::load(source, like.keys(), outputs, like)
    }

    fn load<'a>(
        source: Source,
        inputs: impl Iterator<Item = &'a String>,
        outputs: &[String],
        like: &Sample,
    ) -> Result<Self, QuantizeError> {
        let mut made = Vec::new();
        let found = outputs
            .iter()
            .map(|name| {
                if like.contains_key(name) {
                    return Found::Input(name.clone());
                }
                made.push(name.clone());
                Found::Output(made.len() - 1)
            })
            .collect();
        let feeds = inputs
            .map(|name| {
                Ok(Feed {
                    tensor: name.clone(),
                    spec: of(like, name)?.spec().clone(),
                    rate: ALWAYS,
                })
            })
            .collect::<Result<Vec<_>, QuantizeError>>()?;
        let graph = Graph::load(source, Execution::default(), feeds, &made).map_err(engine)?;
        Ok(Self {
            state: graph.state().map_err(engine)?,
            inputs: graph
                .inputs()
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
            graph,
            outputs: found,
        })
    }

    /// Runs a sample.
    ///
    /// # Errors
    /// When it lacks an input, or has one of another type or shape.
    pub fn run(&mut self, sample: &Sample) -> Result<(), QuantizeError> {
        let inputs = self
            .inputs
            .iter()
            .map(|name| Ok(of(sample, name)?.view()))
            .collect::<Result<Vec<View<'_>>, QuantizeError>>()?;
        self.graph
            .run(&mut self.state, inputs.as_slice(), ALWAYS)
            .map_err(engine)
    }

    /// Values and shape of one of the tensors that were asked for, after a run of `sample`.
    ///
    /// # Errors
    /// When it is not of f32.
    pub fn output<'a>(
        &'a self,
        place: usize,
        sample: &'a Sample,
    ) -> Result<(&'a [f32], &'a [usize]), QuantizeError> {
        let view = self.view(place, sample)?;
        let values = view
            .values::<f32>()
            .map_err(|error| QuantizeError::Engine(error.to_string()))?;
        Ok((values, view.shape()))
    }

    /// One of the tensors that were asked for, of any type, after a run of `sample`.
    ///
    /// # Errors
    /// When there is no such tensor.
    pub fn view<'a>(&'a self, place: usize, sample: &'a Sample) -> Result<View<'a>, QuantizeError> {
        match self.outputs.get(place) {
            Some(Found::Input(name)) => Ok(of(sample, name)?.view()),
            Some(Found::Output(index)) => self.graph.output(&self.state, *index).map_err(engine),
            None => Err(QuantizeError::Engine("there is no such output".to_owned())),
        }
    }
}

/// An output of f32, which is what enters products.
fn floats_of_any_shape(name: &str) -> ValueInfoProto {
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        ..type_proto::Tensor::default()
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn of<'a>(sample: &'a Sample, name: &str) -> Result<&'a Tensor, QuantizeError> {
    sample
        .get(name)
        .ok_or_else(|| QuantizeError::Sample(format!("nothing is fed to \"{name}\"")))
}

fn engine(error: wink_engine::EngineError) -> QuantizeError {
    QuantizeError::Engine(error.to_string())
}
