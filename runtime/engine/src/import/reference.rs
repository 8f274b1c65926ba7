//! A whole graph run node by node with [`super::meaning`]: slow, and the same on every machine.

use tract_onnx::pb::ModelProto;

use super::lower::opset_of;
use super::meaning::{Scope, run_graph};
use super::value::Value;

/// The outputs of a model of standard operators, in its order.
///
/// # Errors
/// With the node's name, when an operator is not known, or its inputs do not fit.
pub fn run(
    model: &ModelProto,
    inputs: &[(String, Value<'static>)],
) -> Result<Vec<(String, Value<'static>)>, String> {
    let graph = model.graph.as_ref().ok_or("no graph")?;
    let mut scope = Scope::of(inputs.iter().cloned());
    run_graph(graph, opset_of(model), &mut scope)?;
    let outputs = graph.output.iter().map(|output| {
        let value = scope.get(&output.name);
        let value =
            value.ok_or_else(|| format!("output \"{}\" is made by nothing", output.name))?;
        Ok((output.name.clone(), value.clone()))
    });
    outputs.collect()
}
