//! An operator with its attributes.

use tract_onnx::pb::NodeProto;

use super::super::value::Value;

/// A node to be computed, with the version of the operator set that gives it its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The node.
    pub node: &'a NodeProto,
    /// Version of the standard operator set.
    pub opset: i64,
}

impl<'a> Call<'a> {
    /// Name of the operator.
    #[must_use]
    pub fn op(&self) -> &'a str {
        &self.node.op_type
    }

    fn attribute(&self, name: &str) -> Option<&'a tract_onnx::pb::AttributeProto> {
        self.node.attribute.iter().find(|a| a.name == name)
    }

    /// Whether an attribute is given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer attribute.
    #[must_use]
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// A list of integers.
    #[must_use]
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| &*a.ints)
    }

    /// A float attribute.
    #[must_use]
    pub fn float(&self, name: &str, default: f32) -> f64 {
        f64::from(self.attribute(name).map_or(default, |a| a.f))
    }

    /// A text attribute.
    #[must_use]
    pub fn text(&self, name: &str, default: &'a str) -> &'a str {
        let given = self.attribute(name);
        given.map_or(default, |a| std::str::from_utf8(&a.s).unwrap_or(""))
    }

    /// A tensor attribute.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<Value<'static>> {
        Value::of_proto(self.attribute(name)?.t.as_ref()?)
    }

    /// Whether output `index` is asked for.
    #[must_use]
    pub fn wants(&self, index: usize) -> bool {
        self.node
            .output
            .get(index)
            .is_some_and(|name| !name.is_empty())
    }

    /// Whether input `index` is given.
    #[must_use]
    pub fn given(&self, index: usize) -> bool {
        self.node
            .input
            .get(index)
            .is_some_and(|name| !name.is_empty())
    }
}
