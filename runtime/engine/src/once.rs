//! A graph run once on tensors of any element type.

use std::path::Path;

use crate::build::{Execution, Feed, Parsed, build};
use crate::error::EngineError;
use crate::import::{Element, Value, reference};
use crate::plan::Rate;
use crate::source::Source;
use crate::tensor::{self, Tensor, TensorError, TensorSpec, View};

/// Elements up to which an input may say how large something is.
const MOST_SIZES: usize = 64;

/// Loads an ONNX file for inputs of these shapes, runs it once and returns all outputs in the order of the file. Where shapes depend on
/// the values of small inputs (a `Reshape` to a shape that is an input), the file is loaded for these values.
///
/// # Errors
/// When the file is refused, an input is missing, extra or of another type, or the run fails.
pub fn run_once(
    file: &Path,
    execution: Execution,
    inputs: &[(String, Value<'_>)],
) -> Result<Vec<(String, Value<'static>)>, EngineError> {
    let ran = run_for(file, execution, inputs, |_| false);
    let small = |value: &Value<'_>| value.len() <= MOST_SIZES;
    match ran {
        Err(error @ EngineError::Graph { .. }) if inputs.iter().any(|(_, value)| small(value)) => {
            // What is wrong with a file that cannot be run so either is what was wrong at first.
            run_for(file, execution, inputs, small).map_err(|_| error)
        }
        ran => ran,
    }
}

/// [`run_once`], with the inputs that are `fixed` as constants of the file.
fn run_for(
    file: &Path,
    execution: Execution,
    inputs: &[(String, Value<'_>)],
    fixed: impl Fn(&Value<'_>) -> bool,
) -> Result<Vec<(String, Value<'static>)>, EngineError> {
    let source = Source::open(file)?;
    let refused = |message: String| EngineError::Graph {
        file: file.to_owned(),
        message,
    };
    let mut parsed = Parsed::new(source)?;
    let info = parsed.info()?;
    let mut tensors: Vec<(&str, Tensor)> = vec![];
    for (name, value) in inputs {
        if fixed(value) {
            parsed.fix(name, value);
            continue;
        }
        let tensor = tensor_of(value)
            .map_err(|error| refused(format!("input \"{}\": {error}", name.escape_debug())))?;
        tensors.push((name, tensor));
    }
    let feeds = tensors.iter().map(|(name, tensor)| Feed {
        tensor: (*name).to_owned(),
        spec: tensor.spec().clone(),
        rate: Rate(0),
    });
    let names: Vec<String> = info.outputs.into_iter().map(|output| output.name).collect();
    let graph = build(parsed, execution, feeds.collect(), &names)?;
    let place = |name: &str| graph.inputs().iter().position(|(input, _)| input == name);
    tensors.sort_by_key(|(name, _)| place(name));
    let tensors: Vec<Tensor> = tensors.into_iter().map(|(_, tensor)| tensor).collect();
    let mut state = graph.state()?;
    graph.run(&mut state, &*tensors, Rate(0))?;
    let mut all = vec![];
    for (index, name) in names.into_iter().enumerate() {
        let view: View<'_> = graph.output(&state, index)?;
        let value = value_of(view).ok_or_else(|| {
            refused(format!(
                "output \"{}\" is of a type that cannot be read",
                name.escape_debug()
            ))
        })?;
        all.push((name, value));
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
    let model = source.parse()?;
    reference::run(&model, inputs).map_err(refused)
}

/// A value as graphs are fed with it.
///
/// # Errors
/// When it is of an element type that no input can have, or its bytes are not those of its shape.
pub fn tensor_of(value: &Value<'_>) -> Result<Tensor, TensorError> {
    let Some(element) = value.element.of_tensor() else {
        return Err(TensorError::Element {
            found: value.element.to_string(),
            wanted: tensor::Element::F32,
        });
    };
    match View::new(element, &value.shape, &value.bytes) {
        // Bytes that were read into a vector of their own need not lie where wider numbers must.
        Err(TensorError::Misaligned(_)) => {
            let mut tensor = Tensor::zeros(TensorSpec::new(element, &value.shape))?;
            let bytes = tensor.bytes_mut()?;
            let count = bytes.len().min(value.bytes.len());
            bytes[..count].copy_from_slice(&value.bytes[..count]);
            Ok(tensor)
        }
        view => Tensor::copy_of(view?),
    }
}

/// A copy of what a graph gave; `None` for an element type that is tract's alone.
#[must_use]
pub fn value_of(view: View<'_>) -> Option<Value<'static>> {
    let element = Element::of_datum(view.element()?.datum())?;
    Some(Value::borrowed(element, view.shape(), view.bytes()).into_owned())
}
