//! Runs graphs, with any of their tensors as outputs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tract_onnx::pb::{ModelProto, ValueInfoProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::InferenceModelExt;
use tract_onnx::tract_hir::internal::InferenceFact;
use wink_engine::{name_nodes, plain_tract};

use crate::{Graph, QuantizeError};

/// What the runtime feeds a policy at one moment, by feed: `image`, `state`, `tokens`.
pub type Sample = BTreeMap<String, Arc<Tensor>>;

/// Values for a feed of a [`Sample`].
///
/// # Errors
/// When the shape holds another number of values.
pub fn feed<T: Datum + Copy>(shape: &[usize], values: &[T]) -> Result<Arc<Tensor>, QuantizeError> {
    Tensor::from_shape(shape, values)
        .map(Arc::new)
        .map_err(|e| QuantizeError::Sample(format!("{e:#}")))
}

/// A graph ready to run.
pub(crate) struct Engine {
    plan: Arc<TypedSimplePlan>,
    /// Feed of each input, in the plan's order.
    feeds: Vec<String>,
}

impl Engine {
    /// Builds a plan for `model`, wired as `graph` is, that gives the tensors `outputs`. `like` tells the inputs' shapes.
    pub(crate) fn new(
        model: &ModelProto,
        graph: &Graph,
        outputs: &[String],
        like: &Sample,
    ) -> Result<Self, QuantizeError> {
        let words = |e: TractError| QuantizeError::Engine(format!("{e:#}"));
        let mut model = model.clone();
        let Some(proto) = &mut model.graph else {
            return Err(QuantizeError::Engine("it holds no graph".to_owned()));
        };
        name_nodes(proto);
        proto.output = outputs
            .iter()
            .map(|name| ValueInfoProto {
                name: name.clone(),
                ..ValueInfoProto::default()
            })
            .collect();
        let names: Vec<String> = proto
            .input
            .iter()
            .filter(|input| !proto.initializer.iter().any(|t| t.name == input.name))
            .map(|input| input.name.clone())
            .collect();
        let mut plan = plain_tract().model_for_proto_model(&model).map_err(words)?;
        let mut feeds = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let feed = graph.inputs.iter().find(|(_, tensor)| *tensor == name);
            let Some((feed, _)) = feed else {
                return Err(QuantizeError::Sample(format!(
                    "nothing feeds input \"{name}\""
                )));
            };
            let tensor = of(like, feed)?;
            plan.set_input_fact(
                index,
                InferenceFact::dt_shape(tensor.datum_type(), tensor.shape()),
            )
            .map_err(words)?;
            feeds.push(feed.clone());
        }
        let plan = plan
            .into_optimized()
            .and_then(TypedSimplePlan::new)
            .map_err(words)?;
        Ok(Self { plan, feeds })
    }

    /// The outputs for a sample.
    pub(crate) fn run(&self, sample: &Sample) -> Result<TVec<TValue>, QuantizeError> {
        let inputs = self
            .feeds
            .iter()
            .map(|feed| Ok(TValue::from_const(of(sample, feed)?.clone())))
            .collect::<Result<TVec<_>, QuantizeError>>()?;
        self.plan
            .run(inputs)
            .map_err(|e| QuantizeError::Engine(format!("{e:#}")))
    }
}

fn of<'a>(sample: &'a Sample, feed: &str) -> Result<&'a Arc<Tensor>, QuantizeError> {
    sample
        .get(feed)
        .ok_or_else(|| QuantizeError::Sample(format!("nothing is fed to \"{feed}\"")))
}

/// The values of an f32 tensor.
pub(crate) fn values(tensor: &Tensor) -> Result<&[f32], QuantizeError> {
    tensor
        .try_as_plain_ram()
        .and_then(|plain| plain.as_slice::<f32>())
        .map_err(|e| QuantizeError::Engine(format!("an output is not of f32: {e:#}")))
}

/// Adds what the text graph makes of each sample's tokens to the samples.
///
/// # Errors
/// When the graph does not run on them.
pub fn with_text(
    model: &ModelProto,
    graph: &Graph,
    samples: &[Sample],
) -> Result<Vec<Sample>, QuantizeError> {
    let Some(first) = samples.first() else {
        return Ok(Vec::new());
    };
    let (feeds, tensors): (Vec<_>, Vec<_>) = graph.outputs.clone().into_iter().unzip();
    let engine = Engine::new(model, graph, &tensors, first)?;
    let mut known: HashMap<Arc<Tensor>, Vec<Arc<Tensor>>> = HashMap::new();
    let mut out = Vec::with_capacity(samples.len());
    for sample in samples {
        let tokens = of(sample, "tokens")?;
        let text = match known.get(tokens) {
            Some(text) => text.clone(),
            None => {
                let outputs = engine.run(sample)?;
                let text: Vec<_> = outputs
                    .into_iter()
                    .map(IntoArcTensor::into_arc_tensor)
                    .collect();
                known.insert(tokens.clone(), text.clone());
                text
            }
        };
        let mut sample = sample.clone();
        sample.extend(feeds.iter().cloned().zip(text));
        out.push(sample);
    }
    Ok(out)
}

/// The actions of the act graph for samples that hold everything it is fed.
pub(crate) fn actions(
    model: &ModelProto,
    graph: &Graph,
    samples: &[Sample],
) -> Result<Vec<Vec<f32>>, QuantizeError> {
    let Some(first) = samples.first() else {
        return Ok(Vec::new());
    };
    let outputs: Vec<String> = graph.outputs.values().cloned().collect();
    let engine = Engine::new(model, graph, &outputs, first)?;
    let mut out = Vec::with_capacity(samples.len());
    for sample in samples {
        let run = engine.run(sample)?;
        let action = run
            .first()
            .ok_or_else(|| QuantizeError::Engine("the act graph has no output".to_owned()))?;
        out.push(values(action)?.to_vec());
    }
    Ok(out)
}

/// Root mean square and largest difference of normalised actions.
#[must_use]
pub fn action_error(actions: &[Vec<f32>], wanted: &[Vec<f32>]) -> (f32, f32) {
    let (mut squares, mut count, mut largest) = (0.0_f64, 0_usize, 0.0_f32);
    for (action, wanted) in actions.iter().flatten().zip(wanted.iter().flatten()) {
        let error = (action - wanted).abs();
        squares += f64::from(error * error);
        largest = largest.max(error);
        count += 1;
    }
    ((squares / count.max(1) as f64).sqrt() as f32, largest)
}
