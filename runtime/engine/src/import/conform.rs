//! Whether a file keeps to the ONNX standard: its version, names that are given once, and for each node the number of inputs and
//! outputs, the attributes and the element types that its operator has in the file's operator set.
//!
//! A file that breaks these rules has no meaning that one could rely on; other runtimes refuse it, too.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto,
};

use super::meaning::Call;
use super::signatures::{Found, Kinds, Often, Place, Signature, find};

/// The newest version of the file format that is known here.
const NEWEST_FORMAT: i64 = 14;

/// Checks a model whose operators are known.
///
/// # Errors
/// With the node or tensor that breaks a rule.
pub(super) fn check(model: &ModelProto, set: i64) -> Result<(), String> {
    match model.ir_version {
        ..=0 => return Err("names no version of the file format (ir_version)".to_owned()),
        version if version > NEWEST_FORMAT => {
            return Err(format!(
                "is of file format {version}; the newest one that is known is {NEWEST_FORMAT}"
            ));
        }
        _ => {}
    }
    let mut types = Types {
        set,
        scopes: vec![],
    };
    let Some(graph) = &model.graph else {
        return Ok(());
    };
    types.graph(graph, true).map(|_| ())
}

/// Element types of tensors, as far as they are known.
struct Types {
    set: i64,
    /// Of the graph that is looked at and those around it, the innermost last.
    scopes: Vec<HashMap<String, Kinds>>,
}

impl Types {
    fn of(&self, name: &str) -> Option<Kinds> {
        let scopes = self.scopes.iter().rev();
        scopes.filter_map(|scope| scope.get(name)).copied().next()
    }

    fn set(&mut self, name: &str, kinds: Option<Kinds>) {
        if let (Some(scope), Some(kinds)) = (self.scopes.last_mut(), kinds) {
            scope.insert(name.to_owned(), kinds);
        }
    }

    /// The element types of a graph's outputs.
    fn graph(&mut self, graph: &GraphProto, outermost: bool) -> Result<Vec<Option<Kinds>>, String> {
        check_names(graph, outermost)?;
        self.scopes.push(HashMap::new());
        let mut declared = HashMap::new();
        for value in graph.value_info.iter().chain(&graph.output) {
            if let Some(number) = element_of(value).filter(|&number| number != 0) {
                declared.insert(&*value.name, Kinds::of_onnx(number));
            }
        }
        for weight in &graph.initializer {
            self.set(&weight.name, Some(Kinds::of_onnx(weight.data_type)));
        }
        for input in &graph.input {
            let kinds = element_of(input)
                .filter(|&number| number != 0)
                .map(Kinds::of_onnx);
            self.set(&input.name, kinds);
        }
        for node in &graph.node {
            let name = super::guard::node_name(node);
            let made = self
                .node(node)
                .map_err(|message| format!("node \"{name}\": {message}"))?;
            for (output, kinds) in node.output.iter().zip(made) {
                if let (Some(kinds), Some(said)) = (kinds, declared.get(&**output))
                    && kinds != *said
                {
                    return Err(format!(
                        "node \"{name}\": tensor \"{}\" is of {kinds}, and the file says {said}",
                        output.escape_debug()
                    ));
                }
                self.set(output, kinds);
            }
        }
        let outputs = graph.output.iter().map(|output| self.of(&output.name));
        let outputs = outputs.collect();
        self.scopes.pop();
        Ok(outputs)
    }

    /// The element types of a node's outputs.
    fn node(&mut self, node: &NodeProto) -> Result<Vec<Option<Kinds>>, String> {
        let op = node.op_type.escape_debug();
        let signature = match find(&node.domain, &node.op_type, self.set) {
            Found::Version(signature) if signature.deprecated => {
                return Err(format!(
                    "{op} is no longer an operator since set {}; the file is of set {}",
                    signature.since, self.set
                ));
            }
            Found::Version(signature) => Some(signature),
            Found::Later(since) => {
                return Err(format!(
                    "{op} is an operator from set {since} on; the file is of set {}",
                    self.set
                ));
            }
            Found::Unknown => None,
        };
        if let Some(signature) = &signature {
            let counts = |what, names: &[String], places: &[Place], least| {
                check_count(what, names, places, least)
                    .map_err(|message| format!("{op}: {message}"))
            };
            // A constant is its value, whatever else stands there.
            if node.op_type != "Constant" {
                check_attributes(node, signature)?;
                let (places, least) = (&signature.inputs, signature.least_inputs);
                counts("inputs", &node.input, places, least)?;
            }
            let (places, least) = (&signature.outputs, signature.least_outputs);
            counts("outputs", &node.output, places, least)?;
        }
        let mut inner = vec![];
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                inner.push(self.graph(graph, false)?);
            }
        }
        let Some(signature) = signature else {
            return Ok(vec![None; node.output.len()]);
        };
        let mut bound = HashMap::new();
        for (index, name) in node.input.iter().enumerate() {
            let place = Signature::place(&signature.inputs, index);
            let (Some(place), Some(kinds)) = (place, self.of(name)) else {
                continue;
            };
            self.fits(
                node,
                place,
                kinds,
                &format!("input \"{}\"", name.escape_debug()),
            )?;
            bind(&mut bound, place, kinds).map_err(|other| {
                format!("{op} of {other} and {kinds}: its inputs are of one element type")
            })?;
        }
        let mut made = vec![];
        for (index, name) in node.output.iter().enumerate() {
            let Some(place) = Signature::place(&signature.outputs, index) else {
                made.push(None);
                continue;
            };
            let kinds = bound
                .get(place.name)
                .copied()
                .filter(|_| place.often != Often::Mixed)
                .or_else(|| place.kinds.is_single().then_some(place.kinds))
                .or_else(|| self.told(node, index, &inner));
            if let Some(kinds) = kinds {
                self.fits(
                    node,
                    place,
                    kinds,
                    &format!("output \"{}\"", name.escape_debug()),
                )?;
            }
            made.push(kinds);
        }
        if node.op_type == "If"
            && let [one, other] = &*inner
            && let Some((a, b)) = differing(one, other)
        {
            return Err(format!("If: one branch makes {a}, the other {b}"));
        }
        Ok(made)
    }

    fn fits(&self, node: &NodeProto, place: Place, kinds: Kinds, what: &str) -> Result<(), String> {
        if kinds.within(place.kinds) {
            return Ok(());
        }
        Err(format!(
            "{} in operator set {} takes {} there, and its {what} is of {kinds}",
            node.op_type.escape_debug(),
            self.set,
            place.kinds
        ))
    }

    /// The type of an output that an attribute names, or a subgraph makes.
    fn told(&self, node: &NodeProto, output: usize, inner: &[Vec<Option<Kinds>>]) -> Option<Kinds> {
        let call = Call {
            node,
            opset: self.set,
        };
        let number = |name: &str| i32::try_from(call.int(name, 0)).ok().filter(|&to| to != 0);
        let tensor = |name: &str| {
            let attribute = node.attribute.iter().find(|a| a.name == name)?;
            Some(attribute.t.as_ref()?.data_type)
        };
        let f32 = tract_onnx::pb::tensor_proto::DataType::Float as i32;
        let found = match &*node.op_type {
            "Cast" | "BitCast" => number("to"),
            "EyeLike" => {
                return number("dtype")
                    .map(Kinds::of_onnx)
                    .or(self.of(&node.input[0]));
            }
            "ConstantOfShape" => Some(tensor("value").unwrap_or(f32)),
            "Constant" => {
                let value = super::meaning::constant(&call).map(|value| value.element.onnx());
                tensor("value").or(value)
            }
            "QuantizeLinear" => {
                let u8 = tract_onnx::pb::tensor_proto::DataType::Uint8 as i32;
                Some(number("output_dtype").unwrap_or(u8))
            }
            "DequantizeLinear" => match number("output_dtype") {
                Some(number) => Some(number),
                None => return self.of(&node.input[1]),
            },
            "LayerNormalization" | "RMSNormalization" => Some(number("stash_type").unwrap_or(f32)),
            "If" | "Loop" | "Scan" => {
                let skipped = usize::from(node.op_type == "Loop");
                return *inner.first()?.get(output + skipped)?;
            }
            _ => None,
        };
        found.map(Kinds::of_onnx)
    }
}

/// Inputs of one type name are of one type; where another one was seen already, that.
fn bind(bound: &mut HashMap<&'static str, Kinds>, place: Place, kinds: Kinds) -> Result<(), Kinds> {
    if place.often == Often::Mixed || place.name.starts_with('=') {
        return Ok(());
    }
    match bound.insert(place.name, kinds) {
        Some(other) if other != kinds => Err(other),
        _ => Ok(()),
    }
}

fn differing(one: &[Option<Kinds>], other: &[Option<Kinds>]) -> Option<(Kinds, Kinds)> {
    let pairs = one.iter().zip(other);
    pairs
        .filter_map(|(a, b)| Some(((*a)?, (*b)?)))
        .find(|(a, b)| a != b)
}

fn element_of(value: &ValueInfoProto) -> Option<i32> {
    match value.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor.elem_type),
    }
}

/// Names that must be given, and only once.
fn check_names(graph: &GraphProto, outermost: bool) -> Result<(), String> {
    let mut seen = HashSet::new();
    for input in &graph.input {
        let name = input.name.escape_debug();
        if input.name.is_empty() {
            return Err("an input has no name".to_owned());
        }
        if !seen.insert(&*input.name) {
            return Err(format!("input \"{name}\" is there twice"));
        }
        if outermost && element_of(input) == Some(0) {
            return Err(format!("input \"{name}\" has no element type"));
        }
        let weight = graph.initializer.iter().find(|w| w.name == input.name);
        if let Some(weight) = weight {
            check_default(input, weight)?;
        }
    }
    let mut nodes = HashSet::new();
    for node in &graph.node {
        if node.op_type.is_empty() {
            let name = super::guard::node_name(node);
            return Err(format!("node \"{name}\" names no operator"));
        }
        if !node.name.is_empty() && !nodes.insert(&*node.name) {
            let name = node.name.escape_debug();
            return Err(format!("two nodes have the name \"{name}\""));
        }
    }
    let weights = graph.initializer.iter().map(|weight| &*weight.name);
    let mut made: HashSet<&str> = seen.into_iter().chain(weights).collect();
    for node in &graph.node {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if !made.insert(output) {
                let (name, output) = (super::guard::node_name(node), output.escape_debug());
                return Err(format!(
                    "node \"{name}\": tensor \"{output}\" is made twice"
                ));
            }
        }
    }
    for output in &graph.output {
        if output.name.is_empty() {
            return Err("an output has no name".to_owned());
        }
        let is_weight = graph.initializer.iter().any(|w| w.name == output.name);
        if element_of(output) == Some(0) && !is_weight {
            let name = output.name.escape_debug();
            return Err(format!("output \"{name}\" has no element type"));
        }
    }
    Ok(())
}

/// An input with a value of its own must be of that value's type and shape.
fn check_default(input: &ValueInfoProto, weight: &TensorProto) -> Result<(), String> {
    let name = input.name.escape_debug();
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|of| of.value.as_ref())
    else {
        return Ok(());
    };
    let (said, is) = (
        Kinds::of_onnx(tensor.elem_type),
        Kinds::of_onnx(weight.data_type),
    );
    if said != is {
        return Err(format!(
            "input \"{name}\" is of {said}, and its value of {is}"
        ));
    }
    let Some(shape) = &tensor.shape else {
        return Ok(());
    };
    let lengths = shape.dim.iter().zip(&weight.dims);
    let fits = lengths.into_iter().all(|(said, &is)| match said.value {
        Some(tract_onnx::pb::tensor_shape_proto::dimension::Value::DimValue(said)) => said == is,
        _ => true,
    });
    if !fits || shape.dim.len() != weight.dims.len() {
        return Err(format!(
            "input \"{name}\" is of another shape than its value, which is of {:?}",
            weight.dims
        ));
    }
    Ok(())
}

fn check_count(what: &str, names: &[String], places: &[Place], least: usize) -> Result<(), String> {
    let count = names.len();
    if count < least {
        return Err(format!("{count} {what}, at least {least} are needed"));
    }
    if let Some(most) = Signature::most(places).filter(|&most| count > most) {
        return Err(format!("{count} {what}, at most {most} are taken"));
    }
    let missing = names.iter().enumerate().position(|(index, name)| {
        let place = Signature::place(places, index);
        let needed = place.is_some_and(|place| matches!(place.often, Often::Once | Often::Alike));
        name.is_empty() && needed
    });
    match missing {
        Some(index) => Err(format!("number {index} of its {what} is left out")),
        None => Ok(()),
    }
}

fn check_attributes(node: &NodeProto, signature: &Signature) -> Result<(), String> {
    let op = node.op_type.escape_debug();
    let mut seen = HashSet::new();
    for attribute in &node.attribute {
        let name = attribute.name.escape_debug();
        if !seen.insert(&*attribute.name) {
            return Err(format!("attribute \"{name}\" is there twice"));
        }
        let known = signature
            .attributes
            .iter()
            .find(|known| known.name == attribute.name);
        let Some(known) = known else {
            return Err(format!("{op} has no attribute \"{name}\""));
        };
        let kind = kind_of(attribute);
        if known.kind != "other" && kind != known.kind {
            return Err(format!(
                "attribute \"{name}\" is of kind {kind}, {op} takes {}",
                known.kind
            ));
        }
    }
    let missing = signature
        .attributes
        .iter()
        .find(|known| known.required && !seen.contains(known.name));
    match missing {
        Some(known) => Err(format!("{op} needs an attribute \"{}\"", known.name)),
        None => Ok(()),
    }
}

fn kind_of(attribute: &AttributeProto) -> &'static str {
    match AttributeType::try_from(attribute.r#type) {
        Ok(AttributeType::Float) => "float",
        Ok(AttributeType::Int) => "int",
        Ok(AttributeType::String) => "text",
        Ok(AttributeType::Tensor) => "tensor",
        Ok(AttributeType::Graph) => "graph",
        Ok(AttributeType::Floats) => "floats",
        Ok(AttributeType::Ints) => "ints",
        Ok(AttributeType::Strings) => "texts",
        Ok(AttributeType::Undefined) => "none",
        _ => "other",
    }
}
