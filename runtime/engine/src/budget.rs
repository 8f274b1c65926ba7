//! What a graph may ask for: a few bytes of ONNX can ask for any amount of memory and work.

use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::internal::*;

/// The largest tensor that is computed: 1 GiB of f32.
pub(crate) const MAX_TENSOR_ELEMENTS: usize = 1 << 28;
/// Values of all tensors together, weights among them: a 3 B model with a prefix of 800 tokens has two thirds of it.
const MAX_ELEMENTS: u64 = 1 << 33;
/// Multiply-accumulates of a run: thirty times those of that prefix, hours on a small board.
const MAX_MACS: u64 = 1 << 46;
/// Memory that a plan lays out for a run.
const MAX_BUFFER_BYTES: u64 = 1 << 33;

/// Refuses a typed graph whose tensors are open, too large, or too many.
///
/// # Errors
/// With the node where the limit is passed.
pub(crate) fn check_tensors(graph: &TypedModel) -> Result<(), String> {
    let mut all = 0_u64;
    for node in graph.nodes() {
        let name = node.name.escape_debug();
        for output in &node.outputs {
            let elements = output.fact.shape.as_concrete().and_then(|shape| {
                shape
                    .iter()
                    .try_fold(1_usize, |product, &axis| product.checked_mul(axis))
            });
            // Weights are as large as the file.
            let fits = |&elements: &usize| elements <= MAX_TENSOR_ELEMENTS || node.op_is::<Const>();
            let Some(elements) = elements.filter(fits) else {
                return Err(format!(
                    "node \"{name}\": shape {:?} is not fixed or too large",
                    output.fact.shape
                ));
            };
            all += elements as u64;
        }
        if all > MAX_ELEMENTS {
            return Err(format!(
                "node \"{name}\": the tensors up to here have {all} values, at most {MAX_ELEMENTS} are taken"
            ));
        }
    }
    Ok(())
}

/// Refuses a graph that would run for hours.
///
/// # Errors
/// With both numbers.
pub(crate) fn check_work(macs: u64) -> Result<(), String> {
    match macs > MAX_MACS {
        true => Err(format!(
            "a run has {macs} multiply-accumulates, at most {MAX_MACS} are taken"
        )),
        false => Ok(()),
    }
}

/// Refuses a plan whose buffers are too large together.
///
/// # Errors
/// With both numbers.
pub(crate) fn check_buffers(bytes: impl IntoIterator<Item = usize>) -> Result<(), String> {
    let all = bytes
        .into_iter()
        .fold(0_u64, |all, bytes| all.saturating_add(bytes as u64));
    match all > MAX_BUFFER_BYTES {
        true => Err(format!(
            "a run needs {all} bytes of memory, at most {MAX_BUFFER_BYTES} are taken"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_core::ops::math::add;

    use super::*;

    /// `adds` sums of a tensor with itself, one after the other.
    fn chain(elements: usize, adds: usize) -> TypedModel {
        let mut model = TypedModel::default();
        let mut wire = model.add_source("x", f32::fact([elements])).unwrap();
        for index in 0..adds {
            let name = format!("add{index}");
            wire = model.wire_node(name, add(), &[wire, wire]).unwrap()[0];
        }
        model.select_output_outlets(&[wire]).unwrap();
        model
    }

    #[test]
    fn tensors_are_limited_alone_and_together() {
        check_tensors(&chain(1 << 10, 40)).unwrap();
        check_tensors(&chain(1 << 28, 31)).unwrap();
        let many = check_tensors(&chain(1 << 28, 32)).unwrap_err();
        assert!(
            many.contains("node \"add31\": the tensors up to here"),
            "{many}"
        );
        let large = check_tensors(&chain((1 << 28) + 1, 1)).unwrap_err();
        assert!(large.contains("is not fixed or too large"), "{large}");
    }

    #[test]
    fn memory_and_work_are_limited() {
        check_buffers([1 << 32, 1 << 32]).unwrap();
        assert!(check_buffers([1 << 32, 1 << 32, 1]).is_err());
        check_work(1 << 46).unwrap();
        assert!(check_work((1 << 46) + 1).is_err());
    }
}
