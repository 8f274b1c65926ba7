//! Slices with a step, as gathers: tract pulls such a slice in front of what it follows, even of a softmax over the same axis.

use tract_onnx::pb::NodeProto;

use super::super::meaning::Call;
use super::super::shapes::slice_axes;
use super::super::value::Value;
use super::build::{Build, Built, int};
use super::walk::{Known, Seen};

pub(super) fn expand(node: &NodeProto, seen: &Seen<'_>) -> Result<Option<Built>, String> {
    if node.op_type != "Slice" || !matches!(&*node.domain, "" | "ai.onnx") {
        return Ok(None);
    }
    let call = Call {
        node,
        opset: seen.opset,
    };
    let facts: Vec<_> = (0..node.input.len())
        .map(|index| seen.input(node, index).map(Known::fact))
        .collect();
    let (Some(axes), Some(x)) = (slice_axes(&call, &facts)?, seen.input(node, 0)) else {
        return Ok(None);
    };
    let stepped = |index: usize| axes[index].step != 1 && axes[index].count > 0;
    let Some(last) = (0..axes.len()).rfind(|&index| stepped(index)) else {
        return Ok(None);
    };
    let empty = axes.iter().any(|axis| axis.count == 0) || x.shape.contains(&0);
    if empty {
        return Ok(None);
    }
    let mut build = Build::of(node);
    let mut value = node.input[0].clone();
    let whole: Vec<usize> = (0..axes.len())
        .filter(|&index| !stepped(index) && axes[index].count != x.shape[index])
        .collect();
    if !whole.is_empty() {
        let list = |of: &dyn Fn(usize) -> usize| {
            whole
                .iter()
                .map(|&index| of(index) as i64)
                .collect::<Vec<_>>()
        };
        let starts = build.ints(&list(&|index| axes[index].start));
        let ends = build.ints(&list(&|index| axes[index].start + axes[index].count));
        let of = build.ints(&list(&|index| index));
        value = build.op("Slice", &[&value, &starts, &ends, &of], vec![]);
    }
    for (index, axis) in axes.iter().enumerate().filter(|(index, _)| stepped(*index)) {
        let places =
            (0..axis.count as i128).map(|at| axis.start as i128 + at * i128::from(axis.step));
        let places = build.weight(Value::of_ints(
            super::super::element::Element::I64,
            &[axis.count],
            places,
        ));
        let along = vec![int("axis", index as i64)];
        if index == last {
            build.push("Gather", &[&value, &places], &node.output[0], along);
        } else {
            value = build.op("Gather", &[&value, &places], along);
        }
    }
    Ok(Some(build.done()))
}
