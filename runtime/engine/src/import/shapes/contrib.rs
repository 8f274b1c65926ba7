//! Shapes of quantising operators, standard and of ONNX Runtime.

use super::super::element::Element;
use super::super::meaning::qlinear::{ADD, MEAN, MUL, REQUANTISE, SOFTMAX};
use super::super::meaning::{Call, broadcast};
use super::{Facts, Inferred, at, one};

pub(super) fn infer(call: &Call<'_>, inputs: Facts<'_, '_>) -> Inferred {
    let Some(x) = at(inputs, 0) else {
        return Ok(None);
    };
    match call.op() {
        "QuantizeLinear" => {
            let named = Element::of_onnx(i32::try_from(call.int("output_dtype", 0)).unwrap_or(0));
            let zero_point = at(inputs, 2).map(|fact| fact.element);
            if let (Some(named), Some(zero_point)) = (named, zero_point)
                && named != zero_point
            {
                return Err(format!(
                    "QuantizeLinear to {named} with a zero point of {zero_point}"
                ));
            }
            one(
                zero_point.or(named).unwrap_or(Element::U8),
                x.shape.to_vec(),
            )
        }
        REQUANTISE => {
            let Some(zero) = at(inputs, 2) else {
                return Ok(None);
            };
            one(zero.element, x.shape.to_vec())
        }
        ADD | MUL => {
            let Some(y) = at(inputs, 3) else {
                return Ok(None);
            };
            one(x.element, broadcast(&[x.shape, y.shape])?)
        }
        SOFTMAX => one(x.element, x.shape.to_vec()),
        MEAN => {
            if x.shape.len() < 2 {
                return Err(format!("a mean over the pixels of {:?}", x.shape));
            }
            let mut shape = x.shape.to_vec();
            match call.int("channels_last", 0) {
                0 => shape[2..].fill(1),
                _ => {
                    let last = shape.len() - 1;
                    shape[1..last].fill(1);
                }
            }
            one(x.element, shape)
        }
        "DequantizeLinear" => {
            let Some(scale) = at(inputs, 1) else {
                return Ok(None);
            };
            let named = Element::of_onnx(i32::try_from(call.int("output_dtype", 0)).unwrap_or(0));
            one(named.unwrap_or(scale.element), x.shape.to_vec())
        }
        "DynamicQuantizeLinear" => Ok(Some(vec![
            (Element::U8, x.shape.to_vec()),
            (Element::F32, vec![]),
            (Element::U8, vec![]),
        ])),
        "MatMulNBits" => {
            let size = |name: &str| {
                let given = call.int(name, 0);
                let size = usize::try_from(given)
                    .ok()
                    .filter(|&size| size > 0 && size < 1 << 31);
                size.ok_or_else(|| format!("MatMulNBits: {name} is {given}"))
            };
            let (k, n) = (size("K")?, size("N")?);
            let (block, bits) = (size("block_size")?, call.int("bits", 4));
            if block < 16 || !block.is_power_of_two() {
                return Err(format!(
                    "MatMulNBits: block_size is {block}; a power of two from 16 is needed"
                ));
            }
            if !matches!(bits, 2 | 4 | 8) {
                return Err(format!("MatMulNBits: {bits} bits"));
            }
            let mut shape = x.shape.to_vec();
            match shape.last_mut() {
                Some(last) if *last == k => *last = n,
                _ => {
                    return Err(format!(
                        "MatMulNBits: rows of {:?} meet weights of {k}",
                        x.shape
                    ));
                }
            }
            one(x.element, shape)
        }
        _ => Ok(None),
    }
}
