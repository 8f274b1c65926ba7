//! Weights that are stored as the places and values of what is not 0, as ordinary weights.

use tract_onnx::pb::{GraphProto, SparseTensorProto, TensorProto};

use super::value::{Value, volume};

/// Bytes that all filled weights of a file may have together; the file itself may have a few hundred.
const MOST_BYTES: usize = 256 << 20;

/// Turns sparse weights and sparse constants of a graph into ordinary ones.
///
/// # Errors
/// With the weight's name, when its places do not fit its shape, or it is too large.
pub(super) fn fill(graph: &mut GraphProto) -> Result<(), String> {
    fill_within(graph, &mut { MOST_BYTES })
}

fn fill_within(graph: &mut GraphProto, left: &mut usize) -> Result<(), String> {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        let name = sparse.values.as_ref().map_or("", |values| &values.name);
        let name = name.escape_debug().to_string();
        let filled = filled(&sparse, left);
        let weight = filled.map_err(|message| format!("weight \"{name}\": {message}"))?;
        graph.initializer.push(weight);
    }
    for node in &mut graph.node {
        let name = super::guard::node_name(node);
        for attribute in &mut node.attribute {
            if let Some(sparse) = attribute.sparse_tensor.take() {
                if node.op_type != "Constant" || attribute.name != "sparse_value" {
                    attribute.sparse_tensor = Some(sparse);
                    continue;
                }
                let filled = filled(&sparse, left);
                attribute.t =
                    Some(filled.map_err(|message| format!("node \"{name}\": {message}"))?);
                "value".clone_into(&mut attribute.name);
                attribute.r#type = tract_onnx::pb::attribute_proto::AttributeType::Tensor as i32;
            }
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                fill_within(inner, left)?;
            }
        }
    }
    Ok(())
}

fn filled(sparse: &SparseTensorProto, left: &mut usize) -> Result<TensorProto, String> {
    let values = sparse
        .values
        .as_ref()
        .ok_or("a sparse tensor without values")?;
    let value =
        Value::of_proto(values).ok_or("its values do not fit or cannot be computed with")?;
    let places = match &sparse.indices {
        Some(indices) => Value::of_proto(indices).ok_or("its indices do not fit")?,
        None if value.is_empty() => Value::of_i64(&[0], &[]),
        None => return Err("a sparse tensor without indices".to_owned()),
    };
    let misfit = || format!("impossible shape {:?}", sparse.dims);
    let lengths = sparse.dims.iter().map(|&axis| usize::try_from(axis).ok());
    let shape: Vec<usize> = lengths.collect::<Option<_>>().ok_or_else(misfit)?;
    let size = value.element.size();
    let bytes = volume(&shape).and_then(|count| count.checked_mul(size));
    let bytes = bytes.ok_or_else(misfit)?;
    *left = left.checked_sub(bytes).ok_or_else(|| {
        format!("{bytes} bytes once its zeros are filled in, more than are taken")
    })?;
    let mut dense = vec![0; bytes];
    for (number, from) in value.bytes.chunks(size).enumerate() {
        let at = place(&places, number, value.len(), &shape)
            .ok_or_else(|| format!("index {number} does not fit the shape {shape:?}"))?;
        dense[at * size..][..size].copy_from_slice(from);
    }
    let dense = Value {
        element: value.element,
        shape,
        bytes: dense.into(),
    };
    Ok(dense.to_proto(&values.name))
}

/// Where a value lies, of indices that are one number for each value, or one for each axis.
fn place(places: &Value<'_>, number: usize, count: usize, shape: &[usize]) -> Option<usize> {
    let all = places.i64s();
    let index = |at: usize| usize::try_from(*all.get(at)?).ok();
    match *places.shape {
        [values] if values == count => {
            let at = index(number)?;
            (at < volume(shape)?).then_some(at)
        }
        [values, axes] if values == count && axes == shape.len() => {
            let mut at = 0;
            for (axis, &length) in shape.iter().enumerate() {
                let along = index(number * axes + axis).filter(|&along| along < length)?;
                at = at * length + along;
            }
            Some(at)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::element::Element;
    use super::*;

    fn sparse(places: Value<'_>, dims: &[i64]) -> GraphProto {
        let values = Value::of_floats(Element::F32, &[2], [5.0, 7.0].into_iter());
        GraphProto {
            sparse_initializer: vec![SparseTensorProto {
                values: Some(values.to_proto("w")),
                indices: Some(places.to_proto("")),
                dims: dims.to_vec(),
            }],
            ..GraphProto::default()
        }
    }

    #[test]
    fn values_lie_where_their_indices_say() {
        for places in [
            Value::of_i64(&[2], &[1, 5]),
            Value::of_i64(&[2, 2], &[0, 1, 1, 2]),
        ] {
            let mut graph = sparse(places, &[2, 3]);
            fill(&mut graph).unwrap();
            let dense = Value::of_proto(&graph.initializer[0]).unwrap();
            assert_eq!(graph.initializer[0].name, "w");
            assert_eq!(dense.shape, [2, 3]);
            assert_eq!(dense.floats(), [0.0, 5.0, 0.0, 0.0, 0.0, 7.0]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (places, dims, told) in [
            (Value::of_i64(&[2], &[1, 6]), [2, 3], "index 1"),
            (Value::of_i64(&[2], &[-1, 5]), [2, 3], "index 0"),
            (Value::of_i64(&[2, 2], &[0, 1, 2, 0]), [2, 3], "index 1"),
            (Value::of_i64(&[2], &[0, 1]), [1 << 20, 1 << 20], "bytes"),
        ] {
            let error = fill(&mut sparse(places, &dims)).unwrap_err();
            assert!(
                error.starts_with("weight \"w\": ") && error.contains(told),
                "{error}"
            );
        }
    }
}
