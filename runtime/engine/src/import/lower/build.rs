//! Nodes and weights that take the place of a node.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::super::element::Element;
use super::super::value::Value;

/// What takes the place of a node.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) nodes: Vec<NodeProto>,
    pub(super) weights: Vec<(String, Value<'static>)>,
}

/// Makes nodes named after the one that they replace.
#[derive(Debug)]
pub(super) struct Build {
    base: String,
    count: usize,
    built: Built,
}

impl Build {
    pub(super) fn of(node: &NodeProto) -> Self {
        Self {
            base: node.name.clone(),
            count: 0,
            built: Built::default(),
        }
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{}/{what}.{}", self.base, self.count)
    }

    /// A constant; its name.
    pub(super) fn weight(&mut self, value: Value<'static>) -> String {
        let name = self.fresh("weight");
        self.built.weights.push((name.clone(), value));
        name
    }

    /// A single f32.
    pub(super) fn float(&mut self, value: f64) -> String {
        self.weight(Value::of_floats(Element::F32, &[], std::iter::once(value)))
    }

    /// A list of i64.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        self.weight(Value::of_i64(&[values.len()], values))
    }

    /// A node with one output; the name of that.
    pub(super) fn op(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh(op);
        self.push(op, inputs, &output, attributes);
        output
    }

    /// A node that writes `output`.
    pub(super) fn push(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        let number = self.built.nodes.len();
        self.built.nodes.push(NodeProto {
            name: format!("{}/{op}.{number}", self.base),
            op_type: op.to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// A node as it is.
    pub(super) fn add(&mut self, node: NodeProto) {
        self.built.nodes.push(node);
    }

    /// The last node takes the name of the one that is replaced.
    pub(super) fn done(mut self) -> Built {
        if let Some(last) = self.built.nodes.last_mut() {
            last.name.clone_from(&self.base);
        }
        self.built
    }
}

/// An integer attribute.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

/// A float attribute.
#[expect(clippy::cast_possible_truncation)]
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Float as i32,
        f: value as f32,
        ..AttributeProto::default()
    }
}

/// A list of integers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

/// A text attribute.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

/// A list of texts.
pub(super) fn texts(name: &str, values: &[String]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Strings as i32,
        strings: values
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect(),
        ..AttributeProto::default()
    }
}
