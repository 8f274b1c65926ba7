//! A graph run once on tensors of any element type.

use std::path::Path;

use crate::build::{Execution, Feed, Source};
use crate::error::EngineError;
use crate::graph::Graph;
use crate::import::{self, Element, Value, reference};
use crate::plan::Rate;
use crate::tensor::{self, Tensor, TensorError, TensorSpec, View};

/// Loads an ONNX file for inputs of these shapes, runs it once and returns all outputs in the order of the file.
///
/// # Errors
/// When the file is refused, an input is missing, extra or of another type, or the run fails.
pub fn run_once(
    file: &Path,
    execution: Execution,
    inputs: &[(String, Value<'_>)],
) -> Result<Vec<(String, Value<'static>)>, EngineError> {
    let source = Source::open(file)?;
    let info = source.info()?;
    let refused = |message: String| EngineError::Graph {
        file: file.to_owned(),
        message,
    };
    let mut feeds = vec![];
    for (name, value) in inputs {
        let element = fed_as(value.element);
        let element = element.ok_or_else(|| {
            refused(format!(
                "input \"{}\": {} cannot be fed",
                name.escape_debug(),
                value.element
            ))
        })?;
        feeds.push(Feed {
            tensor: name.clone(),
            spec: TensorSpec::new(element, &value.shape),
            rate: Rate(0),
        });
    }
    let names: Vec<String> = info.outputs.into_iter().map(|output| output.name).collect();
    let graph = Graph::load(source, execution, feeds, &names)?;
    let mut tensors: Vec<Tensor> = vec![];
    for (name, spec) in graph.inputs() {
        let value = inputs.iter().find(|(given, _)| given == name);
        let (_, value) = value
            .ok_or_else(|| refused(format!("input \"{}\" is not given", name.escape_debug())))?;
        let tensor = tensor_of(spec, value)?;
        tensors.push(tensor);
    }
    let mut state = graph.state()?;
    graph.run(&mut state, &*tensors, Rate(0))?;
    let mut all = vec![];
    for (index, name) in names.into_iter().enumerate() {
        let view: View<'_> = graph.output(&state, index)?;
        let element = view
            .element()
            .and_then(|element| Element::of_datum(element.datum()));
        let element = element.ok_or_else(|| {
            refused(format!(
                "output \"{}\" is of a type that cannot be read",
                name.escape_debug()
            ))
        })?;
        all.push((
            name,
            Value::borrowed(element, view.shape(), view.bytes()).into_owned(),
        ));
    }
    Ok(all)
}

/// The outputs of the same file computed node by node, slowly, from the definitions of the standard's operators alone: what fast results
/// are compared with.
///
/// # Errors
/// When the file is refused, or has an operator or a form of one that has no such definition here.
pub fn run_reference(
    file: &Path,
    inputs: &[(String, Value<'static>)],
) -> Result<Vec<(String, Value<'static>)>, EngineError> {
    let source = Source::open(file)?;
    let refused = |message: String| EngineError::Graph {
        file: file.to_owned(),
        message,
    };
    let model = import::parse(&source.bytes, file.parent().unwrap_or(file)).map_err(refused)?;
    reference::run(&model, inputs).map_err(refused)
}

fn fed_as(element: Element) -> Option<tensor::Element> {
    tensor::Element::named(element.name())
}

fn tensor_of(spec: &TensorSpec, value: &Value<'_>) -> Result<Tensor, TensorError> {
    let view = View::new(spec.element, &spec.shape, &value.bytes);
    // Bytes that were read into a vector of their own need not lie where wider numbers must.
    match view {
        Err(TensorError::Misaligned(_)) => {
            let mut tensor = Tensor::zeros(spec.clone())?;
            let bytes = tensor.bytes_mut()?;
            let count = bytes.len().min(value.bytes.len());
            bytes[..count].copy_from_slice(&value.bytes[..count]);
            Ok(tensor)
        }
        view => Tensor::copy_of(view?),
    }
}
