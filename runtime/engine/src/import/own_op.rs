//! An operator that [`super::meaning`] computes, as an op of the engine.

use std::sync::Arc;

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::element::Element;
use super::meaning::{Call, evaluate};
use super::value::Value;

/// Name under which the op is registered.
pub(crate) const NAME: &str = "WinkOwn";
/// Domain of the nodes that [`super::lower`] writes; no file can name it.
pub(crate) const DOMAIN: &str = "wink";
pub(crate) const OPERATOR: &str = "wink_operator";
pub(crate) const OPSET: &str = "wink_opset";
pub(crate) const INPUTS: &str = "wink_inputs";
pub(crate) const ELEMENTS: &str = "wink_elements";
pub(crate) const SHAPES: &str = "wink_shapes";
pub(crate) const SLOTS: &str = "wink_slots";

/// Element types and shapes of the outputs that a node names.
pub(crate) fn outputs(node: &NodeProto) -> Option<Vec<(Element, Vec<usize>)>> {
    let call = Call { node, opset: 0 };
    let mut lengths = call.ints(SHAPES)?.iter().map(|&v| v as usize);
    let mut outputs = vec![];
    for &element in call.ints(ELEMENTS)? {
        let element = Element::of_onnx(i32::try_from(element).ok()?)?;
        let rank = lengths.next()?;
        outputs.push((element, lengths.by_ref().take(rank).collect()));
    }
    Some(outputs)
}

/// Makes the engine read the nodes.
pub(crate) fn register(register: &mut OnnxOpRegister) {
    register.insert(NAME, import);
}

fn import(
    _: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let mut node = node.clone();
    let call = Call {
        node: &node,
        opset: 0,
    };
    let list = |name: &str| call.ints(name).with_context(|| format!("no {name}"));
    let outputs = outputs(&node).context("no shapes")?;
    let outputs = outputs
        .into_iter()
        .map(|(element, shape)| (element, shape.into()))
        .collect();
    let elements = list(INPUTS)?
        .iter()
        .map(|&v| Element::of_onnx(i32::try_from(v).ok()?));
    let inputs = elements.collect::<Option<_>>().context("an element type")?;
    let slots = list(SLOTS)?.iter().map(|&v| v as usize).collect();
    let (operator, opset) = (call.text(OPERATOR, "").to_owned(), call.int(OPSET, 0));
    node.op_type = operator;
    node.attribute.retain(|a| !a.name.starts_with("wink_"));
    let own = Own {
        node: Arc::new(node),
        opset,
        inputs,
        outputs,
        slots,
    };
    Ok((expand(own), vec![]))
}

/// A node with what its outputs are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Own {
    node: Arc<NodeProto>,
    opset: i64,
    /// Element types of the inputs that are given: the engine has no 4-bit ones.
    inputs: Vec<Element>,
    outputs: Vec<(Element, TVec<usize>)>,
    /// The operator's number of each output that is asked for.
    slots: Vec<usize>,
}

impl Eq for Own {}

/// The operator that an op of the engine computes by [`super::meaning`]; `None` where it is no such op, or where the bytes of a value
/// are of a type that the engine lacks: its ops would take them for numbers of another type.
pub(crate) fn own_operator(op: &dyn TypedOp) -> Option<&str> {
    let own = op.downcast_ref::<Own>()?;
    let outputs = own.outputs.iter().map(|(element, _)| element);
    let mut elements = own.inputs.iter().chain(outputs);
    let plain = elements.all(|element| element.stored().is_none());
    plain.then_some(&*own.node.op_type)
}

fn datum(element: Element) -> TractResult<DatumType> {
    let stored = element.stored().unwrap_or(element);
    stored
        .datum()
        .with_context(|| format!("the engine has no {element}"))
}

impl Expansion for Own {
    fn name(&self) -> StaticName {
        format!("Own{}", self.node.op_type).into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.outputs.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        _: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for (proxy, (element, shape)) in outputs.iter().zip(&self.outputs) {
            s.equals(&proxy.datum_type, datum(*element)?)?;
            let shape: ShapeFactoid = shape.iter().map(|length| length.to_dim()).collect();
            s.equals(&proxy.shape, shape)?;
        }
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Own {
    fn name(&self) -> StaticName {
        format!("Own{}", self.node.op_type).into()
    }

    op_as_typed_op!();
}

impl EvalOp for Own {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let tensors: Vec<Value<'_>> = inputs
            .iter()
            .zip(&self.inputs)
            .map(|(tensor, &element)| borrowed(tensor, element))
            .collect::<TractResult<_>>()?;
        let made = self.compute(&tensors)?;
        let tensors = made.iter().map(|value| Ok(owned(value)?.into_tvalue()));
        tensors.collect()
    }
}

impl Own {
    /// The outputs that are asked for, of inputs without those that are left out.
    fn compute(&self, given: &[Value<'_>]) -> TractResult<Vec<Value<'static>>> {
        let mut given = given.iter();
        let names = self.node.input.iter();
        let inputs: Vec<Option<&Value<'_>>> = names
            .map(|name| if name.is_empty() { None } else { given.next() })
            .collect();
        let call = Call {
            node: &self.node,
            opset: self.opset,
        };
        let made = evaluate(&call, &inputs).map_err(TractError::msg)?;
        let mut made: Vec<Option<Value<'static>>> = made
            .with_context(|| format!("{} is not known", self.node.op_type))?
            .into_iter()
            .map(Some)
            .collect();
        let mut outputs = vec![];
        for (&slot, (element, shape)) in self.slots.iter().zip(&self.outputs) {
            let value = made
                .get_mut(slot)
                .and_then(Option::take)
                .context("an output is missing")?;
            ensure!(
                value.element == *element && *value.shape == **shape,
                "{}{:?} instead of {element}{shape:?}",
                value.element,
                value.shape
            );
            outputs.push(value);
        }
        Ok(outputs)
    }
}

fn borrowed(tensor: &Tensor, element: Element) -> TractResult<Value<'_>> {
    let found = tensor.datum_type();
    ensure!(
        found == datum(element)?,
        "a tensor of {found:?} instead of {element}"
    );
    Ok(Value::borrowed(
        element,
        tensor.shape(),
        tensor.try_as_plain_ram()?.as_bytes(),
    ))
}

fn owned(value: &Value<'_>) -> TractResult<Tensor> {
    let mut tensor = Tensor::zero_dt(datum(value.element)?, &value.shape)?;
    ensure!(
        tensor.is_plain_ram(),
        "a tensor that is not numbers in a row"
    );
    tensor.as_bytes_mut().copy_from_slice(&value.bytes);
    Ok(tensor)
}

impl TypedOp for Own {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let facts = self
            .outputs
            .iter()
            .map(|(element, shape)| Ok(datum(*element)?.fact(&**shape)));
        facts.collect()
    }
}
